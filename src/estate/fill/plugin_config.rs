//! Configurations of bundled plugins: nested, with nulls, arrays, numbers, escapes and non-ASCII text.

use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;

/// Plugins that sit on services.
pub(super) const ON_SERVICE: [&str; 8] = [
    "key-auth",
    "basic-auth",
    "request-transformer",
    "rate-limiting",
    "ip-restriction",
    "oauth2",
    "http-log",
    "hmac-auth",
];

/// Plugins that sit on routes.
pub(super) const ON_ROUTE: [&str; 6] =
    ["cors", "acl", "jwt", "request-size-limiting", "response-ratelimiting", "bot-detection"];

/// Plugins that apply to a whole workspace.
pub(super) const ON_WORKSPACE: [&str; 4] = ["prometheus", "correlation-id", "acme", "session"];

/// The configuration of plugin `name` as text, written the way Kong writes it. `anonymous` is the id of a consumer of the
/// same workspace.
pub(super) fn config(name: &str, anonymous: Option<Uuid>, dice: &mut Dice) -> String {
    let anonymous = anonymous.map(|consumer| consumer.to_string());
    let value = match name {
        "acl" => json!({
            "allow": [format!("group-{}", dice.below(8)), "admins ünï", "a/b: \"quoted\""],
            "deny": null, "hide_groups_header": dice.chance(50),
        }),
        "acme" => acme(),
        "basic-auth" => json!({ "anonymous": anonymous, "hide_credentials": dice.chance(50) }),
        "bot-detection" => json!({ "allow": [], "deny": [r"(CCBot)\/(\d+)\.(\d+)", r"^bot[\s\t]"] }),
        "correlation-id" => {
            json!({ "header_name": "Kong-Request-ID", "generator": "uuid#counter", "echo_downstream": false })
        }
        "cors" => json!({
            "origins": ["https://example.test", r"^https://[a-z]+\.example\.test$", "*"], "methods": ["GET", "PATCH", "OPTIONS"],
            "headers": null, "exposed_headers": ["X-Trace"], "credentials": true, "max_age": 3600, "preflight_continue": false,
        }),
        "hmac-auth" => json!({
            "algorithms": ["hmac-sha256", "hmac-sha512"], "clock_skew": 300, "anonymous": anonymous,
            "enforce_headers": [], "hide_credentials": false, "validate_request_body": false,
        }),
        "http-log" => json!({
            "http_endpoint": "https://logs.example.test:8443/in?a=1&b=%20", "method": "POST", "timeout": 10_000, "keepalive": 60_000,
            "content_type": "application/json", "flush_timeout": 2, "retry_count": 10, "queue_size": 1,
            "headers": { "X-Source": "kong\tgateway", "X-Ümlaut": "日本" }, "custom_fields_by_lua": null,
        }),
        "ip-restriction" => {
            json!({ "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": null, "status": null, "message": null })
        }
        "jwt" => json!({
            "uri_param_names": ["jwt"], "cookie_names": [], "header_names": ["authorization"], "key_claim_name": "iss",
            "secret_is_base64": false, "claims_to_verify": ["exp", "nbf"], "anonymous": anonymous, "run_on_preflight": true,
            "maximum_expiration": 0,
        }),
        "key-auth" => json!({
            "key_names": ["apikey", "x-api-key"], "hide_credentials": false, "anonymous": anonymous, "key_in_header": true,
            "key_in_query": true, "key_in_body": false, "run_on_preflight": true,
        }),
        "oauth2" => json!({
            "scopes": ["read", "write:all"], "mandatory_scope": false, "provision_key": dice.token(32), "token_expiration": 7200,
            "enable_authorization_code": true, "enable_implicit_grant": false, "enable_client_credentials": true,
            "enable_password_grant": false, "hide_credentials": false, "accept_http_if_already_terminated": false,
            "anonymous": anonymous, "global_credentials": false, "auth_header_name": "authorization",
            "refresh_token_ttl": 1_209_600, "reuse_refresh_token": false, "pkce": "lax",
        }),
        "pre-function" => json!({
            "access": ["local x = [[line one\nline two]]\nkong.log.info(\"\\\\\", x, '\u{00e9}')"],
            "certificate": [], "rewrite": [], "header_filter": [], "body_filter": [], "log": [], "functions": null,
        }),
        "prometheus" => json!({ "per_consumer": false }),
        "rate-limiting" => json!({
            "second": null, "minute": dice.below(600), "hour": 10_000, "day": null, "month": 2_147_483_647, "year": 9_007_199_254_740_993_u64,
            "limit_by": "consumer", "header_name": null, "path": null, "policy": "cluster", "fault_tolerant": true,
            "redis_host": null, "redis_port": 6379, "redis_password": null, "redis_timeout": 2000, "redis_database": 0,
            "hide_client_headers": false,
        }),
        "request-size-limiting" => {
            json!({ "allowed_payload_size": dice.int(1, 128), "size_unit": "megabytes", "require_content_length": false })
        }
        "request-transformer" => request_transformer(),
        "response-ratelimiting" => json!({
            "header_name": "x-kong-limit", "limit_by": "consumer", "policy": "cluster", "fault_tolerant": true,
            "block_on_first_violation": false, "hide_client_headers": false,
            "limits": { "vidéo": { "second": null, "minute": 10, "hour": null }, "image\\raw": { "minute": 5, "day": 1000 } },
            "redis_timeout": 2000.5,
        }),
        "session" => json!({
            "secret": dice.token(44), "storage": "kong", "cookie_name": "session", "cookie_lifetime": 3600, "cookie_idletime": null,
            "cookie_renew": 600, "cookie_path": "/", "cookie_domain": null, "cookie_samesite": "Strict", "cookie_httponly": true,
            "cookie_secure": true, "cookie_discard": 10, "logout_methods": ["POST", "DELETE"],
            "logout_query_arg": "session_logout", "logout_post_arg": "session_logout",
        }),
        _ => json!({}),
    };
    lua_json(&value, dice)
}

