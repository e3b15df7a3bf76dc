//! `[[call]]`: a request to the partner, and which of the platform's events cause it.

use std::collections::BTreeMap;

use crate::canonical::notification::Kind;
use crate::config::binding::{ParameterKind, ParameterSpec};
use crate::config::reader::Section;
use crate::normalize::manifest::topic::log_name;
use crate::normalize::manifest::webhook::ROUTE;
use crate::normalize::manifest::{Pointer, RouteSpec, named, one_of, pointer};

/// One kind of request to the partner.
#[derive(Debug, Clone)]
pub struct CallSpec {
    pub name: String,
    /// What it does, which is part of its idempotency key and says what a repeat of it is.
    pub kind: Kind,
    pub method: String,
    pub url: UrlSpec,
    pub auth: CallAuth,
    /// Where in the body the mapped value stands by which a repeat is told; `None`: the event's own.
    pub value: Option<Pointer>,
    /// The events that may cause it, at least one, each record once.
    pub on: Vec<CauseSpec>,
    /// Where the call begins in the file, from 1.
    pub line: usize,
}

/// How the gateway proves to the partner who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallAuth {
    /// A bearer token and the signature headers of house systems.
    BearerAndSignature,
    /// Standard Webhooks; `webhook-id` is the event's id.
    Standard,
}

/// Events of one record that may cause a call; the program decides.
#[derive(Debug, Clone)]
pub struct CauseSpec {
    /// With its namespace.
    pub record: String,
    /// The topics whose events are meant; empty: all that carry the record.
    pub topics: Vec<String>,
    /// Of the mapping, relative to the adapter's folder.
    pub program: String,
    /// Where it begins in the file, from 1.
    pub line: usize,
}

/// `{base_url}/webhooks/status`: a binding's address and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSpec {
    /// The binding parameter with the address.
    pub parameter: String,
    /// Empty, or a path that begins with `/`.
    pub path: String,
}

impl CallAuth {
    const NAMES: [(&str, Self); 2] = [("bearer+signature", Self::BearerAndSignature), ("standard", Self::Standard)];
}

