//! Tables of every shape, and what is written to them, generation after generation: each is flushed to a file of its own.

use std::fmt::Write as _;

/// A table and its statements. `@` in them stands for the table's name.
pub struct Shape {
    pub name: &'static str,
    /// Types before it, then the table.
    pub create: Vec<String>,
    /// Statements between one flush and the next.
    pub generations: Vec<Vec<String>>,
}

const UNCOMPRESSED: &str = "compression = {'enabled': 'false'}";

/// How many generations there are at most.
pub const GENERATIONS: usize = 4;

fn shape(name: &'static str, columns: &str, options: &str, generations: Vec<Vec<String>>) -> Shape {
    let compaction = "compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}";
    let and = if options.is_empty() { "" } else { " AND " };
    let create = format!("CREATE TABLE @ ({columns}) WITH {compaction}{and}{options}");
    Shape { name, create: vec![create], generations }
}

/// Numbers without pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// A uuid of version 1, 4 or 7, or the nil one.
    fn uuid(&mut self, of: u64) -> String {
        let n = self.roll(of);
        let mut mixed = Dice(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1);
        let mut digits = |bits: u32| mixed.roll(1 << bits);
        let (time, rest) =
            (digits(30) * 5 % (1 << 32), [digits(16), digits(12), digits(14) | 0x8000, digits(30)]);
        let version = [4, 4, 1, 7][usize::try_from(n % 4).unwrap()];
        format!("{time:08x}-{:04x}-{version:x}{:03x}-{:04x}-{:012x}", rest[0], rest[1], rest[2], rest[3])
    }
}

fn consumers() -> Shape {
    let mut dice = Dice(1);
    let mut generations = vec![Vec::new(); 4];
    for n in 0..150 {
        let id = dice.uuid(1000);
        generations[0].push(format!(
            "INSERT INTO @ (id, created_at, username, custom_id, tags) VALUES ({id}, {n}000, 'user {n}', 'c{n}', {{'a', 'b{n}'}})"
        ));
        let more = match n % 10 {
            0 => format!("DELETE FROM @ WHERE id = {id}"),
            1 => format!("UPDATE @ SET username = 'changed {n}', tags = tags + {{'c'}} WHERE id = {id}"),
            2 => format!("UPDATE @ SET custom_id = null, tags = tags - {{'a'}} WHERE id = {id}"),
            3 => format!("INSERT INTO @ (id, tags) VALUES ({id}, {{'only', ''}})"),
            4 => format!("DELETE username, tags FROM @ WHERE id = {id}"),
            5 => format!("UPDATE @ SET tags = {{}} WHERE id = {id}"),
            _ => continue,
        };
        generations[1 + n % 3].push(more);
        if n % 20 == 0 {
            generations[3].push(format!("INSERT INTO @ (id, username) VALUES ({id}, 'back {n}')"));
        }
    }
    for n in 0..20 {
        // Without a marker: the row goes with its last cell.
        let id = dice.uuid(1 << 20);
        generations[0].push(format!("UPDATE @ SET username = 'u{n}' WHERE id = {id}"));
        if n % 2 == 0 {
            generations[2].push(format!("DELETE username FROM @ WHERE id = {id}"));
        }
    }
    let columns = "id uuid PRIMARY KEY, created_at timestamp, username text, custom_id text, tags set<text>";
    shape("consumers", columns, "", generations)
}

fn expiring() -> Shape {
    let mut dice = Dice(2);
    let mut generations = vec![Vec::new(); 3];
    for n in 0..80 {
        let id = dice.uuid(1 << 20);
        let ttl = match n % 4 {
            0 => "USING TTL 90000",
            1 => "USING TTL 1",
            _ => "",
        };
        generations[0].push(format!(
            "INSERT INTO @ (id, key, n, tags) VALUES ({id}, 'key {n}', {n}, ['x', 'y']) {ttl}"
        ));
        match n % 7 {
            0 => generations[1].push(format!("UPDATE @ USING TTL 1 SET key = 'short' WHERE id = {id}")),
            1 => generations[1].push(format!(
                "UPDATE @ USING TTL 70000 SET key = 'long', tags = tags + ['z'] WHERE id = {id}"
            )),
            2 => generations[1].push(format!("UPDATE @ SET n = 7 WHERE id = {id}")),
            3 => generations[2].push(format!("INSERT INTO @ (id) VALUES ({id}) USING TTL 50000")),
            4 => generations[2].push(format!("INSERT INTO @ (id) VALUES ({id})")),
            _ => {}
        }
    }
    shape("expiring", "id uuid PRIMARY KEY, key text, n int, tags list<text>", "", generations)
}

