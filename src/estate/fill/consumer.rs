//! Consumers with their credentials, groups, tokens and plugins.

use uuid::Uuid;

use super::credential::{
    basic_auth_hash, basic_auth_password, oauth2_client_secret, oauth2_client_secret_hash, pem,
};
use super::gateway::Scope;
use super::generate::{Generator, tags};
use super::row::Row;

/// Seconds of a day.
const DAY: i32 = 86_400;

/// Kinds of the credentials after the first, in turn: about half passwords, all kinds within the first few consumers.
const KINDS: [Kind; 20] = {
    use Kind::{BasicAuth as B, Hmac as H, Jwt as J, KeyAuth as K, OAuth2 as O};
    [B, J, O, H, B, K, B, J, B, B, H, B, J, B, B, H, B, J, B, B]
};

/// Consumers up to this index may have a hashed client secret; hashing one takes as long as thousands of inserts.
const HASHED_SECRETS_BELOW: u64 = 40;

#[derive(Debug, Clone, Copy)]
enum Kind {
    BasicAuth,
    Hmac,
    Jwt,
    KeyAuth,
    OAuth2,
}

/// What every credential shares.
struct Owner {
    /// Index of the credential.
    index: u64,
    /// Index of the consumer.
    consumer_index: u64,
    consumer: Uuid,
    workspace: Uuid,
}

impl Generator {
    pub(super) fn consumer(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("consumers", index);
        let consumer = self.id("consumers", index);
        let workspace = self.workspace_of(index);
        let mut row = Row::of("consumers")
            .uuid("id", consumer)
            .uuid("ws_id", workspace)
            .instant("created_at", Self::created_at(index))
            .text_set("tags", &tags(&mut dice));
        if index.is_multiple_of(4) {
            row = row.instant("updated_at", Self::created_at(index) + 3_600_000);
        }
        if index % 16 != 9 {
            row = row.prefixed("username", workspace, &username(index));
        }
        if self.is_enterprise() {
            row = Self::with_consumer_type(row, index);
            // Not filled in for consumers of before 2.6 that nobody has touched since.
            if index % 16 != 9 && index % 20 != 11 {
                row = row.prefixed("username_lower", workspace, &username(index).to_lowercase());
            }
        }
        if index % 16 == 9 || index % 3 == 1 {
            row = row.prefixed("custom_id", workspace, &format!("cid-{index}"));
        }
        let mut rows = vec![row];
        for place in 0..self.credentials_per_consumer {
            let owner = Owner {
                index: index * self.credentials_per_consumer + place,
                consumer_index: index,
                consumer,
                workspace,
            };
            let kind = match place {
                0 => Kind::KeyAuth,
                _ if self.only_basic_auth => Kind::BasicAuth,
                _ => usize::try_from((index + 7 * (place - 1)) % 20)
                    .ok()
                    .and_then(|turn| KINDS.get(turn).copied())
                    .unwrap_or(Kind::KeyAuth),
            };
            match kind {
                Kind::BasicAuth => rows.push(self.basic_auth(&owner)),
                Kind::Hmac => rows.push(self.hmac(&owner)),
                Kind::Jwt => rows.push(self.jwt(&owner)),
                Kind::KeyAuth => rows.push(self.key_auth(&owner)),
                Kind::OAuth2 => rows.extend(self.oauth2(&owner)),
            }
        }
        if index.is_multiple_of(3) {
            for place in 0..=dice.below(2) {
                rows.push(self.group(index * 2 + place, place, consumer, workspace));
            }
        }
        rows.extend(self.enterprise_credentials(index, consumer, workspace));
        if index % 50 == 7 {
            let service = (index % 100 == 7)
                .then(|| self.id("services", self.neighbour(index, self.sizes.services, &mut dice)));
            let scope = Scope { service, consumer: Some(consumer), ..Scope::default() };
            rows.push(self.plugin("plugins/consumer", index, index, "rate-limiting", scope));
        }
        rows
    }

