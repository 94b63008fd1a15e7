//! The ledger: what a run has done and what is left, kept in schema `kongferry` of the target database itself.
//!
//! One row of `kongferry.task` per piece of work: the seed, every split, every index, every foreign key. Whoever works on a
//! task holds its row locked, in the very transaction that does the work, and marks it done in that transaction. So data and
//! ledger commit together; a claim ends with its connection, however that ended; and two workers never both commit one task.
//! Going on after a failure and working from several machines are the same thing: claiming what is open.
//!
//! The same schema holds, before anything is changed, what is needed to put the target back: the definitions of all that is
//! dropped for the load, the bootstrap rows, and the column defaults.

mod accounts;
mod guard;
mod held;
mod kept;
mod policing;
mod quarantine;
mod run;
mod schema;
mod task;
mod trace;

pub use accounts::TableAccounts;
pub use guard::Guard;
pub use held::{HeldChoice, HeldHead, Kept};
pub use policing::{Change, Orders, Postponed};
pub use quarantine::{HeldContent, HeldRow, Why};
pub use run::{Run, RunState, Terms, refuse_unfinished};
pub use schema::SCHEMA;
pub use task::{Lane, NewTask, Task, TaskCount, Work};
pub use trace::{Changes, Loaded};

use std::fmt::Display;

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::target::Target;

/// The ledger of one run.
#[derive(Debug, Clone)]
pub struct Ledger {
    target: Target,
    run: Uuid,
}

impl Ledger {
    /// The ledger of run `run` on `target`.
    pub fn new(target: Target, run: Uuid) -> Self {
        Self { target, run }
    }

    /// Id of the run.
    pub fn run_id(&self) -> Uuid {
        self.run
    }
}

/// The error of a process whose run somebody else has ended or is ending.
fn taken_over() -> Error {
    Error::new(ErrorKind::Target, "the run was taken over: somebody else has ended, undone or re-armed it")
        .remedy("`kongferry status` shows where it stands; nothing of what was open here was committed")
}

/// The error for an answer that has not the form it was asked for.
fn unexpected(what: impl Display) -> Error {
    Error::new(ErrorKind::Target, format!("cannot {what}")).because("unexpected answer")
}

/// The error for something in the ledger that this build cannot read.
fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::Target, format!("the ledger in schema {SCHEMA} holds {what} that cannot be read"))
        .remedy("use the build of kongferry that began the run")
}

/// Something as the ledger keeps it.
fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|_| Error::new(ErrorKind::Internal, "something for the ledger cannot be written as JSON"))
}
