//! `mappings/<adapter>/adapter.toml`: what an adapter is. It names no tenant, no URL and no secret; a binding does.

pub mod call;
mod topic;
pub mod webhook;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use vrl::path::{OwnedSegment, OwnedValuePath};

use crate::canonical::order::SourceSystem;
use crate::config::binding::{Binding, BindingSpec, ParameterKind, ParameterSpec};
use crate::config::reader::{ByteSize, Document, Section};
use crate::config::report::Report;
use crate::normalize::manifest::call::CallSpec;
use crate::normalize::manifest::webhook::WebhookSpec;

pub use topic::{AvroSpec, TopicSpec};

/// Largest body of a webhook whose manifest names none. Source: `contracts/canonical-events.md` section 10.
const WEBHOOK_BODY_BYTES: ByteSize = ByteSize(1 << 20);

/// The name of the file.
pub const FILE: &str = "adapter.toml";

/// An adapter as its file describes it.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub source_system: SourceSystem,
    /// `None`: each binding is a source of its own, see [`Self::source_key`].
    pub source_key: Option<String>,
    /// Largest body, inclusive.
    pub body_bytes: usize,
    /// What a binding must or may say beside what every binding says.
    pub parameters: BTreeMap<String, ParameterSpec>,
    pub routes: Vec<RouteSpec>,
    pub topics: Vec<TopicSpec>,
    pub webhook: Option<WebhookSpec>,
    /// What the partner is told, in the order in which they are asked whether they have a request.
    pub calls: Vec<CallSpec>,
}

/// One kind of message the adapter takes.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    pub name: String,
    pub target: Target,
    /// `None`: the route is only reached by a topic.
    pub http: Option<Http>,
    /// Of the mapping, relative to the adapter's folder.
    pub program: String,
    /// Of the JSON Schema, relative to the folder of schemas.
    pub schema: String,
    /// The order's id.
    pub id: Pointer,
    /// Where the revision comes from: the first one the payload has.
    pub revision: Vec<Pointer>,
    /// The order's lines.
    pub lines: Option<Pointer>,
    /// What this route needs beyond what the schema requires.
    pub requires: Vec<Pointer>,
    /// A JSON document in a member of the payload.
    pub embedded: Option<Embedded>,
    /// Where the route begins in the file, from 1.
    pub line: usize,
}

/// A JSON document as the text of a member.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The member.
    pub at: Pointer,
    /// In the document: the order's id, by which it is known to be about the same order.
    pub id: Pointer,
}

/// What a route's messages mean for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    OrderCreated,
    OrderUpdated,
    /// Created or updated, as the order's state has it.
    OrderUpsert,
    OrderCancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    pub method: String,
    /// Parameters in braces; each is the order's id.
    pub path: String,
    pub auth: Auth,
    /// Accepted media types, without parameters, in lower case.
    pub media_types: Vec<String>,
}

/// How a sender proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// A bearer token and the signature headers of house systems.
    BearerAndSignature,
}

/// An RFC 6901 pointer into the payload, and the path it is for VRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub text: String,
    pub path: OwnedValuePath,
}

impl Manifest {
    /// Reads the manifest of the adapter in `folder`: every mistake of the file, with its line, and the manifest as far
    /// as it could be read, so that what it names can be checked all the same. One with mistakes is not to be used.
    pub fn load_sound(folder: &Path) -> (Option<Self>, Report) {
        match Document::read(folder.join(FILE)) {
            Ok(document) => Self::read(&document),
            Err(report) => (None, report),
        }
    }

    fn read(document: &Document) -> (Option<Self>, Report) {
        let report = RefCell::default();
        let manifest = read_manifest(document.root(&report));
        (manifest, report.into_inner())
    }

    /// What a binding of the adapter may say.
    pub fn binding_spec(&self) -> BindingSpec {
        let topics = self.topics.iter().map(|topic| topic.name.clone()).collect();
        BindingSpec { parameters: self.parameters.clone(), topics }
    }

    /// The `source_key` of the orders that come by `binding`.
    ///
    /// Source: `contracts/webhook.md`, "Mapping": `custom.<source_id>`.
    pub fn source_key(&self, binding: &Binding) -> Cow<'_, str> {
        match &self.source_key {
            Some(key) => Cow::Borrowed(key),
            // The configuration refuses a binding of such an adapter without one.
            None => Cow::Owned(format!("custom.{}", binding.source_id.as_ref().unwrap_or(&binding.name))),
        }
    }

    /// `<adapter>/<version>`.
    pub fn transformation_version(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }
}

impl Target {
    const NAMES: [(&'static str, Self); 4] = [
        ("order_created", Self::OrderCreated),
        ("order_updated", Self::OrderUpdated),
        ("order_upsert", Self::OrderUpsert),
        ("order_cancelled", Self::OrderCancelled),
    ];
}

impl Pointer {
    /// `None` unless `text` is empty or begins with `/`.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(segment).collect(),
            None if text.is_empty() => Vec::new(),
            None => return None,
        };
        Some(Self { text: text.to_owned(), path: OwnedValuePath::from(segments) })
    }
}

