//! The payloads of a partner system, good and bad.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::canonical::rejection::Code;
use crate::cli::partner::sample_file;
use crate::config::report::Report;
use crate::normalize::Adapter;
use crate::normalize::manifest::Http;

/// What one partner system sends.
#[derive(Debug)]
pub struct Sample {
    /// The adapter's name.
    pub adapter: String,
    pub(super) created: Template,
    pub(super) updated: Template,
    pub(super) cancelled: Template,
    pub(super) faults: Vec<Fault>,
    pub(super) max_body_bytes: usize,
}

/// A payload with places to fill in, and the ways it can go.
#[derive(Debug)]
pub struct Template {
    pub body: String,
    pub http: Http,
    /// `None`: it goes over HTTP only.
    pub record: Option<Record>,
}

/// An inbound topic and the key of its record.
#[derive(Debug)]
pub struct Record {
    pub topic: String,
    pub key: String,
}

/// What can be wrong with a created order's content.
#[derive(Debug)]
pub struct Fault {
    /// A few words for a person.
    pub what: String,
    /// JSON pointer of the value.
    pub at: String,
    /// `None`: the value is taken out.
    pub value: Option<Value>,
    pub code: Code,
}

/// One message of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub order_id: String,
    /// Seconds after the first order of the run at which this order was created.
    pub created_s: u32,
    pub kind: Kind,
    pub flaw: Flaw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Created,
    /// Its number among the order's versions, from 1; also minutes after the creation.
    Updated(u32),
    /// Minutes after the creation.
    Cancelled(u32),
}

/// What is wrong with a message; all but `None` are made of a created order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Signed with a secret that is not the binding's.
    Signature,
    /// Its last bytes are missing.
    CutOff,
    MediaType,
    /// One byte over the limit.
    TooLarge,
    /// The fault of that index.
    Fault(usize),
}

/// A request or a record as it goes out; the signature is added when it is sent.
#[derive(Debug)]
pub struct Delivery {
    pub path: String,
    pub media_type: String,
    /// Topic and key of the record, where there is a topic.
    pub record: Option<(String, String)>,
    pub body: Bytes,
    /// Whether it is signed with the binding's own secret.
    pub is_authentic: bool,
}

/// What must be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub status: u16,
    /// Class and pointer of the first problem.
    pub problem: Option<(Code, String)>,
}

/// When the first order of every run is created: the same seed gives the same bytes at any time.
const EPOCH_S: i64 = 1_772_611_200; // 2026-03-04T08:00:00Z

impl Sample {
    /// Reads the sample of `adapter`.
    ///
    /// # Errors
    /// Every mistake of its files, with their lines.
    pub fn load(adapter: &Adapter) -> Result<Self, Report> {
        sample_file::load(adapter)
    }

    /// Every flaw this partner's payloads can have; the large one last.
    pub fn flaws(&self) -> Vec<Flaw> {
        let content = (0..self.faults.len()).map(Flaw::Fault);
        [Flaw::Signature, Flaw::CutOff, Flaw::MediaType].into_iter().chain(content).chain([Flaw::TooLarge]).collect()
    }

    /// The topic its updates go to, where there is one.
    pub fn topic_of_updates(&self) -> Option<&str> {
        self.updated.record.as_ref().map(|record| record.topic.as_str())
    }

    /// The message in a few words.
    pub fn describe(&self, message: &Message) -> String {
        let what = match (message.flaw, message.kind) {
            (Flaw::None, Kind::Created) => "new order",
            (Flaw::None, Kind::Updated(_)) => "update",
            (Flaw::None, Kind::Cancelled(_)) => "cancellation",
            (Flaw::Signature, _) => "signed with a wrong secret",
            (Flaw::CutOff, _) => "JSON cut off",
            (Flaw::MediaType, _) => "sent as text/plain",
            (Flaw::TooLarge, _) => "one byte over the limit",
            (Flaw::Fault(index), _) => self.faults.get(index).map_or("bad", |fault| &fault.what),
        };
        what.to_owned()
    }

