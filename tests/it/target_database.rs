//! A database of its own for each test of the target.

use std::sync::atomic::{AtomicU32, Ordering};

use kongferry::target::{Target, TargetConfig};
use tokio_postgres::{Client, NoTls};

use crate::support::servers::postgres;

/// Server lines the tests run on.
pub const VERSIONS: [&str; 2] = ["9.6", "16"];

/// A superuser's URL of the maintenance database of that line.
fn server_url(version: &str) -> String {
    postgres(version).url.clone()
}

/// A database that is dropped with this value.
pub struct Database {
    /// Its name, also a prefix for names of roles.
    pub name: String,
    server: String,
}

impl Database {
    /// Creates an empty database and runs `sql` in it.
    pub async fn create(version: &str, sql: &str) -> Self {
        Self::create_with(version, "", sql).await
    }

    /// Like [`create`](Self::create), with options of CREATE DATABASE.
    pub async fn create_with(version: &str, options: &str, sql: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("target_{}_{number}", std::process::id());
        let server = server_url(version);
        let maintenance = connect(&server).await;
        maintenance.batch_execute(&format!("CREATE DATABASE {name} {options}")).await.unwrap();
        let database = Self { name, server };
        database.admin().await.batch_execute(sql).await.unwrap();
        database
    }

    /// A superuser's connection.
    pub async fn admin(&self) -> Client {
        connect(&self.url()).await
    }

    /// A superuser's URL.
    pub fn url(&self) -> String {
        in_database(&self.server, &self.name)
    }

    /// The URL for a role, with a password if there is one.
    pub fn url_as(&self, role: &str, password: Option<&str>) -> String {
        let login = password.map_or_else(|| role.to_owned(), |password| format!("{role}:{password}"));
        let url = self.url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let place = rest.split_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{login}@{place}")
    }

    /// A role of its own with the given options, dropped with the database. Returns its name.
    pub async fn role(&self, suffix: &str, options: &str) -> String {
        let role = format!("{}_{suffix}", self.name);
        self.admin().await.batch_execute(&format!("CREATE ROLE {role} LOGIN {options}")).await.unwrap();
        role
    }

    /// The target as a superuser sees it.
    pub async fn target(&self) -> Target {
        Target::connect(&TargetConfig::from_url(&self.url()).unwrap()).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&server).await;
                let end = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                );
                client.batch_execute(&end).await.unwrap();
                // The ended sessions may take a moment to leave.
                while client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.is_err() {
                    client.batch_execute(&end).await.unwrap();
                }
                let roles = format!("SELECT rolname::text FROM pg_roles WHERE rolname LIKE '{name}\\_%'");
                for role in client.query(&roles, &[]).await.unwrap() {
                    let role: String = role.get(0);
                    client.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
                }
            });
        });
        dropping.join().ok();
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn in_database(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// One tuple of a binary COPY.
pub fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        match field {
            Some(value) => {
                bytes.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                bytes.extend(*value);
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        }
    }
    bytes
}
