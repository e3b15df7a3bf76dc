//! The `[webhook]` part of a manifest: how the sources of an adapter prove who they are, what is around their data, and
//! which route takes which type.

use std::collections::BTreeMap;

use crate::config::binding::{ParameterKind, ParameterSpec};
use crate::config::reader::Section;
use crate::config::resolve::SOURCE_ID;
use crate::normalize::manifest::{Pointer, RouteSpec, one_of, pointer};
use crate::verify::scheme::{Encoding, HmacHeader, Scheme};

/// Stands for the webhook where a route is named: `crossdock map acme webhook …`.
pub const ROUTE: &str = "webhook";

/// What a source of this adapter sends to `/api/v1/adapters/hooks/{source_id}`.
#[derive(Debug, Clone)]
pub struct WebhookSpec {
    pub auth: Scheme,
    pub envelope: Envelope,
    /// Whether an array is a batch.
    pub batch: bool,
    pub on_unmapped: OnUnmapped,
    /// Accepted media types, without parameters, in lower case.
    pub media_types: Vec<String>,
    /// Header with the id of a delivery, in lower case.
    pub delivery_id: String,
    pub types: Vec<TypeSpec>,
}

/// What is around the data of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// Standard Webhooks: `type`, `timestamp`, `data`.
    Standard,
    /// CloudEvents 1.0.
    CloudEvents,
    /// Nothing: the document is the data. `type_at`: where its type stands; `None`: there is only one.
    None { type_at: Option<Pointer> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnmapped {
    Ignore,
    Reject,
}

/// What becomes of events of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeSpec {
    pub name: String,
    /// The first choice that holds.
    pub choices: Vec<Choice>,
    /// If no choice holds; `None`: the event is unmapped then.
    pub route: Option<String>,
    /// Where it begins in the file, from 1.
    pub line: usize,
}

/// A route for events whose field has a certain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub field: Pointer,
    pub condition: Condition,
    pub route: String,
}

/// What a value must be. Text is compared exactly, case included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// One of these texts.
    In(Vec<String>),
    /// `true` or `false`.
    Is(bool),
    /// Whether there is one: null, blank text and `[]` are none.
    Present(bool),
}

impl WebhookSpec {
    /// The routes its types name.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.types.iter().flat_map(TypeSpec::routes)
    }

    /// What each binding of the adapter must say.
    pub fn parameters(&self) -> BTreeMap<String, ParameterSpec> {
        let required = |kind| ParameterSpec { kind, required: true };
        let secrets = self.auth.secrets_key().to_owned();
        [(SOURCE_ID.to_owned(), required(ParameterKind::Text)), (secrets, required(ParameterKind::Secrets))].into()
    }
}

impl TypeSpec {
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.choices.iter().map(|choice| choice.route.as_str()).chain(self.route.as_deref())
    }
}

/// Reads the table; mistakes are reported.
pub(super) fn read(section: &Section<'_>) -> Option<WebhookSpec> {
    let auth = auth(section);
    let envelope = envelope(section);
    let batch = section.optional("batch").unwrap_or(false);
    let on_unmapped = match section.optional::<String>("on_unmapped").as_deref() {
        None | Some("ignore") => Some(OnUnmapped::Ignore),
        Some("reject") => Some(OnUnmapped::Reject),
        Some("record") => {
            let message = "`on_unmapped`: `record` keeps an activity, and this version maps orders only";
            section.error(Some("on_unmapped"), message);
            None
        }
        Some(other) => {
            section.error(Some("on_unmapped"), format!("`on_unmapped`: expected ignore or reject, found `{other}`"));
            None
        }
    };
    let delivery_id = header(section, "delivery_id");
    if delivery_id.is_some() && auth == Some(Scheme::Standard) {
        section.error(Some("delivery_id"), "`delivery_id`: with `auth = \"standard\"` it is `webhook-id`");
    }
    let media_types = section.optional::<Vec<String>>("media_types").filter(|types| !types.is_empty());
    let media_types = media_types.map(|types| types.iter().map(|media| media.to_ascii_lowercase()).collect());
    let types = types(section);
    if let Some(Envelope::None { type_at: None }) = envelope
        && types.len() > 1
    {
        section.error(Some("envelope"), "without `type_at` an event has one type: expected one `[[webhook.type]]`");
    }
    let envelope = envelope?;
    Some(WebhookSpec {
        auth: auth?,
        media_types: media_types.unwrap_or_else(|| envelope.media_types()),
        envelope,
        batch,
        on_unmapped: on_unmapped?,
        delivery_id: delivery_id.unwrap_or_else(|| crate::verify::scheme::ID.to_owned()),
        types,
    })
}

/// Reports what the webhook says of routes that are not there.
pub(super) fn check_routes(section: &Section<'_>, spec: &WebhookSpec, routes: &[RouteSpec]) {
    let known: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    for name in spec.routes().filter(|name| !known.contains(name)) {
        section.error(Some("type"), format!("`webhook.type`: no route `{name}`, there is: {}", known.join(", ")));
    }
}

impl Envelope {
    fn media_types(&self) -> Vec<String> {
        let types: &[&str] = match self {
            Self::Standard | Self::None { .. } => &["application/json"],
            Self::CloudEvents => {
                &["application/cloudevents+json", "application/cloudevents-batch+json", "application/json"]
            }
        };
        types.iter().map(|media| (*media).to_owned()).collect()
    }
}

