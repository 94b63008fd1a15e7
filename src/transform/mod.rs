//! Station 3: bytes in, bytes out; no I/O.
//!
//! In: a [`TableMapping`](crate::schema_map::TableMapping), compiled once per table into a [`RowShaper`], and pages of CQL
//! value bytes. Out: [`Shaped`]: tuples of a binary COPY, and the rows that are not among them, each with its reason.

pub mod shaped;
pub mod shaper;

pub use shaped::{Reject, Repair, Shaped, Skip};
pub use shaper::{RowShaper, ShaperContext};
