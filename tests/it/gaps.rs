//! Records nobody decided: the lane stands still until an operator gives them up.

use reqwest::Method;
use rusqlite::Connection;

use crate::support::client::answer;
use crate::support::{Gateway, Options, PATIENCE, pyxis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_goes_on_behind_a_gap_only_when_told_to() {
    let gateway = Gateway::start_with(&Options { top: "log.partitions = 1".to_owned(), ..Options::default() });
    let client = gateway.client();
    client.deliver(&pyxis::order("PYX-1")).await.assert_accepted();
    client.first_events("integration.sales.order.normalized", 1).await;
    let (directory, _) = gateway.terminate();
    lose_the_store_and_reset_the_offset(&directory.path().join("data"));

    let gateway = Gateway::spawn(directory, &[]).unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    let refusal = "offsets 0 to 1 were never decided: the lane goes on at 1 only with `crossdock serve --accept-skip`";
    let refused = async {
        while !answer(client.ops(Method::GET, "/readyz")).await.expect("an answer").body.to_string().contains(refusal) {
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the refusal is told");
    client.deliver(&pyxis::order("PYX-2")).await.assert_accepted(); // stored durably, to be decided later
    let (directory, _) = gateway.terminate();

    let gateway = Gateway::spawn_with(directory, &["--accept-skip"], &[]);
    let gateway = gateway.unwrap_or_else(|(_, said)| panic!("{}", said.join("\n")));
    let client = gateway.client();
    let events = client.first_events("integration.sales.order.normalized", 2).await;
    assert_eq!(events[1]["value"]["external_order_id"], "PYX-2");
    assert!(client.order("PYX-1").await["journey"].is_null(), "it was given up");
}

fn lose_the_store_and_reset_the_offset(data: &std::path::Path) {
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(data.join(file)); // the last two are gone after a proper stop
    }
    let log = Connection::open(data.join("log.db")).expect("the log is a file");
    // The text beside an offset is ours; a tool that sets an offset leaves none. Only the intake has had a record.
    assert_eq!(log.execute("UPDATE cursors SET metadata = '' WHERE offset = 1", []).expect("offsets can be set"), 1);
}
