//! Every conversion, with `PostgreSQL` as the oracle.
//!
//! Random values are written as CQL bytes (by the native protocol's specification, in this file), shaped, copied into a
//! table, and rendered by the server. The same value as text goes through an SQL expression on the same server. The two
//! must agree on each value: the same text, or both refuse it.

// Helpers of tests may panic as tests do; clippy's own exception covers only functions marked `#[test]`.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::SinkExt as _;
use kongferry::schema_map::{Origin, Output, Production, TableMapping};
use kongferry::source::{CqlType, Page, SelectItem, Selection};
use kongferry::target::catalog::{PgKind, PgType};
use kongferry::transform::{RowShaper, Shaped, ShaperContext};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// The oldest and the newest server of an ordinary run.
const VERSIONS: [&str; 2] = ["9.6", "16"];

/// URL of a superuser on a server of that version.
fn server(version: &str) -> String {
    crate::support::servers::postgres(version).url.clone()
}

/// A conversion, and the SQL expression that says what must come of text `x`.
#[derive(Debug, Clone)]
struct Conversion {
    cql: CqlType,
    pg: &'static str,
    oracle: &'static str,
}

/// One value: the cell as Cassandra sends it, and the text for the oracle.
type Sample = (Option<Vec<u8>>, Option<String>);

const REFUSED: &str = "(refused)";

struct Oracle {
    runtime: Arc<Runtime>,
    client: Client,
    conversion: Conversion,
    shaper: RowShaper,
}

