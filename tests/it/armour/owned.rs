//! Targets whose tables belong to an ordinary role, as a Gateway's do.

use std::collections::BTreeSet;
use std::process::Command;

use kongferry::estate::{Edition, KongVersion};
use kongferry::target::armour::{Armour, Resources, Step, put_back, take_off};
use kongferry::target::{Catalog, Target, TargetConfig};

use crate::support::database::{self, Database};
use crate::support::{servers, unique};

/// What a step may use in a test: enough memory for processes to help (32 MB for each).
pub const RESOURCES: Resources = Resources { memory: 128 << 20, parallel_workers: 2 };

/// Server lines: those of every test, the newest, and the one that Debian's `pg_dump` can read.
pub fn lines() -> Vec<&'static str> {
    let mut lines = servers::postgres_versions().to_vec();
    for line in ["15", "18"] {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// A target that belongs to a role of its own.
pub struct Owned {
    /// The database, as a superuser sees it.
    pub database: Database,
    /// The owner of the tables.
    pub role: String,
    /// The target as the owner sees it.
    pub target: Target,
}

impl Owned {
    /// A fresh target; `sql` is run by a superuser before everything goes to the owner.
    pub async fn fresh(line: &str, kong: KongVersion, edition: Edition, sql: &str) -> Self {
        let database = match edition {
            Edition::OpenSource => database::fresh(line, kong).await,
            Edition::Enterprise => database::fresh_enterprise(line, kong, None).await,
        };
        let role = unique("owner");
        database.execute(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}")).await;
        database.execute(sql).await;
        let give = format!(
            "DO $$ DECLARE it record; BEGIN
                 FOR it IN SELECT oid::regclass AS name FROM pg_class
                           WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LOOP
                     EXECUTE format('ALTER TABLE %s OWNER TO {role}', it.name);
                 END LOOP;
                 FOR it IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                           AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = pg_proc.oid AND d.deptype = 'e') LOOP
                     EXECUTE format('ALTER FUNCTION %s OWNER TO {role}', it.name);
                 END LOOP;
             END $$"
        );
        database.execute(&give).await;
        let target = connect(&database, &role).await;
        Self { database, role, target }
    }

    /// Its catalog, and the armour of all its tables.
    pub async fn armour(&self) -> (Catalog, Armour) {
        let catalog = self.target.catalog().await.unwrap();
        let tables: BTreeSet<String> = catalog.tables.keys().cloned().collect();
        let armour = Armour::read(&self.target, &catalog, &tables).await.unwrap();
        (catalog, armour)
    }

    /// The names of all tables.
    pub async fn tables(&self) -> BTreeSet<String> {
        self.database.tables().await.into_iter().collect()
    }

    /// Takes the armour off and commits.
    pub async fn disarm(&self, armour: &Armour) {
        let mut transaction = self.target.begin().await.unwrap();
        take_off(&mut transaction, armour, &BTreeSet::new()).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Runs one step and commits.
    pub async fn run(&self, armour: &Armour, step: &Step) -> kongferry::error::Result<()> {
        let mut transaction = self.target.begin().await?;
        put_back(&mut transaction, armour, step, &RESOURCES).await?;
        transaction.commit().await
    }

    /// Runs all steps.
    pub async fn rearm(&self, armour: &Armour) {
        for step in armour.steps() {
            self.run(armour, &step).await.unwrap_or_else(|error| panic!("{}", error.report()));
        }
    }

    /// What pg_dump makes of the schema, where a pg_dump for this server is installed.
    pub fn dump(&self) -> Option<String> {
        let version = Command::new("pg_dump").arg("--version").output().ok()?;
        let version = String::from_utf8(version.stdout).ok()?;
        let own: f64 = version.split_whitespace().nth(2)?.split('.').next()?.parse().ok()?;
        if self.database.server.version.parse::<f64>().ok()? > own {
            return None;
        }
        let output = Command::new("pg_dump").args(["--schema-only", &self.database.url()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("CREATE TABLE"));
        // Newer ones write a random word.
        let kept = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
        Some(text.lines().filter(kept).collect::<Vec<_>>().join("\n"))
    }

    /// Drops database and role.
    pub async fn remove(self) {
        let url = self.database.server.url.clone();
        drop(self.target);
        let end =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", self.role);
        self.database.execute(&end).await;
        self.database.remove().await;
        let admin = database::connect(&url).await;
        admin.batch_execute(&format!("DROP ROLE {}", self.role)).await.unwrap();
    }
}

/// The target as a role sees it.
pub async fn connect(database: &Database, role: &str) -> Target {
    let url =
        format!("postgres://{role}@{}:{}/{}", database.server.host, database.server.port, database.name);
    Target::connect(&TargetConfig::from_url(&url).unwrap()).await.unwrap()
}

/// A tablespace of a test's own.
pub async fn tablespace(database: &Database) -> String {
    let name = unique("space");
    let make = format!(
        "DO $$ BEGIN
             EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null && mkdir \"' || current_setting('data_directory') || '/{name}\"');
         END $$"
    );
    database.execute(&make).await;
    let directory: String =
        database.texts(&format!("SELECT current_setting('data_directory') || '/{name}'")).await.remove(0);
    database.execute(&format!("CREATE TABLESPACE {name} LOCATION '{directory}'")).await;
    name
}
