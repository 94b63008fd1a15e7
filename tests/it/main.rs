//! Integration tests against real servers.

mod cassandra;
mod cluster_faults;
mod cluster_pages;
