//! Warnings: said once, on the stream for messages, whatever the form of the results.

use std::fs;

use modelrack::cli::Mount;
use serde_json::json;

use super::{Sinks, models, mount, run_line, run_words};
use crate::support::log::logged;
use crate::support::rack::Rack;
use crate::support::server::{Rule, Server};

/// A store of one model, whose record is damaged.
fn damaged() -> Rack {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    damage(&rack);
    rack
}

fn damage(rack: &Rack) {
    fs::write(rack.store().join("registry.json"), "[]").unwrap();
}

fn restored(rack: &Rack, number: usize) -> String {
    let record = rack.store().join("registry.json");
    format!(
        "warning: {} was damaged and is restored (1 model); the damaged one is kept as \
         registry.json.damaged-{number}\n",
        record.display()
    )
}

#[test]
fn a_damaged_record_is_restored_with_a_warning() {
    let rack = damaged();
    let ran = models(&rack, "list");
    assert_eq!((ran.code, &*ran.err), (0, &*restored(&rack, 1)));
    assert!(ran.out.starts_with("g/m\tv1\t"), "{}", ran.out);
    models(&rack, "list").quiet_success();
}

#[test]
fn documents_come_with_warnings_beside_them() {
    let rack = damaged();
    let ran = models(&rack, "list --json");
    assert_eq!((ran.code, &*ran.err), (0, &*restored(&rack, 1)));
    assert_eq!(ran.json()["models"][0]["model"], "m");
    damage(&rack);
    assert_eq!(models(&rack, "list --quiet").quiet_success(), "g/m v1\n");
    damage(&rack);
    let ran = models(&rack, "list --verbose");
    assert!(!ran.err.contains("warning: "), "{}", ran.err);
    assert!(ran.err.contains(" ms warn: "), "{}", ran.err);
}

#[test]
fn a_terminal_shows_warnings_in_yellow() {
    let rack = damaged();
    let ran = run_words(&mount(&rack), &["list"], Sinks::Terminal(""));
    let label = "\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m";
    assert_eq!(ran.err, restored(&rack, 1).replace("warning:", label));
}

#[test]
fn a_warning_that_repeats_is_shown_once() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let mut record = rack.record();
    record["g"]["m"]["."] = record["g"]["m"]["v1"].clone();
    fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
    let ran = models(&rack, "pull g/m v1 --force");
    assert_eq!(ran.code, 0, "{}", ran.err);
    // On a busy machine, the pull takes so long that it has a line of progress.
    let lines = ran.err.lines().filter(|line| !line.contains("elapsed:"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 1, "{}", ran.err);
    assert!(
        lines[0].starts_with("warning: an entry of registry.json is left out: "),
        "{}",
        ran.err
    );
    let verbose = models(&rack, "pull g/m v1 --force --verbose").err;
    assert!(verbose.matches(" warn: ").count() > 1, "{verbose}");
}

#[test]
fn a_record_that_cannot_be_rewritten_is_read_as_well_as_can_be() {
    let rack = damaged();
    // Nothing can be locked where a folder is in the way.
    let lock = rack.store().join("registry.json.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let ran = models(&rack, "list");
    assert!(ran.out.starts_with("g/m\tv1\t"), "{}", ran.out);
    let expected = "registry.json is damaged; using what is known of it (1 model), as it cannot be restored now: ";
    assert!(ran.err.contains(expected), "{}", ran.err);
    let cause = format!(" lock {}: ", lock.display());
    assert!(ran.err.contains(&cause), "{}", ran.err);
}

#[test]
fn a_mirror_is_named() {
    let rack = Rack::with_model();
    let server = Server::start();
    server.rule(Rule::any().status(404));
    let (first, mirror) = (server.url(), rack.server.url());
    let toml = format!("[sources.s]\nurl = \"{first}\"\nmirrors = [\"{mirror}\"]\n");
    let config = rack.bare_config().bootstrap(toml);
    let ran = run_line(
        &Mount::new(config).environment(rack.environment()),
        "list --remote",
    );
    let expected = format!(
        "warning: the index {first}/models.json cannot be fetched; it comes from the mirror \
         {mirror}/models.json\n"
    );
    assert_eq!((ran.code, ran.err), (0, expected));
}

#[test]
fn a_sync_that_nobody_asked_for_says_why_it_failed() {
    let rack = Rack::new();
    let server = &rack.server;
    server.rule(Rule::any().status(500));
    let toml = format!(
        "[sources.t]\nrepo = \"o/n\"\nserver = \"{}\"\nrefs = [\"main\"]\n",
        server.url()
    );
    let config = rack.bare_config().bootstrap(toml).auto_sync(true);
    let mount = Mount::new(config).environment(rack.environment());
    let ran = run_line(&mount, "list --remote");
    let said = ran.err.lines().next().unwrap_or_default();
    let expected = "models: the registry of 't' at main has not been synced: ";
    assert!(said.starts_with(expected), "{}", ran.err);
    assert!(said.contains("500"), "{}", ran.err);
}

#[test]
fn a_parent_with_a_log_of_its_own_has_the_warnings_there() {
    let rack = damaged();
    let (ran, log) = logged(|| models(&rack, "list"));
    ran.quiet_success();
    assert!(log.contains("was damaged and is restored"), "{log}");
}

#[test]
fn what_a_registry_says_is_escaped_in_warnings() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let mut record = rack.record();
    record["g"]["m"]["\u{1b}[2J"] = json!(record["g"]["m"]["v1"]);
    fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
    let ran = models(&rack, "list");
    assert!(ran.err.starts_with("warning: "), "{}", ran.err);
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
}
