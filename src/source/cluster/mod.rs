//! The live cluster as a source: reads pages through the scylla driver, at the consistency asked for, and nothing but SELECT.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use scylla::client::session::Session;
use scylla::cluster::Node;
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlValue;
use tokio::sync::Mutex;

use super::kong::Row;
use super::{Catalog, Cut, PageSizing, Pages, Selection, Source, Split, Table, cells};
use crate::error::{Error, ErrorKind, Result};

mod catalog;
mod clock;
mod config;
mod connect;
mod consistency;
mod cql;
mod failure;
mod flow;
mod pages;
mod plan;
mod reader;
mod remarks;
mod row_rate;
mod window;

pub use config::ClusterConfig;
pub use consistency::Consistency;
pub use remarks::Remarks;

use clock::Clocks;
use failure::Trouble;
use flow::Flow;
use pages::ClusterPages;
use reader::{Patience, Reader};
use row_rate::RowRate;

/// Bytes per page of the questions asked for a plan.
const PLAN_PAGE_BYTES: usize = 64 * 1024;

/// A connected cluster and the catalog of one keyspace in it.
pub struct Cluster {
    shared: Arc<Shared>,
    catalog: Catalog,
}

/// What the pages under way share with the cluster.
struct Shared {
    session: Session,
    keyspace: String,
    consistency: Consistency,
    /// How long one answer may take.
    request_timeout: Duration,
    /// Datacenter of the nodes that are asked.
    datacenter: Option<String>,
    /// Prepared statements by their text.
    statements: Mutex<HashMap<String, PreparedStatement>>,
    clocks: Clocks,
    flow: Flow,
    /// `None` when nobody set a limit.
    row_rate: Option<RowRate>,
}

impl Cluster {
    /// Connects and reads the catalog of the keyspace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preflight`], within about ten seconds, when no contact point answers, user or password are refused, the
    /// keyspace does not exist (the error names those that hold a Kong), or the cluster cannot be split.
    pub async fn connect(config: &ClusterConfig) -> Result<Self> {
        let (session, contacts) = connect::session(config).await?;
        let local = catalog::local(&session).await?;
        let tables = catalog::tables(&session, &config.keyspace).await?;
        let datacenter = datacenter(&session, config, &contacts)?.or(local.datacenter);
        let catalog = Catalog {
            cluster_name: local.cluster_name,
            release_version: local.release_version,
            keyspace: config.keyspace.clone(),
            tables,
        };
        let shared = Shared {
            session,
            keyspace: config.keyspace.clone(),
            consistency: config.consistency,
            request_timeout: config.request_timeout,
            datacenter,
            statements: Mutex::default(),
            clocks: Clocks::default(),
            flow: Flow::new(config.pages_per_node.get(), config.remarks.clone()),
            row_rate: config.rows_per_second.map(RowRate::new),
        };
        Ok(Self { shared: Arc::new(shared), catalog })
    }

    /// Consistency of every read of rows.
    pub fn consistency(&self) -> Consistency {
        self.shared.consistency
    }

    /// Datacenter whose nodes are read from, when the cluster names one.
    pub fn datacenter(&self) -> Option<&str> {
        self.shared.datacenter.as_deref()
    }

    /// All rows of a query that returns few.
    async fn rows(
        &self,
        cql: &str,
        values: Vec<CqlValue>,
        columns: usize,
        patience: Patience,
        what: String,
    ) -> Result<Vec<Row>, Trouble> {
        let reader = Reader {
            statement: self.shared.prepare(cql, patience).await?,
            shared: Arc::clone(&self.shared),
            values,
            columns,
            sizing: Arc::new(PageSizing::new(PLAN_PAGE_BYTES)),
            replicas: Vec::new(),
            patience,
            table: None,
            what,
            most_rows: AtomicUsize::new(usize::MAX),
        };
        let mut rows = Vec::new();
        let mut next = Some(PagingState::start());
        while let Some(state) = next {
            let fetched = reader.fetch(state).await?;
            let unreadable = Trouble::Malformed("a row cannot be read");
            rows.extend(cells::rows_of(&fetched.page, columns).ok_or(unreadable)?);
            next = fetched.next;
        }
        Ok(rows)
    }
}

impl Shared {
    /// The statement for `cql`, prepared once per cluster; tried as often as a page.
    async fn prepare(&self, cql: &str, patience: Patience) -> Result<PreparedStatement, Trouble> {
        let mut pauses = patience.pauses().iter();
        loop {
            let trouble = match self.try_to_prepare(cql).await {
                Ok(statement) => return Ok(statement),
                Err(trouble) => trouble,
            };
            let Some(pause) = pauses.next().filter(|_| trouble.is_transient()) else { return Err(trouble) };
            tracing::debug!(cause = %trouble, "a statement could not be prepared, trying again in {pause:?}");
            tokio::time::sleep(*pause).await;
        }
    }

