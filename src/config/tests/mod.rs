//! The configuration as a whole: what is read, what overrules what, and what each mistake is called.

mod courier;
mod developer_mode;
mod engines;
mod mistakes;
mod sources;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::config::binding::{BindingSpec, Parameter, ParameterKind, ParameterSpec};
use crate::config::environment::Environment;
use crate::config::layers::{AdapterParameters, DEFAULT, Flag, Layers, Sources};
use crate::config::report::Report;
use crate::config::settings::{LogFormat, Role, Settings};

fn adapters() -> AdapterParameters {
    let spec = |kind, required| ParameterSpec { kind, required };
    let pyxis = [
        ("signing_secret", spec(ParameterKind::Secrets, true)),
        ("bearer_tokens", spec(ParameterKind::Secrets, true)),
        ("bu_codes", spec(ParameterKind::List, true)),
        ("base_url", spec(ParameterKind::Url, false)),
        ("outbound_token", spec(ParameterKind::Secrets, false)),
        ("label", spec(ParameterKind::Text, false)),
        ("service_codes", spec(ParameterKind::Table, false)),
    ];
    let parameters = pyxis.into_iter().map(|(name, spec)| (name.to_owned(), spec)).collect();
    let topics = ["sales.pyxis.order.created", "sales.pyxis.order.updated"].map(str::to_owned).to_vec();
    BTreeMap::from([("pyxis".to_owned(), BindingSpec { parameters, topics })])
}

fn environment(more: &[(&str, &str)]) -> Environment {
    [("TOKEN", "t0ken"), ("SECRET", "s3cret"), ("OTHER", "0ther")].iter().chain(more).copied().collect()
}

fn layers(file: &str, variables: &[(&str, &str)], flags: Vec<Flag>) -> Result<Layers, Report> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("crossdock.toml");
    std::fs::write(&path, file).expect("written");
    Layers::open(Sources { file: Some(path), environment: environment(variables), flags })
}

fn load(file: &str, variables: &[(&str, &str)], flags: Vec<Flag>) -> Result<Settings, Vec<String>> {
    let loaded = layers(file, variables, flags).and_then(|layers| layers.settings(&adapters()));
    loaded.map_err(|report| lines(&report))
}

/// Findings, the file's folder left out.
fn lines(report: &Report) -> Vec<String> {
    report
        .findings()
        .iter()
        .map(|finding| {
            let line = finding.to_string();
            line.split_once("/crossdock.toml").map_or(line.clone(), |(_, rest)| format!("crossdock.toml{rest}"))
        })
        .collect()
}

fn flag(name: &str, key: &[&str], value: &str) -> Flag {
    let key = key.iter().map(|&part| part.to_owned()).collect();
    Flag { name: name.to_owned(), key, value: value.to_owned(), is_text: true }
}

const BINDING: &str = "[[binding]]\nname = \"a\"\nadapter = \"pyxis\"\ntenant_id = \"north\"\nbu_codes = \
    [\"B\"]\nbearer_tokens = \"env:TOKEN\"\nsigning_secret = \"env:SECRET\"\n";

#[test]
fn the_default_file_has_every_key_and_no_mistake() {
    let settings = load("", &[], Vec::new()).expect("no mistake");

    assert_eq!((settings.log.partitions, settings.developer), (6, false));
    assert_eq!(settings.telemetry.log_format, LogFormat::Auto);
    assert!(settings.bindings.is_empty() && settings.operators.is_empty());
    // A key that is read but not written here would have been reported as missing; these are the ones commented out.
    let of_tables = ["name", "adapter", "tenant_id", "countries", "rate_limit_per_minute", "bearer_tokens", "roles"];
    let of_kafka = ["bootstrap_servers", "transactional_id", "sasl_mechanism", "replication_factor", "librdkafka"];
    let of_servers = ["url", "password", "sslrootcert", "sslcert", "sslkey", "username", "ssl_ca_location"];
    for key in of_tables.iter().chain(&of_kafka).chain(&of_servers) {
        assert!(DEFAULT.contains(&format!("# {key} = ")), "{key}");
    }
}

