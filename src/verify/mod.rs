//! Station 6: whether both sides hold the same. [`counts`] compares numbers of rows; comparing content comes beside it.

pub mod counts;
