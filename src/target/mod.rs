//! Station 4: the `PostgreSQL` side.
//!
//! In: tuples of a binary COPY. Out: committed rows. Also what the target says of itself: its [`catalog`], the load order
//! its foreign keys ask for, whether it is fresh.

pub mod catalog;