fn default_ttl() -> Shape {
    let rows = (0..10).map(|n| {
        let own = if n % 3 == 0 { " USING TTL 0" } else { "" };
        format!("INSERT INTO @ (p, v) VALUES ({n}, {n}){own}")
    });
    shape("default_ttl", "p int PRIMARY KEY, v int", "default_time_to_live = 80000", vec![rows.collect()])
}

/// One large partition, and small ones: several chunks and several index blocks.
fn routes() -> Shape {
    let mut dice = Dice(3);
    let mut generations = vec![Vec::new(); 4];
    let ids: Vec<_> = (0..1000).map(|_| dice.uuid(1 << 30)).collect();
    let mut random: Vec<_> = ids.iter().filter(|id| id.as_bytes()[14] == b'4').collect();
    random.sort();
    for (n, id) in ids.iter().enumerate() {
        let partition = if n % 50 == 0 { "other" } else { "routes" };
        generations[usize::from(n % 3 == 0)].push(format!(
            "INSERT INTO @ (partition, id, name, paths, headers, filler) VALUES ('{partition}', {id}, 'route {n}', {{'/a', '/{n}'}}, \
             {{'h{n}': {{{id}}}, 'i': {{}}}}, '{}')",
            "x".repeat(100 + n % 900)
        ));
        match n % 11 {
            0 => generations[2].push(format!("DELETE FROM @ WHERE partition = 'routes' AND id = {id}")),
            1 => generations[2].push(format!(
                "UPDATE @ SET headers['new'] = {{{id}}}, paths = {{'/instead'}} WHERE partition = 'routes' AND id = {id}"
            )),
            2 => generations[3].push(format!("DELETE headers['i'] FROM @ WHERE partition = 'routes' AND id = {id}")),
            _ => {}
        }
    }
    for at in [10, 100, 101, 250, 400] {
        let (low, high) = (random[at], random[at + 12]);
        generations[2]
            .push(format!("DELETE FROM @ WHERE partition = 'routes' AND id > {low} AND id <= {high}"));
        generations[3]
            .push(format!("INSERT INTO @ (partition, id, name) VALUES ('routes', {high}, 'in the range')"));
    }
    let bounds = "00000000-0000-1000-8000-000000000000 AND id < 2fffffff-0000-1000-8000-000000000000";
    generations[1].push(format!("DELETE FROM @ WHERE partition = 'routes' AND id >= {bounds}"));
    generations[2].push("DELETE FROM @ WHERE partition = 'gone'".into());
    generations[0].push(
        "INSERT INTO @ (partition, id, name) VALUES ('gone', 00000000-0000-4000-8000-000000000001, 'x')"
            .into(),
    );
    generations[3].push(
        "INSERT INTO @ (partition, id, name) VALUES ('gone', 00000000-0000-4000-8000-000000000002, 'y')"
            .into(),
    );
    let columns = "partition text, id uuid, name text, paths set<text>, headers map<text, frozen<set<uuid>>>, filler text, \
                   PRIMARY KEY (partition, id)";
    shape("routes", columns, "", generations)
}

