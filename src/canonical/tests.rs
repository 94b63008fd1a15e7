//! The form of whole rows, and the test vectors of the documentation.

use serde_json::Value;

use super::*;

/// A type by the name that the documentation uses for it.
fn ty(name: &str) -> PgType {
    let kind = match name {
        "boolean" => PgKind::Bool,
        "bytea" => PgKind::Bytea,
        "double precision" => PgKind::Double,
        "integer" => PgKind::Int4,
        "json" => PgKind::Json,
        "jsonb" => PgKind::Jsonb,
        "numeric" => PgKind::Numeric,
        "real" => PgKind::Real,
        "text" => PgKind::Text,
        "timestamp with time zone" => PgKind::Timestamptz,
        "uuid" => PgKind::Uuid,
        "text[]" => PgKind::Array(Box::new(ty("text"))),
        "jsonb[]" => PgKind::Array(Box::new(ty("jsonb"))),
        name if name.starts_with("character") => PgKind::Varchar(None),
        other => panic!("type {other}"),
    };
    PgType { oid: 0, name: name.to_owned(), kind }
}

fn form(table: &str, columns: &[(&str, &str, Option<Collection>)]) -> RowForm {
    let types: Vec<PgType> = columns.iter().map(|(_, name, _)| ty(name)).collect();
    let columns: Vec<FormColumn<'_>> = columns
        .iter()
        .zip(&types)
        .map(|((name, _, collection), ty)| FormColumn { name, ty, collection: *collection })
        .collect();
    RowForm::new(table, &columns, Some("ttl"))
}

fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = u16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        let length = field.map_or(-1, |value| i32::try_from(value.len()).unwrap());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field.unwrap_or_default());
    }
    bytes
}

fn digest(form: &RowForm, fields: &[Option<&[u8]>]) -> Digest {
    let bytes = tuple(fields);
    let (row, length) = form.digest(&bytes, &mut Scratch::default()).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    row.digest
}

fn one(name: &str, collection: Option<Collection>, value: Option<&[u8]>) -> Digest {
    digest(&form("t", &[("c", name, collection)]), &[value])
}

#[test]
fn table_names_and_column_names_count_and_the_order_of_columns_does_not() {
    let (a, b): (Option<&[u8]>, Option<&[u8]>) = (Some(b"1"), Some(b"2"));
    let (x, y) = (("x", "text", None), ("y", "text", None));
    let first = digest(&form("t", &[x, y]), &[a, b]);
    assert_eq!(first, digest(&form("t", &[y, x]), &[b, a]));
    assert_ne!(first, digest(&form("t", &[x, y]), &[b, a]));
    assert_ne!(first, digest(&form("u", &[x, y]), &[a, b]));
    assert_ne!(first, digest(&form("t", &[x, ("z", "text", None)]), &[a, b]));
}

#[test]
fn swapped_values_of_two_rows_change_the_sum() {
    let form = form("t", &[("id", "integer", None), ("v", "text", None)]);
    let row = |id: i32, value: &str| digest(&form, &[Some(&id.to_be_bytes()), Some(value.as_bytes())]);
    assert_ne!(row(1, "a").plus(row(2, "b")), row(1, "b").plus(row(2, "a")));
}

#[test]
fn null_and_empty_text_differ_and_fields_do_not_run_into_each_other() {
    let form = form("t", &[("x", "text", None), ("y", "text", None)]);
    let rows: [[Option<&[u8]>; 2]; 6] = [
        [None, None],
        [Some(b""), None],
        [None, Some(b"")],
        [Some(b""), Some(b"")],
        [Some(b"ab"), Some(b"c")],
        [Some(b"a"), Some(b"bc")],
    ];
    for (index, row) in rows.iter().enumerate() {
        for other in &rows[index + 1..] {
            assert_ne!(digest(&form, row), digest(&form, other), "{row:?} {other:?}");
        }
    }
}

#[test]
fn what_the_server_makes_of_a_value_does_not_count() {
    assert_eq!(one("character(3)", None, Some(b"a  ")), one("character(3)", None, Some(b"a")));
    assert_ne!(
        one("character varying(3)", None, Some(b"a  ")),
        one("character varying(3)", None, Some(b"a"))
    );
    let double = |number: f64| one("double precision", None, Some(&number.to_be_bytes()));
    assert_eq!(double(-0.0), double(0.0));
    assert_eq!(double(f64::NAN), double(-f64::NAN));
    assert_ne!(double(f64::NAN), double(f64::INFINITY));
    let real = |number: f32| one("real", None, Some(&number.to_be_bytes()));
    assert_eq!(real(-0.0), real(0.0));
    assert_ne!(real(0.0), real(f32::MIN_POSITIVE));
    assert_eq!(
        one("jsonb", None, Some(b"\x01{\"b\":1,\"a\":2}")),
        one("jsonb", None, Some(b"\x01{\"a\": 2.0, \"b\": 1}"))
    );
    assert_eq!(one("jsonb", None, Some(b"\x01[1]")), one("json", None, Some(b"[1]")));
}

