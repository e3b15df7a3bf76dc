//! The relay: the platform's events, by the consumer groups of the contracts, onto `crossdock.platform`.
//!
//! A hop, as door and reader are: it appends what it read under the key of the order, with the place it was read at in
//! `cd-src`, and commits its offsets once the appends are durable. Bytes and foreign headers stay as they are. What is
//! appended again after a crash is recognized behind it, by the event's id. One task a group.
//!
//! Absent on purpose: nothing is decided here, and no record is rejected. What cannot be read goes on as it is, for the
//! translator to say so.
//!
//! Source: DESIGN section 1; `contracts/canonical-events.md` sections 2.1 and 2.3.

mod key;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::canonical::headers;
use crate::hop::{self, Hop, Runner};
use crate::log::{Append, Header, ReadLimit, Record, Stored};
use crate::schema::{self, Catalogue};

/// Where the platform's events wait for the translator.
pub const PLATFORM: &str = "crossdock.platform";

/// Each group and its topics.
const GROUPS: [Group; 5] = [
    Group {
        name: "integration-adapters-fsm-status-updates-v1",
        topics: &["fsm.order.status_updated", "fsm.order.assigned", "fsm.order.scheduled", "fsm.order.completed"],
    },
    Group {
        name: "integration-adapters-fsm-tv-outcomes-v1",
        topics: &["fsm.tv.outcome_recorded", "fsm.tv.modifications_required"],
    },
    Group { name: "sales-adapter-tv-outcomes-v1", topics: &["projects.tv_outcome.recorded"] },
    Group { name: "sales-adapter-assignments-confirmed-v1", topics: &["assignments.assignment.confirmed"] },
    Group { name: "sales-adapter-projects-cancelled-v1", topics: &["projects.service_order.cancelled"] },
];

const BATCH: ReadLimit = ReadLimit { records: 500, bytes: 4 << 20 };

/// Every topic it reads.
pub fn topics() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|group| group.topics.iter().copied())
}

/// Runs until `stop` is true, a task a group.
pub fn start(deps: &hop::Deps, catalogue: &Arc<Catalogue>, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let runner = |group| Runner::new(Relay::new(group, deps, catalogue), deps.clone());
    GROUPS.iter().map(|group| tokio::spawn(runner(group).run(stop.clone()))).collect()
}

struct Group {
    name: &'static str,
    topics: &'static [&'static str],
}

struct Relay {
    group: &'static Group,
    deps: hop::Deps,
    catalogue: Arc<Catalogue>,
}

impl Hop for Relay {
    fn group(&self) -> &'static str {
        self.group.name
    }

    fn topics(&self) -> Vec<&str> {
        self.group.topics.to_vec()
    }

    fn batch(&self) -> ReadLimit {
        BATCH
    }

    fn name(&self) -> &'static str {
        "relay"
    }

    fn take<'a>(&'a mut self, records: &'a [Stored]) -> BoxFuture<'a, Result<(), hop::Error>> {
        Box::pin(async move {
            let mut appends = Vec::with_capacity(records.len());
            for stored in records {
                appends.push(self.relayed(stored).await?);
            }
            self.deps.log.append(appends).await?;
            fail::fail_point!("relay.appended");
            for stored in records {
                self.deps.metrics.kafka_events_processed.with_label_values(&[&stored.topic, "success"]).inc();
            }
            Ok(())
        })
    }
}

impl Relay {
    fn new(group: &'static Group, deps: &hop::Deps, catalogue: &Arc<Catalogue>) -> Self {
        Self { group, deps: deps.clone(), catalogue: Arc::clone(catalogue) }
    }

    /// # Errors
    /// If the schema of the record has to be asked for, and the registry does not answer.
    async fn relayed(&self, stored: &Stored) -> Result<Append, schema::Error> {
        let key = match key::of(&self.catalogue, stored) {
            Ok(key) => key,
            Err(_) => {
                self.catalogue.learn_from(stored.record.value.as_deref().unwrap_or_default()).await?;
                key::of(&self.catalogue, stored)?
            }
        };
        // What a lane has written says nothing about a record that no lane of this topic has taken.
        let is_foreign = |header: &&Header| !header.name.starts_with("cd-");
        let mut record = Record {
            key: Some(key),
            value: stored.record.value.clone(),
            headers: stored.record.headers.iter().filter(is_foreign).cloned().collect(),
        };
        let source = headers::source(&stored.topic, stored.partition, stored.offset);
        record.headers.push(Header::text(headers::SOURCE, source));
        Ok(Append { topic: PLATFORM.into(), partition: None, record })
    }
}
