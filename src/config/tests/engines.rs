//! The engines that are servers, and the schema registry.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{lines, load};
use crate::config::layers::{Layers, Sources};
use crate::config::settings::{
    ClientCertificate, GroupProtocol, KafkaSecurity, KafkaSettings, LogEngine, PostgresTls, RegistryAuth,
    SaslMechanism, Settings, StoreEngine, TlsSettings,
};

const POSTGRES: &str = "[store]\nengine = \"postgres\"\n[store.postgres]\nurl = \"env:PG\"\n";
const VARIABLES: [(&str, &str); 2] = [("PG", "postgresql://crossdock@db:5432/orders"), ("PASSWORD", "pa55word")];

/// A Kafka log and a PostgreSQL store, with more keys of `[log.kafka]`.
fn on_kafka(more: &str) -> String {
    format!(
        "{POSTGRES}[log]\nengine = \"kafka\"\n[log.kafka]\nbootstrap_servers = \"a:9092,b:9092\"\n\
         transactional_id = \"crossdock-0\"\n{more}"
    )
}

fn loaded(file: &str) -> Result<Settings, Vec<String>> {
    load(file, &VARIABLES, Vec::new())
}

fn kafka(more: &str) -> KafkaSettings {
    let settings = loaded(&on_kafka(more)).expect("no mistake");
    let LogEngine::Kafka(kafka) = settings.log.engine else { panic!("another engine") };
    *kafka
}

/// The mistakes, without their place in the file.
fn mistakes(file: &str) -> Vec<String> {
    let lines = loaded(file).expect_err("a mistake");
    lines.iter().map(|line| line.split_once(": ").map_or(line.clone(), |(_, rest)| rest.to_owned())).collect()
}

/// A folder with the three files of a TLS connection.
fn pem_files() -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n";
    let paths = [("ca.pem", certificate), ("own.pem", certificate), ("key.pem", key)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    });
    (folder, paths)
}

fn named(keys: [&str; 3], paths: &[PathBuf; 3]) -> String {
    keys.iter().zip(paths).fold(String::new(), |mut text, (key, path)| {
        writeln!(text, "{key} = \"{}\"", path.display()).expect("text");
        text
    })
}

#[test]
fn one_machine_needs_no_server() {
    let settings = load("", &[], Vec::new()).expect("no mistake");

    assert!(matches!(settings.log.engine, LogEngine::Sqlite) && matches!(settings.store.engine, StoreEngine::Sqlite));
    assert!(settings.registry.is_none());
}

#[cfg(feature = "kafka-tls")]
#[test]
fn kafka_is_reached_as_it_is_told() {
    let (_folder, paths) = pem_files();
    let files = named(["ssl_ca_location", "ssl_certificate_location", "ssl_key_location"], &paths);
    let [ca, certificate, key] = paths;
    let tls = TlsSettings { ca: Some(ca), client: Some(ClientCertificate { certificate, key }) };
    let sasl = "sasl_mechanism = \"SCRAM-SHA-512\"\nsasl_username = \"u\"\nsasl_password = \"env:PASSWORD\"\n";

    let plain = kafka("");
    assert_eq!((plain.bootstrap_servers.as_str(), plain.transactional_id.as_str()), ("a:9092,b:9092", "crossdock-0"));
    assert_eq!((plain.client_id.as_str(), plain.replication_factor), ("crossdock", None));
    assert_eq!((plain.session_timeout, plain.transaction_timeout), (Duration::from_secs(30), Duration::from_secs(15)));
    assert_eq!((plain.group_protocol, plain.security), (GroupProtocol::Classic, KafkaSecurity::Plaintext));

    for protocol in ["tls", "ssl"] {
        let encrypted = kafka(&format!("security_protocol = \"{protocol}\"\n{files}"));
        assert_eq!(encrypted.security, KafkaSecurity::Tls(tls.clone()), "{protocol}");
    }
    for (protocol, expected) in [("sasl_plaintext", None), ("sasl_tls", Some(tls)), ("sasl_ssl", None)] {
        let files = if expected.is_some() { files.as_str() } else { "" };
        let named = kafka(&format!("security_protocol = \"{protocol}\"\n{sasl}{files}")).security;
        let KafkaSecurity::Sasl { mechanism, username, password, tls } = named else { panic!("{protocol}") };
        assert_eq!((mechanism, username.as_str(), password.reveal()), (SaslMechanism::ScramSha512, "u", "pa55word"));
        assert_eq!(tls, expected.or_else(|| (protocol == "sasl_ssl").then(TlsSettings::default)), "{protocol}");
    }
}

