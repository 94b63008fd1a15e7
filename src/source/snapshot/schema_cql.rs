//! `schema.cql`, which Cassandra writes into every snapshot: the table as it was, its dropped columns, its types.

use std::collections::BTreeMap;

use crate::source::{ColumnKind, CqlType};

/// A table as its `schema.cql` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TableSchema {
    pub(super) keyspace: String,
    pub(super) name: String,
    /// The table's id as 32 hexadecimal digits, as its directory is named.
    pub(super) id: Option<String>,
    /// Partition key in key order, clustering columns in key order, then the others as listed.
    pub(super) columns: Vec<SchemaColumn>,
    /// When columns were dropped, microseconds since 1970.
    pub(super) dropped: BTreeMap<String, i64>,
    pub(super) default_time_to_live: i32,
    /// User-defined types: names and types of their fields.
    pub(super) user_types: BTreeMap<String, Vec<(String, String)>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SchemaColumn {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    /// Its type as CQL writes it.
    pub(super) ty: String,
}

impl TableSchema {
    /// Reads the text of a `schema.cql`; else what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut schema = Self::default();
        let mut words = Words { rest: text };
        let mut found = false;
        while let Some(first) = words.next()? {
            match (first.keyword().as_str(), words.keyword()?.as_str()) {
                ("create", "table") => {
                    schema.create_table(&mut words)?;
                    found = true;
                }
                ("create", "type") => schema.create_type(&mut words)?,
                ("alter", "table") => schema.alter_table(&mut words)?,
                // Indexes.
                _ => {}
            }
            words.skip_statement()?;
        }
        if found { Ok(schema) } else { Err("it creates no table".into()) }
    }

    /// The type of a column for the catalog.
    pub(super) fn cql_type(&self, ty: &str) -> CqlType {
        let types = self.user_types.iter().map(|(name, fields)| {
            let fields = fields.iter().map(|(name, ty)| (name.clone(), CqlType::parse(ty))).collect();
            (name.clone(), fields)
        });
        CqlType::parse(ty).with_user_types(&types.collect())
    }

    fn create_table(&mut self, words: &mut Words) -> Result<(), String> {
        (self.keyspace, self.name) = words.qualified_name()?;
        words.expect("(")?;
        let (mut partition, mut clustering) = (Vec::new(), Vec::new());
        let mut listed: Vec<SchemaColumn> = Vec::new();
        loop {
            let first = words.some()?;
            if first.is("primary") && words.peek()?.is_some_and(|next| next.is("key")) {
                words.expect("key")?;
                words.expect("(")?;
                if words.eat("(")? {
                    partition = words.names_until(")")?;
                } else {
                    partition.push(words.some()?.name());
                }
                if words.eat(",")? {
                    clustering = words.names_until(")")?;
                } else {
                    words.expect(")")?;
                }
            } else {
                let (name, ty) = (first.name(), words.type_text()?);
                let kind = if words.eat("static")? { ColumnKind::Static } else { ColumnKind::Regular };
                if words.eat("primary")? {
                    words.expect("key")?;
                    partition.push(name.clone());
                }
                listed.push(SchemaColumn { name, kind, ty });
            }
            if !words.eat(",")? {
                break;
            }
        }
        words.expect(")")?;
        for (names, kind) in [(&partition, ColumnKind::PartitionKey), (&clustering, ColumnKind::Clustering)] {
            for name in names {
                let place = listed.iter().position(|column| column.name == *name);
                let place = place.ok_or("a column of the primary key is not listed")?;
                let column = listed.remove(place);
                self.columns.push(SchemaColumn { kind, ..column });
            }
        }
        self.columns.append(&mut listed);
        while let Some(word) = words.peek()? {
            if word.is(";") {
                break;
            }
            words.some()?;
            if word.is("id") && words.eat("=")? {
                self.id = Some(words.some()?.text.replace('-', "").to_lowercase());
            } else if word.is("default_time_to_live") && words.eat("=")? {
                let seconds = words.some()?;
                self.default_time_to_live =
                    seconds.text.parse().map_err(|_| "a time to live is no number")?;
            } else if word.is("compact") && words.eat("storage")? {
                return Err("it is a table WITH COMPACT STORAGE, which is not read".into());
            }
        }
        Ok(())
    }

    fn create_type(&mut self, words: &mut Words) -> Result<(), String> {
        let (_, name) = words.qualified_name()?;
        words.expect("(")?;
        let mut fields = Vec::new();
        loop {
            fields.push((words.some()?.name(), words.type_text()?));
            if !words.eat(",")? {
                break;
            }
        }
        words.expect(")")?;
        self.user_types.insert(name, fields);
        Ok(())
    }

    fn alter_table(&mut self, words: &mut Words) -> Result<(), String> {
        words.qualified_name()?;
        if words.eat("drop")? {
            let name = words.some()?.name();
            let mut at = i64::MAX;
            if words.eat("using")? {
                words.expect("timestamp")?;
                at = words.some()?.text.parse().map_err(|_| "a time of a dropped column is no number")?;
            }
            self.columns.retain(|column| column.name != name);
            self.dropped.insert(name, at);
        } else if words.eat("add")? {
            let (name, ty) = (words.some()?.name(), words.type_text()?);
            let kind = if words.eat("static")? { ColumnKind::Static } else { ColumnKind::Regular };
            self.columns.retain(|column| column.name != name);
            self.columns.push(SchemaColumn { name, kind, ty });
        }
        Ok(())
    }
}

