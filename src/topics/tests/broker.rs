//! The same on a real cluster, with Kafka's own tools as the other hand. The tools are those `deploy/local/services`
//! installs.

use std::path::PathBuf;
use std::process::Command;

use super::super::apply::{self, Approved};
use super::super::plan::{Comparison, State};
use super::super::{Role, Topic, expected, own};
use super::{ROLES, settings};
use crate::log::Error;
use crate::log::kafka::Options;
use crate::log::kafka::admin::{Creation, Run, TopicAdmin};

/// The topics of one test, on a cluster it shares with others.
struct Cluster {
    admin: TopicAdmin,
    bootstrap: String,
    prefix: String,
}

impl Cluster {
    fn reach() -> Self {
        let bootstrap = std::env::var("CROSSDOCK_TEST_KAFKA")
            .expect("CROSSDOCK_TEST_KAFKA: the bootstrap servers of a Kafka cluster to test with");
        let mut options = Options::new(&bootstrap, "topics");
        options.request_timeout = std::time::Duration::from_secs(30);
        let prefix = format!("t{}-", uuid::Uuid::new_v4().simple());
        Self { admin: TopicAdmin::new(options).unwrap(), bootstrap, prefix }
    }

    fn topic(&self, name: &str, role: Role) -> Topic {
        Topic::new(format!("{}{name}", self.prefix), role, &settings())
    }

    /// One of every role, and this gateway's own.
    fn topics(&self) -> Vec<Topic> {
        let roles = ROLES.iter().filter(|role| role.is_own()).map(|role| self.topic(role.name(), *role));
        let own = own(&settings(), []).into_iter().map(|topic| self.topic(&topic.name, topic.role));
        roles.chain(own).collect()
    }

    async fn plan(&self, topics: &[Topic]) -> Vec<Comparison> {
        apply::compare(&self.admin, topics).await.unwrap()
    }

    async fn apply(&self, topics: &[Topic]) {
        let plan = self.plan(topics).await;
        apply::apply(&self.admin, Approved::new(&plan).unwrap(), false).await.unwrap();
    }

    /// Makes the topic as another hand would.
    async fn make(&self, topic: &Topic, settings: &[(&str, &str)]) {
        let mut creation = Creation {
            topic: topic.name.clone(),
            partitions: topic.partitions,
            replication: Some(1),
            settings: expected::values(&expected::of(topic, Some(1))),
        };
        creation.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.admin.create(&[creation], Run::Do).await.unwrap();
    }

    /// Runs one of Kafka's own tools.
    fn tool(&self, class: &str, words: &[&str]) {
        let versions = include_str!("../../../deploy/local/versions");
        let version = |name: &str| versions.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let folder = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let cache = folder("CROSSDOCK_CACHE")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("crossdock")))
            .or_else(|| Some(folder("HOME")?.join(".cache/crossdock")))
            .unwrap();
        let kafka = format!("kafka-{}-{}", version("KAFKA_SCALA="), version("KAFKA_VERSION="));
        let run = Command::new("java")
            .args(["-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"])
            .arg(cache.join(kafka).join("libs/*"))
            .args([class, "--bootstrap-server", &self.bootstrap])
            .args(words)
            .output()
            .unwrap();
        assert!(run.status.success(), "{class} {words:?}: {run:?}");
    }

    fn configure(&self, topic: &Topic, settings: &str) {
        let words = ["--alter", "--entity-type", "topics", "--entity-name", &topic.name, "--add-config", settings];
        self.tool("kafka.admin.ConfigCommand", &words);
    }
}

fn states(plan: &[Comparison]) -> Vec<State> {
    plan.iter().map(Comparison::state).collect()
}

#[tokio::test]
async fn what_is_missing_is_made_and_then_the_same() {
    let cluster = Cluster::reach();
    let topics = cluster.topics();
    let foreign = cluster.topic("foreign", Role::Foreign { group: "readers" });
    let all: Vec<_> = topics.iter().chain([&foreign]).cloned().collect();
    assert_eq!(states(&cluster.plan(&all).await), [State::Missing; 15]);

    cluster.apply(&all).await;

    assert_eq!(states(&cluster.plan(&topics).await), [State::Same; 14]);
    assert_eq!(states(&cluster.plan(std::slice::from_ref(&foreign)).await), [State::Missing]);
    let before = cluster.admin.describe(topics.iter().map(|topic| topic.name.clone()).collect()).await.unwrap();
    cluster.apply(&all).await;
    let after = cluster.admin.describe(topics.iter().map(|topic| topic.name.clone()).collect()).await.unwrap();
    assert_eq!(before, after);
    // Named in so many words, topics of others are made too.
    let plan = cluster.plan(std::slice::from_ref(&foreign)).await;
    apply::apply(&cluster.admin, Approved::new(&plan).unwrap(), true).await.unwrap();
    assert_eq!(states(&cluster.plan(&[foreign]).await), [State::Same]);
}

