//! `kongferry quarantine`: rows that could not be loaded.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::{MapArgs, chosen};
use super::target_only::TargetArgs;
use crate::engine::events::Events;
use crate::engine::kept_cells::KeptTable;
use crate::engine::retry::Retry;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{HeldChoice, HeldHead, Kept, Ledger, Run, RunState};
use crate::policy::{Class, PolicyChoice};
use crate::report::progress::Observer;
use crate::report::table::{Align, TextTable, counted, grouped};
use crate::target::Target;
use crate::transform::readable;
use crate::verify::counts::lie;

/// Rows that are read at once for an export.
const BATCH: i64 = 200;

/// Show, write out and load the rows that could not be loaded as they were.
///
/// They are kept whole in table kongferry.quarantine of the target, which only its owner can read, until `kongferry clean` or
/// `kongferry undo`. docs/bad-rows.md says what each class means and what to do about it.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List them: how many by table and class, and each with its key, its class, the column or constraint it breaks, and why.
    List(ListArgs),
    /// Show one: its columns with their types; their values only with --reveal.
    Show(ShowArgs),
    /// Load them again, after what they lacked was mended: a missing parent, a twin, a map, a limit of the target.
    ///
    /// They are shaped by the maps of now and loaded into the tables as they are, one transaction per table, parents first. Rows
    /// that still cannot be loaded stay, with the newest reason, and the exit code is 5. The source is not read.
    Retry(RetryArgs),
    /// Write them into a file, one line of JSON each: values and all, so guard it as you guard the database.
    ///
    /// The file must not exist; only its owner can read it. Each cell stands there as hexadecimal bytes as the source gave them
    /// and, where they are readable, as text.
    Export(ExportArgs),
}

/// Which rows.
#[derive(Debug, Args)]
struct Chosen {
    /// Only these, by the numbers that `list` shows (separated by commas).
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    ids: Vec<i64>,

    /// Only rows of this table.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,

    /// Only rows of this class.
    #[arg(long, value_name = "CLASS", value_parser = class)]
    class: Option<Class>,
}

impl Chosen {
    fn choice(&self) -> HeldChoice {
        HeldChoice { ids: self.ids.clone(), table: self.table.clone(), class: self.class }
    }
}

fn class(name: &str) -> Result<Class, String> {
    Class::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        format!("there are: {}", known.join(", "))
    })
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    chosen: Chosen,

    /// List at most so many rows.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,

    /// One line of JSON for each row, and no table of counts.
    #[arg(long)]
    json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Its number, as `list` shows it.
    id: i64,

    /// Show the values as well: they can be secrets.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    maps: MapArgs,

    /// What becomes of rows of a class now, over what the run was told: `double-prefix=repair` loads rows that were put aside.
    #[arg(long, value_name = "CLASS=POLICY")]
    policy: Vec<PolicyChoice>,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write.
    file: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    chosen: Chosen,
}

/// Runs it.
pub async fn run(command: QuarantineCommand) -> Result<()> {
    match command {
        QuarantineCommand::List(args) => list(args).await,
        QuarantineCommand::Show(args) => show(args).await,
        QuarantineCommand::Retry(args) => retry(args).await,
        QuarantineCommand::Export(args) => export(args).await,
    }
}

/// The target and its newest run, whose quarantine counts.
async fn open(target: &TargetArgs) -> Result<(Target, Run)> {
    let target = target.open().await?;
    let run = Run::newest(&target).await.map_err(Error::before_writing)?;
    match run.filter(|run| run.state != RunState::Undone) {
        Some(run) => Ok((target, run)),
        None => Err(Error::new(
            ErrorKind::Preflight,
            "there is no run on this target, so nothing is in quarantine",
        )
        .remedy("check that it is the right database; nothing was changed")),
    }
}

