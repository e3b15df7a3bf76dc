//! What came of an attempt, for the lane and for the operator who asks.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::lane::batch;

/// Everything that is known of one attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    /// `None` unless an answer came, whole or in part.
    pub status: Option<u16>,
    /// Names in lower case; secrets are masked, at most 64 headers of 8 KiB in all.
    pub headers: Vec<(String, String)>,
    /// At most 64 KiB; the gateway's own secrets are masked.
    pub body: Bytes,
    /// The target's body was longer than what is kept.
    pub body_is_truncated: bool,
    /// Requests sent: none, one, or a second one with a refreshed credential.
    pub requests: u8,
    /// From the first byte sent to the end of the answer, both requests together. What went before, such as waiting
    /// for its turn, is not in it.
    pub took: Duration,
}

/// What an attempt means for its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The target has taken it.
    Success,
    /// It may pass: counts as an attempt.
    Retry(Cause),
    /// Repeating the same cannot help: counts as an attempt.
    Permanent(Cause),
    /// The target's fault alone: counts as none.
    TargetFailed(Cause),
    /// Nothing was sent: counts as none.
    NotMade(NotMade),
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection came about.
    Refused,
    /// The target's name has no address.
    Dns,
    /// No connection both sides trust came about.
    Tls,
    TimedOut,
    /// The connection ended before an answer began.
    Reset,
    /// The connection ended within the answer.
    Incomplete,
    /// What came was not HTTP.
    Malformed,
    Status(u16),
    /// The request goes to another scheme, host or port than the target's: its credentials are not shown there.
    ForeignOrigin,
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMade {
    /// The target's breaker is open.
    Open,
    /// The target is being probed by another record.
    Probing,
    /// The target asked to be left alone for a while.
    Paused,
    /// Less than a time-out was left until the deadline, at once or by the time it was its turn.
    Late,
    /// The gateway is stopping.
    Stopping,
}

impl Verdict {
    /// Whether the record has one attempt less.
    pub fn counts(self) -> bool {
        matches!(self, Self::Success | Self::Retry(_) | Self::Permanent(_))
    }
}

impl Answer {
    pub(super) fn bare(verdict: Verdict) -> Self {
        Self {
            verdict,
            status: None,
            headers: Vec::new(),
            body: Bytes::new(),
            body_is_truncated: false,
            requests: 0,
            took: Duration::ZERO,
        }
    }

    /// What the lane wants to know. [`batch::Answer::TargetFailed`] makes the lane pause until it is told what the
    /// target's condition is; after [`NotMade::Late`] that may be at once.
    pub fn for_lane(&self) -> batch::Answer {
        match self.verdict {
            Verdict::Success => batch::Answer::Applied,
            Verdict::Retry(cause) => batch::Answer::Failed(cause.failure()),
            Verdict::Permanent(cause) => batch::Answer::Rejected(cause.failure()),
            Verdict::TargetFailed(_) | Verdict::NotMade(_) => batch::Answer::TargetFailed,
        }
    }
}

/// Shows neither values of headers nor the body: each may hold customer data.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("verdict", &self.verdict)
            .field("status", &self.status)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("body_is_truncated", &self.body_is_truncated)
            .field("requests", &self.requests)
            .field("took", &self.took)
            .finish()
    }
}

impl Cause {
    /// A short name, for headers, metrics and the ledger.
    pub fn class(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::TimedOut => "timeout",
            Self::Reset => "reset",
            Self::Incomplete => "incomplete",
            Self::Malformed => "malformed",
            Self::Status(401) => "unauthorized",
            Self::Status(_) => "status",
            Self::ForeignOrigin => "foreign-origin",
        }
    }

    fn failure(self) -> batch::Failure {
        let http_status = match self {
            Self::Status(status) => Some(status),
            _ => None,
        };
        batch::Failure { class: self.class().to_owned(), http_status, message: self.to_string() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("no connection"),
            Self::Dns => f.write_str("the host's name has no address"),
            Self::Tls => f.write_str("no connection by TLS"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Reset => f.write_str("the connection ended before an answer"),
            Self::Incomplete => f.write_str("the connection ended within the answer"),
            Self::Malformed => f.write_str("expected an HTTP answer, found something else"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::ForeignOrigin => f.write_str("expected an address of the target's own, found another"),
        }
    }
}

impl NotMade {
    pub fn class(self) -> &'static str {
        match self {
            Self::Open => "breaker-open",
            Self::Probing => "probing",
            Self::Paused => "paused",
            Self::Late => "late",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_is_told_what_counts_and_what_may_pass() {
        let failure = |class: &str, http_status, message: &str| batch::Failure {
            class: class.into(),
            http_status,
            message: message.into(),
        };
        for (verdict, expected, counts) in [
            (Verdict::Success, batch::Answer::Applied, true),
            (
                Verdict::Retry(Cause::Status(503)),
                batch::Answer::Failed(failure("status", Some(503), "answered with status 503")),
                true,
            ),
            (
                Verdict::Retry(Cause::TimedOut),
                batch::Answer::Failed(failure("timeout", None, "no answer in time")),
                true,
            ),
            (
                Verdict::Permanent(Cause::Status(401)),
                batch::Answer::Rejected(failure("unauthorized", Some(401), "answered with status 401")),
                true,
            ),
            (Verdict::TargetFailed(Cause::Refused), batch::Answer::TargetFailed, false),
            (Verdict::NotMade(NotMade::Open), batch::Answer::TargetFailed, false),
        ] {
            assert_eq!(Answer::bare(verdict).for_lane(), expected);
            assert_eq!(verdict.counts(), counts, "{verdict:?}");
        }
    }
}
