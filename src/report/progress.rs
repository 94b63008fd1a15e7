//! The observer thread: bars on a terminal, a line every ten seconds elsewhere. Everything goes to stderr.

use std::io::IsTerminal;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::table::{grouped, spoken};
use crate::engine::events::{Event, Events};

/// Time between two lines when stderr is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Steps of a bar; a table's bar shows the share of its space that is done, since its rows are not known beforehand.
const BAR_STEPS: u64 = 1_000;

/// Watches one run; join it when the run is over.
#[derive(Debug)]
pub struct Observer {
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Starts the thread. With `quiet`, only notices are shown.
    pub fn start(quiet: bool) -> (Events, Self) {
        let (events, receiver) = Events::channel();
        let thread = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || Watch::new(quiet).run(&receiver))
            .ok();
        (events, Self { thread })
    }

    /// Waits until everything told has been shown. All senders must be gone.
    pub fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in the observer must not hide the outcome of the run.
            let _ = thread.join();
        }
    }
}

/// One table as the observer sees it.
#[derive(Debug)]
struct Seen {
    name: String,
    estimate: Option<u64>,
    rows: u64,
    share: f64,
    bar: Option<ProgressBar>,
}

#[derive(Debug)]
struct Watch {
    tables: Vec<Seen>,
    bars: Option<(MultiProgress, ProgressBar)>,
    quiet: bool,
    started: Instant,
    last_line: Instant,
    last_text: String,
    /// Steps on the target alone: done, and all.
    steps: (u64, u64),
}

impl Watch {
    fn new(quiet: bool) -> Self {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let bars = (!quiet && !dumb && std::io::stderr().is_terminal()).then(|| {
            let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let total = multi.add(ProgressBar::new(BAR_STEPS));
            total.set_style(style("{prefix:<28!} {wide_bar} {percent:>3}% {msg}"));
            total.set_prefix("total");
            (multi, total)
        });
        let now = Instant::now();
        Self {
            tables: Vec::new(),
            bars,
            quiet,
            started: now,
            last_line: now,
            last_text: String::new(),
            steps: (0, 0),
        }
    }

    fn run(mut self, receiver: &Receiver<Event>) {
        loop {
            match receiver.recv_timeout(Duration::from_millis(250)) {
                Ok(event) => self.hear(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.refresh();
        }
        if let Some((multi, total)) = &self.bars {
            total.finish_and_clear();
            let _ = multi.clear();
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Stage(text) if self.quiet => drop(text),
            Event::Stage(text) => self.say(&text),
            Event::Notice(text) => self.say(&format!("note: {text}")),
            Event::Tables(tables) => {
                self.started = Instant::now();
                self.tables = tables
                    .into_iter()
                    .map(|(name, estimate)| Seen { name, estimate, rows: 0, share: 0.0, bar: None })
                    .collect();
            }
            Event::Page { table, rows } => self.update(table, |seen| seen.rows += rows),
            Event::SplitDone { table, share } => self.update(table, |seen| seen.share += share),
            Event::Steps(steps) => self.steps = (0, steps),
            Event::StepDone => self.steps.0 += 1,
            Event::TableDone { table } => {
                if let Some(seen) = self.tables.get_mut(table) {
                    seen.share = 1.0;
                    if let Some(bar) = seen.bar.take() {
                        bar.finish_and_clear();
                    }
                }
            }
        }
    }

    fn update(&mut self, table: usize, change: impl FnOnce(&mut Seen)) {
        let Some(seen) = self.tables.get_mut(table) else { return };
        change(seen);
        let Some((multi, total)) = &self.bars else { return };
        let bar = seen.bar.get_or_insert_with(|| {
            let bar = multi.insert_before(total, ProgressBar::new(BAR_STEPS));
            bar.set_style(style("{prefix:<28!} {wide_bar} {percent:>3}% {msg}"));
            bar.set_prefix(seen.name.clone());
            bar
        });
        bar.set_position(steps(seen.share));
        bar.set_message(format!("{} rows", grouped(seen.rows)));
    }

    /// Rows read so far and the share of the whole that is done, tables weighted by their (estimated) rows.
    fn total(&self) -> (u64, f64) {
        let rows = self.tables.iter().map(|seen| seen.rows).sum();
        let (mut done, mut all) = (0.0, 0.0);
        for seen in &self.tables {
            let share = seen.share.min(1.0);
            let weight = if share > 0.05 {
                as_f64(seen.rows) / share
            } else {
                as_f64(seen.estimate.unwrap_or(seen.rows))
            };
            let weight = weight.max(1.0);
            done += weight * share;
            all += weight;
        }
        (rows, if all > 0.0 { done / all } else { 0.0 })
    }

    fn refresh(&mut self) {
        if self.tables.is_empty() {
            return;
        }
        let (rows, share) = self.total();
        let elapsed = self.started.elapsed();
        let rate = as_f64(rows) / elapsed.as_secs_f64().max(0.001);
        let left = (share > 0.02 && share < 1.0)
            .then(|| elapsed.mul_f64((1.0 - share) / share))
            .map_or_else(String::new, |left| format!(", about {} left", spoken(left)));
        let mut text = if share < 1.0 {
            format!("{} rows, {} rows/s{left}", grouped(rows), grouped(whole(rate)))
        } else {
            format!("{} rows", grouped(rows))
        };
        if self.steps.0 > 0 {
            text.push_str(&format!(
                "; indexes, keys and tags: {} of {} steps",
                grouped(self.steps.0),
                grouped(self.steps.1)
            ));
        }
        if let Some((_, total)) = &self.bars {
            total.set_position(steps(share));
            total.set_message(text);
        } else if !self.quiet && self.last_line.elapsed() >= LINE_EVERY && text != self.last_text {
            self.last_line = Instant::now();
            eprintln!("{:>3} %  {text}", whole(share * 100.0));
            self.last_text = text;
        }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some((multi, _)) => multi.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Counts shown to people need no more than the 53 bits of a double.
#[allow(clippy::cast_precision_loss)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// A non-negative figure cut to whole numbers.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(figure: f64) -> u64 {
    figure.max(0.0) as u64
}

fn steps(share: f64) -> u64 {
    whole(share.clamp(0.0, 1.0) * as_f64(BAR_STEPS))
}
