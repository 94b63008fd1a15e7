//! The text of CQL types in `system_schema`, such as `map<text, frozen<set<text>>>`.

use std::collections::BTreeMap;

use super::CqlType;

/// Types nested deeper than this are treated as unknown; no table has them, and parsing recurses.
const MOST_NESTED: usize = 64;

impl CqlType {
    /// Reads the type text of `system_schema.columns` or `system_schema.types`.
    ///
    /// `frozen<>` disappears. A name that is no built-in type, a `vector` or a custom class becomes [`CqlType::Other`] under
    /// the server's own text; [`CqlType::with_user_types`] then finds the user-defined types among them.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let mut rest = text;
        match parse_type(&mut rest, 0) {
            Some(ty) if rest.trim().is_empty() => ty,
            _ => Self::Other(text.to_owned()),
        }
    }

    /// The same type with every name of `types` resolved to its fields, in whatever depth.
    #[must_use]
    pub fn with_user_types(self, types: &BTreeMap<String, Vec<(String, CqlType)>>) -> Self {
        self.resolve(types, 0)
    }

    fn resolve(self, types: &BTreeMap<String, Vec<(String, CqlType)>>, depth: usize) -> Self {
        if depth > MOST_NESTED {
            return self;
        }
        let inner = |ty: Box<Self>| Box::new(ty.resolve(types, depth + 1));
        match self {
            Self::List(element) => Self::List(inner(element)),
            Self::Set(element) => Self::Set(inner(element)),
            Self::Map(key, value) => Self::Map(inner(key), inner(value)),
            Self::Tuple(parts) => {
                Self::Tuple(parts.into_iter().map(|part| part.resolve(types, depth + 1)).collect())
            }
            Self::Other(name) => match types.get(&name) {
                Some(fields) => {
                    let resolve =
                        |(name, ty): &(String, Self)| (name.clone(), ty.clone().resolve(types, depth + 1));
                    Self::Udt { fields: fields.iter().map(resolve).collect(), name }
                }
                None => Self::Other(name),
            },
            plain => plain,
        }
    }
}

/// Reads one type from the front of `rest`.
fn parse_type(rest: &mut &str, depth: usize) -> Option<CqlType> {
    if depth > MOST_NESTED {
        return None;
    }
    let start = rest.trim_start();
    *rest = start;
    if start.starts_with('"') {
        return Some(CqlType::Other(quoted_name(rest)?));
    }
    if start.starts_with('\'') {
        let end = start.get(1..)?.find('\'')? + 2;
        let (class, tail) = start.split_at_checked(end)?;
        *rest = tail;
        return Some(CqlType::Other(class.to_owned()));
    }
    let end = start.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(start.len());
    let (name, tail) = start.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    *rest = tail.trim_start();
    if !rest.starts_with('<') {
        return Some(plain(name));
    }
    if !matches!(name, "frozen" | "list" | "set" | "map" | "tuple") {
        return Some(CqlType::Other(parametrised_text(start, rest)?));
    }
    let mut parts = arguments(rest, depth)?.into_iter();
    let ty = match (name, parts.next()?) {
        ("frozen", inner) => inner,
        ("list", element) => CqlType::List(Box::new(element)),
        ("set", element) => CqlType::Set(Box::new(element)),
        ("map", key) => CqlType::Map(Box::new(key), Box::new(parts.next()?)),
        (_, first) => return Some(CqlType::Tuple(std::iter::once(first).chain(parts).collect())),
    };
    parts.next().is_none().then_some(ty)
}

/// Reads `<type, type, ...>`.
fn arguments(rest: &mut &str, depth: usize) -> Option<Vec<CqlType>> {
    *rest = rest.strip_prefix('<')?;
    let mut parts = Vec::new();
    loop {
        parts.push(parse_type(rest, depth + 1)?);
        *rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix(',') {
            *rest = tail;
        } else {
            *rest = rest.strip_prefix('>')?;
            return Some(parts);
        }
    }
}

/// Reads `"name"`, in which `""` stands for one quote.
fn quoted_name(rest: &mut &str) -> Option<String> {
    let mut name = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else {
            *rest = rest.get(at + 1..)?;
            return Some(name);
        }
    }
    None
}

