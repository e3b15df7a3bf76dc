//! Connections that are lost, refused or too few.

use futures_util::future::join_all;
use tokio::net::TcpListener;

use super::proxy::{Proxy, Rule};
use super::server::Server;
use super::{is_unavailable, limit, open, options, until};
use crate::config::secret::Secret;
use crate::store::conformance::samples::{all_decisions, full_write, key, lane, record, release, timer, write};
use crate::store::postgres::{Options, PostgresStore};
use crate::store::{LaneRow, Store};

#[tokio::test]
async fn a_write_whose_answer_was_lost_can_be_repeated() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let store = PostgresStore::open(proxy.before(&schema.options)).await.unwrap();
    let row = store.take_lane(&lane(0)).await.unwrap();
    let mut full = full_write(&lane(0), &row, 0);
    full.decisions.extend([release(0, 7), timer(1, 0)]);
    proxy.set(Rule::LoseCommitted);

    let lost = store.write(full.clone()).await;
    proxy.struck(1).await;
    proxy.set(Rule::Pass);
    let repeated = store.write(full.clone()).await;

    assert!(is_unavailable(&lost), "{lost:?}");
    repeated.unwrap();
    assert_eq!(all_decisions(&*store, &lane(0)).await, full.decisions[..2]);
    assert_eq!(store.timer_decisions(&lane(0), 0).await.unwrap(), full.decisions[2..]);
    assert_eq!(store.ledger(key("PYX-0-0").service_order_id()).await.unwrap(), full.ledger);
    assert_eq!(store.counts().await.unwrap().orders, 1);
    store.write(full_write(&lane(0), &LaneRow { decided: 1, ..row }, 1)).await.unwrap(); // and the lane goes on
}

#[tokio::test]
async fn a_write_whose_backend_is_terminated_can_be_repeated() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let store = PostgresStore::open(proxy.before(&schema.options)).await.unwrap();
    let row = store.take_lane(&lane(0)).await.unwrap();
    let full = full_write(&lane(0), &row, 0);
    proxy.set(Rule::HoldCommit);
    let writing = tokio::spawn({
        let (store, full) = (store.clone(), full.clone());
        async move { store.write(full).await }
    });
    proxy.struck(1).await;

    let admin = schema.admin().await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM
         (SELECT DISTINCT pid FROM pg_locks WHERE relation = 'lanes'::regclass AND granted) AS holders";
    let terminated = admin.query(terminate, &[]).await.unwrap();
    proxy.set(Rule::Pass);

    assert_eq!(terminated.len(), 1, "the one whose transaction has locked the lane");
    let killed = writing.await.unwrap();
    assert!(is_unavailable(&killed), "{killed:?}");
    store.write(full.clone()).await.unwrap();
    assert_eq!(all_decisions(&*store, &lane(0)).await, [record(0)]);
    assert_eq!(store.ledger(full.ledger[0].order).await.unwrap(), full.ledger);
}