fn acme() -> Value {
    json!({
        "account_email": "ops@example.test", "api_uri": "https://acme.example.test/directory", "tos_accepted": true,
        "cert_type": "rsa", "rsa_key_size": 4096, "domains": ["x.example.test"], "eab_kid": null, "eab_hmac_key": null,
        "fail_backoff_minutes": 5, "renew_threshold_days": 14, "preferred_chain": null, "storage": "kong",
        "storage_config": {
            "shm": { "shm_name": "kong" }, "kong": {},
            "redis": { "host": null, "port": null, "database": null, "auth": null },
            "consul": { "host": null, "port": null, "https": false, "kv_path": null, "timeout": null, "token": null },
            "vault": {
                "host": null, "port": null, "https": false, "kv_path": null, "timeout": null, "token": null, "tls_verify": true,
                "tls_server_name": null, "auth_method": null, "auth_path": null, "auth_role": null, "jwt_path": null,
            },
        },
    })
}

fn request_transformer() -> Value {
    let empty = json!({ "body": [], "headers": [], "querystring": [] });
    json!({
        "http_method": null, "remove": empty, "rename": empty, "append": empty,
        "replace": { "body": [], "headers": ["Host:origin.example.test"], "querystring": [], "uri": "/v2/$(uri_captures['path'])" },
        "add": { "body": [], "headers": ["X-Team:päyments", "X-Quote:\"a\\b\""], "querystring": ["q:1=2"] },
    })
}

/// The health checks of an upstream.
pub(super) fn healthchecks(dice: &mut Dice) -> String {
    let value = json!({
        "threshold": if dice.chance(30) { json!(12.5) } else { json!(0) },
        "active": {
            "type": "http", "timeout": 1, "concurrency": 10, "http_path": "/health", "https_sni": null,
            "https_verify_certificate": true, "headers": null,
            "healthy": { "interval": dice.below(10), "successes": 0, "http_statuses": [200, 302] },
            "unhealthy": {
                "interval": 0, "timeouts": 0, "tcp_failures": 0, "http_failures": 0,
                "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505],
            },
        },
        "passive": {
            "type": "http",
            "healthy": { "successes": 0, "http_statuses": [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301] },
            "unhealthy": { "timeouts": 0, "tcp_failures": 0, "http_failures": 0, "http_statuses": [429, 500, 503] },
        },
    });
    lua_json(&value, dice)
}

/// JSON as a Lua table gives it: the keys of an object in no particular order, no spaces.
pub(in crate::estate) fn lua_json(value: &Value, dice: &mut Dice) -> String {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<(u64, &String, &Value)> =
                fields.iter().map(|(name, value)| (dice.below(u64::MAX), name, value)).collect();
            entries.sort_unstable_by_key(|(rank, ..)| *rank);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(_, name, value)| format!("{}:{}", Value::from(name.as_str()), lua_json(value, dice)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| lua_json(item, dice)).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_config_is_a_json_object_of_its_own() {
        let names = ON_SERVICE.iter().chain(&ON_ROUTE).chain(&ON_WORKSPACE).chain(&["pre-function"]);
        for name in names {
            let text = config(name, None, &mut Dice::of(1, name, 0));
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(value.as_object().is_some_and(|fields| !fields.is_empty()), "{name}");
        }
    }

    #[test]
    fn key_order_differs_between_rows() {
        let order: std::collections::BTreeSet<String> = (0..20)
            .map(|row| healthchecks(&mut Dice::of(1, "upstreams", row)).chars().take(12).collect())
            .collect();
        assert!(order.len() > 1);
    }
}
