//! The Dev Portal: developers, applications, specifications and files.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::estate::fill::credential::hex;
use crate::estate::fill::generate::{Generator, stamped};
use crate::estate::fill::row::Row;

/// Bytes of a large file.
const LARGE: usize = 200_000;

/// Developers with an RBAC user of their own; digesting their tokens takes a while.
const USERS_BELOW: u64 = 9;

/// The developer whose mirrored credential is an empty text.
const EMPTY_MIRROR: u64 = 2;

impl Generator {
    /// A developer with consumer, credential and, for every other one, an application.
    pub(in crate::estate::fill) fn developer(&self, index: u64) -> Vec<Row> {
        let workspace = self.workspace_of(index);
        let consumer = self.id("consumers/developer", index);
        let id = self.id("developers", index);
        let email = format!("Dev-{index}@example.test");
        let row = Row::of("consumers")
            .uuid("id", consumer)
            .uuid("ws_id", workspace)
            .prefixed("username", workspace, &email)
            .prefixed("username_lower", workspace, &email.to_lowercase())
            .int("type", 1);
        let mut rows = vec![stamped(row, index)];
        let user = (index < USERS_BELOW && index.is_multiple_of(3)).then(|| self.portal_user(index));
        let mut developer = Row::of("developers")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .uuid("consumer_id", consumer)
            .maybe_uuid("rbac_user_id", user.as_ref().map(|_| self.id("rbac_users/developer", index)))
            .prefixed("email", workspace, &email)
            .text(
                "meta",
                json!({ "full_name": format!("Zoë \"{index}\" Müller"), "note": null }).to_string(),
            );
        rows.extend(user);
        if index.is_multiple_of(4) {
            developer = developer.prefixed("custom_id", workspace, &format!("developer:{index}"));
        }
        if index % 6 != 5 {
            developer = developer.int("status", i32::try_from(index % 4).unwrap_or(0));
        }
        rows.push(stamped(developer, index));
        let credential = self.password_of("developer", index, consumer, &email);
        let mirrored = if index == EMPTY_MIRROR {
            String::new()
        } else {
            json!({ "username": email, "consumer": { "id": consumer.to_string() } }).to_string()
        };
        let mirror = Row::of("credentials")
            .uuid("id", self.id("basicauth_credentials/developer", index))
            .uuid("consumer_id", consumer)
            .int("consumer_type", 1)
            .text("plugin", "basic-auth")
            .text("credential_data", mirrored);
        rows.extend([credential, stamped(mirror, index)]);
        if index % 6 == 1 {
            rows.push(self.reset_secret("developer", index, consumer, 3));
        }
        if index.is_multiple_of(2) {
            rows.extend(self.application(index));
        }
        rows
    }

    /// The application of a developer, registered with a service.
    fn application(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("applications", index);
        let workspace = self.workspace_of(index);
        let consumer = self.id("consumers/application", index);
        let id = self.id("applications", index);
        let consumer_row = Row::of("consumers")
            .uuid("id", consumer)
            .uuid("ws_id", workspace)
            .prefixed("username", workspace, &format!("{id}_application"))
            .int("type", 3);
        let application = Row::of("applications")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .uuid("developer_id", self.id("developers", index))
            .uuid("consumer_id", consumer)
            .text("name", format!("Äpp {index}"))
            .text("description", "line one\nline two")
            .text("redirect_uri", format!("https://app-{index}.example.test/cb?x=%20"));
        // Unique across workspaces on PostgreSQL.
        let application = match index % 4 {
            0 => application.prefixed("custom_id", workspace, &format!("application-{index}")),
            _ => application.text("meta", "{}"),
        };
        let service = self.id("services", self.neighbour(index, self.sizes.services, &mut dice));
        let mut instance = Row::of("application_instances")
            .uuid("id", self.id("application_instances", index))
            .uuid("ws_id", workspace)
            .uuid("application_id", id)
            .uuid("service_id", service)
            .prefixed("composite_id", workspace, &format!("{id}_{service}"))
            .int("status", i32::try_from(index % 4).unwrap_or(0));
        if index % 4 != 2 {
            instance = instance.bool("suspended", index % 8 == 4);
        }
        vec![stamped(consumer_row, index), stamped(application, index), stamped(instance, index)]
    }

    /// A file of the portal; specifications belong to a service, and older ones have a twin in the legacy format.
    pub(in crate::estate::fill) fn portal_file(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("files", index);
        let workspace = self.workspace_of(index);
        let path = match index % 4 {
            0 => format!("specs/pétstore-{index}.yaml"),
            1 => format!("content/guide-{index}.md"),
            2 => format!("themes/base/layouts/{index}.html"),
            _ => format!("themes/base/assets/style-{index}.css"),
        };
        let mut contents =
            format!("---\ntitle: \"Füller {index}\"\npath: {path}\n---\n\t<h1>日本 \\n 😀</h1>\n");
        if index % 16 == 7 {
            contents.push_str(&hex(&dice.bytes(LARGE / 2)));
        }
        let file = Row::of("files")
            .uuid("id", self.id("files", index))
            .uuid("ws_id", workspace)
            .prefixed("path", workspace, &path)
            .text("checksum", hex(&Sha256::digest(&contents)))
            .text("contents", contents);
        let mut rows = vec![stamped(file, index)];
        if index.is_multiple_of(4) {
            let service = self.id("services", self.neighbour(index, self.sizes.services, &mut dice));
            let object = Row::of("document_objects")
                .uuid("id", self.id("document_objects", index))
                .uuid("ws_id", workspace)
                .uuid("service_id", service)
                .prefixed("path", workspace, &path);
            rows.extend([stamped(object, index), self.legacy_file(index)]);
        }
        rows
    }
}
