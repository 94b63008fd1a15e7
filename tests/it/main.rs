//! The integration tests: one module per behaviour, against real servers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod armour;
mod bad_rows;
mod bootstrap_rows;
mod breaks_off;
mod cassandra;
mod cluster_faults;
mod cluster_pages;
mod codec_oracle;
mod command_line;
mod custom_tables;
mod derived_data;
mod enterprise_target;
mod estate_scan;
mod expiry;
mod golden_rows;
mod moves_enterprise;
mod moves_estate;
mod refusals;
mod servers_answer;
mod snapshot_nodes;
mod snapshot_refusals;
mod snapshot_source;
mod source_flow;
mod sstable;
mod tables_chosen;
mod target_catalog;
mod target_connect;
mod target_connections;
mod target_copy;
mod target_count;
mod target_database;
mod target_fresh;
mod target_pooler;
mod target_privileges;
mod target_secrets;
mod target_settings;
mod verify_counts;
