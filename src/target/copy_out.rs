//! Binary COPY out of a table: tuples as they would go in.

use std::pin::Pin;

use bytes::Bytes;
use futures::StreamExt;
use tokio_postgres::CopyOutStream;

use super::failure;
use super::identifier::{qualified, quoted_list};
use super::transaction::LoadTransaction;
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are gathered before they are looked at.
const CHUNK_BYTES: usize = 256 * 1024;
/// What a binary COPY begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Bytes of the signature, of flags, and of the length of what extends the header.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;
/// A field count of -1.
const TRAILER: &[u8] = &[0xff, 0xff];

/// Tuples of a binary COPY, as bytes: no header, no trailer.
pub struct TupleStream {
    stream: Pin<Box<CopyOutStream>>,
    /// What was received and not taken yet.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken.
    taken: usize,
    header: bool,
    ended: bool,
    table: String,
    grant: String,
}

impl LoadTransaction {
    /// Reads `columns` of the rows of `table` that satisfy `condition`, a literal-free SQL expression over `t`.
    pub async fn copy_out(
        &mut self,
        table: &str,
        columns: &[String],
        condition: Option<&str>,
    ) -> Result<TupleStream> {
        let name = qualified(self.schema(), table);
        let list = quoted_list(columns.iter().map(String::as_str));
        let only = condition.map_or_else(String::new, |condition| format!(" WHERE {condition}"));
        let sql = format!("COPY (SELECT {list} FROM {name} t{only}) TO STDOUT (FORMAT binary)");
        let grant = format!("SELECT ON {name}");
        let stream = self.client()?.copy_out(&sql).await.map_err(|error| failed(&error, table, &grant))?;
        Ok(TupleStream {
            stream: Box::pin(stream),
            buffer: Vec::with_capacity(2 * CHUNK_BYTES),
            taken: 0,
            header: true,
            ended: false,
            table: table.to_owned(),
            grant,
        })
    }
}

impl TupleStream {
    /// Receives more; false when there was nothing left to receive.
    pub async fn receive(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let enough = self.buffer.len() + CHUNK_BYTES;
        while self.buffer.len() < enough {
            match self.stream.next().await {
                Some(Ok(bytes)) => self.append(&bytes)?,
                Some(Err(error)) => return Err(failed(&error, &self.table, &self.grant)),
                None => {
                    self.ended = true;
                    return if self.header || !self.buffer.ends_with(TRAILER) {
                        Err(self.unexpected())
                    } else {
                        Ok(true)
                    };
                }
            }
        }
        Ok(true)
    }

    /// Tuples that were received; the last one may be cut short.
    pub fn tuples(&self) -> &[u8] {
        // The last two bytes may be the trailer.
        let end = self.buffer.len().saturating_sub(TRAILER.len());
        if self.header { &[] } else { self.buffer.get(self.taken..end).unwrap_or_default() }
    }

    /// Takes the first `length` bytes of them away.
    pub fn take(&mut self, length: usize) {
        self.taken += length;
    }

    /// The error for tuples that are not what was asked for.
    pub fn unexpected(&self) -> Error {
        Error::new(ErrorKind::Target, format!("cannot read table {}", self.table))
            .because("unexpected answer")
    }

    fn append(&mut self, bytes: &Bytes) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.header
            && let Some((head, rest)) = self.buffer.split_at_checked(HEADER_BYTES)
        {
            let extension = head.last_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length));
            let extension = usize::try_from(extension).unwrap_or(usize::MAX);
            if !head.starts_with(SIGNATURE) || extension > CHUNK_BYTES {
                return Err(self.unexpected());
            }
            if rest.len() >= extension {
                self.taken = HEADER_BYTES + extension;
                self.header = false;
            }
        }
        Ok(())
    }
}

fn failed(error: &tokio_postgres::Error, table: &str, grant: &str) -> Error {
    failure::statement_needing(error, format!("cannot read table {table}"), grant)
}
