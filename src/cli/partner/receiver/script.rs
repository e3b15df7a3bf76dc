//! What a receiving partner does with which requests. Pure: time and counts come in.

use std::ops::Range;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Which requests, and what is done with them. A rule without conditions is for all of them.
#[derive(Debug, Clone)]
pub struct Rule {
    manner: Manner,
    path: Option<String>,
    order: Option<String>,
    nth: Option<Range<u64>>,
    attempt: Option<Range<u64>>,
    within: Option<Range<Duration>>,
    flaps: Option<Flaps>,
    share: Option<Share>,
}

/// What becomes of a request. A call that is applied a second time, with the same idempotency key, changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Applied if the reply says so.
    Answer(Reply),
    /// The same, after so long.
    AnswerAfter(Duration, Reply),
    /// The connection stays open and nothing comes, until the caller hangs up.
    NeverAnswer {
        applies: bool,
    },
    /// The connection is reset before anything of the request is read; only rules that need nothing of the request
    /// have this effect, of others the request is read.
    ResetUnread,
    ResetRead {
        applies: bool,
    },
    /// Applied, answered with 200 and less body than was promised, and closed.
    HalfAnswer,
    /// Applied, and answered with 200 and a body that comes byte by byte.
    SlowBody {
        bytes: u32,
        pause: Duration,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// Sent as JSON.
    pub body: String,
    /// Whether the change stands at the partner when this is said.
    pub applies: bool,
}

/// What is known of a request when a rule is chosen; before it was read, only the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// Since the script began.
    pub elapsed: Duration,
    pub request: Option<Told<'a>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    pub path: &'a str,
    pub order: Option<&'a str>,
    pub idempotency_key: &'a str,
    /// Requests with this idempotency key before.
    pub attempt: u64,
}

/// Rules in order; the first that fits is followed.
#[derive(Debug, Default)]
pub struct Script {
    /// With how many requests each has met that fit all its other conditions.
    rules: Vec<(Rule, u64)>,
}

/// Down for the first part of each period.
#[derive(Debug, Clone, Copy)]
struct Flaps {
    period: Duration,
    down: Duration,
}

/// A share of the attempts, drawn from key and number: the same in every run.
#[derive(Debug, Clone, Copy)]
struct Share {
    seed: u64,
    percent: u64,
}

impl Rule {
    pub fn always(manner: Manner) -> Self {
        Self { manner, path: None, order: None, nth: None, attempt: None, within: None, flaps: None, share: None }
    }

    /// Only requests whose path ends so.
    pub fn to_path(mut self, end: &str) -> Self {
        self.path = Some(end.to_owned());
        self
    }

    pub fn of_order(mut self, id: &str) -> Self {
        self.order = Some(id.to_owned());
        self
    }

    /// Only those requests, from 0, of all that fit its other conditions.
    pub fn nth(mut self, numbers: Range<u64>) -> Self {
        self.nth = Some(numbers);
        self
    }

    /// Only those attempts, from 0, at one call: requests with the same idempotency key.
    pub fn attempts(mut self, numbers: Range<u64>) -> Self {
        self.attempt = Some(numbers);
        self
    }

    /// Only so long after the script began.
    pub fn within(mut self, window: Range<Duration>) -> Self {
        self.within = Some(window);
        self
    }

    /// Only in the first `down` of every `period`.
    pub fn flapping(mut self, period: Duration, down: Duration) -> Self {
        self.flaps = Some(Flaps { period, down });
        self
    }

    /// Only `percent` of a hundred attempts.
    pub fn share(mut self, seed: u64, percent: u64) -> Self {
        self.share = Some(Share { seed, percent });
        self
    }

    fn fits(&self, seen: &Seen<'_>) -> bool {
        let needs_request =
            self.path.is_some() || self.order.is_some() || self.attempt.is_some() || self.share.is_some();
        let fits_request = match seen.request {
            // Unread: the rule is chosen now only if it is to reset the connection now.
            None => !needs_request && self.manner == Manner::ResetUnread,
            Some(told) => self.fits_request(told),
        };
        fits_request
            && self.within.as_ref().is_none_or(|window| window.contains(&seen.elapsed))
            && self.flaps.is_none_or(|flaps| flaps.is_down(seen.elapsed))
    }

    fn fits_request(&self, told: Told<'_>) -> bool {
        self.path.as_ref().is_none_or(|end| told.path.ends_with(end.as_str()))
            && self.order.as_deref().is_none_or(|order| told.order == Some(order))
            && self.attempt.as_ref().is_none_or(|numbers| numbers.contains(&told.attempt))
            && self.share.is_none_or(|share| share.has(told))
    }
}

impl Reply {
    /// With a body that says nothing.
    pub fn status(status: u16) -> Self {
        Self { status, retry_after: None, body: "{}".to_owned(), applies: (200..300).contains(&status) }
    }

