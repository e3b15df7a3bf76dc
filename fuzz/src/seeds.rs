//! The first inputs of every target: the cases of the adapters, the events they
//! give, a genuine signature, the shipped configuration and manifests.

use std::fs;
use std::path::Path;

use crossdock::config::layers::DEFAULT;
use crossdock::config::secret::Secret;
use crossdock::normalize::{AdapterSet, cases};
use crossdock::schema::Catalogue;
use crossdock::verify;
use serde_json::Value;

use crate::signature::{NOW_S, SECRET, TOKEN};

/// Writes them, each target's in a folder of its own below `folder`.
pub fn write(folder: &Path) {
    let adapters = AdapterSet::load("mappings".as_ref(), "schemas".as_ref()).expect("the shipped adapters");
    let catalogue = Catalogue::load("schemas").expect("the shipped schemas");
    let mut route_number = 0;
    let mut configuration = vec![[&[0], DEFAULT.as_bytes()].concat()];
    let (mut json, mut avro) = (Vec::new(), Vec::new());
    for adapter in adapters.iter() {
        let manifest = fs::read(adapter.folder().join("adapter.toml")).expect("a manifest");
        configuration.push([&[1], &manifest[..]].concat());
        let inputs: Vec<Vec<u8>> = cases::names(adapter)
            .iter()
            .map(|name| adapter.folder().join(cases::FOLDER).join(name))
            .flat_map(|case| {
                avro.extend(events(&case, &catalogue));
                ["input.json", "input.patch.json"].map(|file| fs::read(case.join(file)).ok())
            })
            .flatten()
            .collect();
        for _ in adapter.routes() {
            json.extend(inputs.iter().map(|input| [&[route_number], &input[..]].concat()));
            route_number += 1;
        }
    }
    let body = br#"{"order_id":"PYX-1"}"#;
    let signature = verify::sign(&Secret::new(SECRET), NOW_S, body);
    let signed = format!("aBearer {TOKEN}\nt{NOW_S}\ns{signature}\n\n").into_bytes();
    let signed = vec![[&signed[..], body].concat(), signed];
    configuration.push(b"\0[[binding]]\nname = \"pyxis-north\"\nadapter = \"pyxis\"\ntenant_id = \"north\"\ncountries = [\"FR\"]\nbu_codes = [\"B\"]\nsigning_secret = [\"env:A\", \"file:/dev/null\"]\nbearer_tokens = \"env:B\"\n".to_vec());
    for (target, inputs) in [("json", json), ("avro", avro), ("signature", signed), ("configuration", configuration)] {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        for (number, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:05}")), input).expect("written");
        }
    }
}

/// The events a case expects, as they are on the log.
fn events(case: &Path, catalogue: &Catalogue) -> Vec<Vec<u8>> {
    let Ok(expected) = fs::read(case.join("expected.json")) else { return Vec::new() };
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let events = expected["events"].as_array().cloned().unwrap_or_default();
    let framed = events.iter().filter_map(|event| {
        let mut value = event["value"].clone();
        if value.get("event_timestamp").is_none() {
            value["event_timestamp"] = Value::from(0);
        }
        if event["schema"] == "SalesOrderNormalized" {
            value["transformation_version"] = Value::from("1");
        }
        catalogue.encode_json(event["schema"].as_str()?, &value).ok()
    });
    framed.map(|value| value.to_vec()).collect()
}
