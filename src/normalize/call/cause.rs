//! What a program of a call reads: the event as its Avro schema has it, and what the gateway knows of its order.

use std::collections::BTreeMap;
use std::sync::Arc;

use vrl::value::kind::Collection;
use vrl::value::{KeyString, Kind, ObjectMap, Value};

use crate::canonical::notification::Notification;
use crate::canonical::rejection::Problem;
use crate::config::binding::Binding;
use crate::normalize::decode::{NUMBER, from_record, is_empty};
use crate::normalize::manifest::call::CauseSpec;
use crate::normalize::program::{Defect, Program};
use crate::schema::{Entry, Plan, Shape};

/// Deepest nesting whose members are known by name: a record may contain itself.
const MAX_KNOWN_DEPTH: usize = 8;

/// A record that may cause a call, with its program.
#[derive(Debug)]
pub struct Cause {
    spec: CauseSpec,
    /// Members of the record that may be null, so that an empty one counts as absent.
    nullable: Vec<KeyString>,
    program: Arc<Program>,
}

impl Cause {
    pub fn new(spec: CauseSpec, record: &Entry, program: Arc<Program>) -> Self {
        let nullable = match &record.plan.root {
            Shape::Record(root) => {
                let fields = record.plan.fields(*root).iter().filter(|field| field.shape.is_nullable());
                fields.map(|field| field.name.as_str().into()).collect()
            }
            _ => Vec::new(),
        };
        Self { spec, nullable, program }
    }

    pub fn is_for(&self, record: &str, topic: &str) -> bool {
        self.spec.record == record
            && (self.spec.topics.is_empty() || self.spec.topics.iter().any(|known| known == topic))
    }

    /// The program's result, and what it found wrong with the event.
    ///
    /// # Errors
    /// The program failed, or the event has more values than any mapping is given.
    pub fn run(&self, notification: &Notification, binding: &Arc<Binding>) -> Result<(Value, Vec<Problem>), Defect> {
        let mut event = from_record(notification.event.clone()).map_err(|rejection| {
            let problem = rejection.problems().first().map(|problem| problem.message.clone());
            Defect::new(self.program.file(), problem.unwrap_or_default())
        })?;
        if let Some(members) = event.as_object_mut() {
            for name in &self.nullable {
                // Source: `contracts/canonical-events.md` section 6, "Null, absent, empty".
                if members.get(name).is_none_or(is_empty) {
                    members.insert(name.clone(), Value::Null);
                }
            }
        }
        let (result, findings) = self.program.run(input(notification, event), binding)?;
        Ok((result, findings.problems))
    }
}

/// The type of a program's input for events of `record`.
pub fn input_kind(record: &Entry) -> Kind {
    let known = [
        ("event", of(&record.plan, &record.plan.root, 0)),
        ("topic", Kind::bytes()),
        ("external_order_id", Kind::bytes()),
        ("fsm_service_order_id", Kind::bytes()),
        ("country_code", Kind::bytes().or_null()),
        ("cancelled_by_source", Kind::boolean()),
    ];
    object(known)
}

fn input(notification: &Notification, event: Value) -> Value {
    let text = |text: &String| Value::from(text.as_str());
    let members: ObjectMap = [
        ("event", event),
        ("topic", text(&notification.topic)),
        ("external_order_id", text(&notification.external_order_id)),
        ("fsm_service_order_id", text(&notification.fsm_service_order_id)),
        ("country_code", notification.country_code.as_ref().map_or(Value::Null, text)),
        ("cancelled_by_source", Value::Boolean(notification.cancelled_by_source)),
    ]
    .map(|(name, value)| (name.into(), value))
    .into();
    Value::Object(members)
}

// As a decoded record is made a payload: numbers are their literals, everything that is spelled as text is text.
fn of(plan: &Plan, shape: &Shape, depth: usize) -> Kind {
    if depth > MAX_KNOWN_DEPTH {
        return Kind::any();
    }
    match shape {
        Shape::Null => Kind::null(),
        Shape::Boolean => Kind::boolean(),
        Shape::Int | Shape::Long => number(),
        // What JSON cannot write as a number is text.
        Shape::Float | Shape::Double => number().or_bytes(),
        Shape::Bytes | Shape::Text | Shape::Fixed(_) | Shape::Enum(_) => Kind::bytes(),
        // On the wire, as events are carried: the meaning cannot be written as Avro again.
        Shape::Logical(_, wire) => of(plan, wire, depth),
        Shape::Array(element) => Kind::array(Collection::from_unknown(of(plan, element, depth + 1))),
        Shape::Map(value) => Kind::object(Collection::from_unknown(of(plan, value, depth + 1))),
        Shape::Union(branches) => branches.iter().fold(Kind::never(), |all, branch| all.union(of(plan, branch, depth))),
        Shape::Record(record) => {
            let fields = plan.fields(*record).iter();
            object(fields.map(|field| (field.name.as_str(), of(plan, &field.shape, depth + 1))))
        }
    }
}

fn number() -> Kind {
    object([(NUMBER, Kind::bytes())])
}

fn object<'n>(members: impl IntoIterator<Item = (&'n str, Kind)>) -> Kind {
    let known: BTreeMap<_, _> = members.into_iter().map(|(name, kind)| (name.into(), kind)).collect();
    Kind::object(Collection::from_parts(known, Kind::undefined()))
}
