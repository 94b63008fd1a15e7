//! Station 7: what people see. [`progress`] is the observer thread, [`table`] prints the counts.

pub mod progress;
pub mod run_directory;
pub mod table;
