//! Types of columns, as SSTables name them: Java class names of Cassandra's marshallers.

use std::collections::BTreeMap;
use std::fmt;

/// How deep types may be nested. Cassandra's own limit is its stack.
const DEEPEST: usize = 32;

/// The type of a column, key or part of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Ascii,
    Bigint,
    Blob,
    Boolean,
    Counter,
    Date,
    Decimal,
    Double,
    Duration,
    Float,
    Inet,
    Int,
    Smallint,
    Text,
    Time,
    Timestamp,
    Timeuuid,
    Tinyint,
    Uuid,
    Varint,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Tuple(Vec<Type>),
    /// A user-defined type: its name and its fields in order.
    Udt(String, Vec<(String, Type)>),
    Vector(Box<Type>, usize),
    /// A collection or user-defined type whose value is one cell.
    Frozen(Box<Type>),
    /// A clustering column in descending order.
    Reversed(Box<Type>),
    /// A partition key of several columns.
    Composite(Vec<Type>),
}

const NATIVE: [(&str, Type); 21] = [
    ("AsciiType", Type::Ascii),
    ("LongType", Type::Bigint),
    ("BytesType", Type::Blob),
    ("BooleanType", Type::Boolean),
    ("CounterColumnType", Type::Counter),
    ("SimpleDateType", Type::Date),
    ("DecimalType", Type::Decimal),
    ("DoubleType", Type::Double),
    ("DurationType", Type::Duration),
    ("FloatType", Type::Float),
    ("InetAddressType", Type::Inet),
    ("Int32Type", Type::Int),
    ("ShortType", Type::Smallint),
    ("UTF8Type", Type::Text),
    ("TimeType", Type::Time),
    ("TimestampType", Type::Timestamp),
    ("DateType", Type::Timestamp),
    ("TimeUUIDType", Type::Timeuuid),
    ("ByteType", Type::Tinyint),
    ("UUIDType", Type::Uuid),
    ("IntegerType", Type::Varint),
];

impl Type {
    /// The type of that class name, arguments included; else what is wrong with it.
    pub fn parse(name: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: name };
        let ty = parser.ty(0)?;
        if parser.rest.is_empty() { Ok(ty) } else { Err(format!("`{}` follows a type", parser.rest)) }
    }

    /// Without `Frozen` and `Reversed` around it.
    pub fn bare(&self) -> &Self {
        match self {
            Self::Frozen(inner) | Self::Reversed(inner) => inner.bare(),
            other => other,
        }
    }

    /// Whether each element of a value is a cell of its own.
    pub fn is_multi_cell(&self) -> bool {
        matches!(self, Self::List(_) | Self::Set(_) | Self::Map(..) | Self::Udt(..))
    }

    /// Number of bytes of every value, for types whose values are stored without a length.
    pub fn fixed_length(&self) -> Option<usize> {
        match self.bare() {
            Self::Boolean => Some(1),
            Self::Int | Self::Float => Some(4),
            Self::Bigint | Self::Double | Self::Timestamp => Some(8),
            Self::Uuid | Self::Timeuuid => Some(16),
            Self::Vector(element, count) => element.fixed_length()?.checked_mul(*count),
            _ => None,
        }
    }

    /// Whether values of `self` can be read as values of `other` as they are: the same type but for `Frozen` inside, names and
    /// added fields of user-defined types, or the one widening that Cassandra once allowed and that keeps the bytes.
    pub fn reads_as(&self, other: &Self) -> bool {
        self.is_multi_cell() == other.is_multi_cell() && self.has_bytes_of(other)
    }

    fn has_bytes_of(&self, other: &Self) -> bool {
        let all =
            |a: &[Self], b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.has_bytes_of(b));
        match (self, other) {
            (Self::Frozen(a), b) => a.has_bytes_of(b),
            (a, Self::Frozen(b)) => a.has_bytes_of(b),
            (Self::Reversed(a), Self::Reversed(b))
            | (Self::List(a), Self::List(b))
            | (Self::Set(a), Self::Set(b)) => a.has_bytes_of(b),
            (Self::Map(a, x), Self::Map(b, y)) => a.has_bytes_of(b) && x.has_bytes_of(y),
            (Self::Udt(_, a), Self::Udt(_, b)) => {
                a.len() <= b.len() && a.iter().zip(b).all(|((_, a), (_, b))| a.has_bytes_of(b))
            }
            (Self::Tuple(a), Self::Tuple(b)) | (Self::Composite(a), Self::Composite(b)) => all(a, b),
            (Self::Vector(a, n), Self::Vector(b, m)) => n == m && a.has_bytes_of(b),
            (Self::Ascii, Self::Text) => true,
            (a, b) => a == b,
        }
    }

    /// The type that CQL names so, such as `map<text, frozen<set<uuid>>>`, with the user-defined types of the keyspace: names
    /// and types of their fields. Else what is wrong with it.
    pub fn from_cql(
        text: &str,
        user_types: &BTreeMap<String, Vec<(String, String)>>,
    ) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let ty = parser.cql(user_types, 0)?;
        if parser.rest.trim().is_empty() { Ok(ty) } else { Err(format!("`{}` follows a type", parser.rest)) }
    }
}

