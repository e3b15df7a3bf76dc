//! How long a lane takes to start with many unread records behind it: from the start of the process until its first
//! decision is committed.

use std::time::{Duration, Instant};

use crossdock::canonical::draft::INTAKE;
use crossdock::log::kafka::Options;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::measured::process::Process;
use crate::measured::report::{Report, Samples, count};
use crate::measured::sender::Sender;
use crate::samples;
use crate::servers::Servers;

const GOAL_S: f64 = 5.0;
const PARTITION: i32 = 0;

pub async fn lane_start(unread: usize, report: &mut Report) {
    let servers = Servers::start("unread");
    // An order of the gateway's own making, and topics as it makes them.
    let process = Process::gateway(servers.folder(), &servers.engines(), 0).await;
    Sender::new(&process, 1).send(100).await;
    process.wait_for_accepted(100).await;
    drop(process);
    let sample = samples::read(&servers, INTAKE).await;
    fill(&servers, &sample, unread);
    let began = Instant::now();
    let process = Process::starting(servers.folder(), &servers.engines(), 0);
    process.wait_for_outcomes(1).await;
    let mut start = Samples::default();
    start.add(began.elapsed().as_secs_f64());
    let name = format!("start with {} unread records on one lane, until its first decision is out", count(unread));
    report.at_most(&name, "s", GOAL_S, start);
}

/// The same order again and again: each a duplicate the lane has to decide about.
fn fill(servers: &Servers, sample: &crate::bare::Sample, records: usize) {
    let options = Options::new(servers.kafka(), "crossdock-bench-unread");
    let mut settings = options.appender();
    settings.set("linger.ms", "50");
    let producer: BaseProducer = settings.create().expect("a producer");
    for _ in 0..records {
        let mut record = BaseRecord::to(INTAKE).key(&sample.key).payload(&sample.value).partition(PARTITION);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(Duration::from_secs(300)).expect("the broker takes them");
}