fn composite() -> Shape {
    let mut dice = Dice(4);
    let mut generations = vec![Vec::new(); 4];
    for n in 0..400 {
        let key = format!("'p{}', {}", dice.roll(6), dice.roll(2));
        let (c, d, e) = (dice.roll(8), dice.roll(5), dice.roll(4));
        generations[n % 4].push(format!(
            "INSERT INTO @ (a, b, c, d, e, v) VALUES ({key}, {c}, {d}000, '{}', {n})",
            ["", "e", "ee", "f"][usize::try_from(e).unwrap()]
        ));
        let key = format!("a = 'p{}' AND b = {}", dice.roll(6), dice.roll(2));
        let range = match n % 23 {
            0 => format!("{key} AND c = {c} AND d = {d}000 AND e > 'e'"),
            1 => format!("{key} AND c = {c} AND d < {d}000"),
            2 => format!("{key} AND c >= {c}"),
            3 => format!("{key} AND c = {c}"),
            4 => format!("{key} AND c > {c} AND c <= {}", c + 3),
            5 => format!("{key} AND c = {c} AND d = {d}000 AND e = 'f'"),
            6 if n > 300 => key,
            7 => format!("{key} AND c <= {c}"),
            8 => format!("{key} AND c = {c} AND d >= {d}000 AND d < {}000", d + 2),
            _ => {
                if n % 17 == 0 {
                    generations[n % 4].push(format!("UPDATE @ SET s = 's{n}', t = t + {{{n}}} WHERE {key}"));
                }
                continue;
            }
        };
        generations[n % 4].push(format!("DELETE FROM @ WHERE {range}"));
    }
    generations[1].push("DELETE s FROM @ WHERE a = 'p1' AND b = 1".into());
    // Nothing but statics, alive and not.
    generations[0].push("UPDATE @ SET s = 'alone' WHERE a = 'static' AND b = 0".into());
    generations[0].push("UPDATE @ SET s = 'deleted' WHERE a = 'static' AND b = 1".into());
    generations[1].push("DELETE FROM @ WHERE a = 'static' AND b = 1".into());
    generations[0].push("INSERT INTO @ (a, b, c, d, e, s) VALUES ('static', 2, 1, 1, '', 'row gone')".into());
    generations[2].push("DELETE FROM @ WHERE a = 'static' AND b = 2 AND c = 1".into());
    let columns = "a text, b int, c int, d timestamp, e text, v int, s text static, t set<int> static, \
                   PRIMARY KEY ((a, b), c, d, e)";
    let options = format!("CLUSTERING ORDER BY (c DESC, d ASC, e DESC) AND {UNCOMPRESSED}");
    shape("composite", columns, &options, generations)
}

fn natives() -> Shape {
    let columns = "id int PRIMARY KEY, a ascii, b bigint, c blob, d boolean, e date, f decimal, g double, h duration, i float, \
                   j inet, k int, l smallint, m text, n time, o timestamp, p timeuuid, q tinyint, r uuid, s varint, \
                   ma map<text, int>, mb map<int, double>, mc map<uuid, boolean>, la list<int>, lb list<timestamp>, sa set<bigint>, \
                   sb set<inet>, fl frozen<list<int>>, fm frozen<map<text, int>>, fs frozen<set<timeuuid>>, tu tuple<int, text, boolean>";
    let full = "INSERT INTO @ (id, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, ma, mb, mc, la, lb, sa, sb, fl, fm, fs, tu) \
                VALUES (1, 'asc', -5, 0x00ff, true, '2024-02-29', -12.50, 1.5e300, 1mo2d3h, 0.25, '::1', -7, -300, 'grüß', \
                '12:34:56.789', '2020-01-01T00:00:00Z', 50554d6e-29bb-11e5-b345-feff819cdc9f, -8, \
                f47ac10b-58cc-4372-a567-0e02b2c3d479, 123456789012345678901234567890, {'x': 1, '': 2}, {-1: 0.5, 3: 1}, \
                {f47ac10b-58cc-4372-a567-0e02b2c3d479: true}, [3, 1, 2, 1], [0, 1], {-1, 5, 3}, {'10.0.0.1', '9.0.0.1', '::2'}, \
                [1, 2], {'k': 1}, {50554d6e-29bb-11e5-b345-feff819cdc9f}, (1, 'two', null))";
    let empty = "INSERT INTO @ (id, a, c, m, b, k, d, g, o, r, f, s, j) VALUES (2, '', 0x, '', blobAsBigint(0x), blobAsInt(0x), \
                 blobAsBoolean(0x), blobAsDouble(0x), blobAsTimestamp(0x), blobAsUuid(0x), blobAsDecimal(0x), blobAsVarint(0x), \
                 blobAsInet(0x))";
    let generations = vec![
        vec![
            full.into(),
            "INSERT INTO @ (id) VALUES (3)".into(),
            "INSERT INTO @ (id, la) VALUES (4, [1, 2, 3, 4])".into(),
        ],
        vec![
            empty.into(),
            "UPDATE @ SET la[1] = 9, la = la + [7] WHERE id = 4".into(),
            "UPDATE @ SET la = [0] + la, ma['y'] = 5, sb = sb - {'9.0.0.1'} WHERE id = 1".into(),
        ],
        vec![
            "DELETE la[0] FROM @ WHERE id = 4".into(),
            "UPDATE @ SET mb[3] = null, tu = null WHERE id = 1".into(),
        ],
    ];
    shape("natives", columns, "", generations)
}

