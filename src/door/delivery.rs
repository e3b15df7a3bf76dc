//! One delivery: the order of checks, the append, the answer.
//!
//! Size → authentication → (rate) → media type → what `normalize` checks. The headers' part of authentication runs
//! before the body is read, and its verdict is given after: the order a sender sees is the contract's, but only a
//! known sender's body is kept in memory.
//!
//! Source: `contracts/canonical-events.md` sections 7 and 11.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use tokio::time::timeout;
use tracing::{debug, error, warn};

use crate::canonical::draft::{Draft, DraftBody};
use crate::canonical::intake;
use crate::canonical::rejection::{Code, Rejection};
use crate::door::answer::{Answer, ItemAnswer};
use crate::door::body::{Keep, Unread};
use crate::door::exchange::Exchange;
use crate::door::media_type;
use crate::door::route::InboundRoute;
use crate::door::table::Shared;
use crate::log::Append;
use crate::normalize::{Message, Messages};
use crate::verify::{Claim, Context, Gate, Refusal};

/// Above this, hashing and mapping would hold up the other connections of the worker thread.
const INLINE_BODY_BYTES: usize = 64 * 1024;

/// One inbound route as it is served.
pub(super) struct Inbound {
    /// The path as its adapter declares it: the label of its metrics.
    pub pattern: String,
    pub method: Method,
    pub parameters: Vec<String>,
    pub route: Arc<dyn InboundRoute>,
    pub gate: Gate,
}

/// Everything the pure part needs, owned: it may run on a blocking thread.
struct Delivery {
    shared: Arc<Shared>,
    inbound: Arc<Inbound>,
    claim: Claim,
    media_type: Result<(), Rejection>,
    body: Bytes,
    context: Context,
}

/// A delivery that is to be appended, and what is answered when that has happened.
struct Admitted {
    /// In the order of the messages; none if there is nothing to do.
    appends: Vec<Append>,
    answer: Answer,
    binding: String,
}

/// Answers one delivery. `path`: the values of the route's parameters, decoded, by position.
pub(super) async fn deliver(
    shared: &Arc<Shared>,
    inbound: &Arc<Inbound>,
    exchange: &Exchange,
    path: Vec<String>,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let route = &inbound.route;
    let claim = inbound.gate.claim(headers, exchange.received_at);
    let keep = if claim.is_ok() { Keep::All } else { Keep::Nothing };
    let held = match shared.bodies.read(body, route.max_body_bytes(), keep).await {
        Ok(held) => held,
        Err(unread) => return unread_answer(shared, inbound, unread),
    };
    let started = Instant::now();
    let claim = match claim {
        Ok(claim) => claim,
        Err(refusal) => return unauthenticated(shared, inbound, exchange, &refusal),
    };
    let body_bytes = held.bytes.len();
    let delivery = Delivery {
        shared: shared.clone(),
        inbound: inbound.clone(),
        claim,
        media_type: media_type::check(headers, route.media_types()),
        body: held.bytes.clone(),
        context: Context {
            received_from: "http".to_owned(),
            received_at: exchange.received_at,
            correlation_id: exchange.correlation_id.clone(),
            path: inbound.parameters.iter().cloned().zip(path).collect(),
            headers: read_headers(&**route, headers),
            traceparent: exchange.traceparent.clone(),
            retry_count: 0,
            replay_of: None,
        },
    };
    let admitted = if body_bytes <= INLINE_BODY_BYTES {
        delivery.admit(exchange)
    } else {
        let exchange = exchange.clone();
        match tokio::task::spawn_blocking(move || delivery.admit(&exchange)).await {
            Ok(admitted) => admitted,
            // The panic goes on in the request's own task, where it is caught like any other.
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Answer::unavailable()),
            },
        }
    };
    let answer = match admitted {
        Ok(admitted) => store(shared, inbound, exchange, admitted).await,
        Err(answer) => answer,
    };
    // The body's share of the budget is held until here: its bytes are part of what is being appended.
    drop(held);
    shared.metrics.door_request_seconds.with_label_values(&[&inbound.pattern]).observe(started.elapsed().as_secs_f64());
    answer
}

impl Delivery {
    /// The pure part: proves the claim, takes a token of the tenant's rate, maps, encodes.
    fn admit(self, exchange: &Exchange) -> Result<Admitted, Answer> {
        let Self { shared, inbound, claim, media_type, body, context } = self;
        let route = &inbound.route;
        let verified =
            claim.prove(body, context).map_err(|refusal| unauthenticated(&shared, &inbound, exchange, &refusal))?;
        let binding = verified.binding();
        shared.rates.take(&binding.tenant_id, binding.rate_limit_per_minute, exchange.received_at).map_err(
            |exhausted| {
                debug!(binding = %binding.name, "rate limit reached");
                Answer::RateLimited { retry_after_s: exhausted.retry_after_s }
            },
        )?;
        let messages = match media_type {
            Ok(()) => route.normalize(&verified).map_err(|defect| {
                error!(route = %inbound.pattern, binding = %binding.name, correlation.id = %exchange.correlation_id,
                    error = %defect, "mapping failed");
                Answer::unavailable()
            })?,
            Err(rejection) => Messages::One(Message::Draft(Box::new(route.refuse(&verified, rejection)))),
        };
        let binding = binding.name.clone();
        let mut appends = Vec::new();
        let mut take = |message: Message| match message {
            Message::Draft(draft) => {
                appends.push(shared.append_of(&draft, &inbound, exchange)?);
                answer(*draft, exchange)
            }
            Message::Ignored => Ok(Answer::Ignored),
        };
        let answer = match messages {
            Messages::One(message) => take(message)?,
            Messages::Many(messages) => {
                let items = messages.into_iter().map(|message| take(message).map(ItemAnswer::from));
                Answer::Batch(items.collect::<Result<_, _>>()?)
            }
        };
        Ok(Admitted { appends, answer, binding })
    }
}

