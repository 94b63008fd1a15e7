//! Places at which a test ends the process, as if it had been killed there.
//!
//! Only builds with debug assertions have them: a release binary reads no variable and holds no name. In those builds
//! `KONGFERRY_FAILPOINT=PLACE[:PASS][:stop]` ends the process when PLACE is passed for the PASS-th time (1 by default); `any`
//! stands for every place. With `stop` the process gets SIGSTOP there instead, and goes on after SIGCONT.
//!
//! The end is [`std::process::abort`]. It comes to the same as SIGKILL: no destructor runs, no buffer is flushed, no protocol is
//! ended in order, and the kernel closes the sockets; and unlike a signal sent from another process it comes exactly here, before
//! any other thread can go on for long.

/// Passes the place `PLACE`, which is the two words with a hyphen between them.
#[cfg(not(debug_assertions))]
#[inline]
pub fn pass(_what: &str, _moment: &str) {}

#[cfg(debug_assertions)]
pub use armed::pass;

#[cfg(debug_assertions)]
mod armed {
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What a test asked for.
    #[derive(Debug, PartialEq, Eq)]
    struct Wanted {
        place: String,
        pass: u64,
        stop: bool,
    }

    /// Passes the place `PLACE`, which is the two words with a hyphen between them.
    pub fn pass(what: &str, moment: &str) {
        static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);
        let read = || std::env::var("KONGFERRY_FAILPOINT").ok().map(|text| parse(&text));
        let Some(wanted) = WANTED.get_or_init(read) else { return };
        let named = wanted.place.strip_prefix(what).and_then(|rest| rest.strip_prefix('-')) == Some(moment);
        if !(named || wanted.place == "any") || PASSED.fetch_add(1, Ordering::SeqCst) + 1 != wanted.pass {
            return;
        }
        eprintln!("failpoint {what}-{moment}, pass {}", wanted.pass);
        if !wanted.stop {
            std::process::abort();
        }
        // Returns after SIGCONT.
        let _ = Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
    }

    fn parse(text: &str) -> Wanted {
        let mut parts = text.split(':');
        let place = parts.next().unwrap_or_default().to_owned();
        let (mut pass, mut stop) = (1, false);
        for part in parts {
            match part {
                "stop" => stop = true,
                number => pass = number.parse().unwrap_or(1),
            }
        }
        Wanted { place, pass, stop }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_place_has_a_pass_and_perhaps_stops() {
            let wanted = |place: &str, pass, stop| Wanted { place: place.to_owned(), pass, stop };
            assert_eq!(parse("copy-page"), wanted("copy-page", 1, false));
            assert_eq!(parse("copy-page:7"), wanted("copy-page", 7, false));
            assert_eq!(parse("any:3:stop"), wanted("any", 3, true));
        }
    }
}
