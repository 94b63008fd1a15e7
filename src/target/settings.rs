//! Settings of the server that will slow a load, and the statements that change them and change them back.
//!
//! Advice only: the load works with any of them. `fsync` and `full_page_writes` are never spoken of, they keep data safe.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure;
use super::identifier::quote;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::{grouped, spoken};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// WAL that a row of Kong's tables costs in all: itself, its index entries, its tags, and pages written whole after a
/// checkpoint. Measured on PostgreSQL 16: consumers and key-auth credentials 1.4 KiB each where indexes and triggers are in
/// place, key-auth credentials 0.3 KiB into a bare table and with indexes built afterwards; other tables have wider rows.
const WAL_PER_ROW: u64 = 1024;
/// Bytes of index entries per row, over the widest index of a table.
const INDEX_BYTES_PER_ROW: u64 = 64;
/// Rows per second that a load seldom exceeds.
const ROWS_PER_SECOND: u64 = 40_000;

/// Where the server keeps the settings of ALTER SYSTEM.
const ALTER_SYSTEM_FILE: &str = "postgresql.auto.conf";

/// What a load will ask of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpectedLoad {
    /// Rows of all tables.
    pub rows: u64,
    /// Rows of the largest table.
    pub largest_table: u64,
}

impl ExpectedLoad {
    /// Bytes of WAL it writes, roughly.
    pub fn wal_bytes(&self) -> u64 {
        self.rows.saturating_mul(WAL_PER_ROW)
    }

    fn least_duration(&self) -> Duration {
        Duration::from_secs(self.rows / ROWS_PER_SECOND)
    }
}

/// One setting that is better changed for the time of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Its name.
    pub setting: &'static str,
    /// Its value now, as SHOW prints it.
    pub value: String,
    /// Why it slows the load.
    pub why: String,
    /// Statement that changes it, or in words what does.
    pub before: String,
    /// Statement that changes it back, or in words what does.
    pub after: String,
    /// Whether it is a setting of the whole server, which a managed service changes through its parameter group.
    pub of_server: bool,
}

/// One setting as the server tells it. Settings that the server does not have, or does not show to the role, are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As SHOW prints it.
    shown: String,
    /// In `unit`.
    raw: String,
    unit: Option<String>,
    source: String,
    /// Only superusers and members of `pg_read_all_settings` may see it.
    file: Option<String>,
}

/// The settings that matter, by name, and the role that will load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    role: String,
    database: String,
    by_name: BTreeMap<String, Setting>,
}

impl Settings {
    /// Reads them; any role may.
    ///
    /// # Errors
    /// `Target` when the server cannot be asked.
    pub async fn read(client: &tokio_postgres::Client) -> Result<Self> {
        let what = "cannot read the settings of the target";
        let sql = "SELECT session_user::text, name, current_setting(name), setting, unit, source, sourcefile,
                          current_database()::text
                   FROM pg_settings
                   WHERE name IN ('max_wal_size', 'checkpoint_timeout', 'checkpoint_completion_target',
                                  'maintenance_work_mem', 'max_parallel_maintenance_workers',
                                  'synchronous_standby_names', 'synchronous_commit')";
        let rows = client.query(sql, &[]).await.map_err(|error| failure::statement(&error, what))?;
        let mut settings = Self { role: String::new(), database: String::new(), by_name: BTreeMap::new() };
        for row in &rows {
            let mut read = || {
                settings.role = row.try_get(0)?;
                settings.database = row.try_get(7)?;
                let setting = Setting {
                    shown: row.try_get(2)?,
                    raw: row.try_get(3)?,
                    unit: row.try_get(4)?,
                    source: row.try_get(5)?,
                    file: row.try_get(6)?,
                };
                settings.by_name.insert(row.try_get(1)?, setting);
                Ok::<_, tokio_postgres::Error>(())
            };
            read().map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected answer"))?;
        }
        Ok(settings)
    }

    /// What is better changed before `load`.
    pub fn advice(&self, load: ExpectedLoad) -> Vec<Advice> {
        let mut advice = Vec::new();
        let forced = self.checkpoints_forced(load, &mut advice);
        let timed = self.checkpoints_timed(load, &mut advice);
        if forced || timed {
            self.checkpoint_spread(&mut advice);
        }
        self.index_memory(load, &mut advice);
        self.index_workers(load, &mut advice);
        self.standby(&mut advice);
        advice
    }

