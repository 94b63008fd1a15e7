//! The pages of a split, one of them always under way on a thread that may block.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::failure::while_reading;
use super::ties::SplitTies;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Page, PageSizing, Pages};
use crate::sstable::{Row, Rows};

/// A cell of the selection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    /// Value of the column at that place.
    Value(usize),
    /// Remaining lifetime of its cell.
    Ttl(usize),
    /// Its write time.
    WriteTime(usize),
}

/// A split that is being read.
pub(super) struct Reading {
    pub(super) rows: Rows,
    pub(super) items: Vec<Item>,
    pub(super) sizing: Arc<PageSizing>,
    /// The instant at which rows and cells are alive or not, seconds since 1970.
    pub(super) as_of: i64,
    /// Bytes of the page before.
    pub(super) last: usize,
    /// The split, for errors.
    pub(super) what: String,
    /// Where ties are noted at its end.
    pub(super) ties: SplitTies,
}

/// Pages of a snapshot.
pub(super) struct SnapshotPages {
    /// `None` after the last page and after a failure.
    coming: Option<JoinHandle<(Reading, Result<Option<Page>>)>>,
}

impl SnapshotPages {
    pub(super) fn open(reading: Reading) -> Self {
        Self { coming: Some(start(reading)) }
    }
}

fn start(mut reading: Reading) -> JoinHandle<(Reading, Result<Option<Page>>)> {
    tokio::task::spawn_blocking(move || {
        let page = reading.page();
        (reading, page)
    })
}

#[async_trait]
impl Pages for SnapshotPages {
    async fn next(&mut self) -> Result<Option<Page>> {
        let Some(coming) = self.coming.take() else { return Ok(None) };
        let ended =
            |_| Error::new(ErrorKind::Internal, "the thread that reads a snapshot ended before its page");
        let (reading, page) = coming.await.map_err(ended)?;
        let page = page?;
        if page.is_some() {
            self.coming = Some(start(reading));
        }
        Ok(page)
    }
}

impl Reading {
    /// The next page, `None` after the last row. Bytes are counted as they come, so only a single row can exceed what is wanted.
    fn page(&mut self) -> Result<Option<Page>> {
        let wanted = self.sizing.bytes();
        let mut body = Vec::with_capacity(self.last.min(wanted));
        let mut count = 0;
        while body.len() < wanted {
            let Some(row) = self.rows.next_row().map_err(|error| while_reading(&self.what, &error))? else {
                self.ties.note(self.rows.tied());
                break;
            };
            for item in &self.items {
                write(row, *item, self.as_of, &mut body).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Source,
                        format!("{}: a value is too long for the CQL protocol", self.what),
                    )
                })?;
            }
            count += 1;
        }
        self.last = body.len();
        Ok((count > 0).then(|| Page { rows: count, body: Bytes::from(body), read_at: self.as_of }))
    }
}

fn write(row: Row<'_>, item: Item, as_of: i64, body: &mut Vec<u8>) -> Option<()> {
    match item {
        Item::Value(place) => row.write(place, body),
        Item::Ttl(place) => {
            match row.cell(place).and_then(|cell| cell.expires) {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(expires) => {
                    body.extend(4_i32.to_be_bytes());
                    body.extend(i32::try_from(expires - as_of).unwrap_or(i32::MAX).to_be_bytes());
                }
            }
            Some(())
        }
        Item::WriteTime(place) => {
            match row.cell(place) {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(cell) => {
                    body.extend(8_i32.to_be_bytes());
                    body.extend(cell.timestamp.to_be_bytes());
                }
            }
            Some(())
        }
    }
}