fn auth(section: &Section<'_>) -> Option<Scheme> {
    const NAMES: [(&str, Scheme); 3] =
        [("standard", Scheme::Standard), ("bearer", Scheme::Bearer), ("basic", Scheme::Basic)];
    let by_name = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, scheme)| scheme.clone());
    let Some(name) = section.peek_text("auth") else {
        return match section.has("auth") {
            true => section.section("auth").and_then(|table| {
                let scheme = match one_of(&table, "scheme", &[("hmac_header", ())]) {
                    Some(_) => hmac_header(&table),
                    None => None,
                };
                table.finish();
                scheme
            }),
            false => Some(Scheme::Standard),
        };
    };
    section.optional::<String>("auth");
    let scheme = by_name(name);
    if scheme.is_none() {
        let expected = "standard, bearer, basic, or { scheme = \"hmac_header\", header = \"…\" }";
        section.error(Some("auth"), format!("`auth`: expected one of: {expected}, found `{name}`"));
    }
    scheme
}

fn hmac_header(table: &Section<'_>) -> Option<Scheme> {
    if !table.has("header") {
        table.required::<String>("header");
    }
    let name = header(table, "header");
    let encoding = one_of(table, "encoding", &[("hex", Encoding::Hex), ("base64", Encoding::Base64)]);
    let prefix = table.optional::<String>("prefix").unwrap_or_default();
    let over = one_of(table, "over", &[("body", false), ("timestamp.body", true)]);
    if over == Some(true) && !table.has("timestamp_header") {
        table.required::<String>("timestamp_header");
    }
    if over == Some(false) && table.has("timestamp_header") {
        table.error(Some("timestamp_header"), "`timestamp_header`: the signature is over the body alone");
    }
    let timestamp_header = header(table, "timestamp_header");
    let timestamp_header = if over? { Some(timestamp_header?) } else { None };
    Some(Scheme::HmacHeader(HmacHeader { header: name?, encoding: encoding?, prefix, timestamp_header }))
}

/// The name of a header, in lower case.
fn header(section: &Section<'_>, key: &str) -> Option<String> {
    let name = section.optional::<String>(key)?.to_ascii_lowercase();
    if axum::http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        section.error(Some(key), format!("`{key}`: expected the name of a header"));
        return None;
    }
    Some(name)
}

fn envelope(section: &Section<'_>) -> Option<Envelope> {
    let type_at = section.optional::<String>("type_at").map(|text| pointer(section, "type_at", &text));
    let none = Envelope::None { type_at: type_at.clone().flatten() };
    let name = section.optional("envelope").unwrap_or_else(|| "standard".to_owned());
    let names = [("standard", Envelope::Standard), ("cloudevents", Envelope::CloudEvents), ("none", none)];
    let found = names.into_iter().find(|(known, _)| *known == name).map(|(_, envelope)| envelope);
    if found.is_none() {
        let message = format!("`envelope`: expected one of: standard, cloudevents, none, found `{name}`");
        section.error(Some("envelope"), message);
    }
    if type_at.is_some() && matches!(found, Some(Envelope::Standard | Envelope::CloudEvents)) {
        section.error(Some("type_at"), "`type_at`: this envelope has its type at `/type`");
    }
    found
}

fn types(section: &Section<'_>) -> Vec<TypeSpec> {
    let mut types: Vec<TypeSpec> = Vec::new();
    let tables = section.sections("type");
    if tables.is_empty() {
        section.error(None, "`webhook.type` is missing: expected one or more `[[webhook.type]]`");
    }
    for table in tables {
        let name = table.required::<String>("type");
        let choices: Vec<Choice> = table.sections("when").into_iter().filter_map(choice).collect();
        let route = table.optional::<String>("route");
        if route.is_none() && !table.has("when") {
            table.error(None, "`route` is missing: expected the name of a route, or `[[webhook.type.when]]`");
        }
        if let Some(name) = &name
            && types.iter().any(|known| known.name == *name)
        {
            table.error(Some("type"), format!("a second target for type `{name}`"));
        }
        let line = table.place(None).1;
        types.extend(name.map(|name| TypeSpec { name, choices, route, line }));
        table.finish();
    }
    types
}

fn choice(table: Section<'_>) -> Option<Choice> {
    let field = table.required("field").and_then(|text: String| pointer(&table, "field", &text));
    let route = table.required::<String>("route");
    let given = ["equals", "in", "present"].map(|key| table.has(key)).into_iter().filter(|has| *has).count();
    if given != 1 {
        table.error(None, "expected one of `equals`, `in` and `present`");
    }
    let equals = match table.peek_text("equals") {
        Some(_) => table.optional::<String>("equals").map(|text| Condition::In(vec![text])),
        None => table.optional::<bool>("equals").map(Condition::Is),
    };
    let list = table.optional::<Vec<String>>("in").map(Condition::In);
    let present = table.optional::<bool>("present").map(Condition::Present);
    table.finish();
    Some(Choice { field: field?, condition: equals.or(list).or(present)?, route: route? })
}

#[cfg(test)]
mod tests;