    /// A checkpoint begins when about half of `max_wal_size` is written; after each, every page goes into the WAL whole once more.
    fn checkpoints_forced(&self, load: ExpectedLoad, advice: &mut Vec<Advice>) -> bool {
        let wal = load.wal_bytes();
        let Some(size) = self.bytes("max_wal_size").filter(|size| wal > size / 2) else { return false };
        let sound = wal.saturating_mul(2).div_ceil(GIB).next_power_of_two().clamp(2, 32);
        if sound.saturating_mul(GIB) <= size {
            return false;
        }
        let why = format!(
            "the load writes about {} of WAL; the server checkpoints each time about half of max_wal_size is written, and \
             after each checkpoint every page is logged whole again (pg_wal may grow to the new size: have the disk for it)",
            bytes_spoken(wal)
        );
        advice.extend(self.of_server("max_wal_size", &format!("{sound}GB"), why));
        true
    }

    fn checkpoints_timed(&self, load: ExpectedLoad, advice: &mut Vec<Advice>) -> bool {
        let takes = load.least_duration();
        let sound = Duration::from_secs(30 * 60);
        let Some(every) = self.duration("checkpoint_timeout").filter(|every| *every < takes.min(sound))
        else {
            return false;
        };
        let why = format!(
            "the load takes {} or more, and every {} a checkpoint writes out all that changed",
            spoken(takes),
            spoken(every)
        );
        advice.extend(self.of_server("checkpoint_timeout", "30min", why));
        true
    }

    fn checkpoint_spread(&self, advice: &mut Vec<Advice>) {
        let name = "checkpoint_completion_target";
        let target: Option<f64> = self.by_name.get(name).and_then(|setting| setting.raw.parse().ok());
        if target.is_some_and(|target| target < 0.9) {
            let why = "checkpoints write in bursts, which the load has to wait for".to_owned();
            advice.extend(self.of_server(name, "0.9", why));
        }
    }

    fn index_memory(&self, load: ExpectedLoad, advice: &mut Vec<Advice>) {
        let needed = load.largest_table.saturating_mul(INDEX_BYTES_PER_ROW);
        let Some(memory) = self.bytes("maintenance_work_mem").filter(|memory| needed > *memory) else {
            return;
        };
        let sound = needed.div_ceil(MIB).next_power_of_two().clamp(256, 1024);
        if sound.saturating_mul(MIB) <= memory {
            return;
        }
        let why = format!(
            "indexes of a table of {} rows are sorted on disk when their entries do not fit (each index that is built may use \
             this much: have the memory for it)",
            grouped(load.largest_table)
        );
        advice.extend(self.of_role("maintenance_work_mem", &format!("{sound}MB"), why));
    }

    fn index_workers(&self, load: ExpectedLoad, advice: &mut Vec<Advice>) {
        let name = "max_parallel_maintenance_workers";
        let off = self.by_name.get(name).is_some_and(|setting| setting.raw == "0");
        if off && load.largest_table >= 1_000_000 {
            let why = "every index is built by one process alone".to_owned();
            advice.extend(self.of_role(name, "2", why));
        }
    }

    fn standby(&self, advice: &mut Vec<Advice>) {
        let names = self.by_name.get("synchronous_standby_names");
        // Set by the session itself, in the place of `off`: nothing that the role could get back to.
        let commit = self.by_name.get("synchronous_commit").filter(|setting| setting.source != "session");
        let commit = commit.map_or("off", |setting| setting.shown.as_str());
        let waits = names.is_some_and(|names| !names.shown.trim().is_empty());
        if waits && !matches!(commit, "off" | "local") {
            let why = "every commit waits for the synchronous standby; during the load a copy on the primary is enough, since \
                       an interrupted load can be repeated"
                .to_owned();
            advice.extend(self.of_role("synchronous_commit", "local", why));
        }
    }

    fn of_server(&self, name: &'static str, sound: &str, why: String) -> Option<Advice> {
        let setting = self.by_name.get(name)?;
        if setting.source == "command line" {
            // As containers are often run; it goes before what ALTER SYSTEM sets.
            return Some(Advice {
                setting: name,
                value: setting.shown.clone(),
                why,
                before: format!(
                    "restart the server with -c {name}={sound} on its command line, where it is set now"
                ),
                after: format!("restart it with -c {name}={}", setting.shown),
                of_server: true,
            });
        }
        let change = |what: String| format!("ALTER SYSTEM {what}; SELECT pg_reload_conf();");
        let set_before = match &setting.file {
            Some(file) => file.ends_with(ALTER_SYSTEM_FILE),
            // Hidden from the role: setting the old value is right in any case.
            None => setting.source == "configuration file",
        };
        let back =
            if set_before { format!("SET {name} = '{}'", setting.shown) } else { format!("RESET {name}") };
        Some(Advice {
            setting: name,
            value: setting.shown.clone(),
            why,
            before: change(format!("SET {name} = '{sound}'")),
            after: change(back),
            of_server: true,
        })
    }

