//! Reading rows of the source once more, by their ids.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::crew::Crew;
use super::hold::Quarantine;
use super::load::{Failure, load_within};
use super::perform::loading;
use super::workers::Piece;
use crate::error::Result;
use crate::police::SecondLook;
use crate::source::Split;
use crate::target::LoadTransaction;

#[async_trait]
impl SecondLook for Crew {
    async fn load(&self, transaction: &mut LoadTransaction, table: &str, ids: &[Uuid]) -> Result<u64> {
        let plan = self.plan.tables.iter().find(|plan| plan.table == table);
        let described = self.sides.source.catalog().tables.get(table);
        let (Some(plan), Some(described)) = (plan, described) else { return Ok(0) };
        let splits: Vec<Split> = ids.iter().filter_map(|id| Split::of_row(described, *id)).collect();
        let piece = Piece { plan: Arc::clone(plan), splits };
        match load_within(loading(self, Quarantine::Known), &piece, transaction).await {
            Ok(totals) => Ok(totals.loaded),
            Err(Failure::Refused(error) | Failure::Other(error)) => Err(error),
        }
    }
}
