//! A consumer with the thread that serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};

use super::context::Context;

const SERVE: Duration = Duration::from_millis(250);

/// A consumer without a group. Its log lines and errors are served by a thread, which is also the one that closes it:
/// closing blocks.
pub struct Consumer {
    consumer: Option<Arc<BaseConsumer<Context>>>,
    closed: Arc<AtomicBool>,
}

impl Consumer {
    pub fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let consumer: Arc<BaseConsumer<Context>> = Arc::new(config.create_with_context(Context::default())?);
        let closed = Arc::new(AtomicBool::new(false));
        let (served, until) = (consumer.clone(), closed.clone());
        std::thread::Builder::new()
            .name("kafka-client".to_owned())
            .spawn(move || {
                while !until.load(Ordering::Acquire) {
                    // Records come through queues of their own, errors through the context.
                    let _ = served.poll(SERVE);
                }
            })
            .map_err(|error| KafkaError::ClientCreation(format!("no thread for it: {error}")))?;
        Ok(Self { consumer: Some(consumer), closed })
    }

    /// For use on a blocking thread, or in something that is dropped before this.
    pub fn share(&self) -> Arc<BaseConsumer<Context>> {
        // Taken only when dropped.
        self.consumer.clone().unwrap_or_else(|| unreachable!("a consumer lives as long as its owner"))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // In this order the thread's share is the last.
        drop(self.consumer.take());
        self.closed.store(true, Ordering::Release);
    }
}