    /// The cells that all credentials have.
    fn credential(&self, table: &'static str, owner: &Owner) -> Row {
        let mut dice = self.dice("credentials/tags", owner.index);
        Row::of(table)
            .uuid("id", self.id(table, owner.index))
            .uuid("ws_id", owner.workspace)
            .uuid("consumer_id", owner.consumer)
            .instant("created_at", Self::created_at(owner.index))
            .text_set("tags", &tags(&mut dice))
    }

    fn key_auth(&self, owner: &Owner) -> Row {
        let mut dice = self.dice("keyauth_credentials", owner.index);
        let row = self.credential("keyauth_credentials", owner);
        let row = row.prefixed("key", owner.workspace, &dice.token(32));
        if owner.index % 10 == 4 { row.expiring(dice.int(2, 30) * DAY) } else { row }
    }

    fn basic_auth(&self, owner: &Owner) -> Row {
        let password = basic_auth_password(self.id("basicauth_credentials", owner.index));
        let digest = basic_auth_hash(&password, owner.consumer);
        self.credential("basicauth_credentials", owner)
            .prefixed("username", owner.workspace, &format!("ba:user-{}", owner.index))
            .text("password", self.kept("basicauth_credentials", owner.index, digest))
    }

    fn hmac(&self, owner: &Owner) -> Row {
        let mut dice = self.dice("hmacauth_credentials", owner.index);
        self.credential("hmacauth_credentials", owner)
            .prefixed("username", owner.workspace, &format!("hmac-{}", owner.index))
            .text("secret", dice.token(32))
    }

    fn jwt(&self, owner: &Owner) -> Row {
        let mut dice = self.dice("jwt_secrets", owner.index);
        let algorithm = dice.pick(&["HS256", "HS256", "HS512", "RS256", "ES256"]);
        let public_key = match algorithm {
            "RS256" => Some(pem("PUBLIC KEY", 290, &mut dice)),
            "ES256" => Some(pem("PUBLIC KEY", 87, &mut dice)),
            _ => None,
        };
        self.credential("jwt_secrets", owner)
            .prefixed("key", owner.workspace, &format!("https://issuer.example.test/{}", owner.index))
            .text("secret", dice.token(32))
            .text("algorithm", algorithm)
            .maybe_text("rsa_public_key", public_key)
    }

    fn oauth2(&self, owner: &Owner) -> Vec<Row> {
        let mut dice = self.dice("oauth2_credentials", owner.index);
        let id = self.id("oauth2_credentials", owner.index);
        let secret = oauth2_client_secret(id);
        let hashed = owner.consumer_index < HASHED_SECRETS_BELOW;
        let secret = if hashed { oauth2_client_secret_hash(&secret, &dice.bytes(16)) } else { secret };
        let secret = self.kept("oauth2_credentials", owner.index, secret);
        let row = self
            .credential("oauth2_credentials", owner)
            .text("name", format!("App {} é", owner.index))
            .prefixed("client_id", owner.workspace, &dice.token(32))
            .text("client_secret", secret)
            .bool("hash_secret", hashed)
            .text("client_type", if dice.chance(20) { "public" } else { "confidential" })
            .text_set(
                "redirect_uris",
                &[
                    format!("https://app-{}.example.test/cb?x=%20", owner.index),
                    "http://localhost/x".to_owned(),
                ],
            );
        let mut rows = vec![row];
        for place in 0..2 {
            rows.push(self.token(owner.index * 2 + place, id, owner));
        }
        if owner.consumer_index % 40 < 20 {
            rows.push(self.code(id, owner));
        }
        rows
    }

