//! What is printed and written: figures, the measures they are held against, and whether these are reached.

use std::collections::BTreeMap;

use kongferry::report::table::{Align, TextTable, grouped};
use serde::Serialize;

use crate::contender::{
    ALONE, ARMED, CQLSH, DRY_RUN, DSBULK, MIGRATE, Run, SCAN, SNAPSHOT, SNAPSHOT_DRY_RUN, SNAPSHOT_ONE_CORE,
};
use crate::host::Host;

/// Peak memory that no run of kongferry may exceed, in bytes.
const MEMORY_LIMIT: u64 = 256 << 20;

/// Everything that was measured in one go.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When, in UTC.
    pub date: String,
    /// Commit of the sources.
    pub commit: String,
    /// On what.
    pub host: Host,
    /// By size of the estate, smallest first.
    pub sizes: Vec<Size>,
    /// What is said of several sizes together.
    pub growth: Vec<Measure>,
}

/// An estate, and how everyone did on it.
#[derive(Debug, Serialize)]
pub struct Size {
    /// Consumers; as many credentials of either kind.
    pub consumers: u64,
    /// Rows that every contender reads, by table.
    pub tables: BTreeMap<String, u64>,
    /// The contenders, in the order they took turns.
    pub contenders: Vec<Figures>,
    /// The ratios that matter.
    pub measures: Vec<Measure>,
}

/// A contender's figures.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// What it does.
    pub what: String,
    /// Wall time of every run, in the order they were made.
    pub runs: Vec<f64>,
    /// Median of the runs.
    pub seconds: f64,
    /// Rows per second of the median run.
    pub rows_per_second: f64,
    /// Most resident memory in bytes of any run.
    pub peak_memory: u64,
    /// Seconds of the steps of the first run, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<(String, f64)>,
    /// Seconds of its end in which the target was read back and compared: median of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<f64>,
    /// Why it has no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A ratio and what is wanted of it.
#[derive(Debug, Serialize)]
pub struct Measure {
    /// What was divided by what.
    pub name: String,
    /// The ratio.
    pub value: f64,
    /// What is wanted.
    pub wanted: String,
    /// Whether it is reached.
    pub reached: bool,
}

impl Figures {
    /// The figures of `runs`, or why there are none.
    pub fn of(name: &str, what: &str, runs: &[Run], failure: Option<String>) -> Self {
        let in_order: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
        let median = median(in_order.clone());
        let proofs: Option<Vec<f64>> = runs.iter().map(|run| run.proof).collect();
        let rows = runs.first().map_or(f64::NAN, |run| float(run.rows));
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            runs: in_order,
            seconds: median,
            rows_per_second: rows / median,
            peak_memory: runs.iter().map(|run| run.peak_memory).max().unwrap_or(0),
            steps: runs.first().map_or(Vec::new(), |run| run.steps.clone()),
            proof: proofs.filter(|proofs| !proofs.is_empty()).map(self::median),
            failure,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    f64::midpoint(middle(values.len().saturating_sub(1) / 2), middle(values.len() / 2))
}

impl Size {
    /// An estate with its measures.
    pub fn of(consumers: u64, tables: BTreeMap<String, u64>, contenders: Vec<Figures>) -> Self {
        let mut size = Self { consumers, tables, contenders, measures: Vec::new() };
        size.measures = size.measure();
        size
    }

    fn rows(&self) -> u64 {
        self.tables.values().sum()
    }

    fn figures(&self, name: &str) -> Option<&Figures> {
        self.contenders.iter().find(|figures| figures.name == name && figures.failure.is_none())
    }

    /// Seconds of one contender in those of another, where both finished.
    fn ratio(&self, name: &str, over: &str) -> Option<f64> {
        Some(self.figures(name)?.seconds / self.figures(over)?.seconds)
    }

    /// Seconds of a migration until both sides are counted: what comes after is the proof of the content.
    fn until_counted(&self) -> Option<f64> {
        let migrate = self.figures(MIGRATE)?;
        Some(migrate.seconds - migrate.proof?)
    }

