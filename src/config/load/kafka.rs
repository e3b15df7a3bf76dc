//! `[log.kafka]`: keys named after librdkafka's, with `_` in the place of `.`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml_edit::Item;

use crate::config::load::tls::{self, Use};
use crate::config::load::{MINUTE, SECOND, SHORTEST};
use crate::config::reader::{FromItem, Section};
use crate::config::resolve;
use crate::config::secret::Resolver;
use crate::config::settings::{GroupProtocol, KafkaSecurity, KafkaSettings, SaslMechanism};

const TLS_KEYS: tls::Keys =
    tls::Keys { ca: "ssl_ca_location", certificate: "ssl_certificate_location", key: "ssl_key_location" };
const SASL_KEYS: [&str; 3] = ["sasl_mechanism", "sasl_username", "sasl_password"];
/// Above it brokers refuse a transaction as they are set up by default.
const LONGEST_TRANSACTION: Duration = Duration::from_mins(15);
/// As far as brokers go by default.
const LONGEST_SESSION: Duration = Duration::from_mins(30);
/// The protocol's own bound is higher, the count of brokers is lower.
const MOST_COPIES: u32 = 100;

/// Settings of librdkafka that have a key of their own here.
const KEYS_OF_OURS: [(&str, &str); 9] = [
    ("bootstrap.servers", "bootstrap_servers"),
    ("metadata.broker.list", "bootstrap_servers"),
    ("client.id", "client_id"),
    ("transactional.id", "transactional_id"),
    ("security.protocol", "security_protocol"),
    ("group.protocol", "group_protocol"),
    ("session.timeout.ms", "session_timeout"),
    ("transaction.timeout.ms", "transaction_timeout"),
    ("message.timeout.ms", "request_timeout"),
];
/// Settings of librdkafka on which a promise of the log depends, and one that runs foreign code.
const FIXED: [&str; 19] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "partition.assignment.strategy",
    "partitioner",
    "plugin.library.paths",
    "request.required.acks",
    "sticky.partitioning.linger.ms",
];

/// Settings of TLS that name no file and hold no secret.
const SSL_ALLOWED: [&str; 3] = ["ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list"];

/// librdkafka's settings by their names.
struct Properties(BTreeMap<String, String>);

