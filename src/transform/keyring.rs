//! States of the keyring's keys.

use super::codec::Codec;
use super::shaped::Reason;
use super::tuple::Tuple;

/// The rule `keyring_state`. On Cassandra the active key is named in a table of its own, and its state may read `alive`; on
/// `PostgreSQL` the state itself says so.
#[derive(Debug)]
pub(super) struct KeyringState {
    /// Item that holds the id of the key.
    pub id: usize,
    /// Item that holds the stored state.
    pub state: usize,
    /// Encoder of the stored state.
    pub stored: Codec,
    /// Ids of the active keys.
    pub active: Vec<String>,
    /// COPY field of the word `active`.
    pub active_field: Vec<u8>,
}

impl KeyringState {
    /// Writes the state, NULL where none is known.
    pub fn produce(&self, cells: &[Option<&[u8]>], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let cell = |item: usize| cells.get(item).copied().flatten().filter(|cell| !cell.is_empty());
        let is_active = |id: &[u8]| self.active.iter().any(|active| active.as_bytes() == id);
        match (cell(self.id), cell(self.state)) {
            (Some(id), _) if is_active(id) => tuple.put(&self.active_field),
            (_, Some(state)) => self.stored.encode(state, tuple)?,
            (_, None) => tuple.null(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ShaperContext;
    use super::super::column::Column;
    use super::super::shaped::Repair;
    use super::super::tuple::Notes;
    use super::*;
    use crate::schema_map::{Origin, Output, Production, TableMapping};
    use crate::source::{CqlType, SelectItem, Selection};
    use crate::target::catalog::{PgKind, PgType};

    /// Field and repairs of the state of key `id`, whose stored state is `state`, where `k2` is active.
    fn shaped(id: &str, state: Option<&str>) -> (String, Vec<Repair>) {
        let output = Output {
            column: "state".to_owned(),
            ty: PgType { oid: 25, name: "text".to_owned(), kind: PgKind::Text },
            not_null: true,
            from: Production::KeyringState { id: 0, state: 1 },
        };
        let items = ["id", "state"].map(|name| SelectItem::Column(name.to_owned())).to_vec();
        let mapping = TableMapping {
            table: "keyring_meta".to_owned(),
            origin: Origin::BuiltIn,
            selection: Selection { table: "keyring_meta".to_owned(), items },
            types: vec![CqlType::Text, CqlType::Text],
            key: vec![0],
            required: Vec::new(),
            constants: Vec::new(),
            outputs: vec![output.clone()],
            hash: 0,
            notes: Vec::new(),
            sequences: Vec::new(),
            secrets: Vec::new(),
        };
        let active_keys = ["k2".to_owned()];
        let context = ShaperContext { active_keys: &active_keys, ..ShaperContext::default() };
        let column = Column::compile(&mapping, &output, context).unwrap();
        let (mut copy, mut notes) = (Vec::new(), Notes::default());
        let cells = [Some(id.as_bytes()), state.map(str::as_bytes)];
        column.write(&cells, 0, &mut Tuple::new(&mut copy, &mut notes)).unwrap();
        (String::from_utf8(copy.split_off(4)).unwrap(), notes.repairs)
    }

    #[test]
    fn the_active_key_says_so_and_others_keep_their_state() {
        assert_eq!(shaped("k2", Some("alive")), ("active".to_owned(), vec![]));
        assert_eq!(shaped("k2", None), ("active".to_owned(), vec![]));
        assert_eq!(shaped("k1", Some("alive")), ("alive".to_owned(), vec![]));
        assert_eq!(shaped("k1", Some("tombstoned")), ("tombstoned".to_owned(), vec![]));
        assert_eq!(shaped("k22", Some("alive")), ("alive".to_owned(), vec![]));
    }

    #[test]
    fn a_state_that_was_never_written_is_alive() {
        assert_eq!(shaped("k1", None), ("alive".to_owned(), vec![Repair::Default]));
        assert_eq!(shaped("k1", Some("")), ("alive".to_owned(), vec![Repair::Default]));
    }
}
