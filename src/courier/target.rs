//! A partner's system that is called: everything that stands between a request and its being sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};
use url::Url;

use crate::clock::Clock;
use crate::config::binding::{Binding, Parameter};
use crate::config::courier::CourierSettings;
use crate::courier::answer::{Answer, Cause, NotMade, Verdict};
use crate::courier::breaker::{Breaker, Condition, Permit, State};
use crate::courier::client::{self, Broken, Client, Received};
use crate::courier::credentials::{self, Credentials};
use crate::courier::judge::{Outcome, Ruling, judge};
use crate::courier::kept;
use crate::courier::pace::Pace;
use crate::courier::request::Request;

/// One target; shared by everything that calls it.
pub struct Target {
    name: String,
    url: Url,
    timeout: Duration,
    credentials: Credentials,
    client: Client,
    clock: Arc<dyn Clock>,
    slots: Semaphore,
    gate: Mutex<Gate>,
    condition: watch::Sender<Condition>,
    stopping: watch::Sender<bool>,
}

/// Why a binding's target cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("target `{target}`: expected an http or https address as `{parameter}`, found other text")]
    Address { target: String, parameter: String },
    #[error("target `{target}`")]
    Credentials {
        target: String,
        #[source]
        cause: credentials::Error,
    },
    #[error("target `{target}`")]
    Client {
        target: String,
        #[source]
        cause: client::Error,
    },
}

#[derive(Debug)]
struct Gate {
    breaker: Breaker,
    pace: Pace,
}

/// The right to make a request now. Dropped without [`Turn::settle`], it was not made or nobody waits for it.
struct Turn<'a> {
    target: &'a Target,
    permit: Option<Permit>,
    _slot: SemaphorePermit<'a>,
}

impl Target {
    /// `name`: the binding's. `url`: requests to another scheme, host or port are refused.
    ///
    /// # Errors
    /// Its certificates cannot be used.
    pub fn new(
        name: &str,
        url: Url,
        settings: &CourierSettings,
        credentials: Credentials,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let client = Client::new(&url, &settings.tls, settings.concurrency)
            .map_err(|cause| Error::Client { target: name.to_owned(), cause })?;
        let mut breaker = Breaker::new(settings.breaker);
        let condition = breaker.condition(clock.now_ms());
        Ok(Self {
            name: name.to_owned(),
            url,
            timeout: settings.timeout,
            credentials,
            client,
            clock,
            slots: Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            gate: Mutex::new(Gate { breaker, pace: Pace::new(settings.rate_per_minute, settings.concurrency) }),
            condition: watch::Sender::new(condition),
            stopping: watch::Sender::new(false),
        })
    }

    /// The target of a binding at the address in `parameter`; `None` if it has none: nobody is called for it.
    ///
    /// # Errors
    /// The address, the credentials or the certificates cannot be used.
    pub fn of(binding: &Binding, parameter: &str, clock: Arc<dyn Clock>) -> Result<Option<Self>, Error> {
        let Some(Parameter::Text(url)) = binding.parameters.get(parameter) else { return Ok(None) };
        let target = || binding.name.clone();
        let url = Url::parse(url).map_err(|_| Error::Address { target: target(), parameter: parameter.to_owned() })?;
        let credentials = Credentials::of(binding).map_err(|cause| Error::Credentials { target: target(), cause })?;
        Self::new(&binding.name, url, &binding.courier, credentials, clock).map(Some)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of one attempt, a second request with a refreshed credential included. A deadline nearer than this is too near.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes one attempt: waits for a free slot and for its turn, asks the breaker, sends the request, and once more if
    /// its credential was refused.
    ///
    /// `deadline`: after this instant somebody else may make the same attempt. The request is begun only while a whole
    /// time-out is left until then, and given up when the time-out is over; so it is never under way after it.
    ///
    /// Dropping the future gives slot and probe back and closes the connection; what was written cannot be recalled.
    pub async fn attempt(&self, request: Request, deadline: Instant) -> Answer {
        if request.url().origin() != self.url.origin() {
            return Answer::bare(judge(Outcome::Failed(Cause::ForeignOrigin), 0).verdict);
        }
        match self.turn(deadline).await {
            Ok(turn) => self.make(&request, turn, deadline).await,
            Err(reason) => Answer::bare(Verdict::NotMade(reason)),
        }
    }

    /// What may be asked now. Time alone changes it too: [`Condition::changes_at_ms`].
    pub fn condition(&self) -> Condition {
        let condition = self.gate().breaker.condition(self.clock.now_ms());
        self.publish(condition);
        condition
    }

    /// Sees each change that an attempt, or a look at [`Target::condition`], brings about.
    pub fn conditions(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// How long a request asked for now would wait for its turn, by the rate alone.
    pub fn wait(&self) -> Duration {
        self.gate().pace.wait(self.clock.now_ms())
    }

    /// Begins no request any more: who waits is told so at once. Requests under way go on until their answer, their
    /// time-out, or until their futures are dropped.
    pub fn stop(&self) {
        self.slots.close();
        self.stopping.send_replace(true);
    }

    async fn turn(&self, deadline: Instant) -> Result<Turn<'_>, NotMade> {
        let latest = deadline.checked_sub(self.timeout).ok_or(NotMade::Late)?;
        // What would be refused in the end does not wait for it.
        self.check(latest)?;
        self.condition().admits()?;
        let slot = match timeout_at(latest, self.slots.acquire()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(NotMade::Stopping),
            Err(_) => return Err(NotMade::Late),
        };
        // Who waited for a slot may have seen the target fail meanwhile: then it takes no token either.
        self.condition().admits()?;
        let ready = self.reserve(latest)?;
        if ready > Instant::now() {
            let mut stopping = self.stopping.subscribe();
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return Err(NotMade::Stopping),
                () = sleep_until(ready) => {}
            }
        }
        let permit = {
            let now_ms = self.clock.now_ms();
            let mut gate = self.gate();
            let permit = gate.breaker.admit(now_ms);
            let condition = gate.breaker.condition(now_ms);
            drop(gate);
            self.publish(condition);
            permit?
        };
        let turn = Turn { target: self, permit: Some(permit), _slot: slot };
        // Last of all: whatever took its time above, nothing is begun too late.
        self.check(latest)?;
        Ok(turn)
    }