#[tokio::test]
async fn what_another_hand_changed_is_mended_or_refused_and_its_other_settings_survive() {
    let cluster = Cluster::reach();
    let (intake, published) = (cluster.topic("intake", Role::Intake), cluster.topic("published", Role::Published));
    let topics = [intake.clone(), published.clone()];
    cluster.apply(&topics).await;
    cluster.configure(&intake, "max.message.bytes=1000000,flush.messages=1000,segment.bytes=123456789");
    cluster.configure(&published, "retention.ms=60000,min.cleanable.dirty.ratio=0.25");
    assert_eq!(states(&cluster.plan(&topics).await), [State::Change; 2]);

    cluster.apply(&topics).await;

    assert_eq!(states(&cluster.plan(&topics).await), [State::Same; 2]);
    let found = cluster.admin.describe([intake.name.clone(), published.name.clone()].into()).await.unwrap();
    for (topic, name, value) in [
        (&intake, "flush.messages", "1000"),
        (&intake, "segment.bytes", "123456789"),
        (&intake, "max.message.bytes", "16778240"),
        (&published, "min.cleanable.dirty.ratio", "0.25"),
        (&published, "retention.ms", "604800000"),
    ] {
        let setting = &found[&topic.name].settings.as_ref().unwrap()[name];
        assert_eq!((setting.value.as_deref(), setting.is_own), (Some(value), true), "{name}");
    }

    cluster.configure(&intake, "retention.ms=60000");
    cluster.tool("org.apache.kafka.tools.TopicCommand", &["--alter", "--topic", &published.name, "--partitions", "9"]);
    let plan = cluster.plan(&topics).await;
    assert_eq!(states(&plan), [State::Refused; 2]);
    let refused: Vec<_> = plan.iter().flat_map(|topic| &topic.refusals).map(|refusal| &refusal.difference).collect();
    assert_eq!((refused[0].setting, refused[0].found.as_str()), ("retention.ms", "60000"));
    assert_eq!((refused[1].setting, refused[1].found.as_str()), ("partitions", "9"));
    assert_eq!(Approved::new(&plan).unwrap_err().topics, 2);
}

#[tokio::test]
async fn what_another_hand_made_wrong_is_refused() {
    let cluster = Cluster::reach();
    for (name, role, partitions, setting) in [
        ("fewer", Role::Intake, 5, ("flush.messages", "1000")),
        ("more", Role::Intake, 7, ("flush.messages", "1000")),
        ("deleted", Role::Intake, 6, ("retention.ms", "604800000")),
        ("bounded", Role::Intake, 6, ("retention.bytes", "1000000")),
        ("times", Role::DeadLetter, 6, ("message.timestamp.type", "CreateTime")),
        ("compacted", Role::Control, 6, ("cleanup.policy", "compact")),
        ("wide", Role::Intake, 6, ("max.message.bytes", "33554432")),
        ("unwritable", Role::Published, 6, ("min.insync.replicas", "2")),
    ] {
        let topic = cluster.topic(name, role);
        cluster.make(&Topic { partitions, ..topic.clone() }, &[setting]).await;
        cluster.shows(&topic).await;

        let plan = cluster.plan(std::slice::from_ref(&topic)).await;

        assert_eq!((plan[0].state(), plan[0].refusals.len()), (State::Refused, 1), "{name}: {plan:?}");
    }
}

#[tokio::test]
async fn a_start_makes_what_is_missing_and_changes_nothing() {
    let cluster = Cluster::reach();
    let (changed, missing) = (cluster.topic("changed", Role::Published), cluster.topic("missing", Role::Intake));
    cluster.make(&changed, &[("compression.type", "gzip")]).await;
    cluster.shows(&changed).await;
    let topics = [changed, missing, cluster.topic("foreign", Role::Foreign { group: "readers" })];
    let plan = cluster.plan(&topics).await;

    // Several gateways start at the same time.
    let start = || apply::make_missing(&cluster.admin, Approved::new(&plan).unwrap());
    let (first, second, third) = tokio::join!(start(), start(), start());

    assert!(first.is_ok() && second.is_ok() && third.is_ok(), "{first:?} {second:?} {third:?}");
    assert_eq!(states(&cluster.plan(&topics).await), [State::Change, State::Same, State::Missing]);
}

#[tokio::test]
async fn what_the_cluster_does_not_allow_leaves_all_topics_as_they_were() {
    let cluster = Cluster::reach();
    let (changed, missing) = (cluster.topic("changed", Role::Published), cluster.topic("missing", Role::Published));
    cluster.make(&changed, &[("compression.type", "gzip")]).await;
    cluster.shows(&changed).await;
    let topics = [changed, missing, cluster.topic("no name", Role::Published)];
    let plan = cluster.plan(&topics).await;
    assert_eq!(states(&plan), [State::Change, State::Missing, State::Missing]);

    let refused = apply::apply(&cluster.admin, Approved::new(&plan).unwrap(), false).await.unwrap_err();

    assert!(
        matches!(&refused, Error::Unusable { reason, .. } if reason.contains("no name` cannot be made")),
        "{refused}"
    );
    assert_eq!(cluster.plan(&topics).await, plan);
}

impl Cluster {
    /// Waits until every broker knows a topic that was just made.
    async fn shows(&self, topic: &Topic) {
        let shown = async {
            while self.plan(std::slice::from_ref(topic)).await[0].found.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), shown).await.expect("it is never there");
    }
}
