//! An estate with one defect of every kind that only several rows together show, each with its promised fate.

use kongferry::estate::KongVersion;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::keyspace::{self, Keyspace};

/// Part of every value of a bad row that must not be said.
pub const MARKER: &str = "s3cr3t-marker";

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It arrives as it is.
    Arrives,
    /// It arrives in the workspace of its parent; with this cache key, where it has one.
    Moves(Option<String>),
    /// It goes into quarantine under this class.
    Held(&'static str),
}

/// A row of the source.
pub struct Planted {
    pub table: &'static str,
    pub id: String,
    pub fate: Fate,
}

/// The estate.
pub struct Estate {
    pub source: Keyspace,
    pub rows: Vec<Planted>,
    pub ws: String,
}

/// Indexes of the user's own: unique on an expression, on some rows only, and one whose expression can fail.
pub const OWN_INDEXES: &str = "
    CREATE UNIQUE INDEX own_lower ON services (lower(host));
    CREATE UNIQUE INDEX own_partial ON jwt_secrets (secret) WHERE algorithm = 'HS256';
    CREATE INDEX own_number ON upstreams ((host_header::integer));";

/// The `n`-th id of a table.
fn id(table: &str, n: u32) -> String {
    let number: u32 = table.bytes().map(u32::from).sum();
    format!("{number:08}-0000-4000-8000-{n:012}")
}

/// What cannot be compressed: every character is another.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = MARKER.to_owned();
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state >> 58) as usize],
        ));
    }
    text
}

/// Text that compresses well below the limit of an index entry, and is far above it as it is.
fn chaff() -> String {
    "x".repeat(6_000)
}

const OLD: &str = "2020-01-01 00:00:00+0000";
const NEW: &str = "2021-01-01 00:00:00+0000";

impl Estate {
    /// With `decision`: also duplicates on which other rows depend.
    pub async fn plant(decision: bool) -> Self {
        let source = keyspace::empty("5.0", KongVersion::V2_8, "policed", None).await;
        let ws = source.default_workspace.to_string();
        let mut estate = Self { source, rows: Vec::new(), ws };
        estate.workspaces().await;
        estate.orphans().await;
        estate.duplicates().await;
        estate.unfit().await;
        if decision {
            estate.decision().await;
        }
        estate
    }

    async fn row(&mut self, table: &'static str, n: u32, fate: Fate, row: Value) {
        let mut row = row;
        let id = row["id"].as_str().map_or_else(|| id(table, n), str::to_owned);
        row["id"] = json!(id);
        if ["services", "routes", "certificates"].contains(&table) {
            row["partition"] = json!(table);
        }
        self.source.insert(table, &row, None).await;
        self.rows.push(Planted { table, id, fate });
    }

    fn other() -> String {
        Uuid::from_u128(7).to_string()
    }

    /// Consumers 1 (default) and 2 (team), service 1 (default); rows in the wrong workspace.
    async fn workspaces(&mut self) {
        let (ws, other) = (self.ws.clone(), Self::other());
        self.source.insert("workspaces", &json!({ "id": other, "name": "team" }), None).await;
        let named = |ws: &str, name: &str| json!({ "ws_id": ws, "username": format!("{ws}:{name}"), "tags": ["t1", "t2"] });
        self.row("consumers", 1, Fate::Arrives, named(&ws, "one")).await;
        // The same name in another workspace is another name.
        self.row("consumers", 2, Fate::Arrives, named(&other, "one")).await;
        self.row(
            "services",
            1,
            Fate::Arrives,
            json!({ "ws_id": ws, "name": format!("{ws}:s"), "host": "one" }),
        )
        .await;
        self.row(
            "keyauth_credentials",
            1,
            Fate::Arrives,
            json!({ "ws_id": ws, "key": format!("{ws}:k"), "consumer_id": id("consumers", 1) }),
        )
        .await;
        self.row(
            "keyauth_credentials",
            2,
            Fate::Moves(None),
            json!({ "ws_id": other, "key": format!("{other}:{MARKER}-moves"), "consumer_id": id("consumers", 1), "tags": [MARKER] }),
        )
        .await;
        let acl = |ws: &str, group: &str, at: &str| {
            json!({ "ws_id": ws, "group": group, "consumer_id": id("consumers", 1), "created_at": at,
                    "cache_key": format!("acls:{}:{group}::::{ws}", id("consumers", 1)) })
        };
        let key = |group: &str| Some(format!("acls:{}:{group}::::{ws}", id("consumers", 1)));
        self.row("acls", 1, Fate::Moves(key(MARKER)), acl(&other, MARKER, OLD)).await;
        // Moved, it has the key of one that is there.
        self.row("acls", 2, Fate::Arrives, acl(&ws, "twin", OLD)).await;
        self.row("acls", 3, Fate::Held("duplicate"), acl(&other, "twin", NEW)).await;
        let plugin = |ws: &str, name: &str, service: Option<u32>, consumer: Option<u32>| {
            let (service, consumer) =
                (service.map(|n| id("services", n)), consumer.map(|n| id("consumers", n)));
            let part = |id: &Option<String>| id.clone().unwrap_or_default();
            json!({ "ws_id": ws, "name": name, "enabled": true, "config": "{}", "service_id": service, "consumer_id": consumer,
                    "cache_key": format!("plugins:{name}::{}:{}::{ws}", part(&service), part(&consumer)) })
        };
        let moved = format!("plugins:acl::{}:{}::{ws}", id("services", 1), id("consumers", 1));
        self.row("plugins", 1, Fate::Moves(Some(moved)), plugin(&other, "acl", Some(1), Some(1))).await;
        self.row("plugins", 2, Fate::Held("workspace-mismatch"), plugin(&ws, "torn", Some(1), Some(2))).await;
        self.row("plugins", 3, Fate::Arrives, plugin(&ws, "global", None, None)).await;
        // A route in the wrong workspace, and a plugin that followed it there.
        self.row(
            "routes",
            1,
            Fate::Moves(None),
            json!({ "ws_id": other, "name": format!("{other}:r"), "service_id": id("services", 1), "tags": ["of a route"] }),
        )
        .await;
        let followed = json!({ "ws_id": other, "name": "cors", "enabled": true, "config": "{}", "route_id": id("routes", 1),
                               "cache_key": format!("plugins:cors:{}::::{other}", id("routes", 1)) });
        let moved = format!("plugins:cors:{}::::{ws}", id("routes", 1));
        self.row("plugins", 4, Fate::Moves(Some(moved)), followed).await;
    }

