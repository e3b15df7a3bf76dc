//! What librdkafka has to say, as our own log lines.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

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
        // That they are all down says less than what was wrong with the last one.
        let says_more = error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown);
        if report(&error, reason) && says_more {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
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
    if is_error {
        tracing::warn!(kafka.error = %error, kafka.reason = reason, "kafka client");
    }
    is_error
}
