//! Binary COPY into a table.

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::{CopyInSink, Statement};

use super::failure::{self, CopyFailure};
use super::identifier::{qualified, quoted_list};
use super::sqlstate;
use super::transaction::LoadTransaction;
use crate::error::Result;

/// Bytes per message: 128 to 256 KiB load fastest (measured: 4 KiB 0.79 of it, 8 MiB 0.95).
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes after which a COPY statement is ended and the next begun. The server speaks of a bad row only at the end of a
/// statement and swallows whatever is sent until then, and it queues an event per row and trigger.
const STATEMENT_BYTES: usize = 64 * 1024 * 1024;
/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1.
const TRAILER: &[u8] = &[0xff, 0xff];

/// A stream of tuples into one table, within a transaction.
///
/// It must be [finished](Self::finish). Dropped before that, the COPY is aborted and the transaction has failed; a
/// savepoint set before brings it back.
pub struct CopyStream<'tx> {
    transaction: &'tx mut LoadTransaction,
    statement: Statement,
    sink: Option<Pin<Box<CopyInSink<Bytes>>>>,
    /// What is too small for a message of its own.
    pending: BytesMut,
    /// Bytes sent through the statement under way.
    sent: usize,
    /// Bytes after which a statement ends.
    statement_bytes: usize,
    /// Rows loaded by the statements before the one under way.
    rows: u64,
    table: String,
    columns: Vec<String>,
    grant: String,
}

impl<'tx> CopyStream<'tx> {
    pub(super) async fn open(
        transaction: &'tx mut LoadTransaction,
        schema: &str,
        table: &str,
        columns: &[String],
    ) -> Result<Self> {
        let name = qualified(schema, table);
        let list = quoted_list(columns.iter().map(String::as_str));
        let grant = format!("INSERT ON {name}");
        let statement = transaction
            .client()?
            .prepare_cached(&format!("COPY {name} ({list}) FROM STDIN (FORMAT binary)"))
            .await
            .map_err(|error| failure::copy(&error, table, columns, &grant, 0).error)?;
        let mut stream = Self {
            transaction,
            statement,
            sink: None,
            pending: BytesMut::new(),
            sent: 0,
            statement_bytes: STATEMENT_BYTES,
            rows: 0,
            table: table.to_owned(),
            columns: columns.to_vec(),
            grant,
        };
        stream.begin_statement().await?;
        Ok(stream)
    }

    /// Keeps everything in one statement: for a table that refers to itself, whose foreign key is checked when a statement
    /// ends.
    #[must_use]
    pub fn in_one_statement(self) -> Self {
        Self { statement_bytes: usize::MAX, ..self }
    }

    /// Sends whole tuples. Waits while the server is slower.
    ///
    /// # Errors
    /// Of anything sent since the last statement began; most are noticed only at the end of a statement.
    pub async fn send(&mut self, tuples: Bytes) -> Result<(), CopyFailure> {
        if tuples.is_empty() {
            return Ok(());
        }
        if self.sent >= self.statement_bytes {
            self.end_statement().await?;
            self.begin_statement().await?;
        }
        self.sent = self.sent.saturating_add(tuples.len());
        self.push(tuples).await
    }

    /// Ends the COPY and returns how many rows the server took.
    pub async fn finish(mut self) -> Result<u64, CopyFailure> {
        self.end_statement().await?;
        Ok(self.rows)
    }

    async fn begin_statement(&mut self) -> Result<(), CopyFailure> {
        let client = self.transaction.client().map_err(CopyFailure::unlocated)?;
        let sink = match client.copy_in(&self.statement).await {
            Ok(sink) => sink,
            Err(error) => {
                // The driver sends a Sync with the statement and another after it; a COPY that never began answers both,
                // and from then on every answer would be taken for that of the next request.
                self.transaction.give_up();
                return Err(self.failed(&error));
            }
        };
        self.sink = Some(Box::pin(sink));
        self.sent = 0;
        self.pending.clear();
        self.pending.put_slice(HEADER);
        Ok(())
    }

    async fn end_statement(&mut self) -> Result<(), CopyFailure> {
        self.pending.put_slice(TRAILER);
        self.flush().await?;
        let Some(mut sink) = self.sink.take() else { return Ok(()) };
        match sink.as_mut().finish().await {
            Ok(rows) => {
                self.rows += rows;
                Ok(())
            }
            Err(error) => {
                // Interrupted from outside, perhaps before it read the first of the two Syncs.
                if error.code().is_none_or(|code| sqlstate::class(code.code()) == "57") {
                    self.transaction.give_up();
                }
                Err(self.failed(&error))
            }
        }
    }

    async fn push(&mut self, mut bytes: Bytes) -> Result<(), CopyFailure> {
        if self.pending.len() + bytes.len() < CHUNK_BYTES {
            self.pending.put_slice(&bytes);
            return Ok(());
        }
        self.flush().await?;
        while bytes.len() >= CHUNK_BYTES {
            self.message(bytes.split_to(CHUNK_BYTES)).await?;
        }
        self.pending.put_slice(&bytes);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), CopyFailure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = self.pending.split().freeze();
        self.message(chunk).await
    }

    async fn message(&mut self, bytes: Bytes) -> Result<(), CopyFailure> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        // `feed` waits for room for one message and does not wait until it has left.
        match sink.feed(bytes).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &tokio_postgres::Error) -> CopyFailure {
        failure::copy(error, &self.table, &self.columns, &self.grant, self.rows)
    }
}
