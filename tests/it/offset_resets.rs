//! Kafka's own tool sets the offsets of the group: back, and nothing is published twice; forward, and nothing is skipped
//! unless an operator says so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use reqwest::Method;
use tempfile::TempDir;

use crate::support::client::answer;
use crate::support::services::Services;
use crate::support::{Client, Gateway, Options, PATIENCE, pyxis};

const TOPICS: [&str; 5] = [
    "integration.sales.order_received",
    "integration.sales.order.normalized",
    "integration.sales.order_updated",
    "integration.sales.order_cancelled",
    "integration.sales.order.failed",
];
const INTAKE: &str = "crossdock.intake";
const GROUP: &str = "crossdock.sequencer";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_set_back_publish_nothing_twice_and_offsets_set_forward_are_refused() {
    let services = Services::start("resets");
    let Options { top, .. } = services.options();
    // A gateway that has stopped counts as a member until its session is over: the shortest a broker allows.
    let top = format!("{top}log.kafka.session_timeout = \"6s\"\n");
    let directory = Gateway::prepare(&Options { top, ..Options::default() });
    let gateway = start(directory, &[]);
    let client = gateway.client();
    deliver_orders(&client).await;
    finish_round(&client, 0).await;
    let mut directory = stop(gateway);
    let mut published = event_ids(&services);

    let back = ["--reset-offsets", "--to-earliest", "--execute"];
    let to_a_time = ["--reset-offsets", "--to-datetime", "2026-01-01T00:00:00.000", "--execute"];
    let few = ["--reset-offsets", "--shift-by", "-2", "--execute"];
    for (round, changes) in
        [vec![("1,2", &to_a_time[..]), ("3", &few), ("4", &["--delete-offsets"])], vec![("0,1,2,3,4,5", &back)]]
            .into_iter()
            .enumerate()
    {
        until_no_member_is_left(&services);
        for (partitions, words) in changes {
            set_offsets(&services, &format!("{INTAKE}:{partitions}"), words);
        }

        let gateway = start(directory, &[]);
        let client = gateway.client();
        finish_round(&client, round + 1).await;

        assert_balance(&client).await;
        directory = stop(gateway);
        let mut now = event_ids(&services);
        let new: usize =
            now.extract_if(.., |(_, key), _| key.contains(&of_round(round + 1))).map(|(_, ids)| ids.len()).sum();
        assert_eq!(now, published, "every lane goes on where it was");
        assert_eq!(new, 2 * LANES, "and takes what is new");
        published = event_ids(&services);
    }

    refuse_and_accept_a_gap(&services, directory).await;
}