/// A word of CQL: a name, number, string or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// In double or single quotes: no keyword, and as it stands.
    quoted: bool,
}

impl Word {
    fn keyword(&self) -> String {
        if self.quoted { String::new() } else { self.text.to_lowercase() }
    }

    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }

    fn name(self) -> String {
        if self.quoted { self.text } else { self.text.to_lowercase() }
    }
}

struct Words<'t> {
    rest: &'t str,
}

impl Words<'_> {
    /// The next word, `None` at the end.
    fn next(&mut self) -> Result<Option<Word>, String> {
        loop {
            self.rest = self.rest.trim_start();
            let comment = [("--", "\n"), ("//", "\n"), ("/*", "*/")]
                .iter()
                .find(|(begin, _)| self.rest.starts_with(begin));
            let Some((_, end)) = comment else { break };
            self.rest = self.rest.split_once(end).map_or("", |(_, rest)| rest);
        }
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if first == '"' || first == '\'' {
            return self.quoted(first).map(Some);
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(self.rest.len());
        let end = if end == 0 { first.len_utf8() } else { end };
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Some(Word { text: text.to_owned(), quoted: false }))
    }

    /// A word in quotes, in which two quotes stand for one.
    fn quoted(&mut self, quote: char) -> Result<Word, String> {
        let mut text = String::new();
        let mut rest = self.rest.get(1..).unwrap_or_default();
        loop {
            let (part, behind) = rest.split_once(quote).ok_or("a quote is not closed")?;
            text.push_str(part);
            rest = behind;
            let Some(behind) = rest.strip_prefix(quote) else { break };
            text.push(quote);
            rest = behind;
        }
        self.rest = rest;
        Ok(Word { text, quoted: true })
    }

    fn some(&mut self) -> Result<Word, String> {
        self.next()?.ok_or_else(|| "it ends in the middle of a statement".into())
    }

    fn keyword(&mut self) -> Result<String, String> {
        Ok(self.next()?.map(|word| word.keyword()).unwrap_or_default())
    }

    fn peek(&mut self) -> Result<Option<Word>, String> {
        let here = self.rest;
        let word = self.next();
        self.rest = here;
        word
    }

    fn eat(&mut self, keyword: &str) -> Result<bool, String> {
        let eaten = self.peek()?.is_some_and(|word| word.is(keyword));
        if eaten {
            self.next()?;
        }
        Ok(eaten)
    }

    fn expect(&mut self, keyword: &str) -> Result<(), String> {
        if self.eat(keyword)? { Ok(()) } else { Err(format!("`{keyword}` is missing where it is expected")) }
    }

    /// `[IF NOT EXISTS] [keyspace .] name`.
    fn qualified_name(&mut self) -> Result<(String, String), String> {
        if self.eat("if")? {
            self.expect("not")?;
            self.expect("exists")?;
        }
        let first = self.some()?.name();
        if self.eat(".")? { Ok((first, self.some()?.name())) } else { Ok((String::new(), first)) }
    }

    fn names_until(&mut self, end: &str) -> Result<Vec<String>, String> {
        let mut names = vec![self.some()?.name()];
        while self.eat(",")? {
            names.push(self.some()?.name());
        }
        self.expect(end)?;
        Ok(names)
    }

    /// The text of a type, with all that its brackets hold.
    fn type_text(&mut self) -> Result<String, String> {
        let begin = self.rest;
        let mut depth = 0_usize;
        self.some()?;
        loop {
            let next = self.peek()?;
            let sign = |sign| next.as_ref().is_some_and(|word: &Word| word.is(sign));
            if sign("<") {
                depth += 1;
            } else if depth == 0 {
                break;
            } else if sign(">") {
                depth -= 1;
            }
            self.some()?;
        }
        let length = begin.len() - self.rest.len();
        Ok(begin.get(..length).unwrap_or_default().trim().to_owned())
    }

    /// Goes behind the next `;`.
    fn skip_statement(&mut self) -> Result<(), String> {
        while self.next()?.is_some_and(|word| !word.is(";")) {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"
        /* made by a snapshot */
        CREATE TYPE IF NOT EXISTS kong."Odd" (street text, "Tags" frozen<set<text>>);
        CREATE TABLE IF NOT EXISTS kong.things (
            a text, b int, c timestamp, s map<text, frozen<set<uuid>>> static, gone int, back text, o frozen<"Odd">,
            PRIMARY KEY ((a, b), c)
        ) WITH ID = df7cd7b0-e5dd-11f1-a55c-9dd23432aff5 -- its directory
            AND CLUSTERING ORDER BY (c DESC) AND comment = 'it''s; a (table)' AND default_time_to_live = 86400
            AND caching = {'keys': 'ALL'};
        ALTER TABLE kong.things DROP gone USING TIMESTAMP 100;
        ALTER TABLE kong.things DROP back USING TIMESTAMP 200;
        ALTER TABLE kong.things ADD back text;
        CREATE INDEX by_back ON kong.things (back);
    "#;

    /// Whatever is in the file, reading it ends, with a table or with what is wrong.
    #[test]
    fn changed_texts_end() {
        let mut seed = 7_u64;
        let mut roll = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below.max(1)
        };
        let pieces = ["'", "\"", "(", ")", "<", "/*", "--", ";", "PRIMARY KEY", "\u{0}", "é", "frozen<"];
        let mut refused = 0;
        for _ in 0..5_000 {
            let mut text: Vec<char> = SCHEMA.chars().collect();
            for _ in 0..=roll(3) {
                let at = roll(text.len());
                match roll(3) {
                    0 => text.truncate(at),
                    1 => drop(text.drain(at..(at + roll(30)).min(text.len()))),
                    _ => drop(text.splice(at..at, pieces[roll(pieces.len())].chars().collect::<Vec<_>>())),
                }
            }
            let text: String = text.into_iter().collect();
            match TableSchema::parse(&text) {
                Err(_) => refused += 1,
                Ok(schema) => schema.columns.iter().for_each(|column| drop(schema.cql_type(&column.ty))),
            }
        }
        assert!(refused > 1_000, "{refused} refused");
    }

    #[test]
    fn a_table_with_all_there_is() {
        let schema = TableSchema::parse(SCHEMA).unwrap();
        assert_eq!((schema.keyspace.as_str(), schema.name.as_str()), ("kong", "things"));
        assert_eq!(schema.id.as_deref(), Some("df7cd7b0e5dd11f1a55c9dd23432aff5"));
        assert_eq!(schema.default_time_to_live, 86400);
        let columns: Vec<_> =
            schema.columns.iter().map(|c| (c.name.as_str(), c.kind, c.ty.as_str())).collect();
        assert_eq!(
            columns,
            [
                ("a", ColumnKind::PartitionKey, "text"),
                ("b", ColumnKind::PartitionKey, "int"),
                ("c", ColumnKind::Clustering, "timestamp"),
                ("s", ColumnKind::Static, "map<text, frozen<set<uuid>>>"),
                ("o", ColumnKind::Regular, "frozen<\"Odd\">"),
                ("back", ColumnKind::Regular, "text"),
            ]
        );
        assert_eq!(schema.dropped, BTreeMap::from([("gone".to_owned(), 100), ("back".to_owned(), 200)]));
        assert!(
            matches!(schema.cql_type("frozen<\"Odd\">"), CqlType::Udt { fields, .. } if fields.len() == 2)
        );
    }

    #[test]
    fn a_key_of_one_column() {
        let schema = TableSchema::parse("CREATE TABLE t (id uuid PRIMARY KEY, primary int)").unwrap();
        let columns: Vec<_> = schema.columns.iter().map(|c| (c.name.as_str(), c.kind)).collect();
        assert_eq!(columns, [("id", ColumnKind::PartitionKey), ("primary", ColumnKind::Regular)]);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in [
            "",
            "CREATE",
            "CREATE TABLE t (",
            "CREATE TABLE t (a int, PRIMARY KEY (b))",
            "CREATE TABLE t (a 'x",
            "CREATE TYPE t (a int);",
            "CREATE TABLE t (a int PRIMARY KEY) WITH COMPACT STORAGE;",
            "CREATE TABLE t (a list<int",
        ] {
            assert!(TableSchema::parse(text).is_err(), "{text}");
        }
        for end in 0..SCHEMA.len() {
            let _ = TableSchema::parse(&SCHEMA[..end]);
        }
    }
}
