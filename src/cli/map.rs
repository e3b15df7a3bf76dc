//! `crossdock map`: what a payload becomes, without a gateway.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use crate::canonical::draft::DraftBody;
use crate::cli::{Common, Exit, Failure, Output};
use crate::clock::{Clock as _, SystemClock};
use crate::config::binding::Binding;
use crate::config::developer;
use crate::config::environment::Environment;
use crate::config::layers::Layers;
use crate::normalize::preview::preview_all;
use crate::normalize::sample::{self, Sample};
use crate::normalize::value::time;
use crate::normalize::{Adapter, AdapterSet, Message, Messages, call, cases};
use crate::verify::Context;

/// Show what a payload becomes: the canonical order and its events, or what is wrong with it; of an event of the
/// platform, the request to the partner
///
/// Nothing is sent and nothing is kept; the state of the order is taken as empty. Exits with 65 if the payload is
/// rejected. A route that only Avro records reach takes the record as JSON, or as its framed bytes. So does a
/// call, such as `status`, which prints the request its event causes, or `skipped`. Without `--binding` it is mapped for
/// the adapter's only binding of the configuration, else for the one of the adapter's cases.
#[derive(Debug, Args)]
pub struct Map {
    /// The adapter, a folder of `mappings`
    adapter: String,
    /// A route or call of its manifest, such as `order-created` or `status`
    route: String,
    /// The payload or record, `-` for standard input
    file: PathBuf,
    /// The binding to map it for
    #[arg(long)]
    binding: Option<String>,
    /// A header of the delivery: `x-correlation-id`, `traceparent`, or one the adapter's webhook reads
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A parameter of the route's path, such as `order_id=PYX-1`
    #[arg(long = "path", value_name = "NAME=VALUE", value_parser = pair)]
    path: Vec<(String, String)>,
    /// When it is received and published, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<i64>,
}

