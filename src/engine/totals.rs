//! What was read and what became of it, per table: read = loaded + quarantined + skipped, always.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical::ContentSum;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Class;
use crate::source::{SelectItem, Selection};
use crate::transform::census::Form;
use crate::transform::{Repair, Shaped};

/// Seconds ahead of the run's start within which expiry instants are kept one by one. Rows that expire while a run lasts
/// may vanish from the target at any moment (Kong's clean-up, and the expiry triggers of 3.3), so counts compare only what
/// is alive at a common instant; a run that lasts longer than this compares rows by "expires or not" no more exactly.
pub const EXPIRY_HORIZON_SECONDS: i64 = 2 * 86_400;

/// Rows of one table, or of a part of it. Mergeable in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableTotals {
    /// Rows read from the source.
    pub read: u64,
    /// Rows shaped into tuples; loaded, unless the run is dry.
    pub loaded: u64,
    /// Rows left out on purpose, by class.
    pub skipped: BTreeMap<Class, u64>,
    /// Rows that could not be loaded and went into quarantine, by class.
    pub quarantined: BTreeMap<Class, u64>,
    /// Values repaired without loss, by kind.
    pub repaired: BTreeMap<Repair, u64>,
    /// Bytes of COPY data.
    pub copy_bytes: u64,
    /// Loaded secrets by column and form.
    #[serde(with = "pairs")]
    pub forms: BTreeMap<(String, Form), u64>,
    /// Loaded ciphertexts of Enterprise's keyring, by the id of their key.
    pub ciphertexts: BTreeMap<String, u64>,
    /// Digests of the tuples, where they were worked out.
    pub content: ContentSum,
    /// Tuples by their instant of expiry (seconds since 1970), where it lies within the horizon.
    expiring: BTreeMap<i64, u64>,
}

impl TableTotals {
    /// Adds the outcome of one page.
    pub fn add_page(&mut self, shaped: &Shaped, selection: &Selection, run_started: i64) {
        self.read += shaped.read;
        self.loaded += count(shaped.tuples.len());
        self.copy_bytes += count(shaped.copy.len());
        for (class, rows) in Class::ALL.into_iter().zip(shaped.skipped) {
            if rows > 0 {
                *self.skipped.entry(class).or_default() += rows;
            }
        }
        for reject in &shaped.rejects {
            *self.quarantined.entry(reject.class()).or_default() += 1;
        }
        for (kind, values) in Repair::ALL.into_iter().zip(shaped.repaired) {
            if values > 0 {
                *self.repaired.entry(kind).or_default() += values;
            }
        }
        for ((item, form), values) in &shaped.forms {
            if let Some(SelectItem::Column(column)) = selection.items.get(*item) {
                *self.forms.entry((column.clone(), *form)).or_default() += values;
            }
        }
        for (key, values) in &shaped.ciphertexts {
            *self.ciphertexts.entry(key.clone()).or_default() += values;
        }
        for tuple in &shaped.tuples {
            self.content.add(tuple.digest, run_started + EXPIRY_HORIZON_SECONDS);
        }
        for instant in &shaped.expiries {
            if *instant <= run_started + EXPIRY_HORIZON_SECONDS {
                *self.expiring.entry(*instant).or_default() += 1;
            }
        }
    }

    /// Adds the totals of another part of the same table.
    pub fn merge(&mut self, other: Self) {
        self.read += other.read;
        self.loaded += other.loaded;
        self.copy_bytes += other.copy_bytes;
        for (class, rows) in other.skipped {
            *self.skipped.entry(class).or_default() += rows;
        }
        for (class, rows) in other.quarantined {
            *self.quarantined.entry(class).or_default() += rows;
        }
        for (kind, values) in other.repaired {
            *self.repaired.entry(kind).or_default() += values;
        }
        for (secret, values) in other.forms {
            *self.forms.entry(secret).or_default() += values;
        }
        for (key, values) in other.ciphertexts {
            *self.ciphertexts.entry(key).or_default() += values;
        }
        self.content.merge(&other.content);
        for (instant, rows) in other.expiring {
            *self.expiring.entry(instant).or_default() += rows;
        }
    }