    fn measure(&self) -> Vec<Measure> {
        let at_most = |name: &str, over: &str, most: f64, wanted: &str| {
            let value = self.ratio(name, over)?;
            Some(Measure {
                name: format!("{name} / {over}"),
                value,
                wanted: wanted.to_owned(),
                reached: value <= most,
            })
        };
        let at_least = |name: &str, over: &str, least: f64, wanted: &str| {
            let value = self.ratio(name, over)?;
            let name = format!("{name} / {over}");
            Some(Measure { name, value, wanted: wanted.to_owned(), reached: value >= least })
        };
        let of_counting = |most: f64, wanted: &str| {
            let value = self.until_counted()? / self.figures(SCAN)?.seconds;
            let name = format!("{MIGRATE}, until both sides are counted / {SCAN}");
            Some(Measure { name, value, wanted: wanted.to_owned(), reached: value <= most })
        };
        let of_proof = || {
            let value = self.figures(MIGRATE)?.seconds / self.until_counted()?;
            let (name, wanted) =
                (format!("{MIGRATE} / until both sides are counted"), "at most 1.25".to_owned());
            Some(Measure { name, value, wanted, reached: value <= 1.25 })
        };
        let mut measures: Vec<Measure> = [
            of_counting(2.0, "at most 2.0 (aim)"),
            of_counting(2.5, "at most 2.5 (limit)"),
            of_proof(),
            at_most(MIGRATE, ARMED, 1.0 / 3.0, "at most 0.33"),
            at_least(DSBULK, MIGRATE, 5.0, "at least 5"),
            at_least(SCAN, SNAPSHOT_DRY_RUN, 10.0, "at least 10"),
            at_least(SNAPSHOT_ONE_CORE, SNAPSHOT_DRY_RUN, 1.7, "at least 1.7"),
            at_most(SNAPSHOT, ALONE, 1.3, "at most 1.3"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let ours = [DRY_RUN, MIGRATE, ARMED, SNAPSHOT_DRY_RUN, SNAPSHOT]
            .into_iter()
            .filter_map(|name| self.figures(name));
        if let Some(peak) = ours.map(|figures| figures.peak_memory).max() {
            measures.push(Measure {
                name: "peak memory of kongferry, MB".to_owned(),
                value: float(peak) / float(1 << 20),
                wanted: "at most 256".to_owned(),
                reached: peak <= MEMORY_LIMIT,
            });
        }
        measures
    }

    fn render(&self) -> String {
        let mut table = TextTable::new(&[
            ("contender", Align::Left),
            ("runs", Align::Right),
            ("seconds", Align::Right),
            ("rows/s", Align::Right),
            ("of the scan", Align::Right),
            ("peak MB", Align::Right),
            ("what it does", Align::Left),
        ]);
        for figures in &self.contenders {
            let of_scan =
                self.ratio(&figures.name, SCAN).map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let [seconds, speed, peak] = if figures.failure.is_some() {
                ["failed".to_owned(), String::new(), String::new()]
            } else {
                let peak = figures.peak_memory.div_ceil(1 << 20);
                [format!("{:.1}", figures.seconds), whole(figures.rows_per_second), grouped(peak)]
            };
            let runs = figures.runs.len().to_string();
            table.row([figures.name.clone(), runs, seconds, speed, of_scan, peak, figures.what.clone()]);
        }
        let (consumers, rows) = (grouped(self.consumers), grouped(self.rows()));
        let mut text = format!(
            "{consumers} consumers with a basic-auth and a key-auth credential each: {rows} rows of {} tables\n\n{}\n",
            self.tables.len(),
            table.render()
        );
        for figures in &self.contenders {
            if let Some(failure) = &figures.failure {
                text += &format!("FAILED {}: {failure}\n", figures.name);
            }
            if !figures.steps.is_empty() {
                let steps: Vec<String> =
                    figures.steps.iter().map(|(step, seconds)| format!("{step} {seconds:.1} s")).collect();
                text += &format!("{}: {}\n", figures.name, steps.join(", "));
            }
        }
        if self.figures(MIGRATE).is_none() && self.figures(CQLSH).is_none() && self.figures(DSBULK).is_none()
        {
            text += "(neither a disarming load nor peers: few ratios to tell)\n";
        }
        text + "\n" + &render(&self.measures)
    }
}

impl Report {
    /// The report, with what it says of how cost grows with size.
    pub fn of(date: String, commit: String, host: Host, sizes: Vec<Size>) -> Self {
        let growth = sizes
            .windows(2)
            .flat_map(|pair| [MIGRATE, ARMED].map(|name| (pair, name)))
            .filter_map(|(pair, name)| {
                let [small, large] = pair else { return None };
                let cost = |size: &Size| Some(size.figures(name)?.seconds / float(size.rows()));
                let value = cost(large)? / cost(small)?;
                let (many, few) = (grouped(large.consumers), grouped(small.consumers));
                Some(Measure {
                    name: format!("cost per row of {name} at {many} consumers / at {few}"),
                    value,
                    wanted: "at most 1.3".to_owned(),
                    reached: value <= 1.3,
                })
            })
            .collect();
        Self { date, commit, host, sizes, growth }
    }

    /// Whether a contender failed.
    pub fn failed(&self) -> bool {
        self.sizes.iter().flat_map(|size| &size.contenders).any(|figures| figures.failure.is_some())
    }

    /// All of it, for people.
    pub fn render(&self) -> String {
        let host = &self.host;
        let settings: Vec<String> =
            host.postgres_settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let mut text = format!(
            "{}, commit {}\n{}, {} cores, {} MB, Linux {}; client and servers share them\n\
             Cassandra {} (heap {}), {}\nPostgreSQL {} ({})\n",
            self.date,
            self.commit,
            host.processor,
            host.cores,
            grouped(host.memory_bytes >> 20),
            host.kernel,
            host.cassandra,
            host.cassandra_heap,
            host.java,
            host.postgres,
            settings.join(", ")
        );
        if !host.peers.is_empty() {
            text += &format!("{}\n", host.peers.join(", "));
        }
        for size in &self.sizes {
            text += &format!("\n{}", size.render());
        }
        if !self.growth.is_empty() {
            text += &format!("\n{}", render(&self.growth));
        }
        text
    }
}

fn render(measures: &[Measure]) -> String {
    let columns =
        [("measure", Align::Left), ("value", Align::Right), ("wanted", Align::Left), ("", Align::Left)];
    let mut table = TextTable::new(&columns);
    for Measure { name, value, wanted, reached } in measures {
        let reached = if *reached { "reached" } else { "not reached" };
        table.row([name.clone(), format!("{value:.2}"), wanted.clone(), reached.to_owned()]);
    }
    table.render()
}

/// A count as a floating-point number; counts here are far below what that holds exactly.
fn float(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// A rate without fraction, digits in groups.
fn whole(rate: f64) -> String {
    format!("{rate:.0}").parse().map_or(String::new(), grouped)
}
