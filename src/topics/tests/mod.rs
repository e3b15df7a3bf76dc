//! The list itself, and the rules by which it is held against a cluster.

#[cfg(feature = "test-kafka")]
mod broker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan::{Comparison, State, compare};
use super::{Role, Topic, expected, foreign, own};
use crate::config::settings::{LogEngine, LogSettings};
use crate::log::kafka::admin::{Cluster, Described, Setting};
use crate::schema::topics::RECORDS;

const DAY: Duration = Duration::from_hours(24);
const ROLES: [Role; 7] = [
    Role::Intake,
    Role::Retry,
    Role::Held,
    Role::Control,
    Role::DeadLetter,
    Role::Published,
    Role::Foreign { group: "readers" },
];
const CLUSTER: Cluster = Cluster { brokers: 3, replication: Some(3) };

fn settings() -> LogSettings {
    LogSettings {
        engine: LogEngine::Sqlite,
        partitions: 6,
        replay_window: 3 * DAY,
        retention: 7 * DAY,
        group_commit_delay: Duration::ZERO,
    }
}

/// A topic as it would be made, with three copies.
fn as_made(topic: &Topic) -> Described {
    let own = |value| Setting { value: Some(value), is_own: true };
    let values = expected::values(&expected::of(topic, Some(3)));
    let settings = values.into_iter().map(|(name, value)| (name, own(value))).collect();
    Described { partitions: topic.partitions, replication: 3, has_leaders: true, settings: Some(settings) }
}

fn set(described: &mut Described, name: &str, value: &str) {
    let setting = Setting { value: Some(value.to_owned()), is_own: true };
    described.settings.as_mut().unwrap().insert(name.to_owned(), setting);
}

fn compare_one(topic: &Topic, described: Described) -> Comparison {
    let found = BTreeMap::from([(topic.name.clone(), described)]);
    compare(std::slice::from_ref(topic), &found, CLUSTER).remove(0)
}

/// What is said of a topic of that role after `change` of what would be there otherwise.
fn said(role: Role, change: impl FnOnce(&mut Described)) -> (State, String) {
    let topic = Topic::new("topic", role, &settings());
    let mut described = as_made(&topic);
    change(&mut described);
    let comparison = compare_one(&topic, described);
    let refused = comparison.refusals.iter().map(|refusal| &refusal.difference);
    let differences = refused.chain(&comparison.changes);
    let text = differences.map(|of| format!("{} {} {}", of.setting, of.found, of.expected)).collect::<Vec<_>>();
    (comparison.state(), text.join(", "))
}

#[test]
fn every_topic_has_its_own_name_and_the_manual_has_them_all() {
    let manual = include_str!("../../../docs/topics.md");
    let topics: Vec<_> = own(&settings(), []).into_iter().chain(foreign(&settings())).collect();

    let names: BTreeSet<_> = topics.iter().map(|topic| topic.name.as_str()).collect();

    assert_eq!(names.len(), topics.len());
    let untold: Vec<_> = names.iter().filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert_eq!(untold, [] as [&&str; 0]);
}

#[test]
fn every_topic_with_a_schema_is_in_the_list() {
    let topics: Vec<_> = own(&settings(), []).into_iter().chain(foreign(&settings())).collect();

    let unknown: Vec<_> = RECORDS.iter().filter(|(name, _)| topics.iter().all(|topic| topic.name != *name)).collect();

    assert_eq!(unknown, [] as [&(&str, &str); 0]);
}

#[test]
fn what_has_to_go_on_from_the_intake_fits_where_it_goes() {
    let bytes = |role| Topic::new("topic", role, &settings()).max_record_bytes.unwrap();

    for next in [Role::Retry, Role::Held, Role::DeadLetter] {
        assert_eq!(bytes(next), bytes(Role::Intake) + (64 << 10), "{next:?}");
    }
}

#[test]
fn a_topic_as_it_was_made_is_the_same() {
    for role in ROLES {
        assert_eq!(said(role, |_| {}), (State::Same, String::new()), "{role:?}");
    }
}

#[test]
fn what_is_safe_is_set_right() {
    for (role, setting, found, expected) in [
        (Role::Intake, "max.message.bytes", "1048588", "16778240"),
        (Role::DeadLetter, "compression.type", "producer", "snappy"),
        (Role::Retry, "unclean.leader.election.enable", "true", "false"),
        (Role::Control, "min.insync.replicas", "1", "2"),
        (Role::Held, "segment.ms", "604800000", "3600000"),
        (Role::Held, "segment.bytes", "1073741824", "67108864"),
        (Role::Held, "min.cleanable.dirty.ratio", "0.5", "0.1"),
        (Role::Published, "message.timestamp.type", "CreateTime", "LogAppendTime"),
        (Role::Published, "retention.ms", "86400000", "604800000"),
    ] {
        let said = said(role, |described| set(described, setting, found));

        assert_eq!(said, (State::Change, format!("{setting} {found} {expected}")), "{role:?}");
    }
}

