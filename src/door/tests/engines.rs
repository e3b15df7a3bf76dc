//! The door on the engines it runs on.

use super::*;
use crate::canonical::intake;
use crate::clock::SystemClock;
use crate::log::sqlite::{Options, SqliteLog};
use crate::log::{EventLog, ReadLimit, TopicSpec};
use crate::store::sqlite::{self, SqliteStore};
use tempfile::TempDir;

fn open_log(folder: &TempDir) -> Arc<SqliteLog> {
    let options = Options { group_commit_delay: Duration::ZERO, clock: Arc::new(SystemClock) };
    SqliteLog::open(&folder.path().join("log.db"), options).unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_is_on_disk() {
    let folder = TempDir::new().unwrap();
    let (log, clock) = (open_log(&folder), Arc::new(ManualClock::at(NOW_S * 1000)));
    let spec = TopicSpec { name: INTAKE.into(), partitions: 6, max_record_bytes: 16 << 20, retention: None };
    log.create_topic(&spec).await.unwrap();
    let deps = Deps {
        log: log.clone(),
        store: SqliteStore::open(&folder.path().join("store.db"), sqlite::Options::default()).unwrap(),
        catalogue: catalogue(),
        metrics: Arc::new(Metrics::new().unwrap()),
        clock,
        new_id: Arc::new(|| Uuid::from_u128(7)),
    };
    let door = Door::new(deps, &DoorSettings { append_timeout: Duration::from_secs(30), ..settings() });
    door.install(installation()).unwrap();

    let accepted = door.handle(delivery("pyxis-north", ORDERS, "PYX-1")).await;
    let rejected = door.handle(delivery("pyxis-north", ORDERS, "bad")).await;
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    let read = Request::get(location).header("authorization", "Bearer pyxis-north-token").body(Body::empty()).unwrap();
    let not_yet = door.handle(read).await;
    drop(door);
    drop(log);

    let statuses = [&accepted, &rejected, &not_yet].map(|response| response.status().as_u16());
    assert_eq!(statuses, [202, 422, 404]);
    assert_eq!(not_yet.headers()["retry-after"], "1");
    let log = open_log(&folder);
    let mut raw = vec![];
    for partition in 0..6 {
        for stored in log.read(INTAKE, partition, 0, ReadLimit { records: 9, bytes: 1 << 20 }).await.unwrap() {
            let draft = intake::decode(&catalogue(), stored.record.value.as_deref().unwrap()).unwrap();
            raw.push(String::from_utf8(draft.raw.to_vec()).unwrap());
        }
    }
    raw.sort();
    assert_eq!(raw, ["PYX-1", "bad"]);
}
