use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::schema_map::{Origin, Output, Production};
use crate::source::{SelectItem, Selection};
use crate::target::catalog::{PgKind, PgType};

const WS: &str = "3ee332ee-02e9-4566-a322-92ed644cb41e";
const SERVICE: &str = "0c9b4625-36da-597c-938e-e3a0283d17c2";

fn pg(kind: PgKind) -> PgType {
    let name = format!("{kind:?}").to_lowercase();
    PgType { oid: 0, name, kind }
}

fn output(column: &str, kind: PgKind, from: Production) -> Output {
    Output { column: column.into(), ty: pg(kind), not_null: false, from }
}

fn not_null(column: &str, kind: PgKind, from: Production) -> Output {
    Output { not_null: true, ..output(column, kind, from) }
}

fn mapping(types: Vec<CqlType>, outputs: Vec<Output>) -> TableMapping {
    let items = (0..types.len()).map(|item| SelectItem::Column(format!("c{item}"))).collect();
    TableMapping {
        table: "plugins".into(),
        origin: Origin::BuiltIn,
        selection: Selection { table: "plugins".into(), items },
        types,
        key: vec![0],
        required: vec![],
        constants: vec![],
        outputs,
        notes: Vec::new(),
        sequences: Vec::new(),
        secrets: Vec::new(),
        hash: 0,
    }
}

fn page(rows: &[&[Option<&[u8]>]]) -> Page {
    let mut body = Vec::new();
    for cell in rows.iter().copied().flatten() {
        match cell {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(cell) => {
                body.extend_from_slice(&i32::try_from(cell.len()).unwrap().to_be_bytes());
                body.extend_from_slice(cell);
            }
        }
    }
    Page { rows: rows.len(), body: Bytes::from(body), read_at: 1_000_000_000 }
}

fn shape(mapping: &TableMapping, rows: &[&[Option<&[u8]>]]) -> Shaped {
    shape_within(
        ShaperContext { default_workspace: Some(uuid(WS)), active_keys: &[], ..ShaperContext::default() },
        mapping,
        rows,
    )
}

fn shape_within(context: ShaperContext<'_>, mapping: &TableMapping, rows: &[&[Option<&[u8]>]]) -> Shaped {
    let mut shaped = Shaped::default();
    RowShaper::compile(mapping, context).unwrap().shape(&page(rows), &mut shaped).unwrap();
    assert!(shaped.is_conserved());
    shaped
}

/// The fields of each tuple.
fn tuples(shaped: &Shaped) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut start = 0;
    let mut tuples = Vec::new();
    for mark in &shaped.tuples {
        let (count, fields) = shaped.copy[start..mark.end].split_first_chunk::<2>().unwrap();
        let mut cells = Cells::new(fields);
        let fields =
            (0..i16::from_be_bytes(*count)).map(|_| cells.cell().unwrap().map(<[u8]>::to_vec)).collect();
        assert!(cells.is_empty());
        tuples.push(fields);
        start = mark.end;
    }
    assert_eq!(start, shaped.copy.len());
    tuples
}

