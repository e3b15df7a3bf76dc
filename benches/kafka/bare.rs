//! What the broker and its client cost by themselves: loops over rdkafka that move the very records the gateway made,
//! with the gateway's own client settings. Each runs as a process of its own, so that its CPU can be told apart.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossdock::canonical::draft::INTAKE;
use crossdock::log::kafka::Options;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::measured::WARM_UP;
use crate::measured::process::cpu_of;

/// Asks this program to be a bare loop; the job follows as JSON.
pub const FLAG: &str = "--bare";

/// Longest wait for the broker.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records in one transaction at most, as `sequence.batch_records`.
const BATCH: usize = 500;

/// What a loop does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub kind: Kind,
    pub bootstrap: String,
    pub records: usize,
    /// Appends under way at once, each waiting for its acknowledgement.
    pub concurrency: usize,
    /// Appended in their stead: what the gateway appends for one order.
    pub intake: Sample,
    /// What it publishes for one order.
    pub events: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Kind {
    /// One append a record: the door's part.
    Append,
    /// Consumes the topic of the first event and appends the intake record for each of its records: the reader's part.
    Copy,
    /// The same as [`Self::Append`], and beside it a consumer that publishes the events of each record in transactions: the whole line.
    Line,
}

/// A record as the gateway wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    pub topic: String,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub cpu_us: f64,
    pub rate: f64,
}

impl Job {
    /// Runs it in a process of its own. Its topics have to be there: those of the samples with `.bare` behind.
    pub fn run(&self) -> Outcome {
        let job = serde_json::to_string(self).expect("a job is JSON");
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), job).expect("the job can be written");
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program).arg(FLAG).arg(file.path()).output().expect("it can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("an outcome")
    }
}

/// The process of one job.
pub fn run(job: &Path) {
    let job: Job = serde_json::from_slice(&std::fs::read(job).expect("the job")).expect("a job");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = runtime.block_on(measure(Arc::new(job)));
    println!("{}", serde_json::to_string(&outcome).expect("an outcome is JSON"));
}

async fn measure(job: Arc<Job>) -> Outcome {
    if matches!(job.kind, Kind::Copy) {
        return copy(&job).await;
    }
    let mut line = matches!(job.kind, Kind::Line).then(|| Line::open(&job));
    let producer = options(&job).appender().create_with_context(Acknowledge).expect("a producer");
    let producer: Arc<Acknowledging> = Arc::new(producer);
    line = append(&job, &producer, WARM_UP, line).await;
    let (began, before) = (Instant::now(), cpu_of("self"));
    append(&job, &producer, job.records, line).await;
    let (cpu, elapsed) = (cpu_of("self") - before, began.elapsed());
    Outcome { cpu_us: cpu.as_secs_f64() * 1e6 / job.records as f64, rate: job.records as f64 / elapsed.as_secs_f64() }
}

/// Appends `records` and, where there is a line, waits until the events of all are committed.
async fn append(job: &Arc<Job>, producer: &Arc<Acknowledging>, records: usize, line: Option<Line>) -> Option<Line> {
    let publishing = line.map(|mut line| {
        tokio::task::spawn_blocking(move || {
            line.publish(records);
            line
        })
    });
    let appending: Vec<_> = (0..job.concurrency)
        .map(|index| {
            let (job, producer) = (Arc::clone(job), Arc::clone(producer));
            tokio::spawn(async move {
                let topic = bare(&job.intake.topic);
                let headers = headers(&job.intake);
                for number in (index..records).step_by(job.concurrency) {
                    // Over all partitions, as keys are.
                    let partition = (number % 6) as i32;
                    let (acknowledged, acknowledgement) = oneshot::channel();
                    let record = BaseRecord::with_opaque_to(&topic, Box::new(acknowledged))
                        .key(&job.intake.key)
                        .payload(&job.intake.value)
                        .headers(headers.clone())
                        .partition(partition);
                    producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
                    acknowledgement.await.expect("the broker takes it");
                }
            })
        })
        .collect();
    for task in appending {
        task.await.expect("an append does not panic");
    }
    match publishing {
        Some(publishing) => Some(publishing.await.expect("the line does not panic")),
        None => None,
    }
}