fn user_types() -> Shape {
    let columns = "id int PRIMARY KEY, open address, shut frozen<address>, many list<frozen<address>>, per map<text, frozen<address>>, \
                   t frozen<tuple<int, frozen<address>>>";
    let generations = vec![
        vec![
            "INSERT INTO @ (id, open, shut) VALUES (1, {street: 's', number: 1, tags: {'a'}}, {street: 's', number: 1})".into(),
            "INSERT INTO @ (id, open) VALUES (2, {number: 5})".into(),
            "INSERT INTO @ (id, many, per) VALUES (3, [{street: 'x'}, {number: 2}], {'k': {street: 'm'}})".into(),
            "INSERT INTO @ (id, open, t) VALUES (4, {street: 'gone'}, (1, {street: 'in a tuple'}))".into(),
        ],
        vec![
            "UPDATE @ SET open.number = 7 WHERE id = 1".into(),
            "UPDATE @ SET open.number = null WHERE id = 2".into(),
            "UPDATE @ SET open.tags = {'z', 'y'} WHERE id = 3".into(),
        ],
        vec!["UPDATE @ SET open = null WHERE id = 4".into(), "UPDATE @ SET open = {street: 'new'} WHERE id = 1".into()],
    ];
    let mut shape = shape("user_types", columns, "", generations);
    shape.create.insert(0, "CREATE TYPE address (street text, number int, tags frozen<set<text>>)".into());
    shape
}

fn many_columns() -> Shape {
    let mut dice = Dice(5);
    let names: Vec<_> = (0..70).map(|n| format!("c{n:02}")).collect();
    let mut columns = "p int, c int, PRIMARY KEY (p, c)".to_owned();
    for name in &names {
        write!(columns, ", {name} int").unwrap();
    }
    let mut generations = vec![Vec::new(); 2];
    for row in 0..140_usize {
        let count = row % 70 + 1;
        let mut chosen: Vec<_> = names.clone();
        while chosen.len() > count {
            chosen.swap_remove(usize::try_from(dice.roll(u64::try_from(chosen.len()).unwrap())).unwrap());
        }
        let values: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        generations[row / 70].push(format!(
            "INSERT INTO @ (p, c, {}) VALUES ({}, {}, {})",
            chosen.join(", "),
            row % 3,
            row % 90,
            values.join(", ")
        ));
    }
    shape("many_columns", &columns, "", generations)
}

fn counters() -> Shape {
    let mut dice = Dice(6);
    let mut generations = vec![Vec::new(); 3];
    for n in 0..120 {
        let (p, c, by) = (dice.roll(5), dice.roll(5), dice.roll(1000));
        let sign = if by % 3 == 0 { '-' } else { '+' };
        generations[n % 3]
            .push(format!("UPDATE @ SET hits = hits {sign} {by}, s = s + 1 WHERE p = {p} AND c = {c}"));
    }
    generations[1].push("DELETE hits FROM @ WHERE p = 1 AND c = 1".into());
    generations[2].push("DELETE FROM @ WHERE p = 2 AND c = 2".into());
    shape(
        "counters",
        "p int, c int, hits counter, s counter static, PRIMARY KEY (p, c)",
        UNCOMPRESSED,
        generations,
    )
}

