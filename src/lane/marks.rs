//! Which offsets of one topic are finished: a low watermark, and beside it a bitset of those finished above it.
//!
//! Kept in memory as the offsets that are *not* finished, so that holes in the log (markers of transactions, aborted
//! records, compaction) need no care: a hole was never read, so nothing waits for it. Written beside the committed
//! offset as `cd1:<bitset>`, base64url without padding, bit 0 of the first byte for the committed offset itself,
//! trailing zero bytes left out. At most [`MAX_SPAN`](crate::lane::policy::MAX_SPAN) bits, 2 735 bytes of text.
//!
//! Invariant: every finished offset is below `low + span`. Who wants to finish one asks [`Marks::fits`] first; one that
//! does not fit waits until what is below it is finished. A text of more bits would abort the commit for ever.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::lane::place::Seq;

const FAMILY: &str = "cd";
const VERSION: &str = "cd1:";

/// One topic as its lane has read and finished it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Read and not finished: 16 bytes each, without the tree's own.
    open: BTreeMap<i64, Seq>,
    /// First offset not read.
    next: i64,
    /// Finished before this incarnation of the lane, from `done_from` on.
    done: Vec<u8>,
    done_from: i64,
    span: i64,
}

/// What a commit says about one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// Everything below is finished.
    pub low: i64,
    /// Bit `i`: offset `low + i`.
    pub bits: Vec<u8>,
}

/// A text of ours this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("offset metadata is of a newer version, expected `cd1`")]
    Newer,
    #[error("offset metadata of version `cd1` is damaged")]
    Damaged,
}

impl Marks {
    pub fn new(finished: Finished, span: i64) -> Self {
        let Finished { low, bits } = finished;
        Self { open: BTreeMap::new(), next: low, done: bits, done_from: low, span }
    }

    /// First offset that is not finished.
    pub fn low(&self) -> i64 {
        self.open.first_key_value().map_or(self.next, |(offset, _)| *offset)
    }

    /// First offset that has not been read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Records read and not finished.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The record at the low watermark.
    pub fn lowest(&self) -> Option<(i64, Seq)> {
        self.open.first_key_value().map(|(offset, seq)| (*offset, *seq))
    }

    /// Unfinished records below `below`, oldest first.
    pub fn open_below(&self, below: i64) -> impl Iterator<Item = (i64, Seq)> {
        self.open.range(..below).map(|(offset, seq)| (*offset, *seq))
    }

    /// Takes note of a record read; `false` if there is nothing to do about it: it was read or finished before.
    pub fn read(&mut self, offset: i64, seq: Seq) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset.saturating_add(1);
        let is_new = !self.was_done(offset);
        if is_new {
            self.open.insert(offset, seq);
        }
        is_new
    }

    /// Takes note that nothing more is to be read below `offset`.
    pub fn reach(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    /// Whether `offset` may be finished now.
    pub fn fits(&self, offset: i64) -> bool {
        offset < self.low().saturating_add(self.span)
    }

    pub fn finish(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    pub fn is_finished(&self, offset: i64) -> bool {
        if offset < self.next { !self.open.contains_key(&offset) } else { self.was_done(offset) }
    }

    /// What a commit is to say now.
    pub fn finished(&self) -> Finished {
        let low = self.low();
        let done_end = self.done_from.saturating_add(bits_in(&self.done));
        let end = self.next.max(done_end).min(low.saturating_add(self.span));
        // What was read and is not open is finished, a hole included; beyond, what was finished before.
        let read = length(low, end.min(self.next));
        let mut bits = vec![0xff; read / 8];
        bits.resize(length(low, end).div_ceil(8), 0);
        let whole = i64::try_from(read / 8 * 8).unwrap_or(i64::MAX);
        (low.saturating_add(whole)..end.min(self.next)).for_each(|offset| flip(&mut bits, offset - low));
        self.open.range(low..end).for_each(|(offset, _)| flip(&mut bits, offset - low));
        let before = (self.next.max(low)..end).filter(|offset| self.was_done(*offset));
        before.for_each(|offset| flip(&mut bits, offset - low));
        Finished { low, bits }.trimmed()
    }

    fn was_done(&self, offset: i64) -> bool {
        offset < self.done_from || is_set(&self.done, offset.saturating_sub(self.done_from))
    }
}

impl Finished {
    /// Everything below `low` is finished and nothing above it.
    pub fn below(low: i64) -> Self {
        Self { low, bits: Vec::new() }
    }

    pub fn contains(&self, offset: i64) -> bool {
        offset < self.low || is_set(&self.bits, offset.saturating_sub(self.low))
    }

    /// The text beside the committed offset `low`.
    pub fn to_text(&self) -> String {
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(&self.bits))
    }

    /// The bitset and what follows it after `;`. `None`: the text is not ours.
    ///
    /// # Errors
    /// [`Error`] if it is ours and cannot be read: going on would forget what was finished.
    pub fn parse(low: i64, text: &str) -> Result<Option<(Self, &str)>, Error> {
        let Some(rest) = text.strip_prefix(VERSION) else {
            return if is_of_another_version(text) { Err(Error::Newer) } else { Ok(None) };
        };
        let (bits, rest) = rest.split_once(';').unwrap_or((rest, ""));
        let bits = URL_SAFE_NO_PAD.decode(bits).map_err(|_| Error::Damaged)?;
        if bits.len() > MAX_BYTES {
            return Err(Error::Damaged);
        }
        Ok(Some((Self { low, bits }, rest)))
    }

    fn trimmed(mut self) -> Self {
        while self.bits.last() == Some(&0) {
            self.bits.pop();
        }
        self
    }
}

