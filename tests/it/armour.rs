//! Indexes, keys and triggers come off the tables for a load and come back exactly, by the tables' owner.

mod comes_back;
mod hindrances;
mod owned;
mod rows_at_fault;
mod tags_rebuilt;
