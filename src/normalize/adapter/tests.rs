use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::normalize::tests::{adapters, binding};

const MANIFEST: &str = "name = \"acme\"\nversion = \"1.0.0\"\nsource_system = \"CUSTOM\"\n\
    source_key = \"custom.acme\"\n[limits]\nbody_bytes = 1000\n[[route]]\nname = \"order\"\n\
    target = \"order_cancelled\"\nprogram = \"cancellation.vrl\"\nschema = \"acme/cancellation.schema.json\"\n\
    id = \"/ordre\"\nrevision = [\"/at\"]\n";
const SCHEMA: &str = r#"{"type": "object", "required": ["order", "at", "why"], "properties":
    {"order": {"type": "string"}, "at": {"type": "string"}, "why": {"type": "string"}}}"#;

#[test]
fn the_mistakes_of_all_files_of_all_adapters_are_reported_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str, text: &str| {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().expect("files are in folders")).expect("a folder");
        fs::write(file, text).expect("a file");
    };
    write("mappings/acme/adapter.toml", MANIFEST);
    write("mappings/acme/cancellation.vrl", "{ \"external_order_id\": order_id(.order),\n\"reason_code\": .wyh }");
    write("mappings/acme/tables/reasons.toml", "extended_by = \"more\"\n[rows]\nA = \"B\"\n");
    write("mappings/broken/adapter.toml", "name = 1\n");
    write("schemas/acme/cancellation.schema.json", SCHEMA);

    let report = AdapterSet::load(&folder.path().join("mappings"), &folder.path().join("schemas"))
        .expect_err("adapters with mistakes");

    let text = report.to_string();
    for expected in [
        "acme/adapter.toml:7: route `order`: no field `/ordre` in the schema `acme/cancellation.schema.json`",
        "acme/cancellation.vrl:2:16: no field `wyh` in the schema, did you mean `why`?",
        "acme/tables/reasons.toml: `extended_by`: no binding parameter `more` of type table",
        "broken/adapter.toml:1:8: `name`: expected text, found integer",
        "broken/adapter.toml: `version` is missing: expected text",
    ] {
        assert!(text.contains(expected), "expected {expected}\nfound {text}");
    }
}

#[test]
fn rows_a_table_cannot_hold_are_a_mistake_of_the_binding() {
    let adapters = adapters();
    let pyxis = adapters.adapter("pyxis").expect("the adapter is there");
    let mut binding = binding();
    assert_eq!(pyxis.check_binding(&binding), Vec::<String>::new());

    let row = [("service_type", "fitting"), ("minutes", "60"), ("visit", "true")];
    let row: BTreeMap<_, _> = row.iter().map(|(column, value)| (column.to_string(), value.to_string())).collect();
    let rows = Parameter::Table([("POOL_*".to_owned(), row)].into());
    binding.parameters.insert("service_codes".into(), rows);

    assert_eq!(
        pyxis.check_binding(&binding),
        ["`service_codes`: row `POOL_*`: `service_type`: expected one of: installation, technical_visit, rework, \
          maintenance, repair, emergency_repair, quotation"]
    );
}
