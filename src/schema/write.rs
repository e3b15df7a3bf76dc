//! JSON documents written as Avro.
//!
//! A document must be what the schema says: an unknown member or a wrong type is a mistake with its place. Two things
//! are forgiven when absent: a field with a default, and a nullable one (`contracts/canonical-events.md` section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::schema::Fault;
use crate::schema::plan::{Field, MAX_DEPTH, Plan, Shape};

/// How bytes are spelled in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Base64,
    /// One character a byte, as the Avro specification spells defaults.
    Latin1,
}

/// Appends `document` in Avro binary to `out`; what `out` holds after an error is of no use.
///
/// # Errors
/// The first place at which the document is not what the schema says.
pub(super) fn write(plan: &Plan, document: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
    Writer { plan, spelling: Spelling::Base64, depth: 0 }.value(&plan.root, document, out)
}

/// Appends the default of `field`, spelled as in its schema.
///
/// # Errors
/// The default is not what the field's own type says.
pub(super) fn write_default(plan: &Plan, field: &Field, default: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
    let writer = Writer { plan, spelling: Spelling::Latin1, depth: 0 };
    writer.value(&field.shape, default, out).map_err(|fault| fault.within(&field.name))
}

/// A length or an integer: zigzag, seven bits a byte, lowest first.
fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

#[derive(Clone, Copy)]
struct Writer<'a> {
    plan: &'a Plan,
    spelling: Spelling,
    depth: usize,
}

impl Writer<'_> {
    fn value(self, shape: &Shape, value: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
        match (shape, value) {
            (Shape::Null, Value::Null) => {}
            (Shape::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
            (Shape::Int, Value::Number(number)) => {
                let int = number.as_i64().and_then(|long| i32::try_from(long).ok());
                put_long(int.ok_or_else(|| mismatch(shape, value))?.into(), out);
            }
            (Shape::Long, Value::Number(number)) => {
                put_long(number.as_i64().ok_or_else(|| mismatch(shape, value))?, out);
            }
            (Shape::Float, _) => {
                let float = float(value).map(|double| double as f32).ok_or_else(|| mismatch(shape, value))?;
                out.extend_from_slice(&float.to_le_bytes());
            }
            (Shape::Double, _) => {
                out.extend_from_slice(&float(value).ok_or_else(|| mismatch(shape, value))?.to_le_bytes());
            }
            (Shape::Text, Value::String(text)) => put_bytes(text.as_bytes(), out),
            (Shape::Bytes, Value::String(text)) => {
                put_bytes(&self.bytes(text).ok_or_else(|| mismatch(shape, value))?, out);
            }
            (Shape::Fixed(length), Value::String(text)) => match self.bytes(text) {
                Some(bytes) if bytes.len() == *length => out.extend_from_slice(&bytes),
                _ => return Err(mismatch(shape, value)),
            },
            (Shape::Enum(symbols), Value::String(text)) => {
                let index = symbols.iter().position(|symbol| symbol == text).ok_or_else(|| mismatch(shape, value))?;
                put_long(index as i64, out);
            }
            (Shape::Array(items), Value::Array(values)) => {
                let inner = self.deeper()?;
                if !values.is_empty() {
                    put_long(values.len() as i64, out);
                }
                for (index, value) in values.iter().enumerate() {
                    inner.value(items, value, out).map_err(|fault| fault.within(index))?;
                }
                put_long(0, out);
            }
            (Shape::Map(values), Value::Object(members)) => {
                let inner = self.deeper()?;
                if !members.is_empty() {
                    put_long(members.len() as i64, out);
                }
                for (name, value) in members {
                    put_bytes(name.as_bytes(), out);
                    inner.value(values, value, out).map_err(|fault| fault.within(name))?;
                }
                put_long(0, out);
            }
            (Shape::Logical(_, wire), _) => self.value(wire, value, out)?,
            (Shape::Union(branches), _) => self.union(branches, value, out)?,
            (Shape::Record(record), Value::Object(members)) => {
                self.deeper()?.record(self.plan.fields(*record), members, out)?;
            }
            _ => return Err(mismatch(shape, value)),
        }
        Ok(())
    }

    fn record(self, fields: &[Field], members: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut known = 0;
        for field in fields {
            match (members.get(&field.name), &field.default) {
                (Some(value), _) => {
                    known += 1;
                    self.value(&field.shape, value, out).map_err(|fault| fault.within(&field.name))?;
                }
                (None, Some(default)) => {
                    let writer = Self { spelling: Spelling::Latin1, ..self };
                    writer.value(&field.shape, default, out).map_err(|fault| fault.within(&field.name))?;
                }
                (None, None) if field.shape.is_nullable() => {
                    self.value(&field.shape, &Value::Null, out)?;
                }
                (None, None) => {
                    return Err(Fault::expected(&field.shape.name(), "nothing").within(&field.name));
                }
            }
        }
        if known == members.len() {
            return Ok(());
        }
        let unknown = members.keys().find(|name| !fields.iter().any(|field| field.name == **name));
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        let fault = Fault::new(format!("unknown field, expected one of `{}`", names.join("`, `")));
        Err(unknown.into_iter().fold(fault, Fault::within))
    }

    /// The first branch that takes the value. With one branch beside null, its own mistake is the one to tell.
    fn union(self, branches: &[Shape], value: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        let mut failed = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if matches!(branch, Shape::Null) != value.is_null() {
                continue;
            }
            put_long(index as i64, out);
            match self.value(branch, value, out) {
                Ok(()) => return Ok(()),
                Err(fault) => failed.push(fault),
            }
            out.truncate(start);
        }
        match (failed.pop(), failed.is_empty()) {
            (Some(only), true) => Err(only),
            _ => Err(Fault::expected(&Shape::Union(branches.to_vec()).name(), found(value))),
        }
    }

    fn bytes(self, text: &str) -> Option<Vec<u8>> {
        match self.spelling {
            Spelling::Base64 => STANDARD.decode(text).ok(),
            Spelling::Latin1 => text.chars().map(|character| u8::try_from(character).ok()).collect(),
        }
    }

    fn deeper(self) -> Result<Self, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

/// The nearest double. Numbers JSON cannot write are spelled as text, as [`super::read`] spells them.
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Number::as_f64(number).filter(|double| double.is_finite()),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn mismatch(shape: &Shape, value: &Value) -> Fault {
    let same_kind = matches!(
        (shape, value),
        (Shape::Int | Shape::Long | Shape::Float | Shape::Double, Value::Number(_))
            | (Shape::Bytes | Shape::Fixed(_) | Shape::Enum(_), Value::String(_))
    );
    let found = match (same_kind, value) {
        (true, Value::Number(_)) => "another number",
        (true, _) => "other text",
        (false, _) => found(value),
    };
    Fault::expected(&shape.name(), found)
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
