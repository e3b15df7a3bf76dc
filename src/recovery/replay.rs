//! Maps a rejected payload again and takes it in.
//!
//! Decode, validate, map, as when it came: by its own route and binding, with the mappings now in force, the payload as
//! it came or corrected. What comes out, an order or another rejection, enters the intake as a message of its own with
//! `retry_count` + 1, and names the failure it came from.
//!
//! Three steps, in this order: an audit row "requested", the append, an audit row "done" with the failure's new state.
//! Nothing is appended that the audit does not know of. A crash after the append leaves the failure open; replaying it
//! again appends again, and the lane knows by `cd-src` (the failure's place), digest and `retry_count` that it has
//! decided about that message. So replaying twice is replaying once, unless an operator forces it.
//!
//! Source: `contracts/canonical-events.md` section 9, last paragraph.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::{error, info};
use uuid::Uuid;

use crate::canonical::draft::{Draft, DraftBody, INTAKE};
use crate::canonical::ids::{self, NAMESPACE, Sha256Digest};
use crate::canonical::rejection::{Code, Problem};
use crate::canonical::{headers, intake};
use crate::clock::Clock;
use crate::config::binding::Binding;
use crate::log::{self, Append, EventLog, Header};
use crate::recovery::audit::{self, Audit, Deed, Phase};
use crate::recovery::failure::Detail;
use crate::recovery::mappings::{Mappings, Missing, Way};
use crate::schema::{self, Catalogue};
use crate::store::recovery::{AuditFilter, Failure, FailureChange, FailureKind, FailureRow, FailureState, MAX_PAGE};
use crate::store::{self, Store};
use crate::telemetry::metrics::Metrics;
use crate::verify::{Context, Verified};

/// What replays work with.
pub struct Deps {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub mappings: Arc<Mappings>,
    /// How long an append may take.
    pub append_timeout: Duration,
}

/// Replays of rejected payloads. One a gateway.
pub struct Replays {
    deps: Deps,
    audit: Audit,
    /// One replay at a time: two operators who replay one failure at once are told the same.
    turn: Mutex<()>,
}

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Request {
    pub operator: String,
    pub reason: String,
    /// Corrected, byte for byte; `None`: as it came.
    pub payload: Option<Bytes>,
    /// Also if it was replayed with this payload before.
    pub force: bool,
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    pub replay_id: Uuid,
    /// It was replayed with this payload before, and nothing was done now.
    pub is_repeat: bool,
    pub outcome: Outcome,
}

