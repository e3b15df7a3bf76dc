//! What a record of `crossdock.out.<binding>` is to do: tell the binding's partner.
//!
//! A notification becomes a request by the mappings in force; a value the partner was told last is not told again; the
//! rest is one attempt at the [`Target`], whose answer is kept for the operator. Order, retries and dead letters are the
//! lane's.
//!
//! Source: `contracts/canonical-events.md` section 9.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::canonical::headers;
use crate::canonical::notification::{Notification, out_topic};
use crate::clock::Clock;
use crate::config::binding::Binding;
use crate::courier::answer::{Answer as Answered, Verdict};
use crate::courier::breaker::{Condition, State};
use crate::courier::failed;
use crate::courier::journey::{self, Step};
use crate::courier::request::{self, Effect, IdempotencyKey, Request};
use crate::courier::target::{self, Target};
use crate::driver::{Decided, Done, Entry, Job, Reach, Said, Work};
use crate::lane::Policy;
use crate::lane::batch::{self, Answer, Failure};
use crate::normalize::AdapterSet;
use crate::normalize::call::{self, CallRequest};
use crate::normalize::manifest::call::CallAuth;
use crate::schema::Catalogue;
use crate::store::Store;
use crate::store::lanes::{Delivered, DeliveredOf, Parked};
use crate::telemetry::metrics::Metrics;

/// What every courier works with.
#[derive(Clone)]
pub struct Deps {
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

/// The courier of one binding; shared by its lanes.
pub struct Courier {
    deps: Deps,
    timeout: Duration,
    in_force: watch::Sender<Arc<InForce>>,
    state: watch::Sender<batch::Target>,
}

/// As the last load or reload says.
struct InForce {
    adapters: Arc<AdapterSet>,
    binding: Arc<Binding>,
    target: Target,
}

/// The parameter with the address of the binding's partner, if there is a call and an address: all calls of an adapter
/// go to one partner.
pub fn address<'a>(adapters: &'a AdapterSet, binding: &Binding) -> Option<&'a str> {
    let call = adapters.adapter(&binding.adapter)?.calls().first()?;
    let parameter = call.spec().url.parameter.as_str();
    binding.parameters.contains_key(parameter).then_some(parameter)
}

/// How the lanes of a binding wait and repeat.
pub fn policy(binding: &Binding) -> Policy {
    let mut policy = Policy::default();
    crate::courier::delays::apply(&binding.courier, &mut policy);
    policy
}

impl Courier {
    /// `None`: the binding has no address, and nobody is called for it.
    ///
    /// # Errors
    /// As [`Target::of`].
    pub fn new(
        deps: &Deps,
        adapters: &Arc<AdapterSet>,
        binding: &Arc<Binding>,
    ) -> Result<Option<Arc<Self>>, target::Error> {
        let Some(in_force) = InForce::of(deps, adapters, binding)? else { return Ok(None) };
        let state = in_force.target.condition().for_lane();
        Ok(Some(Arc::new(Self {
            deps: deps.clone(),
            timeout: in_force.target.timeout(),
            in_force: watch::Sender::new(Arc::new(in_force)),
            state: watch::Sender::new(state),
        })))
    }

    /// The lanes' own topic.
    pub fn topic(&self) -> String {
        out_topic(&self.in_force.borrow().binding.name)
    }

    /// The binding in force.
    pub fn binding(&self) -> Arc<Binding> {
        Arc::clone(&self.in_force.borrow().binding)
    }

    /// What may be asked of the target now.
    pub fn condition(&self) -> Condition {
        self.in_force.borrow().target.condition()
    }

    /// Takes changed mappings and a changed binding over; attempts under way end as they began. Where the time-out or the
    /// delays are others, the lanes are to be taken again instead: their claims are as long.
    ///
    /// # Errors
    /// As [`Target::of`]; what is in force stays.
    pub fn install(&self, adapters: &Arc<AdapterSet>, binding: &Arc<Binding>) -> Result<(), target::Error> {
        if let Some(in_force) = InForce::of(&self.deps, adapters, binding)? {
            self.in_force.send_replace(Arc::new(in_force));
        }
        Ok(())
    }

    /// Tells the lanes of the target's condition, also where time alone changes it, until `stop` is true. Then nothing
    /// is begun any more.
    pub fn watch(self: &Arc<Self>, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(Arc::clone(self).tell(stop))
    }