#[test]
fn librdkafkas_own_settings_pass_with_and_without_quotes() {
    let more = "replication_factor = 3\ngroup_protocol = \"consumer\"\n[log.kafka.librdkafka]\n\
        \"socket.keepalive.enable\" = true\nqueued.min.messages = 100\nclient.rack = \"a\"\n";

    let kafka = kafka(more);

    let properties: Vec<_> = kafka.librdkafka.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(properties, [("client.rack", "a"), ("queued.min.messages", "100"), ("socket.keepalive.enable", "true")]);
    assert_eq!((kafka.replication_factor, kafka.group_protocol), (Some(3), GroupProtocol::Consumer));
}

#[test]
fn a_log_for_several_gateways_needs_such_a_store() {
    let file = "[log]\nengine = \"kafka\"\n[log.kafka]\nbootstrap_servers = \"a:1\"\ntransactional_id = \"x\"\n\
        [store]\nengine = \"sqlite\"\n";

    let expected = "crossdock.toml:7:10: `store.engine`: expected \"postgres\" beside `log.engine = \"kafka\"`, found \
        \"sqlite\", one machine's own";
    assert_eq!(loaded(file).expect_err("refused"), [expected]);
    let both = mistakes("[log]\nengine = \"kafka\"\n");
    assert!(both.len() == 3 && both.iter().any(|line| line.starts_with("`store.engine`")), "{both:#?}");
    // The other way round is a gateway whose state is kept elsewhere.
    assert!(loaded(POSTGRES).is_ok());
}