    /// A setting that the role may change for itself.
    fn of_role(&self, name: &'static str, sound: &str, why: String) -> Option<Advice> {
        let setting = self.by_name.get(name)?;
        let mut role = format!("ALTER ROLE {}", quote(&self.role));
        if setting.source == "database user" {
            role.push_str(&format!(" IN DATABASE {}", quote(&self.database)));
        }
        let back = if matches!(setting.source.as_str(), "user" | "database user") {
            format!("{role} SET {name} = '{}';", setting.shown)
        } else {
            format!("{role} RESET {name};")
        };
        Some(Advice {
            setting: name,
            value: setting.shown.clone(),
            why,
            before: format!("{role} SET {name} = '{sound}';"),
            after: back,
            of_server: false,
        })
    }

    fn bytes(&self, name: &str) -> Option<u64> {
        let setting = self.by_name.get(name)?;
        let (count, unit) = unit_of(setting.unit.as_deref()?)?;
        let factor = match unit {
            "B" => 1,
            "kB" => 1 << 10,
            "MB" => MIB,
            "GB" => GIB,
            _ => return None,
        };
        setting.raw.parse::<u64>().ok()?.checked_mul(count)?.checked_mul(factor)
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        let setting = self.by_name.get(name)?;
        let (count, unit) = unit_of(setting.unit.as_deref()?)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            _ => return None,
        };
        let value: u64 = setting.raw.parse().ok()?;
        Some(Duration::from_millis(value.checked_mul(count)?.checked_mul(millis)?))
    }
}

/// `16MB` is sixteen and `MB`, `s` is one and `s`.
fn unit_of(unit: &str) -> Option<(u64, &str)> {
    let name = unit.trim_start_matches(|c: char| c.is_ascii_digit());
    let count = &unit[..unit.len() - name.len()];
    Some((if count.is_empty() { 1 } else { count.parse().ok()? }, name))
}

fn bytes_spoken(bytes: u64) -> String {
    if bytes >= 10 * GIB {
        format!("{} GB", bytes.div_ceil(GIB))
    } else {
        let tenths = bytes.saturating_mul(10).div_ceil(GIB);
        format!("{}.{} GB", tenths / 10, tenths % 10)
    }
}

