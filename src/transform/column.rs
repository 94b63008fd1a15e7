//! One output of a mapping, compiled.

use crate::error::{Error, ErrorKind, Result};
use crate::schema_map::{Output, Production, TableMapping};
use crate::source::CqlType;
use crate::target::catalog::{PgKind, PgType};

use super::ShaperContext;
use super::cache_key::{CacheKey, Part};
use super::codec::{Codec, between, step};
use super::default::constant;
use super::expiry::ExpiresAt;
use super::keyring::KeyringState;
use super::shaped::{Reason, Repair};
use super::timestamp::KongTimestamp;
use super::tuple::{Notes, Tuple};
use super::workspace::StripWorkspace;

/// How one field of the tuple is written.
#[derive(Debug)]
pub(super) struct Column {
    /// Name of the target column.
    pub name: String,
    not_null: bool,
    value: Value,
    /// Field to write where the value comes out as NULL, and what it counts as.
    when_null: Option<(Vec<u8>, Option<Repair>)>,
}

#[derive(Debug)]
enum Value {
    /// An item of the selection.
    Item(usize, Codec),
    ExpiresAt(ExpiresAt),
    KeyringState(KeyringState),
    /// Nothing on the source: always what `when_null` holds.
    Absent,
}

impl Column {
    /// Compiles an output of `mapping`.
    pub fn compile(mapping: &TableMapping, output: &Output, context: ShaperContext<'_>) -> Result<Self> {
        let of = Place { mapping, output };
        let (value, when_null) = match &output.from {
            Production::Copy { item } | Production::CacheKey { item, .. } => (of.copied(*item)?, None),
            Production::StripWorkspace { item } => {
                of.expect(
                    matches!(of.ty(*item)?, CqlType::Text | CqlType::Ascii),
                    "strip_workspace",
                    "text",
                )?;
                (Value::Item(*item, Box::new(StripWorkspace { text: of.codec(*item)? })), None)
            }
            Production::Timestamp { item, whole_seconds } => {
                of.expect(*of.ty(*item)? == CqlType::Timestamp, "timestamp", "timestamp")?;
                let codec = KongTimestamp { whole_seconds: *whole_seconds, step: of.instant()? };
                (Value::Item(*item, Box::new(codec)), None)
            }
            Production::Workspace { item } => {
                let default = context.default_workspace.map(|id| of.workspace(id)).transpose()?;
                (of.copied(*item)?, default.map(|field| (field, Some(Repair::DefaultWorkspace))))
            }
            Production::ExpiresAt { of: item, others } => {
                for item in others.iter().chain([item]) {
                    of.expect(*of.ty(*item)? == CqlType::Int, "expires_at", "TTL")?;
                }
                let rule = ExpiresAt { of: *item, others: others.clone(), step: of.instant()? };
                (Value::ExpiresAt(rule), None)
            }
            Production::KeyringState { id, state } => {
                let text = matches!(of.ty(*id)?, CqlType::Text | CqlType::Ascii);
                of.expect(text, "keyring_state", "text")?;
                let word = |word| constant(word, &output.ty).ok_or_else(|| of.no_constant());
                let rule = KeyringState {
                    id: *id,
                    state: *state,
                    stored: of.codec(*state)?,
                    active: context.active_keys.to_vec(),
                    active_field: word("active")?,
                };
                (Value::KeyringState(rule), Some((word("alive")?, Some(Repair::Default))))
            }
            Production::Default { item, value } => {
                let field = constant(value, &output.ty).ok_or_else(|| of.no_constant())?;
                match item {
                    Some(item) => (of.copied(*item)?, Some((field, Some(Repair::Default)))),
                    None => (Value::Absent, Some((field, None))),
                }
            }
        };
        Ok(Self { name: output.column.clone(), not_null: output.not_null, value, when_null })
    }

