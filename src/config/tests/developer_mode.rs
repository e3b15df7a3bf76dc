//! Developer mode: what is made, kept, refused and said.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{adapters, environment, lines};
use crate::config::binding::BindingSpec;
use crate::config::developer;
use crate::config::layers::{Layers, Sources};
use crate::config::report::Report;
use crate::config::settings::Settings;

fn start_developer(data_dir: &Path, variables: &[(&str, &str)]) -> Result<Settings, Report> {
    let mut layers = Layers::open(Sources { environment: environment(variables), ..Sources::default() })?;
    assert!(layers.is_developer());
    developer::prepare(&mut layers, data_dir, &adapters()).expect("prepared");
    layers.settings(&adapters())
}

#[test]
fn developer_mode_keeps_its_secrets_to_itself_and_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");

    let first = start_developer(&data_dir, &[]).expect("no mistake");
    let again = start_developer(&data_dir, &[]).expect("no mistake");

    assert!(first.developer);
    let [binding] = first.bindings.as_slice() else { panic!("pyxis is the only adapter there is") };
    assert_eq!((binding.name.as_str(), binding.tenant_id.as_str()), ("pyxis-north", "north"));
    assert_eq!((binding.rate_limit_per_minute, binding.countries.join(" ")), (0, "FR ES IT PL".to_owned()));
    assert!(binding.list("bu_codes").contains(&"BU_FR_HOME".to_owned()));
    assert_eq!(binding.bearer_tokens, again.bindings[0].bearer_tokens);
    assert_eq!(binding.signing_secret, again.bindings[0].signing_secret);
    let mode = std::fs::metadata(data_dir.join(developer::FILE)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_partner_is_called_at_the_address_that_is_put_in_and_keeps_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = start_developer(folder.path(), &[]).expect("no mistake");
    let address = |settings: &Settings| format!("{:?}", settings.bindings[0].parameters.get("base_url"));
    assert_eq!(address(&before), "None");

    for new in ["http://127.0.0.1:1234", "http://127.0.0.1:4321"] {
        let addresses = [("pyxis-north", new.to_owned()), ("other", "http://127.0.0.1:1".to_owned())];
        developer::call_at(folder.path(), &addresses.into()).expect("written");

        let after = start_developer(folder.path(), &[]).expect("no mistake");
        assert!(address(&after).contains(new), "{}", address(&after));
    }
    let after = start_developer(folder.path(), &[]).expect("no mistake");
    assert_eq!(after.bindings[0].signing_secret, before.bindings[0].signing_secret);
}

#[test]
fn a_sender_finds_the_secrets_of_developer_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = start_developer(folder.path(), &[]).expect("no mistake");

    let mut layers = Layers::open(Sources::default()).expect("TOML");
    let before = layers.credentials("pyxis-north").expect_err("not attached");
    developer::attach(&mut layers, folder.path()).expect("readable");
    let credentials = layers.credentials("pyxis-north").expect("attached");

    let expected = "developer mode: no binding `pyxis-north`, there is: none; the first `crossdock serve` makes them";
    assert_eq!(lines(&before), [expected]);
    assert_eq!(credentials.signing_secret, settings.bindings[0].signing_secret);
}

#[test]
fn an_adapter_that_comes_later_gets_its_binding_and_the_others_keep_theirs() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = start_developer(folder.path(), &[]).expect("no mistake");
    let mut adapters = adapters();
    adapters.insert("tempo".to_owned(), BindingSpec::default());

    let mut layers = Layers::open(Sources::default()).expect("TOML");
    developer::prepare(&mut layers, folder.path(), &adapters).expect("prepared");
    let second = layers.settings(&adapters).expect("no mistake");

    let names: Vec<_> = second.bindings.iter().map(|binding| binding.name.as_str()).collect();
    assert_eq!(names, ["pyxis-north", "tempo-north"]);
    assert_eq!(first.bindings[0].bearer_tokens, second.bindings[0].bearer_tokens);
}

#[test]
fn developer_mode_listens_on_loopback_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [("CROSSDOCK__DOOR__LISTEN", "0.0.0.0:80"), ("CROSSDOCK__OPS__LISTEN", "[::1]:81")];

    let report = start_developer(folder.path(), &variables).expect_err("refused");

    let expected = "CROSSDOCK__DOOR__LISTEN: without a configuration file: expected a loopback address, found \
        `0.0.0.0:80`";
    assert_eq!(lines(&report), [expected]);
}

#[test]
fn the_greeting_says_what_to_paste() {
    let greeting = developer::Greeting {
        program: "target/release/crossdock",
        data_dir: Path::new("my data"),
        mappings_dir: Path::new("mappings"),
        door: "127.0.0.1:8080".parse().expect("an address"),
        ops: "127.0.0.1:8081".parse().expect("an address"),
        adapters: &adapters(),
    };

    let text = greeting.to_string();

    let command = "  target/release/crossdock --data-dir 'my data' sign --binding pyxis-north \
        mappings/pyxis/cases/order/input.json | curl -sS -H @- -H 'Content-Type: application/json' --data-binary \
        @mappings/pyxis/cases/order/input.json http://127.0.0.1:8080/api/v1/adapters/sales/pyxis/orders";
    assert!(text.lines().any(|line| line == command), "{text}");
    assert!(!text.contains("tempo"), "{text}");
}
