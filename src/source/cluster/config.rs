//! What is needed to read a live cluster.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use secrecy::SecretString;

use super::{Consistency, Remarks};

/// Where the cluster is, as whom to read it, and how.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Hosts and native ports to ask for the other nodes; one that answers is enough.
    pub contact_points: Vec<(String, u16)>,
    /// Keyspace of Kong.
    pub keyspace: String,
    /// User name; without one the connection is not authenticated.
    pub username: Option<String>,
    /// Password of the user.
    pub password: Option<SecretString>,
    /// Consistency of every read of rows.
    pub consistency: Consistency,
    /// How long one page may take before it is asked for again. Servers give up first, after 5 to 10 s.
    pub request_timeout: Duration,
    /// Datacenter whose nodes are read from; by default that of the contact point that answers.
    pub local_datacenter: Option<String>,
    /// Connections to each node.
    pub connections_per_node: NonZeroUsize,
    /// Most pages that a node is asked for at once. It begins with fewer and comes to these if the node keeps up.
    pub pages_per_node: NonZeroUsize,
    /// Most rows per second over all pages; as fast as the cluster bears, by default.
    pub rows_per_second: Option<NonZeroU32>,
    /// Who hears that reading slows down.
    pub remarks: Remarks,
}

/// Half of the reads that a node does at once by default (`concurrent_reads`); the others are left to those it serves.
const PAGES_PER_NODE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

impl Default for ClusterConfig {
    /// Kong's own defaults for host, port and keyspace.
    fn default() -> Self {
        Self {
            contact_points: vec![("127.0.0.1".to_owned(), 9042)],
            keyspace: "kong".to_owned(),
            username: None,
            password: None,
            consistency: Consistency::default(),
            request_timeout: Duration::from_secs(60),
            local_datacenter: None,
            connections_per_node: NonZeroUsize::MIN.saturating_add(2),
            pages_per_node: PAGES_PER_NODE,
            rows_per_second: None,
            remarks: Remarks::default(),
        }
    }
}