    /// The request that carries `message`: always the same bytes for the same message.
    pub fn delivery(&self, message: &Message) -> Delivery {
        let template = match message.kind {
            Kind::Created => &self.created,
            Kind::Updated(_) => &self.updated,
            Kind::Cancelled(_) => &self.cancelled,
        };
        let mut body = message.fill(&template.body);
        match message.flaw {
            Flaw::CutOff => {
                body.truncate(body.trim_end().len().saturating_sub(1));
            }
            Flaw::TooLarge => {
                let missing = (self.max_body_bytes + 1).saturating_sub(body.len());
                body.push_str(&" ".repeat(missing));
            }
            Flaw::Fault(index) => {
                if let Some(fault) = self.faults.get(index) {
                    body = fault.spoil(body);
                }
            }
            Flaw::None | Flaw::Signature | Flaw::MediaType => {}
        }
        let media_type = match message.flaw {
            Flaw::MediaType => "text/plain",
            _ => template.http.media_types.first().map_or("application/json", String::as_str),
        };
        let record = template.record.as_ref();
        Delivery {
            path: with_id(&template.http.path, &message.order_id),
            media_type: media_type.to_owned(),
            record: record.map(|record| (record.topic.clone(), message.fill(&record.key))),
            body: body.into(),
            is_authentic: message.flaw != Flaw::Signature,
        }
    }

    /// What the door must answer to `message`.
    pub fn expected(&self, message: &Message) -> Expected {
        let refused =
            |code: Code, at: &str| Expected { status: code.http_status(), problem: Some((code, at.to_owned())) };
        match message.flaw {
            Flaw::None => Expected { status: 202, problem: None },
            Flaw::Signature => refused(Code::AuthenticationFailed, ""),
            Flaw::CutOff => refused(Code::MalformedPayload, ""),
            Flaw::MediaType => refused(Code::UnsupportedMediaType, ""),
            Flaw::TooLarge => refused(Code::PayloadTooLarge, ""),
            Flaw::Fault(index) => match self.faults.get(index) {
                Some(fault) => refused(fault.code, &fault.at),
                None => Expected { status: 202, problem: None },
            },
        }
    }
}

impl Message {
    fn fill(&self, template: &str) -> String {
        let created = SignedDuration::from_secs(EPOCH_S + i64::from(self.created_s));
        let minutes = match self.kind {
            Kind::Created => 0,
            Kind::Updated(minutes) | Kind::Cancelled(minutes) => minutes,
        };
        let at = created + SignedDuration::from_mins(i64::from(minutes));
        template
            .replace("{{id}}", &self.order_id)
            .replace("{{created_at}}", &instant(created))
            .replace("{{at}}", &instant(at))
            .replace("{{version}}", &minutes.to_string())
    }
}

impl Fault {
    /// `body` with the fault in it. A place that is not there leaves it as it is, which the answer will tell.
    fn spoil(&self, body: String) -> String {
        let Ok(mut document) = serde_json::from_str::<Value>(&body) else { return body };
        let Some((parent, name)) = self.at.rsplit_once('/') else { return body };
        let name = name.replace("~1", "/").replace("~0", "~");
        match document.pointer_mut(parent) {
            Some(Value::Object(members)) => match &self.value {
                Some(value) => _ = members.insert(name, value.clone()),
                None => _ = members.shift_remove(&name),
            },
            Some(Value::Array(elements)) => {
                let element = name.parse::<usize>().ok().and_then(|index| elements.get_mut(index));
                if let Some(element) = element {
                    *element = self.value.clone().unwrap_or(Value::Null);
                }
            }
            _ => {}
        }
        document.to_string()
    }
}

/// The order's id in the place of the path's parameter.
fn with_id(path: &str, order_id: &str) -> String {
    match (path.find('{'), path.find('}')) {
        (Some(open), Some(close)) if open < close => {
            path.get(..open).unwrap_or_default().to_owned() + order_id + path.get(close + 1..).unwrap_or_default()
        }
        _ => path.to_owned(),
    }
}