    /// Appends its field for one row.
    #[inline]
    pub fn write(&self, cells: &[Option<&[u8]>], read_at: i64, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let start = tuple.position();
        match &self.value {
            Value::Item(item, codec) => match cells.get(*item).copied().flatten() {
                Some(cell) => codec.encode(cell, tuple)?,
                None => tuple.null(),
            },
            Value::ExpiresAt(rule) => rule.produce(cells, read_at, tuple)?,
            Value::KeyringState(rule) => rule.produce(cells, tuple)?,
            Value::Absent => tuple.null(),
        }
        if (self.not_null || self.when_null.is_some()) && tuple.is_null(start) {
            let Some((field, repair)) = &self.when_null else { return Err(Reason::NullInNotNull) };
            tuple.rewind(start);
            tuple.put(field);
            if let Some(repair) = repair {
                tuple.repaired(*repair);
            }
        }
        Ok(())
    }
}

/// The rule of the `index`-th output if it is a cache key, which needs the finished tuple.
pub(super) fn cache_key(mapping: &TableMapping, index: usize, output: &Output) -> Result<Option<CacheKey>> {
    let Production::CacheKey { item, head, parts } = &output.from else { return Ok(None) };
    let of = Place { mapping, output };
    of.expect(matches!(of.ty(*item)?, CqlType::Text | CqlType::Ascii), "cache_key", "text")?;
    let limit = match output.ty.kind {
        PgKind::Text => None,
        PgKind::Varchar(limit) => limit,
        _ => return Err(of.no_codec(&CqlType::Text)),
    };
    let part = |part: &Option<usize>| match part {
        None => Ok(Part::Empty),
        Some(position) => mapping
            .outputs
            .get(*position)
            .and_then(|named| Part::of(*position, &named.ty.kind))
            .ok_or_else(|| of.error("the rule cache_key names a column that is neither uuid nor text")),
    };
    let parts = parts.iter().map(part).collect::<Result<_>>()?;
    Ok(Some(CacheKey { item: *item, output: index, head: head.clone(), parts, limit }))
}

/// Where in a mapping something is compiled; words its errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    mapping: &'a TableMapping,
    output: &'a Output,
}

impl Place<'_> {
    fn ty(&self, item: usize) -> Result<&CqlType> {
        self.mapping.types.get(item).ok_or_else(|| {
            let what = format!("item {item} is not in the selection");
            Error::new(ErrorKind::Internal, format!("{}: {what}", self.name()))
        })
    }

    fn codec(&self, item: usize) -> Result<Codec> {
        let from = self.ty(item)?;
        between(from, &self.output.ty).ok_or_else(|| self.no_codec(from))
    }

    fn copied(&self, item: usize) -> Result<Value> {
        Ok(Value::Item(item, self.codec(item)?))
    }

    /// Precision of a target column that holds an instant.
    fn instant(&self) -> Result<i64> {
        let PgType { kind, .. } = &self.output.ty;
        matches!(kind, PgKind::Timestamptz | PgKind::Timestamp)
            .then(|| step(&self.output.ty))
            .flatten()
            .ok_or_else(|| self.no_codec(&CqlType::Timestamp))
    }

    /// The field of the default workspace's id.
    fn workspace(&self, id: uuid::Uuid) -> Result<Vec<u8>> {
        let codec = between(&CqlType::Uuid, &self.output.ty).ok_or_else(|| self.no_codec(&CqlType::Uuid))?;
        let (mut field, mut notes) = (Vec::new(), Notes::default());
        codec
            .encode(id.as_bytes(), &mut Tuple::new(&mut field, &mut notes))
            .map_err(|reason| self.error("the default workspace's id does not fit").because(reason))?;
        Ok(field)
    }

    fn expect(&self, holds: bool, rule: &str, ty: &str) -> Result<()> {
        if holds {
            Ok(())
        } else {
            Err(self.error(&format!("the rule {rule} needs a {ty} column on the source")))
        }
    }

    fn no_codec(&self, from: &CqlType) -> Error {
        self.error(&format!("no conversion from CQL {from} to PostgreSQL {}", self.output.ty.name))
            .remedy("drop the column in an edited map (map derive), or change the type of the target column")
    }

    fn no_constant(&self) -> Error {
        self.error(&format!("the default in the map is no value of type {}", self.output.ty.name))
            .remedy("correct the default in the map")
    }

    fn error(&self, what: &str) -> Error {
        Error::new(ErrorKind::SchemaMap, format!("{}: {what}", self.name()))
    }

    fn name(&self) -> String {
        format!("table `{}`, column `{}`", self.mapping.table, self.output.column)
    }
}
