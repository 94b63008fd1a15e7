//! The integration tests: one module per behaviour, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod cassandra;
mod cluster_faults;
mod cluster_pages;
mod codec_oracle;
mod servers_answer;
mod target_catalog;
mod target_connect;
mod target_copy;
mod target_count;
mod target_database;
mod target_fresh;
mod target_pooler;
mod target_privileges;
mod target_secrets;