#[cfg(feature = "kafka-tls")]
#[test]
fn every_mistake_about_kafka_is_named() {
    let (_folder, [ca, own, key]) = pem_files();
    let tls = |more: &str| format!("security_protocol = \"tls\"\n{more}");
    let (own_path, key_path) = (own.display(), key.display());
    for (more, expected) in [
        (
            "security_protocol = \"sasl\"".to_owned(),
            "`log.kafka.security_protocol`: expected \"plaintext\" or \"tls\" or \"sasl_plaintext\" or \"sasl_tls\" \
             or \"ssl\" or \"sasl_ssl\", found other text",
        ),
        (
            format!("ssl_ca_location = \"{}\"", ca.display()),
            "`log.kafka.ssl_ca_location` is of no use: `security_protocol` is without TLS",
        ),
        (
            "sasl_username = \"u\"".to_owned(),
            "`log.kafka.sasl_username` is of no use: `security_protocol` is without SASL",
        ),
        (
            tls("ssl_ca_location = \"/nowhere/ca.pem\""),
            "`log.kafka.ssl_ca_location`: `/nowhere/ca.pem` cannot be read: No such file or directory (os error 2)",
        ),
        (
            tls(&format!("ssl_ca_location = \"{key_path}\"")),
            "`log.kafka.ssl_ca_location`: expected a file with a certificate in PEM form, found another file",
        ),
        (
            tls(&format!("ssl_certificate_location = \"{own_path}\"\nssl_key_location = \"{own_path}\"")),
            "`log.kafka.ssl_key_location`: expected a file with a private key in PEM form, found another file",
        ),
        (
            tls(&format!("ssl_certificate_location = \"{own_path}\"")),
            "`log.kafka.ssl_certificate_location` needs `log.kafka.ssl_key_location` beside it",
        ),
        (
            tls("ssl_ca_location = \"-----BEGIN PRIVATE KEY-----\"\n"),
            "`log.kafka.ssl_ca_location`: expected the path of a file in PEM form, found its content",
        ),
        ("replication_factor = 0".to_owned(), "`log.kafka.replication_factor`: expected 1 to 100, found 0"),
        ("session_timeout = \"31m\"".to_owned(), "`log.kafka.session_timeout`: expected 1s to 30m, found 31m"),
        (
            "librdkafka = { acks = 1 }".to_owned(),
            "`log.kafka.librdkafka`: `acks` cannot be changed: what the log promises depends on it",
        ),
        (
            "librdkafka.bootstrap.servers = \"c:1\"".to_owned(),
            "`log.kafka.librdkafka`: `bootstrap.servers` has a key of its own, `bootstrap_servers`",
        ),
        (
            "librdkafka = { \"ssl.key.password\" = \"pa55word\" }".to_owned(),
            "`log.kafka.librdkafka`: `ssl.key.password` is set by the `sasl_…` and `ssl_…` keys",
        ),
        (
            "librdkafka = { a = [1] }".to_owned(),
            "`log.kafka.librdkafka`: expected a table of settings such as { \"socket.keepalive.enable\" = true }, \
             found inline table",
        ),
    ] {
        assert_eq!(mistakes(&on_kafka(&more)), [expected], "{more}");
    }
    let sasl = mistakes(&on_kafka("security_protocol = \"sasl_plaintext\"\nsasl_mechanism = \"GSSAPI\""));
    let expected = [
        "`log.kafka.sasl_mechanism`: expected \"PLAIN\" or \"SCRAM-SHA-256\" or \"SCRAM-SHA-512\", found other text",
        "`log.kafka.sasl_password` is missing: expected a secret reference such as \"env:NAME\", or an array of them",
        "`log.kafka.sasl_username` is missing: expected text",
    ];
    assert!(sasl.len() == 3 && expected.iter().all(|line| sasl.iter().any(|found| found == line)), "{sasl:#?}");
    for servers in ["", "a", "a:", ":1", "a:0", "a:99999", "a:1,", "http://a:1", "a b:1"] {
        let file = on_kafka("").replace("a:9092,b:9092", servers);
        let expected = "`log.kafka.bootstrap_servers`: expected `host:port`, or several joined by commas, found";
        assert_eq!(mistakes(&file), [format!("{expected} `{servers}`")]);
    }
}

#[cfg(not(feature = "kafka-tls"))]
#[test]
fn a_build_without_tls_for_kafka_says_so() {
    let scram = "security_protocol = \"sasl_plaintext\"\nsasl_mechanism = \"SCRAM-SHA-256\"\nsasl_username = \"u\"\n\
        sasl_password = \"env:PASSWORD\"\n";
    for (more, key, found) in
        [("security_protocol = \"tls\"\n", "security_protocol", "TLS"), (scram, "sasl_mechanism", "SCRAM")]
    {
        let expected = "expected neither TLS nor SCRAM in a build without the feature `kafka-tls`";
        assert_eq!(mistakes(&on_kafka(more)), [format!("`log.kafka.{key}`: {expected}, found {found}")]);
    }
    let plain = scram.replace("SCRAM-SHA-256", "PLAIN");
    assert!(matches!(kafka(&plain).security, KafkaSecurity::Sasl { mechanism: SaslMechanism::Plain, .. }));
}

#[test]
fn an_engine_that_does_not_run_needs_nothing_but_its_keys_right() {
    let unused = "[log.kafka]\nsecurity_protocol = \"sasl_tls\"\nsasl_mechanism = \"PLAIN\"\nsasl_password = \
        \"env:NOT_SET\"\nssl_ca_location = \"/nowhere\"\n[store.postgres]\nurl = \"env:NOT_SET\"\n";
    assert!(loaded(unused).is_ok());

    let wrong = "[log.kafka]\nbootstrap = \"a:1\"\n[store.postgres]\nmax_connections = 0\n";
    let found = loaded(wrong).expect_err("mistakes");
    assert!(found[0].starts_with("crossdock.toml:2:1: unknown key `log.kafka.bootstrap`, expected one of: "));
    assert_eq!(found[1], "crossdock.toml:4:19: `store.postgres.max_connections`: expected 1 to 1000, found 0");
}

