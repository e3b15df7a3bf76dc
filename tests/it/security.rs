//! A Kafka cluster that wants to know who comes: TLS and SASL, chosen by configuration alone.

use std::process::Output;

use crate::straight_line;
use crate::support::services::Services;
use crate::support::{Gateway, Options, crossdock, pyxis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_straight_through_over_tls_with_each_mechanism_and_with_a_certificate() {
    let services = Services::start("security");
    let cluster = Cluster(&services);

    let planned = run(&["topics", "plan"], &cluster.options(&cluster.sasl("SCRAM-SHA-512")));
    assert_eq!(planned.status.code(), Some(0), "{}", said(&planned));
    assert!(String::from_utf8_lossy(&planned.stdout).contains("missing  crossdock.intake"), "{}", said(&planned));

    let gateway = Gateway::start_with(&cluster.options(&cluster.sasl("SCRAM-SHA-512")));
    straight_line::deliver_the_printed_order(&gateway.client()).await;
    drop(gateway);

    let others = [cluster.sasl("SCRAM-SHA-256"), cluster.sasl("PLAIN"), cluster.certificate()];
    for (number, security) in others.iter().enumerate() {
        let gateway = Gateway::start_with(&cluster.options(security));
        let (client, order_id) = (gateway.client(), format!("PYX-{number}"));
        client.deliver(&pyxis::order(&order_id)).await.assert_accepted();
        let events = client.first_events("integration.sales.order.normalized", number + 2).await;
        assert_eq!(events[number + 1]["key"], format!("PYXIS_{order_id}"), "{security}");
    }

    let planned = run(&["topics", "plan"], &cluster.options(&cluster.certificate()));
    assert_eq!(planned.status.code(), Some(0), "{}", said(&planned));
    assert!(String::from_utf8_lossy(&planned.stdout).contains("same     crossdock.intake"), "{}", said(&planned));
}

#[test]
fn a_cluster_that_does_not_let_the_gateway_in_is_told_with_the_setting_to_look_at() {
    let services = Services::start("strangers");
    let cluster = Cluster(&services);
    let (ca, stranger) = (services.variable("KAFKA_CA"), services.variable("KAFKA_CLIENT_CERT"));
    let wrong = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(wrong.path(), "wrong").expect("written");
    let sasl = cluster.sasl("SCRAM-SHA-512");

    let cases = [
        (
            "a wrong password",
            sasl.replace(services.variable("KAFKA_PASSWORD_FILE"), &wrong.path().display().to_string()),
            "`log.kafka.sasl_password`",
        ),
        ("a user nobody knows", sasl.replace("\"crossdock\"", "\"nobody\""), "`log.kafka.sasl_username`"),
        ("another authority", sasl.replace(ca, stranger), "`log.kafka.ssl_ca_location`"),
        ("no certificate", cluster.tls(), "`log.kafka.ssl_certificate_location`"),
        ("no TLS", cluster.at("KAFKA_SASL_SSL"), "`log.kafka.security_protocol`"),
        (
            "TLS where there is none",
            cluster.tls().replace(services.variable("KAFKA_SSL"), services.variable("KAFKA_BOOTSTRAP")),
            "`log.kafka.security_protocol`",
        ),
    ];
    std::thread::scope(|scope| {
        for (what, security, setting) in cases {
            let options = cluster.options(&format!("{security}log.kafka.request_timeout = \"3s\"\n"));
            scope.spawn(move || {
                for command in [&["serve"][..], &["topics", "plan"]] {
                    let refused = run(command, &options);

                    let said = said(&refused);
                    assert_eq!(refused.status.code(), Some(69), "{what}, {command:?}: {said}");
                    // Kafka's client may still log, from a thread of its own, after the error is said.
                    let error = said.lines().rfind(|line| line.starts_with("crossdock: ")).unwrap_or_default();
                    assert!(error.contains(setting), "{what}, {command:?}: {said}");
                }
            });
        }
    });
}

/// How the listeners of [`Services`] are reached, as lines of the configuration.
struct Cluster<'a>(&'a Services);

impl Cluster<'_> {
    fn at(&self, listener: &str) -> String {
        format!("log.kafka.bootstrap_servers = \"{}\"\n", self.0.variable(listener))
    }

    fn tls(&self) -> String {
        let (at, ca) = (self.at("KAFKA_SSL"), self.0.variable("KAFKA_CA"));
        format!("{at}log.kafka.security_protocol = \"tls\"\nlog.kafka.ssl_ca_location = \"{ca}\"\n")
    }

    fn certificate(&self) -> String {
        let (certificate, key) = (self.0.variable("KAFKA_CLIENT_CERT"), self.0.variable("KAFKA_CLIENT_KEY"));
        let tls = self.tls();
        format!("{tls}log.kafka.ssl_certificate_location = \"{certificate}\"\nlog.kafka.ssl_key_location = \"{key}\"\n")
    }

    fn sasl(&self, mechanism: &str) -> String {
        let (at, ca) = (self.at("KAFKA_SASL_SSL"), self.0.variable("KAFKA_CA"));
        let (user, password) = (self.0.variable("KAFKA_USER"), self.0.variable("KAFKA_PASSWORD_FILE"));
        format!(
            "{at}log.kafka.security_protocol = \"sasl_tls\"\nlog.kafka.ssl_ca_location = \"{ca}\"\n\
             log.kafka.sasl_mechanism = \"{mechanism}\"\nlog.kafka.sasl_username = \"{user}\"\n\
             log.kafka.sasl_password = \"file:{password}\"\n"
        )
    }

    fn options(&self, security: &str) -> Options {
        self.0.options_with(security)
    }
}

/// Runs a command of the binary to its end.
fn run(arguments: &[&str], options: &Options) -> Output {
    let folder = Gateway::prepare(options);
    let mut command = crossdock();
    for name in ["OPERATOR", "BEARER", "OTHER_BEARER", "SECRET", "OLD_SECRET", "TEMPO_BEARER", "TEMPO_SECRET"] {
        command.env(format!("TEST_{name}"), format!("{name}-0123456789abcdef"));
    }
    command.args(arguments).args(["--config", "crossdock.toml"]).current_dir(folder.path()).output().expect("run")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