fn instant(since_1970: SignedDuration) -> String {
    let time = Timestamp::from_duration(since_1970);
    time.map_or_else(|_| since_1970.as_secs().to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::canonical::draft::DraftBody;
    use crate::normalize::cases;
    use crate::normalize::tests::adapters;
    use crate::verify::{Context, Verified};

    fn message(kind: Kind, flaw: Flaw) -> Message {
        Message { order_id: "GEN-1-7".to_owned(), created_s: 7, kind, flaw }
    }

    /// Every shipped sample, with its adapter.
    fn samples() -> Vec<(Arc<Adapter>, Sample)> {
        let adapters = adapters();
        let with_sample = adapters.iter().filter(|adapter| adapter.folder().join("sample").is_dir());
        let loaded = with_sample.map(|adapter| {
            let sample = Sample::load(adapter).unwrap_or_else(|report| panic!("{report}"));
            (adapter.clone(), sample)
        });
        loaded.collect()
    }

    /// What the adapter itself makes of `message`: the first problem, if it is refused.
    fn mapped(adapter: &Adapter, sample: &Sample, message: &Message) -> Option<(Code, String)> {
        let delivery = sample.delivery(message);
        let spec = |route: &&Arc<crate::normalize::Route>| {
            let http = adapter.manifest().routes.iter().find(|spec| spec.name == route.name())?.http.as_ref()?;
            Some(with_id(&http.path, &message.order_id) == delivery.path)
        };
        let route = adapter.routes().iter().find(|route| spec(route) == Some(true)).expect("a route of that path");
        let binding = cases::binding(adapter).expect("the cases have a binding");
        let verified = Verified::by_operator(Arc::new(binding), delivery.body, Context::default());
        match route.normalize(&verified).expect("no defect").body {
            DraftBody::Rejection(rejection) => {
                let problem = rejection.problems().first().expect("a rejection has a problem");
                Some((problem.code, problem.field.clone()))
            }
            _ => None,
        }
    }

    #[test]
    fn every_sample_is_mapped_as_it_says() {
        let samples = samples();
        assert!(samples.len() >= 2, "pyxis and tempo have samples");
        for (adapter, sample) in samples {
            for kind in [Kind::Created, Kind::Updated(1), Kind::Updated(2), Kind::Cancelled(3)] {
                let message = message(kind, Flaw::None);

                assert_eq!(mapped(&adapter, &sample, &message), None, "{} {kind:?}", sample.adapter);
            }
            for flaw in sample.flaws() {
                // The door finds these before anything is mapped.
                if matches!(flaw, Flaw::Signature | Flaw::MediaType | Flaw::TooLarge) {
                    continue;
                }
                let message = message(Kind::Created, flaw);

                let found = mapped(&adapter, &sample, &message);
                assert_eq!(found, sample.expected(&message).problem, "{} {flaw:?}", sample.adapter);
            }
        }
    }

    #[test]
    fn the_same_message_is_the_same_bytes_and_another_one_is_not() {
        for (_, sample) in samples() {
            let bodies: Vec<_> = [Kind::Created, Kind::Updated(1), Kind::Updated(2), Kind::Cancelled(2)]
                .map(|kind| sample.delivery(&message(kind, Flaw::None)).body)
                .into();
            for (index, body) in bodies.iter().enumerate() {
                assert_eq!(bodies.iter().position(|other| other == body), Some(index), "{}", sample.adapter);
                let text = String::from_utf8_lossy(body);
                assert!(text.contains("GEN-1-7") && !text.contains("{{"), "{text}");
            }
        }
    }

    #[test]
    fn a_body_too_large_is_one_byte_over_the_limit() {
        for (adapter, sample) in samples() {
            let delivery = sample.delivery(&message(Kind::Created, Flaw::TooLarge));

            assert_eq!(delivery.body.len(), adapter.manifest().body_bytes + 1);
        }
    }
}
