//! `kongferry map`: the schema maps, without any server.

use clap::Subcommand;

use super::args::{ConnectionArgs, MapArgs, ReadingArgs};
use super::sides;
use crate::engine::events::Events;
use crate::engine::evidence;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::{Align, TextTable};
use crate::schema_map::Origin;
use crate::schema_map::derive::draft;

/// Show what happens to each table and column.
#[derive(Debug, Subcommand)]
pub enum MapCommand {
    /// List all tables: copied, merged or skipped, and why.
    List(MapArgs),
    /// Work out the map of a table that none describes, such as a custom plugin's, and print it as a file to edit.
    ///
    /// Reads both catalogs and a sample of the table's rows. What is open is marked TO DECIDE. Save it as TABLE.toml in a
    /// folder and use it with --map-dir.
    Derive {
        /// Name of the table.
        table: String,
        #[command(flatten)]
        maps: MapArgs,
        #[command(flatten)]
        connections: ConnectionArgs,
        #[command(flatten)]
        reading: ReadingArgs,
    },
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
        MapCommand::Derive { table, maps, connections, reading } => {
            super::block_on(derive(table, maps, connections, reading))
        }
    }
}

async fn derive(
    table: &str,
    maps: &MapArgs,
    connections: &ConnectionArgs,
    reading: &ReadingArgs,
) -> Result<()> {
    if maps.load()?.get(table).is_some() {
        return Err(Error::new(ErrorKind::Usage, format!("there is a map for {table} already"))
            .remedy(format!("begin with that one: kongferry map show {table} > {table}.toml")));
    }
    // Nobody watches a few sampled rows.
    let (events, _) = Events::channel();
    let sides = sides::open(connections, reading, &events).await?;
    let lacks = |side: &str| {
        Error::new(ErrorKind::Preflight, format!("the {side} has no table {table}"))
            .remedy("a map needs the table on both sides; does the target need bootstrapping with its plugin enabled?")
    };
    let source = sides.source.catalog().tables.get(table).ok_or_else(|| lacks("source"))?;
    let target = sides.catalog.tables.get(table).ok_or_else(|| lacks("target"))?;
    let evidence = evidence::gather(&*sides.source, &[source]).await.map_err(Error::before_writing)?;
    let seen = evidence.get(table).cloned().unwrap_or_default();
    print!("{}", draft(source, target, &seen).render());
    Ok(())
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