fn dropped() -> Shape {
    let insert = |from: u32, columns: &str, values: &str| -> Vec<String> {
        (from..from + 10)
            .map(|n| format!("INSERT INTO @ (p, c, {columns}) VALUES ({}, {n}, {values})", n % 3))
            .collect()
    };
    let mut second = vec![
        "ALTER TABLE @ DROP back".to_owned(),
        "ALTER TABLE @ DROP gone".into(),
        "ALTER TABLE @ DROP bag".into(),
    ];
    second.extend(insert(5, "kept", "2"));
    let mut third = vec!["ALTER TABLE @ ADD back text".to_owned(), "ALTER TABLE @ ADD added int".into()];
    third.extend(insert(12, "kept, back, added", "3, 'after', 3"));
    let generations = vec![insert(0, "kept, back, gone, bag", "1, 'before', 'x', {1, 2}"), second, third];
    let columns = "p int, c int, kept int, back text, gone text, bag set<int>, PRIMARY KEY (p, c)";
    shape("dropped", columns, "", generations)
}

/// Cells with equal write times: live, expiring, expired and deleted ones of different values against each other.
fn ties() -> Shape {
    let mut generations = vec![Vec::new(); 3];
    let versions = [
        "UPDATE @ USING TIMESTAMP 1000 SET v = 0xbd, w = 1 WHERE id = #",
        "UPDATE @ USING TIMESTAMP 1000 SET v = 0x23, w = -1 WHERE id = #",
        "UPDATE @ USING TIMESTAMP 1000 AND TTL 90000 SET v = 0x30, w = 2 WHERE id = #",
        "UPDATE @ USING TIMESTAMP 1000 AND TTL 1 SET v = 0x31, w = 3 WHERE id = #",
        "DELETE v, w FROM @ USING TIMESTAMP 1000 WHERE id = #",
        "INSERT INTO @ (id, v) VALUES (#, 0x40) USING TIMESTAMP 1000 AND TTL 80000",
        "UPDATE @ USING TIMESTAMP 1000 SET v = 0x, s = s + {1} WHERE id = #",
        "UPDATE @ USING TIMESTAMP 1000 SET s = s - {1} WHERE id = #",
        "INSERT INTO @ (id, v, s) VALUES (#, 0xbd01, {1}) USING TIMESTAMP 1001",
        "DELETE FROM @ USING TIMESTAMP 1000 WHERE id = #",
        "INSERT INTO @ (id) VALUES (#) USING TIMESTAMP 1000",
    ];
    let mut id = 0;
    for (n, first) in versions.iter().enumerate() {
        for (m, second) in versions.iter().enumerate() {
            id += 1;
            generations[0].push(first.replace('#', &id.to_string()));
            generations[1].push(second.replace('#', &id.to_string()));
            if (n + m) % 3 == 0 {
                generations[2].push(versions[(n * m) % versions.len()].replace('#', &id.to_string()));
            }
        }
    }
    shape("ties", "id int PRIMARY KEY, v blob, w int, s set<int>", "", generations)
}

/// Values larger than any chunk.
fn large() -> Shape {
    let value = |n: usize| -> String {
        let mut dice = Dice(u64::try_from(n).unwrap());
        (0..n).map(|_| char::from(b'a' + u8::try_from(dice.roll(26)).unwrap())).collect()
    };
    let insert = |c: u32, size| format!("INSERT INTO @ (p, c, v) VALUES (0, {c}, '{}')", value(size));
    let generations = vec![
        vec![insert(1, 300_000), insert(2, 65_536), insert(3, 1), insert(4, 200_000)],
        vec![insert(2, 70_000), insert(5, 500_000)],
    ];
    shape("large", "p int, c int, v text, PRIMARY KEY (p, c)", "", generations)
}

