//! What is taken off the tables for the time of the load, and how it comes back.
//!
//! The armour of a table is what makes every inserted row dear: its indexes and keys, the foreign keys from and to it, and the
//! row triggers of Kong's own functions. [`Armour::read`] writes down all of it, to be stored before anything is dropped;
//! [`rehearse`] tries the whole way there and back in a transaction that is rolled back; [`take_off()`] drops; each of
//! [`Armour::steps`], run by [`put_back()`], restores one piece; [`differences`] says what is not as it was.
//!
//! CHECK and NOT NULL constraints, defaults, rules and the triggers of others stay on.

mod at_fault;
mod hindrances;
mod inventory;
mod locked;
mod put_back;
mod read;
mod rehearsal;
mod resources;
mod script;
mod snapshot;
mod statements;
mod steps;
mod take_off;

pub use hindrances::{check, check_journal};
pub use inventory::{
    Armour, ForeignKeyArmour, IndexArmour, KeyArmour, KeyKind, TableArmour, TriggerArmour, TriggerFires,
};
pub use put_back::put_back;
pub use rehearsal::rehearse;
pub use resources::{Resources, ServerResources};
pub use snapshot::{differences, differences_in};
pub use steps::{Lock, Step, StepKind};
pub use take_off::take_off;