#[test]
fn the_commented_tables_of_the_default_file_can_be_used_as_they_are() {
    let shown = |line: &&str| line.starts_with("# ") && (line.contains(" = ") || line.starts_with("# [["));
    let file: Vec<_> = DEFAULT
        .lines()
        .skip_while(|line| !line.starts_with("# A binding"))
        .filter(shown)
        .map(|line| line.trim_start_matches("# "))
        .collect();
    let variables =
        ["PYXIS_NORTH_TOKEN", "PYXIS_NORTH_SECRET", "PYXIS_NORTH_SECRET_OLD", "CROSSDOCK_TOKEN_ANNA"].map(|n| (n, "x"));

    let settings = load(&file.join("\n"), &variables, Vec::new()).expect("no mistake");

    assert_eq!((settings.bindings.len(), settings.operators.len()), (1, 1));
    assert_eq!(settings.bindings[0].signing_secret.len(), 2);
}

#[test]
fn flags_overrule_variables_overrule_the_file_overrules_the_default() {
    let file = "data_dir = \"file\"\nschemas_dir = \"file\"\nmappings_dir = \"file\"\n[log]\npartitions = 2\n";
    let variables = [
        ("CROSSDOCK__SCHEMAS_DIR", "variable"),
        ("CROSSDOCK__MAPPINGS_DIR", "variable"),
        ("CROSSDOCK__LOG__RETENTION", "2h"),
        ("CROSSDOCK__SEQUENCE__BATCH_RECORDS", "7"),
        ("CROSSDOCK__DOOR__LISTEN", "0.0.0.0:9"),
        ("CROSSDOCK__TELEMETRY__LOG_FILTER", "info,crossdock=debug"),
        ("CROSSDOCK_URL", "no key"),
    ];
    let flags = vec![flag("--mappings-dir", &["mappings_dir"], "7")];

    let settings = load(file, &variables, flags).expect("no mistake");

    assert_eq!(settings.data_dir, Path::new("file"));
    assert_eq!(settings.schemas_dir, Path::new("variable"));
    assert_eq!(settings.mappings_dir, Path::new("7"));
    assert_eq!((settings.log.partitions, settings.log.retention), (2, Duration::from_hours(2)));
    assert_eq!((settings.sequence.batch_records, settings.door.listen.port()), (7, 9));
    assert_eq!(settings.telemetry.log_filter, "info,crossdock=debug");
    assert_eq!(settings.store.payloads_for, Duration::from_hours(35 * 24));
}

#[test]
fn a_binding_carries_its_adapters_parameters() {
    let file = format!(
        "{BINDING}countries = [\"FR\"]\nbase_url = \"https://pyxis.example/api\"\noutbound_token = \
         [\"env:OTHER\"]\n[binding.service_codes]\nINSTALL_SAUNA = {{ service_type = \"installation\", minutes = 240, \
          visit = true }}\n"
    );

    let settings = load(&file, &[], Vec::new()).expect("no mistake");

    let [binding] = settings.bindings.as_slice() else { panic!("one binding") };
    assert_eq!((binding.name.as_str(), binding.tenant_id.as_str()), ("a", "north"));
    assert_eq!((binding.countries.as_slice(), binding.rate_limit_per_minute), (["FR".to_owned()].as_slice(), 100));
    assert_eq!(binding.list("bu_codes"), ["B"]);
    assert!(binding.bearer_tokens[0].matches(b"t0ken") && binding.signing_secret[0].matches(b"s3cret"));
    assert!(matches!(&binding.parameters["base_url"], Parameter::Text(url) if url == "https://pyxis.example/api"));
    assert!(matches!(&binding.parameters["outbound_token"], Parameter::Secrets(all) if all[0].matches(b"0ther")));
    let Parameter::Table(rows) = &binding.parameters["service_codes"] else { panic!("a table") };
    assert_eq!((rows["INSTALL_SAUNA"]["minutes"].as_str(), rows["INSTALL_SAUNA"]["visit"].as_str()), ("240", "true"));
    assert!(!binding.parameters.contains_key("bearer_tokens"), "a field of its own");
}