async fn list(args: ListArgs) -> Result<()> {
    let (target, run) = open(&args.target).await?;
    let (ledger, choice) = (Ledger::new(target, run.id), args.chosen.choice());
    let rows = ledger.held(&choice, 0, i64::from(args.limit), false).await?;
    if args.json {
        for (head, _) in &rows {
            println!("{}", described(head));
        }
        return Ok(());
    }
    let counts = ledger.held_counts(&choice).await?;
    if counts.is_empty() {
        println!("Nothing is in quarantine.");
        return Ok(());
    }
    let mut table = TextTable::new(&[
        ("table", Align::Left),
        ("class", Align::Left),
        ("rows", Align::Right),
        ("", Align::Left),
    ]);
    for (name, class, rows) in &counts {
        table.row([name.clone(), class.to_string(), grouped(*rows), class.meaning().to_owned()]);
    }
    let mut each = TextTable::new(&[
        ("id", Align::Right),
        ("table", Align::Left),
        ("key", Align::Left),
        ("class", Align::Left),
        ("breaks", Align::Left),
        ("why", Align::Left),
    ]);
    for (head, _) in &rows {
        let HeldHead { id, table, key, class, rule, reason, .. } = head.clone();
        each.row([id.to_string(), table, key, class.to_string(), rule, reason]);
    }
    println!("{}\n{}", table.render(), each.render());
    let all: u64 = counts.iter().map(|(.., rows)| rows).sum();
    let listed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if listed < all {
        println!("{} more; --limit {all} lists them all.", counted(all - listed, "row"));
    }
    println!(
        "To look at one: kongferry quarantine show ID    To write them out: kongferry quarantine export FILE\nAfter mending what \
         they lack: kongferry quarantine retry"
    );
    Ok(())
}

fn described(head: &HeldHead) -> Value {
    json!({
        "id": head.id, "table": head.table, "key": head.key, "class": head.class, "rule": head.rule,
        "reason": head.reason, "at": format!("{} UTC", head.at),
    })
}

async fn show(args: ShowArgs) -> Result<()> {
    let (target, run) = open(&args.target).await?;
    let choice = HeldChoice { ids: vec![args.id], ..HeldChoice::default() };
    let found = Ledger::new(target, run.id).held(&choice, 0, 1, true).await?.pop();
    let Some((head, Some(kept))) = found else {
        return Err(Error::new(ErrorKind::Usage, format!("no row {} lies in quarantine", args.id))
            .remedy("`kongferry quarantine list` shows their numbers"));
    };
    println!(
        "{} row {}\n  {} ({}), {}\n  since {} UTC\n",
        head.table, head.key, head.class, head.rule, head.reason, head.at
    );
    let mut table = TextTable::new(&[
        ("column", Align::Left),
        ("type", Align::Left),
        (if args.reveal { "value" } else { "size" }, Align::Left),
    ]);
    for cell in cells(kept)? {
        let shown = match (&cell.text, cell.bytes) {
            (None, _) => "NULL".to_owned(),
            (Some(text), _) if args.reveal => text.clone(),
            (Some(_), bytes) => counted(bytes, "byte"),
        };
        table.row([cell.name, cell.ty, shown]);
    }
    print!("{}", table.render());
    if !args.reveal {
        println!("\nThe values, which can be secrets, are shown with --reveal.");
    }
    Ok(())
}

/// A cell for people.
struct ShownCell {
    name: String,
    ty: String,
    /// `None` for NULL.
    text: Option<String>,
    bytes: u64,
}

fn cells(kept: Kept) -> Result<Vec<ShownCell>> {
    let size = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    match kept {
        Kept::Cells { selection, cells, .. } => Ok(KeptTable::from_json(&selection)?
            .cells(cells)?
            .into_iter()
            .map(|(name, ty, value)| ShownCell {
                name,
                bytes: value.as_ref().map_or(0, |value| size(value.len())),
                text: value.map(|value| readable(&ty, Some(&value))),
                ty: ty.to_string(),
            })
            .collect()),
        Kept::Loaded(content) => Ok(object(&content)?
            .into_iter()
            .map(|(name, value)| {
                let text = match value {
                    Value::Null => None,
                    Value::String(text) => Some(text),
                    other => Some(other.to_string()),
                };
                let bytes = text.as_ref().map_or(0, |text| size(text.len()));
                ShownCell { name, ty: "as loaded".to_owned(), text, bytes }
            })
            .collect()),
    }
}

