//! Checks that what stands in Enterprise rows belongs to the secrets that are told of them.

use std::collections::{BTreeMap, BTreeSet};

use scylla::value::CqlValue;
use uuid::Uuid;

use super::token::{rbac_token, rbac_token_ident};
use crate::estate::fill::{FillSpec, Generator, Row, basic_auth_hash, basic_auth_password};
use crate::estate::{Edition, KongVersion};

fn rows(version: KongVersion) -> Vec<Row> {
    let spec = FillSpec { seed: 3, consumers: 200, odd: true, ..FillSpec::default() };
    let generator = Generator::of_edition(&spec, version, Edition::Enterprise, Uuid::max());
    let mut rows: Vec<Row> = generator.units().flat_map(|unit| generator.rows(unit)).collect();
    rows.extend(generator.odd_rows());
    rows
}

fn cell<'a>(row: &'a Row, name: &str) -> Option<&'a CqlValue> {
    row.cells.iter().find(|(column, _)| *column == name).map(|(_, value)| value)
}

fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    cell(row, name).and_then(CqlValue::as_text).map(String::as_str)
}

fn uuid(row: &Row, name: &str) -> Option<Uuid> {
    cell(row, name).and_then(CqlValue::as_uuid)
}

#[test]
fn tokens_of_all_forms_are_those_of_their_users() {
    for (version, pbkdf2) in [(KongVersion::V2_8, 0), (KongVersion::V3_3, 1)] {
        let mut forms: BTreeMap<&str, usize> = BTreeMap::new();
        for row in rows(version).iter().filter(|row| row.table == "rbac_users") {
            let token = rbac_token(uuid(row, "id").unwrap());
            let stored = text(row, "user_token").unwrap();
            let ident = text(row, "user_token_ident");
            let form = if stored.starts_with("$2b$09$") {
                assert!(bcrypt::verify(&token, stored).unwrap());
                assert_eq!(ident, Some(rbac_token_ident(&token).as_str()));
                "bcrypt"
            } else if stored.starts_with("$pbkdf2-sha512$i=10000,l=32$") {
                "pbkdf2"
            } else {
                assert_eq!((stored, ident), (token.as_str(), None));
                "plain"
            };
            *forms.entry(form).or_default() += 1;
        }
        assert_eq!(forms.get("pbkdf2").copied().unwrap_or(0), pbkdf2);
        assert_eq!(forms["plain"], 2);
        assert!(forms["bcrypt"] > 15, "{forms:?}");
    }
}

#[test]
fn administrators_have_a_consumer_of_their_kind_and_the_password_told() {
    let rows = rows(KongVersion::V3_3);
    let of = |table: &'static str| rows.iter().filter(move |row| row.table == table);
    let consumers: BTreeMap<Uuid, &Row> =
        of("consumers").map(|row| (uuid(row, "id").unwrap(), row)).collect();
    let passwords: BTreeMap<Uuid, &Row> =
        of("basicauth_credentials").map(|row| (uuid(row, "consumer_id").unwrap(), row)).collect();
    let mut checked = 0;
    for admin in of("admins") {
        let consumer = uuid(admin, "consumer_id").unwrap();
        let row = consumers[&consumer];
        assert_eq!(cell(row, "type"), Some(&CqlValue::Int(2)));
        let name = format!("{}_ADMIN_", text(admin, "username").unwrap());
        assert!(text(row, "username").is_some_and(|username| username.ends_with(&name)));
        let Some(credential) = passwords.get(&consumer) else { continue };
        let stored = text(credential, "password").unwrap();
        if stored.len() == 40 {
            let password = basic_auth_password(uuid(credential, "id").unwrap());
            assert_eq!(stored, basic_auth_hash(&password, consumer));
            checked += 1;
        }
    }
    assert!(checked > 4, "{checked}");
}

#[test]
fn all_kinds_of_consumers_and_the_missing_kind_occur() {
    let kinds: BTreeSet<String> = rows(KongVersion::V2_8)
        .iter()
        .filter(|row| row.table == "consumers")
        .map(|row| cell(row, "type").map_or("NULL".to_owned(), |kind| format!("{kind:?}")))
        .collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["Int(0)", "Int(1)", "Int(2)", "Int(3)", "NULL"]);
}

#[test]
fn ciphertexts_stand_where_the_keyring_encrypts_and_name_keys_of_the_keyring() {
    let rows = rows(KongVersion::V3_3);
    let keys: BTreeSet<&str> =
        rows.iter().filter(|row| row.table == "keyring_meta").filter_map(|row| text(row, "id")).collect();
    let mut columns = BTreeSet::new();
    for row in &rows {
        for (column, value) in &row.cells {
            let Some(text) = value.as_text() else { continue };
            for (_, tail) in
                text.match_indices("$ke$1$-").map(|(start, marker)| text.split_at(start + marker.len()))
            {
                let tail = tail.split('"').next().unwrap();
                let parts: Vec<&str> = tail.split('-').collect();
                let [key, nonce, ciphertext] = parts[..] else { panic!("{tail}") };
                assert!(keys.contains(key) && nonce.len() == 24 && ciphertext.len() % 2 == 0);
                columns.insert(format!("{}.{column}", row.table));
            }
        }
    }
    let expected = [
        "basicauth_credentials.password",
        "certificates.key",
        "keyauth_enc_credentials.key",
        "keys.jwk",
        "oauth2_credentials.client_secret",
        "oic_issuers.secret",
        "plugins.config",
        "sm_vaults.config",
        "vault_auth_vaults.vault_token",
    ];
    for column in expected {
        assert!(columns.contains(column), "{column} of {columns:?}");
    }
}

#[test]
fn open_source_estates_hold_nothing_of_enterprise() {
    let spec = FillSpec { consumers: 100, ..FillSpec::default() };
    let generator = Generator::new(&spec, KongVersion::V3_3, Uuid::max());
    for row in generator.units().flat_map(|unit| generator.rows(unit)) {
        assert!(text(&row, "key").is_none_or(|key| !key.contains("$ke$1$")));
        assert!(row.table != Edition::MARK && cell(&row, "username_lower").is_none());
    }
}
