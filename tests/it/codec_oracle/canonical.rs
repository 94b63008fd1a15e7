//! The canonical form: two values have one form exactly when the server takes them for equal.

use futures::StreamExt as _;
use kongferry::canonical::{FormColumn, RowForm};
use kongferry::target::catalog::{PgKind, PgType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::oracle::VERSIONS;

fn form_of(kind: PgKind, name: &str) -> RowForm {
    let ty = PgType { oid: 0, name: name.to_owned(), kind };
    RowForm::new("t", &[FormColumn { name: "v", ty: &ty, collection: None }], None)
}

/// Pairs of texts as values of a type: the forms are equal where the server's values are.
fn agree(kind: &PgKind, name: &str, texts: impl Strategy<Value = String> + Clone) {
    let form = form_of(kind.clone(), name);
    for version in VERSIONS {
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(async {
            let url = crate::support::servers::postgres(version).url.clone();
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let setup = format!(
                "SET extra_float_digits = 3; CREATE TEMPORARY TABLE pairs (n int PRIMARY KEY, a {name}, b {name})"
            );
            client.batch_execute(&setup).await.unwrap();
            client
        });
        let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
        let pairs = vec((texts.clone(), texts.clone()), 1..80);
        let equal = std::cell::Cell::new(0);
        let checked = TestRunner::new(config).run(&pairs, |pairs| {
            let (a, b): (Vec<String>, Vec<String>) = pairs.iter().cloned().unzip();
            let (verdicts, ours, theirs) = runtime.block_on(async {
                client.batch_execute("TRUNCATE pairs").await.unwrap();
                let insert = format!(
                    "INSERT INTO pairs SELECT n, a::{name}, b::{name}
                     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY e (a, b, n)"
                );
                client.execute(&insert, &[&a, &b]).await.unwrap();
                let rows = client.query("SELECT a = b FROM pairs ORDER BY n", &[]).await.unwrap();
                let verdicts: Vec<bool> = rows.iter().map(|row| row.get(0)).collect();
                (verdicts, forms(&client, &form, "a").await, forms(&client, &form, "b").await)
            });
            prop_assert_eq!(ours.len(), pairs.len());
            for (index, verdict) in verdicts.iter().enumerate() {
                prop_assert_eq!(ours[index] == theirs[index], *verdict, "{}: {:?}", name, &pairs[index]);
                equal.set(equal.get() + u32::from(*verdict));
                if *kind == PgKind::Jsonb {
                    // What is sent has the form of what comes back.
                    let sent = form.form_of(&tuple(pairs[index].0.as_bytes()));
                    prop_assert_eq!(sent.as_ref(), Some(&ours[index]), "{:?}", &pairs[index].0);
                }
            }
            Ok(())
        });
        if let Err(failure) = checked {
            panic!("PostgreSQL {version}: {failure}");
        }
        assert!(equal.get() > 0, "PostgreSQL {version}: no pair of {name} was equal, which proves nothing");
    }
}

/// A tuple of one jsonb value.
fn tuple(text: &[u8]) -> Vec<u8> {
    let length = i32::try_from(text.len() + 1).unwrap().to_be_bytes();
    [&[0, 1][..], &length, &[1], text].concat()
}

/// The forms of a column, as the server sends its values.
async fn forms(client: &Client, form: &RowForm, column: &str) -> Vec<Vec<u8>> {
    let sql = format!("COPY (SELECT {column} FROM pairs ORDER BY n) TO STDOUT (FORMAT binary)");
    let stream = client.copy_out(&sql).await.unwrap();
    futures::pin_mut!(stream);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    let (mut rest, mut forms) = (&bytes[19..bytes.len() - 2], Vec::new());
    while !rest.is_empty() {
        let length = 6 + usize::try_from(i32::from_be_bytes(rest[2..6].try_into().unwrap())).unwrap();
        forms.push(form.form_of(&rest[..length]).unwrap());
        rest = &rest[length..];
    }
    forms
}

/// Few values in many ways of writing them.
fn number() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        4 => ("-?", "(0|1|10|12|100)", "(\\.0{0,3}|\\.50{0,2})?").prop_map(|(sign, whole, fraction)| {
            let fraction = if fraction == "." { String::new() } else { fraction };
            format!("{sign}{whole}{fraction}")
        }),
        4 => ("-?(0|1|12|120|0\\.1|0\\.012)", -3..4).prop_map(|(mantissa, exponent)| format!("{mantissa}e{exponent}")),
        1 => "[1-9][0-9]{15,19}(\\.[0-9]{1,3})?",
        1 => Just("18446744073709551616".to_owned()),
        1 => Just("18446744073709551617.0".to_owned()),
        1 => Just("1e400".to_owned()),
        1 => Just("0.1e401".to_owned()),
    ]
}

fn json() -> impl Strategy<Value = String> + Clone {
    let string = prop_oneof![
        r#""(a|\\u0061|b|\\u00e4|ä|\\/|/|😀|\\ud83d\\ude00){0,2}""#.prop_map(|text| text),
        Just(r#""\n""#.to_owned()),
        Just(r#""\u000a""#.to_owned()),
    ];
    let scalar = prop_oneof![
        3 => number(), 3 => string, 1 => Just("true".to_owned()), 1 => Just("null".to_owned()),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof![Just("\"a\""), Just("\"\\u0061\""), Just("\"bb\""), Just("\"B\"")];
        let member =
            (key, "[ ]?", inner.clone()).prop_map(|(key, blank, value)| format!("{key}:{blank}{value}"));
        prop_oneof![
            vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(" ,"))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(", "))),
        ]
    })
}

#[test]
fn json_has_one_form_where_jsonb_is_equal() {
    agree(&PgKind::Jsonb, "jsonb", json());
}

#[test]
fn numbers_have_one_form_where_they_are_equal() {
    let with_nan = prop_oneof![20 => number(), 1 => Just("NaN".to_owned())];
    agree(&PgKind::Numeric, "numeric", with_nan.clone());
    let small = prop_oneof![
        10 => ("-?(0|1|2|0\\.5)", "(\\.0+)?").prop_map(|(whole, zeros)| if whole.contains('.') { whole } else { whole + &zeros }),
        2 => Just("-0".to_owned()), 1 => Just("NaN".to_owned()), 1 => Just("-Infinity".to_owned()),
    ];
    agree(&PgKind::Double, "double precision", small.clone());
    agree(&PgKind::Real, "real", small);
}

#[test]
fn texts_instants_and_arrays_have_one_form_where_they_are_equal() {
    agree(&PgKind::Varchar(Some(5)), "character(5)", "(a|b)?[ ]{0,3}");
    agree(&PgKind::Text, "text", "(a|b)?[ ]{0,3}");
    let instant = (0..3_u8, 0..3_u8, "(\\.5|\\.50|\\.000001)?")
        .prop_map(|(hour, zone, fraction)| format!("2024-01-01 0{hour}:00:00{fraction}+0{zone}"));
    agree(&PgKind::Timestamptz, "timestamp with time zone", instant);
    let text = || Box::new(PgType { oid: 25, name: "text".to_owned(), kind: PgKind::Text });
    let array = vec(prop_oneof![Just("a"), Just("\"a\""), Just("b"), Just("NULL"), Just("\"\"")], 1..4)
        .prop_map(|elements| format!("{{{}}}", elements.join(",")));
    agree(&PgKind::Array(text()), "text[]", array);
}