impl Oracle {
    /// A session with a table for this conversion, and a function `verdict` that is the oracle.
    fn new(version: &str, conversion: &Conversion) -> Self {
        let runtime = Arc::new(Runtime::new().unwrap());
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
fn agree(conversion: &Conversion, sample: impl Strategy<Value = Sample> + Clone) {
    agree_in(&VERSIONS, conversion, sample);
}

/// Checks many random samples on servers of these versions.
fn agree_in(versions: &[&str], conversion: &Conversion, sample: impl Strategy<Value = Sample> + Clone) {
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
fn agree_on(versions: &[&str], conversion: &Conversion, samples: &[Sample]) {
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

fn framed(cell: Option<&[u8]>) -> Vec<u8> {
    match cell {
        None => (-1_i32).to_be_bytes().to_vec(),
        Some(bytes) => [&i32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat(),
    }
}

/// A CQL list or set; of a map, keys and values in turn with half the count.
fn collection(count: usize, elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = i32::try_from(count).unwrap().to_be_bytes().to_vec();
    for element in elements {
        bytes.extend(framed(element.as_deref()));
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        4 => "[a-z0-9:/_ -]{0,40}",
        2 => any::<String>(),
        1 => "[\u{0}-\u{7f}]{0,40}",
        1 => "[\"\\\\{}\\[\\],äß漢🦀\t\n]{0,12}",
    ]
}

/// Text without U+0000, which the oracle's JSON cannot carry.
fn storable() -> impl Strategy<Value = String> + Clone {
    text().prop_map(|text| text.replace('\0', "0"))
}

fn set(element: CqlType) -> CqlType {
    CqlType::Set(Box::new(element))
}

#[test]
fn text_is_what_the_server_takes_as_utf8() {
    let oracle = "convert_from(decode(x, 'hex'), 'UTF8')";
    let conversion = Conversion { cql: CqlType::Text, pg: "text", oracle };
    let bytes = prop_oneof![text().prop_map(String::into_bytes), vec(any::<u8>(), 0..8)];
    agree(&conversion, bytes.prop_map(|bytes| (Some(bytes.clone()), Some(hex(&bytes)))));
}

#[test]
fn varchar_limits_count_characters() {
    // A cast to varchar(5) cuts; an assignment, as COPY does it, refuses. The oracle refuses by hand.
    let oracle = "CASE WHEN char_length(x) > 5 THEN (char_length(x) / (char_length(x) - char_length(x)))::text ELSE x END";
    let conversion = Conversion { cql: CqlType::Text, pg: "varchar(5)", oracle };
    agree(&conversion, "[aä漢🦀]{0,8}".prop_map(|text| (Some(text.clone().into_bytes()), Some(text))));
}

#[test]
fn uuids_are_uuids() {
    let sample = any::<u128>().prop_map(uuid::Uuid::from_u128);
    let bytes = sample.clone().prop_map(|uuid| (Some(uuid.as_bytes().to_vec()), Some(uuid.to_string())));
    let text =
        sample.prop_map(|uuid| (Some(uuid.to_string().into_bytes()), Some(uuid.to_string().to_uppercase())));
    agree(&Conversion { cql: CqlType::Uuid, pg: "uuid", oracle: "x::uuid" }, bytes.clone());
    agree(&Conversion { cql: CqlType::Timeuuid, pg: "text", oracle: "x" }, bytes);
    agree(&Conversion { cql: CqlType::Text, pg: "uuid", oracle: "x::uuid" }, text);
}

#[test]
fn integers_keep_their_value_or_are_refused() {
    let int = prop_oneof![any::<i32>(), -40_000..40_000_i32]
        .prop_map(|number| (Some(number.to_be_bytes().to_vec()), Some(number.to_string())));
    let bigint = prop_oneof![any::<i64>(), -3_000_000_000..3_000_000_000_i64]
        .prop_map(|number| (Some(number.to_be_bytes().to_vec()), Some(number.to_string())));
    for pg in ["smallint", "integer", "bigint", "numeric", "text"] {
        agree(&Conversion { cql: CqlType::Int, pg, oracle: "x::bigint" }, int.clone());
        agree(&Conversion { cql: CqlType::Counter, pg, oracle: "x::bigint" }, bigint.clone());
    }
    let tinyint =
        any::<i8>().prop_map(|number| (Some(number.to_be_bytes().to_vec()), Some(number.to_string())));
    agree(&Conversion { cql: CqlType::Tinyint, pg: "smallint", oracle: "x::int" }, tinyint);
    let boolean = any::<bool>().prop_map(|value| (Some(vec![u8::from(value)]), Some(value.to_string())));
    agree(&Conversion { cql: CqlType::Boolean, pg: "boolean", oracle: "x::boolean" }, boolean);
}

/// A decimal integer, and its shortest two's complement: by schoolbook multiplication, digit by digit.
fn varint() -> impl Strategy<Value = (Vec<u8>, String)> + Clone {
    let digits = prop_oneof![4 => "[0-9]{1,30}", 1 => "[0-9]{1,400}", 1 => "(1|2|9)[0]{0,90}", 1 => "0{0,9}[0-9]{1,5}"];
    (any::<bool>(), digits).prop_map(|(negative, digits)| {
        let mut magnitude = vec![0_u8];
        for digit in digits.bytes() {
            let mut carry = u32::from(digit - b'0');
            for byte in magnitude.iter_mut().rev() {
                let value = u32::from(*byte) * 10 + carry;
                *byte = u8::try_from(value & 0xff).unwrap();
                carry = value >> 8;
            }
            if carry > 0 {
                magnitude.insert(0, u8::try_from(carry).unwrap());
            }
        }
        magnitude.insert(0, 0);
        if negative {
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
        while magnitude.len() > 1 && matches!((magnitude[0], magnitude[1] >> 7), (0, 0) | (0xff, 1)) {
            magnitude.remove(0);
        }
        (magnitude, format!("{}{digits}", if negative { "-" } else { "" }))
    })
}

#[test]
fn varints_and_decimals_keep_every_digit() {
    let whole = varint().prop_map(|(bytes, text)| (Some(bytes), Some(text)));
    for pg in ["numeric", "bigint", "integer"] {
        agree(&Conversion { cql: CqlType::Varint, pg, oracle: "x::numeric" }, whole.clone());
    }
    let scale = prop_oneof![4 => -20..40_i32, 1 => -140_000..20_000_i32];
    let decimal = (varint(), scale).prop_map(|((bytes, text), scale)| {
        (Some([&scale.to_be_bytes()[..], &bytes].concat()), Some(format!("{text}e{}", -scale)))
    });
    agree(&Conversion { cql: CqlType::Decimal, pg: "numeric", oracle: "x::numeric" }, decimal);
    let money = (varint(), 0..4_i32).prop_map(|((bytes, text), scale)| {
        (Some([&scale.to_be_bytes()[..], &bytes].concat()), Some(format!("{text}e{}", -scale)))
    });
    // The server would round; what does not fit exactly is refused.
    let exact = "CASE WHEN x::numeric(6,2) = x::numeric THEN x::numeric ELSE x::numeric / 0 END";
    agree(&Conversion { cql: CqlType::Decimal, pg: "numeric(6,2)", oracle: exact }, money);
}

#[test]
fn floats_keep_their_decimal_text() {
    let float = prop_oneof![any::<f32>(), (any::<i16>()).prop_map(|whole| f32::from(whole) / 1_000.0)];
    let float = float.prop_map(|float| (Some(float.to_be_bytes().to_vec()), Some(float.to_string())));
    let double =
        any::<f64>().prop_map(|double| (Some(double.to_be_bytes().to_vec()), Some(double.to_string())));
    for (pg, oracle) in [("double precision", "x::float8"), ("numeric", "x::numeric")] {
        agree(&Conversion { cql: CqlType::Float, pg, oracle }, float.clone());
        agree(&Conversion { cql: CqlType::Double, pg, oracle }, double.clone());
    }
    agree(&Conversion { cql: CqlType::Float, pg: "real", oracle: "x::float4" }, float);
}

/// An instant from whole days and the rest, which the server adds without loss.
const INSTANT: &str = "timestamp 'epoch' + (x::bigint / 86400000) * interval '1 day'
    + (x::bigint % 86400000) * interval '1 millisecond'";

/// `PostgreSQL` 9.6 does not check the range of what it adds up, only of what it receives: the oracle is wrong there.
const CHECKED_SUMS: [&str; 1] = ["16"];

#[test]
fn instants_are_exact_and_in_range() {
    let sample = |millis: i64| (Some(millis.to_be_bytes().to_vec()), Some(millis.to_string()));
    let usual = prop_oneof![
        3 => 0..4_000_000_000_000_i64,
        1 => -210_866_803_200_000..9_224_318_016_000_000_i64,
        1 => -9_000_000_000_000..9_000_000_000_000_i64,
    ];
    let wide = prop_oneof![
        -220_000_000_000_000..-200_000_000_000_000_i64,
        9_200_000_000_000_000..9_300_000_000_000_000_i64,
    ];
    let edges = [-210_866_803_200_000, -210_866_803_200_001, 9_224_318_015_999_999, 9_224_318_016_000_000];
    for pg in ["timestamp with time zone", "timestamp without time zone"] {
        let conversion = Conversion { cql: CqlType::Timestamp, pg, oracle: INSTANT };
        agree(&conversion, usual.clone().prop_map(sample));
        agree_in(&CHECKED_SUMS, &conversion, wide.clone().prop_map(sample));
        agree_on(&CHECKED_SUMS, &conversion, &edges.map(sample));
    }
}

#[test]
fn dates_times_and_durations_are_exact() {
    let day = |day: i32| {
        let bytes = u32::try_from(i64::from(day) + (1 << 31)).unwrap().to_be_bytes();
        (Some(bytes.to_vec()), Some(day.to_string()))
    };
    let date = Conversion { cql: CqlType::Date, pg: "date", oracle: "date 'epoch' + x::int" };
    let usual = prop_oneof![-800_000..3_000_000_i32, -2_440_588..2_145_042_906_i32];
    agree(&date, usual.prop_map(day));
    agree_in(&CHECKED_SUMS, &date, any::<i32>().prop_map(day));
    agree_on(&CHECKED_SUMS, &date, &[-2_440_588, -2_440_589, 2_145_042_905, 2_145_042_906].map(day));
    let micros = 0..86_400_000_000_i64;
    let time =
        micros.prop_map(|micros| (Some((micros * 1_000).to_be_bytes().to_vec()), Some(micros.to_string())));
    let oracle = "time '00:00' + x::bigint * interval '1 microsecond'";
    agree(&Conversion { cql: CqlType::Time, pg: "time", oracle }, time);
    let duration =
        (-40..40_i64, -40..40_i64, -9_000_000_000..9_000_000_000_i64).prop_map(|(months, days, micros)| {
            let bytes = [vint(months), vint(days), vint(micros * 1_000)].concat();
            let seconds = format!(
                "{}{}.{:06}",
                if micros < 0 { "-" } else { "" },
                micros.abs() / 1_000_000,
                micros.abs() % 1_000_000
            );
            (Some(bytes), Some(format!("{months} mon {days} days {seconds} seconds")))
        });
    agree(&Conversion { cql: CqlType::Duration, pg: "interval", oracle: "x::interval" }, duration);
}

/// A signed vint as the protocol's specification has it: zigzag, then the number of further bytes as leading ones.
fn vint(number: i64) -> Vec<u8> {
    let zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    for extra in 0..8_u32 {
        if zigzag < 1 << (7 * (extra + 1)) {
            let mut bytes = zigzag.to_be_bytes()[7 - extra as usize..].to_vec();
            bytes[0] |= !(0xff_u8 >> extra);
            return bytes;
        }
    }
    [&[0xff][..], &zigzag.to_be_bytes()].concat()
}

#[test]
fn addresses_and_blobs_are_copied() {
    let address =
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let sample = address.prop_map(|address| {
        let bytes = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        (Some(bytes), Some(address.to_string()))
    });
    agree(&Conversion { cql: CqlType::Inet, pg: "inet", oracle: "x::inet" }, sample.clone());
    agree(&Conversion { cql: CqlType::Inet, pg: "text", oracle: "host(x::inet)" }, sample);
    let blob = vec(any::<u8>(), 0..40).prop_map(|bytes| (Some(bytes.clone()), Some(hex(&bytes))));
    agree(&Conversion { cql: CqlType::Blob, pg: "bytea", oracle: "decode(x, 'hex')" }, blob);
}

#[test]
fn collections_become_arrays_in_order() {
    let texts = vec(proptest::option::weighted(0.95, storable()), 0..8).prop_map(|texts| {
        let cells: Vec<_> = texts.iter().map(|text| text.clone().map(String::into_bytes)).collect();
        (Some(collection(cells.len(), &cells)), Some(json!(texts).to_string()))
    });
    let oracle = "ARRAY(SELECT jsonb_array_elements_text(x::jsonb))";
    agree(&Conversion { cql: set(CqlType::Text), pg: "text[]", oracle }, texts.clone());
    agree(&Conversion { cql: CqlType::List(Box::new(CqlType::Ascii)), pg: "varchar[]", oracle }, texts);

    let uuids = vec(any::<u128>().prop_map(uuid::Uuid::from_u128), 0..6).prop_map(|uuids| {
        let cells: Vec<_> = uuids.iter().map(|uuid| Some(uuid.as_bytes().to_vec())).collect();
        let texts: Vec<_> = uuids.iter().map(ToString::to_string).collect();
        (Some(collection(cells.len(), &cells)), Some(json!(texts).to_string()))
    });
    let oracle = "ARRAY(SELECT e::uuid FROM jsonb_array_elements_text(x::jsonb) e)";
    agree(&Conversion { cql: set(CqlType::Uuid), pg: "uuid[]", oracle }, uuids);

    let integers = vec(proptest::option::weighted(0.9, any::<i32>()), 0..8).prop_map(|numbers| {
        let cells: Vec<_> =
            numbers.iter().map(|number| number.map(|number| number.to_be_bytes().to_vec())).collect();
        (Some(collection(cells.len(), &cells)), Some(json!(numbers).to_string()))
    });
    let oracle = "ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(x::jsonb) e)";
    let list = CqlType::List(Box::new(CqlType::Int));
    agree(&Conversion { cql: list.clone(), pg: "bigint[]", oracle }, integers.clone());
    agree(&Conversion { cql: list, pg: "smallint[]", oracle }, integers);
}

#[test]
fn records_become_jsonb_arrays() {
    let texts = vec(prop_oneof![9 => json_text(), 1 => near_json()], 0..4);
    let texts = texts
        .prop_filter("the oracle's own JSON cannot carry U+0000", |texts| !texts.concat().contains('\0'));
    let records = texts.clone().prop_map(|texts| {
        let cells: Vec<_> = texts.iter().map(|text| Some(text.clone().into_bytes())).collect();
        (Some(collection(cells.len(), &cells)), Some(json!(texts).to_string()))
    });
    let oracle = "ARRAY(SELECT e::jsonb FROM jsonb_array_elements_text(x::jsonb) e)";
    agree(&Conversion { cql: set(CqlType::Text), pg: "jsonb[]", oracle }, records);
    let array = texts.prop_map(|texts| format!("[{}]", texts.join(" ,")));
    let array = prop_oneof![9 => array, 1 => json_text()];
    let oracle = "ARRAY(SELECT e FROM jsonb_array_elements(x::jsonb) e)";
    let sample = array.prop_map(|text| (Some(text.clone().into_bytes()), Some(text)));
    agree(&Conversion { cql: CqlType::Text, pg: "jsonb[]", oracle }, sample);
}

#[test]
fn maps_and_types_become_json() {
    let headers = proptest::collection::btree_map(storable(), vec(storable(), 0..4), 0..5);
    let headers = headers.prop_map(|headers| {
        let mut cells = Vec::new();
        for (name, values) in &headers {
            let values: Vec<_> = values.iter().map(|value| Some(value.clone().into_bytes())).collect();
            cells.push(Some(name.clone().into_bytes()));
            cells.push(Some(collection(values.len(), &values)));
        }
        (Some(collection(headers.len(), &cells)), Some(json!(headers).to_string()))
    });
    let cql = CqlType::Map(Box::new(CqlType::Text), Box::new(set(CqlType::Text)));
    agree(&Conversion { cql, pg: "jsonb", oracle: "x::jsonb" }, headers);

    let fields = vec![("port".to_owned(), CqlType::Int), ("weight".to_owned(), CqlType::Double)];
    let udt = CqlType::Udt { name: "target".into(), fields };
    let list = CqlType::List(Box::new(CqlType::Tuple(vec![CqlType::Boolean, CqlType::Varint, udt])));
    let weight = any::<i32>().prop_map(|weight| f64::from(weight) / 1_000.0);
    let parts = (any::<bool>(), varint(), proptest::option::of(any::<i32>()), weight);
    let sample = vec(parts, 0..4).prop_map(|parts| {
        let mut cells = Vec::new();
        let mut texts = Vec::new();
        for (flag, (bytes, digits), port, weight) in parts {
            let port_bytes = port.map(i32::to_be_bytes);
            let udt =
                [framed(port_bytes.as_ref().map(<[u8; 4]>::as_slice)), framed(Some(&weight.to_be_bytes()))];
            let tuple = [framed(Some(&[u8::from(flag)])), framed(Some(&bytes)), framed(Some(&udt.concat()))];
            cells.push(Some(tuple.concat()));
            let digits = match digits.trim_start_matches(['-', '0']) {
                "" => "0".to_owned(),
                rest if digits.starts_with('-') => format!("-{rest}"),
                rest => rest.to_owned(),
            };
            let port = port.map_or("null".to_owned(), |port| port.to_string());
            texts.push(format!("[{flag},{digits},{{\"port\":{port},\"weight\":{}}}]", Value::from(weight)));
        }
        (Some(collection(cells.len(), &cells)), Some(format!("[{}]", texts.join(","))))
    });
    agree(&Conversion { cql: list, pg: "jsonb", oracle: "x::jsonb" }, sample);
}

/// JSON with the blanks, escapes and numbers a server might stumble over.
fn json_text() -> impl Strategy<Value = String> + Clone {
    let blank = "[ \t\n\r]{0,2}";
    let string = prop_oneof![
        4 => "[a-zäß漢🦀 /]{0,8}".prop_map(|text| format!("\"{text}\"")),
        2 => r#"(\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|[a-z]|\\ud83d\\ude00|\\u00[0-2][0-9a-f]){0,5}"#.prop_map(|text| format!("\"{text}\"")),
    ];
    let number = prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        1 => "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,4})?[eE][+-]?(1638[0-9]|13107[0-9]|13108[0-9]|[0-9]{1,9})",
    ];
    let scalar =
        prop_oneof![string.clone(), number, Just("true".into()), Just("false".into()), Just("null".into())];
    let value = scalar.prop_recursive(4, 24, 4, move |inner| {
        let padded =
            (blank, inner, blank).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let member = (blank, string.clone(), blank, padded.clone())
            .prop_map(|(before, key, after, value)| format!("{before}{key}{after}:{value}"));
        prop_oneof![
            vec(padded, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    (blank, value, blank).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
}

/// JSON with some places changed, and heaps of its tokens: mostly not JSON any more.
fn near_json() -> impl Strategy<Value = String> + Clone {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\\u"),
        Just("0"),
        Just("-"),
        Just("."),
        Just("e"),
        Just("1"),
        Just("\"a\""),
        Just("true"),
        Just("null"),
        Just(" "),
        Just("\t"),
        Just("\u{c}"),
        Just("\u{b}"),
        Just("\u{a0}"),
        Just("\u{7f}"),
        Just("\u{1}"),
        Just("\0"),
        Just("\u{feff}"),
        Just("'"),
        Just("/*"),
        Just("NaN"),
        Just("+"),
        Just("x"),
        Just("\\ud800"),
        Just("\\udc00"),
        Just("\\u0000"),
        Just("ä"),
    ];
    let edited = (json_text(), vec((any::<prop::sample::Index>(), 0..3_usize, token.clone()), 1..3))
        .prop_map(|(text, edits)| {
            let mut characters: Vec<char> = text.chars().collect();
            for (place, removed, inserted) in edits {
                let at = place.index(characters.len() + 1);
                let to = (at + removed).min(characters.len());
                characters.splice(at..to, inserted.chars());
            }
            characters.into_iter().collect()
        });
    prop_oneof![edited, vec(token, 0..8).prop_map(|tokens| tokens.concat())]
}

/// JSON travels to the oracle as hexadecimal digits, so that it can be any bytes. The empty string is NULL, as Kong reads it.
const AS_JSONB: &str = "nullif(convert_from(decode(x, 'hex'), 'UTF8'), '')::jsonb";
const AS_JSON: &str = "nullif(convert_from(decode(x, 'hex'), 'UTF8'), '')::json";

fn json_sample(text: &str) -> Sample {
    (Some(text.as_bytes().to_vec()), Some(hex(text.as_bytes())))
}

#[test]
fn the_verdict_on_json_is_the_servers() {
    let texts = prop_oneof![json_text(), near_json()].prop_map(|text| json_sample(&text));
    for (pg, oracle) in [("jsonb", AS_JSONB), ("json", AS_JSON)] {
        agree(&Conversion { cql: CqlType::Text, pg, oracle }, texts.clone());
    }
}

/// Texts that are JSON, nearly JSON, or JSON one of the two types refuses.
const NASTY: &[&str] = &[
    "",
    " ",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-0",
    "00",
    "01",
    "-",
    "+1",
    ".5",
    "1.",
    "1.e1",
    "1e",
    "1e+",
    "0x1",
    "1a",
    "1_0",
    "tru",
    "TRUE",
    "truex",
    "nul",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "'a'",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\":1 \"b\":2}",
    "{a:1}",
    "{1:2}",
    "{\"a\":1,\"a\":2}",
    "{\"\":1}",
    "[}",
    "{]",
    "[",
    "]",
    "{",
    "1 2",
    "{} {}",
    "\"a",
    "a\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\\u123\"",
    "\"\\U0041\"",
    "\"\t\"",
    "\"\n\"",
    "\"\u{7f}\"",
    "\"\u{0}\"",
    "\u{0}",
    "\u{feff}{}",
    "\u{a0}1",
    "\u{2028}",
    "\u{b}1",
    "\u{c}1",
    "/**/1",
    "//\n1",
    "#",
    "[1]x",
    r#""\u0000""#,
    r#""\\u0000""#,
    r#""\ud800""#,
    r#""\udc00""#,
    r#""\ud83d\ude00""#,
    r#""\ude00\ud83d""#,
    r#""\ud83d\ud83d""#,
    r#""\ud83d\ud83d\ude00""#,
    r#""\ud83dx\ude00""#,
    r#""\ud83d\n\ude00""#,
    r#""\ud83d\u0041""#,
    r#""\uD83D\uDE00\u0000""#,
    r#"{"\u0000":1}"#,
    r#"{"\ud800":1}"#,
    r#""\uffff\ufffe""#,
    "1e131071",
    "1e131072",
    "-10e131071",
    "0.001e131074",
    "0.001e131075",
    "1e-16383",
    "1e-16384",
    "1.0e-16383",
    "0e1000000",
    "0e-16383",
    "0e-16384",
    "0.0e-16383",
    "1e400000",
    "1e1073741824",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "123456789012345678901234567890.0000001",
    "-0.0e-0",
    "1E+2",
    "[1e5,1E5,1e+05,1e-05]",
];

#[test]
fn the_verdict_on_nasty_json_is_the_servers() {
    let zeros = "0".repeat(131_071);
    let nested = |depth, (open, middle, close): (&str, &str, &str)| {
        format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    let mut texts: Vec<String> = NASTY.iter().map(ToString::to_string).collect();
    texts.extend([
        format!("1{zeros}"),
        format!("10{zeros}"),
        format!("0.{}", &zeros[..16_383]),
        format!("0.{}", &zeros[..16_384]),
        format!("0.{}1", &zeros[..16_382]),
        format!("1{zeros}.5"),
        format!("\"{}\"", "ä".repeat(100_000)),
        nested(1_000, ("[", "", "]")),
        nested(1_000, ("{\"a\":", "1", "}")),
        nested(500_000, ("[", "", "]")),
        nested(500_000, ("{\"a\":", "1", "}")),
        nested(500, ("[{\"a\":", "null", "}]")),
        "[".repeat(500_000),
    ]);
    let samples: Vec<_> = texts.iter().map(|text| json_sample(text)).collect();
    agree_on(&VERSIONS, &Conversion { cql: CqlType::Text, pg: "jsonb", oracle: AS_JSONB }, &samples);
    agree_on(&VERSIONS, &Conversion { cql: CqlType::Text, pg: "json", oracle: AS_JSON }, &samples);
}
