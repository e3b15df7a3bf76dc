//! What librdkafka has to say, as our own log lines.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// All that is known of a client and a broker of which one speaks TLS.
const CLOSED: &str = "the brokers close every connection: listeners for another `log.kafka.security_protocol` do that";

/// Of every client that needs no callback of its own.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// What the client last said was wrong; a failed call itself says only that no broker could be reached.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Context {
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !report(&error, reason) {
            return;
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // That they are all down says less than what was wrong with the last one.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            trouble.get_or_insert_with(|| CLOSED.to_owned());
        } else {
            *trouble = Some(with_setting(&error, reason));
        }
    }
}

impl ConsumerContext for Context {}

pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // Comes as an error too.
        _ if facility == "FAIL" => {
            tracing::debug!(kafka.facility = facility, kafka.message = message, "kafka client");
        }
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(kafka.facility = facility, kafka.message = message, "kafka client");
        }
        RDKafkaLogLevel::Warning => {
            tracing::warn!(kafka.facility = facility, kafka.message = message, "kafka client");
        }
        // Settings that one kind of client knows and another ignores; of no use to an operator.
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(kafka.facility = facility, kafka.message = message, "kafka client");
        }
    }
}

/// An error of no call in particular: a broker that went away, mostly. librdkafka goes on by itself. False if it is
/// none: how a reader learns that it has reached the end, or that an offset is gone.
pub fn report(error: &KafkaError, reason: &str) -> bool {
    let sign = [RDKafkaErrorCode::PartitionEOF, RDKafkaErrorCode::AutoOffsetReset];
    let is_error = !error.rdkafka_error_code().is_some_and(|code| sign.contains(&code));
    if is_error && error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        // Twice a second while it lasts; what is wrong with each of them is told once.
        tracing::debug!(kafka.error = %error, kafka.reason = reason, "kafka client");
    } else if is_error {
        tracing::warn!(kafka.error = %error, kafka.reason = with_setting(error, reason), "kafka client");
    }
    is_error
}

/// The reason and, if it is how the client makes itself known, the settings that decide about that.
fn with_setting(error: &KafkaError, reason: &str) -> String {
    // librdkafka's own words, and OpenSSL's for what the broker answers in a handshake.
    let settings = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Authentication) => {
            "`log.kafka.sasl_mechanism`, `log.kafka.sasl_username` and `log.kafka.sasl_password`"
        }
        _ if reason.contains("certificate verify failed") => "`log.kafka.ssl_ca_location`",
        _ if reason.contains("PLAINTEXT broker listener") => "`log.kafka.security_protocol`",
        _ if reason.contains("SSL alert") => {
            "`log.kafka.ssl_certificate_location` and `log.kafka.ssl_key_location`: the broker refuses the certificate, \
             or wants one"
        }
        _ => return reason.to_owned(),
    };
    format!("{reason}; see {settings}")
}
