//! The way back as a script, for the day on which kongferry itself is not at hand.

use std::fmt::Write as _;

use super::inventory::Armour;
use super::put_back::statements_of;
use crate::error::Result;
use crate::target::identifier::qualified;
use crate::target::tags::{self, TAGS};

impl Armour {
    /// Statements for psql that put everything back and write the rows of `tags`, a transaction for each piece: what is back
    /// already says so and does no harm. `version` is the server's `server_version_num`.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn script(&self, version: u32) -> Result<String> {
        let mut script = String::from(
            "-- Puts back the indexes, keys, foreign keys and triggers that kongferry took off the tables.\n\
             -- `kongferry rearm` does the same, goes on where it stopped, and says which rows are in the way of a key.\n\
             -- This file is for the day on which kongferry is not at hand:\n\
             --     psql --file rearm.sql\n\
             -- What is back already makes its transaction fail (already exists), which does no harm.\n\
             SET search_path = pg_catalog;\nSET lock_timeout = '60s';\n\n",
        );
        for table in self.tagged() {
            let tags = qualified(&self.schema, TAGS);
            let _ = writeln!(
                script,
                "BEGIN;\nDELETE FROM {tags} WHERE entity_id IN (SELECT id FROM {});\n{};\nCOMMIT;\n",
                qualified(&self.schema, &table),
                tags::statement(&self.schema, &table)
            );
        }
        for step in self.steps() {
            let _ =
                writeln!(script, "-- {step}\nBEGIN;\n{}\nCOMMIT;\n", statements_of(self, &step, version)?);
        }
        Ok(script)
    }
}