/// Records that nobody decided lie below the offset of one partition.
async fn refuse_and_accept_a_gap(services: &Services, directory: TempDir) {
    until_no_member_is_left(services);
    let end = end_of_intake(services);
    services.kcat_append(INTAKE, 0, "no message\nnor this\nnor this\n");
    set_offsets(services, &format!("{INTAKE}:0"), &["--reset-offsets", "--to-latest", "--execute"]);

    let gateway = start(directory, &[]);
    let client = gateway.client();
    let to = end + 3;
    let refusal = format!(
        "lane {INTAKE}/0 is refused: offsets {end} to {to} were never decided: the lane goes on at {to} only with \
         `crossdock serve --accept-skip`"
    );
    let refused = async {
        loop {
            let ready = answer(client.ops(Method::GET, "/readyz")).await.expect("an answer");
            if ready.status != 200 && ready.body.to_string().contains(&refusal) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the refusal is told");
    // The door takes orders in all the same.
    client.deliver(&pyxis::order("PYX-WAITS")).await.assert_accepted();
    let directory = stop(gateway);

    let gateway = start(directory, &["--accept-skip"]);
    let client = gateway.client();
    finish_round(&client, 100).await;
    assert_balance(&client).await;
    let directory = stop(gateway);
    assert_eq!(services.kcat("dlq.crossdock.intake"), [], "what was skipped was not taken");
    assert_eq!(recorded_gaps(services).await, [format!("{end} {to}")]);

    let gateway = start(directory, &[]); // the gap was accepted once and for all
    finish_round(&gateway.client(), 101).await;
}

fn start(directory: TempDir, words: &[&str]) -> Gateway {
    Gateway::spawn_with(directory, words, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")))
}

fn stop(gateway: Gateway) -> TempDir {
    let (directory, status) = gateway.terminate();
    assert!(status.success(), "{status}");
    directory
}

/// The tool sets offsets of a group without members only.
fn until_no_member_is_left(services: &Services) {
    let mut config = ClientConfig::new();
    let client: BaseConsumer =
        config.set("bootstrap.servers", services.variable("KAFKA_BOOTSTRAP")).create().expect("a client");
    let asked = Instant::now();
    loop {
        let groups = client.fetch_group_list(Some(GROUP), PATIENCE).expect("the broker answers");
        if groups.groups().iter().all(|group| group.members().is_empty()) {
            return;
        }
        assert!(asked.elapsed() < PATIENCE, "the session is not over");
        client.poll(Duration::from_millis(100)); // nothing comes to a client without partitions: it only waits
    }
}

fn set_offsets(services: &Services, place: &str, words: &[&str]) -> String {
    let words = [&["--group", GROUP, "--topic", place], words].concat();
    let told = services.kafka_tool("consumer-groups", &words, "");
    assert!(!told.contains("Error"), "{told}");
    told
}

async fn deliver_orders(client: &Client) {
    for number in 0..12 {
        let order_id = format!("PYX-{number}");
        client.deliver(&pyxis::order(&order_id)).await.assert_accepted();
        client.deliver(&pyxis::update(&order_id, 1)).await.assert_accepted();
        let mut rejected = pyxis::update(&order_id, 2);
        rejected["channel"] = "FAX".into();
        client.deliver(&rejected).await.assert_rejected(422, "UNKNOWN_CODE", "/channel");
        client.cancel(&order_id, &pyxis::cancellation(&order_id)).await.assert_accepted();
    }
}

/// One order for each lane, found by trying: each gives two events.
const LANES: usize = 6;

/// Delivers an order to every lane and waits for them: each lane is past everything before then.
async fn finish_round(client: &Client, round: usize) {
    let mut waiting: Vec<String> = one_order_a_lane(round);
    for order_id in &waiting {
        client.deliver(&pyxis::order(order_id)).await.assert_accepted();
    }
    let done = client.follow_events("integration.sales.order.normalized", |event| {
        waiting.retain(|order_id| event["value"]["external_order_id"] != order_id.as_str());
        !waiting.is_empty()
    });
    tokio::time::timeout(PATIENCE, done).await.expect("every lane runs");
}

fn one_order_a_lane(round: usize) -> Vec<String> {
    let mut of_lane: BTreeMap<u32, String> = BTreeMap::new();
    for number in 0.. {
        let order_id = format!("{}{number}", of_round(round));
        let key = format!("north|pyxis|{order_id}");
        let lane = crossdock::log::murmur2::partition(Some(key.as_bytes()), 6);
        of_lane.entry(lane).or_insert(order_id);
        if of_lane.len() == LANES {
            break;
        }
    }
    of_lane.into_values().collect()
}

fn of_round(round: usize) -> String {
    format!("ROUND-{round}-")
}

/// Every event id of each key of each topic in the order of the log, as kcat reads it.
fn event_ids(services: &Services) -> BTreeMap<(&'static str, String), Vec<String>> {
    let mut ids: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for topic in TOPICS {
        for mut seen in services.kcat(topic) {
            let id = seen.headers.remove("idempotency-key").expect("every event has one");
            ids.entry((topic, seen.key)).or_default().push(id);
        }
    }
    ids
}

async fn assert_balance(client: &Client) {
    let metrics = client.metrics().await;
    let state = |state: &str| -> i64 {
        let prefix = format!("crossdock_lane_records{{state=\"{state}\",topic=\"{INTAKE}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("{prefix} is missing in\n{metrics}")).parse().expect("a number")
    };
    assert_eq!(state("taken"), state("applied") + state("parked"), "{metrics}");
}

fn end_of_intake(services: &Services) -> i64 {
    let told = services.kafka_tool("get-offsets", &["--topic", INTAKE, "--partitions", "0"], "");
    told.trim().rsplit(':').next().and_then(|end| end.parse().ok()).unwrap_or_else(|| panic!("an offset: {told}"))
}

/// From and to of every gap in the ledger.
async fn recorded_gaps(services: &Services) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(services.variable("POSTGRES_URL"), tokio_postgres::NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    let query = "SELECT convert_from(detail, 'UTF8') FROM crossdock.ledger WHERE order_id = \
                 '00000000-0000-0000-0000-000000000000'";
    let rows = client.query(query, &[]).await.expect("rows");
    let detail = |row: &tokio_postgres::Row| -> serde_json::Value { serde_json::from_str(row.get(0)).expect("JSON") };
    rows.iter().map(detail).map(|detail| format!("{} {}", detail["gap"]["from"], detail["gap"]["to"])).collect()
}
