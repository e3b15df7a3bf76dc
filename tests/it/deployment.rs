//! What is written down for people who deploy names what is tested.

use crate::support::gateway::root;

#[test]
fn the_compose_file_has_the_version_of_kafka_that_is_tested() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a file");
    let versions = read("deploy/local/versions");
    let version = versions.lines().find_map(|line| line.strip_prefix("KAFKA_VERSION=")).expect("a version");

    let compose = read("deploy/compose.yaml");

    let image = compose.lines().find_map(|line| line.trim().strip_prefix("image: apache/kafka:")).expect("an image");
    assert_eq!(image.split(' ').next(), Some(version));
}