    /// Rows left out, whatever the reason.
    pub fn skipped_rows(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Rows in quarantine, whatever the class.
    pub fn quarantined_rows(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Rows left out because the target refused them: nothing that reading the source again would show.
    pub fn skipped_by_target(&self) -> u64 {
        let of_target = |class: &&Class| class.shows_on_target_only();
        self.skipped.keys().filter(of_target).filter_map(|class| self.skipped.get(class)).sum()
    }

    /// Values repaired, whatever the kind.
    pub fn repaired_values(&self) -> u64 {
        self.repaired.values().sum()
    }

    /// Loaded rows that do not expire, or expire after `instant`.
    pub fn alive_after(&self, instant: i64) -> u64 {
        self.loaded - self.expiring.range(..=instant).map(|(_, rows)| rows).sum::<u64>()
    }

    /// The conservation law: nothing was read that is not accounted for.
    pub fn conserved(&self) -> bool {
        self.read == self.loaded + self.quarantined_rows() + self.skipped_rows()
    }

    /// Holds the law up.
    ///
    /// # Errors
    /// `Internal` when it is broken.
    pub fn check_conserved(&self, what: &str) -> Result<()> {
        if self.conserved() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Internal,
            format!(
                "{what}: {} rows were read, and {} loaded, {} quarantined, {} skipped",
                self.read,
                self.loaded,
                self.quarantined_rows(),
                self.skipped_rows()
            ),
        )
        .remedy("this is a bug: keep the output and report it; do not switch over"))
    }
}

/// A length as a row or byte count.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A map as a list of pairs: keys of JSON objects are texts only.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{Digest, RowDigest};
    use crate::transform::TupleMark;

    fn nothing() -> Selection {
        Selection { table: "t".to_owned(), items: Vec::new() }
    }

    fn page(expiries: &[i64]) -> Shaped {
        let mut shaped = Shaped { read: 3, expiries: expiries.to_vec(), ..Shaped::default() };
        let mark = |end, row, digest| TupleMark {
            end,
            row,
            digest: RowDigest { digest: Digest(digest), expires: expiries.get(row).copied() },
        };
        shaped.tuples = vec![mark(10, 0, 3), mark(20, 2, u128::MAX)];
        shaped.skipped[0] = 1;
        shaped
    }

    #[test]
    fn parts_add_up_in_any_order() {
        let (mut one, mut two) = (TableTotals::default(), TableTotals::default());
        one.add_page(&page(&[100, 200]), &nothing(), 50);
        two.add_page(&page(&[100]), &nothing(), 50);
        let mut left = one.clone();
        left.merge(two.clone());
        two.merge(one);
        assert_eq!(left, two);
        assert!(left.conserved());
        assert_eq!((left.content.rows, left.content.digest), (4, Digest(4)));
        assert_eq!((left.alive_after(99), left.alive_after(100), left.alive_after(200)), (4, 2, 1));
    }

    #[test]
    fn the_ledger_gives_back_what_it_was_given() {
        let mut totals = TableTotals::default();
        totals.add_page(&page(&[100, 200]), &nothing(), 50);
        totals.forms.insert(("password".to_owned(), Form::Sha1), 3);
        let text = serde_json::to_string(&totals).unwrap();
        assert_eq!(serde_json::from_str::<TableTotals>(&text).unwrap(), totals);
        assert_eq!(serde_json::from_str::<TableTotals>("{}").unwrap(), TableTotals::default());
    }

    #[test]
    fn an_unaccounted_row_breaks_the_law() {
        let mut totals = TableTotals::default();
        totals.add_page(&page(&[]), &nothing(), 0);
        assert!(totals.check_conserved("t").is_ok());
        totals.read += 1;
        assert!(!totals.conserved());
        assert_eq!(totals.check_conserved("t").unwrap_err().kind(), ErrorKind::Internal);
        totals.quarantined.insert(Class::InvalidJson, 1);
        assert!(totals.conserved());
    }
}
