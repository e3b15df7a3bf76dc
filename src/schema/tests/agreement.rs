//! Drawn documents, held against the library's own codec.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value;

use super::{catalogue, everything};
use crate::schema::plan::{Plan, Shape};

#[test]
fn the_apache_library_reads_and_writes_the_same_bytes() {
    let everything = everything();
    let ours = catalogue();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for entry in ours.records().chain(everything.records()) {
        let schema = Schema::parse_str(&entry.text).expect("it was loaded");
        let reader = GenericDatumReader::builder(&schema).build().expect("it was loaded");
        let writer = GenericDatumWriter::builder(&schema).build().expect("it was loaded");
        let catalogue = if entry.id == 258 { &everything } else { &ours };
        for _ in 0..50 {
            let document = dice.document(&entry.plan, &entry.plan.root, 0);

            let framed = catalogue.encode_json(&entry.record, &document).unwrap_or_else(|error| panic!("{error}"));

            let mut body = &framed[5..];
            let body_bytes = body.len();
            let value = reader.read_value(&mut body).expect("the library reads what was written");
            assert!(body.is_empty(), "{}", entry.record);
            assert_eq!(writer.write_value_to_vec(value).expect("and writes it"), framed[5..], "{}", entry.record);
            assert_eq!(catalogue.decode(&framed).map(|decoded| decoded.value), Ok(document));
            let end = 5 + dice.below(body_bytes);
            assert!(catalogue.decode(&framed[..end]).is_err(), "{} cut at {end}", entry.record);
            // Whatever the bytes: an answer, not a panic.
            let mut damaged = framed.to_vec();
            let place = 5 + dice.below(body_bytes);
            damaged[place] ^= 1 << dice.below(8);
            let _ = catalogue.decode(&damaged);
        }
    }
}

/// Documents drawn from a fixed seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn document(&mut self, plan: &Plan, shape: &Shape, depth: usize) -> Value {
        match shape {
            Shape::Null => Value::Null,
            Shape::Boolean => Value::Bool(self.below(2) == 1),
            Shape::Int => [0, -1, 63, -65, i32::MAX, i32::MIN][self.below(6)].into(),
            Shape::Long => [0, -1, 1_772_612_131_210, i64::MAX, i64::MIN][self.below(5)].into(),
            Shape::Float => [0.0, -1.5, 0.1, f32::MAX][self.below(4)].into(),
            Shape::Double => [0.0, -0.0, 1490.0, 119.5, 0.1, f64::MIN_POSITIVE, f64::MAX][self.below(7)].into(),
            Shape::Bytes => ["", "/w==", "AAEC"][self.below(3)].into(),
            Shape::Text => ["", "a", "Maëlle 😀 \"\u{0}\\", &"long ".repeat(40)][self.below(4)].into(),
            Shape::Fixed(_) => ["AAE=", "//8="][self.below(2)].into(),
            Shape::Enum(symbols) => symbols[self.below(symbols.len())].clone().into(),
            Shape::Array(items) => {
                (0..self.below(4)).map(|_| self.document(plan, items, depth + 1)).collect::<Vec<_>>().into()
            }
            // One member at most: the library does not keep their order.
            Shape::Map(values) => (0..self.below(2))
                .map(|index| (format!("k{index}"), self.document(plan, values, depth + 1)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Shape::Logical(_, wire) => self.document(plan, wire, depth),
            Shape::Union(branches) => {
                let branch = if depth > 3 { 0 } else { self.below(branches.len()) };
                self.document(plan, &branches[branch], depth)
            }
            Shape::Record(record) => (plan.fields(*record).iter())
                .map(|field| (field.name.clone(), self.document(plan, &field.shape, depth + 1)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}