#[test]
fn postgresql_is_reached_as_it_is_told() {
    let (_folder, paths) = pem_files();
    let files = named(["sslrootcert", "sslcert", "sslkey"], &paths);
    let own = files.lines().skip(1).collect::<Vec<_>>().join("\n");
    let [ca, certificate, key] = paths;
    let client = Some(ClientCertificate { certificate, key });
    for (more, expected) in [
        ("", PostgresTls::VerifyFull(TlsSettings::default())),
        ("sslmode = \"disable\"", PostgresTls::Disable),
        ("sslmode = \"require\"", PostgresTls::Require { client: None }),
        (&format!("sslmode = \"require\"\n{own}"), PostgresTls::Require { client: client.clone() }),
        (&files, PostgresTls::VerifyFull(TlsSettings { ca: Some(ca), client })),
    ] {
        let settings = loaded(&format!("{POSTGRES}{more}\npassword = \"env:PASSWORD\"\n")).expect("no mistake");
        let StoreEngine::Postgres(postgres) = settings.store.engine else { panic!("another engine") };
        assert_eq!(postgres.tls, expected, "{more}");
        assert_eq!(postgres.url.reveal(), "postgresql://crossdock@db:5432/orders");
        assert_eq!(postgres.password.map(|password| password.reveal().to_owned()).as_deref(), Some("pa55word"));
        assert_eq!((postgres.schema.as_str(), postgres.max_connections), ("crossdock", 16));
    }
}

#[test]
fn every_mistake_about_postgresql_is_named_and_no_address_repeated() {
    for (more, expected) in [
        (
            "schema = \"Orders\"",
            "`store.postgres.schema`: expected a lower-case letter or `_`, then such and digits, at most 63, found `Orders`",
        ),
        (
            "sslmode = \"prefer\"",
            "`store.postgres.sslmode`: expected \"disable\" or \"require\" or \"verify-full\", found other text",
        ),
        (
            "sslmode = \"disable\"\nsslrootcert = \"x\"",
            "`store.postgres.sslrootcert` is of no use: `sslmode` is \"disable\"",
        ),
        (
            "statement_timeout = \"5s\"",
            "`store.postgres.statement_timeout`: expected more than \
             `store.postgres.idle_in_transaction_session_timeout`, found no more",
        ),
    ] {
        assert_eq!(mistakes(&format!("{POSTGRES}{more}\n")), [expected], "{more}");
    }
    assert_eq!(
        mistakes("[store]\nengine = \"postgres\"\n"),
        ["`store.postgres.url` is missing: expected a secret reference such as \"env:NAME\", or an array of them"]
    );
    let other = load(POSTGRES, &[("PG", "mysql://u:pa55word@h/d")], Vec::new()).expect_err("refused");
    assert_eq!(
        other,
        [
            "crossdock.toml:4:7: `store.postgres.url`: expected the name of `postgresql://user@host:port/database`, found that of other text"
        ]
    );
}

#[test]
fn a_registry_is_asked_as_it_is_told() {
    let url = "[registry]\nurl = \"http://registry:8081/api\"\n";
    let none = loaded(url).expect("no mistake").registry.expect("a registry");
    assert_eq!((none.url.as_str(), none.auth), ("http://registry:8081/api", None));
    assert_eq!((none.request_timeout, none.retry_backoff_max), (Duration::from_secs(5), Duration::from_secs(30)));

    let basic = loaded(&format!("{url}username = \"u\"\npassword = \"env:PASSWORD\"\n")).expect("no mistake").registry;
    let Some(RegistryAuth::Basic { username, password }) = basic.and_then(|registry| registry.auth) else {
        panic!("another way")
    };
    assert_eq!((username.as_str(), password.reveal()), ("u", "pa55word"));

    let bearer = loaded(&format!("{url}bearer_token = \"env:PASSWORD\"\n")).expect("no mistake").registry;
    assert!(matches!(bearer.and_then(|it| it.auth), Some(RegistryAuth::Bearer(token)) if token.matches(b"pa55word")));
}