    async fn orphans(&mut self) {
        let ws = self.ws.clone();
        let nowhere = Uuid::from_u128(0xdead).to_string();
        let held = || Fate::Held("missing-parent");
        self.row(
            "basicauth_credentials",
            1,
            held(),
            json!({ "ws_id": ws, "username": format!("{ws}:{MARKER}"), "consumer_id": id("consumers", 9_999), "tags": [MARKER] }),
        )
        .await;
        // Optional, and never set to NULL instead: the plugin would become one of everybody.
        let plugin = json!({ "ws_id": ws, "name": "orphan", "enabled": true, "config": "{}", "consumer_id": id("consumers", 9_999),
                             "cache_key": format!("plugins:orphan:::{}::{ws}", id("consumers", 9_999)) });
        self.row("plugins", 10, held(), plugin).await;
        // In any depth.
        let credential = json!({ "ws_id": ws, "name": MARKER, "client_id": format!("{ws}:{MARKER}"), "consumer_id": id("consumers", 9_999) });
        self.row("oauth2_credentials", 1, held(), credential).await;
        let token = json!({ "ws_id": ws, "access_token": format!("{ws}:{MARKER}"), "credential_id": id("oauth2_credentials", 1), "expires_in": 1,
                            "token_type": "bearer" });
        self.row("oauth2_tokens", 1, held(), token).await;
        self.row(
            "upstreams",
            1,
            held(),
            json!({ "ws_id": ws, "name": format!("{ws}:{MARKER}-up"), "client_certificate_id": id("certificates", 9_999), "slots": 10 }),
        )
        .await;
        let target = |upstream: u32| json!({ "ws_id": ws, "upstream_id": id("upstreams", upstream), "target": "host:80", "weight": 1, "tags": ["target"] });
        self.row("targets", 1, held(), target(1)).await;
        self.row(
            "upstreams",
            2,
            Fate::Arrives,
            json!({ "ws_id": ws, "name": format!("{ws}:up"), "slots": 10 }),
        )
        .await;
        self.row("targets", 2, Fate::Arrives, target(2)).await;
        // It shares its id, and with it the row of tags, with one that stays.
        let twin = json!({ "id": id("consumers", 1), "ws_id": ws, "username": format!("{ws}:{MARKER}-twin"), "consumer_id": id("consumers", 9_999) });
        self.row("hmacauth_credentials", 1, held(), twin).await;
        // In a workspace that does not exist: no parent to follow for those below it.
        self.row(
            "consumers",
            10,
            held(),
            json!({ "ws_id": nowhere, "username": format!("{nowhere}:{MARKER}-lost") }),
        )
        .await;
        self.row(
            "keyauth_credentials",
            10,
            held(),
            json!({ "ws_id": ws, "key": format!("{ws}:{MARKER}-lost"), "consumer_id": id("consumers", 10) }),
        )
        .await;
    }

