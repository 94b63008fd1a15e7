//! `kongferry plan`: what a migration would do, without doing it.

use clap::Args;

use super::args::{ConnectionArgs, LoadingArgs, ReadingArgs, TableArgs};
use super::sides;
use crate::engine::plan::{Plan, PlanOptions};
use crate::error::{Error, Result};
use crate::report::progress::Observer;
use crate::report::table::{Align, TextTable, grouped};
use crate::schema_map::Origin;
use crate::target::settings;

/// Show what a migration would do: tables in load order, splits, maps, and what stays behind and why.
///
/// Reads both catalogs and changes nothing. Refuses (exit code 3) whatever `migrate` would refuse, a target that is not
/// fresh included.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    tables: TableArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    loading: LoadingArgs,
}

/// Runs it.
pub async fn run(args: PlanArgs) -> Result<()> {
    let (maps, choice) = (args.tables.maps()?, args.tables.choice());
    let (events, observer) = Observer::start(args.reading.quiet);
    let outcome = async {
        let (sides, _) =
            sides::open_to_load(&args.connections, &args.reading, &args.loading, &events).await?;
        sides.refuse_unfinished().await?;
        let keep_constraints = args.loading.keep_constraints;
        let options = PlanOptions { keep_constraints, ..args.reading.plan_options(false) };
        let plan = sides.plan(&maps, &choice, options, &events).await?;
        print!("{}", render(&plan));
        let settings = settings::render(&sides::advice(&sides, &plan).await.map_err(Error::before_writing)?);
        if !settings.is_empty() {
            print!("\n{settings}");
        }
        sides.check_target(&plan, keep_constraints, &events).await.map(drop)
    }
    .await;
    drop(events);
    observer.finish();
    outcome
}

/// The plan as text.
pub fn render(plan: &Plan) -> String {
    let mut table = TextTable::new(&[
        ("level", Align::Right),
        ("table", Align::Left),
        ("rows, estimated", Align::Right),
        ("splits", Align::Right),
        ("map", Align::Left),
        ("", Align::Left),
    ]);
    for plan in &plan.tables {
        table.row([
            plan.level.to_string(),
            plan.table.clone(),
            plan.estimate.map_or_else(|| "unknown".to_owned(), grouped),
            plan.splits.len().to_string(),
            match &plan.origin {
                Origin::BuiltIn => "built-in".to_owned(),
                Origin::Edited(path) => path.display().to_string(),
                Origin::Derived => "derived".to_owned(),
            },
            if plan.merge { "replaces the bootstrap rows" } else { "" }.to_owned(),
        ]);
    }
    let mut text = table.render();
    if !plan.skipped.is_empty() {
        let mut skipped = TextTable::new(&[("not copied", Align::Left), ("why", Align::Left)]);
        for table in &plan.skipped {
            skipped.row([table.table.clone(), table.reason.clone()]);
        }
        text.push('\n');
        text.push_str(&skipped.render());
    }
    text
}
