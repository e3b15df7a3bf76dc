//! What a receiving partner has been told: every call, what was applied, and the questions a test asks of it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::cli::partner::receiver::wire::Request;

/// Calls remembered; the oldest go first.
const CALLS_KEPT: usize = 100_000;

/// Every call so far.
#[derive(Debug, Default)]
pub struct Received {
    calls: VecDeque<Call>,
    /// Calls that are no longer remembered.
    forgotten: u64,
    /// Attempts so far and whether it is applied, by idempotency key.
    keys: HashMap<String, Known>,
    /// Connections that were reset before anything was read.
    pub resets_unread: u64,
    pub connections: u64,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// From 0, by the end of its reading.
    pub number: u64,
    /// From 1.
    pub connection: u64,
    pub at: Instant,
    /// When the answer was written, or the connection came to its end.
    pub ended: Option<Instant>,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The order its body names.
    pub order: Option<String>,
    /// Empty if it had none.
    pub idempotency_key: String,
    /// From 0, by idempotency key.
    pub attempt: u64,
    pub answered: Answered,
    /// Whether this attempt made the change.
    pub applied: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answered {
    /// Nothing so far, or for ever.
    #[default]
    Nothing,
    Status(u16),
    /// Promised more than it sent.
    Half,
    Reset,
}

#[derive(Debug, Default)]
struct Known {
    attempts: u64,
    is_applied: bool,
}

impl Received {
    /// Takes a call down; gives its number and that of the attempt.
    pub(super) fn begin(&mut self, request: Request, order: Option<String>, connection: u64) -> (u64, u64) {
        let number = self.forgotten + self.calls.len() as u64;
        let idempotency_key = request.header("x-idempotency-key").unwrap_or_default().to_owned();
        let known = self.keys.entry(idempotency_key.clone()).or_default();
        let attempt = known.attempts;
        known.attempts += 1;
        if self.calls.len() == CALLS_KEPT
            && let Some(oldest) = self.calls.pop_front()
        {
            self.forgotten += 1;
            if let Some(known) = self.keys.get(&oldest.idempotency_key)
                && known.attempts == oldest.attempt + 1
            {
                self.keys.remove(&oldest.idempotency_key);
            }
        }
        self.calls.push_back(Call {
            number,
            connection,
            at: Instant::now(),
            ended: None,
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            order,
            idempotency_key,
            attempt,
            answered: Answered::Nothing,
            applied: false,
        });
        (number, attempt)
    }

    /// The change is made, if it was not before: a call without an idempotency key is made each time.
    pub(super) fn apply(&mut self, number: u64) {
        let Some(call) = usize::try_from(number.saturating_sub(self.forgotten))
            .ok()
            .and_then(|index| self.calls.get_mut(index))
            .filter(|call| call.number == number)
        else {
            return;
        };
        let known = self.keys.entry(call.idempotency_key.clone()).or_default();
        call.applied = call.idempotency_key.is_empty() || !known.is_applied;
        known.is_applied = true;
    }

    pub(super) fn end(&mut self, number: u64, answered: Answered) {
        let index = usize::try_from(number.saturating_sub(self.forgotten)).ok();
        let call = index.and_then(|index| self.calls.get_mut(index)).filter(|call| call.number == number);
        if let Some(call) = call {
            call.ended = Some(Instant::now());
            call.answered = answered;
        }
    }

    pub fn calls(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.calls.iter()
    }

    /// Calls ever made, also those that are no longer remembered.
    pub fn count(&self) -> u64 {
        self.forgotten + self.calls.len() as u64
    }

