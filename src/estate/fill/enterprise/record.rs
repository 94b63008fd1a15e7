//! What running nodes record: the audit log, the requests a licence counts, Vitals and advanced rate limits.

use crate::estate::KongVersion;
use crate::estate::fill::credential::hex;
use crate::estate::fill::generate::Generator;
use crate::estate::fill::row::Row;

/// Start of the counted windows, 2024-01-01, in milliseconds since 1970.
const FIRST_WINDOW: i64 = 1_704_067_200_000;

/// Seconds that Vitals of one second are kept.
const SECONDS_KEPT: i32 = 3_600;

/// Seconds that Vitals of a minute are kept.
const MINUTES_KEPT: i32 = 90_000;

impl Generator {
    /// A request to the Admin API with the change it made, and the counters of one moment.
    pub(in crate::estate::fill) fn record(&self, index: u64) -> Vec<Row> {
        let mut rows = self.audit(index);
        if index < 48 {
            rows.extend(self.vitals(index));
        }
        if index < 24 {
            let month = i32::try_from(index % 12).unwrap_or(0) + 1;
            rows.push(
                Row::of("license_data")
                    .uuid("node_id", self.id("nodes", index / 12))
                    .instant("license_creation_date", FIRST_WINDOW)
                    .int("year", 2024)
                    .int("month", month)
                    .counter("req_cnt", i64::from(self.dice("license_data", index).int(1, i32::MAX)) * 3),
            );
        }
        rows
    }

    fn audit(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("audit", index);
        let user = (!index.is_multiple_of(3))
            .then(|| self.id("rbac_users", dice.below(self.sizes.enterprise.users)));
        let request_id = hex(&dice.bytes(16));
        let signature = (index % 4 == 1).then(|| hex(&dice.bytes(128)));
        let consumer = self.id("consumers", index);
        let mut request = Row::of("audit_requests")
            .text("request_id", &request_id)
            .text("client_ip", "2001:db8::7")
            .text("path", format!("/consumers/{consumer}?tags=é"))
            .text("method", if index.is_multiple_of(2) { "PATCH" } else { "DELETE" })
            .int("status", if index.is_multiple_of(2) { 200 } else { 204 })
            .uuid("workspace", self.workspace_of(index))
            .maybe_uuid("rbac_user_id", user)
            .maybe_text("signature", signature.clone())
            .instant("request_timestamp", Self::created_at(index) + i64::from(dice.int(0, 999)))
            .instant("expire", Self::created_at(index) + 2_592_000_000);
        if index.is_multiple_of(2) {
            request =
                request.text("payload", r#"{"username":"x\ny"}"#).text("removed_from_payload", "password");
        }
        // Rows of before 3.2 lack the names.
        if self.version == KongVersion::V3_3 && !index.is_multiple_of(5) {
            request = request
                .text("request_source", "kong-manager")
                .maybe_text("rbac_user_name", user.map(|_| "ops"));
        }
        let object = Row::of("audit_objects")
            .uuid("id", self.id("audit_objects", index))
            .text("request_id", request_id)
            .uuid("entity_key", consumer)
            .text("dao_name", "consumers")
            .text("operation", if index.is_multiple_of(2) { "update" } else { "delete" })
            .text("entity", format!(r#"{{"id":"{consumer}","username":"日本"}}"#))
            .maybe_uuid("rbac_user_id", user)
            .maybe_text("signature", signature);
        // Most have the table's 30 days; some were written under another setting.
        let kept = |row: Row| if index % 6 == 5 { row.expiring(7 * 86_400) } else { row };
        vec![kept(request), kept(object)]
    }

    fn vitals(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("vitals", index);
        let step = i64::try_from(index).unwrap_or(0);
        let at = FIRST_WINDOW + step * 60_000;
        let node = self.id("nodes", index % 3);
        let [route, service] = ["routes", "services"].map(|table| self.id(table, index));
        let consumer = self.id("consumers", index);
        let counted = |table: &'static str, code: &'static str| {
            Row::of(table).int("duration", 60).instant("at", at).int(code, 200)
        };
        let mut rows: Vec<Row> = vec![
            counted("vitals_code_classes_by_cluster", "code_class").int("code_class", 2),
            counted("vitals_code_classes_by_workspace", "code_class")
                .int("code_class", 2)
                .uuid("workspace_id", self.workspace_of(index)),
            counted("vitals_codes_by_route", "code").uuid("route_id", route),
            counted("vitals_codes_by_consumer_route", "code")
                .uuid("route_id", route)
                .uuid("service_id", service)
                .uuid("consumer_id", consumer),
            counted("vitals_codes_by_service", "code").uuid("service_id", service),
            Row::of("vitals_consumers")
                .uuid("consumer_id", consumer)
                .int("duration", 60)
                .instant("at", at)
                .uuid("node_id", node),
            Row::of("rl_counters")
                .text("namespace", "grün")
                .instant("window_start", at)
                .int("window_size", 60)
                .text("key", format!("10.0.0.{}", index % 250)),
        ]
        .into_iter()
        .map(|row| row.counter("count", i64::from(dice.int(1, 9_999))))
        .collect();
        let moment = |table: &'static str| Row::of(table).uuid("node_id", node).instant("at", at);
        rows.push(moment("vitals_stats_seconds").expiring(SECONDS_KEPT));
        rows.push(moment("vitals_stats_minutes").expiring(MINUTES_KEPT));
        rows.push(moment("vitals_stats_days"));
        if index < 3 {
            rows.push(
                Row::of("vitals_node_meta")
                    .uuid("node_id", node)
                    .instant("first_report", at)
                    .instant("last_report", at + 3_600_000),
            );
        }
        rows
    }
}
