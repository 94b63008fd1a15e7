//! Tables that Kong Enterprise no longer uses and old estates still have filled.

use crate::estate::fill::generate::{Generator, stamped};
use crate::estate::fill::row::Row;
use crate::estate::seed::workspace_entity;

impl Generator {
    /// A portal file in the format of before 1.0.
    pub(super) fn legacy_file(&self, index: u64) -> Row {
        let mut row = Row::of("legacy_files")
            .uuid("id", self.id("legacy_files", index))
            .text("name", format!("unauthenticated/pägé-{index}"))
            .text("type", if index % 8 == 4 { "page" } else { "spec" })
            .text("contents", "{{> layout }}");
        if index % 12 != 8 {
            row = row.bool("auth", index % 8 == 4);
        }
        stamped(row, index)
    }

    /// What the gateway before 2.1 remembered of the entities of a workspace.
    pub(super) fn workspace_entities(&self, index: u64) -> Vec<Row> {
        let workspace = self.workspace_of(index);
        let name = self.workspace_name(index);
        let service = self.id("services", index);
        let token = self.dice("workspace_entities", index).token(32);
        let user = self.id("rbac_users", index);
        vec![
            workspace_entity(workspace, &name, ("services", service), ("id", &service.to_string())),
            workspace_entity(workspace, &name, ("services", service), ("name", &format!("svc-{index}"))),
            // Kong left plaintext tokens there.
            workspace_entity(workspace, &name, ("rbac_users", user), ("user_token", &token)),
        ]
    }
}
