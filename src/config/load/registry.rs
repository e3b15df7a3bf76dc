//! `[registry]`: keys named after those of Confluent's clients.

use std::time::Duration;

use url::Url;

use crate::config::load::tls::{self, Use};
use crate::config::load::{MINUTE, SHORTEST};
use crate::config::reader::Section;
use crate::config::resolve;
use crate::config::secret::Resolver;
use crate::config::settings::{RegistryAuth, RegistrySettings};

const TLS_KEYS: tls::Keys =
    tls::Keys { ca: "ssl_ca_location", certificate: "ssl_certificate_location", key: "ssl_key_location" };
const AUTH_KEYS: [&str; 3] = ["username", "password", "bearer_token"];
const SHORTEST_BACKOFF: Duration = Duration::from_millis(10);

/// `Some(None)` if there is no registry, `None` if something was reported.
pub(in crate::config) fn registry(root: &Section<'_>, secrets: &Resolver<'_>) -> Option<Option<RegistrySettings>> {
    let section = root.section("registry")?;
    let used = section.has("url");
    let url = section.optional::<String>("url").and_then(|url| address(&section, &url));
    let is_https = url.as_ref().is_some_and(|url| url.scheme() == "https");
    let usage = match (&url, is_https) {
        (Some(_), true) => Use::Now,
        (Some(_), false) => Use::Contradicted("`url` is not https"),
        (None, _) => Use::Not,
    };
    let tls = tls::read(&section, TLS_KEYS, usage);
    if !used {
        let named = [TLS_KEYS.ca, TLS_KEYS.certificate, TLS_KEYS.key].into_iter().chain(AUTH_KEYS);
        for key in named.filter(|key| section.has(key)) {
            tls::unused(&section, key, "there is no `url`");
        }
    }
    let auth = auth(&section, used, used.then_some(secrets));
    let request_timeout = section.within("request_timeout", SHORTEST..=5 * MINUTE);
    let retry_backoff = section.within("retry_backoff", SHORTEST_BACKOFF..=MINUTE);
    let retry_backoff_max = section.within("retry_backoff_max", SHORTEST_BACKOFF..=10 * MINUTE);
    if let (Some(first), Some(most)) = (retry_backoff, retry_backoff_max)
        && most < first
    {
        section.refuse("retry_backoff_max", &format!("at least {}", section.name_of("retry_backoff")), "less");
    }
    section.finish();
    let settings = RegistrySettings {
        url: match (url, used) {
            (Some(url), _) => url,
            (None, true) => return None,
            (None, false) => return Some(None),
        },
        auth: auth?,
        tls,
        request_timeout: request_timeout?,
        retry_backoff: retry_backoff?,
        retry_backoff_max: retry_backoff_max?,
    };
    Some(Some(settings))
}

fn address(section: &Section<'_>, text: &str) -> Option<Url> {
    if resolve::is_web_address(text) {
        return Url::parse(text).ok();
    }
    // Not repeated: it may hold a password.
    section.refuse("url", "an http or https address without user, query and fragment", "other text");
    None
}

/// `Some(None)` if nobody has to be named, `None` if something was reported.
fn auth(section: &Section<'_>, used: bool, secrets: Option<&Resolver<'_>>) -> Option<Option<RegistryAuth>> {
    let is_basic = section.has("username") || section.has("password");
    let bearer = resolve::secret(section, "bearer_token", false, secrets);
    let username = if is_basic && used { section.required("username") } else { section.optional("username") };
    let password = resolve::secret(section, "password", is_basic && used, secrets);
    if is_basic && section.has("bearer_token") && used {
        section.refuse("bearer_token", "either it or `username` and `password`", "both");
        return None;
    }
    if is_basic {
        return Some(Some(RegistryAuth::Basic { username: username?, password: password? }));
    }
    match (bearer, section.has("bearer_token")) {
        (Some(token), _) if token.is_token() => Some(Some(RegistryAuth::Bearer(token))),
        (Some(_), _) => {
            section.refuse("bearer_token", "visible ASCII characters without spaces", "others");
            None
        }
        (None, true) => None,
        (None, false) => Some(None),
    }
}
