//! A call as a step of its order's journey: the detail of a ledger row.
//!
//! One JSON object; members that say nothing are left out. Read by `orders show`.

use serde::Serialize;

use crate::canonical::notification::Notification;
use crate::config::binding::Binding;
use crate::courier::answer::{Answer, Verdict};
use crate::courier::request::IdempotencyKey;
use crate::driver::{Decided, Job};
use crate::lane::batch::{Failure, Move, Role, Ruling};
use crate::lane::place::Topic;
use crate::normalize::call::CallRequest;

/// Longest part of an answer's body that is kept here.
const MAX_BODY_BYTES: usize = 4 << 10;

/// What was tried, or decided, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `call`.
    what: &'static str,
    /// Of an attempt: `delivered`, `duplicate`, `skipped`, `failed`, `rejected`, `target_failed`. Of a decision: `retry`,
    /// `held`, `dead`, `superseded`, `skipped_by_operator`.
    outcome: &'static str,
    binding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Where the event was consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// `name: value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answer_headers: Vec<String>,
    /// At most 4 KiB, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    /// Number of the retry topic it went to, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u16>,
    /// Why it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    /// The operator's command that gave the record its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<String>,
}

impl Step {
    pub fn new(binding: &Binding, notification: &Notification, job: &Job) -> Self {
        Self {
            what: "call",
            binding: binding.name.clone(),
            attempt: Some(job.attempt),
            event_id: Some(notification.event_id.clone()),
            event_topic: Some(notification.topic.clone()),
            edit: job.edit.clone(),
            ..Self::default()
        }
    }

    pub fn outcome(self, outcome: &'static str) -> Self {
        Self { outcome, ..self }
    }

    pub fn failure(self, failure: &Failure) -> Self {
        let Failure { class, http_status, message } = failure.clone();
        Self {
            http_status: self.http_status.or(http_status),
            error_class: Some(class).filter(|class| !class.is_empty()),
            error_message: Some(message).filter(|message| !message.is_empty()),
            ..self
        }
    }

    pub fn call(self, request: &CallRequest) -> Self {
        Self {
            call: Some(request.call.clone()),
            kind: Some(request.kind.as_str()),
            value: Some(request.value.clone()),
            request: Some(format!("{} {}", request.method, request.url)),
            ..self
        }
    }

    pub fn answered(self, answer: &Answer, key: IdempotencyKey) -> Self {
        let (outcome, cause) = match answer.verdict {
            Verdict::Success => ("delivered", None),
            Verdict::Retry(cause) => ("failed", Some(cause)),
            Verdict::Permanent(cause) => ("rejected", Some(cause)),
            Verdict::TargetFailed(cause) => ("target_failed", Some(cause)),
            Verdict::NotMade(_) => ("not_made", None),
        };
        let end = answer.body.len().min(MAX_BODY_BYTES);
        let body = String::from_utf8_lossy(answer.body.get(..end).unwrap_or_default()).into_owned();
        Self {
            outcome,
            idempotency_key: Some(key.to_string()),
            http_status: answer.status,
            answer_headers: answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
            answer_body: Some(body).filter(|body| !body.is_empty()),
            took_ms: Some(u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX)),
            error_class: cause.map(|cause| cause.class().to_owned()),
            error_message: cause.map(|cause| cause.to_string()),
            ..self
        }
    }

    /// The text of a ledger row.
    pub fn to_text(&self) -> String {
        // Text, numbers and lists of them are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The step of a decision; `None` for one that says nothing an attempt did not say: a record that only waits behind
/// another is moved aside without a word.
pub fn of_decision(binding: &Binding, decided: &Decided<'_>) -> Option<Step> {
    let decision = decided.decision;
    let base = Step {
        what: "call",
        binding: binding.name.clone(),
        attempt: Some(decision.attempts).filter(|attempts| *attempts > 0),
        ..Step::default()
    };
    let step = match decision.ruling {
        Ruling::Applied | Ruling::Parked | Ruling::Moved(Move { role: Role::Follower, .. }) => return None,
        Ruling::Moved(Move { to: Topic::Tier(tier), .. }) => {
            Step { tier: Some(u16::from(tier) + 1), ..base.outcome("retry") }
        }
        Ruling::Moved(Move { disposition, .. }) => {
            Step { disposition: disposition.map(|disposition| disposition.name()), ..base.outcome("held") }
        }
        Ruling::Dead(disposition) => Step { disposition: Some(disposition.name()), ..base.outcome("dead") },
        Ruling::Superseded => base.outcome("superseded"),
        Ruling::Skipped => base.outcome("skipped_by_operator"),
    };
    Some(match &decision.failure {
        Some(failure) => step.failure(failure),
        None => step,
    })
}
