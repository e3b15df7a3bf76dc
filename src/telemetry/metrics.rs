//! The metrics. Names are a promise to whoever alerts on them: a test lists them all.

use std::sync::{Mutex, PoisonError};

use prometheus::{
    Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// All metrics of one gateway. Cheap to share by reference; an update is an atomic.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Held by whoever writes several values that belong together, and by whoever reads them all.
    together: Mutex<()>,
    /// Requests answered by the door, by route and status.
    pub door_requests: IntCounterVec,
    /// From the end of the body to the answer, by route.
    pub door_request_seconds: HistogramVec,
    pub door_connections: IntGauge,
    /// Deliveries that are not authentic, by adapter (`orders` for readers of orders) and reason.
    pub authentication_failures: IntCounterVec,
    /// Payloads refused, by binding and `error_code`.
    pub rejections: IntCounterVec,
    /// Messages by binding and outcome, counted when their decision is committed.
    pub outcomes: IntCounterVec,
    /// Records of a lane topic by state; `taken` equals the sum of the others at every scrape. Written by
    /// [`Self::set_lane_records`].
    pub lane_records: IntGaugeVec,
    /// Records not yet taken, by group, topic and partition.
    pub lag: IntGaugeVec,
    /// Age of the first record not yet taken, by group, topic and partition.
    pub oldest_unread_seconds: IntGaugeVec,
    /// 1 while that record is older than half the time a topic keeps its records: an alarm.
    pub unread_past_half_retention: IntGaugeVec,
    /// Records of inbound topics that are in the intake, by group, topic and outcome (`appended` or `rejected`).
    pub reader_records: IntCounterVec,
    /// 1 while an inbound partition stands still at a record nothing can be made of now: an alarm.
    pub reader_paused: IntGaugeVec,
    /// How often one came to stand still, or was tried in vain, by cause (`mapping`, `registry` or `append`).
    pub reader_pauses: IntCounterVec,
    /// 1 while a lane runs, 0 while it recovers or waits, by topic and partition.
    pub lane_running: IntGaugeVec,
    /// Attempts of lanes that are over, by topic and outcome.
    pub lane_attempts: IntCounterVec,
    /// Decisions committed, by topic and ruling.
    pub lane_decisions: IntCounterVec,
    /// Letters written to `dlq.<topic>`, by topic and disposition.
    pub lane_dead_letters: IntCounterVec,
    /// Of one lane, by topic, partition and figure: `outstanding` records, `held_keys`, attempts `running`.
    pub lane_figures: IntGaugeVec,
    /// Decisions of one commit, by topic.
    pub lane_batch_decisions: HistogramVec,
    /// Failures nobody has done anything about, by binding and `error_code`.
    pub open_failures: IntGaugeVec,
    /// Rejected payloads that operators had mapped again, by binding and what the mapping said.
    pub replays: IntCounterVec,
    /// Requests to a binding's system, by what came of them.
    pub calls: IntCounterVec,
    /// From the first byte sent to the end of the answer, by binding.
    pub call_seconds: HistogramVec,
    /// Of a binding's system: 0 closed, 1 half-open, 2 open.
    pub breaker_state: IntGaugeVec,
    /// One call of the log or the store, by operation.
    pub engine_seconds: HistogramVec,
    pub engine_errors: IntCounterVec,
    /// The name of seed 002.
    pub kafka_events_processed: IntCounterVec,
    /// The name of seed 002.
    pub kafka_event_processing_seconds: HistogramVec,
    /// 1 under the version's label.
    pub build_info: GaugeVec,
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| -> Result<HistogramVec, prometheus::Error> {
            let buckets = vec![0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let door_connections = IntGauge::new("crossdock_door_connections", "Open connections of the door")?;
        registry.register(Box::new(door_connections.clone()))?;
        let build_info = GaugeVec::new(Opts::new("crossdock_build_info", "Version of the gateway"), &["version"])?;
        registry.register(Box::new(build_info.clone()))?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(Self {
            door_requests: counters(
                "crossdock_door_requests_total",
                "Requests answered by the door",
                &["route", "status"],
            )?,
            door_request_seconds: seconds(
                "crossdock_door_request_duration_seconds",
                "From the end of the body to the answer",
                &["route"],
            )?,
            door_connections,
            authentication_failures: counters(
                "crossdock_authentication_failures_total",
                "Deliveries that are not authentic",
                &["adapter", "reason"],
            )?,
            rejections: counters("crossdock_rejections_total", "Payloads refused", &["binding", "error_code"])?,
            outcomes: counters("crossdock_outcomes_total", "Messages by outcome", &["binding", "outcome"])?,
            lane_records: gauges("crossdock_lane_records", "Records a lane topic took, by state", &["topic", "state"])?,
            lag: gauges("crossdock_lag_records", "Records not yet taken", &["group", "topic", "partition"])?,
            oldest_unread_seconds: gauges(
                "crossdock_oldest_unread_seconds",
                "Age of the first record not yet taken",
                &["group", "topic", "partition"],
            )?,
            unread_past_half_retention: gauges(
                "crossdock_unread_past_half_retention",
                "1 while unread records have half of their time behind them",
                &["group", "topic", "partition"],
            )?,
            reader_records: counters(
                "crossdock_reader_records_total",
                "Records of inbound topics that are in the intake",
                &["group", "topic", "outcome"],
            )?,
            reader_paused: gauges(
                "crossdock_reader_paused",
                "1 while an inbound partition stands still",
                &["group", "topic", "partition"],
            )?,
            reader_pauses: counters(
                "crossdock_reader_pauses_total",
                "How often an inbound partition stood still",
                &["group", "topic", "cause"],
            )?,
            lane_running: gauges("crossdock_lane_running", "1 while the lane runs", &["topic", "partition"])?,
            lane_attempts: counters("crossdock_lane_attempts_total", "Attempts that are over", &["topic", "outcome"])?,
            lane_decisions: counters("crossdock_lane_decisions_total", "Decisions committed", &["topic", "ruling"])?,
            lane_dead_letters: counters(
                "crossdock_lane_dead_letters_total",
                "Letters written to the dead letters",
                &["topic", "disposition"],
            )?,
            lane_figures: gauges(
                "crossdock_lane_figures",
                "Outstanding records, held keys and attempts running of a lane",
                &["topic", "partition", "figure"],
            )?,
            lane_batch_decisions: {
                let buckets = vec![0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0];
                let opts = HistogramOpts::new("crossdock_lane_batch_decisions", "Decisions of one commit");
                let metric = HistogramVec::new(opts.buckets(buckets), &["topic"])?;
                registry.register(Box::new(metric.clone()))?;
                metric
            },
            open_failures: gauges(
                "crossdock_open_failures",
                "Failures nobody has done anything about",
                &["binding", "error_code"],
            )?,
            replays: counters(
                "crossdock_replays_total",
                "Rejected payloads mapped again and taken in",
                &["binding", "outcome"],
            )?,
            calls: counters(
                "crossdock_calls_total",
                "Requests to a binding's system, by what came of them",
                &["binding", "result"],
            )?,
            call_seconds: seconds(
                "crossdock_call_duration_seconds",
                "From the first byte sent to the end of the answer",
                &["binding"],
            )?,
            breaker_state: gauges(
                "crossdock_breaker_state",
                "Breaker of a binding's system: 0 closed, 1 half-open, 2 open",
                &["binding"],
            )?,
            engine_seconds: seconds("crossdock_engine_duration_seconds", "One call of an engine", &["operation"])?,
            engine_errors: counters("crossdock_engine_errors_total", "Failed calls of an engine", &["operation"])?,
            kafka_events_processed: counters(
                "kafka_events_processed_total",
                "Total number of events processed",
                &["topic", "status"],
            )?,
            kafka_event_processing_seconds: seconds(
                "kafka_event_processing_duration_seconds",
                "Event processing duration",
                &["topic"],
            )?,
            build_info,
            together: Mutex::default(),
            registry,
        })
    }

    /// Sets [`Self::lane_records`] of `topic`, all states at once.
    pub fn set_lane_records<'a>(&self, topic: &str, records: impl IntoIterator<Item = (&'a str, u64)>) {
        let _together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
        for (state, count) in records {
            let gauge = self.lane_records.with_label_values(&[topic, state]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Prometheus text format, version 0.0.4.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        let families = {
            let _together = self.together.lock().unwrap_or_else(PoisonError::into_inner);
            self.registry.gather()
        };
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