/// A binary array of texts.
fn texts(values: &[Option<&str>]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut bytes = [number(usize::from(!values.is_empty())), number(1), number(25)].concat();
    if !values.is_empty() {
        bytes.extend_from_slice(&[number(values.len()), number(1)].concat());
    }
    for value in values {
        bytes.extend_from_slice(&value.map_or([0xff; 4], |value| number(value.len())));
        bytes.extend_from_slice(value.unwrap_or_default().as_bytes());
    }
    bytes
}

#[test]
fn order_counts_in_lists_and_not_in_sets_and_empty_is_null() {
    let array = |collection, values: &[Option<&str>]| one("text[]", collection, Some(&texts(values)));
    let (set, list) = (Some(Collection::Set), Some(Collection::Other));
    let (ab, ba) = ([Some("a"), Some("b")], [Some("b"), Some("a")]);
    assert_eq!(array(set, &ab), array(set, &ba));
    assert_ne!(array(list, &ab), array(list, &ba));
    assert_ne!(array(set, &ab), array(set, &[Some("a")]));
    assert_ne!(array(set, &[Some("a"), Some("a")]), array(set, &[Some("a")]));
    assert_ne!(array(list, &[None]), array(list, &[Some("")]));
    for collection in [set, list] {
        assert_eq!(array(collection, &[]), one("text[]", collection, None));
    }
    assert_eq!(one("jsonb", list, Some(b"\x01{}")), one("jsonb", list, None));
    assert_ne!(one("jsonb", None, Some(b"\x01{}")), one("jsonb", None, None));
}

#[test]
fn the_flag_for_nulls_and_the_type_of_elements_say_nothing() {
    let plain = texts(&[Some("a")]);
    let mut other = plain.clone();
    other[7] = 0;
    other[11] = 99;
    assert_ne!(plain, other);
    assert_eq!(one("text[]", None, Some(&plain)), one("text[]", None, Some(&other)));
}

#[test]
fn any_instant_of_expiry_is_the_same_where_that_is_asked_for() {
    let exact = form("t", &[("ttl", "timestamp with time zone", None)]);
    let any = exact.with_any_instant();
    let (one, other) = (1_500_000_i64.to_be_bytes(), 61_500_000_i64.to_be_bytes());
    let fields = |value: &'static [u8]| vec![Some(value)];
    assert_ne!(digest(&exact, &[Some(&one)]), digest(&exact, &[Some(&other)]));
    assert_eq!(digest(&any, &[Some(&one)]), digest(&any, &[Some(&other)]));
    assert_ne!(digest(&any, &[Some(&one)]), digest(&any, &[None]));
    let mut scratch = Scratch::default();
    let bytes = tuple(&[Some(&one)]);
    let (row, _) = exact.digest(&bytes, &mut scratch).unwrap().unwrap();
    assert_eq!(row.expires, Some(EPOCH_SECONDS + 1));
    assert_eq!(digest(&exact, &fields(b"short")), digest(&exact, &fields(b"short")));
}

#[test]
fn a_tuple_cut_short_asks_for_more_and_one_of_another_table_is_refused() {
    let form = form("t", &[("x", "text", None), ("y", "text", None)]);
    let bytes = tuple(&[Some(b"abc"), None]);
    for end in 0..bytes.len() {
        assert_eq!(form.digest(&bytes[..end], &mut Scratch::default()), Ok(None));
    }
    assert_eq!(form.digest(&tuple(&[None]), &mut Scratch::default()), Err(OtherLayout));
    assert_eq!(form.digest(&[0xff, 0xff], &mut Scratch::default()), Err(OtherLayout));
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Rows of the documentation: what is written there is what comes of them.
#[test]
fn the_vectors_of_the_documentation_hold() {
    let document = include_str!("../../docs/canonical-form.md");
    let (_, rest) = document.split_once("```json\n").expect("a block of vectors");
    let (block, _) = rest.split_once("```").unwrap();
    let vectors: Vec<Value> = serde_json::from_str(block).unwrap();
    assert!(vectors.len() >= 5);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut wrong = Vec::new();
    for vector in &vectors {
        let columns: Vec<(String, String, Option<Collection>)> = vector["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| {
                let collection = match column.get(2).and_then(Value::as_str) {
                    Some("set") => Some(Collection::Set),
                    Some(_) => Some(Collection::Other),
                    None => None,
                };
                (text(&column[0]), text(&column[1]), collection)
            })
            .collect();
        let columns: Vec<_> = columns.iter().map(|(name, ty, c)| (name.as_str(), ty.as_str(), *c)).collect();
        let form = form(vector["table"].as_str().unwrap(), &columns);
        let values: Vec<Option<Vec<u8>>> =
            vector["fields"].as_array().unwrap().iter().map(|field| field.as_str().map(unhex)).collect();
        let fields: Vec<_> = values.iter().map(Option::as_deref).collect();
        let found: String =
            form.form_of(&tuple(&fields)).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = digest(&form, &fields).to_string();
        if found != vector["form"].as_str().unwrap() || digest != vector["digest"].as_str().unwrap() {
            wrong.push(format!("{}: form {found} digest {digest}", vector["table"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
