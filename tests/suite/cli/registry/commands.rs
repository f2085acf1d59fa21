//! The commands for a project's registry: what they say, how they end, what their help promises.

use std::fs;

use clap::Command;
use modelrack::Config;
use modelrack::cli::{Mount, models_command};
use serde_json::json;

use super::workshop::Workshop;
use crate::cli::program::finish;
use crate::cli::readme::words;
use crate::cli::{Ran, Sinks, cells};
use crate::support::disk::write_files;

#[test]
fn only_the_essential_is_quiet() {
    let workshop = Workshop::new();
    let quiet = |line: &str| workshop.run(&format!("{line} --quiet"));
    assert_eq!(quiet("list").quiet_success(), "");
    assert_eq!(quiet("status").quiet_success(), "");
    assert_eq!(
        quiet("add {p}/models {p}/targets").quiet_success(),
        "agent\nsir\nincidence_target\n"
    );
    assert_eq!(quiet("add {p}/models").quiet_success(), "");
    assert_eq!(quiet("list").quiet_success(), "agent\nsir\n");
    assert_eq!(
        quiet("list --targets").quiet_success(),
        "incidence_target\n"
    );
    assert_eq!(quiet("search world").quiet_success(), "agent\n");
    assert_eq!(quiet("status").quiet_success(), "");
    workshop.edit("targets/incidence.py", "def incidence_", "def other_");
    workshop.edit("data/observed.csv", "2", "3");
    let ran = quiet("status");
    assert_eq!(ran.code, 9);
    assert!(
        ran.out
            .starts_with("Errors:\n  target incidence_target: Function"),
        "{ran:?}"
    );
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    assert_eq!(quiet("sync").quiet_success(), "");
    assert_eq!(quiet("publish --to {temp}/public").quiet_success(), "");
    assert_eq!(quiet("remove sir -y").quiet_success(), "");
    let ran = quiet("add {p}/models/sir.py {p}/nothing");
    assert_eq!((ran.code, ran.out.as_str()), (7, "sir\n"));
    assert!(ran.err.starts_with("Failed "), "{ran:?}");
}

#[test]
fn a_failure_names_its_path_once() {
    let workshop = Workshop::new();
    let files: [(&str, &[u8]); 3] = [
        ("cut.safetensors", b"{"),
        (".git/tiny.bin", b"tiny"),
        (
            "below/w.bin",
            b"# xet version 0\nfilesize = 9\nhash = 'x'\n",
        ),
    ];
    write_files(&workshop.root(), &files);
    for (line, expected) in [
        (
            "add nothing.md",
            "Failed nothing.md: no such file or folder\n",
        ),
        // The error names the path, or a file below it.
        (
            "add .git/tiny.bin",
            "Failed .git/tiny.bin: belongs to a tool, and is not a model\n",
        ),
        (
            "add cut.safetensors",
            "Failed cut.safetensors: the file is shorter than the length of a header\n",
        ),
        (
            "add below --id below",
            "Failed below/w.bin: the file is a pointer of Xet: the file that it stands for was not \
             fetched, which 'git xet checkout' does\n",
        ),
        // It does not.
        (
            "add models/agent.md --model-output incidence",
            "Failed models/agent.md: the code declares no function of it a target: choose an \
             entrypoint\n",
        ),
    ] {
        assert_eq!(finish(workshop.process("", line)).err, expected);
    }
}

#[test]
fn tables_are_for_programs_without_a_terminal() {
    let workshop = Workshop::registered();
    let out = workshop.run("list").quiet_success();
    assert_eq!(
        cells(&out),
        [
            [
                "agent",
                "1.0.0",
                "other",
                "-",
                "1",
                "135 B",
                "Agent",
                "Active inference in a small world."
            ],
            [
                "sir",
                "1.0.0",
                "-",
                "-",
                "1",
                "298 B",
                "SIR",
                "Susceptible, infected, recovered."
            ],
            [
                "tiny",
                "1.0.0",
                "embedding",
                "-",
                "2",
                "3.0 KB",
                "tiny",
                "-"
            ],
        ]
    );
    let out = workshop.run("list --targets").quiet_success();
    assert_eq!(
        cells(&out),
        [[
            "incidence_target",
            "incidence",
            "targets.incidence:incidence_target",
            "-"
        ]]
    );
}

