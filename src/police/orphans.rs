//! Rows that refer to rows that do not exist.

use super::Police;
use crate::error::Result;
use crate::policy::Class;
use crate::target::identifier::literal;

impl Police<'_> {
    /// Takes away rows without a parent, and whatever refers to them. An optional reference is not set to NULL instead: a plugin
    /// of a consumer that is gone would become one of all consumers.
    pub(super) async fn remove_orphans(&mut self) -> Result<u64> {
        let class = Class::MissingParent;
        let standing = self.standing_keys().await?;
        let mut marked = 0;
        for relation in self.relations() {
            (self.stop)()?;
            if standing.contains(&relation.id()) {
                continue;
            }
            // The sync that follows a live load knows these by their reason.
            let reason = if self.orders.live {
                format!("parent not on the source at the second look (live): {}", relation.parent)
            } else {
                format!("no row of {} has the key it refers to", relation.parent)
            };
            let sql = format!(
                "INSERT INTO pg_temp.kongferry_bad (table_name, at, class, rule, reason)
                 SELECT {table}, o.at, '{class}', {rule}, {reason}
                 FROM (SELECT c.ctid AS at FROM {child} c
                       WHERE {refers} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {equal}) OFFSET 0) o
                 WHERE NOT EXISTS (SELECT 1 FROM pg_temp.kongferry_bad b WHERE b.table_name = {table} AND b.at = o.at)",
                table = literal(&relation.table),
                rule = literal(&relation.name),
                reason = literal(&reason),
                child = self.name(&relation.table),
                parent = self.name(&relation.parent),
                refers = relation.refers("c"),
                equal = relation.equal("c", "p"),
            );
            let what = format!("cannot look for missing parents of {}", relation.table);
            marked += self.transaction.execute(what, &sql, &[]).await?;
        }
        if marked == 0 {
            return Ok(0);
        }
        self.mark_dependents(class).await?;
        self.remove_marked(class).await
    }
}
