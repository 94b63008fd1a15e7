//! Puts back what a run that broke off took off the tables, and leaves the rows.

use std::sync::Arc;

use super::events::{Event, Events};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Guard, Ledger, Run, RunState};
use crate::target::armour::{self, Armour, ServerResources, Step};
use crate::target::{Target, tags};

/// Puts everything back. Steps that are done already are left alone, so that it can be repeated at any moment.
///
/// # Errors
/// `Row` when the rows that are there do not satisfy a constraint; everything else is back by then.
pub async fn rearm(target: &Target, run: &Run, events: &Events) -> Result<()> {
    let guard = Guard::alone(target).await?;
    let Some(armour) = run.armour.as_ref().filter(|_| !run.armed) else { return Ok(()) };
    let ledger = Ledger::new(target.clone(), run.id);
    let armour = Arc::new(armour.clone());
    let resources = ServerResources::read(target).await?.share(1);
    events.stage("Writing the tags of the rows that are there");
    for table in armour.tagged() {
        let mut transaction = target.begin().await?;
        if ledger.take_part(&mut transaction, &format!("tags {table}")).await? {
            // Somebody may have written them by hand.
            tags::forget(&mut transaction, target.schema(), &table).await?;
            tags::rebuild(&mut transaction, target.schema(), &table).await?;
        }
        transaction.commit().await?;
    }
    let steps = armour.steps();
    events.stage("Putting indexes, constraints and triggers back");
    events.tell(Event::Steps(u64::try_from(steps.len()).unwrap_or(u64::MAX)));
    let mut refused: Option<Error> = None;
    for step in &steps {
        match put_back(target, &ledger, &armour, step, &resources).await {
            Ok(()) => events.tell(Event::StepDone),
            Err(error) if error.kind() == ErrorKind::Row => {
                if refused.is_some() {
                    events.notice(format!("refused as well: {error}"));
                }
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(refused) = refused {
        return Err(refused.and_remedy(
            "everything else is back. The load is not complete, so rows can be missing that these refer to: `kongferry undo` \
             empties the tables and puts everything back",
        ));
    }
    let changed = ledger.changed_defaults().await?;
    let differences = armour::differences(target, &armour, &changed).await?;
    if let Some(first) = differences.first() {
        return Err(Error::new(ErrorKind::Target, "the catalog of the target is not what it was before")
            .because(first)
            .remedy("find out who else changes tables on the target, then `kongferry rearm` again"));
    }
    let mut transaction = target.begin().await?;
    ledger.set_armed(&mut transaction, true).await?;
    ledger.end(&mut transaction, RunState::Rearmed).await?;
    transaction.commit().await?;
    drop(guard);
    Ok(())
}

async fn put_back(
    target: &Target,
    ledger: &Ledger,
    armour: &Armour,
    step: &Step,
    resources: &armour::Resources,
) -> Result<()> {
    let mut transaction = target.begin().await?;
    armour::put_back(&mut transaction, armour, step, resources).await?;
    ledger.take_part(&mut transaction, &step.id()).await?;
    transaction.commit().await
}