#[test]
fn names_that_would_control_a_terminal_are_escaped() {
    let workshop = Workshop::new();
    let words = [
        "add",
        "{p}/weights",
        "--id",
        "w",
        "--name",
        "red\u{1b}[31m",
        "--description",
        "a\u{202e}b",
    ];
    workshop.run_words(&words, Sinks::Captured).success();
    for line in [
        "list",
        "show w",
        "search red",
        "list --json",
        "show w --json",
    ] {
        let ran = workshop.run(line);
        assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{ran:?}");
        assert_eq!(ran.code, 0);
    }
    let ran = workshop.run_words(&["show", "x\u{1b}[2J"], Sinks::Captured);
    assert_eq!(ran.code, 3);
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn findings_decide_how_a_status_ends() {
    let workshop = Workshop::registered();
    for line in [
        "status",
        "status --strict",
        "status --deep --strict",
        "status --check-staleness",
        "status --json",
    ] {
        workshop.run(line).success();
    }
    workshop.edit("data/observed.csv", "2", "3");
    assert_eq!(workshop.run("status").code, 0);
    for (line, code) in [
        ("status --strict", 9),
        ("status --strict --json", 9),
        ("status --json", 0),
    ] {
        let ran = workshop.run(line);
        assert_eq!(ran.code, code, "{line}");
    }
    fs::remove_file(workshop.path("data/observed.csv")).unwrap();
    let ran = workshop.run("status --json");
    assert_eq!((ran.code, &ran.json()["errors"]), (9, &json!(1)));
    let before = workshop.text();
    assert_eq!(workshop.run("publish --to {temp}/public").code, 9);
    assert_eq!(workshop.text(), before);
    assert!(!workshop.machine.temp.path().join("public").exists());
}

#[test]
fn colours_mark_findings_at_a_terminal_alone() {
    let workshop = Workshop::registered();
    workshop.edit("targets/incidence.py", "def incidence_", "def other_");
    assert!(!workshop.run("status").out.contains('\u{1b}'));
    let ran = workshop.run_at("status", Sinks::Terminal(""));
    assert!(ran.out.starts_with("\u{1b}["), "{ran:?}");
    let mut command = workshop.process("", "status");
    command.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!finish(command).out.contains('\u{1b}'));
}

#[test]
fn a_project_is_found_from_below_and_by_its_name() {
    let workshop = Workshop::registered();
    let names = |ran: Ran| ran.quiet_success();
    let all = "agent\nsir\ntiny\n";
    assert_eq!(
        names(finish(workshop.process("models", "list --quiet"))),
        all
    );
    let elsewhere = |line: &str| {
        let mut command = workshop.process("", line);
        command.current_dir(workshop.machine.temp.path());
        finish(command)
    };
    assert_eq!(names(elsewhere("list --quiet --project project")), all);
    let ran = elsewhere("list");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.starts_with("Nothing is registered in "), "{ran:?}");
    let ran = elsewhere("list --registry drafts.toml");
    let expected = "drafts.toml. 'rack models registry add PATH --registry ";
    assert!(ran.err.contains(expected), "{ran:?}");
    let of_modelops: (&str, &[u8]) = (".modelops-bundle/registry.yaml", b"models: {}\n");
    write_files(workshop.machine.temp.path(), &[of_modelops]);
    let ran = elsewhere("status");
    let expected = "'rack models registry import .modelops-bundle/registry.yaml' takes over what modelops has.\n";
    assert!(ran.err.ends_with(expected), "{ran:?}");
    // Paths are those of whoever types them.
    let w = finish(workshop.process("weights", "add w.bin")).success();
    assert!(w.starts_with("Registered w 1.0.0: 1 file, 3.0 KB\n"), "{w}");
    assert!(
        elsewhere("add project/weights/labels.txt --project project")
            .success()
            .starts_with("Registered labels ")
    );
    let shown = workshop.run("show labels --json").json();
    assert_eq!(shown["path"], "weights/labels.txt");
    // What is elsewhere is not of the project.
    write_files(workshop.machine.temp.path(), &[("other.bin", b"x")]);
    let ran = finish(workshop.process("models", "add ../../other.bin"));
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("is not in the project"), "{ran:?}");
    let ran = elsewhere("list --project nowhere");
    assert_eq!(ran.code, 7);
    assert!(ran.err.contains("nowhere"), "{ran:?}");
    let ran = elsewhere("list --project other.bin");
    assert_eq!(ran.code, 2, "{ran:?}");
    // Suggestions name paths from the project's folder, and say so elsewhere.
    write_files(
        &workshop.root(),
        &[("models/new.py", super::workshop::SIR.as_bytes())],
    );
    let ran = finish(workshop.process("models", "status"));
    assert!(ran.out.contains("registry add models/new.py'"), "{ran:?}");
    assert!(ran.err.starts_with("Paths are relative to "), "{ran:?}");
    assert_eq!(finish(workshop.process("", "status")).err, "");
}