impl Map {
    pub(super) fn run(self, common: &Common, environment: Environment, mut out: Output) -> Result<Exit, Failure> {
        let mut layers = Layers::open(common.sources(environment, Vec::new())).map_err(Failure::Configuration)?;
        let folders = layers.folders().map_err(Failure::Configuration)?;
        if layers.is_developer() {
            developer::attach(&mut layers, &folders.data_dir)?;
        }
        let adapters = AdapterSet::load(&folders.mappings_dir, &folders.schemas_dir).map_err(Failure::Configuration)?;
        let adapter = adapters.adapter(&self.adapter).ok_or_else(|| Failure::Unknown {
            kind: "adapter",
            name: self.adapter.clone(),
            known: adapters.iter().map(|adapter| adapter.manifest().name.clone()).collect(),
        })?;
        let binding = self.binding(&layers, &adapters, adapter)?;
        let now = self.now.unwrap_or_else(|| SystemClock.now_ms());
        let header = |name: &str| self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let context = Context {
            received_at: now,
            correlation_id: header("x-correlation-id").unwrap_or_default(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            traceparent: header("traceparent"),
            ..Context::default()
        };
        let (input, binding) = (self.payload()?, Arc::new(binding));
        if let Some(told) =
            call::preview::preview(adapter, &self.route, &binding, &input, call::preview::Facts::default())
        {
            let told = told.map_err(|error| self.refused(error))?;
            out.print(|| request(&told), || told.clone())?;
            return Ok(Exit::Done);
        }
        let sample = Sample { input, binding, context };
        let messages = sample.map(adapter, &self.route).ok_or_else(|| Failure::Unknown {
            kind: "route",
            name: self.route.clone(),
            known: adapter.route_names().into_iter().map(str::to_owned).collect(),
        })?;
        let messages = messages.map_err(|error| self.refused(error))?;
        let mapped = mapped(&messages, now);
        out.print(|| text(&mapped), || mapped.clone())?;
        Ok(if is_rejected(&messages) { Exit::BadData } else { Exit::Done })
    }

    fn refused(&self, error: sample::Error) -> Failure {
        match error {
            sample::Error::Mapping(defect) | sample::Error::Call(call::Error::Mapping(defect)) => {
                Failure::Defect { defect }
            }
            error => Failure::Record { path: self.file.clone(), error },
        }
    }

    fn payload(&self) -> Result<Bytes, Failure> {
        let mut bytes = Vec::new();
        let read = match self.file.to_str() {
            Some("-") => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
            _ => std::fs::read(&self.file),
        };
        read.map(Bytes::from).map_err(|cause| Failure::Input { path: self.file.clone(), cause })
    }

    fn binding(&self, layers: &Layers, adapters: &AdapterSet, adapter: &Adapter) -> Result<Binding, Failure> {
        let configured = layers.settings(&adapters.parameters()).map_err(Failure::Configuration)?.bindings;
        let own = configured.into_iter().filter(|binding| binding.adapter == self.adapter);
        let mut candidates: Vec<Binding> =
            own.filter(|binding| self.binding.as_ref().is_none_or(|name| *name == binding.name)).collect();
        match (candidates.pop(), &self.binding) {
            (Some(binding), _) if candidates.is_empty() => Ok(binding),
            (None, None) => cases::binding(adapter).map_err(Failure::Configuration),
            (None, Some(name)) => Err(Failure::Unknown { kind: "binding", name: name.clone(), known: Vec::new() }),
            (Some(last), _) => Err(Failure::Ambiguous {
                adapter: self.adapter.clone(),
                bindings: candidates.into_iter().chain([last]).map(|binding| binding.name).collect(),
            }),
        }
    }
}

/// What is printed: the preview, and the business digest by which a repeat is recognized.
fn mapped(messages: &Messages, now: i64) -> Value {
    let mut mapped = preview_all(messages, now);
    if let Messages::One(Message::Draft(draft)) = messages
        && let (DraftBody::Order(order), Some(members)) = (&draft.body, mapped.as_object_mut())
    {
        members.insert("digest".to_owned(), json!(order.digest));
    }
    mapped
}

/// Whether the payload is rejected, or any item of a batch.
fn is_rejected(messages: &Messages) -> bool {
    let is_one =
        |message: &Message| matches!(message, Message::Draft(draft) if matches!(draft.body, DraftBody::Rejection(_)));
    match messages {
        Messages::One(message) => is_one(message),
        Messages::Many(messages) => messages.iter().any(is_one),
    }
}

/// The same for people: a rejection as one problem a line, everything else as indented JSON behind its outcome.
fn text(mapped: &Value) -> String {
    let outcome = mapped["outcome"].as_str().unwrap_or_default();
    let Some(problems) = mapped["errors"].as_array() else {
        return format!("{outcome}\n{mapped:#}");
    };
    let line = |problem: &Value| {
        let word = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        let field = Some(word("field")).filter(|field| !field.is_empty()).unwrap_or("the document".to_owned());
        format!("\n  {} at {field}: {}", word("code"), word("message"))
    };
    format!("{outcome}{}", problems.iter().map(line).collect::<String>())
}

/// A request for people, as it goes over the wire but for what cannot be shown; `skipped` if there is none.
fn request(told: &Value) -> String {
    let word = |name: &str| told[name].as_str().unwrap_or_default();
    if word("outcome") != "call" {
        return word("outcome").to_owned();
    }
    let header = |(name, value): (&String, &Value)| format!("{name}: {}\n", value.as_str().unwrap_or_default());
    let headers: String = told["headers"].as_object().into_iter().flatten().map(header).collect();
    let left_out: Vec<&str> =
        told["headers_left_out"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (method, url, body) = (word("method"), word("url"), &told["body"]);
    format!("{method} {url}\n{headers}\n{body:#}\n\nadded when it is sent: {}", left_out.join(", "))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected NAME=VALUE".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    let name = axum::http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| "expected the name of a header")?;
    Ok((name.as_str().to_owned(), value))
}

fn instant(text: &str) -> Result<i64, String> {
    time::timestamp(text, None).map(|time| time.epoch_ms()).map_err(|invalid| invalid.message)
}
