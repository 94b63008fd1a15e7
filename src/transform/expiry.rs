//! Remaining lifetimes to instants of expiry.

use super::shaped::{Reason, Repair};
use super::timestamp::write_millis;
use super::tuple::{Tuple, fixed_size};

/// The rule `expires_at`: the coordinator's clock at the request plus the remaining TTL of a cell.
#[derive(Debug)]
pub(super) struct ExpiresAt {
    /// TTL item of the cell Kong reads.
    pub of: usize,
    /// TTL items of the other required cells. Cells written by one statement have equal TTLs; an update of one column gives that
    /// cell its own, and the row is no longer whole once the first of them is gone.
    pub others: Vec<usize>,
    /// Microseconds the column can tell apart.
    pub step: i64,
}

impl ExpiresAt {
    /// Writes the earliest instant, NULL when no cell expires.
    pub fn produce(
        &self,
        cells: &[Option<&[u8]>],
        read_at: i64,
        tuple: &mut Tuple<'_>,
    ) -> Result<(), Reason> {
        let of = remaining(cells, self.of)?;
        let mut earliest = of;
        for other in &self.others {
            earliest = match (earliest, remaining(cells, *other)?) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        let Some(seconds) = earliest else {
            tuple.null();
            return Ok(());
        };
        if earliest != of {
            tuple.repaired(Repair::EarlierExpiry);
        }
        let instant = read_at.checked_add(i64::from(seconds)).ok_or(Reason::TimestampRange)?;
        let millis = instant.checked_mul(1_000).ok_or(Reason::TimestampRange)?;
        write_millis(millis, self.step, tuple)?;
        tuple.expires(instant);
        Ok(())
    }
}

/// Remaining seconds of a TTL item; `None` when the cell does not expire.
fn remaining(cells: &[Option<&[u8]>], item: usize) -> Result<Option<i32>, Reason> {
    match cells.get(item).copied().flatten() {
        None => Ok(None),
        Some(value) => match fixed_size(value)?.map(i32::from_be_bytes) {
            Some(seconds) if seconds < 0 => Err(Reason::Malformed),
            seconds => Ok(seconds),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tuple::Notes;
    use super::*;

    /// Instant (seconds since 1970) and repairs for cells with these TTLs, read at 1,000,000,000.
    fn expire(ttls: &[Option<i32>]) -> Result<(Option<i64>, Vec<Repair>), Reason> {
        let bytes: Vec<_> = ttls.iter().map(|ttl| ttl.map(i32::to_be_bytes)).collect();
        let cells: Vec<_> = bytes.iter().map(|bytes| bytes.as_ref().map(<[u8; 4]>::as_slice)).collect();
        let (mut copy, mut notes) = (Vec::new(), Notes::default());
        let rule = ExpiresAt { of: 0, others: (1..ttls.len()).collect(), step: 1 };
        rule.produce(&cells, 1_000_000_000, &mut Tuple::new(&mut copy, &mut notes))?;
        let written = (copy.len() == 12)
            .then(|| (i64::from_be_bytes(copy[4..].try_into().unwrap()) + 946_684_800_000_000) / 1_000_000);
        assert_eq!(written, notes.expiry);
        Ok((notes.expiry, notes.repairs))
    }

    #[test]
    fn the_instant_is_clock_plus_lifetime() {
        assert_eq!(expire(&[Some(60)]), Ok((Some(1_000_000_060), vec![])));
        assert_eq!(expire(&[Some(0)]), Ok((Some(1_000_000_000), vec![])));
        assert_eq!(expire(&[None]), Ok((None, vec![])));
        assert_eq!(expire(&[Some(-1)]), Err(Reason::Malformed));
    }

    #[test]
    fn the_earliest_cell_counts() {
        assert_eq!(expire(&[Some(60), Some(60)]), Ok((Some(1_000_000_060), vec![])));
        assert_eq!(expire(&[Some(60), None]), Ok((Some(1_000_000_060), vec![])));
        assert_eq!(expire(&[Some(60), Some(90)]), Ok((Some(1_000_000_060), vec![])));
        let earlier = Ok((Some(1_000_000_030), vec![Repair::EarlierExpiry]));
        assert_eq!(expire(&[Some(60), Some(45), Some(30)]), earlier);
        assert_eq!(expire(&[None, None, Some(30)]), earlier);
    }
}
