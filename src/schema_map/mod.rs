//! Station 2: what happens to each column of a table.
//!
//! In: one TOML file per table ([`load`], built in or from `--map-dir`) and the live catalogs of both sides. Out: a
//! [`TableMapping`] in which every source column is used or dropped by name and every target column is written or has a
//! default ([`mod@resolve`]); for a whole estate, what happens to each table ([`mod@decide`]). A table without a map gets one
//! worked out from the catalogs and a sample of its rows ([`mod@derive`]). Nothing is guessed.

mod built_in;
pub mod decide;
pub mod derive;
pub mod evidence;
pub mod load;
pub mod mapping;
pub mod model;
mod parse;
pub mod render;
pub mod resolve;
#[cfg(test)]
mod tests;

pub use decide::{Choice, Decided, Decision, Findings, decide, decide_with, to_sample};
pub use derive::{Draft, derive, draft};
pub use evidence::Evidence;
pub use load::MapSet;
pub use mapping::{Output, Production, Sequence, TableMapping};
pub use model::{Action, ColumnRule, Leftover, Origin, Rule, TableMap};
pub use resolve::resolve;

/// `; did you mean "x"?` with the candidate that looks most like `name`, or nothing.
fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    // 0.8 of Jaro-Winkler: one or two slips of the finger in a word of ten letters.
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean \"{candidate}\"?"))
}

/// Several problems as one text: alone on the line, or as a list under `title`.
fn listed(title: &str, problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => many
            .iter()
            .fold(format!("{title} ({} problems):", many.len()), |text, problem| text + "\n  - " + problem),
    }
}