/// `used`: whether this is the engine; if it is not, nothing has to be there and no secret is looked for.
pub(super) fn read(section: Section<'_>, used: bool, secrets: &Resolver<'_>) -> Option<KafkaSettings> {
    let servers = "`host:port`, or several joined by commas";
    let bootstrap_servers = text(&section, "bootstrap_servers", used, is_server_list, servers);
    let transactional_id = text(&section, "transactional_id", used, is_name, NAME);
    let client_id = text(&section, "client_id", true, is_name, NAME);
    let security = security(&section, used, used.then_some(secrets));
    let replication_factor = section.optional_within("replication_factor", 1..=MOST_COPIES);
    let group_protocol =
        section.one_of("group_protocol", &[("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)]);
    let session_timeout = section.within("session_timeout", SECOND..=LONGEST_SESSION);
    let transaction_timeout = section.within("transaction_timeout", SECOND..=LONGEST_TRANSACTION);
    let request_timeout = section.within("request_timeout", SHORTEST..=5 * MINUTE);
    let librdkafka = section.optional("librdkafka").map_or_else(BTreeMap::new, |Properties(properties)| properties);
    for name in librdkafka.keys() {
        if let Some(problem) = refusal(name) {
            let message = format!("{}: `{}` {problem}", section.name_of("librdkafka"), name.escape_debug());
            section.error(Some("librdkafka"), message);
        }
    }
    section.finish();
    Some(KafkaSettings {
        bootstrap_servers: bootstrap_servers?,
        security: security?,
        client_id: client_id?,
        transactional_id: transactional_id?,
        replication_factor: replication_factor.and_then(|copies| u16::try_from(copies).ok()),
        group_protocol: group_protocol?,
        session_timeout: session_timeout?,
        transaction_timeout: transaction_timeout?,
        request_timeout: request_timeout?,
        librdkafka,
    })
}

fn security(section: &Section<'_>, used: bool, secrets: Option<&Resolver<'_>>) -> Option<KafkaSecurity> {
    // librdkafka's names of the two with TLS are understood too.
    let protocol = section.one_of(
        "security_protocol",
        &[
            ("plaintext", (false, false)),
            ("tls", (false, true)),
            ("sasl_plaintext", (true, false)),
            ("sasl_tls", (true, true)),
            ("ssl", (false, true)),
            ("sasl_ssl", (true, true)),
        ],
    );
    let (has_sasl, has_tls) = protocol.unzip();
    let usage = match has_tls {
        Some(true) if used => Use::Now,
        Some(false) if used => Use::Contradicted("`security_protocol` is without TLS"),
        _ => Use::Not,
    };
    let tls = tls::read(section, TLS_KEYS, usage);
    if has_sasl == Some(false) && used {
        for key in SASL_KEYS.into_iter().filter(|key| section.has(key)) {
            tls::unused(section, key, "`security_protocol` is without SASL");
        }
    }
    let needs_sasl = has_sasl == Some(true) && used;
    let mechanism = if needs_sasl || section.has("sasl_mechanism") {
        section.one_of(
            "sasl_mechanism",
            &[
                ("PLAIN", SaslMechanism::Plain),
                ("SCRAM-SHA-256", SaslMechanism::ScramSha256),
                ("SCRAM-SHA-512", SaslMechanism::ScramSha512),
            ],
        )
    } else {
        section.optional::<String>("sasl_mechanism").and(None)
    };
    let username = text(section, "sasl_username", needs_sasl, |name| !name.is_empty(), "a name");
    let password = resolve::secret(section, "sasl_password", needs_sasl, secrets);
    let is_scram = needs_sasl && mechanism.is_some_and(|mechanism| mechanism != SaslMechanism::Plain);
    if used && (has_tls == Some(true) || is_scram) && !cfg!(feature = "kafka-tls") {
        let (key, found) = if is_scram { ("sasl_mechanism", "SCRAM") } else { ("security_protocol", "TLS") };
        section.refuse(key, "neither TLS nor SCRAM in a build without the feature `kafka-tls`", found);
    }
    Some(match (has_sasl?, has_tls?) {
        (false, false) => KafkaSecurity::Plaintext,
        (false, true) => KafkaSecurity::Tls(tls),
        (true, has_tls) => KafkaSecurity::Sasl {
            mechanism: mechanism?,
            username: username?,
            password: password?,
            tls: has_tls.then_some(tls),
        },
    })
}

/// Text that `accepts` takes.
fn text(section: &Section<'_>, key: &str, required: bool, accepts: fn(&str) -> bool, expected: &str) -> Option<String> {
    let text: String = if required { section.required(key) } else { section.optional(key) }?;
    if accepts(&text) {
        return Some(text);
    }
    section.refuse(key, expected, &format!("`{}`", text.escape_debug()));
    None
}

const NAME: &str = "1 to 249 letters, digits, `.`, `_`, `-`";

fn is_name(text: &str) -> bool {
    (1..=249).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_server_list(text: &str) -> bool {
    text.split(',').all(|server| {
        server.trim().rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_[]:".contains(c);
            !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    })
}

/// Why a setting of librdkafka is not taken.
fn refusal(name: &str) -> Option<String> {
    if let Some((_, key)) = KEYS_OF_OURS.iter().find(|(theirs, _)| *theirs == name) {
        return Some(format!("has a key of its own, `{key}`"));
    }
    if name.starts_with("sasl.") || name.starts_with("ssl.") && !SSL_ALLOWED.contains(&name) {
        return Some("is set by the `sasl_…` and `ssl_…` keys".to_owned());
    }
    if FIXED.contains(&name) {
        return Some("cannot be changed: what the log promises depends on it".to_owned());
    }
    None
}

impl FromItem for Properties {
    const EXPECTED: &'static str = "a table of settings such as { \"socket.keepalive.enable\" = true }";
    fn from_item(item: &Item) -> Option<Self> {
        let mut properties = BTreeMap::new();
        collect(item, "", &mut properties)?;
        Some(Self(properties))
    }
}

/// Without quotes, TOML takes the dots of `socket.keepalive.enable` for tables within tables: the same is meant.
fn collect(item: &Item, prefix: &str, properties: &mut BTreeMap<String, String>) -> Option<()> {
    for (key, value) in item.as_table_like()?.iter() {
        let name = format!("{prefix}{key}");
        if value.is_table_like() {
            collect(value, &format!("{name}."), properties)?;
            continue;
        }
        let text = value.as_str().map(str::to_owned);
        let number = || value.as_integer().map(|number| number.to_string());
        let decimal = || value.as_float().map(|number| number.to_string());
        let flag = || value.as_bool().map(|flag| flag.to_string());
        properties.insert(name, text.or_else(number).or_else(decimal).or_else(flag)?);
    }
    Some(())
}