/// Bytes of the longest bitset.
const MAX_BYTES: usize = (crate::lane::policy::MAX_SPAN / 8) as usize;

fn bits_in(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX).saturating_mul(8)
}

fn is_set(bits: &[u8], place: i64) -> bool {
    let Ok(place) = usize::try_from(place) else { return false };
    bits.get(place / 8).is_some_and(|byte| byte & (1 << (place % 8)) != 0)
}

fn length(from: i64, to: i64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(0)
}

fn flip(bits: &mut [u8], place: i64) {
    let Ok(place) = usize::try_from(place) else { return };
    if let Some(byte) = bits.get_mut(place / 8) {
        *byte ^= 1 << (place % 8);
    }
}

fn is_of_another_version(text: &str) -> bool {
    let version = text.strip_prefix(FAMILY).and_then(|rest| rest.split_once(':'));
    version.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::policy::MAX_SPAN;

    fn read(offsets: impl IntoIterator<Item = i64>, span: i64) -> Marks {
        let mut marks = Marks::new(Finished::default(), span);
        for offset in offsets {
            assert!(marks.read(offset, offset));
        }
        marks
    }

    #[test]
    fn the_low_watermark_stays_at_the_first_unfinished_record_and_passes_holes() {
        let mut marks = read([2, 3, 7], 16);

        assert_eq!(marks.low(), 2);
        marks.finish(3);
        assert_eq!((marks.low(), marks.is_finished(3)), (2, true));
        marks.finish(2);
        assert_eq!(marks.low(), 7, "4, 5 and 6 hold no record");
        marks.finish(7);
        assert_eq!(marks.low(), 8);
    }

    #[test]
    fn what_was_finished_is_known_after_a_restart_before_it_is_read_again() {
        let mut before = read(0..20, 64);
        for offset in [0, 1, 5, 6, 19] {
            before.finish(offset);
        }

        let finished = before.finished();
        let mut after = Marks::new(finished.clone(), 64);

        assert_eq!(after.finished(), finished, "nothing is forgotten before it is read");
        let again: Vec<_> = (2..20).filter(|offset| after.read(*offset, *offset)).collect();
        assert_eq!(again, (2..19).filter(|offset| ![5, 6].contains(offset)).collect::<Vec<_>>());
        assert_eq!(after.finished(), finished);
    }

    #[test]
    fn the_text_of_the_widest_span_is_below_2800_bytes() {
        let mut marks = read(0..MAX_SPAN * 2, MAX_SPAN);
        for offset in 1..MAX_SPAN {
            assert!(marks.fits(offset));
            marks.finish(offset);
        }

        assert!(!marks.fits(MAX_SPAN));
        let text = marks.finished().to_text();
        assert!(text.len() < 2_800, "{} bytes", text.len());
        assert_eq!(Finished::parse(0, &text), Ok(Some((marks.finished(), ""))));
    }

    #[test]
    fn foreign_text_is_not_ours_and_ours_is_never_guessed() {
        for (text, expected) in [
            ("", Ok(None)),
            ("reset by kafka-consumer-groups", Ok(None)),
            ("cdx:;t=1", Ok(None)),
            ("cd1:", Ok(Some((Finished::below(4), "")))),
            ("cd1:BA;n=1", Ok(Some((Finished { low: 4, bits: vec![4] }, "n=1")))),
            ("cd2:;t=1", Err(Error::Newer)),
            ("cd1:!", Err(Error::Damaged)),
        ] {
            assert_eq!(Finished::parse(4, text), expected, "{text}");
        }
        let too_long = format!("cd1:{}", URL_SAFE_NO_PAD.encode(vec![0; MAX_BYTES + 1]));
        assert_eq!(Finished::parse(4, &too_long), Err(Error::Damaged));
    }
}
