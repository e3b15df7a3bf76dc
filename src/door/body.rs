//! Reading a body: at most so many bytes, in so much time, and all bodies together within one budget of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The budget and the times. Cheap to share by reference.
#[derive(Debug)]
pub(super) struct Bodies {
    in_flight: Arc<Semaphore>,
    budget_bytes: u32,
    /// How long a body may wait for its share of the budget.
    wait_timeout: Duration,
    /// From the share to the last byte.
    read_timeout: Duration,
}

/// A body and its share of the budget, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    /// No share of the budget came free in time.
    Overloaded,
    /// The sender broke off.
    Truncated,
}

/// What becomes of the bytes while they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    /// Size comes before authentication in the order of checks, but a sender nobody knows gets no memory.
    Nothing,
}

impl Bodies {
    pub fn new(budget_bytes: usize, wait_timeout: Duration, read_timeout: Duration) -> Self {
        let budget_bytes = u32::try_from(budget_bytes).unwrap_or(u32::MAX).min(MAX_BUDGET_BYTES);
        let in_flight = Arc::new(Semaphore::new(budget_bytes as usize));
        Self { in_flight, budget_bytes, wait_timeout, read_timeout }
    }

    /// Reads `body`, of at most `limit` bytes (inclusive). A declared length over the limit is refused unread.
    pub async fn read(&self, body: Body, limit: usize, keep: Keep) -> Result<Held, Unread> {
        let declared = body.size_hint();
        if declared.lower() > limit as u64 {
            return Err(Unread::TooLarge);
        }
        let share = match keep {
            // Without a declared length the body may grow up to the limit.
            Keep::All => Some(self.share(declared.exact().unwrap_or(limit as u64)).await?),
            Keep::Nothing => None,
        };
        let bytes = timeout(self.read_timeout, collect(body, limit, keep)).await.map_err(|_| Unread::TooSlow)??;
        Ok(Held { bytes, _share: share })
    }

    /// Waiting is fair: whoever came first is served first, also if it needs more.
    async fn share(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Unread> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.budget_bytes);
        match timeout(self.wait_timeout, self.in_flight.clone().acquire_many_owned(bytes)).await {
            Ok(Ok(share)) => Ok(share),
            Ok(Err(_)) | Err(_) => Err(Unread::Overloaded),
        }
    }
}

/// Tokio's semaphores count up to this on every platform.
const MAX_BUDGET_BYTES: u32 = u32::MAX >> 3;

async fn collect(mut body: Body, limit: usize, keep: Keep) -> Result<Bytes, Unread> {
    let expected = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Truncated)?.into_data() else { continue };
        read += data.len();
        if read > limit {
            return Err(Unread::TooLarge);
        }
        if keep == Keep::Nothing {
            continue;
        }
        // Most orders arrive in one piece: they are kept as they came, without a copy.
        if read == data.len() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(expected.clamp(read, limit));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunked(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes()))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    fn bodies(budget_bytes: usize) -> Bodies {
        Bodies::new(budget_bytes, Duration::from_millis(1), Duration::from_millis(1))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_inclusive() {
        for (body, expected) in [
            (Body::from("123456"), Ok("123456")),
            (Body::from("1234567"), Err(Unread::TooLarge)),
            (chunked(&["123", "456"]), Ok("123456")),
            (chunked(&["1", "2", "3", "456"]), Ok("123456")),
            (chunked(&["123", "4567"]), Err(Unread::TooLarge)),
            (chunked(&[]), Ok("")),
            (chunked(&["", "", "12", "", "3"]), Ok("123")),
            (Body::empty(), Ok("")),
        ] {
            let read = bodies(100).read(body, 6, Keep::All).await.map(|held| held.bytes);

            assert_eq!(read, expected.map(|text| Bytes::from_static(text.as_bytes())));
        }
    }

    #[tokio::test]
    async fn the_body_of_an_unknown_sender_is_counted_and_not_kept() {
        let counted = bodies(0).read(chunked(&["123", "456"]), 6, Keep::Nothing).await.map(|held| held.bytes);
        let too_large = bodies(0).read(chunked(&["123", "4567"]), 6, Keep::Nothing).await.map(|held| held.bytes);

        assert_eq!((counted, too_large), (Ok(Bytes::new()), Err(Unread::TooLarge)));
    }

    #[tokio::test]
    async fn bodies_beyond_the_budget_wait_and_are_then_turned_away() {
        let bodies = bodies(10);
        let held = bodies.read(Body::from("123456"), 8, Keep::All).await.unwrap();

        let second = bodies.read(Body::from("123456"), 8, Keep::All).await.map(|held| held.bytes);
        drop(held);
        let third = bodies.read(Body::from("123456"), 8, Keep::All).await.map(|held| held.bytes);

        assert_eq!((second, third), (Err(Unread::Overloaded), Ok(Bytes::from_static(b"123456"))));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_or_breaks_off_is_given_up() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let broken = Body::from_stream(stream::iter([Ok("12"), Err(std::io::Error::other("gone"))]));
        for (body, expected) in [(stalled, Unread::TooSlow), (broken, Unread::Truncated)] {
            assert_eq!(bodies(10).read(body, 8, Keep::All).await.unwrap_err(), expected);
        }
    }
}
