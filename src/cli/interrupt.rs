//! Ctrl-C and SIGTERM: the first asks the run to end cleanly, the second ends the process.

use crate::engine::workers::Stop;

/// Exit code of an interrupted run, for the second signal.
const INTERRUPTED: i32 = 4;

/// Watches for signals from now on.
pub fn watch() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        signal().await;
        asked.interrupt();
        eprintln!(
            "interrupted: ending within ten seconds, what is open is rolled back; once more ends at once"
        );
        signal().await;
        std::process::exit(INTERRUPTED);
    });
    stop
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}