#[test]
fn a_command_line_that_means_nothing_is_refused() {
    let workshop = Workshop::registered();
    let before = workshop.text();
    for line in [
        "add",
        "show",
        "show a b",
        "remove",
        "search",
        "search a b",
        "list --targets --type x",
        "list --targets --tag x",
        "publish",
        "publish --to",
        "add {p}/models --max-size many",
        "add {p}/models --keep-versions -1",
        "status --force",
        "sync --deep",
    ] {
        let ran = workshop.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(ran.err.starts_with("error: "), "{line}: {}", ran.err);
    }
    for (line, message) in [
        ("add {p}/models --id x/../y", "component"),
        (
            "add {p}/models {p}/weights --id x",
            "an id or version is for one model",
        ),
        (
            "add {p}/models --version 2.0.0",
            "an id or version is for one model",
        ),
        ("add {p}/models --model-output x", "not a file"),
        (
            "publish sir {p}/weights --to {temp}/public",
            "name models or paths",
        ),
        (
            "publish sir --model x --to {temp}/public",
            "--model is for paths",
        ),
        (
            "publish sir --to {temp}/public --chunk-size 1",
            "1024 or more",
        ),
        ("remove sir", "pass -y"),
    ] {
        let ran = workshop.run(line);
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        assert!(ran.err.contains(message), "{line}: {ran:?}");
        let document = workshop.run(&format!("{line} --json"));
        assert_eq!(document.code, 2, "{line}");
        assert_eq!(
            document.json()["error"]["code"],
            "INVALID_ARGUMENT",
            "{line}"
        );
    }
    for line in [
        "show nobody",
        "remove -y nobody",
        "remove -y sir nobody",
        "publish nobody --to {temp}/public",
    ] {
        let ran = workshop.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{line}: {ran:?}");
        assert!(ran.err.contains("hint: "), "{line}: {ran:?}");
    }
    assert_eq!(workshop.text(), before);
}

#[test]
fn what_is_no_model_is_not_registered() {
    let workshop = Workshop::registered();
    let before = workshop.text();
    for path in ["{p}/.registry", "{p}/.registry/models.toml"] {
        let ran = workshop.run(&format!("add {path}"));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.err.contains("belongs to the registry itself"),
            "{ran:?}"
        );
        assert_eq!(
            workshop
                .run(&format!("add {{p}}/models/sir.py --data {path}"))
                .code,
            2
        );
    }
    let ran = workshop.run("add {p}/nothing {p}/models");
    assert_eq!(ran.code, 7, "{ran:?}");
    assert_eq!(
        ran.out,
        "Processed 3: 0 registered, 2 unchanged, 1 failed\n"
    );
    // The path once.
    assert_eq!(ran.err.matches("nothing").count(), 1, "{ran:?}");
    assert_eq!(workshop.text(), before);
    // Words that are empty are none.
    let words = [
        "add",
        "{p}/models/sir.py",
        "--tag",
        "",
        "--tag",
        "a,, b",
        "--outputs",
        "",
    ];
    workshop.run_words(&words, Sinks::Captured).success();
    let shown = workshop.run("show sir --json").json();
    assert_eq!(
        (&shown["tags"], &shown["outputs"][0]),
        (&json!(["a", "b"]), &json!("incidence"))
    );
    // Of two models of one file, the one that is called like it.
    workshop.run("add {p}/models/sir.py --id another").success();
    workshop.edit("models/sir.py", "recovered", "removed");
    let ran = workshop.run("add {p}/models/sir.py --quiet");
    assert_eq!(ran.quiet_success(), "sir\n");
}

