//! Running a process to its end: how long it took, and the most memory it had.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the memory of a process is looked at. The kernel keeps the peak, so only what a process takes within its last
/// moments can be missed.
const LOOK: Duration = Duration::from_millis(20);

/// What came of a process.
#[derive(Debug)]
pub struct Ended {
    /// From its start to its end.
    pub seconds: f64,
    /// Most resident memory in bytes: the sum of the peaks of the process and of all that it started.
    pub peak_memory: u64,
    /// What it printed on standard output.
    pub stdout: String,
}

/// Runs `command` to its end. What it prints goes to files named `name` in `logs`.
///
/// # Errors
/// The program cannot be started, or ends with another exit code than 0; the end of what it said is in the text.
pub fn run(command: &mut Command, logs: &Path, name: &str) -> Result<Ended, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (out, err) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
    let file =
        |path: &Path| File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()));
    command.stdin(Stdio::null()).stdout(file(&out)?).stderr(file(&err)?);
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
    let (id, over) = (child.id(), AtomicBool::new(false));
    let (status, seconds, peak_memory) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(id, &over));
        let status = child.wait();
        let seconds = begun.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (status, seconds, watcher.join().unwrap_or(0))
    });
    let status = status.map_err(|error| format!("cannot wait for {program}: {error}"))?;
    let stdout = fs::read_to_string(&out).unwrap_or_default();
    if !status.success() {
        let said = fs::read_to_string(&err).unwrap_or_default() + &stdout;
        let lines: Vec<&str> = said.trim().lines().collect();
        let last = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n  ");
        return Err(format!(
            "{program} ended with {status}; its words, {} and .out:\n  {last}",
            err.display()
        ));
    }
    Ok(Ended { seconds, peak_memory, stdout })
}

/// Looks at a process and its descendants until `over`; returns the sum of their peaks in bytes.
fn watch(id: u32, over: &AtomicBool) -> u64 {
    let mut peaks = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let mut family = vec![id];
        while let Some(process) = family.pop() {
            if let Some(peak) = peak(process) {
                let known = peaks.entry(process).or_insert(0);
                *known = peak.max(*known);
            }
            family.extend(children(process));
        }
        std::thread::sleep(LOOK);
    }
    peaks.values().sum()
}

/// `VmHWM` of a process, in bytes.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processes that a process has started, from any of its threads.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}