impl Shared {
    fn append_of(&self, draft: &Draft, inbound: &Inbound, exchange: &Exchange) -> Result<Append, Answer> {
        let value = intake::encode(&self.catalogue, draft).map_err(|cause| {
            error!(route = %inbound.pattern, binding = %draft.head.binding,
                correlation.id = %exchange.correlation_id, error = %cause, "draft cannot be encoded");
            Answer::unavailable()
        })?;
        let record = intake::record(&draft.head, value, exchange.traceparent.as_deref());
        Ok(Append { topic: self.intake_topic.clone(), partition: None, record })
    }
}

/// Those of the headers that `route` wants to see; what is no text says nothing to it.
fn read_headers(route: &dyn InboundRoute, headers: &HeaderMap) -> Vec<(String, String)> {
    let read = headers.iter().filter(|(name, _)| route.reads_header(name.as_str()));
    read.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

/// The answer of a draft that is stored.
fn answer(draft: Draft, exchange: &Exchange) -> Result<Answer, Answer> {
    let Draft { head, body, .. } = draft;
    if let DraftBody::Rejection(rejection) = body {
        return Ok(Answer::Rejected(rejection));
    }
    match (head.service_order_id(), head.external_order_id) {
        (Some(order_id), Some(external_order_id)) => Ok(Answer::Received { order_id, external_order_id }),
        _ => {
            error!(binding = %head.binding, correlation.id = %exchange.correlation_id,
                "mapping accepted a payload without an order id");
            Err(Answer::unavailable())
        }
    }
}

/// Appends, and gives the prepared answer only once the append is durable.
async fn store(shared: &Shared, inbound: &Inbound, exchange: &Exchange, admitted: Admitted) -> Answer {
    let Admitted { appends, answer, binding } = admitted;
    if appends.is_empty() {
        count_outcome(shared, inbound, exchange, &binding, &answer);
        return answer;
    }
    let started = Instant::now();
    let appended = timeout(shared.append_timeout, shared.log.append(appends)).await;
    shared.metrics.engine_seconds.with_label_values(&["door.append"]).observe(started.elapsed().as_secs_f64());
    let cause = match appended {
        Ok(Ok(_)) => {
            count_outcome(shared, inbound, exchange, &binding, &answer);
            return answer;
        }
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => format!("no answer within {} ms", shared.append_timeout.as_millis()),
    };
    shared.metrics.engine_errors.with_label_values(&["door.append"]).inc();
    warn!(route = %inbound.pattern, %binding, correlation.id = %exchange.correlation_id, error = %cause,
        "delivery could not be stored");
    Answer::unavailable()
}

/// Counts what no lane will count.
fn count_outcome(shared: &Shared, inbound: &Inbound, exchange: &Exchange, binding: &str, answer: &Answer) {
    let rejected = |code: Code| {
        count_rejection(shared, binding, code);
        debug!(route = %inbound.pattern, %binding, correlation.id = %exchange.correlation_id, %code,
            "payload rejected");
    };
    let ignored = || shared.metrics.outcomes.with_label_values(&[binding, IGNORED]).inc();
    match answer {
        Answer::Rejected(rejection) => rejected(rejection.code()),
        Answer::Ignored => ignored(),
        Answer::Batch(items) => items.iter().for_each(|item| match item {
            ItemAnswer::Received => {}
            ItemAnswer::Ignored => ignored(),
            ItemAnswer::Rejected(rejection) => rejected(rejection.code()),
        }),
        _ => {}
    }
}

fn unread_answer(shared: &Shared, inbound: &Inbound, unread: Unread) -> Answer {
    match unread {
        Unread::TooLarge => {
            count_rejection(shared, UNKNOWN, Code::PayloadTooLarge);
            let message = format!("at most {} bytes are allowed", inbound.route.max_body_bytes());
            Answer::Rejected(Rejection::one(Code::PayloadTooLarge, "", message))
        }
        Unread::TooSlow => Answer::TooSlow,
        Unread::Truncated => Answer::Truncated,
        Unread::Overloaded => {
            warn!(route = %inbound.pattern, "no memory left for another body");
            Answer::unavailable()
        }
    }
}

/// The exact reason goes to the log and the metrics, one uniform sentence to the sender.
fn unauthenticated(shared: &Shared, inbound: &Inbound, exchange: &Exchange, refusal: &Refusal) -> Answer {
    count_rejection(shared, refusal.binding().unwrap_or(UNKNOWN), Code::AuthenticationFailed);
    let labels = [inbound.route.adapter(), refusal.reason()];
    shared.metrics.authentication_failures.with_label_values(&labels).inc();
    warn!(route = %inbound.pattern, correlation.id = %exchange.correlation_id, reason = refusal.reason(), %refusal,
        "delivery is not authentic");
    Answer::unauthenticated()
}

/// The outcome no lane counts, because no record comes of it.
const IGNORED: &str = "ignored";
/// The binding of a sender nobody knows.
const UNKNOWN: &str = "unknown";

fn count_rejection(shared: &Shared, binding: &str, code: Code) {
    shared.metrics.rejections.with_label_values(&[binding, code.as_str()]).inc();
}
