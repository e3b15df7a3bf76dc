//! What a manifest may say of its webhook, and how its mistakes are told.

use super::*;
use crate::config::reader::Document;
use crate::normalize::manifest::Manifest;

const ROUTES: &str = "[[route]]\nname = \"made\"\ntarget = \"order_created\"\nprogram = \"a.vrl\"\nschema = \"a.json\"\n\
    id = \"/data/no\"\nrevision = [\"/timestamp\"]\nlines = \"/data/lines\"\n";
const TYPE: &str = "[[webhook.type]]\ntype = \"order.made\"\nroute = \"made\"\n";

/// The webhook of a manifest with these lines under `[webhook]`, or the mistakes.
fn read(webhook: &str, rest: &str) -> Result<(WebhookSpec, Manifest), Vec<String>> {
    let text =
        format!("name = \"acme\"\nversion = \"1\"\nsource_system = \"CUSTOM\"\n{ROUTES}[webhook]\n{webhook}\n{rest}");
    let document = Document::parse("adapter.toml", text).expect("valid TOML");
    let (manifest, report) = Manifest::read(&document);
    match (manifest, report.is_empty()) {
        (Some(manifest), true) => Ok((manifest.webhook.clone().expect("a webhook"), manifest)),
        _ => Err(report.findings().iter().map(|finding| finding.message.clone()).collect()),
    }
}

#[test]
fn what_is_not_said_is_the_usual() {
    let (webhook, manifest) = read("", TYPE).expect("no mistake");

    assert_eq!((webhook.auth, webhook.envelope, webhook.batch), (Scheme::Standard, Envelope::Standard, false));
    assert_eq!((webhook.on_unmapped, webhook.delivery_id.as_str()), (OnUnmapped::Ignore, "webhook-id"));
    assert_eq!(webhook.media_types, ["application/json"]);
    assert_eq!((manifest.body_bytes, manifest.source_key), (1 << 20, None));
    let required: Vec<_> = manifest.parameters.iter().map(|(key, spec)| (key.as_str(), spec.required)).collect();
    assert_eq!(required, [("signing_secret", true), ("source_id", true)]);
}

#[test]
fn every_scheme_and_envelope_can_be_said() {
    let hmac = |encoding, prefix: &str, timestamp_header: Option<&str>| {
        Scheme::HmacHeader(HmacHeader {
            header: "x-acme-signature".into(),
            encoding,
            prefix: prefix.into(),
            timestamp_header: timestamp_header.map(str::to_owned),
        })
    };
    let header = "scheme = \"hmac_header\", header = \"X-Acme-Signature\"";
    for (webhook, auth, envelope, secrets) in [
        ("auth = \"bearer\"".to_owned(), Scheme::Bearer, Envelope::Standard, "bearer_tokens"),
        (
            "auth = \"basic\"\nenvelope = \"cloudevents\"".to_owned(),
            Scheme::Basic,
            Envelope::CloudEvents,
            "basic_credentials",
        ),
        (
            format!("auth = {{ {header}, encoding = \"base64\", over = \"body\" }}\nenvelope = \"none\""),
            hmac(Encoding::Base64, "", None),
            Envelope::None { type_at: None },
            "signing_secret",
        ),
        (
            format!(
                "auth = {{ {header}, encoding = \"hex\", prefix = \"sha256=\", over = \"timestamp.body\", \
                 timestamp_header = \"X-Acme-Time\" }}\nenvelope = \"none\"\ntype_at = \"/kind\""
            ),
            hmac(Encoding::Hex, "sha256=", Some("x-acme-time")),
            Envelope::None { type_at: Pointer::parse("/kind") },
            "signing_secret",
        ),
    ] {
        let (found, manifest) = read(&webhook, TYPE).unwrap_or_else(|mistakes| panic!("{webhook}: {mistakes:?}"));

        assert_eq!((found.auth, found.envelope), (auth, envelope), "{webhook}");
        assert!(manifest.parameters.contains_key(secrets), "{webhook}");
    }
}

