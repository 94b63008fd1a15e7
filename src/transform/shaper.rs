//! A table's mapping compiled into one function per column.

use uuid::Uuid;

use crate::error::Result;
use crate::schema_map::TableMapping;
use crate::source::Page;

use super::Shaped;

/// What shaping needs to know of the estate.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShaperContext {
    /// Id of the source's workspace `default`.
    pub default_workspace: Option<Uuid>,
}

/// Shapes the rows of one table.
#[derive(Debug)]
pub struct RowShaper {}

impl RowShaper {
    /// Compiles `mapping`.
    ///
    /// # Errors
    /// `SchemaMap` when a pair of types has no codec or a default does not fit its column: names table, column, both types.
    pub fn compile(_mapping: &TableMapping, _context: ShaperContext) -> Result<Self> {
        Ok(Self {})
    }

    /// Shapes all rows of `page` into `out`, which is cleared first.
    ///
    /// # Errors
    /// `Source` when the page itself is cut short or overlong; a bad value is a reject, not an error.
    pub fn shape(&self, _page: &Page, out: &mut Shaped) -> Result<()> {
        out.clear();
        Ok(())
    }

    /// Primary key of one row of a page as text, for messages.
    pub fn key_of(&self, _page: &Page, _row: usize) -> String {
        String::new()
    }
}
