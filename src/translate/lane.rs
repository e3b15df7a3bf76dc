//! What a record of `crossdock.platform` is to do: be published as the platform's event it means, or be told to the
//! bindings it concerns.
//!
//! Everything it does is an append, written down with the decision; it reaches nobody outside. An event whose order is
//! not known yet is parked, and released when the order is accepted or linked; one that waits too long is given up.
//!
//! Source: DESIGN section 1; `contracts/canonical-events.md` sections 2.2, 5 and 8.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;

use crate::canonical::event::FailedEvent;
use crate::canonical::headers;
use crate::canonical::ids::OrderKey;
use crate::canonical::order::SourceSystem;
use crate::clock::Clock;
use crate::config::binding::Binding;
use crate::driver::{Decided, Done, Entry, Job, Reach, Said, Waits, Work};
use crate::lane::batch::{Answer, Failure, Target};
use crate::log::{Append, Record};
use crate::normalize::AdapterSet;
use crate::schema::Catalogue;
use crate::store::lanes::{Link, Parked};
use crate::store::{Phase, Store};
use crate::translate::{
    Consumed, Found, KnownOrder, Named, Outgoing, Translated, Unread, notify, platform, unknown_reference,
};

/// Orders of one name that are looked at: two are as ambiguous as more.
const NAMESAKES: usize = 2;

/// What the translator works with.
#[derive(Clone)]
pub struct Deps {
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    /// How long an event waits for its order.
    pub parked_for: Duration,
}

/// The translator; shared by its lanes.
pub struct Translator {
    deps: Deps,
    in_force: watch::Sender<Arc<InForce>>,
    /// Nothing outside is asked: always available.
    target: watch::Sender<Target>,
}

/// As the last load or reload says.
struct InForce {
    adapters: Arc<AdapterSet>,
    bindings: Vec<Arc<Binding>>,
}

/// Why a record cannot be translated.
enum Trouble {
    /// Nothing about the record: it is tried again.
    Passing(String),
    /// The record is at fault.
    Refused(Failure),
}

/// What a record means.
enum Meaning {
    Known(Said),
    Waits(Waits),
}

impl Translator {
    pub fn new(deps: Deps, adapters: &Arc<AdapterSet>, bindings: &[Arc<Binding>]) -> Self {
        let in_force = InForce { adapters: Arc::clone(adapters), bindings: bindings.to_vec() };
        Self { deps, in_force: watch::Sender::new(Arc::new(in_force)), target: watch::Sender::new(Target::Available) }
    }

    /// Takes changed mappings and bindings over.
    pub fn install(&self, adapters: &Arc<AdapterSet>, bindings: &[Arc<Binding>]) {
        let in_force = InForce { adapters: Arc::clone(adapters), bindings: bindings.to_vec() };
        self.in_force.send_replace(Arc::new(in_force));
    }
}

impl Work for Translator {
    fn reach(&self) -> Reach {
        Reach::Inside
    }

    fn attempt(&self, job: Job) -> BoxFuture<'static, Done> {
        let (deps, in_force) = (self.deps.clone(), Arc::clone(&self.in_force.borrow()));
        Box::pin(async move {
            match translate(&deps, &in_force, &job.record).await {
                Ok(Meaning::Known(Said { effects, links, events, ledger })) => {
                    Done { effects, links, events, ledger, ..Done::of(Answer::Applied) }
                }
                Ok(Meaning::Waits(waits)) => Done { waits: Some(waits), ..Done::of(Answer::Parked) },
                Err(Trouble::Refused(failure)) => Done::of(Answer::Undecodable(failure)),
                Err(Trouble::Passing(reason)) => {
                    tracing::warn!(topic = %job.lane.topic, partition = job.lane.partition, reason, "event cannot be translated now");
                    Done::of(Answer::TargetFailed)
                }
            }
        })
    }

    fn decided(&self, decided: &Decided<'_>) -> Said {
        let Some(_) = decided.decision.dead_letter() else { return Said::default() };
        let Failure { class, message, .. } = decided.decision.failure.clone().unwrap_or_default();
        let error = format!("{class} {message}");
        let topic = source_topic(decided.record).unwrap_or(&decided.lane.topic);
        let failed = FailedEvent { topic, record: decided.record, error: &error, failed_at: decided.now_ms };
        Said { effects: vec![failed.to_append(&self.deps.catalogue)], ..Said::default() }
    }

    fn release(&self, parked: Parked, is_expired: bool) -> BoxFuture<'static, Option<Said>> {
        let (deps, in_force) = (self.deps.clone(), Arc::clone(&self.in_force.borrow()));
        let record = Record { key: Some(parked.key), value: parked.value, headers: parked.headers };
        Box::pin(async move {
            match translate(&deps, &in_force, &record).await {
                Ok(Meaning::Known(said)) => Some(said),
                Ok(Meaning::Waits(_)) if is_expired => Some(given_up(&deps, &record)),
                // It was read when it was parked; that its schema cannot be had now passes.
                Ok(Meaning::Waits(_)) | Err(_) => None,
            }
        })
    }

    fn target(&self) -> watch::Receiver<Target> {
        self.target.subscribe()
    }
}

