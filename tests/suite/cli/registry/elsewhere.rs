//! `--registry`: every command works on a registry in another place, and on no other.

use std::fs;

use super::workshop::{AGENT, Workshop};
use crate::support::disk::{files_below, names_in};

#[test]
fn every_command_takes_a_registry_in_another_place() {
    let workshop = Workshop::registered();
    let usual = files_below(&workshop.path(".registry"));
    let drafts = workshop.machine.temp.path().join("drafts.toml");
    let run = |line: &str| workshop.run(&format!("{line} --registry {{temp}}/drafts.toml"));
    assert_eq!(run("list --quiet").success(), "");
    run("add {p}/models/agent.md --status draft --no-metadata").success();
    assert_eq!(run("list --quiet").quiet_success(), "agent\n");
    assert_eq!(run("list --status stable --quiet").quiet_success(), "");
    assert_eq!(
        run("search agent --status draft --quiet").quiet_success(),
        "agent\n"
    );
    assert!(!run("show agent").success().contains("small world"));
    let status = run("status").success();
    assert!(
        status.contains("1 model, 0 targets, 1 file: 0 errors"),
        "{status}"
    );
    // What is to be run next is about the same registry.
    let mut runs = status.lines().filter(|line| line.contains("Run '"));
    assert!(runs.all(|line| line.contains("drafts.toml")), "{status}");
    assert!(status.contains("add models/sir.py --registry "), "{status}");
    workshop.edit("models/agent.md", "A[3,3]", "A[4,4]");
    run("sync --no-auto-version --no-backup").success();
    let shown = run("show agent --json").json();
    assert_eq!(shown["versions"].as_array().unwrap().len(), 1, "{shown}");
    run("publish agent --to {temp}/public").success();
    run("report --output {temp}/report").success();
    let imported =
        workshop.run("import {temp}/report/model_registry.json --registry {temp}/imported.toml");
    imported.success();
    run("remove agent -y --no-backup").success();
    assert_eq!(run("list --quiet").success(), "");
    let temp = names_in(workshop.machine.temp.path());
    assert!(
        drafts.is_file() && !temp.contains(&"drafts.toml.bak".to_owned()),
        "{temp:?}"
    );
    // The usual one is as it was.
    assert_eq!(files_below(&workshop.path(".registry")), usual);
    assert!(fs::read_to_string(workshop.path("models/agent.md")).unwrap() != AGENT);
}