#[test]
fn a_binding_may_come_from_one_variable() {
    let binding = r#"[{name = "v", adapter = "pyxis", tenant_id = "t", bu_codes = ["B"], bearer_tokens = "env:TOKEN",
        signing_secret = "env:SECRET"}]"#;

    let settings = load(BINDING, &[("CROSSDOCK__BINDING", binding)], Vec::new()).expect("no mistake");

    assert_eq!(settings.bindings.iter().map(|binding| binding.name.as_str()).collect::<Vec<_>>(), ["v"]);
    assert_eq!(settings.bindings[0].countries, ["FR", "ES", "IT", "PL", "PT"]);
}

#[test]
fn a_binding_reads_all_topics_of_its_adapter_unless_it_names_some() {
    for (topics, expected) in [
        ("", vec!["sales.pyxis.order.created", "sales.pyxis.order.updated"]),
        ("topics = [\"sales.pyxis.order.updated\"]\n", vec!["sales.pyxis.order.updated"]),
        ("topics = []\n", vec![]),
    ] {
        let settings = load(&format!("{BINDING}{topics}"), &[], Vec::new()).expect("no mistake");

        assert_eq!(settings.bindings[0].topics, expected, "{topics}");
    }
}

#[test]
fn two_bindings_of_one_adapter_share_its_topics() {
    let other = "[[binding]]\nname = \"b\"\nadapter = \"pyxis\"\ntenant_id = \"south\"\nbu_codes = [\"B\"]\n\
        bearer_tokens = \"env:OTHER\"\nsigning_secret = \"env:SECRET\"\ntopics = [\"sales.pyxis.order.updated\"]\n";
    let file = format!("{BINDING}topics = [\"sales.pyxis.order.created\"]\n{other}");

    let settings = load(&file, &[], Vec::new()).expect("no mistake");

    let topics: Vec<_> = settings.bindings.iter().map(|binding| binding.topics.join(" ")).collect();
    assert_eq!(topics, ["sales.pyxis.order.created", "sales.pyxis.order.updated"]);
}

#[test]
fn an_operator_with_two_tokens_is_accepted_with_either() {
    let file = "[[operator]]\nname = \"anna\"\ntoken = [\"env:TOKEN\", \"env:OTHER\"]\nroles = [\"viewer\", \
        \"writer\"]\ntenants = [\"north\"]\n";

    let settings = load(file, &[], Vec::new()).expect("no mistake");

    let tokens: Vec<_> = settings.operators.iter().map(|operator| operator.token.reveal()).collect();
    assert_eq!(tokens, ["t0ken", "0ther"]);
    assert_eq!(settings.operators[1].roles, [Role::Viewer, Role::Writer]);
    assert_eq!(settings.operators[1].tenants, ["north"]);
}

#[test]
fn a_senders_credentials_need_no_other_secret_and_no_adapter() {
    let other = "[[binding]]\nname = \"b\"\nadapter = \"none\"\nbearer_tokens = \"env:NOT_AT_HAND\"\n";
    let layers = layers(&format!("{other}{BINDING}"), &[], Vec::new()).expect("TOML");

    let credentials = layers.credentials("a").expect("at hand");
    assert!(credentials.bearer_tokens[0].matches(b"t0ken") && credentials.signing_secret[0].matches(b"s3cret"));
    let unset = layers.credentials("b").expect_err("not at hand");
    assert_eq!(lines(&unset), ["crossdock.toml:4:17: `bearer_tokens`: `env:NOT_AT_HAND`: the variable is not set"]);
    let unknown = layers.credentials("c").expect_err("unknown");
    assert_eq!(lines(&unknown), ["crossdock.toml: no binding `c`, there is: b, a"]);
}
