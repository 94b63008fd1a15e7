//! Station 5: the only place that sees both sides.
//!
//! In: two open servers and the maps. Out: a loaded target and the [`totals`] of every table. [`preflight`] refuses what
//! must not start, [`plan`] decides what is read and in which order, [`seed`] makes room by taking the bootstrap rows away,
//! [`tasks`] says what a run consists of and what waits for what, a [`crew`] claims one task each and owns it to its commit
//! ([`perform`], [`load`]), [`settle`] sees to what follows from the rows, and [`events`] tell the observer thread what happens.

pub mod crew;
pub mod events;
pub mod evidence;
pub mod hold;
pub mod kept_cells;
pub mod keyring;
pub mod load;
pub mod lookout;
pub mod migrate;
pub mod perform;
pub mod plan;
pub mod preflight;
pub mod rearm;
pub mod retry;
pub mod scan;
pub mod second_look;
pub mod seed;
pub mod settle;
pub mod shaping;
pub mod sift;
pub mod tasks;
pub mod terms;
pub mod totals;
pub mod undo;
pub mod workers;
pub mod write_times;

/// Seconds since 1970 by this machine's clock.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
