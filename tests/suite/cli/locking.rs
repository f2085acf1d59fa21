//! `lock`, and `pull` with `--locked` and `--frozen`.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::program::{Running, finish, rack as program};
use super::{Ran, mount, run_words};
use crate::support::disk::names_in;
use crate::support::rack::{Rack, sample};
use crate::support::server::Rule;

fn file(rack: &Rack) -> PathBuf {
    rack.temp.path().join("models.lock")
}

/// Runs `lock` with the file of the rack.
fn lock(rack: &Rack, words: &str) -> Ran {
    models(
        rack,
        &format!("lock {words} --file {}", file(rack).display()),
    )
}

/// Runs `pull` with the file of the rack; `how` is `locked` or `frozen`.
fn pull(rack: &Rack, how: &str, words: &str) -> Ran {
    models(
        rack,
        &format!("pull --{how}={} {words}", file(rack).display()),
    )
}

fn models(rack: &Rack, line: &str) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    run_words(&mount(rack), &words, super::Sinks::Captured)
}

#[test]
fn a_lock_is_written_checked_and_pulled() {
    let rack = Rack::with_model();
    let shown = file(&rack).display().to_string();
    let out = lock(&rack, "g/m v1").quiet_success();
    assert_eq!(out, format!("{shown}: 1 added\n"));
    assert_eq!(
        lock(&rack, "").quiet_success(),
        format!("{shown}: 1 kept\n")
    );
    let out = lock(&rack, "--check").quiet_success();
    assert_eq!(out, format!("{shown}: 1 as locked\n"));
    let report = lock(&rack, "--check --json").json();
    assert_eq!(report["written"], json!(false));
    assert_eq!(report["models"][0]["state"], "held");
    assert_eq!(
        report["models"][0]["locked_hash"],
        report["models"][0]["remote_hash"]
    );

    let plan = pull(&rack, "locked", "--dry-run --json").json();
    assert_eq!(plan["models"][0]["outcome"], "planned");
    let out = pull(&rack, "locked", "").success();
    assert!(out.starts_with("Installed g/m v1: 3 files"), "{out}");
    rack.assert_sample_installed();
    for words in ["", "g/m", "g/m v1", "g/m@v1"] {
        let ran = pull(&rack, "frozen", &format!("{words} --json"));
        let report = ran.json();
        assert_eq!(
            report["models"][0]["outcome"], "already_installed",
            "{words}"
        );
        assert_eq!((ran.code, &report["failed"]), (0, &json!([])), "{words}");
    }
}

#[test]
fn a_stale_lock_ends_with_9_and_says_what_moved() {
    let rack = Rack::with_model();
    let shown = file(&rack).display().to_string();
    lock(&rack, "g/m v1").success();
    let mut files = sample();
    files[0].1 = b"{\"layers\": 3}".to_vec();
    rack.publish("g/m v1", &files);
    let before = fs::read(file(&rack)).unwrap();
    let ran = lock(&rack, "--check");
    assert_eq!(ran.code, 9);
    assert_eq!(
        ran.out,
        format!("g/m v1: changed\n  ~ config.json\n{shown}: 1 changed\n")
    );
    assert_eq!(
        ran.err,
        "Run 'rack models lock' to lock what the sources offer now.\n"
    );
    let ran = lock(&rack, "--check --json");
    assert_eq!((ran.code, ran.err.as_str()), (9, ""), "{ran:?}");
    assert_eq!(ran.json()["models"][0]["changed"], json!(["config.json"]));
    let ran = pull(&rack, "locked", "--json");
    assert_eq!(
        (ran.code, &ran.json()["error"]["code"]),
        (9, &json!("LOCK_STALE"))
    );
    let ran = pull(&rack, "locked", "");
    assert!(ran.err.contains("rack models pull --frozen"), "{ran:?}");
    assert_eq!(fs::read(file(&rack)).unwrap(), before);
    pull(&rack, "frozen", "").success();
    rack.assert_sample_installed();

    let out = lock(&rack, "--update g/m").quiet_success();
    assert_eq!(
        out,
        format!("g/m v1: renewed\n  ~ config.json\n{shown}: 1 renewed\n")
    );
    pull(&rack, "locked", "").success();
    rack.assert_files("g/m v1", &files);
}

#[test]
fn what_cannot_be_done_with_a_lock_is_said() {
    let rack = Rack::with_model();
    for line in ["--check", "--update g/m"] {
        let ran = lock(&rack, &format!("{line} --json"));
        assert_eq!(
            (ran.code, &ran.json()["error"]["code"]),
            (2, &json!("INVALID_ARGUMENT")),
            "{line}"
        );
    }
    let ran = lock(&rack, "");
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.err,
        "No model is installed, so there is nothing to lock.\n"
    );
    assert!(!file(&rack).exists());
    assert_eq!(lock(&rack, "g/none v1").code, 3);
    assert_eq!(pull(&rack, "frozen", "").code, 2, "there is no lock");
    lock(&rack, "g/m v1").success();
    assert_eq!(pull(&rack, "frozen", "g/none").code, 2);
    for line in [
        "lock g/m --update g/m",
        "lock --check --update g/m",
        "pull --locked --frozen",
        "pull --frozen --include *.json",
        "pull",
    ] {
        assert_eq!(models(&rack, line).code, 2, "{line}");
    }
    rack.server.rule(Rule::any().status(404));
    let ran = lock(&rack, "--check");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.out.starts_with("g/m v1: unknown: "), "{ran:?}");
}

#[test]
fn a_lock_that_is_killed_while_it_is_written_leaves_the_old_one_or_the_new_one() {
    let rack = Rack::with_model();
    let path = file(&rack);
    let line = |words: &str| format!("lock {words} --file {} --verbose", path.display());
    finish(program(&rack, &line("g/m@v1"))).success();
    let old = fs::read_to_string(&path).unwrap();
    rack.publish("g/n v1", &[("a.bin", b"a".to_vec())]);
    let (mut kills, mut kept) = (0, 0);
    let new = loop {
        let number = 1 + kills;
        assert!(number < 100, "the process does not end");
        fs::write(&path, &old).unwrap();
        let running = Running::watch(program(&rack, &line("g/n@v1")), move |line, _| {
            line == number
        });
        running.wait();
        let (log, killed) = running.kill();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text == old || text.contains("[models.\"g/n v1\"]"),
            "{text}"
        );
        modelrack::lock::Lock::parse(&text, "after a kill").unwrap();
        kept += usize::from(text == old);
        if log.len() < number || !killed {
            break text;
        }
        kills += 1;
    };
    assert!(kills > 0 && kept > 0, "{kills} {kept}");
    finish(program(&rack, &line("g/n@v1"))).success();
    let whole = fs::read_to_string(&path).unwrap();
    assert!(new == whole || new == old);
    let names = names_in(rack.temp.path()).into_iter();
    let locks: Vec<String> = names.filter(|name| name == "models.lock").collect();
    assert_eq!(locks, ["models.lock"]);
}

#[test]
fn without_a_file_the_lock_is_in_the_current_folder() {
    let rack = Rack::with_model();
    for line in [
        "lock g/m@v1",
        "lock --check",
        "pull --locked",
        "pull --frozen",
    ] {
        let mut command = program(&rack, line);
        command.current_dir(rack.temp.path());
        finish(command).success();
    }
    assert!(file(&rack).is_file());
    rack.assert_sample_installed();
}
