//! The live cluster, through the scylla driver.
