//! `lock`, and `pull` with `--locked` and `--frozen`.

use std::fs;
use std::path::PathBuf;

use modelrack::cli::Mount;
use serde_json::json;

use super::program::{Running, finish, rack as program};
use super::{Ran, mount, run_line, run_words};
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
fn patterns_name_models_that_are_offered_and_then_those_of_the_lock() {
    let rack = Rack::with_model();
    rack.publish("g/n v2", &sample());
    rack.publish("other/m v1", &sample());
    let shown = file(&rack).display().to_string();
    let out = lock(&rack, "g/*").quiet_success();
    assert_eq!(out, format!("{shown}: 2 added\n"));
    let out = lock(&rack, "* v1").quiet_success();
    assert_eq!(out, format!("{shown}: 1 added, 2 kept\n"));
    // What is new at the source is no matter of a check, an update or a pull.
    rack.publish("g/o v1", &sample());
    for (line, count) in [
        ("--check g/*", "3 as locked"),
        ("--update g/*@v2", "3 kept"),
    ] {
        let out = lock(&rack, line).quiet_success();
        assert_eq!(out, format!("{shown}: {count}\n"), "{line}");
    }
    for (words, names) in [("g/* v2", "n"), ("g/*", "m n"), ("*/m@v1 g/n", "m n m")] {
        for how in ["locked", "frozen"] {
            let report = pull(&rack, how, &format!("{words} --json")).json();
            let models = report["models"].as_array().unwrap().iter();
            let models: Vec<_> = models.map(|it| it["model"].as_str().unwrap()).collect();
            assert_eq!(models.join(" "), names, "{how} {words}");
        }
    }
    let out = lock(&rack, "g/[o]").quiet_success();
    assert_eq!(out, format!("{shown}: 1 added, 3 kept\n"));
    let ran = pull(&rack, "frozen", "g/M v1");
    assert!(
        ran.err.contains("'g/M' is not in the lock, unlike g/m: "),
        "{ran:?}"
    );
    for (ran, code) in [
        (lock(&rack, "none/*"), 3),
        (lock(&rack, "--check none/*"), 2),
        (lock(&rack, "--update g/*@v9"), 2),
        (pull(&rack, "frozen", "none/*"), 2),
    ] {
        assert_eq!(ran.code, code, "{ran:?}");
    }
}

/// Each is refused with a code and a line of the file, and nothing is pulled.
#[test]
fn a_lock_that_cannot_be_right_ends_with_a_code_that_tells_why() {
    let rack = Rack::with_model();
    lock(&rack, "g/m v1").success();
    let good = fs::read_to_string(file(&rack)).unwrap();
    let digest = modelrack::Digest::of(&sample()[0].1).to_string();
    let other = modelrack::Digest::of(b"something else").to_string();
    let twin = format!("  {{ path = \"Config.json\", size = 0, sha256 = \"{other}\" }},");
    let cases = [
        (
            "of a later version",
            good.replace("version = 1", "version = 2"),
            ["REGISTRY_ERROR", "version 2"],
            "use the version of the program that wrote it",
            1,
        ),
        (
            "with a digest that is none",
            good.replace(&digest, "0123"),
            ["REGISTRY_ERROR", "the digest '0123'"],
            "restore it from version control",
            1,
        ),
        (
            "with the digest of another file",
            good.replace(&digest, &other),
            ["HASH_MISMATCH", "the file 'config.json' of 'g/m v1'"],
            "models.lock is wrong, or the files on the server are",
            6,
        ),
        (
            "with a path that leaves the folder",
            good.replace("\"config.json\"", "\"../config.json\""),
            ["REGISTRY_ERROR", "the path '../config.json'"],
            "restore it from version control",
            1,
        ),
        (
            "with names that differ only in case",
            good.replace("files = [", &format!("files = [\n{twin}")),
            ["REGISTRY_ERROR", "differs from another only in case"],
            "restore it from version control",
            1,
        ),
        (
            "with the marks of a merge",
            good.replace("kind = ", "<<<<<<< HEAD\nkind = "),
            ["REGISTRY_ERROR", "a merge is unfinished"],
            "resolve the conflict",
            1,
        ),
    ];
    for (what, bad, [code, words], hint, exit) in cases {
        assert_ne!(bad, good, "{what}");
        fs::write(file(&rack), bad).unwrap();
        for how in ["locked", "frozen"] {
            let ran = pull(&rack, how, "--json");
            let error = &ran.json()["error"];
            assert_eq!((ran.code, &error["code"]), (exit, &json!(code)), "{what}");
            let said = error.to_string();
            assert!(said.contains(words), "{what}: {said}");
            let said = error["hint"].as_str().unwrap();
            assert!(said.contains(hint), "{what}: {said}");
        }
        // What the hint names tells.
        if exit == 6 {
            assert_eq!(lock(&rack, "--check").code, 9);
        }
        assert_eq!(rack.listed().0, Vec::<String>::new(), "{what}");
    }

    // A source that is not configured here: its digests are what counts, if any other has them.
    fs::write(
        file(&rack),
        good.replace("source = \"\"", "source = \"elsewhere\""),
    )
    .unwrap();
    pull(&rack, "frozen", "").success();
    rack.assert_sample_installed();
    let bare = Rack::new();
    let sourceless = Mount::new(bare.bare_config()).environment(bare.environment());
    let frozen = format!("pull --frozen={} --json", file(&rack).display());
    for (ran, [code, words], exit) in [
        (
            models(&bare, &frozen),
            ["NETWORK_ERROR", "the registry lists a file that does not"],
            5,
        ),
        (
            run_line(&sourceless, &frozen),
            ["REGISTRY_ERROR", "locked from the chunked source"],
            1,
        ),
    ] {
        let error = &ran.json()["error"];
        assert_eq!((ran.code, &error["code"]), (exit, &json!(code)), "{ran:?}");
        let said = error.to_string();
        assert!(said.contains(words), "{said}");
        assert_eq!(bare.listed().0, Vec::<String>::new());
    }
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
    let ran = pull(&rack, "frozen", "");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("there is no lock: "), "{ran:?}");
    let hint = "hint: 'rack models lock' writes one of all that is installed";
    assert!(ran.err.contains(hint), "{ran:?}");
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
    let path = file(&rack).display().to_string();
    for how in ["locked", "frozen"] {
        let ran = pull(&rack, how, &path);
        let said = format!("'{path}' is a file, and no model: write --locked={path}");
        assert!(ran.code == 2 && ran.err.contains(&said), "{ran:?}");
    }
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, "version = 1\n").unwrap();
    let ran = lock(&rack, "");
    assert_eq!(
        (ran.code, ran.err),
        (
            0,
            format!("{path} has no models. 'rack models lock MODEL' adds one.\n")
        )
    );
    fs::write(&path, text).unwrap();
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