#[test]
fn whoever_says_no_keeps_what_is_registered() {
    let workshop = Workshop::registered();
    let before = workshop.text();
    let ran = workshop.run_at("remove sir", Sinks::Terminal("n\n"));
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .starts_with("Drop model sir from the registry? [y/N] "),
        "{ran:?}"
    );
    assert_eq!(workshop.text(), before);
    workshop
        .run_at("remove sir sir incidence_target", Sinks::Terminal("y\n"))
        .success();
    assert_eq!(workshop.run("list --quiet").out, "agent\ntiny\n");
    // The files are whose they were.
    assert!(workshop.path("models/sir.py").is_file());
}

#[test]
fn the_examples_of_the_publishers_commands_work() {
    let workshop = Workshop::new();
    let yaml = b"models:\n  sir: {path: models/sir.py, class_name: SIR}\n".as_slice();
    let json = br#"{"models": {"gnn": {"file_path": "models/agent.md"}}}"#.as_slice();
    let files: [(&str, &[u8]); 6] = [
        ("tiny/t.bin", b"tiny"),
        ("a.bin", b"a"),
        ("b.json", b"{}"),
        ("registry.yaml", yaml),
        (".modelops-bundle/registry.yaml", yaml),
        ("output/model_registry.json", json),
    ];
    write_files(&workshop.root(), &files);
    let mut tree = models_command(&Mount::new(Config::new("rack")));
    tree.build();
    let verbs: Vec<&Command> = tree
        .find_subcommand("registry")
        .unwrap()
        .get_subcommands()
        .collect();
    let mut lines = Vec::new();
    for verb in verbs {
        let Some(after) = verb.get_after_help() else {
            assert_eq!(verb.get_name(), "help");
            continue;
        };
        let after = after.to_string();
        let examples = after
            .lines()
            .filter_map(|line| line.strip_prefix("  rack models registry "));
        let examples: Vec<String> = examples
            .map(|line| line.split("  ").next().unwrap().to_owned())
            .collect();
        assert!(!examples.is_empty(), "{}", verb.get_name());
        lines.extend(examples);
    }
    // Last what drops something; what needs a network has tests of its own.
    lines.retain(|line| !line.contains("--repo") && !line.contains("://"));
    lines.sort_by_key(|line| (line.starts_with("remove"), line.starts_with("sync")));
    for line in lines {
        let mut words = words(&line);
        if words[0] == "remove" {
            words.push("-y".into());
        }
        if words[0] == "make" {
            write_files(&workshop.root(), &[("mf6/a/mfsim.nam", b"x")]);
            words.extend(["--output", "made"].map(str::to_owned));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = finish(workshop.process_of("", &words));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
}

#[test]
fn whatever_is_passed_over_is_said_in_the_same_words() {
    let workshop = Workshop::new();
    let registry = b"models:\n  tiny: {path: weights}\n";
    write_files(
        &workshop.root(),
        &[
            ("weights/w.bin~", b"old"),
            ("registry.yaml", registry),
            ("weights/mfsim.nam", b"x"),
        ],
    );
    for line in [
        "add {p}/weights --id tiny",
        "sync",
        "sync --dry-run",
        "import {p}/registry.yaml",
        "publish {p}/weights --to {temp}/public",
    ] {
        let ran = workshop.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        let said = "left out what a system, an editor or a download tool left behind: ";
        assert!(
            ran.err.contains(said) && ran.err.contains("w.bin~"),
            "{line}: {ran:?}"
        );
    }
}
