//! What is different between two openings of the same sources, key by key.

use std::collections::BTreeMap;

use toml_edit::{Array, Item, TableLike, Value};

use crate::config::reader::Document;

/// The keys that have another value in `after` than in `before`, or are in one of them only, in alphabetical order:
/// `door.listen`. Of an array of tables only the name of the array. Layout and comments do not count.
pub(super) fn changed_keys(before: &[Document], after: &[Document]) -> Vec<String> {
    let (before, after) = (flat(before), flat(after));
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    let mut changed: Vec<String> = keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
    changed.sort();
    changed
}

/// Every key with its value, of the last document that has it.
fn flat(documents: &[Document]) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for document in documents {
        collect("", document.table(), &mut values);
    }
    values
}

fn collect(prefix: &str, table: &dyn TableLike, values: &mut BTreeMap<String, String>) {
    for (key, item) in table.iter() {
        let key = format!("{prefix}{key}");
        match item.as_table_like() {
            Some(table) => collect(&format!("{key}."), table, values),
            None => {
                values.insert(key, text(item));
            }
        }
    }
}

fn text(item: &Item) -> String {
    match item {
        Item::Value(value) => value_text(value),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table_text(table)).collect(),
        Item::Table(table) => table_text(table),
        Item::None => String::new(),
    }
}

fn table_text(table: &dyn TableLike) -> String {
    let mut values = BTreeMap::new();
    collect("", table, &mut values);
    format!("{values:?}")
}

fn value_text(value: &Value) -> String {
    let array = |array: &Array| array.iter().map(value_text).collect::<Vec<_>>();
    match value {
        Value::Array(elements) => format!("{:?}", array(elements)),
        Value::InlineTable(table) => table_text(table),
        Value::String(text) => format!("{:?}", text.value()),
        Value::Integer(integer) => integer.value().to_string(),
        Value::Float(float) => float.value().to_string(),
        Value::Boolean(boolean) => boolean.value().to_string(),
        Value::Datetime(time) => time.value().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_and_layout_is_no_change() {
        let open = |texts: &[&str]| -> Vec<Document> {
            texts.iter().map(|text| Document::parse("a.toml", *text).expect("valid TOML")).collect()
        };
        let before = "a = 1\n[door]\nlisten = \"x\"\nlist = [1, 2]\n[[operator]]\nname = \"anna\"\n";
        for (after, expected) in [
            (&[before][..], &[][..]),
            (
                &[
                    "# a comment\na = 1 # and one\ndoor = { list = [1,\n2], listen = \"x\" }\n[[operator]]\nname=\"anna\"",
                ],
                &[],
            ),
            (&["a = 2\n[door]\nlisten = \"x\"\nlist = [2, 1]\n[[operator]]\nname = \"anna\"\n"], &["a", "door.list"]),
            (&["a = 1\n[door]\nlisten = \"x\"\nlist = [1, 2]\n[[operator]]\nname = \"eva\"\n"], &["operator"]),
            (&["[door]\nlist = [1, 2]\n[[operator]]\nname = \"anna\"\n"], &["a", "door.listen"]),
            (&[before, "b = true\n[door]\nlisten = \"y\"\n"], &["b", "door.listen"]),
            (&["door.listen = \"y\"\na = 2", before], &[]),
        ] {
            assert_eq!(changed_keys(&open(&[before]), &open(after)), expected, "{after:?}");
        }
    }
}
