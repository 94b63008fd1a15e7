//! Station 6: whether both sides hold the same. [`counts`] compares numbers of rows, [`proof`] what a run has sent with what the
//! target holds.

pub mod counts;
pub mod proof;