    fn check(&self, latest: Instant) -> Result<(), NotMade> {
        if *self.stopping.borrow() {
            return Err(NotMade::Stopping);
        }
        if Instant::now() > latest { Err(NotMade::Late) } else { Ok(()) }
    }

    /// When it is this request's turn by the rate. Takes none if that is too late.
    fn reserve(&self, latest: Instant) -> Result<Instant, NotMade> {
        let now_ms = self.clock.now_ms();
        let mut gate = self.gate();
        let ready = Instant::now().checked_add(gate.pace.wait(now_ms)).filter(|ready| *ready <= latest);
        let ready = ready.ok_or(NotMade::Late)?;
        gate.pace.take(now_ms);
        Ok(ready)
    }

    async fn make(&self, request: &Request, turn: Turn<'_>, deadline: Instant) -> Answer {
        let mut requests = 0;
        let began = Instant::now();
        // The deadline is no nearer but for the moments since it was looked at.
        let end = deadline.min(began + self.timeout);
        let exchange = timeout_at(end, self.exchange(request, &mut requests)).await;
        let took = began.elapsed();
        let result = exchange.unwrap_or(Err(Broken { cause: Cause::TimedOut, status: None }));
        let now_ms = self.clock.now_ms();
        let ruling = match &result {
            Ok(Received { status, headers, body, .. }) => {
                judge(Outcome::Answered { status: *status, headers, body }, now_ms)
            }
            Err(broken) => judge(Outcome::Failed(broken.cause), now_ms),
        };
        let verdict = match (turn.settle(ruling, request, now_ms), ruling.verdict) {
            (true, Verdict::Retry(cause) | Verdict::Permanent(cause)) => Verdict::TargetFailed(cause),
            (_, verdict) => verdict,
        };
        let bare = Answer { requests, took, ..Answer::bare(verdict) };
        match result {
            Err(Broken { status, .. }) => Answer { status, ..bare },
            Ok(Received { status, headers, body, is_truncated }) => Answer {
                status: Some(status),
                headers: kept::headers(&headers, self.credentials.secrets().collect::<Vec<_>>().into_iter()),
                body: kept::body(body, self.credentials.secrets()),
                body_is_truncated: is_truncated,
                ..bare
            },
        }
    }

    async fn exchange(&self, request: &Request, requests: &mut u8) -> Result<Received, Broken> {
        loop {
            let mut headers = request.headers();
            let now_ms = self.clock.now_ms();
            let shown =
                self.credentials.apply(&mut headers, request.body(), now_ms.div_euclid(1_000), request.webhook_id());
            *requests += 1;
            let (method, url, body) = (request.method().clone(), request.url().clone(), request.body().clone());
            let received = self.client.send(method, url, headers, body).await?;
            let outcome =
                Outcome::Answered { status: received.status, headers: &received.headers, body: &received.body };
            if !judge(outcome, now_ms).refresh {
                return Ok(received);
            }
            // The next request, this one's repeat or another's, shows the next credential.
            self.credentials.refresh(shown);
            if *requests > 1 {
                return Ok(received);
            }
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Held while some numbers change; a poisoned lock still guards good ones.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, condition: Condition) {
        let mut before = None;
        self.condition.send_if_modified(|known| {
            before = (*known != condition).then(|| std::mem::replace(known, condition));
            before.is_some()
        });
        let Some(before) = before.filter(|before| before.state != condition.state) else { return };
        let target = self.name.as_str();
        match condition.state {
            State::Open => {
                warn!(target_name = target, was = ?before.state, "breaker is open: the target is left alone")
            }
            State::HalfOpen => info!(target_name = target, "breaker is half-open: the target is probed"),
            State::Closed => info!(target_name = target, "breaker is closed: the target is available"),
        }
    }
}

impl Turn<'_> {
    /// Returns whether a probe failed.
    fn settle(mut self, ruling: Ruling, request: &Request, now_ms: i64) -> bool {
        let Some(permit) = self.permit.take() else { return false };
        let mut gate = self.target.gate();
        let record = request.effect().idempotency_key.digest();
        let probe_failed = gate.breaker.settle(permit, ruling.effect, record, now_ms);
        if let Some(pause) = ruling.pause {
            gate.breaker.pause(pause, now_ms);
        }
        let condition = gate.breaker.condition(now_ms);
        drop(gate);
        self.target.publish(condition);
        probe_failed
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            let mut gate = self.target.gate();
            gate.breaker.abandon(permit);
            let condition = gate.breaker.condition(self.target.clock.now_ms());
            drop(gate);
            self.target.publish(condition);
        }
    }
}