struct Parser<'n> {
    rest: &'n str,
}

impl<'n> Parser<'n> {
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        let eaten = self.rest.strip_prefix(token);
        self.rest = eaten.unwrap_or(self.rest);
        eaten.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("`{token}` is to stand before `{}`", self.rest)) }
    }

    /// Letters, digits and what else class names have.
    fn word(&mut self) -> &'n str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._$-".contains(c)));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Type>, String> {
        let mut list = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            if !list.is_empty() {
                self.expect(',')?;
            }
            list.push(self.ty(depth)?);
        }
        Ok(list)
    }

    fn one(&mut self, depth: usize) -> Result<Box<Type>, String> {
        self.expect('(')?;
        let ty = self.ty(depth)?;
        self.expect(')')?;
        Ok(Box::new(ty))
    }

    fn ty(&mut self, depth: usize) -> Result<Type, String> {
        if depth > DEEPEST {
            return Err(format!("types are nested more than {DEEPEST} deep"));
        }
        let deeper = depth + 1;
        let word = self.word();
        let name = word.strip_prefix("org.apache.cassandra.db.marshal.").unwrap_or(word);
        if let Some((_, ty)) = NATIVE.iter().find(|(known, _)| *known == name) {
            return Ok(ty.clone());
        }
        Ok(match name {
            "ListType" => Type::List(self.one(deeper)?),
            "SetType" => Type::Set(self.one(deeper)?),
            "FrozenType" => {
                let inner = *self.one(deeper)?;
                if inner.is_multi_cell() || matches!(inner, Type::Tuple(_)) {
                    Type::Frozen(Box::new(inner))
                } else {
                    inner
                }
            }
            "ReversedType" => Type::Reversed(self.one(deeper)?),
            "MapType" => {
                self.expect('(')?;
                let key = self.ty(deeper)?;
                self.expect(',')?;
                let value = self.ty(deeper)?;
                self.expect(')')?;
                Type::Map(Box::new(key), Box::new(value))
            }
            "TupleType" => Type::Tuple(self.list(deeper)?),
            "CompositeType" => Type::Composite(self.list(deeper)?),
            "VectorType" => {
                self.expect('(')?;
                let element = self.ty(deeper)?;
                self.expect(',')?;
                let count = self.word();
                self.expect(')')?;
                let count = count.parse().map_err(|_| format!("a vector of `{count}` elements"))?;
                Type::Vector(Box::new(element), count)
            }
            "UserType" => self.udt(deeper)?,
            _ => return Err(format!("the type `{word}` is not read here")),
        })
    }

    fn cql(
        &mut self,
        user_types: &BTreeMap<String, Vec<(String, String)>>,
        depth: usize,
    ) -> Result<Type, String> {
        if depth > DEEPEST {
            return Err(format!("types are nested more than {DEEPEST} deep"));
        }
        let name = self.cql_name()?;
        if !self.eat('<') {
            let plain = if name == "varchar" { "text" } else { name.as_str() };
            if let Some((_, ty)) = NATIVE.iter().find(|(_, ty)| ty.to_string() == plain) {
                return Ok(ty.clone());
            }
            let Some(fields) = user_types.get(&name) else {
                return Err(format!("the type `{name}` is not read here"));
            };
            let field = |(name, ty): &(String, String)| {
                Ok((name.clone(), Parser { rest: ty }.cql(user_types, depth + 1)?))
            };
            return Ok(Type::Udt(name, fields.iter().map(field).collect::<Result<_, String>>()?));
        }
        if name == "vector" {
            let element = self.cql(user_types, depth + 1)?;
            self.expect(',')?;
            let count = self.word();
            self.expect('>')?;
            let count = count.parse().map_err(|_| format!("a vector of `{count}` elements"))?;
            return Ok(Type::Vector(Box::new(element), count));
        }
        let mut inner = vec![self.cql(user_types, depth + 1)?];
        while self.eat(',') {
            inner.push(self.cql(user_types, depth + 1)?);
        }
        self.expect('>')?;
        let mut types = inner.into_iter();
        let ty = match (name.as_str(), types.next(), types.next(), types.next()) {
            ("list", Some(element), None, None) => Type::List(Box::new(element)),
            ("set", Some(element), None, None) => Type::Set(Box::new(element)),
            ("map", Some(key), Some(value), None) => Type::Map(Box::new(key), Box::new(value)),
            ("frozen", Some(inner), None, None) => Type::Frozen(Box::new(inner)),
            ("tuple", first, second, third) => {
                Type::Tuple(first.into_iter().chain(second).chain(third).chain(types).collect())
            }
            _ => return Err(format!("the type `{name}<...>` is not read here")),
        };
        Ok(ty)
    }

    /// A name, in quotes or not.
    fn cql_name(&mut self) -> Result<String, String> {
        if !self.eat('"') {
            return Ok(self.word().to_lowercase());
        }
        let mut name = String::new();
        loop {
            let end = self.rest.find('"').ok_or("a name has no closing quote")?;
            let (part, rest) = self.rest.split_at(end);
            name.push_str(part);
            self.rest = rest.get(1..).unwrap_or_default();
            match self.rest.strip_prefix('"') {
                Some(rest) => {
                    name.push('"');
                    self.rest = rest;
                }
                None => return Ok(name),
            }
        }
    }

    fn udt(&mut self, depth: usize) -> Result<Type, String> {
        self.expect('(')?;
        self.word();
        self.expect(',')?;
        let name = unhex(self.word())?;
        let mut fields = Vec::new();
        while self.eat(',') {
            let field = unhex(self.word())?;
            self.expect(':')?;
            fields.push((field, self.ty(depth)?));
        }
        self.expect(')')?;
        Ok(Type::Udt(name, fields))
    }
}