    async fn try_to_prepare(&self, cql: &str) -> Result<PreparedStatement, Trouble> {
        if let Some(statement) = self.statements.lock().await.get(cql) {
            return Ok(statement.clone());
        }
        // The driver itself waits for ever.
        let preparing = tokio::time::timeout(self.request_timeout, self.session.prepare(cql)).await;
        let prepared = preparing.map_err(|_| Trouble::NoAnswer(self.request_timeout))?;
        let mut statement = prepared.map_err(|error| Trouble::from(&error))?;
        statement.set_consistency(self.consistency.of_driver());
        statement.set_is_idempotent(true);
        // All columns are named, so the cached description of the rows stays right.
        statement.set_use_cached_result_metadata(true);
        self.statements.lock().await.insert(cql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The nodes to ask, connected ones of `replicas` first.
    fn nodes(&self, replicas: &[SocketAddr]) -> Vec<Arc<Node>> {
        let state = self.session.get_cluster_state();
        let mut nodes: Vec<Arc<Node>> =
            state.get_nodes_info().iter().filter(|node| node.is_connected()).map(Arc::clone).collect();
        if self.consistency.is_local() {
            nodes.retain(|node| self.is_near(node));
        }
        nodes.sort_by_key(|node| {
            let place = replicas.iter().position(|replica| *replica == address(node));
            (place.unwrap_or(replicas.len()), !self.is_near(node))
        });
        nodes
    }

    /// Which nodes there are, and which of them cannot be reached, for errors.
    fn nodes_in_words(&self) -> String {
        let state = self.session.get_cluster_state();
        let named = |connected: bool| {
            let nodes = state.get_nodes_info().iter().filter(|node| node.is_connected() == connected);
            let mut names: Vec<String> = nodes.map(|node| address(node).to_string()).collect();
            names.sort();
            names.join(", ")
        };
        match (named(true), named(false)) {
            (up, down) if down.is_empty() => format!("connected to {up}"),
            (up, down) if up.is_empty() => format!("no connection to {down}"),
            (up, down) => format!("connected to {up}; no connection to {down}"),
        }
    }

    fn is_near(&self, node: &Node) -> bool {
        self.datacenter.is_none() || node.datacenter == self.datacenter
    }
}

/// The address of a node, by which splits name their replicas.
fn address(node: &Node) -> SocketAddr {
    SocketAddr::new(node.address.ip(), node.address.port())
}

/// The datacenter to read from: the one asked for, or that of the first contact point.
fn datacenter(session: &Session, config: &ClusterConfig, contacts: &[SocketAddr]) -> Result<Option<String>> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info();
    let Some(wanted) = &config.local_datacenter else {
        let contact = |contact: &SocketAddr| nodes.iter().find(|node| node.address.ip() == contact.ip());
        return Ok(contacts.iter().find_map(contact).and_then(|node| node.datacenter.clone()));
    };
    if nodes.iter().any(|node| node.datacenter.as_ref() == Some(wanted)) {
        return Ok(Some(wanted.clone()));
    }
    let mut known: Vec<_> = nodes.iter().filter_map(|node| node.datacenter.clone()).collect();
    known.sort();
    known.dedup();
    Err(Error::new(ErrorKind::Preflight, format!("the cluster has no datacenter {wanted}"))
        .remedy(format!("datacenters of the cluster: {}", known.join(", "))))
}

#[async_trait]
impl Source for Cluster {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    async fn splits(&self, table: &Table, cut: Cut) -> Result<Vec<Split>> {
        self.plan(table, cut).await
    }

    async fn estimate(&self, table: &Table) -> Option<u64> {
        self.rows_about(table).await
    }

    async fn open(
        &self,
        selection: Arc<Selection>,
        split: &Split,
        sizing: Arc<PageSizing>,
    ) -> Result<Box<dyn Pages>> {
        let unknown = || Error::new(ErrorKind::Internal, format!("{split}: its table is not in the catalog"));
        let table = self.catalog.tables.get(&selection.table).ok_or_else(unknown)?;
        let (cql, values) = cql::select(&self.shared.keyspace, table, &selection, &split.range);
        let what = split.to_string();
        let failed = |trouble: Trouble| trouble.while_reading_from(&what, &self.shared.nodes_in_words());
        let statement = self.shared.prepare(&cql, Patience::Full).await.map_err(failed)?;
        let reader = Reader {
            statement,
            shared: Arc::clone(&self.shared),
            values,
            columns: selection.items.len(),
            sizing,
            replicas: split.replicas.clone(),
            patience: Patience::Full,
            table: Some(selection.table.clone()),
            what,
            most_rows: AtomicUsize::new(usize::MAX),
        };
        Ok(Box::new(ClusterPages::open(reader)))
    }
}
