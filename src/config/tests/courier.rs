//! How targets are called: by their kind, and by what a binding says otherwise.

use std::time::Duration;

use super::{BINDING, load};
use crate::config::binding::SignatureMode;
use crate::config::courier::{CourierSettings, Profile};

fn of_binding(file: &str) -> CourierSettings {
    let settings = load(file, &[], Vec::new()).expect("no mistake");
    settings.bindings[0].courier.clone()
}

#[test]
fn the_default_file_says_what_the_contract_says() {
    for (profile, name) in [(Profile::Sales, "sales"), (Profile::Erp, "erp"), (Profile::Esignature, "esignature")] {
        let found = of_binding(&format!("{BINDING}courier = {{ profile = \"{name}\" }}\n"));

        assert_eq!(found, CourierSettings::of(profile), "{name}");
    }
    assert_eq!(of_binding(BINDING), CourierSettings::default());
}

#[test]
fn a_binding_overrules_its_profile_and_the_profile_the_default() {
    let profile = "[courier.erp]\ntimeout = \"20s\"\nconcurrency = 2\nretry_delays = [\"5s\"]\n";
    let file = format!("{BINDING}courier = {{ profile = \"erp\", concurrency = 3, second_rounds = [] }}\n{profile}");

    let found = of_binding(&file);

    let base = CourierSettings::of(Profile::Erp);
    assert_eq!((found.timeout, found.concurrency), (Duration::from_secs(20), 3));
    assert_eq!(found.retry.delays, Some(vec![Duration::from_secs(5)]));
    assert_eq!((found.breaker, found.second_rounds), (base.breaker, Vec::new()));

    let doubled = format!("{BINDING}courier = {{ profile = \"erp\", retries = 1 }}\n{profile}");
    let retry = of_binding(&doubled).retry;
    assert_eq!((retry.delays, retry.retries), (None, 1), "a list in the profile does not hide what the binding says");
}

#[test]
fn the_older_form_of_the_signature_is_a_bindings_choice() {
    for (line, expected) in [
        ("", SignatureMode::Timestamp),
        ("signature_mode = \"timestamp\"\n", SignatureMode::Timestamp),
        ("signature_mode = \"body\"\n", SignatureMode::Body),
    ] {
        let settings = load(&format!("{BINDING}{line}"), &[], Vec::new()).expect("no mistake");

        assert_eq!(settings.bindings[0].signature_mode, expected, "{line}");
    }
}