fn unhex(digits: &str) -> Result<String, String> {
    let wrong = || format!("`{digits}` is no name in hexadecimal digits");
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let bytes: Option<Vec<u8>> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)
}

impl fmt::Display for Type {
    /// As CQL writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[Self]| {
            types
                .iter()
                .enumerate()
                .try_for_each(|(n, ty)| write!(f, "{}{ty}", if n == 0 { "" } else { ", " }))
        };
        match self {
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Set(element) => write!(f, "set<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Tuple(types) => {
                f.write_str("tuple<")?;
                list(f, types)?;
                f.write_str(">")
            }
            Self::Udt(name, _) => f.write_str(name),
            Self::Vector(element, count) => write!(f, "vector<{element}, {count}>"),
            Self::Frozen(inner) => write!(f, "frozen<{inner}>"),
            Self::Reversed(inner) => write!(f, "{inner} (descending)"),
            Self::Composite(types) => {
                f.write_str("(")?;
                list(f, types)?;
                f.write_str(")")
            }
            native => f.write_str(&format!("{native:?}").to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: &str = "org.apache.cassandra.db.marshal.";

    #[test]
    fn nested_types() {
        let name = format!("{IN}MapType({IN}UTF8Type,{IN}FrozenType({IN}SetType({IN}UUIDType)))");
        assert_eq!(Type::parse(&name).unwrap().to_string(), "map<text, frozen<set<uuid>>>");
        let name = format!("{IN}ReversedType({IN}CompositeType({IN}Int32Type,{IN}LongType))");
        assert_eq!(Type::parse(&name).unwrap().to_string(), "(int, bigint) (descending)");
        let name = format!("{IN}VectorType({IN}FloatType , 3)");
        assert_eq!(Type::parse(&name).unwrap().fixed_length(), Some(12));
    }

    #[test]
    fn user_defined_types() {
        let name = format!("{IN}UserType(ks,61646472,7a6970:{IN}Int32Type,73:{IN}ListType({IN}UTF8Type))");
        let Type::Udt(name, fields) = Type::parse(&name).unwrap() else { panic!("no user-defined type") };
        assert_eq!(name, "addr");
        let fields: Vec<_> = fields.iter().map(|(name, ty)| (name.as_str(), ty.to_string())).collect();
        assert_eq!(fields, [("zip", "int".to_owned()), ("s", "list<text>".to_owned())]);
    }

    #[test]
    fn types_of_cql() {
        let user_types = BTreeMap::from([
            ("address".to_owned(), vec![("zip".to_owned(), "int".to_owned())]),
            ("Odd \" name".to_owned(), vec![("a".to_owned(), "frozen<address>".to_owned())]),
        ]);
        let class = format!("{IN}MapType({IN}UTF8Type,{IN}FrozenType({IN}SetType({IN}UUIDType)))");
        let cql = Type::from_cql("map<text, frozen<set<uuid>>>", &user_types).unwrap();
        assert_eq!(cql, Type::parse(&class).unwrap());
        let tuple = Type::from_cql("frozen<tuple<int, varchar, vector<float, 3>>>", &user_types).unwrap();
        assert_eq!(tuple.to_string(), "frozen<tuple<int, text, vector<float, 3>>>");
        assert!(Type::from_cql("tuple<int, text, vector<float, 3>>", &user_types).unwrap().reads_as(&tuple));
        let odd = Type::from_cql("\"Odd \"\" name\"", &user_types).unwrap();
        assert!(matches!(&odd, Type::Udt(_, fields) if fields.len() == 1) && odd.is_multi_cell());
        for wrong in
            ["", "nothing", "list<int", "list<int, int>", "map<int>", "int>", "\"open", "vector<int, x>"]
        {
            assert!(Type::from_cql(wrong, &user_types).is_err(), "{wrong}");
        }
        assert!(Type::from_cql(&"list<".repeat(100_000), &user_types).is_err());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for name in [
            "",
            "x",
            "ListType",
            "ListType(",
            "MapType(Int32Type)",
            "UserType(ks,6,61:Int32Type)",
            "Int32Type)",
        ] {
            assert!(Type::parse(name).is_err(), "{name}");
        }
        assert!(Type::parse(&"ListType(".repeat(100_000)).is_err());
    }

    #[test]
    fn fields_may_be_added_to_user_defined_types() {
        let of = |names: &[&str]| {
            Type::Udt("u".into(), names.iter().map(|name| ((*name).to_owned(), Type::Int)).collect())
        };
        assert!(of(&["a"]).reads_as(&of(&["a", "b"])));
        assert!(!of(&["a", "b"]).reads_as(&of(&["a"])));
        let frozen = |ty| Type::Frozen(Box::new(ty));
        assert!(frozen(of(&["a"])).reads_as(&frozen(of(&["a", "b"]))));
        assert!(!frozen(of(&["a"])).reads_as(&of(&["a"])));
        assert!(!of(&["a"]).reads_as(&frozen(of(&["a"]))));
    }
}
