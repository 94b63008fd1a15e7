//! Integration tests: real servers, and the program as its users run it. One module per behaviour.

#![allow(missing_docs)]

mod bad_rows;
mod command_line;
mod expiry;
mod golden_rows;
mod moves_estate;
mod refusals;
mod support;
mod tables_chosen;
mod verify_counts;
