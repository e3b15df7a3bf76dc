//! A schema made ready for use: names resolved, logical types kept beside what they are on the wire.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, RecordSchema, UuidSchema};
use serde_json::Value;

use crate::schema::Fault;
use crate::schema::logical::Logical;

/// Deepest nesting of a value that is written or read; a schema may refer to itself.
pub(super) const MAX_DEPTH: usize = 64;

/// One schema with its records. The root is the first of them.
#[derive(Debug)]
pub(crate) struct Plan {
    pub root: Shape,
    records: Vec<Vec<Field>>,
}

/// A type as it is on the wire.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Arc<[String]>),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    /// A type that means more than it is on the wire.
    Logical(Logical, Box<Shape>),
    /// Index into the plan's records, so that a record may contain itself.
    Record(usize),
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    pub shape: Shape,
    pub default: Option<Value>,
}

impl Plan {
    /// # Errors
    /// A reference to a type the schema does not define.
    pub(super) fn compile(schema: &Schema) -> Result<Self, Fault> {
        let mut compiler = Compiler::default();
        let root = compiler.shape(schema, None)?;
        Ok(Self { root, records: compiler.records })
    }

    /// The fields of a record; none for an index that is not of this plan.
    pub fn fields(&self, record: usize) -> &[Field] {
        self.records.get(record).map_or(&[], Vec::as_slice)
    }

    pub fn all_fields(&self) -> impl Iterator<Item = &Field> {
        self.records.iter().flatten()
    }
}

impl Shape {
    /// What a mistake says was expected.
    pub fn name(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Boolean => "boolean".into(),
            Self::Int => "int".into(),
            Self::Long => "long".into(),
            Self::Float => "float".into(),
            Self::Double => "double".into(),
            Self::Bytes => "bytes as base64 text".into(),
            Self::Text => "string".into(),
            Self::Fixed(bytes) => format!("{bytes} bytes as base64 text"),
            Self::Enum(symbols) => format!("one of `{}`", symbols.join("`, `")),
            Self::Array(_) => "array".into(),
            Self::Map(_) | Self::Record(_) => "object".into(),
            Self::Logical(_, wire) => wire.name(),
            Self::Union(branches) => branches.iter().map(Self::name).collect::<Vec<_>>().join(" or "),
        }
    }

    pub fn is_nullable(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Union(branches) => branches.iter().any(Self::is_nullable),
            _ => false,
        }
    }
}

fn logical(meaning: Logical, wire: Shape) -> Shape {
    Shape::Logical(meaning, Box::new(wire))
}

#[derive(Default)]
struct Compiler {
    /// By full name.
    named: HashMap<String, Shape>,
    records: Vec<Vec<Field>>,
}

impl Compiler {
    fn shape(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<Shape, Fault> {
        let shape = match schema {
            Schema::Null => Shape::Null,
            Schema::Boolean => Shape::Boolean,
            Schema::Int => Shape::Int,
            Schema::Date => logical(Logical::Date, Shape::Int),
            Schema::TimeMillis => logical(Logical::Time { per_second: 1_000 }, Shape::Int),
            Schema::TimeMicros => logical(Logical::Time { per_second: 1_000_000 }, Shape::Long),
            Schema::Long => Shape::Long,
            Schema::TimestampMillis => logical(Logical::Timestamp { per_second: 1_000 }, Shape::Long),
            Schema::TimestampMicros => logical(Logical::Timestamp { per_second: 1_000_000 }, Shape::Long),
            Schema::TimestampNanos => logical(Logical::Timestamp { per_second: 1_000_000_000 }, Shape::Long),
            Schema::LocalTimestampMillis => logical(Logical::LocalTimestamp { per_second: 1_000 }, Shape::Long),
            Schema::LocalTimestampMicros => logical(Logical::LocalTimestamp { per_second: 1_000_000 }, Shape::Long),
            Schema::LocalTimestampNanos => logical(Logical::LocalTimestamp { per_second: 1_000_000_000 }, Shape::Long),
            Schema::Float => Shape::Float,
            Schema::Double => Shape::Double,
            Schema::Bytes | Schema::BigDecimal => Shape::Bytes,
            Schema::Uuid(UuidSchema::Bytes) => logical(Logical::Uuid, Shape::Bytes),
            Schema::String | Schema::Uuid(UuidSchema::String) => Shape::Text,
            Schema::Decimal(decimal) => {
                let wire = match &decimal.inner {
                    InnerDecimalSchema::Bytes => Shape::Bytes,
                    InnerDecimalSchema::Fixed(fixed) => self.name(&fixed.name, namespace, Shape::Fixed(fixed.size)),
                };
                logical(Logical::Decimal { scale: decimal.scale }, wire)
            }
            Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                logical(Logical::Uuid, self.name(&fixed.name, namespace, Shape::Fixed(fixed.size)))
            }
            Schema::Fixed(fixed) | Schema::Duration(fixed) => {
                self.name(&fixed.name, namespace, Shape::Fixed(fixed.size))
            }
            Schema::Enum(of) => self.name(&of.name, namespace, Shape::Enum(of.symbols.clone().into())),
            Schema::Array(array) => Shape::Array(Box::new(self.shape(&array.items, namespace)?)),
            Schema::Map(map) => Shape::Map(Box::new(self.shape(&map.types, namespace)?)),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.shape(branch, namespace));
                Shape::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => self.record(record, namespace)?,
            Schema::Ref { name } => match self.named.get(&name.fullname(namespace)) {
                Some(shape) => shape.clone(),
                None => return Err(Fault::new(format!("type `{}` is not defined", name.fullname(namespace)))),
            },
        };
        Ok(shape)
    }

    fn record(&mut self, record: &RecordSchema, namespace: Option<&str>) -> Result<Shape, Fault> {
        let index = self.records.len();
        self.records.push(Vec::new());
        // Named before its fields are looked at: one of them may be the record itself.
        let shape = self.name(&record.name, namespace, Shape::Record(index));
        let namespace = record.name.namespace().or(namespace);
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let shape = self.shape(&field.schema, namespace).map_err(|fault| fault.within(&field.name))?;
            fields.push(Field { name: field.name.clone(), shape, default: field.default.clone() });
        }
        if let Some(place) = self.records.get_mut(index) {
            *place = fields;
        }
        Ok(shape)
    }

    fn name(&mut self, name: &apache_avro::schema::Name, namespace: Option<&str>, shape: Shape) -> Shape {
        self.named.insert(name.fullname(namespace), shape.clone());
        shape
    }
}
