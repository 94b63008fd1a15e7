//! One moment of the target, seen by several sessions.

use super::{LoadTransaction, Target};
use crate::error::{Error, ErrorKind, Result};

/// `server_version_num` from which a range of row addresses is read without reading the whole table.
const WITH_TID_RANGES: u32 = 140_000;
/// Pages of a part: 16 MiB with the usual page size. Enough that a part is worth a statement, few enough that the last ones end
/// together.
const PAGES_PER_PART: i64 = 2_048;

/// A moment, for as long as this lives.
#[derive(Debug)]
pub struct Moment {
    holder: LoadTransaction,
    snapshot: String,
    now: i64,
}

impl Moment {
    /// Now.
    pub async fn take(target: &Target) -> Result<Self> {
        let mut holder = begin(target).await?;
        let what = "cannot take a snapshot of the target";
        let sql =
            "SELECT pg_catalog.pg_export_snapshot(), extract(epoch FROM pg_catalog.clock_timestamp())::int8";
        let rows = holder.query(what, sql, &[]).await?;
        let read = || {
            let row = rows.first()?;
            Some((row.try_get(0).ok()?, row.try_get(1).ok()?))
        };
        let (snapshot, now) =
            read().ok_or_else(|| Error::new(ErrorKind::Target, what).because("unexpected answer"))?;
        Ok(Self { holder, snapshot, now })
    }

    /// The server's clock then, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// A session that sees this moment and writes nothing.
    pub async fn session(&self, target: &Target) -> Result<LoadTransaction> {
        let mut session = begin(target).await?;
        let sql = format!("SET TRANSACTION SNAPSHOT '{}'", self.snapshot.replace('\'', "''"));
        session.batch("cannot share a snapshot of the target", &sql).await?;
        Ok(session)
    }

    /// Cuts a table into parts that tile it: conditions for [`LoadTransaction::copy_out`]. `None` is the whole table.
    pub async fn parts(&mut self, target: &Target, table: &str) -> Result<Vec<Option<String>>> {
        if target.server().version_num < WITH_TID_RANGES {
            return Ok(vec![None]);
        }
        let what = format!("cannot read the size of table {table}");
        // Rows that this moment sees are within the size that the table has now.
        let sql = "SELECT c.relkind = 'r' AND NOT c.relhassubclass,
                          pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relname = $2";
        let rows = self.holder.query(&what, sql, &[&target.schema(), &table]).await?;
        let pages = match rows.first().map(|row| (row.try_get::<_, bool>(0), row.try_get::<_, i64>(1))) {
            Some((Ok(true), Ok(pages))) => pages,
            Some((Ok(false), Ok(_))) => return Ok(vec![None]),
            _ => return Err(Error::new(ErrorKind::Target, what).because("unexpected answer")),
        };
        Ok(tid_ranges(pages))
    }

    /// Ends it.
    pub async fn end(self) -> Result<()> {
        self.holder.rollback().await
    }
}

/// Ranges of row addresses that tile a table of so many pages, and whatever may stand behind them.
fn tid_ranges(pages: i64) -> Vec<Option<String>> {
    if pages <= PAGES_PER_PART {
        return vec![None];
    }
    let parts = (pages + PAGES_PER_PART - 1) / PAGES_PER_PART;
    let from = |part: i64| format!("t.ctid >= '({},0)'::tid", part * PAGES_PER_PART);
    let upto = |part: i64| format!("t.ctid < '({},0)'::tid", (part + 1) * PAGES_PER_PART);
    (0..parts)
        .map(|part| {
            Some(match part {
                0 => upto(part),
                last if last == parts - 1 => from(last),
                _ => format!("{} AND {}", from(part), upto(part)),
            })
        })
        .collect()
}

async fn begin(target: &Target) -> Result<LoadTransaction> {
    let mut transaction = target.begin().await?;
    let sql = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    transaction.batch("cannot begin to read the target", sql).await?;
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tile_a_table_and_end_open() {
        assert_eq!(tid_ranges(0), [None]);
        assert_eq!(tid_ranges(PAGES_PER_PART), [None]);
        let ranges: Vec<String> = tid_ranges(2 * PAGES_PER_PART + 1).into_iter().flatten().collect();
        assert_eq!(
            ranges,
            [
                "t.ctid < '(2048,0)'::tid",
                "t.ctid >= '(2048,0)'::tid AND t.ctid < '(4096,0)'::tid",
                "t.ctid >= '(4096,0)'::tid",
            ]
        );
    }
}
