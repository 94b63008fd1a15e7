//! Every pair of types that has a conversion, with values and what must become of them, both written by hand: CQL literals as
//! a plugin would write them, and `PostgreSQL` literals for the server to read.

/// A column: its name, its types on both sides, and its values.
pub struct Column {
    pub name: &'static str,
    pub cql: &'static str,
    pub pg: &'static str,
    /// A CQL literal, and the text of the value that it must become; `None` for NULL.
    pub values: &'static [(&'static str, Option<&'static str>)],
}

const fn column(
    name: &'static str,
    cql: &'static str,
    pg: &'static str,
    values: &'static [(&'static str, Option<&'static str>)],
) -> Column {
    Column { name, cql, pg, values }
}

/// A user-defined type that the columns below use.
pub const USER_TYPE: &str = "CREATE TYPE {ks}.acme_place (host text, port int, tags frozen<set<text>>)";

const LONG: &str = "123456789012345678901234567890123456789012345678901234567890";
const MINUS_LONG: &str = "-123456789012345678901234567890123456789012345678901234567890";
const ID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
const TIMEUUID: &str = "fcdf6f52-e787-11f0-8de9-0242ac120002";

pub const COLUMNS: &[Column] = &[
    column(
        "a_bigint",
        "bigint",
        "bigint",
        &[
            ("-9223372036854775808", Some("-9223372036854775808")),
            ("9223372036854775807", Some("9223372036854775807")),
            ("0", Some("0")),
        ],
    ),
    column(
        "a_bigint_as_numeric",
        "bigint",
        "numeric",
        &[("-9223372036854775808", Some("-9223372036854775808"))],
    ),
    column(
        "an_int",
        "int",
        "integer",
        &[("-2147483648", Some("-2147483648")), ("2147483647", Some("2147483647"))],
    ),
    column("an_int_as_bigint", "int", "bigint", &[("-2147483648", Some("-2147483648"))]),
    column("an_int_as_smallint", "int", "smallint", &[("-32768", Some("-32768")), ("32767", Some("32767"))]),
    column("an_int_as_text", "int", "text", &[("-7", Some("-7"))]),
    column("a_smallint", "smallint", "smallint", &[("-32768", Some("-32768")), ("32767", Some("32767"))]),
    column("a_smallint_as_integer", "smallint", "integer", &[("-32768", Some("-32768"))]),
    column("a_tinyint", "tinyint", "smallint", &[("-128", Some("-128")), ("127", Some("127"))]),
    column(
        "a_varint",
        "varint",
        "numeric",
        &[(LONG, Some(LONG)), (MINUS_LONG, Some(MINUS_LONG)), ("0", Some("0"))],
    ),
    column(
        "a_varint_as_bigint",
        "varint",
        "bigint",
        &[("-9223372036854775808", Some("-9223372036854775808"))],
    ),
    column("a_varint_as_varchar", "varint", "varchar(80)", &[(MINUS_LONG, Some(MINUS_LONG))]),
    column(
        "a_decimal",
        "decimal",
        "numeric",
        &[
            ("1.50", Some("1.50")),
            ("-0.000000000000000000000000000001", Some("-0.000000000000000000000000000001")),
            ("1E+3", Some("1000")),
            (LONG, Some(LONG)),
        ],
    ),
    column(
        "a_decimal_of_cents",
        "decimal",
        "numeric(10,2)",
        &[("12345678.90", Some("12345678.90")), ("5", Some("5.00"))],
    ),
    column(
        "a_double",
        "double",
        "double precision",
        &[
            ("1.7976931348623157E308", Some("1.7976931348623157E308")),
            ("4.9E-324", Some("4.94065645841246544e-324")),
            ("NaN", Some("NaN")),
            ("Infinity", Some("Infinity")),
            ("-Infinity", Some("-Infinity")),
            ("-0.0", Some("-0")),
            ("0.1", Some("0.1")),
        ],
    ),
    column(
        "a_double_as_numeric",
        "double",
        "numeric",
        &[("0.1", Some("0.1")), ("-1.5E10", Some("-15000000000"))],
    ),
    column(
        "a_float",
        "float",
        "real",
        &[
            ("3.4028235E38", Some("3.4028235E38")),
            ("1.4E-45", Some("1.4e-45")),
            ("NaN", Some("NaN")),
            ("0.1", Some("0.1")),
        ],
    ),
    column("a_float_as_double", "float", "double precision", &[("0.1", Some("0.1")), ("NaN", Some("NaN"))]),
    column("a_float_as_numeric", "float", "numeric", &[("0.1", Some("0.1"))]),
    column("a_boolean", "boolean", "boolean", &[("true", Some("true")), ("false", Some("false"))]),
    column("a_blob", "blob", "bytea", &[("0x", Some(r"\x")), ("0x00ff5c780a", Some(r"\x00ff5c780a"))]),
    column(
        "an_inet",
        "inet",
        "inet",
        &[
            ("'10.0.0.255'", Some("10.0.0.255")),
            ("'2001:db8::ff00:42:8329'", Some("2001:db8::ff00:42:8329")),
            ("'::'", Some("::")),
        ],
    ),
    column("an_inet_as_text", "inet", "text", &[("'2001:0db8:0:0:0:0:0:1'", Some("2001:db8::1"))]),
    column(
        "a_date",
        "date",
        "date",
        &[
            ("'1970-01-01'", Some("1970-01-01")),
            ("'9999-12-31'", Some("9999-12-31")),
            ("'0001-01-01'", Some("0001-01-01")),
            // The last day that PostgreSQL knows, as days with 1970-01-01 at 2^31.
            ("4292526553", Some("5874897-12-31")),
        ],
    ),
    column(
        "a_time",
        "time",
        "time",
        &[("'00:00:00'", Some("00:00:00")), ("'23:59:59.999999'", Some("23:59:59.999999"))],
    ),
    column(
        "a_timestamp",
        "timestamp",
        "timestamptz",
        &[
            ("'1969-07-20T20:17:40.123Z'", Some("1969-07-20 20:17:40.123+00")),
            ("'9999-12-31T23:59:59.999Z'", Some("9999-12-31 23:59:59.999+00")),
            // No Kong timestamp: an instant of January 1970 stays there.
            ("1234567890", Some("1970-01-15 06:56:07.89+00")),
        ],
    ),
    column(
        "a_timestamp_as_wall_time",
        "timestamp",
        "timestamp",
        &[("'2026-03-29T02:30:00+02:00'", Some("2026-03-29 00:30:00"))],
    ),
    column(
        "a_timestamp_of_seconds",
        "timestamp",
        "timestamptz(0)",
        &[("'2026-03-29T02:30:01Z'", Some("2026-03-29 02:30:01+00"))],
    ),
    column(
        "a_uuid",
        "uuid",
        "uuid",
        &[
            (ID, Some(ID)),
            ("00000000-0000-0000-0000-000000000000", Some("00000000-0000-0000-0000-000000000000")),
        ],
    ),
    column("a_uuid_as_text", "uuid", "text", &[("6BA7B810-9DAD-41D1-80B4-00C04FD430C8", Some(ID))]),
    column("a_timeuuid", "timeuuid", "uuid", &[(TIMEUUID, Some(TIMEUUID))]),
    column(
        "a_timeuuid_as_instant",
        "timeuuid",
        "timestamptz",
        &[("13814000-1dd2-11b2-8000-000000000000", Some("1970-01-01 00:00:00+00"))],
    ),
    column(
        "a_text",
        "text",
        "text",
        &[("''", Some("")), ("'grüße 🦀 \\ \t'", Some("grüße 🦀 \\ \t")), ("$$it's$$", Some("it's"))],
    ),
    column("a_text_as_varchar", "text", "varchar(3)", &[("'äöü'", Some("äöü"))]),
    column("a_text_as_uuid", "text", "uuid", &[("'6ba7b810-9dad-41d1-80b4-00c04fd430c8'", Some(ID))]),
    column(
        "a_text_as_json",
        "text",
        "json",
        &[(r#"'{"a": 1, "a": [1.50, null]}'"#, Some(r#"{"a": 1, "a": [1.50, null]}"#)), ("''", None)],
    ),
    column(
        "a_text_as_jsonb",
        "text",
        "jsonb",
        &[
            (r#"'{"b": "\u00e4\n", "a": [1e3, {}]}'"#, Some(r#"{"a": [1000, {}], "b": "ä\n"}"#)),
            ("'null'", Some("null")),
            ("''", None),
        ],
    ),
    column(
        "a_text_as_jsonbs",
        "text",
        "jsonb[]",
        &[(r#"'[{"kid": "a"}, null, 1]'"#, Some(r#"{"{\"kid\": \"a\"}","null","1"}"#)), ("'[]'", Some("{}"))],
    ),
    column("an_ascii", "ascii", "text", &[("'~'", Some("~"))]),
    column(
        "a_duration",
        "duration",
        "interval",
        &[
            ("1y2mo3d4h5m6s7ms8us", Some("14 mons 3 days 04:05:06.007008")),
            ("-1mo2d3h", Some("-1 mons -2 days -03:00:00")),
        ],
    ),
    column(
        "a_set_of_texts",
        "set<text>",
        "text[]",
        &[
            (r#"{'b', 'a', 'ä "c",'}"#, Some(r#"{a,b,"ä \"c\","}"#)),
            // An empty set that is not frozen is no set at all on Cassandra.
            ("{}", None),
        ],
    ),
    column(
        "a_set_of_jsons",
        "set<text>",
        "jsonb[]",
        &[(r#"{'{"b": 1}', '[2]'}"#, Some(r#"{"[2]","{\"b\": 1}"}"#))],
    ),
    column(
        "a_set_of_uuids",
        "set<uuid>",
        "uuid[]",
        &[("{6ba7b810-9dad-41d1-80b4-00c04fd430c8}", Some("{6ba7b810-9dad-41d1-80b4-00c04fd430c8}"))],
    ),
    column("a_list_of_ints", "list<int>", "bigint[]", &[("[3, -1, 3]", Some("{3,-1,3}"))]),
    column(
        "a_frozen_list",
        "frozen<list<text>>",
        "text[]",
        &[("[]", Some("{}")), ("['b', 'a', '']", Some(r#"{b,a,""}"#))],
    ),
    column("a_list_of_decimals", "list<decimal>", "numeric[]", &[("[1.50, -2]", Some("{1.50,-2}"))]),
    column("a_list_of_doubles", "list<double>", "double precision[]", &[("[0.1, NaN]", Some("{0.1,NaN}"))]),
    column(
        "a_set_of_instants",
        "set<timestamp>",
        "timestamptz[]",
        &[("{'2026-01-02T03:04:05.678Z'}", Some(r#"{"2026-01-02 03:04:05.678+00"}"#))],
    ),
    column("a_set_of_booleans", "set<boolean>", "boolean[]", &[("{true, false}", Some("{f,t}"))]),
    column("a_set_of_inets", "set<inet>", "inet[]", &[("{'10.0.0.1', '::1'}", Some("{::1,10.0.0.1}"))]),
    column("a_set_of_blobs", "set<blob>", "bytea[]", &[("{0x00, 0xff}", Some(r#"{"\\x00","\\xff"}"#))]),
    column(
        "a_list_as_json",
        "list<text>",
        "json",
        &[(r#"['b', 'a "quoted"']"#, Some(r#"["b","a \"quoted\""]"#))],
    ),
    column(
        "a_map",
        "map<text, text>",
        "jsonb",
        &[(r#"{'b': '1', 'a"': 'ä'}"#, Some(r#"{"b": "1", "a\"": "ä"}"#)), ("{}", None)],
    ),
    column(
        "a_frozen_map",
        "frozen<map<text, int>>",
        "jsonb",
        &[("{}", Some("{}")), ("{'a': -1}", Some(r#"{"a": -1}"#))],
    ),
    column(
        "a_map_of_sets",
        "map<int, frozen<set<text>>>",
        "jsonb",
        &[("{7: {'b', 'a'}, -1: {}}", Some(r#"{"7": ["a", "b"], "-1": []}"#))],
    ),
    column(
        "a_tuple",
        "frozen<tuple<int, text, boolean, double>>",
        "json",
        &[
            ("(1, 'x', true, 1.5)", Some(r#"[1,"x",true,1.5]"#)),
            ("(null, 'x', null, null)", Some(r#"[null,"x",null,null]"#)),
        ],
    ),
    column(
        "a_user_type",
        "frozen<acme_place>",
        "jsonb",
        &[
            ("{host: 'a', port: 80, tags: {'x'}}", Some(r#"{"host": "a", "port": 80, "tags": ["x"]}"#)),
            ("{host: 'a'}", Some(r#"{"host": "a", "port": null, "tags": null}"#)),
        ],
    ),
    column(
        "user_types",
        "list<frozen<acme_place>>",
        "jsonb",
        &[("[{port: 1}]", Some(r#"[{"host": null, "port": 1, "tags": null}]"#))],
    ),
    column(
        "everything_in_json",
        "frozen<tuple<decimal, float, uuid, blob, inet, timestamp, date, time, varint, timeuuid>>",
        "jsonb",
        &[(
            "(1.50, 0.1, 6ba7b810-9dad-41d1-80b4-00c04fd430c8, 0x00ff, '10.0.0.1', '2026-01-02T03:04:05.678Z', '2026-01-02', '03:04:05.000000006', 123456789012345678901234567890123456789012345678901234567890, fcdf6f52-e787-11f0-8de9-0242ac120002)",
            Some(
                r#"[1.50, 0.1, "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "0x00ff", "10.0.0.1", "2026-01-02T03:04:05.678Z", "2026-01-02", "03:04:05.000000006", 123456789012345678901234567890123456789012345678901234567890, "fcdf6f52-e787-11f0-8de9-0242ac120002"]"#,
            ),
        )],
    ),
    // Names that need quotes on both sides.
    column("Mixed Case \u{201e}x\u{201c}", "text", "text", &[("'quoted'", Some("quoted"))]),
    column("order", "int", "integer", &[("1", Some("1"))]),
];