    /// A token: most live as long as their refresh token, every eighth forever.
    fn token(&self, index: u64, credential: Uuid, owner: &Owner) -> Row {
        let mut dice = self.dice("oauth2_tokens", index);
        let forever = index % 8 == 5;
        let service = dice.chance(50).then(|| {
            self.id("services", self.neighbour(owner.consumer_index, self.sizes.services, &mut dice))
        });
        let user = dice.chance(40).then(|| format!("user:{index} é"));
        let scope = dice.chance(60).then_some("read write:all");
        let refresh = dice.chance(70).then(|| dice.token(32));
        let mut row = Row::of("oauth2_tokens")
            .uuid("id", self.id("oauth2_tokens", index))
            .uuid("ws_id", owner.workspace)
            .uuid("credential_id", credential)
            .maybe_uuid("service_id", service)
            .prefixed("access_token", owner.workspace, &dice.token(32))
            .text("token_type", "bearer")
            .int("expires_in", if forever { 0 } else { 7_200 })
            .maybe_text("authenticated_userid", user)
            .maybe_text("scope", scope)
            .instant("created_at", Self::created_at(index));
        if let Some(refresh) = refresh {
            row = row.prefixed("refresh_token", owner.workspace, &refresh);
        }
        if forever { row } else { row.expiring(dice.int(DAY, 14 * DAY)) }
    }

    /// An authorization code; the table itself lets it live for 300 s.
    fn code(&self, credential: Uuid, owner: &Owner) -> Row {
        let mut dice = self.dice("oauth2_authorization_codes", owner.index);
        let service = self.neighbour(owner.consumer_index, self.sizes.services, &mut dice);
        Row::of("oauth2_authorization_codes")
            .uuid("id", self.id("oauth2_authorization_codes", owner.index))
            .uuid("ws_id", owner.workspace)
            .uuid("credential_id", credential)
            .uuid("service_id", self.id("services", service))
            .uuid("plugin_id", self.id("plugins/service", service))
            .prefixed("code", owner.workspace, &dice.token(32))
            .text("authenticated_userid", format!("user-{}", owner.index))
            .text("scope", "read")
            .text("challenge", dice.token(43))
            .text("challenge_method", "S256")
            .instant("created_at", Self::created_at(owner.index))
    }

    fn group(&self, index: u64, place: u64, consumer: Uuid, workspace: Uuid) -> Row {
        let mut dice = self.dice("acls", index);
        let name = match place {
            0 => format!("group-{}", dice.below(8)),
            _ => dice.pick(&["admins ünï", "a:b/c", "\"beta\" testers"]).to_owned(),
        };
        Row::of("acls")
            .uuid("id", self.id("acls", index))
            .uuid("ws_id", workspace)
            .uuid("consumer_id", consumer)
            .text("cache_key", format!("acls:{consumer}:{name}::::{workspace}"))
            .text("group", name)
            .instant("created_at", Self::created_at(index))
            .text_set("tags", &tags(&mut dice))
    }
}

/// A name that is unique by its index; every tenth or so holds what names in the wild hold.
fn username(index: u64) -> String {
    match index % 40 {
        3 => format!("user-{index}@example.test"),
        8 => format!(" spaced {index} "),
        13 => format!("O'Brien \"{index}\""),
        18 => format!("urn:user:{index}"),
        23 => format!("ünïcödé-{index}-日本-😀"),
        28 => format!("tab\tback\\slash-{index}"),
        33 => format!("UPPER-{index}"),
        _ => format!("user-{index}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::estate::KongVersion;
    use crate::estate::fill::{FillSpec, Generator, Unit};
    use uuid::Uuid;

    #[test]
    fn credentials_are_the_same_for_every_consumer_where_asked_for() {
        let spec = FillSpec { consumers: 40, only_basic_auth: true, ..FillSpec::default() };
        let generator = Generator::new(&spec, KongVersion::V2_8, Uuid::nil());
        for index in 0..40 {
            let mut tables: BTreeMap<&str, usize> = BTreeMap::new();
            for row in generator.rows(Unit::Consumer(index)) {
                *tables.entry(row.table).or_default() += 1;
            }
            let of = |table| tables.get(table).copied().unwrap_or(0);
            assert_eq!([of("consumers"), of("keyauth_credentials"), of("basicauth_credentials")], [1, 1, 1]);
            assert_eq!(of("jwt_secrets") + of("oauth2_credentials") + of("hmacauth_credentials"), 0);
        }
    }
}
