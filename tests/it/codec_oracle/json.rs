//! JSON: our verdict on a text is the server's, in both directions.

use kongferry::source::CqlType;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::cql_bytes::{collection, hex};
use super::oracle::{Conversion, Sample, VERSIONS, agree, agree_on};

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
fn records_become_jsonb_arrays() {
    let texts = vec(prop_oneof![9 => json_text(), 1 => near_json()], 0..4);
    let texts = texts
        .prop_filter("the oracle's own JSON cannot carry U+0000", |texts| !texts.concat().contains('\0'));
    let records = texts.clone().prop_map(|texts| {
        let cells: Vec<_> = texts.iter().map(|text| Some(text.clone().into_bytes())).collect();
        (Some(collection(cells.len(), &cells)), Some(json!(texts).to_string()))
    });
    let oracle = "ARRAY(SELECT e::jsonb FROM jsonb_array_elements_text(x::jsonb) e)";
    agree(&Conversion { cql: CqlType::Set(Box::new(CqlType::Text)), pg: "jsonb[]", oracle }, records);
    let array = texts.prop_map(|texts| format!("[{}]", texts.join(" ,")));
    let array = prop_oneof![9 => array, 1 => json_text()];
    let oracle = "ARRAY(SELECT e FROM jsonb_array_elements(x::jsonb) e)";
    let sample = array.prop_map(|text| (Some(text.clone().into_bytes()), Some(text)));
    agree(&Conversion { cql: CqlType::Text, pg: "jsonb[]", oracle }, sample);
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