#[tokio::test]
async fn connections_terminated_while_they_rest_are_made_anew() {
    let schema = open().await;
    let row = schema.store.take_lane(&lane(0)).await.unwrap();
    let rest: Vec<_> = join_all((0..4).map(|_| schema.store.pool.get())).await;
    let admin = schema.admin().await;
    for connection in rest {
        let connection = connection.unwrap();
        let pid: i32 = connection.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        connection.release();
        admin.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    }

    // A connection whose end is not yet known fails once and is gone.
    until("a write", async || match schema.store.write(full_write(&lane(0), &row, 0)).await {
        Ok(()) => Some(()),
        failed => {
            assert!(is_unavailable(&failed), "{failed:?}");
            None
        }
    })
    .await;

    assert_eq!(all_decisions(&*schema.store, &lane(0)).await, [record(0)]);
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_until_it_is_back() {
    let server = Server::start(&[]);
    let store = PostgresStore::open(Options::new(Secret::new(server.url()))).await.unwrap();
    let row = store.take_lane(&lane(0)).await.unwrap();
    let full = full_write(&lane(0), &row, 0);
    store.write(full.clone()).await.unwrap();

    server.stop();
    let refused = [
        store.write(full_write(&lane(0), &row, 1)).await,
        store.take_lane(&lane(0)).await.map(|_| ()),
        store.counts().await.map(|_| ()),
    ];
    server.resume();

    for refused in refused {
        assert!(is_unavailable(&refused), "{refused:?}");
    }
    let next = LaneRow { decided: 1, ..row };
    store.write(full_write(&lane(0), &next, 1)).await.unwrap();
    assert_eq!(all_decisions(&*store, &lane(0)).await, [record(0), record(1)]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    let opened = PostgresStore::open(Options::new(Secret::new(format!("postgresql://gateway@{closed}/orders")))).await;

    assert!(is_unavailable(&opened), "{:?}", opened.err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_connections_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgresql://gateway@{}/orders", silent.local_addr().unwrap());

    let opened = PostgresStore::open(Options::new(Secret::new(url))).await;

    assert!(is_unavailable(&opened), "{:?}", opened.err());
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let schema = open().await;
    let proxy = Proxy::start().await;
    let store = PostgresStore::open(proxy.before(&schema.options)).await.unwrap();
    store.counts().await.unwrap();
    proxy.set(Rule::HoldAll);

    tokio::time::pause(); // from here on a time-out comes as soon as nothing else does
    let silent = store.counts().await;
    tokio::time::resume();
    proxy.set(Rule::Pass);

    assert_eq!(silent.unwrap_err().to_string(), "store is unavailable: the server does not answer within 45s");
    store.counts().await.unwrap();
}

#[tokio::test]
async fn a_call_waits_for_a_connection_and_then_gives_up() {
    let schema = open().await;
    let store = PostgresStore::open(Options { connections: 1, ..schema.options.clone() }).await.unwrap();
    let taken = store.pool.get().await.unwrap();

    tokio::time::pause();
    let refused = store.counts().await;
    tokio::time::resume();
    taken.release();

    assert_eq!(refused.unwrap_err().to_string(), "store is unavailable: all its connections are in use");
    store.counts().await.unwrap();
}

#[tokio::test]
async fn a_lock_held_too_long_is_unavailable() {
    let schema = open().await;
    let row = schema.store.take_lane(&lane(0)).await.unwrap();
    let admin = schema.admin().await;
    admin.batch_execute("BEGIN; SELECT FROM lanes FOR UPDATE").await.unwrap();

    for attempt in ["write", "take_lane"] {
        // One connection, and its limit set by hand: the opening itself must not run into it.
        let store = PostgresStore::open(Options { connections: 1, ..schema.options.clone() }).await.unwrap();
        limit(&store, "statement_timeout = 20").await;

        let refused = match attempt {
            "write" => store.write(write(&lane(0), &row)).await,
            _ => store.take_lane(&lane(0)).await.map(|_| ()),
        };

        assert!(is_unavailable(&refused), "{attempt}: {refused:?}");
    }
    admin.batch_execute("ROLLBACK").await.unwrap();
    schema.store.write(write(&lane(0), &row)).await.unwrap();
}

#[tokio::test]
async fn every_connection_is_limited_whatever_the_url_says() {
    let mut options = options();
    options.url = Secret::new(format!("{}?options=-c%20statement_timeout%3D0%20-c%20work_mem%3D5MB", super::url()));
    let schema = super::Schema { store: PostgresStore::open(options.clone()).await.unwrap(), options };
    let connection = schema.store.pool.get().await.unwrap();

    for (setting, expected) in [
        ("search_path", schema.options.schema.as_str()),
        ("default_transaction_isolation", "read committed"),
        ("statement_timeout", "20s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("work_mem", "5MB"),
    ] {
        let row = connection.query_one(&format!("SHOW {setting}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), expected, "{setting}");
    }
}
