//! `[courier.sales]` and its like: how each kind of target is called, and what a binding says otherwise.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml_edit::Item;

use crate::config::courier::{BreakerSettings, CourierSettings, Profile, RetrySettings};
use crate::config::load::tls::{self, Use};
use crate::config::load::{MINUTE, SECOND, SHORTEST};
use crate::config::reader::{FromItem, Section};
use crate::config::settings::TlsSettings;
use crate::config::value::Bounded as _;

const TLS_KEYS: tls::Keys =
    tls::Keys { ca: "ssl_ca_location", certificate: "ssl_certificate_location", key: "ssl_key_location" };

const DAY: Duration = Duration::from_hours(24);
/// A retry is a topic of its own.
const MOST_RETRIES: u32 = 16;
const MOST_ROUNDS: usize = 16;
/// The keys that say by doubling what `retry_delays` says by listing.
const DOUBLING: [&str; 3] = ["retries", "retry_delay", "retry_delay_max"];

/// What bindings start from.
#[derive(Debug)]
pub(in crate::config) struct Profiles {
    sales: CourierSettings,
    erp: CourierSettings,
    esignature: CourierSettings,
}

pub(super) fn profiles(section: Section<'_>) -> Profiles {
    let of = |key, profile| {
        let base = CourierSettings::of(profile);
        match section.section(key) {
            Some(section) => settings(section, &base),
            None => base,
        }
    };
    let profiles = Profiles {
        sales: of("sales", Profile::Sales),
        erp: of("erp", Profile::Erp),
        esignature: of("esignature", Profile::Esignature),
    };
    section.finish();
    profiles
}

impl Profiles {
    /// As a binding's `courier` says, or a sales system's.
    pub(in crate::config) fn of_binding(&self, binding: &Section<'_>) -> CourierSettings {
        let Some(section) = binding.section("courier") else { return self.sales.clone() };
        let base = match section.optional("profile").unwrap_or_default() {
            Profile::Sales => &self.sales,
            Profile::Erp => &self.erp,
            Profile::Esignature => &self.esignature,
        };
        settings(section, base)
    }
}

/// What the table says, `base` for the rest.
fn settings(section: Section<'_>, base: &CourierSettings) -> CourierSettings {
    let timeout = section.optional_within("timeout", SHORTEST..=10 * MINUTE);
    let concurrency = section.optional_within("concurrency", 1..=1_000);
    let rate_per_minute = section.optional_within("rate_per_minute", 0..=1_000_000);
    let retry = retry(&section, &base.retry);
    let breaker = breaker(&section, base.breaker);
    let second_rounds = list(&section, "second_rounds", SECOND..=30 * DAY, MOST_ROUNDS);
    let tls = tls::read(&section, TLS_KEYS, Use::Now);
    section.finish();
    CourierSettings {
        timeout: timeout.unwrap_or(base.timeout),
        concurrency: concurrency.unwrap_or(base.concurrency),
        rate_per_minute: rate_per_minute.unwrap_or(base.rate_per_minute),
        retry,
        breaker,
        second_rounds: second_rounds.unwrap_or_else(|| base.second_rounds.clone()),
        tls: TlsSettings {
            ca: tls.ca.or_else(|| base.tls.ca.clone()),
            client: tls.client.or_else(|| base.tls.client.clone()),
        },
    }
}

fn retry(section: &Section<'_>, base: &RetrySettings) -> RetrySettings {
    let bounds = SHORTEST..=DAY;
    let delays = list(section, "retry_delays", bounds.clone(), MOST_RETRIES as usize);
    let retries = section.optional_within("retries", 0..=MOST_RETRIES).and_then(|retries| retries.try_into().ok());
    let first = section.optional_within("retry_delay", bounds.clone()).unwrap_or(base.first);
    let most = section.optional_within("retry_delay_max", bounds).unwrap_or(base.most);
    let jitter = section.optional_within("retry_jitter_percent", 0..=100_u32).and_then(|share| share.try_into().ok());
    if most < first {
        section.refuse("retry_delay_max", &format!("at least {}", section.name_of("retry_delay")), "less");
    }
    // What a binding says in one way overrules what its profile says in the other.
    let doubles = DOUBLING.iter().any(|key| section.has(key));
    let delays = delays.or_else(|| base.delays.clone().filter(|_| !doubles));
    RetrySettings {
        delays,
        retries: retries.unwrap_or(base.retries),
        first,
        most,
        jitter_percent: jitter.unwrap_or(base.jitter_percent),
    }
}

fn breaker(section: &Section<'_>, base: BreakerSettings) -> BreakerSettings {
    let failures = section.optional_within("breaker_failures", 1..=1_000);
    let open_for = section.optional_within("breaker_open_for", SECOND..=DAY);
    let successes = section.optional_within("breaker_successes", 1..=100);
    BreakerSettings {
        failures: failures.unwrap_or(base.failures),
        open_for: open_for.unwrap_or(base.open_for),
        successes: successes.unwrap_or(base.successes),
    }
}

/// Durations within `bounds`, at most `most` of them; `None` if they are absent or wrong (which is reported).
fn list(section: &Section<'_>, key: &str, bounds: RangeInclusive<Duration>, most: usize) -> Option<Vec<Duration>> {
    let list: Vec<Duration> = section.optional(key)?;
    if list.len() > most || !list.iter().all(|delay| bounds.contains(delay)) {
        let (least, longest) = (bounds.start().shown(), bounds.end().shown());
        let expected = format!("at most {most} durations of {least} to {longest}");
        section.refuse(key, &expected, "others");
        return None;
    }
    Some(list)
}

impl FromItem for Profile {
    const EXPECTED: &'static str = "\"sales\", \"erp\" or \"esignature\"";
    fn from_item(item: &Item) -> Option<Self> {
        match item.as_str()? {
            "sales" => Some(Self::Sales),
            "erp" => Some(Self::Erp),
            "esignature" => Some(Self::Esignature),
            _ => None,
        }
    }
}