fn repaired(shaped: &Shaped) -> Vec<(Repair, u64)> {
    let counts = Repair::ALL.iter().map(|repair| (*repair, shaped.repaired[*repair as usize]));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

fn texts(fields: &[Option<Vec<u8>>]) -> Vec<Option<&str>> {
    fields.iter().map(|field| field.as_deref().map(|text| std::str::from_utf8(text).unwrap())).collect()
}

#[test]
fn counters_are_found_by_their_own_index() {
    for (index, repair) in Repair::ALL.iter().enumerate() {
        assert_eq!(*repair as usize, index);
    }
}

#[test]
fn a_rejected_row_leaves_nothing_behind() {
    let mapping = mapping(
        vec![CqlType::Uuid, CqlType::Text, CqlType::Int],
        vec![
            not_null("id", PgKind::Uuid, Production::Copy { item: 0 }),
            output("name", PgKind::Text, Production::StripWorkspace { item: 1 }),
            output("depth", PgKind::Int2, Production::Copy { item: 2 }),
        ],
    );
    let (id, prefix) = (uuid(SERVICE), format!("{WS}:"));
    let (big, small) = (70_000_i32.to_be_bytes(), 7_i32.to_be_bytes());
    let shaped = shape(
        &mapping,
        &[
            &[Some(id.as_bytes()), Some(b"one"), Some(&small)],
            &[Some(id.as_bytes()), Some(prefix.as_bytes()), Some(&big)],
            &[Some(id.as_bytes()), Some(b"a\0b"), Some(&big)],
            &[None, Some(b"two"), None],
            &[Some(id.as_bytes()), Some(prefix.as_bytes()), None],
        ],
    );
    let seven = Some(7_i16.to_be_bytes().to_vec());
    let id_field = Some(id.as_bytes().to_vec());
    let expected = vec![vec![id_field.clone(), Some(b"one".to_vec()), seven], vec![id_field, None, None]];
    assert_eq!(tuples(&shaped), expected);
    assert_eq!(shaped.tuples.iter().map(|mark| mark.row).collect::<Vec<_>>(), [0, 4]);
    assert_eq!(repaired(&shaped), [(Repair::EmptyToNull, 1)]);
    let reject =
        |row, key: &str, column: &str, reason| Reject { row, key: key.into(), column: column.into(), reason };
    let rejects = [
        reject(1, SERVICE, "depth", Reason::OutOfRange),
        reject(2, SERVICE, "name", Reason::NulCharacter),
        reject(3, "NULL", "id", Reason::NullInNotNull),
    ];
    assert_eq!(shaped.rejects, rejects);
}

#[test]
fn rows_kong_does_not_see_are_skipped_before_their_values_are_looked_at() {
    let mut mapping = mapping(
        vec![CqlType::Text, CqlType::Text, CqlType::Text],
        vec![output("name", PgKind::Text, Production::Copy { item: 1 })],
    );
    mapping.constants = vec![(0, "services".into())];
    mapping.required = vec![2];
    let shaped = shape(
        &mapping,
        &[
            &[Some(b"services"), Some(b"a"), Some(b"x")],
            &[Some(b"routes"), Some(b"\0"), None],
            &[Some(b"services"), Some(b"\0"), None],
            &[Some(b"services"), None, Some(b"")],
        ],
    );
    assert_eq!(tuples(&shaped), [[Some(b"a".to_vec())], [None]]);
    assert_eq!(shaped.skipped[Class::ForeignPartition as usize], 1);
    assert_eq!(shaped.skipped[Class::GhostRow as usize], 1);
}

#[test]
fn policies_decide_what_becomes_of_a_row() {
    let mut mapping = mapping(
        vec![CqlType::Uuid, CqlType::Text, CqlType::Int],
        vec![
            not_null("id", PgKind::Uuid, Production::Copy { item: 0 }),
            output("name", PgKind::Text, Production::StripWorkspace { item: 1 }),
            output("depth", PgKind::Int2, Production::Copy { item: 2 }),
        ],
    );
    mapping.required = vec![1];
    let (id, twice) = (uuid(SERVICE), format!("{WS}:{WS}:x"));
    let big = 70_000_i32.to_be_bytes();
    let rows: &[&[Option<&[u8]>]] = &[
        &[Some(id.as_bytes()), Some(b"good"), None],
        &[Some(id.as_bytes()), Some(b"big"), Some(&big)],
        &[Some(id.as_bytes()), None, None],
        &[Some(id.as_bytes()), Some(twice.as_bytes()), None],
        &[Some(id.as_bytes()), Some(b"no bytes"), Some(b"")],
    ];
    let shaped_under = |choices: &[&str]| {
        let mut policies = Policies::default();
        for choice in choices {
            policies.choose(choice.parse().unwrap()).unwrap();
        }
        let context = ShaperContext { policies, ..ShaperContext::default() };
        let compiled = RowShaper::compile(&mapping, context).unwrap();
        let (page, mut shaped) = (page(rows), Shaped::default());
        compiled.shape(&page, &mut shaped).unwrap();
        assert!(shaped.is_conserved());
        let cut = compiled.cut(&page, shaped.rejects.iter().map(|reject| reject.row)).unwrap();
        for (reject, body) in shaped.rejects.iter().zip(cut) {
            let alone = Page { rows: 1, body: body.into(), ..page.clone() };
            let mut again = Shaped::default();
            compiled.shape(&alone, &mut again).unwrap();
            assert_eq!(again.rejects, [Reject { row: 0, ..reject.clone() }], "not the row itself");
        }
        let mut without = Shaped::default();
        compiled.shape_where(&page, &mut without, |row| row != 0).unwrap();
        assert_eq!(without.read, 4);
        shaped
    };
    let rejected = |shaped: &Shaped| {
        shaped
            .rejects
            .iter()
            .map(|reject| (reject.row, reject.column.clone(), reject.class()))
            .collect::<Vec<_>>()
    };
    let shaped = shaped_under(&[]);
    assert_eq!(rejected(&shaped), [(1, "depth".to_owned(), Class::OutOfRange)]);
    assert_eq!((shaped.tuples.len(), shaped.skipped[Class::GhostRow as usize]), (3, 1));
    let shaped = shaped_under(&[
        "out-of-range=skip",
        "ghost-row=quarantine",
        "double-prefix=quarantine",
        "zero-length=skip",
    ]);
    let expected =
        [(2, shaped.rejects[0].column.clone(), Class::GhostRow), (3, "name".to_owned(), Class::DoublePrefix)];
    assert_eq!(rejected(&shaped), expected);
    assert_eq!(shaped.skipped[Class::OutOfRange as usize], 1);
    assert_eq!(shaped.skipped[Class::ZeroLength as usize], 1);
    assert_eq!((shaped.tuples.len(), shaped.repaired), (1, [0; Repair::ALL.len()]));
}

#[test]
fn defaults_fill_what_is_missing() {
    let default = |item, value: &str| Production::Default { item, value: value.into() };
    let mapping = mapping(
        vec![CqlType::Text, CqlType::Uuid, CqlType::Boolean],
        vec![
            not_null("config", PgKind::Jsonb, default(Some(0), "{}")),
            output("ws_id", PgKind::Uuid, Production::Workspace { item: 1 }),
            not_null("enabled", PgKind::Bool, default(Some(2), "true")),
            output("slots", PgKind::Int4, default(None, "10000")),
        ],
    );
    let own = uuid(SERVICE);
    let shaped =
        shape(&mapping, &[&[Some(b"[1]"), Some(own.as_bytes()), Some(&[0])], &[Some(b""), None, Some(&[])]]);
    let slots = Some(10_000_i32.to_be_bytes().to_vec());
    let first = vec![Some(b"\x01[1]".to_vec()), Some(own.as_bytes().to_vec()), Some(vec![0]), slots.clone()];
    let second = vec![Some(b"\x01{}".to_vec()), Some(uuid(WS).as_bytes().to_vec()), Some(vec![1]), slots];
    assert_eq!(tuples(&shaped), [first, second]);
    let counts = [
        (Repair::EmptyToNull, 1),
        (Repair::DefaultWorkspace, 1),
        (Repair::Default, 2),
        (Repair::ZeroLength, 1),
    ];
    assert_eq!(repaired(&shaped), counts);

    let unknown = shape_within(ShaperContext::default(), &mapping, &[&[None, None, None]]);
    assert_eq!(tuples(&unknown)[0][1], None);
}

#[test]
fn stale_cache_keys_are_recomputed_from_what_is_written() {
    let parts = vec![Some(1), Some(2), None, None, None, Some(3)];
    let mapping = mapping(
        vec![CqlType::Text, CqlType::Text, CqlType::Uuid, CqlType::Uuid],
        vec![
            output(
                "cache_key",
                PgKind::Text,
                Production::CacheKey { item: 0, head: "plugins".into(), parts },
            ),
            output("name", PgKind::Text, Production::StripWorkspace { item: 1 }),
            output("service_id", PgKind::Uuid, Production::Copy { item: 2 }),
            output("ws_id", PgKind::Uuid, Production::Workspace { item: 3 }),
        ],
    );
    let (service, ws) = (uuid(SERVICE), uuid(WS));
    let name = format!("{WS}:acl");
    let current = format!("plugins:acl:{SERVICE}::::{WS}");
    let key_of = |stored: Option<&str>, service: Option<&[u8]>| {
        let shaped = shape(&mapping, &[&[stored.map(str::as_bytes), Some(name.as_bytes()), service, None]]);
        let tuple = &tuples(&shaped)[0];
        assert_eq!(texts(&tuple[1..2]), [Some("acl")]);
        assert_eq!(tuple[3].as_deref(), Some(&ws.as_bytes()[..]));
        let recomputed = shaped.repaired[Repair::CacheKey as usize];
        (texts(&tuple[..1])[0].map(str::to_owned), recomputed)
    };
    assert_eq!(key_of(Some("plugins:acl:x::::"), Some(service.as_bytes())), (Some(current.clone()), 1));
    assert_eq!(key_of(Some("targets:a:b::::nil"), Some(service.as_bytes())), (Some(current.clone()), 1));
    assert_eq!(key_of(Some(&current), None), (Some(current), 0));
    assert_eq!(key_of(Some("plugins:acl:::::"), None), (Some(format!("plugins:acl:::::{WS}")), 1));
    assert_eq!(key_of(None, None), (None, 0));

    // Without a workspace the key still ends in a colon, and is no other than the stored one.
    let row: &[Option<&[u8]>] = &[Some(b"plugins:acl:::::"), Some(b"acl"), None, None];
    let shaped = shape_within(ShaperContext::default(), &mapping, &[row]);
    assert_eq!(texts(&tuples(&shaped)[0])[0], Some("plugins:acl:::::"));
    assert_eq!(repaired(&shaped), []);
}

#[test]
fn expiries_are_those_of_the_tuples() {
    let mapping = mapping(
        vec![CqlType::Text, CqlType::Int, CqlType::Int],
        vec![
            output("ttl", PgKind::Timestamptz, Production::ExpiresAt { of: 1, others: vec![2] }),
            output("key", PgKind::Text, Production::Copy { item: 0 }),
        ],
    );
    let (one, two) = (60_i32.to_be_bytes(), 30_i32.to_be_bytes());
    let shaped = shape(
        &mapping,
        &[
            &[Some(b"a"), Some(&one), None],
            &[Some(b"\0"), Some(&one), None],
            &[Some(b"b"), None, None],
            &[Some(b"c"), Some(&one), Some(&two)],
        ],
    );
    assert_eq!(shaped.expiries, [1_000_000_060, 1_000_000_030]);
    assert_eq!(repaired(&shaped), [(Repair::EarlierExpiry, 1)]);
    assert_eq!(shaped.rejects.len(), 1);
}

#[test]
fn what_cannot_be_compiled_names_table_column_and_types() {
    let compile = |types, output| {
        let error = RowShaper::compile(&mapping(types, vec![output]), ShaperContext::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMap);
        error.to_string()
    };
    let copy = Production::Copy { item: 0 };
    let map = CqlType::Map(Box::new(CqlType::Text), Box::new(CqlType::Int));
    assert_eq!(
        compile(vec![map], output("limits", PgKind::Text, copy.clone())),
        "table `plugins`, column `limits`: no conversion from CQL map<text, int> to PostgreSQL text"
    );
    let default = Production::Default { item: Some(0), value: "many".into() };
    let error = compile(vec![CqlType::Int], output("slots", PgKind::Int4, default));
    assert_eq!(error, "table `plugins`, column `slots`: the default in the map is no value of type int4");
    let strip = Production::StripWorkspace { item: 0 };
    assert!(compile(vec![CqlType::Uuid], output("name", PgKind::Text, strip)).contains("strip_workspace"));
    let expires = Production::ExpiresAt { of: 0, others: vec![] };
    assert!(compile(vec![CqlType::Int], output("ttl", PgKind::Int8, expires)).contains("int8"));
    let parts = vec![Some(0)];
    let cache_key = Production::CacheKey { item: 0, head: "x".into(), parts };
    assert!(compile(vec![CqlType::Text], output("k", PgKind::Jsonb, cache_key)).contains("`k`"));
}

#[test]
fn a_map_that_points_outside_its_selection_is_a_bug() {
    let mut outside =
        mapping(vec![CqlType::Text], vec![output("name", PgKind::Text, Production::Copy { item: 1 })]);
    let kind =
        |mapping: &TableMapping| RowShaper::compile(mapping, ShaperContext::default()).unwrap_err().kind();
    assert_eq!(kind(&outside), ErrorKind::Internal);
    outside.outputs.clear();
    outside.required = vec![3];
    assert_eq!(kind(&outside), ErrorKind::Internal);
}

#[test]
fn a_damaged_page_is_an_error_and_names_the_row() {
    let mapping =
        mapping(vec![CqlType::Text], vec![output("name", PgKind::Text, Production::Copy { item: 0 })]);
    let shaper = RowShaper::compile(&mapping, ShaperContext::default()).unwrap();
    let whole = page(&[&[Some(b"a")], &[Some(b"b")]]);
    let mut out = Shaped::default();
    for length in 0..whole.body.len() {
        let cut = Page { body: whole.body.slice(..length), ..whole.clone() };
        let error = shaper.shape(&cut, &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        let row = if length < 5 { 1 } else { 2 };
        assert_eq!(error.to_string(), format!("table `plugins`: a page ends inside row {row} of 2"));
    }
    let overlong = Page { rows: 1, ..whole.clone() };
    assert_eq!(shaper.shape(&overlong, &mut out).unwrap_err().kind(), ErrorKind::Source);
    assert_eq!(shaper.key_of(&whole, 1), "\"b\"");
    assert_eq!(shaper.key_of(&whole, 2), "?");
}

#[test]
fn composite_keys_are_named_in_order() {
    let mut mapping = mapping(
        vec![CqlType::Int, CqlType::Text],
        vec![output("name", PgKind::Text, Production::Copy { item: 1 })],
    );
    mapping.key = vec![1, 0];
    let shaper = RowShaper::compile(&mapping, ShaperContext::default()).unwrap();
    assert_eq!(shaper.key_of(&page(&[&[Some(&[0, 0, 0, 5]), Some(b"core")]]), 0), "\"core\", 5");
}

/// A table with a column of every conversion.
fn everything() -> TableMapping {
    let boxed = |ty: &CqlType| Box::new(ty.clone());
    let array = |kind| PgKind::Array(Box::new(pg(kind)));
    let map = CqlType::Map(Box::new(CqlType::Text), Box::new(CqlType::Set(Box::new(CqlType::Text))));
    let udt = CqlType::Udt {
        name: "u".into(),
        fields: vec![("a".into(), CqlType::Date), ("b".into(), CqlType::Decimal)],
    };
    let pairs = vec![
        (CqlType::Uuid, PgKind::Uuid),
        (CqlType::Uuid, PgKind::Text),
        (CqlType::Timeuuid, PgKind::Timestamptz),
        (CqlType::Text, PgKind::Varchar(Some(3))),
        (CqlType::Text, PgKind::Jsonb),
        (CqlType::Text, PgKind::Json),
        (CqlType::Text, PgKind::Uuid),
        (CqlType::Text, array(PgKind::Jsonb)),
        (CqlType::Bigint, PgKind::Int2),
        (CqlType::Varint, PgKind::Int8),
        (CqlType::Varint, PgKind::Numeric),
        (CqlType::Decimal, PgKind::Numeric),
        (CqlType::Float, PgKind::Double),
        (CqlType::Double, PgKind::Numeric),
        (CqlType::Boolean, PgKind::Bool),
        (CqlType::Timestamp, PgKind::Timestamptz),
        (CqlType::Date, PgKind::Date),
        (CqlType::Time, PgKind::Time),
        (CqlType::Duration, PgKind::Interval),
        (CqlType::Blob, PgKind::Bytea),
        (CqlType::Inet, PgKind::Inet),
        (CqlType::List(Box::new(CqlType::Int)), array(PgKind::Int2)),
        (CqlType::Set(Box::new(CqlType::Text)), array(PgKind::Jsonb)),
        (CqlType::List(boxed(&udt)), PgKind::Jsonb),
        (CqlType::Tuple(vec![CqlType::Varint, CqlType::Inet, CqlType::Time, map.clone()]), PgKind::Json),
        (map, PgKind::Jsonb),
    ];
    let (types, kinds): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mut outputs: Vec<_> = kinds
        .into_iter()
        .enumerate()
        .map(|(item, kind)| output(&format!("o{item}"), kind, Production::Copy { item }))
        .collect();
    outputs.push(output("s", PgKind::Text, Production::StripWorkspace { item: 3 }));
    outputs.push(output("t", PgKind::Timestamptz, Production::Timestamp { item: 15, whole_seconds: true }));
    let mut mapping = mapping(types, outputs);
    for output in &mut mapping.outputs {
        if let PgKind::Interval = output.ty.kind {
            output.ty.name = "interval".into();
        } else {
            output.ty.name.clear();
        }
    }
    mapping.required = vec![14];
    mapping
}

fn cell() -> impl Strategy<Value = Option<Vec<u8>>> {
    let framed = |length: std::ops::Range<usize>| {
        let element = prop_oneof![
            Just(vec![0xff; 4]),
            proptest::collection::vec(any::<u8>(), length).prop_map(|bytes| {
                [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
            }),
        ];
        proptest::collection::vec(element, 0..4).prop_map(|elements| {
            [u32::try_from(elements.len()).unwrap().to_be_bytes().to_vec(), elements.concat()].concat()
        })
    };
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(vec![])),
        2 => proptest::collection::vec(any::<u8>(), 0..24).prop_map(Some),
        2 => prop_oneof![Just(1), Just(4), Just(8), Just(16)]
            .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length)).prop_map(Some),
        2 => framed(0..9).prop_map(Some),
        1 => "[\\[\\]{}\":,0-9a-f-]{0,40}".prop_map(|text| Some(text.into_bytes())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random bytes in every column: nothing panics, no row is lost, and the tuples are whole.
    #[test]
    fn every_row_is_a_tuple_a_skip_or_a_reject(
        focus in 0..26_usize,
        rows in proptest::collection::vec(proptest::collection::vec(cell(), 26), 0..12),
    ) {
        // One column of each row gets random bytes; all of them at once would hardly ever leave a tuple.
        let rows: Vec<Vec<Option<&[u8]>>> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let kept = |item: usize| item == (focus + index) % 26 || (index % 5 == 4);
                let cells = row.iter().enumerate();
                cells.map(|(item, cell)| if kept(item) { cell.as_deref() } else if item == 14 { Some(&[1][..]) } else { None }).collect()
            })
            .collect();
        let rows: Vec<_> = rows.iter().map(Vec::as_slice).collect();
        let shaped = shape(&everything(), &rows);
        prop_assert_eq!(shaped.read, u64::try_from(rows.len()).unwrap());
        for tuple in tuples(&shaped) {
            prop_assert_eq!(tuple.len(), 28);
        }
    }

    /// Random bytes as a page: an error or not, never a panic.
    #[test]
    fn a_page_of_random_bytes_does_no_harm(rows in 0..50_usize, body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let shaper = RowShaper::compile(&everything(), ShaperContext::default()).unwrap();
        let page = Page { rows, body: Bytes::from(body), read_at: i64::MAX };
        let _ = shaper.shape(&page, &mut Shaped::default());
        let _ = shaper.key_of(&page, rows);
    }
}
