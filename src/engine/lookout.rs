//! Looks after the target while a run works: does it still answer, and who else has come?
//!
//! One light query every few seconds on a connection of its own. It notices what no statement under way can: an index build
//! may take an hour without a word, so silence there means nothing, and a server that hangs, or a middlebox that swallows
//! everything, answers keepalives all the same.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::events::Events;
use crate::error::{Error, ErrorKind, Result};
use crate::target::sessions::{OtherSessions, other_sessions};
use crate::target::{Client, Target};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// What was noticed while a run worked, in words. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Noticed(Arc<Mutex<Vec<String>>>);

impl Noticed {
    /// In the order in which it was noticed.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Looks until the target gives no answer for as long as its configuration allows, and returns that as an error. A connection
/// that is lost is none: whoever works meets that as well, and knows better what it means.
pub async fn look(target: &Target, events: &Events, noticed: &Noticed) -> Error {
    let patience = target.stall_timeout();
    let mut session = None;
    let mut known: Option<BTreeSet<(String, String, Option<String>)>> = None;
    loop {
        match tokio::time::timeout(patience, ask(target, &mut session)).await {
            Err(_) => return silent(target, patience),
            Ok(Err(_)) => session = None,
            Ok(Ok(others)) => {
                let first = known.is_none();
                let known = known.get_or_insert_default();
                for other in others {
                    let who = (other.application_name.clone(), other.user.clone(), other.client.clone());
                    // Those that were there before the run have been told of.
                    if known.insert(who) && !first {
                        let line = in_words(&other);
                        events.notice(&line);
                        noticed.add(line);
                    }
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY.min(patience)).await;
    }
}

async fn ask(target: &Target, session: &mut Option<Client>) -> Result<Vec<OtherSessions>> {
    let client = match session {
        Some(client) => client,
        None => session.insert(target.client().await?),
    };
    other_sessions(client, target.server().version_num).await
}

/// A session that came while a run worked.
fn in_words(other: &OtherSessions) -> String {
    let from = other.client.as_deref().unwrap_or("a local socket");
    let name = match other.application_name.as_str() {
        "" => "without application_name, as Kong's are".to_owned(),
        name => format!("with application_name {}", name.escape_debug()),
    };
    format!(
        "a session of role {} from {from} ({name}) has come to the target while the run works: a Gateway must not run there",
        other.user
    )
}

fn silent(target: &Target, patience: Duration) -> Error {
    Error::new(ErrorKind::Target, format!("PostgreSQL at {} does not answer", target.endpoint().address))
        .because(format!("no answer to a simple query for {} s", patience.as_secs()))
        .remedy(
            "see whether the server hangs (its disk, for one) or something between here and there holds its connections up",
        )
}