    /// `after`: whole seconds.
    pub fn retry_after(status: u16, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::status(status) }
    }

    /// 409, and the change is there, from this call or from another way.
    pub fn already_applied() -> Self {
        Self { body: r#"{"code": "ALREADY_APPLIED"}"#.to_owned(), applies: true, ..Self::status(409) }
    }
}

impl Manner {
    /// Whether the change is made.
    pub fn applies(&self) -> bool {
        match self {
            Self::Answer(reply) | Self::AnswerAfter(_, reply) => reply.applies,
            Self::NeverAnswer { applies } | Self::ResetRead { applies } => *applies,
            Self::ResetUnread => false,
            Self::HalfAnswer | Self::SlowBody { .. } => true,
        }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self::Answer(Reply { body: String::new(), ..Reply::status(204) })
    }
}

impl Script {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, 0)).collect() }
    }

    /// What is to be done; `None` if nothing of the request was read yet and it has to be.
    pub fn choose(&mut self, seen: &Seen<'_>) -> Option<Manner> {
        for (rule, met) in &mut self.rules {
            if !rule.fits(seen) {
                continue;
            }
            let number = *met;
            *met += 1;
            if rule.nth.as_ref().is_none_or(|numbers| numbers.contains(&number)) {
                return Some(rule.manner.clone());
            }
        }
        seen.request.is_some().then(Manner::default)
    }
}

impl Flaps {
    fn is_down(self, elapsed: Duration) -> bool {
        let period = self.period.as_nanos().max(1);
        elapsed.as_nanos() % period < self.down.as_nanos()
    }
}

impl Share {
    fn has(self, told: Told<'_>) -> bool {
        let drawn = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(told.attempt.to_be_bytes())
            .chain_update(told.idempotency_key)
            .finalize();
        let first = drawn.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        first % 100 < self.percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn manner(status: u16) -> Manner {
        Manner::Answer(Reply::status(status))
    }

    fn told<'a>(path: &'a str, order: &'a str, attempt: u64) -> Told<'a> {
        Told { path, order: Some(order), idempotency_key: "key", attempt }
    }

    #[test]
    fn the_first_rule_that_fits_is_followed() {
        let mut script = Script::new(vec![
            Rule::always(manner(404)).of_order("A"),
            Rule::always(manner(500)).to_path("/status").attempts(0..2),
            Rule::always(manner(503)).within(5 * SECOND..6 * SECOND),
        ]);
        for (request, elapsed, expected) in [
            (told("/x/status", "A", 0), 0, manner(404)),
            (told("/x/status", "B", 1), 0, manner(500)),
            (told("/x/status", "B", 2), 0, Manner::default()),
            (told("/x/other", "B", 0), 5, manner(503)),
            (told("/x/other", "B", 0), 6, Manner::default()),
        ] {
            let seen = Seen { elapsed: elapsed * SECOND, request: Some(request) };

            assert_eq!(script.choose(&seen), Some(expected), "{seen:?}");
        }
    }

    #[test]
    fn the_nth_request_is_counted_among_those_that_fit() {
        let mut script = Script::new(vec![Rule::always(manner(500)).of_order("A").nth(1..2)]);
        let mut ask = |order| script.choose(&Seen { elapsed: SECOND, request: Some(told("/", order, 0)) });

        let answers = ["A", "B", "A", "A"].map(|order| ask(order) == Some(manner(500)));

        assert_eq!(answers, [false, false, true, false]);
    }

    #[test]
    fn a_flapping_partner_is_down_for_the_first_part_of_each_period() {
        let mut script = Script::new(vec![Rule::always(manner(503)).flapping(3 * SECOND, SECOND)]);
        let request = Some(told("/", "A", 0));

        let down: Vec<_> = (0..7)
            .map(|second| script.choose(&Seen { elapsed: second * SECOND, request }) == Some(manner(503)))
            .collect();

        assert_eq!(down, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_connection_is_reset_unread_only_by_a_rule_that_needs_nothing_of_the_request() {
        let unread = Seen::default();
        for (rule, expected) in [
            (Rule::always(Manner::ResetUnread), Some(Manner::ResetUnread)),
            (Rule::always(Manner::ResetUnread).of_order("A"), None),
            (Rule::always(manner(500)), None),
        ] {
            assert_eq!(Script::new(vec![rule.clone()]).choose(&unread), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_share_is_drawn_from_key_and_attempt() {
        let mut script = Script::new(vec![Rule::always(manner(500)).share(7, 30)]);
        let mut draw = || {
            let mut hits = Vec::new();
            for attempt in 0..1_000 {
                let seen = Seen { elapsed: SECOND, request: Some(told("/", "A", attempt)) };
                hits.push(script.choose(&seen) == Some(manner(500)));
            }
            hits
        };

        let (first, second) = (draw(), draw());

        assert_eq!(first, second);
        let share = first.iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&share), "{share}");
    }
}
