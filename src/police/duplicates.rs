//! Rows with the same unique key: Cassandra's Gateway only looked before it wrote.

use super::Police;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{Class, Keep, Policy};
use crate::report::table::counted;
use crate::target::armour::IndexArmour;
use crate::target::identifier::{literal, quote};

/// Column with the time of creation.
const CREATED_AT: &str = "created_at";

impl Police<'_> {
    /// Takes away all rows but one of those with the same key, key by key: whoever loses by one key no longer stands in the way
    /// by another.
    pub(super) async fn remove_duplicates(&mut self) -> Result<u64> {
        let standing = self.standing_indexes().await?;
        let armour = self.armour;
        let mut removed = 0;
        for table in self.tables() {
            let Some(known) = armour.tables.get(&table) else { continue };
            let unique = known.indexes.iter().filter(|index| index.unique && !index.made_by_key);
            for index in unique.filter(|index| !standing.contains(&index.name)) {
                (self.stop)()?;
                removed += self.remove_losers(&table, index).await?;
            }
        }
        Ok(removed)
    }

    async fn remove_losers(&mut self, table: &str, index: &IndexArmour) -> Result<u64> {
        let class = Class::Duplicate;
        let mark = self.losers(table, index);
        // An expression can fail on a value, and its error would quote it.
        let sql = super::unfit::guarded(&mark, &index.name);
        self.transaction.batch(format!("cannot look for duplicates in {table}"), &sql).await?;
        let losers = self.marked(class).await?;
        if losers.is_empty() {
            return Ok(0);
        }
        let dependents = self.mark_dependents(class).await?;
        if dependents > 0 && self.keep().is_none() && self.policy(class) != Policy::Fail {
            return Err(self.undecided(table, index).await?);
        }
        self.remove_marked(class).await
    }

    /// The statement that marks the losers.
    fn losers(&self, table: &str, index: &IndexArmour) -> String {
        let mut conditions: Vec<String> = index.predicate.iter().map(|it| format!("({it})")).collect();
        if !index.nulls_equal {
            conditions.extend(index.expressions.iter().map(|it| format!("({it}) IS NOT NULL")));
        }
        let filter =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let by_key = format!("PARTITION BY {}", index.expressions.join(", "));
        let order = self.order(table);
        let reason = match self.id_of(table, "t") {
            Some(id) => format!(
                "'the row ' || first_value({id}) OVER (same ORDER BY {order}) || ' has the same key and stays'"
            ),
            None => "'another row has the same key and stays'".to_owned(),
        };
        format!(
            "INSERT INTO pg_temp.kongferry_bad (table_name, at, class, rule, reason)
             SELECT {}, d.at, '{}', {}, d.reason
             FROM (SELECT t.ctid AS at, row_number() OVER (same ORDER BY {order}) AS place, {reason} AS reason
                   FROM {} t {filter} WINDOW same AS ({by_key})) d
             WHERE d.place > 1",
            literal(table),
            Class::Duplicate,
            literal(&index.name),
            self.name(table),
        )
    }

    /// Who stays stands first. A row without a time is older than the column.
    fn order(&self, table: &str) -> String {
        let columns = self.armour.tables.get(table).map_or(&[][..], |table| &table.primary_key);
        let direction = match self.keep() {
            Some(Keep::KeepNewest) => "DESC NULLS LAST",
            _ => "ASC NULLS FIRST",
        };
        let time = self.has_column(table, CREATED_AT).then(|| CREATED_AT.to_owned());
        let by: Vec<String> = time
            .iter()
            .chain(columns)
            .map(|column| format!("t.{} {direction}", quote(column)))
            .chain(["t.ctid".to_owned()])
            .collect();
        by.join(", ")
    }

    /// Rows depend on a loser, and nobody has said which row is to stay.
    async fn undecided(&mut self, table: &str, index: &IndexArmour) -> Result<Error> {
        let mut ids = Vec::new();
        for relation in self.relations().into_iter().filter(|relation| relation.parent == table) {
            let condition = format!(
                "b.class = '{}' AND EXISTS (SELECT 1 FROM {} c WHERE {})",
                Class::Duplicate,
                self.name(&relation.table),
                relation.equal("c", "t")
            );
            let named = self.ids(table, &condition).await?;
            if !named.is_empty() {
                ids.push(format!("{}{named}", relation.table));
            }
        }
        let losers = self.marked(Class::Duplicate).await?;
        let rows = losers.iter().map(|(_, rows)| rows).sum();
        Ok(Error::new(
            ErrorKind::Row,
            format!(
                "{table}: {} the same key as an older row ({}), and other rows depend on {}",
                if rows == 1 { "1 row has".to_owned() } else { format!("{} have", counted(rows, "row")) },
                index.name,
                if rows == 1 { "it" } else { "some of them" }
            ),
        )
        .because(format!("rows with dependents in {}", ids.join("; in ")))
        .remedy(
            "decide which of them stays: `kongferry migrate --resume --on-duplicate keep-oldest` or `kongferry migrate --resume \
             --on-duplicate keep-newest`; the others go into quarantine, with everything that depends on them",
        ))
    }
}