#[test]
fn every_mistake_about_the_registry_is_named() {
    let with = |more: &str| format!("[registry]\nurl = \"http://registry:8081\"\n{more}\n");
    let reference = "expected a secret reference such as \"env:NAME\", or an array of them";
    for (file, expected) in [
        (
            "[registry]\nurl = \"http://u:pa55word@registry\"\n".to_owned(),
            "`registry.url`: expected an http or https address without user, query and fragment, found other text"
                .to_owned(),
        ),
        ("[registry]\nusername = \"u\"\n".to_owned(), "`registry.username` is of no use: there is no `url`".to_owned()),
        (with("username = \"u\""), format!("`registry.password` is missing: {reference}")),
        (with("password = \"env:PASSWORD\""), "`registry.username` is missing: expected text".to_owned()),
        (
            with("username = \"u\"\npassword = \"env:PASSWORD\"\nbearer_token = \"env:PASSWORD\""),
            "`registry.bearer_token`: expected either it or `username` and `password`, found both".to_owned(),
        ),
        (with("ssl_ca_location = \"x\""), "`registry.ssl_ca_location` is of no use: `url` is not https".to_owned()),
        (
            with("retry_backoff = \"40s\""),
            "`registry.retry_backoff_max`: expected at least `registry.retry_backoff`, found less".to_owned(),
        ),
    ] {
        assert_eq!(mistakes(&file), [expected], "{file}");
    }
}

#[test]
fn the_registry_alone_can_be_asked_for_while_the_rest_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crossdock.toml");
    let text = "[registry]\nurl = \"http://registry\"\n[[binding]]\nbearer_tokens = \"env:NOT_AT_HAND\"\n";
    std::fs::write(&file, text).expect("written");
    let layers = |file: &Path| Layers::open(Sources { file: Some(file.to_owned()), ..Sources::default() });

    let registry = layers(&file).expect("TOML").registry().expect("no mistake").expect("a registry");
    assert_eq!(registry.url.as_str(), "http://registry/");

    std::fs::write(&file, "[registry]\nurl = 1\n[door]\nx = 1\n").expect("written");
    let report = layers(&file).expect("TOML").registry().expect_err("a mistake");
    assert_eq!(lines(&report), ["crossdock.toml:2:7: `registry.url`: expected text, found integer"]);
}

#[cfg(feature = "kafka-tls")]
#[test]
fn what_the_default_file_suggests_can_be_used_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let pem = file("all.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n");
    let password = file("password", "pa55word");
    let is_key = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let line = |line: &str| match line.trim_start_matches("# ").split_once(" = ") {
        Some(("security_protocol", _)) => "security_protocol = \"sasl_tls\"".to_owned(),
        Some((key, value)) if is_key(key) && value.contains(".pem") => format!("{key} = \"{pem}\""),
        Some(("password", value)) if value.contains("/run") => format!("password = \"file:{password}\""),
        Some((key, value)) if is_key(key) => format!("{key} = {value}"),
        _ if line.starts_with('[') => line.to_owned(),
        _ => String::new(),
    };
    let of_servers = crate::config::layers::DEFAULT.lines().skip_while(|line| !line.starts_with("[log.kafka]"));
    let text: Vec<_> = of_servers.take_while(|line| !line.starts_with("# A binding")).map(line).collect();
    let text = text.join("\n").replace("[store]", "[log]\nengine = \"kafka\"\n[store]");
    let text = text.replace("engine = \"sqlite\"", "engine = \"postgres\"");
    let url = "postgresql://crossdock@db/orders";
    let variables = [("KAFKA_PASSWORD", "x"), ("REGISTRY_PASSWORD", "x"), ("CROSSDOCK_POSTGRES_URL", url)];

    let settings = load(&text, &variables, Vec::new()).unwrap_or_else(|lines| panic!("{lines:#?}\n{text}"));

    assert!(matches!(settings.log.engine, LogEngine::Kafka(_)) && settings.registry.is_some());
    assert!(matches!(settings.store.engine, StoreEngine::Postgres(_)));
}
