//! Randomness that a seed repeats: every entity has its own stream, so that any row can be made without the ones before it.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// Ticks of 100 ns from the start of the Gregorian calendar to 2018-01-01, where version 1 ids begin.
const GREGORIAN_2018: u64 = 0x01b2_1dd2_1381_4000 + 1_514_764_800 * 10_000_000;

/// Milliseconds from 1970 to 2023-01-01, where version 7 ids begin.
const UNIX_2023: u64 = 1_672_531_200_000;

/// The random stream of one entity.
#[derive(Debug)]
pub(in crate::estate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of entity `index` in `space`, a table or a part of one.
    pub(in crate::estate) fn of(seed: u64, space: &str, index: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(xxh3_64_with_seed(&key(space, index), seed)))
    }

    /// True in `percent` of all cases.
    pub(in crate::estate) fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// A number below `end`, 0 when that is 0.
    pub(in crate::estate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// A number from `low` to `high`, both included.
    pub(in crate::estate) fn int(&mut self, low: i32, high: i32) -> i32 {
        self.0.random_range(low..=high)
    }

    /// One of `choices`, or the default of the type when there is none.
    pub(in crate::estate) fn pick<T: Clone + Default>(&mut self, choices: &[T]) -> T {
        choices.choose(&mut self.0).cloned().unwrap_or_default()
    }

    /// `length` random bytes.
    pub(in crate::estate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A token of letters and digits, as Kong makes keys and secrets.
    pub(in crate::estate) fn token(&mut self, length: usize) -> String {
        (&mut self.0).sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
    }

    /// A random id of version 4.
    pub(in crate::estate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Id of entity `index` in `space`: mostly of version 4 as Kong makes them, some of version 5 (declarative tools), 1 and 7.
pub(super) fn entity_id(seed: u64, space: &str, index: u64) -> Uuid {
    let bytes = xxh3_128_with_seed(&key(space, index), seed).to_be_bytes();
    let [choice, _, _, _, _, _, node @ .., _, _, _, _] = bytes;
    match choice % 100 {
        0..80 => Builder::from_random_bytes(bytes),
        80..92 => Builder::from_sha1_bytes(bytes),
        92..96 => {
            let counter = u16::from_be_bytes([bytes[1], bytes[2]]);
            let jitter = u64::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            Builder::from_gregorian_timestamp(GREGORIAN_2018 + index * 70_000_000 + jitter, counter, &node)
        }
        _ => {
            let [_, _, _, _, _, _, random @ ..] = bytes;
            Builder::from_unix_timestamp_millis(UNIX_2023 + index * 1_000, &random)
        }
    }
    .into_uuid()
}

fn key(space: &str, index: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(space.len() + 8);
    key.extend_from_slice(space.as_bytes());
    key.extend_from_slice(&index.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn ids_are_distinct_and_of_mixed_versions() {
        let ids: Vec<Uuid> = (0..20_000).map(|index| entity_id(7, "consumers", index)).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let mut versions = BTreeMap::new();
        for id in &ids {
            *versions.entry(id.get_version_num()).or_insert(0) += 1;
        }
        assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [1, 4, 5, 7]);
        assert!(versions[&4] > ids.len() * 7 / 10, "{versions:?}");
    }

    #[test]
    fn seed_space_and_index_all_matter() {
        let id = entity_id(1, "routes", 5);
        assert_eq!(id, entity_id(1, "routes", 5));
        assert_ne!(id, entity_id(2, "routes", 5));
        assert_ne!(id, entity_id(1, "services", 5));
        assert_ne!(id, entity_id(1, "routes", 6));
        assert_eq!(Dice::of(1, "a", 2).token(12), Dice::of(1, "a", 2).token(12));
        assert_ne!(Dice::of(1, "a", 2).token(12), Dice::of(1, "a", 3).token(12));
    }
}
