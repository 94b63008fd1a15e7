//! `kongferry map`: the schema maps, without any server.

use clap::Subcommand;

use super::args::MapArgs;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::{Align, TextTable};
use crate::schema_map::Origin;

/// Show what happens to each table and column.
#[derive(Debug, Subcommand)]
pub enum MapCommand {
    /// List all tables: copied, merged or skipped, and why.
    List(MapArgs),
    /// Print the map of one table.
    Show {
        /// Name of the table.
        table: String,
        #[command(flatten)]
        maps: MapArgs,
    },
}

/// Runs it.
pub fn run(command: &MapCommand) -> Result<()> {
    match command {
        MapCommand::List(maps) => list(maps),
        MapCommand::Show { table, maps } => show(table, maps),
    }
}

fn list(args: &MapArgs) -> Result<()> {
    let mut table = TextTable::new(&[
        ("table", Align::Left),
        ("action", Align::Left),
        ("map", Align::Left),
        ("include with", Align::Left),
        ("why", Align::Left),
    ]);
    for map in args.load()?.iter() {
        let origin = match &map.origin {
            Origin::BuiltIn => "built-in",
            Origin::Edited(_) => "edited",
            Origin::Derived => "derived",
        };
        let include = map.include.as_deref().map_or_else(String::new, |word| format!("--include {word}"));
        table.row([
            map.table.clone(),
            map.action.name().to_owned(),
            origin.to_owned(),
            include,
            map.reason.clone().unwrap_or_default(),
        ]);
    }
    print!("{}", table.render());
    Ok(())
}

fn show(table: &str, args: &MapArgs) -> Result<()> {
    let maps = args.load()?;
    let map = maps.get(table).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("there is no map for a table `{table}`"))
            .remedy("`kongferry map list` shows all tables that have one")
    })?;
    print!("{}", map.text);
    Ok(())
}
