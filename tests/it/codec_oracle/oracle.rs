//! The oracle: loads what was shaped, and asks the server what should have come out.

// Helpers of tests may panic as tests do; clippy's own exception covers only functions marked `#[test]`.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures::SinkExt as _;
use kongferry::schema_map::{Origin, Output, Production, TableMapping};
use kongferry::source::{CqlType, Page, SelectItem, Selection};
use kongferry::target::catalog::{PgKind, PgType};
use kongferry::transform::{RowShaper, Shaped, ShaperContext};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::cql_bytes::framed;

/// The oldest and the newest server of an ordinary run.
pub(super) const VERSIONS: [&str; 2] = ["9.6", "16"];

/// URL of a superuser on a server of that version.
fn server(version: &str) -> String {
    crate::support::servers::postgres(version).url.clone()
}

/// A conversion, and the SQL expression that says what must come of text `x`.
#[derive(Debug, Clone)]
pub(super) struct Conversion {
    pub cql: CqlType,
    pub pg: &'static str,
    pub oracle: &'static str,
}

/// One value: the cell as Cassandra sends it, and the text for the oracle.
pub(super) type Sample = (Option<Vec<u8>>, Option<String>);

const REFUSED: &str = "(refused)";

struct Oracle {
    runtime: Runtime,
    client: Client,
    conversion: Conversion,
    shaper: RowShaper,
}

impl Oracle {
    /// A session with a table for this conversion, and a function `verdict` that is the oracle.
    fn new(version: &str, conversion: &Conversion) -> Self {
        let runtime = Runtime::new().unwrap();
        let (client, column) = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&server(version), NoTls).await.unwrap();
            tokio::spawn(connection);
            let Conversion { pg, oracle, .. } = conversion;
            let setup = format!(
                "SET TIME ZONE 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex; SET DateStyle = ISO;
                 CREATE TEMPORARY TABLE shaped (n int PRIMARY KEY, v {pg});
                 CREATE FUNCTION pg_temp.verdict(x text) RETURNS text STRICT LANGUAGE plpgsql AS $$
                 BEGIN RETURN ({oracle})::{pg}::text; EXCEPTION WHEN others THEN RETURN '{REFUSED}'; END $$"
            );
            client.batch_execute(&setup).await.unwrap();
            let column = column_type(&client).await;
            (client, column)
        });
        let mapping = mapping(conversion.cql.clone(), column);
        let shaper = RowShaper::compile(&mapping, ShaperContext::default()).unwrap();
        Self { runtime, client, conversion: conversion.clone(), shaper }
    }

    /// Shapes and loads the samples; what the table then holds must be what the oracle says.
    fn agree(&self, samples: &[Sample]) -> Result<(), TestCaseError> {
        let mut shaped = Shaped::default();
        self.shaper.shape(&page(samples), &mut shaped).unwrap();
        prop_assert_eq!(shaped.tuples.len() + shaped.rejects.len(), samples.len());

        let texts: Vec<_> = samples.iter().map(|(_, text)| text.as_deref()).collect();
        let rows = self.runtime.block_on(async {
            self.client.batch_execute("TRUNCATE shaped").await?;
            let sink = self.client.copy_in("COPY shaped (n, v) FROM STDIN (FORMAT binary)").await?;
            futures::pin_mut!(sink);
            sink.send(copy_stream(&shaped.copy)).await?;
            sink.finish().await?;
            let question = "SELECT e.n::int, t.n IS NOT NULL, t.v::text, pg_temp.verdict(e.x)
                FROM unnest($1::text[]) WITH ORDINALITY e (x, n) LEFT JOIN shaped t ON t.n = e.n ORDER BY 1";
            self.client.query(question, &[&texts]).await
        });
        let rows = rows.map_err(|error| TestCaseError::fail(format!("{:?}", error.as_db_error())))?;
        for (index, (row, sample)) in rows.iter().zip(samples).enumerate() {
            let (loaded, value, verdict): (bool, Option<String>, Option<String>) =
                (row.get(1), row.get(2), row.get(3));
            let reason = shaped.rejects.iter().find(|reject| reject.row == index).map(|reject| reject.reason);
            prop_assert_eq!(loaded, reason.is_none());
            let value = if loaded { value } else { Some(REFUSED.to_owned()) };
            prop_assert_eq!(&value, &verdict, "{:?}: {:?}, {:?}", &self.conversion, sample, reason);
        }
        Ok(())
    }
}