async fn translate(deps: &Deps, in_force: &InForce, record: &Record) -> Result<Meaning, Trouble> {
    let consumed = read(deps, record).await?;
    let found = found(deps, in_force, &consumed).await?;
    let now = deps.clock.now_ms();
    let wait_ms = i64::try_from(deps.parked_for.as_millis()).unwrap_or(i64::MAX);
    let (order, events, learned) = match platform(&consumed, &found, wait_ms, now) {
        Translated::Parked { mut wanted, expires_at } => {
            wanted.extend(namesakes(in_force, &consumed));
            return Ok(Meaning::Waits(Waits { wanted, expires_at }));
        }
        Translated::Known { order, events, learned } => (order, events, learned),
    };
    let state = deps.store.orders(vec![order.key.service_order_id()]).await.map_err(passing)?;
    let state = state.into_iter().flatten().next();
    let is_cancelled = state.is_some_and(|state| matches!(state.phase, Phase::Cancelled(_) | Phase::Tombstone(_)));
    let outgoing = notify(&consumed, &order, is_cancelled, &in_force.adapters, &in_force.bindings);

    let tenant_id = order.key.tenant_id.as_str();
    let guarded = events.iter().filter_map(|event| event.guard(tenant_id));
    let guards: Vec<_> = guarded.chain(outgoing.iter().map(Outgoing::guard)).collect();
    let known = deps.store.published_events(guards).await.map_err(passing)?;

    let mut said = Said::default();
    let mut published = Vec::new();
    for event in &events {
        let guard = event.guard(tenant_id);
        if guard.is_some_and(|guard| known.contains(&guard)) {
            continue;
        }
        let append = event.to_append(&deps.catalogue, &consumed.meta(&order)).map_err(passing)?;
        published.push(append.topic.to_string());
        said.effects.push(append);
        said.events.extend(guard);
    }
    let told: Vec<_> = outgoing.iter().filter(|outgoing| !known.contains(&outgoing.guard())).collect();
    said.effects.extend(told.iter().map(|outgoing| outgoing.to_append()));
    said.events.extend(told.iter().map(|outgoing| outgoing.guard()));
    said.links.extend(learned.map(|platform_id| link(platform_id, &order)));
    let is_repeat = told.len() < outgoing.len() || said.effects.len() - told.len() < events.len();
    let detail = json!({
        "what": "platform_event",
        "outcome": if is_repeat && said.effects.is_empty() { "duplicate" } else { "translated" },
        "event_topic": consumed.topic,
        "event_id": consumed.event.event_id(),
        "published": published,
        "told": told.iter().map(|outgoing| outgoing.binding.as_str()).collect::<Vec<_>>(),
        "correlation_id": consumed.correlation_id,
    });
    said.ledger.push(Entry { order: order.key.service_order_id(), detail: detail.to_string() });
    Ok(Meaning::Known(said))
}