/// The whole text of `name<...>` from `start`; `rest` stands at its `<` and moves behind its `>`.
fn parametrised_text(start: &str, rest: &mut &str) -> Option<String> {
    let mut open = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '<' => open += 1,
            '>' => open -= 1,
            _ => continue,
        }
        if open == 0 {
            *rest = rest.get(at + 1..)?;
            let length = start.len() - rest.len();
            return start.get(..length).map(str::to_owned);
        }
    }
    None
}

fn plain(name: &str) -> CqlType {
    match name {
        "ascii" => CqlType::Ascii,
        "bigint" => CqlType::Bigint,
        "blob" => CqlType::Blob,
        "boolean" => CqlType::Boolean,
        "counter" => CqlType::Counter,
        "date" => CqlType::Date,
        "decimal" => CqlType::Decimal,
        "double" => CqlType::Double,
        "duration" => CqlType::Duration,
        "float" => CqlType::Float,
        "inet" => CqlType::Inet,
        "int" => CqlType::Int,
        "smallint" => CqlType::Smallint,
        "text" | "varchar" => CqlType::Text,
        "time" => CqlType::Time,
        "timestamp" => CqlType::Timestamp,
        "timeuuid" => CqlType::Timeuuid,
        "tinyint" => CqlType::Tinyint,
        "uuid" => CqlType::Uuid,
        "varint" => CqlType::Varint,
        other => CqlType::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(element: CqlType) -> CqlType {
        CqlType::Set(Box::new(element))
    }

    #[test]
    fn nested_collections_lose_their_frozen() {
        assert_eq!(
            CqlType::parse("map<text, frozen<set<text>>>"),
            CqlType::Map(Box::new(CqlType::Text), Box::new(set(CqlType::Text)))
        );
        assert_eq!(
            CqlType::parse("frozen<tuple<int, set<varchar>>>"),
            CqlType::Tuple(vec![CqlType::Int, set(CqlType::Text)])
        );
    }

    #[test]
    fn every_plain_type_prints_as_it_was_read() {
        for name in [
            "ascii",
            "bigint",
            "blob",
            "boolean",
            "counter",
            "date",
            "decimal",
            "double",
            "duration",
            "float",
            "inet",
            "int",
            "smallint",
            "text",
            "time",
            "timestamp",
            "timeuuid",
            "tinyint",
            "uuid",
            "varint",
        ] {
            let ty = CqlType::parse(name);
            assert!(!matches!(ty, CqlType::Other(_)), "{name}");
            assert_eq!(ty.to_string(), name);
        }
    }

    #[test]
    fn user_types_resolve_through_collections_and_quotes() {
        let address = vec![("street".to_owned(), CqlType::Text)];
        let person = vec![("home".to_owned(), CqlType::Other("address".to_owned()))];
        let types =
            BTreeMap::from([("address".to_owned(), address.clone()), ("Per\"son".to_owned(), person)]);
        let home = CqlType::Udt { name: "address".to_owned(), fields: address };
        assert_eq!(
            CqlType::parse("list<frozen<\"Per\"\"son\">>").with_user_types(&types),
            CqlType::List(Box::new(CqlType::Udt {
                name: "Per\"son".to_owned(),
                fields: vec![("home".to_owned(), home)],
            }))
        );
    }

    #[test]
    fn what_has_no_codec_keeps_the_servers_name() {
        for text in
            ["vector<float, 3>", "'org.apache.cassandra.db.marshal.DynamicCompositeType(a=>X)'", "empty"]
        {
            assert_eq!(CqlType::parse(text), CqlType::Other(text.to_owned()));
        }
        assert_eq!(
            CqlType::parse("list<vector<float, 3>>"),
            CqlType::List(Box::new(CqlType::Other("vector<float, 3>".to_owned())))
        );
    }

    #[test]
    fn malformed_text_is_no_type_and_no_panic() {
        for text in
            ["", "<", "list<", "list<>", "map<int>", "set<int, int>", "\"", "'x", "frozen<ä", "int int", ">"]
        {
            assert_eq!(CqlType::parse(text), CqlType::Other(text.to_owned()), "{text}");
        }
        let deep = "list<".repeat(100_000);
        assert_eq!(CqlType::parse(&deep), CqlType::Other(deep.clone()));
    }

    #[test]
    fn a_user_type_that_contains_itself_does_not_recurse_for_ever() {
        let types =
            BTreeMap::from([("a".to_owned(), vec![("x".to_owned(), CqlType::Other("a".to_owned()))])]);
        assert!(matches!(CqlType::parse("a").with_user_types(&types), CqlType::Udt { .. }));
    }
}