fn compressed(name: &'static str, options: &str) -> Shape {
    let mut dice = Dice(7);
    let mut generations = vec![Vec::new(); 2];
    for n in 0..60 {
        let noise: String =
            (0..600).map(|_| char::from(b'a' + u8::try_from(dice.roll(16)).unwrap())).collect();
        let filler = "z".repeat(2000);
        generations[n % 2]
            .push(format!("INSERT INTO @ (p, c, v, w) VALUES ({}, {n}, '{noise}', '{filler}')", n % 7));
    }
    shape(
        name,
        "p int, c int, v text, w text, PRIMARY KEY (p, c)",
        &format!("compression = {options}"),
        generations,
    )
}

/// A table with rows in the order of `ty`, ascending and descending.
fn ordered(name: &'static str, ty: &str, values: &[String], descending: bool) -> Shape {
    let mut generations = vec![Vec::new(); 3];
    for (n, value) in values.iter().enumerate() {
        for (generation, statements) in generations.iter_mut().enumerate() {
            if (n + generation) % 3 != 0 {
                statements.push(format!(
                    "INSERT INTO @ (p, c, v) VALUES ({}, {value}, {})",
                    n % 2,
                    n * 10 + generation
                ));
            }
        }
        if n % 5 == 0 {
            generations[2].push(format!("DELETE FROM @ WHERE p = 0 AND c = {value}"));
        }
    }
    if let Some(value) = values.get(values.len() / 2) {
        generations[1].push(format!("DELETE FROM @ WHERE p = 0 AND c >= {value}"));
        generations[2].push(format!("DELETE FROM @ WHERE p = 1 AND c < {value}"));
    }
    let order = if descending { "DESC" } else { "ASC" };
    shape(
        name,
        &format!("p int, c {ty}, v int, PRIMARY KEY (p, c)"),
        &format!("CLUSTERING ORDER BY (c {order})"),
        generations,
    )
}