fn segment(escaped: &str) -> OwnedSegment {
    match escaped.parse() {
        Ok(index) => OwnedSegment::Index(index),
        Err(_) => OwnedSegment::field(&escaped.replace("~1", "/").replace("~0", "~")),
    }
}

fn read_manifest(root: Section<'_>) -> Option<Manifest> {
    let name = named(&root, "name");
    let version = root.required::<String>("version");
    let systems = [SourceSystem::Pyxis, SourceSystem::Tempo, SourceSystem::Sap, SourceSystem::Custom];
    let source_system = one_of(&root, "source_system", &systems.map(|system| (system.as_str(), system)));
    let is_webhook = root.has("webhook");
    let source_key = read_source_key(&root, is_webhook, source_system);
    let limits = root.section("limits");
    let body_bytes = limits.as_ref().and_then(|limits| limits.required::<ByteSize>("body_bytes"));
    let body_bytes = match limits {
        Some(limits) => {
            limits.finish();
            body_bytes
        }
        None if is_webhook => Some(WEBHOOK_BODY_BYTES),
        None => {
            root.error(None, "`limits` is missing: expected a table with `body_bytes`");
            None
        }
    };
    let mut parameters = root.section("binding").map(read_parameters).unwrap_or_default();
    let mut routes = Vec::new();
    let sections = root.sections("route");
    let declared = sections.len();
    for section in sections {
        let route = read_route(&section);
        if let Some(route) = &route
            && routes.iter().any(|known: &RouteSpec| known.name == route.name)
        {
            section.error(Some("name"), format!("a second route `{}`", route.name));
        }
        routes.extend(route);
        section.finish();
    }
    let topics = topic::read_topics(&root, (routes.len() == declared).then_some(&routes));
    let webhook = root.section("webhook").map(|section| {
        let spec = webhook::read(&section);
        if let Some(spec) = &spec {
            webhook::check_routes(&section, spec, &routes);
            parameters.extend(spec.parameters());
        }
        section.finish();
        spec
    });
    let calls = call::read_calls(&root, &routes, &parameters);
    root.finish();
    Some(Manifest {
        name: name?,
        version: version?,
        source_system: source_system?,
        source_key: source_key?,
        body_bytes: body_bytes?.0,
        parameters,
        routes,
        topics,
        // As with a route's path: what is wrong is reported, so the manifest is refused.
        webhook: webhook.flatten(),
        calls,
    })
}

/// `None` if it was reported; `Some(None)` if each binding is a source of its own.
fn read_source_key(root: &Section<'_>, is_webhook: bool, system: Option<SourceSystem>) -> Option<Option<String>> {
    if !is_webhook {
        return root.required::<String>("source_key").map(Some);
    }
    if root.has("source_key") {
        root.optional::<String>("source_key");
        let message = "`source_key`: with `[webhook]` it is `custom.<source_id>` of each binding";
        root.error(Some("source_key"), message);
    }
    if system.is_some_and(|system| system != SourceSystem::Custom) {
        root.error(Some("source_system"), "`source_system`: with `[webhook]` expected CUSTOM");
    }
    Some(None)
}

fn read_parameters(section: Section<'_>) -> BTreeMap<String, ParameterSpec> {
    const KINDS: [(&str, ParameterKind); 5] = [
        ("text", ParameterKind::Text),
        ("list", ParameterKind::List),
        ("secrets", ParameterKind::Secrets),
        ("url", ParameterKind::Url),
        ("table", ParameterKind::Table),
    ];
    let mut parameters = BTreeMap::new();
    for name in section.keys() {
        let Some(parameter) = section.section(&name) else { continue };
        let kind = one_of(&parameter, "type", &KINDS);
        let required = parameter.optional("required").unwrap_or(false);
        parameter.finish();
        parameters.extend(kind.map(|kind| (name, ParameterSpec { kind, required })));
    }
    parameters
}

fn read_route(section: &Section<'_>) -> Option<RouteSpec> {
    let name = named(section, "name");
    if name.as_deref() == Some(webhook::ROUTE) {
        section.error(Some("name"), format!("`{}` stands for the webhook itself", webhook::ROUTE));
    }
    let target = match section.is("target", "activity") {
        true => {
            section.optional::<String>("target");
            section.error(Some("target"), "`target`: `activity` is not there yet, this version maps orders only");
            None
        }
        false => one_of(section, "target", &Target::NAMES),
    };
    let http = section.section("http").map(|http| {
        let read = read_http(&http);
        http.finish();
        read
    });
    let program = section.required::<String>("program");
    let schema = section.required::<String>("schema");
    let id = section.required("id").and_then(|text: String| pointer(section, "id", &text));
    let revision = pointers(section, "revision");
    if revision.is_empty() {
        section.error(None, "`revision` is missing: expected pointers, that of the newest time first");
    }
    let lines = section.optional("lines").and_then(|text: String| pointer(section, "lines", &text));
    if lines.is_none() && target.is_some_and(|target| target != Target::OrderCancelled) {
        section.error(None, "`lines` is missing: expected the pointer of the order's lines");
    }
    let requires = pointers(section, "requires");
    let embedded = section.section("embedded").map(|embedded| {
        let read = read_embedded(&embedded);
        embedded.finish();
        read
    });
    Some(RouteSpec {
        name: name?,
        target: target?,
        // A route with a wrong path is not one without a path; the mistake is reported, so the manifest is refused.
        http: http.flatten(),
        program: program?,
        schema: schema?,
        id: id?,
        revision,
        lines,
        requires,
        embedded: embedded.flatten(),
        line: section.place(None).1,
    })
}

