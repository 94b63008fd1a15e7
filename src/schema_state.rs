//! How far Kong's migrations have come on each side, as `schema_meta` records it.
//!
//! A row copy is defined between equal schema states only: an upgrade rewrites data (regex paths and plugin configurations
//! at 3.0, workspace prefixes at 2.1), a copy does not.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Result};

/// One row of `schema_meta`: the migrations of the core or of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubsystemState {
    /// `core`, or the name of a plugin with tables or data of its own.
    pub subsystem: String,
    /// The step that ran last.
    pub last_executed: Option<String>,
    /// Steps that are done.
    pub executed: BTreeSet<String>,
    /// Steps begun by `kong migrations up` that `kong migrations finish` has not completed.
    pub pending: BTreeSet<String>,
}

/// A side of the migration, in the words of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "the source",
            Self::Target => "the target",
        }
    }

    fn conf(self) -> &'static str {
        match self {
            Self::Source => "the source's kong.conf",
            Self::Target => "the target's kong.conf",
        }
    }
}

/// Differences found so far, and what to run against them, each remedy once.
#[derive(Default)]
struct Findings {
    differences: Vec<String>,
    remedies: Vec<String>,
}

impl Findings {
    fn add(&mut self, difference: String, remedy: String) {
        self.differences.push(difference);
        if !self.remedies.contains(&remedy) {
            self.remedies.push(remedy);
        }
    }
}

/// Checks that rows of `source` may be copied to `target` as they are.
///
/// Both sides are bootstrapped (`core` is there) and have nothing pending; each subsystem has executed the same steps on both
/// sides; each subsystem of the source is on the target too, or `source_has_rows_of` says that its tables are empty. More
/// subsystems on the target do no harm.
///
/// Returns remarks that do not prevent the copy.
///
/// # Errors
///
/// One error of kind [`ErrorKind::Preflight`] that lists every difference by subsystem and step, and what to run.
pub fn compare(
    source: &[SubsystemState],
    target: &[SubsystemState],
    source_has_rows_of: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut findings = Findings::default();
    let mut remarks = Vec::new();
    for (side, states) in [(Side::Source, source), (Side::Target, target)] {
        if !states.iter().any(|state| state.subsystem == "core") {
            findings.add(
                format!("{} has no migrations of `core`: it is not bootstrapped", side.name()),
                format!("`kong migrations bootstrap -c` with {}", side.conf()),
            );
        }
        for state in states.iter().filter(|state| !state.pending.is_empty()) {
            findings.add(
                format!(
                    "`{}` has pending steps on {}: {}",
                    state.subsystem,
                    side.name(),
                    list(&state.pending)
                ),
                format!("`kong migrations finish -c` with {}", side.conf()),
            );
        }
    }
    for on_source in source {
        let name = &on_source.subsystem;
        match target.iter().find(|state| state.subsystem == *name) {
            Some(on_target) => compare_steps(on_source, on_target, &mut findings),
            None if name == "core" => {}
            None if source_has_rows_of(name) => findings.add(
                format!("`{name}` is not on the target, and its tables hold rows on the source"),
                format!(
                    "enable plugin `{name}` (setting `plugins`) in {conf}, then `kong migrations up -c` and `finish` with it \
                     (`bootstrap` on an empty database)",
                    conf = Side::Target.conf()
                ),
            ),
            None => remarks.push(format!("`{name}` is not on the target; its tables are empty on the source")),
        }
    }
    let only_target = target.iter().filter(|state| !source.iter().any(|s| s.subsystem == state.subsystem));
    for state in only_target.filter(|state| state.subsystem != "core") {
        remarks.push(format!("`{}` is on the target only", state.subsystem));
    }
    if findings.differences.is_empty() {
        return Ok(remarks);
    }
    Err(Error::new(ErrorKind::Preflight, "the schemas of source and target are not in the same state")
        .because(findings.differences.join("; "))
        .remedy(findings.remedies.join("; ")))
}

fn compare_steps(source: &SubsystemState, target: &SubsystemState, findings: &mut Findings) {
    // A pending step is reported as pending; here it counts as run, or the message would send the user to `up` for it.
    let run = |state: &SubsystemState| &state.executed | &state.pending;
    let (on_source, on_target) = (run(source), run(target));
    for (missing, side) in [(&on_source - &on_target, Side::Target), (&on_target - &on_source, Side::Source)]
    {
        if !missing.is_empty() {
            findings.add(
                format!("`{}` lacks steps on {}: {}", source.subsystem, side.name(), list(&missing)),
                format!(
                    "use the same Kong version on both sides: `kong migrations up -c`, then `finish`, with {}",
                    side.conf()
                ),
            );
        }
    }
}

fn list(steps: &BTreeSet<String>) -> String {
    steps.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(subsystem: &str, executed: &[&str], pending: &[&str]) -> SubsystemState {
        let set = |steps: &[&str]| steps.iter().map(ToString::to_string).collect();
        SubsystemState {
            subsystem: subsystem.to_owned(),
            last_executed: executed.last().map(ToString::to_string),
            executed: set(executed),
            pending: set(pending),
        }
    }

    fn refusal(source: &[SubsystemState], target: &[SubsystemState]) -> String {
        let error = compare(source, target, |_| true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Preflight);
        error.report()
    }

    #[test]
    fn equal_states_pass_whatever_the_order() {
        let source = [state("core", &["000_base", "001"], &[]), state("acl", &["000_base_acl"], &[])];
        let target = [state("acl", &["000_base_acl"], &[]), state("core", &["001", "000_base"], &[])];
        assert_eq!(compare(&source, &target, |_| true).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_side_without_core_needs_bootstrap() {
        let core = [state("core", &["000_base"], &[])];
        let report = refusal(&core, &[]);
        assert!(report.contains("the target has no migrations of `core`"), "{report}");
        assert!(report.contains("kong migrations bootstrap"), "{report}");
        assert!(refusal(&[], &core).contains("the source has no migrations of `core`"));
    }

    #[test]
    fn pending_steps_name_subsystem_step_side_and_command() {
        let source = [state("core", &["000_base"], &["016_280_to_300"])];
        let target = [state("core", &["000_base", "016_280_to_300"], &[])];
        let report = refusal(&source, &target);
        assert!(report.contains("`core` has pending steps on the source: 016_280_to_300"), "{report}");
        assert!(report.contains("kong migrations finish -c` with the source's"), "{report}");
        assert!(!report.contains("lacks"), "{report}");
    }

    #[test]
    fn every_difference_is_listed_at_once() {
        let source = [state("core", &["000_base", "015"], &[]), state("jwt", &["000_base_jwt"], &[])];
        let target = [state("core", &["000_base", "016"], &[]), state("acme", &["x"], &["y"])];
        let report = refusal(&source, &target);
        for part in [
            "`core` lacks steps on the target: 015",
            "`core` lacks steps on the source: 016",
            "`jwt` is not on the target",
            "`acme` has pending steps on the target: y",
            "enable plugin `jwt`",
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }
    }

    #[test]
    fn a_plugin_without_rows_may_be_missing_and_the_target_may_have_more() {
        let source = [state("core", &["000_base"], &[]), state("oauth2", &["000"], &[])];
        let target = [state("core", &["000_base"], &[]), state("session", &["000"], &[])];
        let remarks = compare(&source, &target, |_| false).unwrap();
        assert_eq!(remarks.len(), 2);
        assert!(remarks[0].contains("oauth2") && remarks[1].contains("session"), "{remarks:?}");
    }
}
