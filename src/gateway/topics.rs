//! Sees to it that every topic is there before the door opens and the reader reads.

use tracing::{info, warn};

use crate::config::settings::{LogEngine, LogSettings};
use crate::driver::Topics;
use crate::gateway::engines::kafka_options;
use crate::gateway::{Error, lanes};
use crate::log::kafka::admin::TopicAdmin;
use crate::log::{self, EventLog};
use crate::topics;
use crate::topics::apply::{self, Approved, Refused};
use crate::topics::plan::{Difference, State};

/// Makes what is missing of everything but the lanes' own. On Kafka a topic that is there is never changed in passing:
/// one that needs a person stops the start, and one that `crossdock topics apply` would set right is told.
///
/// # Errors
/// [`Error::Topics`] names what is refused and why; [`Error::Log`] if the log cannot be asked, or does not let this user
/// make a topic.
pub(super) async fn prepare(settings: &LogSettings, log: &dyn EventLog) -> Result<(), Error> {
    let existing = log.topics().await?;
    for topic in topics::shared(settings).into_iter().filter(|topic| !existing.contains_key(&topic.name)) {
        log.create_topic(&topic.spec()).await?;
    }
    match make(settings, log, topics::own(settings, [])).await? {
        Ok(()) => Ok(()),
        Err(refused) => Err(refused.into()),
    }
}

/// As [`prepare`], of the lanes.
///
/// # Errors
/// As [`prepare`].
pub(super) async fn prepare_lanes(
    settings: &LogSettings,
    log: &dyn EventLog,
    lanes: &[Topics],
) -> Result<(), lanes::Error> {
    match make(settings, log, topics::of_lanes(settings, lanes)).await? {
        Ok(()) => Ok(()),
        Err(refused) => Err(refused.into()),
    }
}

async fn make(
    settings: &LogSettings,
    log: &dyn EventLog,
    topics: Vec<topics::Topic>,
) -> Result<Result<(), Refused>, log::Error> {
    let LogEngine::Kafka(kafka) = &settings.engine else {
        for topic in topics {
            log.create_topic(&topic.spec()).await?;
        }
        return Ok(Ok(()));
    };
    let admin = TopicAdmin::new(kafka_options(kafka))?;
    let plan = apply::compare(&admin, &topics).await?;
    let approved = match Approved::new(&plan) {
        Ok(approved) => approved,
        Err(refused) => return Ok(Err(refused)),
    };
    for comparison in &plan {
        let topic = comparison.topic.name.as_str();
        for Difference { setting, found, expected } in &comparison.changes {
            warn!(topic, setting, found, expected, "`crossdock topics apply` is due");
        }
        if comparison.state() == State::Missing {
            info!(topic, "topic is missing and will be made");
        }
    }
    apply::make_missing(&admin, approved).await.map(Ok)
}

/// Makes those of the inbound `topics` that are missing on the embedded log, where nobody else could. On Kafka they belong
/// to those who write them.
///
/// # Errors
/// If the log cannot be written.
pub(super) async fn prepare_inbound(
    settings: &LogSettings,
    log: &dyn EventLog,
    topics: impl IntoIterator<Item = &str>,
) -> Result<(), log::Error> {
    if !matches!(settings.engine, LogEngine::Sqlite) {
        return Ok(());
    }
    let existing = log.topics().await?;
    for name in topics {
        if !existing.contains_key(name) {
            log.create_topic(&topics::inbound(name, settings)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::log::sqlite::{Options, SqliteLog};

    #[tokio::test]
    async fn the_embedded_log_has_every_topic_after_a_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { group_commit_delay: Duration::ZERO, clock: Arc::new(SystemClock) };
        let log = SqliteLog::open(&folder.path().join("log.db"), options).expect("a log");
        let hour = Duration::from_hours(1);
        let settings = LogSettings {
            engine: LogEngine::Sqlite,
            partitions: 3,
            replay_window: hour,
            retention: hour,
            group_commit_delay: Duration::ZERO,
        };

        let lanes = [Topics::of("crossdock.platform", [hour], []).expect("few delays")];

        for _start in 0..2 {
            prepare(&settings, log.as_ref()).await.expect("made");
            prepare_lanes(&settings, log.as_ref(), &lanes).await.expect("made");

            let found = log.topics().await.expect("topics");
            let expected = topics::own(&settings, &lanes).into_iter().chain(topics::shared(&settings));
            assert_eq!(found, expected.map(|topic| (topic.name, 3)).collect());
        }
    }
}