#[test]
fn what_promises_more_stays() {
    for (role, setting, found) in [
        (Role::Published, "retention.ms", "2592000000"),
        (Role::Published, "retention.ms", "-1"),
        (Role::Intake, "min.insync.replicas", "3"),
        (Role::Foreign { group: "readers" }, "retention.ms", "-1"),
        (Role::Intake, "segment.bytes", "1000000"), // nobody's business here
    ] {
        let said = said(role, |described| set(described, setting, found));

        assert_eq!(said, (State::Same, String::new()), "{role:?}: {setting}={found}");
    }
}

#[test]
fn what_cannot_be_undone_is_refused() {
    for (role, setting, found) in [
        (Role::Intake, "retention.ms", "604800000"),
        (Role::Intake, "retention.bytes", "1000000"),
        (Role::Retry, "retention.ms", "86400000"),
        (Role::Control, "retention.ms", "86400000"),
        (Role::DeadLetter, "retention.ms", "86400000"),
        (Role::Intake, "message.timestamp.type", "CreateTime"),
        (Role::Retry, "message.timestamp.type", "CreateTime"),
        (Role::Held, "message.timestamp.type", "CreateTime"),
        (Role::Control, "cleanup.policy", "compact"),
        (Role::Intake, "cleanup.policy", "compact,delete"),
        (Role::Held, "cleanup.policy", "delete"),
        (Role::Published, "cleanup.policy", "compact"),
        (Role::Intake, "max.message.bytes", "33554432"),
        (Role::Published, "max.message.bytes", "33554432"),
        (Role::Intake, "min.insync.replicas", "4"),
    ] {
        let (state, said) = said(role, |described| set(described, setting, found));

        assert_eq!(state, State::Refused, "{role:?}: {setting}={found}");
        assert!(said.starts_with(&format!("{setting} {found} ")), "{role:?}: {said}");
    }
}

#[test]
fn a_count_that_is_frozen_or_only_others_can_change_is_refused() {
    for partitions in [1, 5, 7, 12] {
        let (state, said) = said(Role::Intake, |described| described.partitions = partitions);

        assert_eq!((state, said), (State::Refused, format!("partitions {partitions} 6")));
    }
    let topic = Topic { replication: Some(3), ..Topic::new("topic", Role::Intake, &settings()) };
    for (replication, expected) in [(1, State::Refused), (2, State::Refused), (3, State::Same), (4, State::Same)] {
        let mut described = as_made(&topic);
        described.replication = replication;
        set(&mut described, "min.insync.replicas", if replication < 3 { "1" } else { "2" });

        assert_eq!(compare_one(&topic, described).state(), expected, "{replication}");
    }
}

#[test]
fn one_refusal_is_told_beside_what_would_be_changed() {
    let (state, said) = said(Role::Intake, |described| {
        described.partitions = 3;
        set(described, "compression.type", "gzip");
    });

    assert_eq!((state, said.as_str()), (State::Refused, "partitions 3 6, compression.type gzip snappy"));
}

#[test]
fn settings_this_user_may_not_see_are_refused() {
    let (state, said) = said(Role::Published, |described| described.settings = None);

    assert_eq!((state, said.as_str()), (State::Refused, "settings hidden visible"));
}

#[test]
fn topics_of_others_are_never_refused_nor_changed() {
    let foreign = Role::Foreign { group: "readers" };
    for (setting, found) in [("retention.ms", "3600000"), ("cleanup.policy", "compact"), ("min.insync.replicas", "4")] {
        assert_eq!(said(foreign, |described| set(described, setting, found)).0, State::Differs, "{setting}={found}");
    }
    assert_eq!(said(foreign, |described| described.settings = None).0, State::Differs);
    // As many partitions as they like.
    assert_eq!(said(foreign, |described| described.partitions = 50), (State::Same, String::new()));
}

#[test]
fn more_copies_than_brokers_are_refused_before_they_are_asked_for() {
    for (configured, cluster_default, brokers, expected) in [
        (Some(3), None, 1, State::Refused),
        (None, Some(3), 2, State::Refused),
        (Some(1), Some(3), 1, State::Missing),
        (Some(3), Some(1), 3, State::Missing),
        (None, None, 1, State::Missing),
    ] {
        let topic = Topic { replication: configured, ..Topic::new("topic", Role::Intake, &settings()) };
        let cluster = Cluster { brokers, replication: cluster_default };

        let comparison = compare(&[topic], &BTreeMap::new(), cluster).remove(0);

        assert_eq!(comparison.state(), expected, "{configured:?} {cluster_default:?} {brokers}");
    }
}

#[test]
fn two_of_three_copies_confirm_a_record_and_one_of_fewer() {
    let topic = Topic::new("topic", Role::Intake, &settings());
    for (replication, confirm) in [(Some(1), Some("1")), (Some(2), Some("1")), (Some(3), Some("2")), (None, None)] {
        let values = expected::values(&expected::of(&topic, replication));

        assert_eq!(values.get("min.insync.replicas").map(String::as_str), confirm, "{replication:?}");
    }
}
