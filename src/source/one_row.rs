//! The split of one row: the narrowest part of a table that holds the row of an id.

use uuid::Uuid;

use super::{CqlType, Range, Split, Table, uuid_order};
use crate::sstable::token;

impl Split {
    /// The part of `table` in which the row of `id` stands, and with near certainty nothing else; `None` when the table is not
    /// keyed by an id. Kong's tables with one partition hold their rows under the name of the table.
    pub fn of_row(table: &Table, id: Uuid) -> Option<Self> {
        let partition: Vec<_> = table.partition_key().collect();
        let clustering: Vec<_> = table.clustering_key().collect();
        let range = match (partition.as_slice(), clustering.as_slice()) {
            ([key], []) if key.ty == CqlType::Uuid => {
                let token = token(id.as_bytes());
                Range::Tokens { after: token.checked_sub(1), upto: Some(token) }
            }
            ([key], [place]) if key.ty == CqlType::Text && place.ty == CqlType::Uuid => {
                Range::Slice { partition: table.name.clone(), after: before(id), upto: Some(id) }
            }
            _ => return None,
        };
        Some(Self { table: table.name.clone(), index: 0, range, replicas: Vec::new(), share: 0.0 })
    }
}

/// The id right before `id` in Cassandra's order; `None` before the first.
fn before(id: Uuid) -> Option<Uuid> {
    let (high, low) = id.as_u64_pair();
    if let Some(low) = low.checked_sub(1) {
        return Some(Uuid::from_u64_pair(high, low));
    }
    let (version, key) = (uuid_order::version(id), uuid_order::key(id));
    if let Some(key) = key.checked_sub(1) {
        let (high, _) = uuid_order::first_with(version, key).as_u64_pair();
        return Some(Uuid::from_u64_pair(high, u64::MAX));
    }
    version.checked_sub(1).map(uuid_order::last_of)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::super::uuid_order::compare;
    use super::super::uuid_order::tests::any_id;
    use super::*;

    proptest! {
        #[test]
        fn nothing_stands_between_an_id_and_the_one_before(id in any_id(), other in any_id()) {
            match before(id) {
                None => prop_assert_ne!(compare(other, id), Ordering::Less),
                Some(before) => {
                    prop_assert_eq!(compare(before, id), Ordering::Less);
                    let between = compare(before, other) == Ordering::Less && compare(other, id) == Ordering::Less;
                    prop_assert!(!between, "{} stands between", other);
                }
            }
        }
    }

    #[test]
    fn ids_at_the_border_of_a_key_and_of_a_version() {
        for id in [
            "00000000-0000-4000-0000-000000000000",
            "00000000-0000-1000-0000-000000000000",
            "00000001-0000-4000-0000-000000000000",
        ] {
            let id: Uuid = id.parse().unwrap();
            let before = before(id).unwrap();
            assert_eq!(compare(before, id), Ordering::Less);
            assert_eq!(before.as_u64_pair().1, u64::MAX);
        }
        assert_eq!(before(Uuid::nil()), None);
    }
}