fn read_embedded(section: &Section<'_>) -> Option<Embedded> {
    let [at, id] = ["at", "id"].map(|key| {
        let text = section.required::<String>(key)?;
        let pointer = pointer(section, key, &text)?;
        if pointer.text.is_empty() {
            section.error(Some(key), format!("`{key}`: expected the pointer of a member"));
        }
        Some(pointer)
    });
    Some(Embedded { at: at?, id: id? })
}

fn read_http(section: &Section<'_>) -> Option<Http> {
    let method = one_of(section, "method", &[("POST", "POST"), ("PUT", "PUT")]);
    let path = section.required::<String>("path");
    if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        section.error(Some("path"), "`path`: expected a path that begins with `/`");
    }
    let auth = one_of(section, "auth", &[("bearer+signature", Auth::BearerAndSignature)]);
    let media_types: Option<Vec<String>> = section.required("media_types");
    let media_types = media_types.map(|types| types.iter().map(|media| media.to_ascii_lowercase()).collect());
    Some(Http { method: method?.to_owned(), path: path?, auth: auth?, media_types: media_types? })
}

fn named(section: &Section<'_>, key: &str) -> Option<String> {
    let name = section.required::<String>(key)?;
    let mut letters = name.bytes();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 32
        && letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_name {
        section.error(Some(key), format!("`{key}`: expected `[a-z][a-z0-9-]{{0,31}}`"));
    }
    is_name.then_some(name)
}

fn one_of<T: Copy>(section: &Section<'_>, key: &str, names: &[(&str, T)]) -> Option<T> {
    let text = section.required::<String>(key)?;
    let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        section.error(Some(key), format!("`{key}`: expected one of: {}, found `{text}`", names.join(", ")));
    }
    found
}

fn pointers(section: &Section<'_>, key: &str) -> Vec<Pointer> {
    let texts: Vec<String> = section.optional(key).unwrap_or_default();
    texts.iter().filter_map(|text| pointer(section, key, text)).collect()
}

fn pointer(section: &Section<'_>, key: &str, text: &str) -> Option<Pointer> {
    let pointer = Pointer::parse(text);
    if pointer.is_none() {
        section.error(Some(key), format!("`{key}`: expected a JSON pointer such as `/order_id`"));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Report {
        Manifest::read(&Document::parse("adapter.toml", text).expect("valid TOML")).1
    }

    #[test]
    fn every_mistake_of_a_manifest_is_reported_with_its_line() {
        let text = "name = \"Acme\"\nversion = \"1.0.0\"\nsource_system = \"ACME\"\nsource_key = \"acme\"\n\
            tenant = \"north\"\n[limits]\nbody_bytes = \"big\"\n[binding.codes]\ntype = \"array\"\n\
            [[route]]\nname = \"order\"\ntarget = \"order_made\"\nprogram = \"order.vrl\"\nid = \"order_id\"\n\
            revision = [\"/updated_at\"]\n";

        let report = mistakes(text);

        let found: Vec<_> = report.findings().iter().map(|finding| finding.to_string()).collect();
        assert_eq!(
            found,
            [
                "adapter.toml:1:8: `name`: expected `[a-z][a-z0-9-]{0,31}`",
                "adapter.toml:3:17: `source_system`: expected one of: PYXIS, TEMPO, SAP, CUSTOM, found `ACME`",
                "adapter.toml:5:1: unknown key `tenant`, expected one of: binding, call, limits, name, route, \
                 source_key, source_system, topic, version, webhook",
                "adapter.toml:7:14: `limits.body_bytes`: expected a size such as 65536, \"64KiB\" or \"2MiB\", found \
                 other text",
                "adapter.toml:9:8: `type`: expected one of: text, list, secrets, url, table, found `array`",
                "adapter.toml:10:1: `route.schema` is missing: expected text",
                "adapter.toml:12:10: `target`: expected one of: order_created, order_updated, order_upsert, \
                 order_cancelled, found `order_made`",
                "adapter.toml:14:6: `id`: expected a JSON pointer such as `/order_id`",
            ]
        );
    }

    #[test]
    fn a_pointer_is_read_with_its_escapes() {
        for (text, expected) in [
            ("/a/b", Some("a.b")),
            ("/a~1b/0", Some("\"a/b\"[0]")),
            ("/m~0n", Some("\"m~n\"")),
            ("", Some("")),
            ("a", None),
        ] {
            assert_eq!(Pointer::parse(text).map(|pointer| pointer.path.to_string()).as_deref(), expected, "{text}");
        }
    }
}