/// Checks many random samples on each server.
pub(super) fn agree(conversion: &Conversion, sample: impl Strategy<Value = Sample> + Clone) {
    agree_in(&VERSIONS, conversion, sample);
}

/// Checks many random samples on servers of these versions.
pub(super) fn agree_in(
    versions: &[&str],
    conversion: &Conversion,
    sample: impl Strategy<Value = Sample> + Clone,
) {
    for version in versions {
        let oracle = Oracle::new(version, conversion);
        let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
        let samples = vec(prop_oneof![40 => sample.clone(), 1 => Just((None, None))], 1..60);
        if let Err(failure) = TestRunner::new(config).run(&samples, |samples| oracle.agree(&samples)) {
            panic!("PostgreSQL {version}: {failure}");
        }
    }
}

/// Checks samples worth naming on servers of these versions.
pub(super) fn agree_on(versions: &[&str], conversion: &Conversion, samples: &[Sample]) {
    for version in versions {
        let verdict = Oracle::new(version, conversion).agree(samples);
        assert!(verdict.is_ok(), "PostgreSQL {version}: {verdict:?}");
    }
}

async fn column_type(client: &Client) -> PgType {
    let question = "SELECT t.oid, format_type(t.oid, a.atttypmod), t.typname::text, a.atttypmod, t.typelem,
            format_type(t.typelem, -1), (SELECT typname::text FROM pg_type WHERE oid = t.typelem)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = 'pg_temp.shaped'::regclass AND a.attname = 'v'";
    let row = client.query_one(question, &[]).await.unwrap();
    let typname: String = row.get(2);
    let modifier: i32 = row.get(3);
    let kind = if typname.starts_with('_') {
        let element: String = row.get(6);
        PgKind::Array(Box::new(PgType { oid: row.get(4), name: row.get(5), kind: kind(&element, -1) }))
    } else {
        kind(&typname, modifier)
    };
    PgType { oid: row.get(0), name: row.get(1), kind }
}

fn kind(typname: &str, modifier: i32) -> PgKind {
    match typname {
        "bool" => PgKind::Bool,
        "bytea" => PgKind::Bytea,
        "date" => PgKind::Date,
        "float4" => PgKind::Real,
        "float8" => PgKind::Double,
        "inet" => PgKind::Inet,
        "int2" => PgKind::Int2,
        "int4" => PgKind::Int4,
        "int8" => PgKind::Int8,
        "interval" => PgKind::Interval,
        "json" => PgKind::Json,
        "jsonb" => PgKind::Jsonb,
        "numeric" => PgKind::Numeric,
        "text" => PgKind::Text,
        "time" => PgKind::Time,
        "timestamp" => PgKind::Timestamp,
        "timestamptz" => PgKind::Timestamptz,
        "uuid" => PgKind::Uuid,
        "varchar" => PgKind::Varchar(u32::try_from(modifier - 4).ok()),
        other => panic!("type {other}"),
    }
}

fn mapping(cql: CqlType, column: PgType) -> TableMapping {
    let number = PgType { oid: 23, name: "integer".into(), kind: PgKind::Int4 };
    let output = |name: &str, ty, item| Output {
        column: name.into(),
        ty,
        not_null: false,
        from: Production::Copy { item },
    };
    TableMapping {
        table: "shaped".into(),
        origin: Origin::BuiltIn,
        selection: Selection {
            table: "shaped".into(),
            items: vec![SelectItem::Column("n".into()), SelectItem::Column("v".into())],
        },
        types: vec![CqlType::Int, cql],
        key: vec![0],
        required: vec![],
        constants: vec![],
        outputs: vec![output("n", number, 0), output("v", column, 1)],
        notes: Vec::new(),
        sequences: Vec::new(),
        secrets: Vec::new(),
        hash: 0,
    }
}

/// A page of rows (number from 1, value).
fn page(samples: &[Sample]) -> Page {
    let mut body = Vec::new();
    for (index, (cell, _)) in samples.iter().enumerate() {
        body.extend(framed(Some(&i32::try_from(index + 1).unwrap().to_be_bytes())));
        body.extend(framed(cell.as_deref()));
    }
    Page { rows: samples.len(), body: Bytes::from(body), read_at: 0 }
}

/// Header, tuples and trailer of a binary COPY.
fn copy_stream(tuples: &[u8]) -> Bytes {
    let mut stream = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    stream.extend_from_slice(tuples);
    stream.extend_from_slice(&(-1_i16).to_be_bytes());
    Bytes::from(stream)
}
