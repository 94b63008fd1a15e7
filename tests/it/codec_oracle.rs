//! Every conversion, with `PostgreSQL` as the oracle.
//!
//! Random values are written as CQL bytes (by the native protocol's specification, in this file), shaped, copied into a
//! table, and rendered by the server. The same value as text goes through an SQL expression on the same server. The two
//! must agree on each value: the same text, or both refuse it.

mod canonical;
mod cql_bytes;
mod json;
mod oracle;

use std::net::IpAddr;

use kongferry::source::CqlType;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use cql_bytes::{collection, framed, hex, storable, text, varint, vint};
use oracle::{Conversion, agree, agree_in, agree_on};

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
