//! Kafka in, one record out: the reader without a sequencer, beside a loop that copies the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossdock::canonical::draft::INTAKE;
use crossdock::log::kafka::{KafkaLog, Options};
use crossdock::log::{EventLog as _, TopicSpec};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::bare::{Kind, Sample};
use crate::measured::process::Process;
use crate::measured::report::{Report, Samples};
use crate::measured::{WARM_UP, load};
use crate::servers::Servers;
use crate::{GOAL_ABOVE_BARE_US, Settings, samples};

/// A third of what a peer spends on the same way, per record (126 CPU seconds a million).
const GOAL_US: f64 = 42.0;
const TOPIC: &str = "sales.pyxis.order.created";
const PARTITIONS: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(120);
const ASK_EVERY: Duration = Duration::from_millis(20);

pub async fn alone(settings: Settings, report: &mut Report) {
    let (mut cpu, mut above, mut rate) = (Samples::default(), Samples::default(), Samples::default());
    let (mut of_bare, mut bare_rate, mut peak) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..settings.rounds {
        let servers = Servers::start(&format!("reader-{round}"));
        let log = KafkaLog::open(Options::new(servers.kafka(), "crossdock-bench-reader")).await.expect("the broker");
        for name in [TOPIC, INTAKE] {
            let name = name.to_owned();
            let spec = TopicSpec { name, partitions: PARTITIONS, max_record_bytes: 16 << 20, retention: None };
            log.create_topic(&spec).await.expect("the topic can be made");
        }
        fill(&servers, WARM_UP + settings.orders);
        let process = Process::reader(servers.folder(), &servers.engines());
        let warm = reached(&log, WARM_UP as i64).await;
        let (began, before) = (Instant::now(), process.cpu());
        let all = reached(&log, (WARM_UP + settings.orders) as i64).await;
        let (records, elapsed) = ((all - warm) as f64, began.elapsed());
        let cpu_us = (process.cpu() - before).as_secs_f64() * 1e6 / records;
        cpu.add(cpu_us);
        rate.add(records / elapsed.as_secs_f64());
        peak.add(process.peak_mib());
        drop(process);
        samples::create_bare_topics(&servers).await;
        let intake = samples::read(&servers, INTAKE).await;
        let source = Sample { topic: TOPIC.to_owned(), ..samples::read(&servers, TOPIC).await };
        let outcome = samples::job(settings, &servers, Kind::Copy, intake, vec![source]).run();
        of_bare.add(outcome.cpu_us);
        bare_rate.add(outcome.rate);
        above.add(cpu_us - outcome.cpu_us);
    }
    report.at_most("Kafka -> check, map -> Kafka: CPU per order", "µs", GOAL_US, cpu);
    report.shown("the bare loop's", "µs", of_bare);
    report.at_most("above the bare loop", "µs", GOAL_ABOVE_BARE_US, above);
    report.shown("rate", "orders/s", rate);
    report.shown("the bare loop's", "records/s", bare_rate);
    report.shown("peak memory", "MiB", peak);
}

/// Orders as their system writes them: native JSON.
fn fill(servers: &Servers, orders: usize) {
    let producer: BaseProducer =
        Options::new(servers.kafka(), "crossdock-bench-fill").appender().create().expect("a producer");
    for number in 0..orders {
        let (key, value) = (format!("FR_{}", load::order_id(number)), load::order(number));
        let mut record =
            BaseRecord::to(TOPIC).key(&key).payload(&value).partition((number % PARTITIONS as usize) as i32);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(PATIENCE).expect("the broker takes them");
}

/// Waits until the intake holds so many records, and tells how many it holds.
async fn reached(log: &Arc<KafkaLog>, count: i64) -> i64 {
    let began = Instant::now();
    loop {
        let mut records = 0;
        for partition in 0..PARTITIONS {
            records += log.bounds(INTAKE, partition).await.expect("bounds").end;
        }
        if records >= count {
            return records;
        }
        assert!(began.elapsed() < PATIENCE, "{records} of {count} records arrived");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
