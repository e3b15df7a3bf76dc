//! Pyxis and Tempo, as they are called.

use std::collections::BTreeMap;

use crossdock::cli::partner::Receiver;
use crossdock::cli::partner::receiver::Trust;
use crossdock::config::secret::Secret;

use super::Order;
use crate::support::gateway::{BEARER_TOKEN, SIGNING_SECRET, TEMPO_BEARER_TOKEN, TEMPO_SIGNING_SECRET};
use crate::support::{Options, PATIENCE};

pub struct Partners {
    pub pyxis: Receiver,
    pub tempo: Receiver,
}

impl Partners {
    pub async fn start() -> Self {
        let trust = |token, secret| Trust {
            bearer_token: Some(Secret::new(token)),
            signing_secrets: vec![Secret::new(secret)],
        };
        Self {
            pyxis: Receiver::start(trust(BEARER_TOKEN, SIGNING_SECRET)).await.expect("a port"),
            tempo: Receiver::start(trust(TEMPO_BEARER_TOKEN, TEMPO_SIGNING_SECRET)).await.expect("a port"),
        }
    }

    /// `options`, with the addresses of these.
    pub fn options(&self, options: &Options) -> Options {
        let (pyxis_url, tempo_url) = (Some(self.pyxis.base_url()), Some(self.tempo.base_url()));
        Options { pyxis_url, tempo_url, ..options.clone() }
    }
}

/// Waits until `partner` has applied every call these orders are to have caused. As long as there is one more within
/// [`PATIENCE`], it is waited for.
pub async fn until_told(partner: &Receiver, orders: &[Order]) {
    let expected = expected(orders);
    let all: usize = expected.values().map(Vec::len).sum();
    loop {
        let before = partner.look(|received| received.applied_count());
        if before >= all && partner.look(|received| received.missing(&expected).is_empty()) {
            return;
        }
        let more = partner.until(|received| received.applied_count() > before);
        if tokio::time::timeout(PATIENCE, more).await.is_err() {
            break;
        }
    }
    let missing = partner.look(|received| received.missing(&expected));
    let newest: Vec<_> = partner.look(|received| received.calls().map(|call| call.told()).collect());
    panic!("{} calls were not made in time: {missing:#?}\nof these: {newest:#?}", missing.len());
}

/// What must hold of whatever a partner was told, at any time.
#[track_caller]
pub fn assert_in_order(partner: &Receiver, orders: &[Order]) {
    let expected = expected(orders);
    let wrong = partner.look(|received| {
        let mut wrong = received.out_of_order(&expected);
        wrong.extend(received.at_once().into_iter().map(|call| format!("at once with its predecessor: {call}")));
        wrong
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The keys of the calls of each order, as they must be applied.
pub fn expected(orders: &[Order]) -> BTreeMap<String, Vec<String>> {
    orders.iter().map(|order| (order.id.clone(), order.keys.clone())).collect()
}
