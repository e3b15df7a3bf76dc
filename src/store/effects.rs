//! Effects as bytes: what a decision will append, kept exactly until the log has it.
//!
//! Every engine stores this form, so that a decision moves between engines as it is. Nothing is interpreted: a
//! missing value differs from an empty one, header values may be any bytes, order and repeats stay.
//!
//! Layout, all numbers LEB128 varints: version `1`, number of appends, then for each its topic, `partition + 1`
//! (0: none), key, value, number of headers, and name and value of each. Texts and header values have their length
//! in front; key and value have their length + 1 (0: none).

use std::sync::Arc;

use bytes::Bytes;

use crate::log::{Append, Header, Record};
pub use crate::store::wire::Error;
use crate::store::wire::{Cursor, capacity, put_bytes, put_number, put_optional};

const VERSION: u8 = 1;

/// The bytes of `effects`. [`decode`] gives them back equal.
pub fn encode(effects: &[Append]) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(effects.iter().map(|append| append.record.size() + append.topic.len() + 96).sum());
    bytes.push(VERSION);
    put_number(&mut bytes, effects.len() as u64);
    for Append { topic, partition, record } in effects {
        put_bytes(&mut bytes, topic.as_bytes());
        put_number(&mut bytes, partition.map_or(0, |partition| u64::from(partition) + 1));
        put_optional(&mut bytes, record.key.as_deref());
        put_optional(&mut bytes, record.value.as_deref());
        put_headers(&mut bytes, &record.headers);
    }
    bytes
}

/// The effects in `bytes`; keys, values and header values share its memory.
///
/// # Errors
/// One of [`Error`]; never a panic, whatever the bytes are.
pub fn decode(bytes: Bytes) -> Result<Vec<Append>, Error> {
    let mut cursor = Cursor::new(bytes, VERSION)?;
    let count = cursor.number()?;
    let mut effects = Vec::with_capacity(capacity(count));
    for _ in 0..count {
        effects.push(append(&mut cursor)?);
    }
    cursor.end()?;
    Ok(effects)
}

fn append(cursor: &mut Cursor) -> Result<Append, Error> {
    let topic = Arc::from(cursor.text()?.as_str());
    let partition = match cursor.number()?.checked_sub(1) {
        None => None,
        Some(partition) => Some(u32::try_from(partition).map_err(|_| cursor.too_large())?),
    };
    let key = cursor.optional()?;
    let value = cursor.optional()?;
    Ok(Append { topic, partition, record: Record { key, value, headers: headers(cursor)? } })
}

/// Headers in the form effects have them: how many, then name and value of each.
pub(super) fn put_headers(bytes: &mut Vec<u8>, headers: &[Header]) {
    put_number(bytes, headers.len() as u64);
    for header in headers {
        put_bytes(bytes, header.name.as_bytes());
        put_bytes(bytes, &header.value);
    }
}

pub(super) fn headers(cursor: &mut Cursor) -> Result<Vec<Header>, Error> {
    let count = cursor.number()?;
    let mut headers = Vec::with_capacity(capacity(count));
    for _ in 0..count {
        headers.push(Header { name: cursor.text()?, value: cursor.sized()? });
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Xorshift: the same cases on every run.
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }

        fn bytes(&mut self) -> Bytes {
            let len = [0, 1, 5, 127, 128, 300][self.below(6) as usize];
            (0..len).map(|_| self.below(256) as u8).collect()
        }

        fn optional(&mut self) -> Option<Bytes> {
            (self.below(3) > 0).then(|| self.bytes())
        }

        fn text(&mut self) -> String {
            (0..self.below(20)).map(|_| ['a', 'Z', '-', 'é', '漢', '🦀', '\0'][self.below(7) as usize]).collect()
        }

        fn effects(&mut self) -> Vec<Append> {
            (0..self.below(4)).map(|_| self.append()).collect()
        }

        fn append(&mut self) -> Append {
            let partition = [None, Some(0), Some(5), Some(u32::MAX)][self.below(4) as usize];
            let headers = (0..self.below(4)).map(|_| Header { name: self.text(), value: self.bytes() }).collect();
            let record = Record { key: self.optional(), value: self.optional(), headers };
            Append { topic: self.text().into(), partition, record }
        }
    }

    #[test]
    fn decoding_gives_the_encoded_effects_back() {
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
        for case in 0..2_000 {
            let effects = draw.effects();

            let decoded = decode(encode(&effects).into());

            assert_eq!(decoded, Ok(effects), "case {case}");
        }
    }

    #[test]
    fn a_missing_value_differs_from_an_empty_one() {
        let of =
            |value| vec![Append { topic: "t".into(), partition: None, record: Record { value, ..Record::default() } }];

        assert_ne!(encode(&of(None)), encode(&of(Some(Bytes::new()))));
    }

    #[test]
    fn effects_cut_short_or_followed_by_more_are_refused() {
        let mut draw = Draw(7);
        let effects: Vec<_> = (0..3).map(|_| draw.append()).collect();
        let bytes = encode(&effects);

        for len in 0..bytes.len() {
            assert!(decode(Bytes::copy_from_slice(&bytes[..len])).is_err(), "{len} bytes");
        }
        let longer: Bytes = [bytes.as_slice(), &[0]].concat().into();
        assert_eq!(decode(longer), Err(Error::Trailing { end: bytes.len(), len: bytes.len() + 1 }));
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic() {
        let mut draw = Draw(11);
        let sound = encode(&(0..3).map(|_| draw.append()).collect::<Vec<_>>());
        for _ in 0..5_000 {
            let mut bytes = sound.clone();
            for _ in 0..=draw.below(4) {
                let at = draw.below(bytes.len() as u64) as usize;
                bytes[at] = draw.below(256) as u8;
            }
            let _ = decode(bytes.into()); // sound or not: it returns
        }
        for (bytes, expected) in [
            (vec![], Error::Truncated { at: 0 }),
            (vec![2, 0], Error::Version { found: 2, expected: 1 }),
            (vec![1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Error::Truncated { at: 11 }),
            (vec![1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], Error::Number { at: 1 }),
            (vec![1, 1, 1, 0xff, 0, 0, 0, 0], Error::Text { at: 2 }),
        ] {
            assert_eq!(decode(bytes.clone().into()), Err(expected), "{bytes:?}");
        }
    }
}
