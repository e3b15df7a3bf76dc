//! Attempts at a real server that does what a script says.

mod gate;
mod server;
mod tls;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use url::Url;

use crate::canonical::ids::Sha256Digest;
use crate::clock::ManualClock;
use crate::config::courier::CourierSettings;
use crate::config::secret::Secret;
use crate::courier::credentials::{Authorization, Credentials, Kind};
use crate::courier::{Answer, Effect, IdempotencyKey, Request, Target};

const NOW_MS: i64 = 1_772_612_130_000;
const BODY: &[u8] = br#"{"new_status":"SCHEDULED"}"#;

/// A target at `url` that has as many tokens as are given, and a clock that stands still.
struct Partner {
    target: Target,
    clock: Arc<ManualClock>,
    url: String,
}

fn settings() -> CourierSettings {
    CourierSettings { timeout: Duration::from_secs(20), ..CourierSettings::default() }
}

fn bearer(tokens: &[&str]) -> Credentials {
    let tokens = tokens.iter().map(|token| Secret::new(*token)).collect();
    Credentials::new(Some(Authorization::new(Kind::Bearer, tokens)), None).expect("tokens")
}

fn request(url: &str, event_id: &str) -> Request {
    let idempotency_key =
        IdempotencyKey::from(Sha256Digest::of(format!("north|pyxis-north|PYX-1|status|{event_id}").as_bytes()));
    let effect = Effect { idempotency_key, correlation_id: "corr-1".into(), traceparent: None };
    let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
    Request::new("POST", url, headers, Bytes::from_static(BODY), effect).expect("a request")
}

fn far() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

impl Partner {
    fn at(url: &str, settings: &CourierSettings, credentials: Credentials) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let parsed = Url::parse(url).expect("an address");
        let shared: Arc<ManualClock> = Arc::clone(&clock);
        let target = Target::new("pyxis-north", parsed, settings, credentials, shared).expect("a target");
        Self { target, clock, url: url.to_owned() }
    }

    fn plain(url: &str) -> Self {
        Self::at(url, &settings(), Credentials::default())
    }

    /// An attempt at the record of `event_id`, with all the time in the world.
    async fn attempt(&self, event_id: &str) -> Answer {
        self.target.attempt(request(&self.url, event_id), far()).await
    }
}
