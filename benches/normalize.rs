//! What one order costs between its body and its records: each step, and all that the door does of it.
//!
//! Measured is the CPU time of the thread, not the time on the wall: on a shared machine only the first one is the
//! program's. The goal is 40 µs for `decode, validate, map, encode`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use crossdock::canonical::draft::{Draft, DraftBody, OrderDraft};
use crossdock::canonical::event::{self, Event, Meta};
use crossdock::canonical::intake;
use crossdock::normalize::decode::{decode, remove_empty};
use crossdock::normalize::validate::Validator;
use crossdock::normalize::{Adapter, AdapterSet, Route, cases};
use crossdock::schema::Catalogue;
use crossdock::verify::{Context, Verified};

/// The gateway's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 1.5 KB, six lines.
const ORDER: &str = include_str!("measured/order.json");
const NOW_MS: i64 = 1_772_612_131_210;

/// Time of this thread on a CPU.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        on_cpu_ns()
    }

    fn end(&self, began: u64) -> u64 {
        on_cpu_ns() - began
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, ns: &u64) -> f64 {
        *ns as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        // It writes nanoseconds as what they are, whatever clock counted them.
        static NANOSECONDS: WallTime = WallTime;
        NANOSECONDS.formatter()
    }
}

/// Source: Linux, `Documentation/scheduler/sched-stats.rst`: the first field of `schedstat`.
fn on_cpu_ns() -> u64 {
    // A thread that goes on running is not counted up to now otherwise.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with scheduler statistics");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn pyxis() -> Arc<Adapter> {
    let adapters =
        AdapterSet::load(&folder("mappings"), &folder("schemas")).unwrap_or_else(|report| panic!("{report}"));
    Arc::clone(adapters.adapter("pyxis").expect("the adapter"))
}

fn delivery(adapter: &Adapter, body: &Bytes) -> Verified {
    let binding = cases::binding(adapter).unwrap_or_else(|report| panic!("{report}"));
    let context = Context {
        received_from: "http".to_owned(),
        received_at: NOW_MS,
        correlation_id: "8fc78ce8-6c4a-55d8-aaaa-f149200431d2".to_owned(),
        ..Context::default()
    };
    Verified::by_operator(Arc::new(binding), body.clone(), context)
}

fn draft(route: &Route, delivery: &Verified) -> Draft {
    route.normalize(delivery).expect("the mapping has no defect")
}

/// The two events of an order that is accepted.
fn events(draft: &Draft, order: &OrderDraft) -> [Event; 2] {
    let revision = NOW_MS;
    let version = &draft.head.transformation_version;
    [event::received(&order.order, revision, NOW_MS), event::normalized(&order.order, revision, version, NOW_MS)]
}

fn steps(criterion: &mut Criterion<CpuTime>) {
    let body = Bytes::from(ORDER.replace("@ID@", "PYX-000000001"));
    let adapter = pyxis();
    let route = adapter.route("order").expect("the route");
    let validator = Validator::load(folder("schemas").join("pyxis/order.schema.json")).expect("the schema");
    let catalogue = Catalogue::load(folder("schemas")).unwrap_or_else(|report| panic!("{report}"));
    let delivery = delivery(&adapter, &body);
    let mut payload = decode(&body).expect("an order");
    remove_empty(&mut payload);
    assert!(validator.check(&payload).is_empty(), "the order fits its schema");
    let normalized = draft(route, &delivery);
    let DraftBody::Order(order) = &normalized.body else { panic!("the order is accepted") };
    let framed = intake::encode(&catalogue, &normalized).expect("a draft fits its schema");
    let meta = Meta {
        correlation_id: &normalized.head.correlation_id,
        tenant_id: &normalized.head.tenant_id,
        source_system: normalized.head.source_system,
        traceparent: None,
    };

    let mut group = criterion.benchmark_group("order of 1.5 KB");
    group.bench_function("decode, validate, map, encode", |bencher| {
        bencher.iter(|| intake::encode(&catalogue, &draft(route, black_box(&delivery))));
    });
    group.bench_function("decode", |bencher| bencher.iter(|| decode(black_box(&body))));
    group.bench_function("validate", |bencher| bencher.iter(|| validator.check(black_box(&payload))));
    group.bench_function("decode, validate, map", |bencher| bencher.iter(|| draft(route, black_box(&delivery))));
    group.bench_function("business digest", |bencher| bencher.iter(|| black_box(&order.order).business_digest()));
    group.bench_function("intake encode", |bencher| {
        bencher.iter(|| intake::encode(&catalogue, black_box(&normalized)));
    });
    group.bench_function("intake decode", |bencher| bencher.iter(|| intake::decode(&catalogue, black_box(&framed))));
    group.bench_function("two events", |bencher| {
        bencher.iter(|| events(&normalized, black_box(order)).map(|event| event.to_append(&catalogue, &meta)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = steps
}
criterion_main!(benches);
