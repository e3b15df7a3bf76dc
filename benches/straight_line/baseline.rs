//! What SQLite and the disk give: the orders as they are sent, group commit, nothing else.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// Rows per second that `connections` writers get through one connection with group commit, WAL and
/// `synchronous=FULL`, each waiting for its own row to be durable before it sends the next.
pub async fn group_commit(directory: &Path, connections: usize, rows: usize, bytes: usize) -> f64 {
    let database = Connection::open(directory.join("baseline.db")).expect("a database");
    database
        .execute_batch(
            "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=500;
             CREATE TABLE log (offset INTEGER PRIMARY KEY, value BLOB NOT NULL);",
        )
        .expect("the table can be made");
    let (send, mut received) = mpsc::unbounded_channel::<(Vec<u8>, oneshot::Sender<()>)>();
    let writer = std::thread::spawn(move || {
        while let Some(first) = received.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(more) = received.try_recv() {
                batch.push(more);
            }
            database.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
            {
                let mut insert = database.prepare_cached("INSERT INTO log (value) VALUES (?1)").expect("a statement");
                for (value, _) in &batch {
                    insert.execute([value]).expect("a row");
                }
            }
            database.execute_batch("COMMIT").expect("a commit");
            for (_, done) in batch {
                let _ = done.send(());
            }
        }
    });
    let began = Instant::now();
    let writers: Vec<_> = (0..connections)
        .map(|_| {
            let send = send.clone();
            tokio::spawn(async move {
                for _ in 0..rows / connections {
                    let (done, durable) = oneshot::channel();
                    send.send((vec![7; bytes], done)).expect("the writer lives");
                    durable.await.expect("the row is durable");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer does not panic");
    }
    let elapsed = began.elapsed();
    drop(send);
    writer.join().expect("the writer ends");
    (rows / connections * connections) as f64 / elapsed.as_secs_f64()
}
