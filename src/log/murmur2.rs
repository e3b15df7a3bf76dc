//! Kafka's key partitioner, so that a key's lane is the same on both engines and for every Java client.
//!
//! Source: `Utils.murmur2` and `BuiltInPartitioner` of Apache Kafka's Java client; librdkafka calls the same
//! function `murmur2_random`.

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The partition of a record with that key, in `0..partitions`; 0 if there are no partitions.
///
/// A record without a key goes to partition 0: a place drawn at random or in turn would differ from one run to
/// the next, and whoever wants to spread such records names the partition.
pub fn partition(key: Option<&[u8]>, partitions: u32) -> u32 {
    // The sign bit is masked rather than the number negated, as Kafka does it.
    let positive = key.map_or(0, murmur2) & 0x7fff_ffff;
    positive.checked_rem(partitions).unwrap_or(0)
}

/// The 32-bit hash; Java prints the same bits as a signed number.
pub fn murmur2(data: &[u8]) -> u32 {
    // Java's `int` length; its arrays are shorter than that, so nothing is cut off which Kafka would see.
    let mut hash = SEED ^ (data.len() as u32);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: `UtilsTest.testMurmur2` of Apache Kafka.
    const KAFKA_VECTORS: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];

    #[test]
    fn hashes_are_those_of_kafka() {
        for (key, expected) in KAFKA_VECTORS {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_is_masked_not_negated() {
        for (key, hash) in KAFKA_VECTORS {
            let expected = (hash & 0x7fff_ffff).cast_unsigned() % 6;
            assert_eq!(partition(Some(key.as_bytes()), 6), expected, "{key}");
        }
    }

    #[test]
    fn a_record_without_a_key_goes_to_the_first_partition() {
        assert_eq!(partition(None, 6), 0);
    }

    #[test]
    fn every_length_of_tail_and_no_partitions_are_answered() {
        for length in 0..16 {
            let key = vec![0xff; length];
            assert!(partition(Some(&key), 7) < 7, "{length} bytes");
            assert_eq!(partition(Some(&key), 0), 0, "{length} bytes");
        }
    }
}
