//! Station 6: whether both sides hold the same. [`counts`] compares numbers of rows, [`proof`] what a run has sent with what the
//! target holds, [`content`] reads both sides in full and names the rows and columns that differ ([`findings`]).

pub mod content;
pub mod counts;
pub mod drill;
pub mod findings;
mod key;
pub mod proof;
mod sides;
mod tally;
