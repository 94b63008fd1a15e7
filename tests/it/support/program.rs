//! The program under test, run as its users run it: a child process with an environment of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

/// What came of one run.
#[derive(Debug)]
pub struct Run {
    /// What was typed.
    line: String,
    /// Exit code.
    pub code: i32,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

/// Runs `kongferry` with these arguments and an empty environment.
pub fn kongferry(arguments: &[&str]) -> Run {
    kongferry_in(&[], arguments)
}

/// Runs `kongferry` with these arguments and nothing but these variables in its environment.
pub fn kongferry_in(environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let output = command(arguments).envs(environment.iter().copied()).output().expect("the program starts");
    Run {
        line: format!("kongferry {}", arguments.join(" ")),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

/// Runs `kongferry` and watches the most resident memory it had, in bytes.
pub fn kongferry_and_its_peak(arguments: &[&str]) -> (Run, u64) {
    let mut child =
        command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("it can be waited for").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0);
        peak = peak.max(kib * 1024);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it has ended");
    let run = Run {
        line: format!("kongferry {}", arguments.join(" ")),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    };
    (run, peak)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kongferry"));
    // What a run leaves in its directory stays out of the sources.
    command.args(arguments).env_clear().stdin(Stdio::null()).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A run that is still under way.
#[derive(Debug)]
pub struct Underway {
    line: String,
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

/// Starts `kongferry` and does not wait for it.
pub fn start(arguments: &[&str]) -> Underway {
    start_in(&[], arguments)
}

/// Starts `kongferry` with nothing but these variables in its environment, and does not wait for it.
pub fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Underway {
    let mut child = command(arguments)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    Underway { line: format!("kongferry {}", arguments.join(" ")), child, stderr, said: String::new() }
}

impl Underway {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it was stopped by SIGSTOP, and does not look at what it says meanwhile.
    pub fn is_stopped(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        loop {
            let stat = std::fs::read_to_string(&path).expect("it lives");
            let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
            match state {
                Some('T') => return,
                Some('Z') | None => panic!("it ended instead of being stopped"),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success(), "no process to send SIG{name} to");
    }

    /// Waits until a line of stderr holds `word`.
    #[track_caller]
    pub fn says(&mut self, word: &str) {
        loop {
            let from = self.said.len();
            let read = self.stderr.read_line(&mut self.said).expect("stderr is text");
            assert!(read > 0, "it ended without saying {word:?}:\n{}", self.said);
            if self.said[from..].contains(word) {
                return;
            }
        }
    }

    /// Waits for the end.
    pub fn ends(mut self) -> Run {
        self.stderr.read_to_string(&mut self.said).expect("stderr is text");
        let mut stdout = String::new();
        self.child.stdout.take().expect("it is piped").read_to_string(&mut stdout).expect("stdout is text");
        let code = self.child.wait().expect("it ends").code().unwrap_or(-1);
        Run { line: self.line, code, stdout, stderr: self.said }
    }
}

impl Run {
    /// Asserts the exit code and shows everything that was said when it is another one.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code of\n{}", self.transcript());
        self
    }

    /// Asserts that stderr holds all of `words`.
    #[track_caller]
    pub fn complains_of(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "stderr does not say {word:?}:\n{}", self.transcript());
        }
        self
    }

    /// Asserts that stdout holds all of `words`.
    #[track_caller]
    pub fn prints(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stdout.contains(word), "stdout does not say {word:?}:\n{}", self.transcript());
        }
        self
    }

    /// Asserts that none of `secrets` was said anywhere.
    #[track_caller]
    pub fn keeps_quiet_about(&self, secrets: &[&str]) -> &Self {
        for secret in secrets {
            let said = self.stdout.contains(secret) || self.stderr.contains(secret);
            assert!(!said, "a value was given away: {secret:?}\n{}", self.transcript());
        }
        self
    }

    /// The figures of `table` in the table of counts, in the order of its columns.
    #[track_caller]
    pub fn counts(&self, table: &str) -> Vec<u64> {
        let line = self
            .stdout
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&table))
            .unwrap_or_else(|| panic!("no counts of {table}:\n{}", self.transcript()));
        line.iter().skip(1).map_while(|word| word.replace(',', "").parse().ok()).collect()
    }

    /// The first line of stderr that begins with `error:`.
    pub fn error_line(&self) -> &str {
        self.stderr.lines().find(|line| line.starts_with("error:")).unwrap_or_default()
    }

    /// The statement that a refusal prints for emptying the target.
    #[track_caller]
    pub fn statement(&self) -> &str {
        let found = self.stderr.find("BEGIN;").zip(self.stderr.rfind("COMMIT;"));
        let (begin, end) = found.unwrap_or_else(|| panic!("no statement:\n{}", self.transcript()));
        &self.stderr[begin..end + "COMMIT;".len()]
    }

    /// Everything about the run, for messages.
    pub fn transcript(&self) -> String {
        format!(
            "$ {}\nexit code {}\n--- stdout\n{}--- stderr\n{}---",
            self.line, self.code, self.stdout, self.stderr
        )
    }
}