async fn read(deps: &Deps, record: &Record) -> Result<Consumed, Trouble> {
    let no_topic = || Trouble::Refused(failure("SCHEMA_MISMATCH", "the record does not say where it was consumed"));
    let topic = source_topic(record).ok_or_else(no_topic)?;
    let read = match Consumed::read(topic, record, &deps.catalogue) {
        Err(Unread::Unlearned { .. }) => {
            let value = record.value.as_deref().unwrap_or_default();
            deps.catalogue.learn_from(value).await.map_err(passing)?;
            Consumed::read(topic, record, &deps.catalogue)
        }
        read => read,
    };
    read.map_err(|unread| match unread {
        Unread::Unlearned { .. } => passing(unread),
        Unread::Refused { rejection, .. } => {
            let pointer = rejection.problems().first().map_or("", |problem| problem.field.as_str());
            let message =
                format!("{pointer}: {}", rejection.message().trim_start_matches(pointer).trim_start_matches(": "));
            Trouble::Refused(failure(rejection.code().as_str(), &message))
        }
        Unread::Foreign { .. } => Trouble::Refused(failure("UNSUPPORTED_EVENT", &format!(": {unread}"))),
    })
}

/// What is known of the order the event is about.
async fn found(deps: &Deps, in_force: &InForce, consumed: &Consumed) -> Result<Found, Trouble> {
    let wanted = consumed.wanted();
    let mut found = Found::default();
    if !wanted.platform_ids.is_empty() {
        let links = deps.store.links(wanted.platform_ids).await.map_err(passing)?;
        found.linked = links.into_iter().flatten().next().map(known);
    }
    let Some(Named { source_system, external_order_id }) = wanted.named else { return Ok(found) };
    for source_key in source_keys(in_force, source_system) {
        let orders = deps.store.orders_called(&source_key, &external_order_id, NAMESAKES).await.map_err(passing)?;
        found.named.extend(orders.into_iter().map(known));
    }
    Ok(found)
}

/// The ids under which the order would be known if one of the tenants here had it: an event that names it as its source
/// does need not carry an id of the platform.
fn namesakes(in_force: &InForce, consumed: &Consumed) -> BTreeSet<String> {
    let Some(Named { source_system, external_order_id }) = consumed.wanted().named else { return BTreeSet::new() };
    let InForce { adapters, bindings } = in_force;
    let id = |binding: &Arc<Binding>| {
        let manifest = adapters.adapter(&binding.adapter)?.manifest();
        let order = OrderKey {
            tenant_id: binding.tenant_id.clone(),
            source_key: manifest.source_key(binding).into_owned(),
            external_order_id: external_order_id.clone(),
        };
        (manifest.source_system == source_system).then(|| order.service_order_id().to_string())
    };
    bindings.iter().filter_map(id).collect()
}

/// The sources of a system: one, but for `CUSTOM`.
fn source_keys(in_force: &InForce, system: SourceSystem) -> BTreeSet<String> {
    let InForce { adapters, bindings } = in_force;
    let key = |binding: &Arc<Binding>| {
        let manifest = adapters.adapter(&binding.adapter)?.manifest();
        (manifest.source_system == system).then(|| manifest.source_key(binding).into_owned())
    };
    bindings.iter().filter_map(key).collect()
}

/// The end of an event nobody could make anything of in time.
fn given_up(deps: &Deps, record: &Record) -> Said {
    let topic = source_topic(record).unwrap_or_default();
    let Ok(consumed) = Consumed::read(topic, record, &deps.catalogue) else { return Said::default() };
    let append: Append = unknown_reference(&consumed, record, deps.clock.now_ms(), &deps.catalogue);
    Said { effects: vec![append], ..Said::default() }
}

/// Where the relay read the record.
fn source_topic(record: &Record) -> Option<&str> {
    let mut place = record.header(headers::SOURCE)?.rsplitn(3, '/');
    place.nth(2)
}

fn known(link: Link) -> KnownOrder {
    let country_code = Some(link.country_code).filter(|country| !country.is_empty());
    KnownOrder { key: link.order, country_code }
}

fn link(platform_id: String, order: &KnownOrder) -> Link {
    let KnownOrder { key, country_code } = order.clone();
    Link { platform_id, order: key, country_code: country_code.unwrap_or_default() }
}

fn failure(class: &str, message: &str) -> Failure {
    Failure { class: class.to_owned(), http_status: None, message: message.to_owned() }
}

fn passing(error: impl std::fmt::Display) -> Trouble {
    Trouble::Passing(error.to_string())
}