impl UrlSpec {
    /// The address behind `base`, which is used without a slash at its end.
    pub fn behind(&self, base: &str) -> String {
        match self.path.is_empty() {
            true => base.to_owned(),
            false => format!("{}{}", base.trim_end_matches('/'), self.path),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (parameter, path) = text.strip_prefix('{')?.split_once('}')?;
        let is_path = path.is_empty() || path.starts_with('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        (is_path && path.bytes().all(plain)).then(|| Self { parameter: parameter.to_owned(), path: path.to_owned() })
    }
}

/// The calls of the manifest without a mistake. `parameters`: what its bindings may say.
pub(super) fn read_calls(
    root: &Section<'_>,
    routes: &[RouteSpec],
    parameters: &BTreeMap<String, ParameterSpec>,
) -> Vec<CallSpec> {
    let mut calls: Vec<CallSpec> = Vec::new();
    for section in root.sections("call") {
        let call = read_call(&section, parameters);
        if let Some(CallSpec { name, .. }) = &call {
            // `map` takes either by its name.
            let is_taken = routes.iter().any(|route| route.name == *name) || name == ROUTE;
            if is_taken || calls.iter().any(|known| known.name == *name) {
                section.error(Some("name"), format!("a second route or call `{name}`"));
            }
        }
        calls.extend(call);
        section.finish();
    }
    calls
}

fn read_call(section: &Section<'_>, parameters: &BTreeMap<String, ParameterSpec>) -> Option<CallSpec> {
    let name = named(section, "name");
    let kind = one_of(section, "kind", &Kind::ALL.map(|kind| (kind.as_str(), kind)));
    let method = one_of(section, "method", &["POST", "PUT", "PATCH", "DELETE"].map(|name| (name, name)));
    let url = section.required::<String>("url").and_then(|text| read_url(section, &text, parameters));
    let auth = one_of(section, "auth", &CallAuth::NAMES);
    let value = section.optional("value").and_then(|text: String| pointer(section, "value", &text));
    let mut on: Vec<CauseSpec> = Vec::new();
    for cause in section.sections("on") {
        let read = read_cause(&cause);
        if let Some(read) = &read
            && on.iter().any(|known| known.record == read.record)
        {
            cause.error(Some("record"), format!("a second program for record `{}`", read.record));
        }
        on.extend(read);
        cause.finish();
    }
    if !section.has("on") {
        section.error(None, "`on` is missing: expected one or more `[[call.on]]`, the events that cause the call");
    }
    let line = section.place(None).1;
    Some(CallSpec { name: name?, kind: kind?, method: method?.to_owned(), url: url?, auth: auth?, value, on, line })
}

fn read_url(section: &Section<'_>, text: &str, parameters: &BTreeMap<String, ParameterSpec>) -> Option<UrlSpec> {
    let Some(url) = UrlSpec::parse(text) else {
        let message = "`url`: expected a binding parameter in braces and a path, such as `{base_url}/webhooks/status`";
        section.error(Some("url"), message);
        return None;
    };
    if parameters.get(&url.parameter).is_none_or(|spec| spec.kind != ParameterKind::Url) {
        let parameter = url.parameter.escape_debug();
        section.error(Some("url"), format!("`url`: no binding parameter `{parameter}` of type url"));
    }
    Some(url)
}

fn read_cause(section: &Section<'_>) -> Option<CauseSpec> {
    let record = section.required::<String>("record");
    let topics: Vec<String> = section.optional("topics").unwrap_or_default();
    if topics.iter().any(|topic| !log_name(topic)) {
        section.error(Some("topics"), "`topics`: expected names of topics");
    }
    let program = section.required::<String>("program");
    Some(CauseSpec { record: record?, topics, program: program?, line: section.place(None).1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader::Document;
    use crate::normalize::manifest::Manifest;

    #[test]
    fn every_mistake_of_a_call_is_reported_with_its_line() {
        let text = "name = \"acme\"\nversion = \"1\"\nsource_system = \"CUSTOM\"\nsource_key = \"custom.acme\"\n\
            [limits]\nbody_bytes = \"1MiB\"\n[binding.base_url]\ntype = \"url\"\n[binding.key]\ntype = \"text\"\n\
            [[call]]\nname = \"status\"\nkind = \"news\"\nmethod = \"GET\"\nurl = \"{key}/x\"\nauth = \"none\"\n\
            value = \"state\"\n[[call.on]]\nrecord = \"a.B\"\nprogram = \"b.vrl\"\n[[call.on]]\nrecord = \"a.B\"\n\
            program = \"c.vrl\"\ntopics = [\"a b\"]\n[[call]]\nname = \"empty\"\nkind = \"status\"\nmethod = \"POST\"\n\
            url = \"https://acme\"\nauth = \"standard\"\n";

        let (_, report) = Manifest::read(&Document::parse("adapter.toml", text).expect("valid TOML"));

        let found: Vec<_> = report.findings().iter().map(|finding| finding.to_string()).collect();
        assert_eq!(
            found,
            [
                "adapter.toml:13:8: `kind`: expected one of: status, tv_outcome, cancellation, payment, \
                 callback, found `news`",
                "adapter.toml:14:10: `method`: expected one of: POST, PUT, PATCH, DELETE, found `GET`",
                "adapter.toml:15:7: `url`: no binding parameter `key` of type url",
                "adapter.toml:16:8: `auth`: expected one of: bearer+signature, standard, found `none`",
                "adapter.toml:17:9: `value`: expected a JSON pointer such as `/order_id`",
                "adapter.toml:22:10: a second program for record `a.B`",
                "adapter.toml:24:10: `topics`: expected names of topics",
                "adapter.toml:25:1: `on` is missing: expected one or more `[[call.on]]`, the events that cause \
                 the call",
                "adapter.toml:29:7: `url`: expected a binding parameter in braces and a path, such as \
                 `{base_url}/webhooks/status`",
            ]
        );
    }

    #[test]
    fn an_address_is_a_parameter_and_a_path() {
        for (text, base, expected) in [
            (
                "{base_url}/webhooks/status",
                "https://pyxis.example/api",
                Some("https://pyxis.example/api/webhooks/status"),
            ),
            ("{base_url}/status", "https://pyxis.example/", Some("https://pyxis.example/status")),
            ("{callback_url}", "https://shop.example/hook/", Some("https://shop.example/hook/")),
            ("{base_url}status", "https://pyxis.example", None),
            ("{base_url}/orders/{id}", "https://pyxis.example", None),
            ("https://pyxis.example/status", "", None),
        ] {
            assert_eq!(UrlSpec::parse(text).map(|url| url.behind(base)).as_deref(), expected, "{text}");
        }
    }
}
