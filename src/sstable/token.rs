//! Tokens of the Murmur3 partitioner, by which partitions stand in a file.

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The token of a partition key. Cassandra's Murmur3 takes the last bytes as signed, unlike the original, and never gives the
/// lowest number.
pub fn token(key: &[u8]) -> i64 {
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let (blocks, tail) = key.as_chunks::<16>();
    for block in blocks {
        let number = u128::from_le_bytes(*block);
        let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(number >> 64).unwrap_or_default();
        h1 ^= mix_low(low);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix_high(high);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut rest = [0_u64; 2];
    for (n, byte) in tail.iter().enumerate() {
        if let Some(half) = rest.get_mut(n / 8) {
            *half ^= i64::from(byte.cast_signed()).cast_unsigned() << (n % 8 * 8);
        }
    }
    let [low, high] = rest;
    if tail.len() > 8 {
        h2 ^= mix_high(high);
    }
    if !tail.is_empty() {
        h1 ^= mix_low(low);
    }
    let length = u64::try_from(key.len()).unwrap_or_default();
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = last_mix(h1);
    h2 = last_mix(h2);
    match h1.wrapping_add(h2).cast_signed() {
        i64::MIN => i64::MAX,
        token => token,
    }
}

fn mix_low(half: u64) -> u64 {
    half.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix_high(half: u64) -> u64 {
    half.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn last_mix(mut half: u64) -> u64 {
    half ^= half >> 33;
    half = half.wrapping_mul(0xff51_afd7_ed55_8ccd);
    half ^= half >> 33;
    half = half.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    half ^ half >> 33
}
