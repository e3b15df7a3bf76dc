//! The embedded engine's subscription. There is one process, so nothing is shared out: the newest subscription of a
//! group has every partition of the topics it asked for, and an older one is left with what it alone asked for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, select_all};
use tokio::sync::watch;
use tracing::warn;

use super::Inner;
use super::catalog::Partition;
use super::member::cursor;
use super::queue::{Claim, Effects, Job, Seat};
use super::recent::Page;
use crate::log::{Error, OffsetCommit, ReadLimit, Stored, Subscription};

pub struct Subscriber {
    inner: Arc<Inner>,
    group: String,
    seat: Seat,
    /// With each topic whether a newer subscription has it.
    topics: Vec<(Arc<str>, watch::Receiver<bool>)>,
    /// Where the reading stands; one poll at a time.
    reading: tokio::sync::Mutex<Reading>,
}

#[derive(Default)]
struct Reading {
    /// Topics whose partitions are among the cursors.
    open: HashSet<Arc<str>>,
    cursors: Vec<ReadCursor>,
    /// Which cursor is first to be read, so that the first ones do not always fill the poll.
    turn: usize,
}

struct ReadCursor {
    partition: Arc<Partition>,
    taken: watch::Receiver<bool>,
    next: i64,
}

impl Subscriber {
    pub async fn join(inner: Arc<Inner>, group: String, topics: Vec<Arc<str>>) -> Result<Self, Error> {
        let (mut asked, mut told) = (Vec::with_capacity(topics.len()), Vec::with_capacity(topics.len()));
        for topic in topics.into_iter().collect::<HashSet<_>>() {
            let (sender, taken) = watch::channel(false);
            asked.push((topic.clone(), sender));
            told.push((topic, taken));
        }
        let of = group.clone();
        let seat = inner.queue.ask(|reply| Job::Subscribe { group: of, topics: asked, reply }).await?;
        Ok(Self { inner, group, seat, topics: told, reading: tokio::sync::Mutex::default() })
    }

    /// Takes up topics that are there by now, each partition at its committed offset.
    async fn open(&self, reading: &mut Reading) -> Result<(), Error> {
        for (name, taken) in &self.topics {
            if reading.open.contains(name) {
                continue;
            }
            let Ok(topic) = self.inner.catalog.topic(name) else { continue };
            let committed = self.inner.committed(self.group.clone(), &topic).await?;
            for partition in &topic.partitions {
                let next = self.start(partition, committed.get(&partition.number));
                reading.cursors.push(ReadCursor { partition: partition.clone(), taken: taken.clone(), next });
            }
            reading.open.insert(name.clone());
        }
        Ok(())
    }

    fn start(&self, partition: &Partition, committed: Option<&OffsetCommit>) -> i64 {
        let bounds = partition.bounds();
        let Some(committed) = committed else { return bounds.start };
        if (bounds.start..=bounds.end).contains(&committed.offset) {
            return committed.offset;
        }
        self.warn(partition, committed.offset, bounds.start);
        bounds.start
    }

    fn warn(&self, partition: &Partition, from: i64, to: i64) {
        let (group, topic, partition) = (&self.group, &partition.topic, partition.number);
        warn!(group, %topic, partition, from, to, "an offset is gone, reading goes on at the start");
    }

    /// What has been written since the last time: of every partition that has something an equal share of the limit.
    async fn read(&self, reading: &mut Reading, limit: ReadLimit) -> Result<Vec<Stored>, Error> {
        let count = reading.cursors.len();
        let order = (0..count).map(|nth| (reading.turn + nth) % count);
        let behind: Vec<_> = order.filter(|nth| reading.cursors.get(*nth).is_some_and(ReadCursor::is_behind)).collect();
        let share = |whole: usize| whole.div_ceil(behind.len().max(1));
        let share = ReadLimit { records: share(limit.records), bytes: share(limit.bytes) };
        let mut page = Page::new(limit);
        let mut moves = Vec::with_capacity(behind.len());
        for nth in behind {
            let Some(cursor) = reading.cursors.get(nth) else { continue };
            let mut next = cursor.next.max(cursor.partition.start());
            if next > cursor.next {
                self.warn(&cursor.partition, cursor.next, next);
            }
            for stored in self.inner.read(&cursor.partition, next, share).await? {
                if !page.fits(stored.record.size()) {
                    break;
                }
                next = stored.offset + 1;
                page.push(stored);
            }
            moves.push((nth, next));
            if page.is_full() {
                break;
            }
        }
        // Nothing is awaited from here on: a poll that is cancelled has moved no cursor.
        for (nth, next) in moves {
            let Some(cursor) = reading.cursors.get_mut(nth) else { continue };
            cursor.next = next;
            reading.turn = nth + 1;
        }
        Ok(page.records)
    }

    /// Until there is something to read, or a topic to take up, or one is taken over.
    async fn changed(&self, reading: &Reading, mut catalog: watch::Receiver<()>) {
        let mut signs: Vec<BoxFuture<'_, ()>> = Vec::with_capacity(reading.cursors.len() + self.topics.len() + 1);
        for cursor in &reading.cursors {
            let (mut end, next) = (cursor.partition.watch_end(), cursor.next);
            signs.push(Box::pin(async move { drop(end.wait_for(|end| *end > next).await) }));
        }
        for (_, taken) in self.topics.iter().filter(|(_, taken)| !*taken.borrow()) {
            let mut taken = taken.clone();
            signs.push(Box::pin(async move { drop(taken.wait_for(|taken| *taken).await) }));
        }
        signs.push(Box::pin(async move { drop(catalog.changed().await) }));
        select_all(signs).await;
    }

    fn check(&self) -> Result<(), Error> {
        if self.topics.iter().any(|(_, taken)| !*taken.borrow()) || self.topics.is_empty() {
            return Ok(());
        }
        let reason = format!("a newer subscription of group `{}` reads its topics", self.group);
        Err(Error::Unavailable { reason })
    }
}

impl Subscription for Subscriber {
    fn poll(&self, limit: ReadLimit, timeout: Duration) -> BoxFuture<'_, Result<Vec<Stored>, Error>> {
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + timeout;
            let mut reading = self.reading.lock().await;
            loop {
                // Before the look at what is there, so that nothing is missed in between.
                let mut catalog = self.inner.catalog.watch();
                catalog.mark_unchanged();
                self.check()?;
                self.open(&mut reading).await?;
                reading.cursors.retain(|cursor| !*cursor.taken.borrow());
                let records = self.read(&mut reading, limit).await?;
                if !records.is_empty() {
                    return Ok(records);
                }
                let changed = self.changed(&reading, catalog);
                if tokio::time::timeout_at(deadline, changed).await.is_err() {
                    return Ok(Vec::new());
                }
            }
        })
    }

    fn commit(&self, offsets: Vec<(Arc<str>, u32, OffsetCommit)>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut cursors = Vec::with_capacity(offsets.len());
            for (topic, partition, offset) in offsets {
                // A partition it never had is as one that it has no more.
                let Ok(partition) = self.inner.catalog.partition(&topic, partition) else { continue };
                cursors.push(cursor(partition, offset)?);
            }
            if cursors.is_empty() {
                return Ok(());
            }
            let claim = Some(Claim::Subscription(self.seat));
            self.inner.queue.write(Effects { rows: Vec::new(), cursors, claim }).await.map(drop)
        })
    }
}

impl ReadCursor {
    fn is_behind(&self) -> bool {
        self.partition.bounds().end > self.next
    }
}
