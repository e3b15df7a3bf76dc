//! Avro read as JSON documents.
//!
//! What is read may come from anywhere: nothing is allocated for a length that the bytes at hand cannot fill, and
//! nesting and the number of values are bounded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::schema::Fault;
use crate::schema::plan::{MAX_DEPTH, Plan, Shape};

/// Most values in one document. The largest legal order has 10 000 lines of four fields; elements of no length (an
/// array of nulls) could otherwise stand for any amount of memory.
const MAX_VALUES: usize = 1_000_000;

/// Reads one document from the start of `bytes`; what is left of them comes back with it.
///
/// # Errors
/// The first place at which the bytes are not what the schema says.
pub(super) fn read<'a>(plan: &Plan, spelling: Spelling, bytes: &'a [u8]) -> Result<(Value, &'a [u8]), Fault> {
    let mut reader = Reader { plan, spelling, bytes, values_left: MAX_VALUES, depth: 0 };
    let value = reader.value(&plan.root)?;
    Ok((value, reader.bytes))
}

/// How a logical type is written in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As what it is on the wire, so that the document can be written as Avro again.
    Wire,
    /// As what it means: `2026-03-19` for a date.
    Meaning,
}

struct Reader<'p, 'a> {
    plan: &'p Plan,
    spelling: Spelling,
    bytes: &'a [u8],
    values_left: usize,
    depth: usize,
}

impl<'a> Reader<'_, 'a> {
    fn value(&mut self, shape: &Shape) -> Result<Value, Fault> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or_else(|| Fault::new(format!("more than {MAX_VALUES} values in one document")))?;
        Ok(match shape {
            Shape::Null => Value::Null,
            Shape::Boolean => match self.take(1)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(Fault::expected("boolean", "a byte other than 0 and 1")),
            },
            Shape::Int => {
                let int = i32::try_from(self.long()?);
                Value::from(int.map_err(|_| Fault::expected("int", "a number beyond 32 bits"))?)
            }
            Shape::Long => Value::from(self.long()?),
            Shape::Float => {
                let float = f32::from_le_bytes(self.array()?);
                if float.is_finite() { Value::from(float) } else { not_finite(float.into()) }
            }
            Shape::Double => {
                let double = f64::from_le_bytes(self.array()?);
                if double.is_finite() { Value::from(double) } else { not_finite(double) }
            }
            Shape::Text => Value::String(self.text()?.to_owned()),
            Shape::Bytes => {
                let length = self.length()?;
                Value::String(STANDARD.encode(self.take(length)?))
            }
            Shape::Fixed(length) => Value::String(STANDARD.encode(self.take(*length)?)),
            Shape::Enum(symbols) => {
                let symbol = usize::try_from(self.long()?).ok().and_then(|index| symbols.get(index));
                Value::String(symbol.ok_or_else(|| Fault::expected(&shape.name(), "another symbol"))?.clone())
            }
            Shape::Logical(logical, wire) => {
                let value = self.value(wire)?;
                match self.spelling {
                    Spelling::Wire => value,
                    Spelling::Meaning => logical.spell(&value)?,
                }
            }
            Shape::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok().and_then(|index| branches.get(index));
                self.value(branch.ok_or_else(|| Fault::expected(&shape.name(), "another branch"))?)?
            }
            Shape::Array(items) => self.nested(|reader| {
                let mut values = Vec::new();
                while let Some(count) = reader.block()? {
                    for _ in 0..count {
                        values.push(reader.value(items).map_err(|fault| fault.within(values.len()))?);
                    }
                }
                Ok(Value::Array(values))
            })?,
            Shape::Map(of) => self.nested(|reader| {
                let mut members = Map::new();
                while let Some(count) = reader.block()? {
                    for _ in 0..count {
                        let name = reader.text()?.to_owned();
                        let value = reader.value(of).map_err(|fault| fault.within(&name))?;
                        members.insert(name, value);
                    }
                }
                Ok(Value::Object(members))
            })?,
            Shape::Record(record) => self.nested(|reader| {
                let fields = reader.plan.fields(*record);
                let mut members = Map::with_capacity(fields.len());
                for field in fields {
                    let value = reader.value(&field.shape).map_err(|fault| fault.within(&field.name))?;
                    members.insert(field.name.clone(), value);
                }
                Ok(Value::Object(members))
            })?,
        })
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(format!("nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Number of values in the next block of an array or map, `None` at its end. A negative count is followed by the
    /// block's size in bytes, which only those who skip need.
    fn block(&mut self) -> Result<Option<u64>, Fault> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        Ok((count != 0).then_some(count.unsigned_abs()))
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Fault::expected("string", "bytes that are not UTF-8"))
    }

    fn length(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.long()?).map_err(|_| Fault::expected("a length", "a negative number"))
    }

    /// An integer: zigzag, seven bits a byte, lowest first, at most ten bytes.
    fn long(&mut self) -> Result<i64, Fault> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Fault::expected("a number of at most 64 bits", "a longer one"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(cut_off)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(cut_off)?;
        self.bytes = rest;
        Ok(taken)
    }
}

fn cut_off() -> Fault {
    Fault::new("the value is cut off")
}

/// JSON has no such numbers; text keeps them apart from null and from each other.
fn not_finite(double: f64) -> Value {
    Value::from(if double.is_nan() {
        "NaN"
    } else if double > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    })
}
