//! Bindings that are sources of webhooks: their `source_id` and their secrets.

use std::collections::BTreeMap;

use super::{layers, lines};
use crate::config::binding::{BindingSpec, ParameterKind, ParameterSpec};
use crate::config::layers::AdapterParameters;

/// `hook` asks for user and password, `house` for nothing.
fn adapters() -> AdapterParameters {
    let required = |kind| ParameterSpec { kind, required: true };
    let hook = [("source_id", required(ParameterKind::Text)), ("basic_credentials", required(ParameterKind::Secrets))];
    let hook = hook.into_iter().map(|(name, spec)| (name.to_owned(), spec)).collect();
    let spec = |parameters| BindingSpec { parameters, topics: Vec::new() };
    BTreeMap::from([("hook".to_owned(), spec(hook)), ("house".to_owned(), spec(BTreeMap::new()))])
}

fn binding(name: &str, adapter: &str, more: &str) -> String {
    format!("[[binding]]\nname = \"{name}\"\nadapter = \"{adapter}\"\ntenant_id = \"north\"\n{more}\n")
}

#[test]
fn a_source_has_an_id_of_its_own_and_its_credentials() {
    let file = binding("a", "hook", "source_id = \"acme-7\"\nbasic_credentials = [\"env:SECRET\", \"env:OTHER\"]");

    let settings = layers(&file, &[], Vec::new()).and_then(|layers| layers.settings(&adapters())).expect("no mistake");

    let [binding] = settings.bindings.as_slice() else { panic!("one binding") };
    assert_eq!((binding.source_id.as_deref(), binding.basic_credentials.len()), (Some("acme-7"), 2));
}

#[test]
fn mistakes_of_a_source_are_named_with_their_line() {
    let credentials = "basic_credentials = \"env:SECRET\"";
    let source = |name: &str, id: &str| binding(name, "hook", &format!("source_id = \"{id}\"\n{credentials}"));
    let form = "`source_id`: expected a letter, then 1 to 31 letters, digits and `-`, a-z, found";
    for (file, expected) in [
        (source("a", "A7"), format!("5:13: {form} `A7`")),
        (source("a", "a"), format!("5:13: {form} `a`")),
        (source("a", &"a".repeat(33)), format!("5:13: {form} `{}`", "a".repeat(33))),
        (binding("a", "hook", credentials), "1:1: `binding.source_id` is missing: expected text".to_owned()),
        (
            binding("a", "hook", "source_id = \"acme\""),
            "1:1: `binding.basic_credentials` is missing: expected a secret reference such as".to_owned(),
        ),
        (
            format!("{}{}", source("a", "acme"), source("b", "acme")),
            "11:13: binding `b`: a `source_id` names one binding, this one is in use already: ".to_owned(),
        ),
        (binding("a", "house", credentials), "5:21: `basic_credentials`: adapter `house` takes none".to_owned()),
        (binding("a", "house", "source_id = \"acme\""), "5:1: unknown key `binding.source_id`".to_owned()),
    ] {
        let read = layers(&file, &[], Vec::new()).and_then(|layers| layers.settings(&adapters()));

        let found = lines(&read.expect_err("a mistake"));
        assert!(found.iter().any(|line| line.starts_with(&format!("crossdock.toml:{expected}"))), "{file}: {found:#?}");
    }
}