fn object(content: &str) -> Result<serde_json::Map<String, Value>> {
    serde_json::from_str(content)
        .map_err(|_| Error::new(ErrorKind::Target, "a row of quarantine cannot be read"))
}

async fn export(args: ExportArgs) -> Result<()> {
    let (target, run) = open(&args.target).await?;
    let (ledger, choice) = (Ledger::new(target, run.id), args.chosen.choice());
    let failed = |error: &std::io::Error| {
        Error::new(ErrorKind::Configuration, format!("cannot write {}", args.file.display()))
            .because(error.kind())
            .remedy("name a file that does not exist, in a directory where kongferry may write")
    };
    let mut file = BufWriter::new(create(&args.file).map_err(|error| failed(&error))?);
    let (mut after, mut written) = (0, 0);
    loop {
        let rows = ledger.held(&choice, after, BATCH, true).await?;
        let Some((last, _)) = rows.last() else { break };
        after = last.id;
        for (head, kept) in rows {
            let Some(kept) = kept else { continue };
            let line = whole(&head, kept)?;
            writeln!(file, "{line}").map_err(|error| failed(&error))?;
            written += 1;
        }
    }
    file.into_inner()
        .map_err(|error| failed(error.error()))
        .and_then(|file| file.sync_all().map_err(|error| failed(&error)))?;
    println!("{} written to {}, readable by its owner only.", counted(written, "row"), args.file.display());
    Ok(())
}

fn create(path: &std::path::Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A row with everything there is of it.
fn whole(head: &HeldHead, kept: Kept) -> Result<Value> {
    let mut line = described(head);
    match kept {
        Kept::Loaded(content) => line["row"] = Value::Object(object(&content)?),
        Kept::Cells { selection, cells, read_at } => {
            let cells = KeptTable::from_json(&selection)?.cells(cells)?;
            let cells = cells.into_iter().map(|(name, ty, value)| {
                let hex = value.as_ref().map(|value| readable(&crate::source::CqlType::Blob, Some(value)));
                let text = value.as_ref().map(|value| match std::str::from_utf8(value) {
                    Ok(text)
                        if matches!(ty, crate::source::CqlType::Text | crate::source::CqlType::Ascii) =>
                    {
                        text.to_owned()
                    }
                    _ => readable(&ty, Some(value)),
                });
                json!({ "column": name, "type": ty.to_string(), "text": text, "bytes": hex })
            });
            line["cells"] = cells.collect();
            line["read_at"] = json!(read_at);
        }
    }
    Ok(line)
}

async fn retry(args: RetryArgs) -> Result<()> {
    let maps = args.maps.load()?;
    let (events, observer) = Observer::start(false);
    let outcome = async {
        let (target, run) = open(&args.target).await?;
        let policies = chosen(run.terms.policies, &args.policy)?;
        let events: &Events = &events;
        let retry = Retry { target: &target, run: &run, maps: &maps, policies, events };
        retry.go(&args.chosen.choice()).await
    }
    .await;
    drop(events);
    observer.finish();
    let outcome = outcome?;
    if outcome.is_empty() {
        println!("Nothing of that is in quarantine.");
        return Ok(());
    }
    let mut table =
        TextTable::new(&[("table", Align::Left), ("loaded", Align::Right), ("still held", Align::Right)]);
    for (name, retried) in &outcome {
        table.row([name.clone(), grouped(retried.loaded), grouped(retried.held)]);
    }
    print!("{}", table.render());
    let held: u64 = outcome.values().map(|retried| retried.held).sum();
    if held == 0 {
        println!("All of them are loaded.");
        return Ok(());
    }
    Err(Error::new(ErrorKind::Quarantined, format!("{} in quarantine still", lie(held)))
        .remedy("`kongferry quarantine list` shows the newest reason of each"))
}
