//! The command line: help pages as snapshots, the maps it shows, and what it refuses before it looks at any server.

use insta::assert_snapshot;

use crate::support::program::{kongferry, kongferry_in};

#[test]
fn help_pages() {
    let commands = [
        "",
        "plan",
        "migrate",
        "verify",
        "map",
        "map list",
        "map show",
        "map derive",
        "quarantine",
        "quarantine list",
        "quarantine show",
        "quarantine retry",
        "quarantine export",
        "clean",
    ];
    for command in commands {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = kongferry(&arguments);
        help.exits(0);
        let name = if command.is_empty() { "kongferry".to_owned() } else { command.replace(' ', "-") };
        assert_snapshot!(format!("help-{name}"), help.stdout);
    }
}

#[test]
fn the_version_is_the_crates() {
    let version = kongferry(&["--version"]);
    assert_eq!(version.exits(0).stdout, format!("kongferry {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn maps_can_be_read_without_a_server() {
    assert_snapshot!("map-list", kongferry(&["map", "list"]).exits(0).stdout);
    assert_snapshot!("map-show-consumers", kongferry(&["map", "show", "consumers"]).exits(0).stdout);
    kongferry(&["map", "show", "consumer"]).exits(2).complains_of(&["consumer", "kongferry map list"]);
    kongferry(&["map", "list", "--map-dir", "/no/such/folder"]).exits(2).complains_of(&["/no/such/folder"]);
}

#[test]
fn what_makes_no_sense_is_exit_code_2() {
    let (source, target) = ("cassandra://127.0.0.1:1/kong", "postgres://127.0.0.1:1/kong");
    let both = ["--source", source, "--target", target];
    let with = |arguments: &[&'static str]| kongferry(&[arguments, &both].concat());
    kongferry(&[]).exits(2);
    kongferry(&["emigrate"]).exits(2);
    kongferry(&["migrate", "--sauce", source]).exits(2);
    kongferry(&["migrate", "--target", target]).exits(2).complains_of(&["--source", "KONGFERRY_SOURCE"]);
    kongferry(&["migrate", "--source", source]).exits(2).complains_of(&["--target", "KONGFERRY_TARGET"]);
    with(&["migrate", "--workers", "0"]).exits(2).complains_of(&["--workers"]);
    with(&["migrate", "--memory", "1"]).exits(2).complains_of(&["--memory"]);
    with(&["migrate", "--consistency", "most"]).exits(2).complains_of(&["most", "local_quorum"]);
    with(&["migrate", "--map-dir", "/no/such/folder"]).exits(2).complains_of(&["/no/such/folder"]);
    with(&["verify", "--counts", "--json"]).exits(2).complains_of(&["--counts", "--json"]);
}

#[test]
fn a_url_that_cannot_be_used_is_not_repeated() {
    let good = ("cassandra://127.0.0.1:1/kong", "postgres://127.0.0.1:1/kong");
    for (source, target) in [
        ("cassandra://u:hunter2@/kong", good.1),
        ("cassandra://u:hunter2@h:port/kong", good.1),
        ("cassandra://u:hunter2@h/kong?nonsense=1", good.1),
        ("postgres://u:hunter2@h/kong", good.1),
        (good.0, "postgres://u:hunter2@h:port/kong"),
        (good.0, "postgres://u:hunter2@h/kong?nonsense=1"),
        (good.0, "cassandra://u:hunter2@h/kong"),
    ] {
        kongferry(&["plan", "--source", source, "--target", target]).exits(2).keeps_quiet_about(&["hunter2"]);
        let environment = [("KONGFERRY_SOURCE", source), ("KONGFERRY_TARGET", target)];
        kongferry_in(&environment, &["plan"]).exits(2).keeps_quiet_about(&["hunter2"]);
    }
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let environment = [
        ("KONGFERRY_SOURCE", "cassandra://u:hunter2@h/kong"),
        ("KONGFERRY_TARGET", "postgres://u:hunter2@h/kong"),
    ];
    for command in ["plan", "migrate", "verify"] {
        for flag in ["-h", "--help", "--nonsense"] {
            kongferry_in(&environment, &[command, flag]).keeps_quiet_about(&["hunter2"]);
        }
    }
}