/// The advice as a section for people; empty without any.
pub fn render(advice: &[Advice]) -> String {
    if advice.is_empty() {
        return String::new();
    }
    let mut text = "settings of PostgreSQL that will slow the load\n".to_owned();
    for Advice { setting, value, why, before, after, .. } in advice {
        text.push_str(&format!("  {setting} = {value}: {why}\n    before  {before}\n    after   {after}\n"));
    }
    if advice.iter().any(|advice| advice.of_server) {
        text.push_str(
            "  ALTER SYSTEM is for a superuser; on a managed service change these in its parameter group, and back afterwards.\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: ExpectedLoad = ExpectedLoad { rows: 20_000_000, largest_table: 10_000_000 };

    fn setting(shown: &str, raw: &str, unit: Option<&str>) -> Setting {
        Setting {
            shown: shown.to_owned(),
            raw: raw.to_owned(),
            unit: unit.map(str::to_owned),
            source: "default".to_owned(),
            file: None,
        }
    }

    /// What PostgreSQL 16 comes with, with some settings changed.
    fn settings(changed: &[(&str, Setting)]) -> Settings {
        let defaults = [
            ("max_wal_size", setting("1GB", "1024", Some("MB"))),
            ("checkpoint_timeout", setting("5min", "300", Some("s"))),
            ("checkpoint_completion_target", setting("0.9", "0.9", None)),
            ("maintenance_work_mem", setting("64MB", "65536", Some("kB"))),
            ("max_parallel_maintenance_workers", setting("2", "2", None)),
            ("synchronous_standby_names", setting("", "", None)),
            ("synchronous_commit", setting("on", "on", None)),
        ];
        let all = defaults.into_iter().chain(changed.iter().cloned());
        let by_name = all.map(|(name, setting)| (name.to_owned(), setting)).collect();
        Settings { role: "kong".to_owned(), database: "gateway".to_owned(), by_name }
    }

    fn named(advice: &[Advice]) -> Vec<&str> {
        advice.iter().map(|advice| advice.setting).collect()
    }

    #[test]
    fn a_small_load_needs_nothing() {
        let load = ExpectedLoad { rows: 100_000, largest_table: 50_000 };
        assert_eq!(settings(&[]).advice(load), []);
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn a_large_load_is_advised_what_its_size_asks_for() {
        let advice = settings(&[]).advice(LARGE);
        assert_eq!(named(&advice), ["max_wal_size", "checkpoint_timeout", "maintenance_work_mem"]);
        assert_eq!(advice[0].before, "ALTER SYSTEM SET max_wal_size = '32GB'; SELECT pg_reload_conf();");
        assert_eq!(advice[0].after, "ALTER SYSTEM RESET max_wal_size; SELECT pg_reload_conf();");
        assert_eq!(advice[2].before, "ALTER ROLE \"kong\" SET maintenance_work_mem = '1024MB';");
        assert_eq!(advice[2].after, "ALTER ROLE \"kong\" RESET maintenance_work_mem;");
        let million = ExpectedLoad { rows: 3_000_000, largest_table: 1_000_000 };
        let advice = settings(&[]).advice(million);
        assert_eq!(named(&advice), ["max_wal_size"]);
        assert_eq!(advice[0].before, "ALTER SYSTEM SET max_wal_size = '8GB'; SELECT pg_reload_conf();");
    }

    #[test]
    fn a_tuned_server_is_left_alone() {
        let tuned = settings(&[
            ("max_wal_size", setting("32GB", "2048", Some("16MB"))),
            ("checkpoint_timeout", setting("1h", "3600", Some("s"))),
            ("checkpoint_completion_target", setting("0.5", "0.5", None)),
            ("maintenance_work_mem", setting("1GB", "1048576", Some("kB"))),
        ]);
        assert_eq!(tuned.advice(LARGE), []);
    }

    #[test]
    fn bursts_workers_and_standbys_are_named() {
        let slow = settings(&[
            ("checkpoint_completion_target", setting("0.5", "0.5", None)),
            ("max_parallel_maintenance_workers", setting("0", "0", None)),
            ("synchronous_standby_names", setting("ANY 1 (a, b)", "ANY 1 (a, b)", None)),
        ]);
        let advice = slow.advice(LARGE);
        for name in ["checkpoint_completion_target", "max_parallel_maintenance_workers", "synchronous_commit"]
        {
            assert!(named(&advice).contains(&name), "{name} in {advice:?}");
        }
    }

    #[test]
    fn what_was_set_before_is_set_back() {
        let by = |source: &str, file: Option<&str>, setting: Setting| Setting {
            source: source.to_owned(),
            file: file.map(str::to_owned),
            ..setting
        };
        let wal = || setting("1GB", "1024", Some("MB"));
        for (file, back) in [
            (Some("/data/postgresql.auto.conf"), "SET max_wal_size = '1GB'"),
            (Some("/etc/postgresql.conf"), "RESET max_wal_size"),
            (None, "SET max_wal_size = '1GB'"),
        ] {
            let set = settings(&[("max_wal_size", by("configuration file", file, wal()))]);
            assert_eq!(set.advice(LARGE)[0].after, format!("ALTER SYSTEM {back}; SELECT pg_reload_conf();"));
        }
        for (source, scope) in [("user", ""), ("database user", " IN DATABASE \"gateway\"")] {
            let memory = by(source, None, setting("64MB", "65536", Some("kB")));
            let set = settings(&[("maintenance_work_mem", memory)]);
            let after = &set.advice(LARGE)[2].after;
            assert_eq!(*after, format!("ALTER ROLE \"kong\"{scope} SET maintenance_work_mem = '64MB';"));
        }
    }

    #[test]
    fn what_the_command_line_sets_is_changed_there() {
        let wal = Setting { source: "command line".to_owned(), ..setting("1GB", "1024", Some("MB")) };
        let advice = &settings(&[("max_wal_size", wal)]).advice(LARGE)[0];
        assert!(advice.before.contains("-c max_wal_size=32GB"), "{advice:?}");
        assert_eq!(advice.after, "restart it with -c max_wal_size=1GB");
    }

    #[test]
    fn a_server_that_tells_nothing_is_advised_nothing() {
        let nothing = Settings { by_name: BTreeMap::new(), ..settings(&[]) };
        assert_eq!(nothing.advice(LARGE), []);
    }
}