/// What the mapping made of the payload. What the order's state makes of an accepted one is decided by its lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_order_id: Option<String>,
    pub retry_count: u32,
    /// `<adapter>/<version>` of the mapping.
    pub mapped_by: String,
    /// What is wrong with a rejected one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The failure a rejected one is published as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_id: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Accepted,
    Rejected,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call that failed is made again by its courier.
    #[error("the failure is of a call, not of a payload: there is nothing to map")]
    NoPayload,
    /// It was published by something else, or before routes were kept.
    #[error("the failure does not say by which route its payload came")]
    NoRoute,
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("the payload is not kept any more; hand it over to replay it")]
    Expired,
    #[error("the payload has {bytes} bytes, at most {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error("the mapping is at fault, not the payload: {reason}")]
    Mapping { reason: String },
    #[error(transparent)]
    Schema(#[from] schema::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("event log does not answer within {} ms; the replay may have happened, ask again", limit.as_millis())]
    Late { limit: Duration },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Replays {
    pub fn new(deps: Deps) -> Self {
        let audit = Audit { store: Arc::clone(&deps.store), clock: Arc::clone(&deps.clock) };
        Self { deps, audit, turn: Mutex::new(()) }
    }

    /// The bindings in force, by name.
    pub fn bindings(&self) -> Vec<Arc<Binding>> {
        self.deps.mappings.bindings()
    }

    /// What mapping the payload again would give; nothing is appended, nothing is written.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn try_out(&self, row: &FailureRow, payload: Option<Bytes>) -> Result<Draft, Error> {
        let raw = self.payload(&row.failure, payload).await?;
        self.map(&row.failure, raw).await
    }

    /// Maps the payload again and takes the result in, unless that was done before.
    ///
    /// # Errors
    /// [`Error`]. After [`Error::Log`] and [`Error::Late`] the same replay may be asked for again.
    pub async fn replay(&self, row: &FailureRow, request: Request) -> Result<Replayed, Error> {
        let failure = &row.failure;
        let raw = self.payload(failure, request.payload.clone()).await?;
        let draft = self.map(failure, raw).await?;
        let _turn = self.turn.lock().await;
        let earlier = self.earlier(failure, draft.head.raw_sha256).await?;
        if let (Some(done), false) = (earlier.first(), request.force) {
            return Ok(done.clone());
        }
        let replay_id = id(failure, draft.head.raw_sha256, earlier.len());
        let outcome = Outcome::of(&draft);
        let is_edited = Some(draft.head.raw_sha256) != failure.raw_sha256;
        let note = audit::Replay {
            phase: Phase::Requested,
            replay_id,
            reason: request.reason.clone(),
            original_sha256: failure.raw_sha256,
            edited_sha256: is_edited.then_some(draft.head.raw_sha256),
            outcome: None,
            error: None,
        };
        self.note(failure, &request.operator, &note, None).await?;
        fail::fail_point!("recovery.replay.requested");
        // A forced one is to be decided about again, so its lane must not know it.
        let source = earlier.is_empty().then(|| {
            let (topic, partition, offset) = &failure.place;
            headers::source(topic, *partition, *offset)
        });
        if let Err(error) = self.append(failure, &draft, source).await {
            let failed = audit::Replay { phase: Phase::Failed, error: Some(error.to_string()), ..note };
            if let Err(unwritten) = self.note(failure, &request.operator, &failed, None).await {
                error!(failure = %failure.event_id, error = %unwritten, "audit cannot be written");
            }
            return Err(error);
        }
        fail::fail_point!("recovery.replay.appended");
        let done = audit::Replay { phase: Phase::Done, outcome: Some(outcome.clone()), ..note };
        self.note(failure, &request.operator, &done, Some(FailureState::Replayed)).await?;
        self.deps.metrics.replays.with_label_values(&[&failure.binding, outcome.verdict.as_str()]).inc();
        info!(operator = request.operator, failure = %failure.event_id, replay = %replay_id, is_edited,
            outcome = outcome.verdict.as_str(), "payload replayed");
        Ok(Replayed { replay_id, is_repeat: false, outcome })
    }

    /// Says that nothing is to be done about the failure. Of one that is dismissed already the audit has one row more.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn dismiss(&self, row: &FailureRow, operator: &str, reason: String) -> Result<(), Error> {
        let subject = row.failure.event_id.to_string();
        let deed = Deed { action: audit::DISMISS, ..deed(&row.failure, operator, &subject) };
        let change = change(&row.failure, FailureState::Dismissed);
        self.audit.write(deed, &audit::Reason { reason }, Some(change)).await?;
        info!(operator, failure = %row.failure.event_id, "failure dismissed");
        Ok(())
    }

    async fn payload(&self, failure: &Failure, edited: Option<Bytes>) -> Result<Bytes, Error> {
        if failure.kind != FailureKind::Order {
            return Err(Error::NoPayload);
        }
        match (edited, failure.raw_sha256) {
            (Some(edited), _) => Ok(edited),
            (None, Some(digest)) => self.deps.store.payload(digest).await?.ok_or(Error::Expired),
            (None, None) => Err(Error::Expired),
        }
    }

    /// Off the async workers: the largest payload takes tens of milliseconds.
    async fn map(&self, failure: &Failure, raw: Bytes) -> Result<Draft, Error> {
        let detail = Detail::of(failure);
        let received_from = detail.received_from.unwrap_or_default();
        let way = match &detail.route {
            _ if received_from != HTTP && !received_from.is_empty() => Way::Topic(received_from.clone()),
            Some(route) => Way::Route(route.clone()),
            None => return Err(Error::NoRoute),
        };
        let context = Context {
            received_from,
            received_at: self.deps.clock.now_ms(),
            correlation_id: failure.correlation_id.clone(),
            path: detail.path.into_iter().collect(),
            // What the sender said beside the body is not kept.
            headers: Vec::new(),
            traceparent: detail.traceparent,
            retry_count: detail.retry_count.saturating_add(1),
            replay_of: Some(failure.event_id),
        };
        let deps = &self.deps;
        let mapping = deps.mappings.find(&way, &failure.binding, &failure.tenant_id)?;
        if raw.len() > mapping.max_bytes() {
            return Err(Error::TooLarge { bytes: raw.len(), max: mapping.max_bytes() });
        }
        if matches!(way, Way::Topic(_)) {
            // What nobody knows is found out by mapping.
            let _ = deps.catalogue.learn_from(&raw).await;
        }
        let catalogue = Arc::clone(&deps.catalogue);
        let mapped = tokio::task::spawn_blocking(move || {
            let delivery = Verified::by_operator(Arc::clone(mapping.binding()), raw, context);
            mapping.normalize(&delivery, &catalogue)
        });
        let crashed = |_| Error::Mapping { reason: "it panicked".to_owned() };
        mapped.await.map_err(crashed)?.map_err(|reason| Error::Mapping { reason })
    }

    /// Replays of the failure with this payload that were done, the first one first.
    async fn earlier(&self, failure: &Failure, digest: Sha256Digest) -> Result<Vec<Replayed>, Error> {
        let filter = AuditFilter {
            tenants: Some(vec![failure.tenant_id.clone()]),
            action: Some(audit::REPLAY.to_owned()),
            subject: Some(failure.event_id.to_string()),
            ..AuditFilter::default()
        };
        let rows = self.deps.store.audit_rows(filter, None, MAX_PAGE).await?;
        let details = rows.iter().rev().filter_map(|row| serde_json::from_str::<audit::Replay>(&row.entry.detail).ok());
        let of_payload = |note: &audit::Replay| note.edited_sha256.or(note.original_sha256) == Some(digest);
        Ok(details
            .filter(of_payload)
            .filter_map(|note| Some(Replayed { replay_id: note.replay_id, is_repeat: true, outcome: note.outcome? }))
            .collect())
    }

    async fn append(&self, failure: &Failure, draft: &Draft, source: Option<String>) -> Result<(), Error> {
        let Deps { log, catalogue, append_timeout, .. } = &self.deps;
        let detail = Detail::of(failure);
        let value = intake::encode(catalogue, draft)?;
        let mut record = intake::record(&draft.head, value, detail.traceparent.as_deref());
        record.headers.extend(source.map(|source| Header::text(headers::SOURCE, source)));
        let append = Append { topic: INTAKE.into(), partition: None, record };
        match tokio::time::timeout(*append_timeout, log.append(vec![append])).await {
            Ok(appended) => appended.map(drop).map_err(Error::Log),
            Err(_) => Err(Error::Late { limit: *append_timeout }),
        }
    }

    async fn note(
        &self,
        failure: &Failure,
        operator: &str,
        note: &audit::Replay,
        state: Option<FailureState>,
    ) -> Result<(), Error> {
        let subject = failure.event_id.to_string();
        let change = state.map(|state| change(failure, state));
        Ok(self.audit.write(deed(failure, operator, &subject), note, change).await?)
    }
}