fn orders() -> Vec<Shape> {
    let of = |values: &[&str]| -> Vec<String> { values.iter().map(|value| (*value).to_owned()).collect() };
    let quoted =
        |values: &[&str]| -> Vec<String> { values.iter().map(|value| format!("'{value}'")).collect() };
    let mut dice = Dice(8);
    let ids: Vec<_> = (0..60).map(|_| dice.uuid(1 << 30)).collect();
    let times: Vec<_> = (0..60).map(|_| dice.uuid(1 << 30)).filter(|id| id.as_bytes()[14] == b'1').collect();
    let numbers = of(&["-2147483648", "-129", "-128", "-1", "0", "1", "127", "128", "300", "2147483647"]);
    let small = of(&["-128", "-127", "-2", "-1", "0", "1", "2", "126", "127"]);
    let mut shapes = vec![
        ordered("by_int", "int", &numbers, false),
        ordered("by_int_down", "int", &numbers, true),
        ordered("by_bigint", "bigint", &numbers, true),
        ordered(
            "by_varint",
            "varint",
            &[numbers.clone(), of(&["-99999999999999999999", "99999999999999999999", "65536"])].concat(),
            false,
        ),
        ordered("by_smallint", "smallint", &small, false),
        ordered("by_tinyint", "tinyint", &small, true),
        ordered(
            "by_double",
            "double",
            &of(&["-1e300", "-1.5", "-0.0", "0.0", "1e-300", "2.5", "NaN", "Infinity", "-Infinity"]),
            false,
        ),
        ordered(
            "by_float",
            "float",
            &of(&["-1e30", "-1.5", "-0.0", "0.0", "1e-30", "2.5", "NaN", "Infinity", "-Infinity"]),
            true,
        ),
        ordered("by_text", "text", &quoted(&["", "a", "ab", "b", "B", "ä", "ö", "zz", "\u{1f600}"]), false),
        ordered("by_text_down", "text", &quoted(&["", "a", "ab", "b", "B", "ä", "ö", "zz"]), true),
        ordered(
            "by_blob",
            "blob",
            &of(&["0x", "0x00", "0x0000", "0x01", "0x7f", "0x80", "0xff", "0xff00"]),
            false,
        ),
        ordered("by_boolean", "boolean", &of(&["true", "false"]), false),
        ordered(
            "by_timestamp",
            "timestamp",
            &of(&["-1000", "0", "1", "1700000000000", "-62135596800000"]),
            true,
        ),
        ordered(
            "by_date",
            "date",
            &quoted(&["1969-12-31", "1970-01-01", "2024-02-29", "0001-01-01", "9999-12-31"]),
            false,
        ),
        ordered(
            "by_time",
            "time",
            &quoted(&["00:00:00", "12:00:00.5", "23:59:59.999999999", "01:02:03"]),
            true,
        ),
        ordered(
            "by_inet",
            "inet",
            &quoted(&["10.0.0.1", "9.0.0.1", "200.0.0.1", "::1", "fe80::1", "0.0.0.0"]),
            false,
        ),
        ordered("by_uuid", "uuid", &ids, false),
        ordered("by_uuid_down", "uuid", &ids, true),
        ordered("by_timeuuid", "timeuuid", &times, false),
        ordered("by_set", "frozen<set<int>>", &of(&["{}", "{1}", "{1, 2}", "{-1}", "{2}", "{-1, 5}"]), false),
        ordered("by_list", "frozen<list<text>>", &of(&["[]", "['a']", "['a', 'b']", "['b']", "['']"]), true),
        ordered(
            "by_map",
            "frozen<map<int, int>>",
            &of(&["{}", "{1: 1}", "{1: 2}", "{1: 1, 2: 1}", "{-1: 0}"]),
            false,
        ),
        ordered(
            "by_tuple",
            "frozen<tuple<int, text>>",
            &of(&["(1, 'a')", "(1, 'b')", "(-1, 'z')", "(null, 'q')", "(5, null)"]),
            false,
        ),
    ];
    let mut sets = vec![Vec::new(); 2];
    for (n, id) in ids.iter().enumerate() {
        sets[n % 2].push(format!(
            "UPDATE @ SET u = u + {{{id}}}, m[{id}] = {n}, i = i + {{{}}} WHERE p = 1",
            (n * 37) % 50
        ));
    }
    shapes.push(shape(
        "element_orders",
        "p int PRIMARY KEY, u set<uuid>, m map<uuid, int>, i set<varint>",
        "",
        sets,
    ));
    shapes
}

/// The tables for a Cassandra line.
pub fn shapes(line: &str) -> Vec<Shape> {
    let mut shapes = vec![
        consumers(),
        expiring(),
        default_ttl(),
        routes(),
        composite(),
        natives(),
        user_types(),
        many_columns(),
        counters(),
        dropped(),
        ties(),
        large(),
        compressed("plain", "{'enabled': 'false'}"),
        compressed("lz4_small", "{'class': 'LZ4Compressor', 'chunk_length_in_kb': 4}"),
        compressed("snappy", "{'class': 'SnappyCompressor'}"),
        compressed("deflate", "{'class': 'DeflateCompressor', 'chunk_length_in_kb': 16}"),
    ];
    if line != "3.11" {
        shapes.push(compressed("zstd", "{'class': 'ZstdCompressor', 'chunk_length_in_kb': 16}"));
        shapes.push(compressed("noop", "{'class': 'NoopCompressor'}"));
        shapes.push(compressed(
            "raw_chunks",
            "{'class': 'LZ4Compressor', 'chunk_length_in_kb': 4, 'min_compress_ratio': 1.6}",
        ));
    }
    if line == "5.0" {
        let insert = |n: i32| format!("INSERT INTO @ (p, v, w) VALUES ({n}, [1.5, {n}], ['a', 'bb'])");
        let rows = vec![(0..10).map(insert).collect()];
        shapes.push(shape("vectors", "p int PRIMARY KEY, v vector<float, 2>, w vector<text, 2>", "", rows));
    }
    shapes.extend(orders());
    shapes
}
