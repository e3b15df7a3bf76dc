//! `[store.postgres]`: keys named after libpq's and the server's.

use crate::config::load::tls::{self, Use};
use crate::config::load::{MINUTE, SECOND, SHORTEST};
use crate::config::reader::Section;
use crate::config::resolve;
use crate::config::secret::{Resolver, Secret};
use crate::config::settings::{PostgresSettings, PostgresTls};

const TLS_KEYS: tls::Keys = tls::Keys { ca: "sslrootcert", certificate: "sslcert", key: "sslkey" };
const MOST_CONNECTIONS: usize = 1000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Require,
    VerifyFull,
}

/// `used`: whether this is the engine; if it is not, nothing has to be there and no secret is looked for.
pub(super) fn read(section: Section<'_>, used: bool, secrets: &Resolver<'_>) -> Option<PostgresSettings> {
    let secrets = used.then_some(secrets);
    let url = resolve::secret(&section, "url", used, secrets).filter(|url| is_server(&section, url));
    let password = resolve::secret(&section, "password", false, secrets);
    let schema = section.required::<String>("schema").filter(|schema| is_schema(&section, schema));
    let mode = section.one_of(
        "sslmode",
        &[("disable", Mode::Disable), ("require", Mode::Require), ("verify-full", Mode::VerifyFull)],
    );
    let usage = match mode {
        Some(Mode::Disable) if used => Use::Contradicted("`sslmode` is \"disable\""),
        Some(_) if used => Use::Now,
        _ => Use::Not,
    };
    let tls = tls::read(&section, TLS_KEYS, usage);
    if mode == Some(Mode::Require) && used && tls.ca.is_some() {
        tls::unused(&section, TLS_KEYS.ca, "`sslmode` is \"require\", which looks at no certificate");
    }
    let max_connections = section.within("max_connections", 1..=MOST_CONNECTIONS);
    let connect_timeout = section.within("connect_timeout", SHORTEST..=5 * MINUTE);
    let statement_timeout = section.within("statement_timeout", SECOND..=30 * MINUTE);
    let idle = section.within("idle_in_transaction_session_timeout", SECOND..=30 * MINUTE);
    if let (Some(statement), Some(idle)) = (statement_timeout, idle)
        && statement <= idle
    {
        let name = section.name_of("idle_in_transaction_session_timeout");
        section.refuse("statement_timeout", &format!("more than {name}"), "no more");
    }
    section.finish();
    Some(PostgresSettings {
        url: url?,
        password,
        schema: schema?,
        tls: match mode? {
            Mode::Disable => PostgresTls::Disable,
            Mode::Require => PostgresTls::Require { client: tls.client },
            Mode::VerifyFull => PostgresTls::VerifyFull(tls),
        },
        max_connections: max_connections?,
        connect_timeout: connect_timeout?,
        statement_timeout: statement_timeout?,
        idle_in_transaction_session_timeout: idle?,
    })
}

/// A URL or libpq's `key=value` words; it may hold a password, so it is not repeated.
fn is_server(section: &Section<'_>, url: &Secret) -> bool {
    let url = url.reveal();
    let is_server = url.starts_with("postgresql://") || url.starts_with("postgres://") || url.contains('=');
    if !is_server {
        section.refuse("url", "the name of `postgresql://user@host:port/database`", "that of other text");
    }
    is_server
}

/// A name that needs no quotes anywhere.
fn is_schema(section: &Section<'_>, name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_schema = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if !is_schema {
        let expected = "a lower-case letter or `_`, then such and digits, at most 63";
        section.refuse("schema", expected, &format!("`{}`", name.escape_debug()));
    }
    is_schema
}
