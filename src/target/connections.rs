//! How many more connections the server lets the role open.

use super::failure;
use crate::error::{Error, ErrorKind, Result};

/// `server_version_num` from which `pg_stat_activity` names the kind of backend.
const WITH_BACKEND_TYPE: u32 = 100_000;

/// Connections that are left, under the limit that leaves the fewest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeConnections {
    /// How many more may be opened, beside the one that asked.
    pub free: usize,
    /// The limit and how it is used up, in words.
    pub limit: String,
}

/// Asks for what `max_connections`, less what is reserved for others, and the connection limits of role and database leave. A
/// superuser is bound by none but the first.
///
/// # Errors
/// `Target` when the server cannot be asked.
pub async fn free_connections(client: &tokio_postgres::Client, version_num: u32) -> Result<FreeConnections> {
    let clients_only = if version_num >= WITH_BACKEND_TYPE {
        // A role without rights on a session sees no backend_type; those without a role are the server's own.
        "usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
    } else {
        "coalesce(query, '') NOT LIKE 'autovacuum:%'"
    };
    // `reserved_connections` came with PostgreSQL 16; its slots and the superusers' are kept from everyone else.
    let sql = format!(
        "WITH me AS (SELECT oid, rolname, rolsuper, rolconnlimit FROM pg_roles WHERE rolname = session_user),
              used AS (SELECT datname, usename FROM pg_stat_activity WHERE {clients_only} AND pid <> pg_backend_pid())
         SELECT current_setting('max_connections')::int8,
                (SELECT coalesce(sum(setting::int8), 0)::int8 FROM pg_settings, me
                  WHERE NOT rolsuper AND name IN ('superuser_reserved_connections', 'reserved_connections')),
                (SELECT count(*) FROM used),
                rolname::text,
                (CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END)::int8,
                (SELECT count(*) FROM used WHERE usename = rolname),
                current_database()::text,
                (SELECT CASE WHEN rolsuper THEN -1 ELSE datconnlimit END FROM pg_database
                  WHERE datname = current_database())::int8,
                (SELECT count(*) FROM used WHERE datname = current_database())
         FROM me"
    );
    let what = "cannot count the free connections of the target";
    let row = client.query_one(&sql, &[]).await.map_err(|error| failure::statement(&error, what))?;
    let unexpected = |_| Error::new(ErrorKind::Target, what).because("unexpected answer");
    let number = |index: usize| row.try_get::<_, i64>(index).map_err(unexpected);
    let name = |index: usize| row.try_get::<_, String>(index).map_err(unexpected);
    let (most, reserved, used) = (number(0)?, number(1)?, number(2)?);
    let server = if reserved > 0 {
        format!("max_connections is {most}, {reserved} of them reserved, and others use {used}")
    } else {
        format!("max_connections is {most}, and others use {used}")
    };
    let mut limits = vec![(most - reserved - used, server)];
    for (whose, name, limit, used) in
        [("role", name(3)?, number(4)?, number(5)?), ("database", name(6)?, number(7)?, number(8)?)]
    {
        if limit >= 0 {
            let text = format!("the connection limit of {whose} {name} is {limit}, and others use {used}");
            limits.push((limit - used, text));
        }
    }
    let fewest = limits.into_iter().min_by_key(|(left, _)| *left);
    let (left, limit) = fewest.unwrap_or_else(|| (0, String::new()));
    // The asking connection is one of those that are left.
    Ok(FreeConnections { free: usize::try_from(left.saturating_sub(1)).unwrap_or(0), limit })
}