#[test]
fn conditions_are_read_in_their_order() {
    let when =
        |condition: &str| format!("[[webhook.type.when]]\nfield = \"/data/state\"\n{condition}\nroute = \"made\"\n");
    let rest = ["equals = \"x\"", "in = [\"y\", \"z\"]", "equals = true", "present = false"].map(when).concat();

    let (webhook, _) = read("", &format!("[[webhook.type]]\ntype = \"order.made\"\n{rest}")).expect("no mistake");

    let conditions: Vec<_> = webhook.types[0].choices.iter().map(|choice| choice.condition.clone()).collect();
    let texts = |texts: &[&str]| Condition::In(texts.iter().map(|text| (*text).to_owned()).collect());
    assert_eq!(conditions, [texts(&["x"]), texts(&["y", "z"]), Condition::Is(true), Condition::Present(false)]);
}

#[test]
fn every_mistake_says_what_was_expected() {
    for (webhook, rest, expected) in [
        ("", "", "`webhook.type` is missing: expected one or more `[[webhook.type]]`"),
        ("auth = \"none\"", TYPE, "expected one of: standard, bearer, basic, or { scheme = \"hmac_header\""),
        ("auth = { scheme = \"plain\" }", TYPE, "`scheme`: expected one of: hmac_header, found `plain`"),
        (
            "auth = { scheme = \"hmac_header\", header = \"X\", encoding = \"hex\", over = \"timestamp.body\" }",
            TYPE,
            "`webhook.auth.timestamp_header` is missing",
        ),
        (
            "auth = { scheme = \"hmac_header\", header = \"X\", encoding = \"hex\", over = \"body\", \
             timestamp_header = \"Y\" }",
            TYPE,
            "`timestamp_header`: the signature is over the body alone",
        ),
        (
            "auth = { scheme = \"hmac_header\", header = \"a b\", encoding = \"hex\", over = \"body\" }",
            TYPE,
            "`header`: expected the name of a header",
        ),
        ("envelope = \"soap\"", TYPE, "`envelope`: expected one of: standard, cloudevents, none, found `soap`"),
        ("type_at = \"/kind\"", TYPE, "`type_at`: this envelope has its type at `/type`"),
        ("on_unmapped = \"record\"", TYPE, "`record` keeps an activity, and this version maps orders only"),
        ("on_unmapped = \"drop\"", TYPE, "`on_unmapped`: expected ignore or reject, found `drop`"),
        ("delivery_id = \"X-Id\"", TYPE, "`delivery_id`: with `auth = \"standard\"` it is `webhook-id`"),
        ("batches = true", TYPE, "unknown key `webhook.batches`"),
        ("", "[[webhook.type]]\ntype = \"a\"\nroute = \"other\"", "`webhook.type`: no route `other`, there is: made"),
        ("", "[[webhook.type]]\ntype = \"a\"", "`route` is missing: expected the name of a route, or"),
        (
            "",
            "[[webhook.type]]\ntype = \"a\"\nroute = \"made\"\n[[webhook.type]]\ntype = \"a\"\nroute = \"made\"",
            "a second target for type `a`",
        ),
        (
            "",
            "[[webhook.type]]\ntype = \"a\"\n[[webhook.type.when]]\nfield = \"/x\"\nroute = \"made\"",
            "expected one of `equals`, `in` and `present`",
        ),
        (
            "envelope = \"none\"",
            "[[webhook.type]]\ntype = \"a\"\nroute = \"made\"\n[[webhook.type]]\ntype = \"b\"\nroute = \"made\"",
            "without `type_at` an event has one type",
        ),
        (
            "",
            &format!("{TYPE}[[route]]\nname = \"webhook\"\ntarget = \"activity\""),
            "`target`: `activity` is not there yet, this version maps orders only",
        ),
        ("", &format!("{TYPE}[[route]]\nname = \"webhook\""), "`webhook` stands for the webhook itself"),
    ] {
        let mistakes = read(webhook, rest).expect_err(webhook);

        assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{webhook} {rest}: {mistakes:#?}");
    }
}

#[test]
fn a_webhook_has_no_source_key_and_is_custom() {
    let text = format!(
        "name = \"acme\"\nversion = \"1\"\nsource_system = \"PYXIS\"\nsource_key = \"pyxis\"\n{ROUTES}[webhook]\n{TYPE}"
    );

    let (_, report) = Manifest::read(&Document::parse("adapter.toml", text).expect("valid TOML"));

    let found = report.to_string();
    assert!(found.contains("`source_key`: with `[webhook]` it is `custom.<source_id>` of each binding"), "{found}");
    assert!(found.contains("`source_system`: with `[webhook]` expected CUSTOM"), "{found}");
}