    pub fn of_order<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.order.as_deref() == Some(id))
    }

    /// The changes made to an order, in the order in which they were made.
    pub fn applied<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Call> {
        self.of_order(id).filter(|call| call.applied)
    }

    pub fn applied_count(&self) -> usize {
        self.calls.iter().filter(|call| call.applied).count()
    }

    /// Attempts at one call.
    pub fn attempts<'a>(&'a self, idempotency_key: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.idempotency_key == idempotency_key)
    }

    /// From the end of each attempt at one call to the begin of the next. An attempt the caller gave up ends when
    /// it hangs up.
    pub fn gaps(&self, idempotency_key: &str) -> Vec<Duration> {
        let attempts: Vec<_> = self.attempts(idempotency_key).collect();
        let gap = |pair: &[&Call]| match pair {
            [one, next] => Some(next.at.saturating_duration_since(one.ended?)),
            _ => None,
        };
        attempts.windows(2).filter_map(gap).collect()
    }

    /// Changes made twice to one order under two idempotency keys: the same body on the same path.
    pub fn made_twice(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let applied = self.calls.iter().filter(|call| call.applied);
        applied.filter(|call| !seen.insert((&call.order, &call.path, &call.body))).map(Call::told).collect()
    }

    /// What came in another order than `expected`, the idempotency keys of each order's calls: calls nobody expected,
    /// and attempts, also repeated ones, at a call whose successor had been applied.
    pub fn out_of_order(&self, expected: &BTreeMap<String, Vec<String>>) -> Vec<String> {
        let mut places = HashMap::new();
        for (order, keys) in expected {
            places.extend(keys.iter().enumerate().map(|(place, key)| ((order.as_str(), key.as_str()), place)));
        }
        let mut wrong = Vec::new();
        let mut newest: HashMap<&str, usize> = HashMap::new();
        for call in &self.calls {
            let order = call.order.as_deref().unwrap_or_default();
            match places.get(&(order, call.idempotency_key.as_str())) {
                None => wrong.push(format!("nobody expected {}", call.told())),
                Some(place) if newest.get(order).is_some_and(|newest| newest > place) => {
                    wrong.push(format!("behind its successor: {}", call.told()));
                }
                Some(place) if call.applied => drop(newest.insert(order, *place)),
                Some(_) => {}
            }
        }
        wrong
    }

    /// Calls of `expected` that were never applied.
    pub fn missing(&self, expected: &BTreeMap<String, Vec<String>>) -> Vec<String> {
        let is_applied = |key: &String| self.keys.get(key).is_some_and(|known| known.is_applied);
        let of_order = |(order, keys): (&String, &Vec<String>)| {
            let missing = keys.iter().enumerate().filter(|(_, key)| !is_applied(key));
            missing.map(|(place, key)| format!("call {place} of order {order} ({key})")).collect::<Vec<_>>()
        };
        expected.iter().flat_map(of_order).collect()
    }

    /// Calls of one order that came while an earlier one of it was being answered.
    pub fn at_once(&self) -> Vec<String> {
        let mut ends: HashMap<&str, Instant> = HashMap::new();
        let mut wrong = Vec::new();
        for call in &self.calls {
            let Some(order) = call.order.as_deref() else { continue };
            if ends.get(order).is_some_and(|end| call.at < *end) {
                wrong.push(call.told());
            }
            // One without an answer is over for the caller before it is over here.
            if let (Some(end), Answered::Status(_)) = (call.ended, call.answered) {
                ends.insert(order, end);
            }
        }
        wrong
    }
}

impl Call {
    /// One line, without what the call says.
    pub fn told(&self) -> String {
        format!(
            "call {} {} {} of order {}, attempt {} with key {:.8}: {:?}{}",
            self.number,
            self.method,
            self.path,
            self.order.as_deref().unwrap_or("?"),
            self.attempt,
            self.idempotency_key,
            self.answered,
            if self.applied { ", applied" } else { "" },
        )
    }

    /// The first header of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes down calls `(order, key, applies)`.
    fn received(calls: &[(&str, &str, bool)]) -> Received {
        let mut received = Received::default();
        for (order, key, applies) in calls {
            let headers = vec![("x-idempotency-key".to_owned(), (*key).to_owned())];
            let body = Bytes::copy_from_slice(key.split('/').next().unwrap_or_default().as_bytes());
            let (number, _) = received.begin(Request { headers, body, ..Request::default() }, Some((*order).into()), 1);
            if *applies {
                received.apply(number);
            }
            received.end(number, Answered::Status(if *applies { 200 } else { 500 }));
        }
        received
    }

    fn expected(orders: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        orders.iter().map(|(order, keys)| ((*order).to_owned(), owned(keys))).collect()
    }

    #[test]
    fn a_call_applied_again_with_the_same_key_changes_nothing() {
        let received = received(&[("A", "1", true), ("A", "1", true), ("A", "2", false), ("A", "2", true)]);

        let applied: Vec<_> = received.applied("A").map(|call| (call.idempotency_key.as_str(), call.attempt)).collect();
        assert_eq!(applied, [("1", 0), ("2", 1)]);
        assert_eq!(received.attempts("2").count(), 2);
        assert_eq!(received.gaps("2").len(), 1);
        assert!(received.made_twice().is_empty());
    }

    #[test]
    fn what_came_in_another_order_is_told() {
        let expected = expected(&[("A", &["1", "2", "3"]), ("B", &["1"])]);
        for (calls, wrong) in [
            (vec![("A", "1", true), ("B", "1", true), ("A", "2", true), ("A", "3", true)], 0),
            (vec![("A", "1", false), ("A", "2", true), ("A", "3", true)], 0), // one was skipped
            (vec![("A", "2", true), ("A", "1", true)], 1),
            (vec![("A", "1", true), ("A", "2", true), ("A", "1", true)], 1), // repeated behind its successor
            (vec![("A", "2", false), ("A", "1", true), ("A", "2", true)], 0), // nothing had been done yet
            (vec![("A", "4", true)], 1),
            (vec![("B", "2", true)], 1),
        ] {
            let found = received(&calls).out_of_order(&expected);

            assert_eq!(found.len(), wrong, "{calls:?}: {found:?}");
        }
    }

    #[test]
    fn what_never_came_is_missing_and_what_came_under_two_keys_was_made_twice() {
        let received = received(&[("A", "1/x", true), ("A", "1/y", true), ("A", "2", false)]);

        assert_eq!(received.made_twice().len(), 1);
        let missing = received.missing(&expected(&[("A", &["1/x", "2"])]));
        assert_eq!(missing, ["call 1 of order A (2)"]);
    }
}
