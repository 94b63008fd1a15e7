//! Target databases: clones of a freshly bootstrapped Gateway datastore.

use std::collections::BTreeMap;

use kongferry::estate::{self, CreateOptions, Edition, KongVersion};
use secrecy::SecretString;
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use super::once::Once;
use super::servers::{self, Postgres};
use super::unique;

/// A database of a test's own. [`Database::remove`] drops it; one whose test failed stays for inspection until its server
/// ends.
pub struct Database {
    /// The server it is on.
    pub server: &'static Postgres,
    /// Its name.
    pub name: String,
    /// A connection to it, as a superuser, in UTC.
    pub client: Client,
}

/// A fresh clone of what `kong migrations bootstrap` leaves.
pub async fn fresh(line: &str, version: KongVersion) -> Database {
    clone_of(line, version, CreateOptions::default()).await
}

/// A fresh clone of what it leaves with Enterprise; with `password` in `KONG_PASSWORD` there is an administrator as well.
pub async fn fresh_enterprise(line: &str, version: KongVersion, password: Option<&str>) -> Database {
    let admin_password = password.map(SecretString::from);
    let options = CreateOptions { edition: Edition::Enterprise, admin_password, ..CreateOptions::default() };
    clone_of(line, version, options).await
}

async fn clone_of(line: &str, version: KongVersion, options: CreateOptions) -> Database {
    static TEMPLATES: Once<String> = Once::new();
    let server = servers::postgres(line);
    let label = format!("{line} {version} {:?} {}", options.edition, options.admin_password.is_some());
    let template = TEMPLATES
        .get(&label, || async move {
            let name = unique("template");
            connect(&server.url).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
            let client = connect(&server.database_url(&name)).await;
            estate::create_postgres_with(&client, "public", version, &options).await.unwrap();
            name
        })
        .await;
    let name = unique("target");
    // A template must have no other connections; the server waits a few seconds for the last one to end.
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    connect(&server.url).await.batch_execute(&statement).await.unwrap();
    let client = connect(&server.database_url(&name)).await;
    client.batch_execute("SET TIME ZONE 'UTC'").await.unwrap();
    Database { server, name, client }
}

/// Connects; the connection ends with the client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Database {
    /// Its URL.
    pub fn url(&self) -> String {
        self.server.database_url(&self.name)
    }

    /// Its URL through a proxy before its server.
    pub fn url_through(&self, proxy: std::net::SocketAddr) -> String {
        format!("postgres://postgres@{proxy}/{}", self.name)
    }

    /// Runs statements without parameters.
    pub async fn execute(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// The texts of the first column.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let rows = self.client.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        self.client.query_one(&format!("SELECT count(*) FROM \"{table}\""), &[]).await.unwrap().get(0)
    }

    /// All rows of a table as JSON, by the text of column `key`.
    pub async fn rows(&self, table: &str, key: &str) -> BTreeMap<String, Value> {
        self.keyed_rows(table, &[key]).await
    }

    /// All rows of a table as JSON, by the texts of the columns of `key`, with a space between them.
    pub async fn keyed_rows(&self, table: &str, key: &[&str]) -> BTreeMap<String, Value> {
        let query = format!("SELECT to_jsonb(r)::text FROM \"{table}\" r");
        let mut rows = BTreeMap::new();
        for text in self.texts(&query).await {
            let row: Value = serde_json::from_str(&text).unwrap();
            let part = |column: &&str| match &row[*column] {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                other => panic!("{table} has {other} in the key column {column}"),
            };
            let key = key.iter().map(part).collect::<Vec<_>>().join(" ");
            assert!(rows.insert(key.clone(), row).is_none(), "{table} holds {key} twice");
        }
        rows
    }

    /// All tables of the schema, by name.
    pub async fn tables(&self) -> Vec<String> {
        self.texts("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").await
    }

    /// The whole content, one line per row, for comparing before and after.
    pub async fn content(&self) -> BTreeMap<String, Vec<String>> {
        let mut content = BTreeMap::new();
        for table in self.tables().await {
            let query = format!("SELECT to_jsonb(r)::text FROM \"{table}\" r ORDER BY 1");
            content.insert(table, self.texts(&query).await);
        }
        content
    }

    /// The whole content without the second of expiry: a TTL is whole seconds, and each run has its own clock.
    pub async fn content_but_for_expiry(&self) -> BTreeMap<String, Vec<Value>> {
        let without_second = |row: &String| {
            let mut row: Value = serde_json::from_str(row).unwrap();
            if let Some(ttl) = row.get_mut("ttl").filter(|ttl| ttl.is_string()) {
                *ttl = Value::from("expires");
            }
            row
        };
        let content = self.content().await;
        content.into_iter().map(|(table, rows)| (table, rows.iter().map(without_second).collect())).collect()
    }

    /// Waits until no session of kongferry is left on it.
    pub async fn wait_until_alone(&self) {
        let ours = "SELECT pid::text FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name LIKE 'kongferry%'";
        while !self.texts(ours).await.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until `query` gives a row, and returns the text of the first column.
    pub async fn until(&self, query: &str) -> String {
        loop {
            if let Some(found) = self.texts(query).await.into_iter().next() {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The whole catalog, one line per object: columns, constraints, indexes, triggers, functions, owners, options.
    pub async fn catalog(&self) -> Vec<String> {
        self.texts(
            "SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname !~ '^pg_toast|^pg_temp|^kongferry$'
             UNION ALL
             SELECT format('table %s owner %s options %s replica identity %s row security %s', c.relname,
                           pg_get_userbyid(relowner), reloptions, relreplident, relrowsecurity)
               FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
             UNION ALL
             SELECT format('column %s.%s %s not null %s default %s', attrelid::regclass, attname,
                           format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
               FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
               LEFT JOIN pg_attrdef d ON (adrelid, adnum) = (attrelid, attnum)
              WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0
                AND NOT attisdropped
             UNION ALL
             SELECT format('constraint %s.%s %s validated %s', conrelid::regclass, conname,
                           pg_get_constraintdef(oid), convalidated)
               FROM pg_constraint WHERE connamespace = 'public'::regnamespace
             UNION ALL
             SELECT format('index %s valid %s clustered %s', pg_get_indexdef(indexrelid), indisvalid, indisclustered)
               FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace
             UNION ALL
             SELECT format('trigger %s enabled %s', pg_get_triggerdef(t.oid), tgenabled)
               FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
              WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
             UNION ALL
             SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             ORDER BY 1",
        )
        .await
    }

    /// Drops it.
    pub async fn remove(self) {
        drop(self.client);
        let statement = format!("DROP DATABASE {}", self.name);
        connect(&self.server.url).await.batch_execute(&statement).await.unwrap();
    }
}