/// Copies what lies on a topic: a batch is consumed, appended, acknowledged, and its offsets are committed.
async fn copy(job: &Job) -> Outcome {
    let options = options(job);
    let producer: Acknowledging = options.appender().create_with_context(Acknowledge).expect("a producer");
    let mut member = options.member("bench.bare.copy");
    member.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100").set("fetch.queue.backoff.ms", "1");
    let consumer: BaseConsumer = member.create().expect("a consumer");
    consumer.subscribe(&[&job.events[0].topic]).expect("a subscription");
    let (target, mut heard, mut copied) = (bare(&job.intake.topic), Instant::now(), 0);
    let (mut began, mut before, mut warm) = (Instant::now(), cpu_of("self"), 0);
    while copied < WARM_UP + job.records {
        let mut offsets = TopicPartitionList::new();
        let mut acknowledgements = Vec::with_capacity(BATCH);
        while acknowledgements.len() < BATCH {
            let wait = if acknowledgements.is_empty() { Duration::from_secs(1) } else { Duration::ZERO };
            let Some(message) = consumer.poll(wait) else { break };
            let message = message.expect("a record");
            step(&mut offsets, &message);
            let (acknowledged, acknowledgement) = oneshot::channel();
            let record = BaseRecord::with_opaque_to(&target, Box::new(acknowledged))
                .key(&job.intake.key)
                .payload(&job.intake.value)
                .headers(headers(&job.intake))
                .partition(message.partition());
            producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
            acknowledgements.push(acknowledgement);
        }
        assert!(heard.elapsed() < PATIENCE, "the broker gave nothing for {PATIENCE:?}");
        if acknowledgements.is_empty() {
            continue;
        }
        heard = Instant::now();
        copied += acknowledgements.len();
        for acknowledgement in acknowledgements {
            acknowledgement.await.expect("the broker takes it");
        }
        consumer.commit(&offsets, CommitMode::Sync).expect("a commit");
        if warm == 0 && copied >= WARM_UP {
            (began, before, warm) = (Instant::now(), cpu_of("self"), copied);
        }
    }
    let (cpu, elapsed, records) = (cpu_of("self") - before, began.elapsed(), (copied - warm) as f64);
    Outcome { cpu_us: cpu.as_secs_f64() * 1e6 / records, rate: records / elapsed.as_secs_f64() }
}

fn step(offsets: &mut TopicPartitionList, message: &BorrowedMessage<'_>) {
    let next = Offset::Offset(message.offset() + 1);
    match offsets.find_partition(message.topic(), message.partition()) {
        Some(mut known) => known.set_offset(next),
        None => offsets.add_partition_offset(message.topic(), message.partition(), next),
    }
    .expect("an offset");
}

type Acknowledging = ThreadedProducer<Acknowledge>;

/// Wakes who waits for the acknowledgement; one that fails drops its sender.
struct Acknowledge;

impl ClientContext for Acknowledge {}

impl ProducerContext for Acknowledge {
    type DeliveryOpaque = Box<oneshot::Sender<()>>;

    fn delivery(&self, result: &DeliveryResult<'_>, acknowledged: Self::DeliveryOpaque) {
        if result.is_ok() {
            let _ = acknowledged.send(());
        }
    }
}

/// Consumes, and publishes in transactions that carry the offsets.
struct Line {
    job: Arc<Job>,
    consumer: BaseConsumer,
    producer: BaseProducer,
}

impl Line {
    fn open(job: &Arc<Job>) -> Self {
        let options = options(job);
        let mut member = options.member("bench.bare");
        member.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100").set("fetch.queue.backoff.ms", "1");
        let consumer: BaseConsumer = member.create().expect("a consumer");
        consumer.subscribe(&[&bare(&job.intake.topic)]).expect("a subscription");
        let producer: BaseProducer = options.committer().create().expect("a producer");
        producer.init_transactions(PATIENCE).expect("transactions");
        Self { job: Arc::clone(job), consumer, producer }
    }

    fn publish(&mut self, records: usize) {
        let (mut done, mut heard) = (0, Instant::now());
        while done < records {
            let mut offsets = TopicPartitionList::new();
            let mut taken = 0;
            while taken < BATCH {
                let wait = if taken == 0 { Duration::from_secs(1) } else { Duration::ZERO };
                let Some(message) = self.consumer.poll(wait) else { break };
                let message = message.expect("a record");
                step(&mut offsets, &message);
                taken += 1;
            }
            // A poll that saw a change of the group comes back without a record.
            assert!(heard.elapsed() < PATIENCE, "the broker gave nothing for {PATIENCE:?}");
            if taken > 0 {
                self.commit(taken, &offsets);
                done += taken;
                heard = Instant::now();
            }
        }
    }

    fn commit(&self, taken: usize, offsets: &TopicPartitionList) {
        let group = self.consumer.group_metadata().expect("a member");
        self.producer.begin_transaction().expect("a transaction");
        for number in 0..taken {
            for event in &self.job.events {
                let topic = bare(&event.topic);
                let record = BaseRecord::to(&topic)
                    .key(&event.key)
                    .payload(&event.value)
                    .headers(headers(event))
                    .partition((number % 6) as i32);
                self.producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
            }
            self.producer.poll(Duration::ZERO);
        }
        self.producer.send_offsets_to_transaction(offsets, &group, PATIENCE).expect("offsets");
        self.producer.commit_transaction(PATIENCE).expect("a commit");
    }
}

/// The topic of a bare loop beside the gateway's own.
pub fn bare(topic: &str) -> String {
    format!("{topic}.bare")
}

/// Every topic an order passes, intake first.
pub const TOPICS: [&str; 3] = [INTAKE, "integration.sales.order_received", "integration.sales.order.normalized"];

fn options(job: &Job) -> Options {
    Options::new(&job.bootstrap, "crossdock-bench-bare")
}

fn headers(sample: &Sample) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(sample.headers.len());
    sample.headers.iter().fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