    async fn duplicates(&mut self) {
        let ws = self.ws.clone();
        let held = || Fate::Held("duplicate");
        let consumer = |at: &str| json!({ "ws_id": ws, "username": format!("{ws}:{MARKER}-twin"), "created_at": at, "tags": ["twin"] });
        self.row("consumers", 20, held(), consumer(NEW)).await;
        self.row("consumers", 21, Fate::Arrives, consumer(OLD)).await;
        let key = |at: Option<&str>| json!({ "ws_id": ws, "key": format!("{ws}:{MARKER}-key"), "consumer_id": id("consumers", 1), "created_at": at });
        // Without a time it is older than the column, and among equals the id decides.
        self.row("keyauth_credentials", 20, held(), key(Some(OLD))).await;
        self.row("keyauth_credentials", 22, held(), key(Some(OLD))).await;
        self.row("keyauth_credentials", 23, Fate::Arrives, key(None)).await;
        let service = |n: u32, host: &str, at: &str| json!({ "ws_id": ws, "name": format!("{ws}:host {n}"), "host": host, "created_at": at });
        self.row("services", 20, Fate::Arrives, service(20, &format!("{MARKER}-Host"), OLD)).await;
        self.row("services", 21, held(), service(21, &format!("{MARKER}-hOST"), NEW)).await;
        let jwt = |n: u32, algorithm: &str| {
            json!({ "ws_id": ws, "key": format!("{ws}:{n}"), "secret": MARKER, "algorithm": algorithm, "consumer_id": id("consumers", 1),
                    "created_at": OLD })
        };
        self.row("jwt_secrets", 20, Fate::Arrives, jwt(20, "HS256")).await;
        self.row("jwt_secrets", 21, held(), jwt(21, "HS256")).await;
        self.row("jwt_secrets", 22, Fate::Arrives, jwt(22, "RS256")).await;
    }

    async fn unfit(&mut self) {
        let ws = self.ws.clone();
        let held = || Fate::Held("index-entry");
        self.row(
            "consumers",
            30,
            held(),
            json!({ "ws_id": ws, "username": format!("{ws}:{}", noise(4_000)) }),
        )
        .await;
        self.row(
            "keyauth_credentials",
            30,
            Fate::Held("missing-parent"),
            json!({ "ws_id": ws, "consumer_id": id("consumers", 30),
            "key": format!("{ws}:{MARKER}-of-the-large") }),
        )
        .await;
        self.row(
            "consumers",
            31,
            Fate::Arrives,
            json!({ "ws_id": ws, "username": format!("{ws}:{}", chaff()) }),
        )
        .await;
        self.row(
            "services",
            30,
            held(),
            json!({ "ws_id": ws, "name": format!("{ws}:tagged"), "host": "tagged", "tags": [noise(4_000)] }),
        )
        .await;
        self.row(
            "upstreams",
            30,
            held(),
            json!({ "ws_id": ws, "name": format!("{ws}:nan"), "slots": 10, "host_header": MARKER }),
        )
        .await;
        self.row(
            "upstreams",
            31,
            Fate::Arrives,
            json!({ "ws_id": ws, "name": format!("{ws}:n"), "slots": 10, "host_header": "17" }),
        )
        .await;
    }

    /// Consumers 40 (old) and 41 (new), both with credentials; 41 has a plugin as well. Fates are those of keep-oldest.
    async fn decision(&mut self) {
        let ws = self.ws.clone();
        for (n, at, fate) in [(40, OLD, Fate::Arrives), (41, NEW, Fate::Held("duplicate"))] {
            let row = json!({ "ws_id": ws, "username": format!("{ws}:{MARKER}-both"), "created_at": at });
            let below = if fate == Fate::Arrives { Fate::Arrives } else { Fate::Held("missing-parent") };
            self.row("consumers", n, fate, row).await;
            let consumer = id("consumers", n);
            let key = json!({ "ws_id": ws, "key": format!("{ws}:{MARKER}-of {n}"), "consumer_id": consumer, "tags": ["both"] });
            self.row("keyauth_credentials", n, below, key).await;
        }
        let plugin = json!({ "ws_id": ws, "name": "key-auth", "enabled": true, "config": "{}",
                             "consumer_id": id("consumers", 41),
                             "cache_key": format!("plugins:key-auth:::{}::{ws}", id("consumers", 41)) });
        self.row("plugins", 41, Fate::Held("missing-parent"), plugin).await;
    }

    /// The newest of several rows stays: the fates of duplicates and of what depends on them are the other way round.
    pub fn keep_newest(&mut self) {
        let stays = |fate: &mut Fate| *fate = Fate::Arrives;
        for row in &mut self.rows {
            let n: u32 = row.id[row.id.len() - 12..].parse().unwrap();
            match (row.table, n) {
                ("consumers", 20 | 41)
                | ("keyauth_credentials", 22 | 41)
                | ("services" | "jwt_secrets", 21)
                | ("plugins", 41) => {
                    stays(&mut row.fate);
                }
                ("consumers", 21 | 40) | ("keyauth_credentials", 23) | ("services" | "jwt_secrets", 20) => {
                    row.fate = Fate::Held("duplicate");
                }
                ("keyauth_credentials", 40) => row.fate = Fate::Held("missing-parent"),
                // The one that moved is the newer.
                ("acls", 2) => row.fate = Fate::Held("duplicate"),
                ("acls", 3) => row.fate = Fate::Moves(None),
                _ => {}
            }
        }
    }

    /// The id of a planted row.
    pub fn id(table: &str, n: u32) -> String {
        id(table, n)
    }
}
