//! What becomes of a run of records of one partition: pure CPU, the records in, the appends to the intake out.

use std::sync::Arc;

use bytes::Bytes;

use crate::canonical::draft::{Draft, DraftBody, INTAKE};
use crate::canonical::rejection::{Code, Rejection};
use crate::canonical::{headers, intake};
use crate::log::{Append, Header, Record, Stored};
use crate::normalize::TopicDefect;
use crate::reader::{Deps, Inbound};
use crate::verify::{Context, Verified};

/// As far as the records could be made drafts of.
#[derive(Debug, Default)]
pub struct Prepared {
    /// In the order of the records.
    pub appends: Vec<Append>,
    /// Of each append.
    pub done: Vec<Done>,
    /// From the record on that stopped it.
    pub rest: Vec<Stored>,
    /// With `rest`.
    pub halt: Option<Halt>,
}

/// A record that became a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub offset: i64,
    /// Of a rejection.
    pub code: Option<Code>,
}

/// Why a record has no draft: never its own fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// The mapping, or the catalogue, is at fault.
    Defect { reason: String },
    /// The schema that wrote it was not met before, or could not be asked for.
    Unlearned,
}

/// Makes drafts of `records`, which are all of the topic of `inbound`, up to the first that has none.
pub fn prepare(deps: &Deps, inbound: &Inbound, records: Vec<Stored>) -> Prepared {
    let intake: Arc<str> = INTAKE.into();
    let mut prepared = Prepared::default();
    let mut records = records.into_iter();
    while let Some(stored) = records.next() {
        match draft(deps, inbound, &stored).and_then(|(draft, traceparent)| {
            let value = intake::encode(&deps.catalogue, &draft).map_err(|cause| {
                let reason = format!("draft cannot be encoded: {cause}");
                Halt::Defect { reason }
            })?;
            Ok((to_record(&stored, &draft, value, traceparent.as_deref()), code(&draft)))
        }) {
            Ok((record, code)) => {
                prepared.appends.push(Append { topic: Arc::clone(&intake), partition: None, record });
                prepared.done.push(Done { offset: stored.offset, code });
            }
            Err(halt) => {
                prepared.halt = Some(halt);
                prepared.rest = std::iter::once(stored).chain(records).collect();
                return prepared;
            }
        }
    }
    prepared
}

/// The draft of one record, and its trace context.
fn draft(deps: &Deps, inbound: &Inbound, stored: &Stored) -> Result<(Draft, Option<String>), Halt> {
    let Inbound { route, binding } = inbound;
    let record = &stored.record;
    let correlation_id = record.header(headers::CORRELATION_ID).filter(|id| headers::is_correlation_id(id));
    let traceparent = record.header(headers::TRACEPARENT).filter(|text| headers::is_traceparent(text));
    let traceparent = traceparent.map(str::to_owned);
    let context = Context {
        received_from: route.topic().to_owned(),
        received_at: deps.clock.now_ms(),
        correlation_id: correlation_id.map_or_else(|| (deps.new_id)().to_string(), str::to_owned),
        traceparent: traceparent.clone(),
        ..Context::default()
    };
    let value = record.value.clone().unwrap_or_default();
    let (bytes, most) = (value.len(), route.max_bytes());
    let delivery = Verified::by_topic(Arc::clone(binding), value, context);
    let draft = if record.value.is_none() {
        route.refuse(&delivery, Rejection::one(Code::SchemaMismatch, "", "expected a value, found none"))
    } else if bytes > most {
        let Stored { topic, partition, offset, .. } = stored;
        tracing::warn!(%topic, partition, offset, bytes, most, "record is too large");
        let rejection = Rejection::one(Code::PayloadTooLarge, "", format!("at most {most} bytes are allowed"));
        // A value of any size must not be what makes the draft too large for the intake: its digest is carried on.
        Draft { raw: Bytes::new(), ..route.refuse(&delivery, rejection) }
    } else {
        route.normalize(&delivery, &deps.catalogue).map_err(|defect| match defect {
            TopicDefect::Mapping(defect) => Halt::Defect { reason: defect.to_string() },
            TopicDefect::Unlearned { .. } => Halt::Unlearned,
        })?
    };
    Ok((draft, traceparent))
}

fn to_record(stored: &Stored, draft: &Draft, value: Bytes, traceparent: Option<&str>) -> Record {
    let mut record = intake::record(&draft.head, value, traceparent);
    let source = headers::source(&stored.topic, stored.partition, stored.offset);
    record.headers.push(Header::text(headers::SOURCE, source));
    record
}

fn code(draft: &Draft) -> Option<Code> {
    match &draft.body {
        DraftBody::Rejection(rejection) => Some(rejection.code()),
        DraftBody::Order(_) | DraftBody::Cancellation(_) => None,
    }
}
