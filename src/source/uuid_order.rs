//! Cassandra's order of `uuid` values, in which the rows of one partition stand.
//!
//! First the version nibble; then, for version 1, the 60-bit timestamp, and for every other version the first eight bytes
//! unsigned; then the last eight bytes unsigned. Plain byte order holds only inside one version other than 1.
//!
//! Both rules compare 60 bits after the version, so a place in the order is `(version, key, last eight bytes)`.

use std::cmp::Ordering;

use uuid::Uuid;

/// Largest key inside a version: 60 bits.
pub(super) const LAST_KEY: u64 = (1 << 60) - 1;

/// Version nibble of `id`: 0 for the nil uuid.
pub(super) fn version(id: Uuid) -> u8 {
    id.as_bytes().get(6).map_or(0, |byte| byte >> 4)
}

/// The 60 bits that order ids inside one version, before the last eight bytes do.
pub(super) fn key(id: Uuid) -> u64 {
    let (high, _) = id.as_u64_pair();
    if version(id) == 1 {
        ((high & 0x0fff) << 48) | ((high << 16) & 0xffff_0000_0000) | (high >> 32)
    } else {
        ((high >> 16) << 12) | (high & 0x0fff)
    }
}

/// The first id of `version` with `key`: its last eight bytes are zero.
pub(super) fn first_with(version: u8, key: u64) -> Uuid {
    let key = key & LAST_KEY;
    let nibble = u64::from(version & 0x0f) << 12;
    let high = if version == 1 {
        (key << 32) | ((key >> 16) & 0xffff_0000) | nibble | (key >> 48)
    } else {
        ((key >> 12) << 16) | nibble | (key & 0x0fff)
    };
    Uuid::from_u64_pair(high, 0)
}

/// The very last id of `version`.
pub(super) fn last_of(version: u8) -> Uuid {
    let (high, _) = first_with(version, LAST_KEY).as_u64_pair();
    Uuid::from_u64_pair(high, u64::MAX)
}

/// Compares as Cassandra's `UUIDType` does.
pub(super) fn compare(a: Uuid, b: Uuid) -> Ordering {
    let place = |id: Uuid| (version(id), key(id), id.as_u64_pair().1);
    place(a).cmp(&place(b))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The order once more, written from the rule on bytes instead of on numbers.
    pub(in crate::source) fn compare_bytes(a: Uuid, b: Uuid) -> Ordering {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let by_version = (a[6] / 16).cmp(&(b[6] / 16));
        let time = |id: &[u8; 16]| [id[6] % 16, id[7], id[4], id[5], id[0], id[1], id[2], id[3]];
        let by_first_half =
            if a[6] / 16 == 1 && b[6] / 16 == 1 { time(a).cmp(&time(b)) } else { a[..8].cmp(&b[..8]) };
        by_version.then(by_first_half).then(a[8..].cmp(&b[8..]))
    }

    /// Ids of every version, with the odd ones among them.
    pub(in crate::source) fn any_id() -> impl Strategy<Value = Uuid> {
        prop_oneof![
            8 => (any::<u128>(), 0_u8..16).prop_map(|(bits, version)| {
                let bits = bits & !(0xf_u128 << 76) | (u128::from(version) << 76);
                Uuid::from_u128(bits)
            }),
            1 => Just(Uuid::nil()),
            1 => Just(Uuid::max()),
            1 => (any::<u64>(), any::<u16>()).prop_map(|(time, node)| {
                let time = time >> 4;
                Uuid::from_u64_pair(first_with(1, time).as_u64_pair().0, u64::from(node))
            }),
        ]
    }

    proptest! {
        #[test]
        fn numbers_order_as_bytes_do(a in any_id(), b in any_id()) {
            prop_assert_eq!(compare(a, b), compare_bytes(a, b));
        }

        #[test]
        fn an_id_stands_at_or_after_the_first_of_its_key(id in any_id()) {
            let first = first_with(version(id), key(id));
            prop_assert_eq!((version(first), key(first)), (version(id), key(id)));
            prop_assert_ne!(compare_bytes(first, id), Ordering::Greater);
            prop_assert_ne!(compare_bytes(id, last_of(version(id))), Ordering::Greater);
        }
    }

    #[test]
    fn time_decides_among_version_1() {
        let early: Uuid = "ffffffff-0000-1000-8000-000000000000".parse().unwrap();
        let late: Uuid = "00000000-0001-1000-8000-000000000000".parse().unwrap();
        assert_eq!(compare(early, late), Ordering::Less);
        assert_eq!(key(early), 0xffff_ffff);
        assert_eq!(key(late), 0x1_0000_0000);
    }
}