    async fn tell(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut installed = self.in_force.subscribe();
        loop {
            let in_force = Arc::clone(&installed.borrow_and_update());
            let mut conditions = in_force.target.conditions();
            loop {
                conditions.mark_unchanged();
                let condition = in_force.target.condition();
                self.state.send_replace(condition.for_lane());
                let state = match condition.state {
                    State::Closed => 0,
                    State::HalfOpen => 1,
                    State::Open => 2,
                };
                self.deps.metrics.breaker_state.with_label_values(&[&in_force.binding.name]).set(state);
                let changes_at = condition.changes_at_ms();
                let left = changes_at.map(|at| at.saturating_sub(self.deps.clock.now_ms()).max(1));
                let time = async {
                    match left {
                        Some(ms) => tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => {
                        in_force.target.stop();
                        return;
                    }
                    _ = installed.changed() => break,
                    _ = conditions.changed() => {}
                    () = time => {}
                }
            }
        }
    }

    async fn deliver(deps: Deps, in_force: Arc<InForce>, job: Job) -> Done {
        let value = job.record.value.as_deref().unwrap_or_default();
        let notification = match Notification::from_bytes(value) {
            Ok(notification) => notification,
            Err(error) => return Done::of(Answer::Undecodable(failure("no-notification", error.to_string()))),
        };
        let step = Step::new(&in_force.binding, &notification, &job);
        let request = match call::request(&in_force.adapters, &in_force.binding, &notification) {
            Ok(Some(request)) => request,
            Ok(None) => return told(&notification, Answer::Applied, step.outcome("skipped")),
            Err(error) => {
                let failure = failure("mapping", error.to_string());
                let step = step.outcome("rejected").failure(&failure);
                return told(&notification, Answer::Rejected(failure), step);
            }
        };
        let step = step.call(&request);
        let of = DeliveredOf {
            tenant_id: notification.tenant_id.clone(),
            target: in_force.binding.name.clone(),
            external_order_id: notification.external_order_id.clone(),
            kind: request.kind.as_str().to_owned(),
        };
        match deps.store.delivered(vec![of.clone()]).await {
            Ok(last) if last.first().is_some_and(|last| last.as_ref() == Some(&request.value)) => {
                return told(&notification, Answer::Applied, step.outcome("duplicate"));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(binding = in_force.binding.name, %error, "what was told last cannot be asked now");
                return Done::of(Answer::TargetFailed);
            }
        }
        let (http, key) = match in_force.request(&notification, &request, &job) {
            Ok(made) => made,
            Err(error) => {
                let failure = failure("request", error.to_string());
                let step = step.outcome("rejected").failure(&failure);
                return told(&notification, Answer::Rejected(failure), step);
            }
        };
        let answer = in_force.target.attempt(http, job.deadline).await;
        in_force.count(&deps.metrics, &answer);
        let for_lane = answer.for_lane();
        let delivered = (for_lane == Answer::Applied).then(|| Delivered {
            of,
            value: request.value.clone(),
            at: deps.clock.now_ms(),
        });
        if answer.requests == 0 {
            return Done::of(for_lane);
        }
        Done { delivered, ..told(&notification, for_lane, step.answered(&answer, key)) }
    }
}

impl Work for Courier {
    fn reach(&self) -> Reach {
        Reach::Outside { timeout: self.timeout }
    }

    fn attempt(&self, job: Job) -> BoxFuture<'static, Done> {
        let in_force = Arc::clone(&self.in_force.borrow());
        Box::pin(Self::deliver(self.deps.clone(), in_force, job))
    }

    fn decided(&self, decided: &Decided<'_>) -> Said {
        let in_force = Arc::clone(&self.in_force.borrow());
        let notification = decided.record.value.as_deref().and_then(|value| Notification::from_bytes(value).ok());
        let effects = failed::published(&self.deps.catalogue, decided, notification.as_ref());
        let step = journey::of_decision(&in_force.binding, decided);
        let order = notification.map(|notification| notification.order().service_order_id()).unwrap_or_default();
        let ledger = step.map(|step| Entry { order, detail: step.to_text() }).into_iter().collect();
        Said { effects, ledger, ..Said::default() }
    }

    fn release(&self, _parked: Parked, _is_expired: bool) -> BoxFuture<'static, Option<Said>> {
        // Nothing parks here.
        Box::pin(std::future::ready(None))
    }

    fn target(&self) -> watch::Receiver<batch::Target> {
        self.state.subscribe()
    }
}

impl InForce {
    fn of(deps: &Deps, adapters: &Arc<AdapterSet>, binding: &Arc<Binding>) -> Result<Option<Self>, target::Error> {
        let Some(parameter) = address(adapters, binding) else { return Ok(None) };
        let target = Target::of(binding, parameter, Arc::clone(&deps.clock))?;
        Ok(target.map(|target| Self { adapters: Arc::clone(adapters), binding: Arc::clone(binding), target }))
    }

    fn count(&self, metrics: &Metrics, answer: &Answered) {
        let name = self.binding.name.as_str();
        let result = match answer.verdict {
            Verdict::Success => "delivered",
            Verdict::Retry(cause) | Verdict::Permanent(cause) | Verdict::TargetFailed(cause) => cause.class(),
            Verdict::NotMade(reason) => reason.class(),
        };
        metrics.calls.with_label_values(&[name, result]).inc();
        if answer.requests > 0 {
            metrics.call_seconds.with_label_values(&[name]).observe(answer.took.as_secs_f64());
        }
    }

    fn request(
        &self,
        notification: &Notification,
        request: &CallRequest,
        job: &Job,
    ) -> Result<(Request, IdempotencyKey), request::Error> {
        let key = notification.idempotency_key(&self.binding.name, request.kind, job.edit.as_deref()).into();
        let correlation_id = job.record.header(headers::CORRELATION_ID);
        let effect = Effect {
            idempotency_key: key,
            // An event of others may have none; the same call has the same.
            correlation_id: correlation_id.map_or_else(|| notification.event_id.clone(), str::to_owned),
            traceparent: job.record.header(headers::TRACEPARENT).map(str::to_owned),
        };
        let content_type = [("content-type".to_owned(), "application/json".to_owned())];
        let http = Request::new(&request.method, &request.url, content_type, request.body.clone(), effect)?;
        let http = match request.auth {
            CallAuth::BearerAndSignature => http,
            CallAuth::Standard => http.as_webhook(&notification.event_id),
        };
        Ok((http, key))
    }
}

fn failure(class: &str, message: String) -> Failure {
    Failure { class: class.to_owned(), http_status: None, message }
}

fn told(notification: &Notification, answer: Answer, step: Step) -> Done {
    let order = notification.order().service_order_id();
    Done { ledger: vec![Entry { order, detail: step.to_text() }], ..Done::of(answer) }
}