impl Outcome {
    pub(super) fn of(draft: &Draft) -> Self {
        let head = &draft.head;
        let rejection = match &draft.body {
            DraftBody::Rejection(rejection) => Some(rejection),
            DraftBody::Order(_) | DraftBody::Cancellation(_) => None,
        };
        let failure_id = rejection
            .filter(|rejection| Code::is_published(rejection.code()))
            .map(|_| ids::rejection_event_id(head.raw_sha256, head.retry_count));
        Self {
            verdict: if rejection.is_some() { Verdict::Rejected } else { Verdict::Accepted },
            order_id: head.service_order_id(),
            external_order_id: head.external_order_id.clone(),
            retry_count: head.retry_count,
            mapped_by: head.transformation_version.clone(),
            problems: rejection.map(|rejection| rejection.problems().to_vec()).unwrap_or_default(),
            failure_id,
        }
    }
}

/// As a delivery by HTTP says where it was received from.
const HTTP: &str = "http";

/// Derived, so that the same wish has the same id on every gateway; `earlier`: how often it was fulfilled before.
fn id(failure: &Failure, digest: Sha256Digest, earlier: usize) -> Uuid {
    let name = format!("replay:{}:{}:{digest}:{earlier}", failure.tenant_id, failure.event_id);
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

fn deed<'a>(failure: &'a Failure, operator: &'a str, subject: &'a str) -> Deed<'a> {
    Deed { operator, action: audit::REPLAY, tenant_id: Some(&failure.tenant_id), subject }
}

fn change(failure: &Failure, state: FailureState) -> FailureChange {
    FailureChange { tenant_id: failure.tenant_id.clone(), event_id: failure.event_id, state }
}

#[cfg(test)]
mod tests;
