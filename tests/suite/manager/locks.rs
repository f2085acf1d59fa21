//! Locks: what is written, what makes them stale, and pulling exactly what they say; `frozen` asks nobody.

use std::fs;
use std::path::PathBuf;

use modelrack::error::LockProblem;
use modelrack::lock::{Lock, LockOptions, LockReport, LockState, LockedOptions};
use modelrack::pull::{MatchingReport, PullOutcome};
use modelrack::{ErrorKind, Manager, ManagerExt, ModelManager, RemoteOptions, Result};

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::{flip, make_pipe};
use crate::support::rack::{CHUNK, Rack, model_ref, sample};
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

fn file(rack: &Rack) -> PathBuf {
    rack.temp.path().join("models.lock")
}

fn text(rack: &Rack) -> String {
    fs::read_to_string(file(rack)).unwrap()
}

fn options(rack: &Rack, models: &[&str]) -> LockOptions {
    let models = models.iter().map(|model| address(model));
    LockOptions::default().file(file(rack)).models(models)
}

pub(super) fn lock(rack: &Rack, models: &[&str]) -> Result<LockReport> {
    rack.manager().lock(&options(rack, models))
}

pub(super) fn frozen(rack: &Rack) -> LockedOptions {
    LockedOptions::default().file(file(rack)).frozen(true)
}

pub(super) fn locked(rack: &Rack) -> LockedOptions {
    LockedOptions::default().file(file(rack))
}

/// The word for the state of each model.
fn states(report: &LockReport) -> Vec<(String, &'static str)> {
    let entries = report.entries.iter().map(|entry| {
        let state = match &entry.state {
            LockState::Added => "added",
            LockState::Held => "held",
            LockState::Moved(_) => "moved",
            LockState::Gone(_) => "gone",
            LockState::Unknown(_) => "unknown",
            LockState::NoSource => "no source",
            _ => "?",
        };
        (entry.model.to_string(), state)
    });
    entries.collect()
}

/// Another machine with the same lock and registry.
pub(super) fn elsewhere(rack: &Rack) -> Rack {
    let other = Rack::new();
    fs::copy(file(rack), file(&other)).unwrap();
    other
}

/// A manager of a machine, of a registry at another place.
pub(super) fn manager_of(machine: &Rack, registry: &str) -> ModelManager {
    machine.manager_of(machine.bare_config().registry_url(registry))
}

#[track_caller]
pub(super) fn assert_pulled(report: &MatchingReport, outcome: PullOutcome) {
    let failed: Vec<_> = report.failed.iter().map(|it| chain(&it.error)).collect();
    assert_eq!(failed, Vec::<String>::new());
    assert!(report.pulled.iter().all(|pulled| pulled.outcome == outcome));
}

#[test]
fn a_lock_has_every_file_with_its_size_and_digest() {
    let rack = Rack::with_model();
    let report = lock(&rack, &["g/m v1"]).unwrap();
    assert_eq!(states(&report), [("g/m v1".to_owned(), "added")]);
    assert!(report.is_written);
    let lock = Lock::read(&file(&rack)).unwrap();
    let model = lock.get(&model_ref("g/m v1")).unwrap();
    let offer = rack
        .manager()
        .remote_detail(&address("g/m v1"), &RemoteOptions::default())
        .unwrap();
    assert_eq!(model.manifest_digest, offer.remote.manifest_digest);
    assert_eq!(
        (model.kind.as_str(), model.source.as_str()),
        ("chunked", "")
    );
    let total: usize = sample().iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(model.total_bytes, Some(total as u64));
    for (file, (name, bytes)) in model.files.iter().zip(sample()) {
        let expected = (
            name,
            Some(bytes.len() as u64),
            Some(modelrack::Digest::of(&bytes)),
        );
        assert_eq!((file.path.as_str(), file.size_bytes, file.sha256), expected);
    }
    assert_eq!(Lock::parse(&text(&rack), "again").unwrap(), lock);
    assert_eq!(lock.to_toml(), text(&rack));
}

#[test]
fn adding_a_model_adds_lines_and_nothing_else() {
    let rack = Rack::with_model();
    for model in ["a/first v1", "g/m v2", "z/last v1"] {
        rack.publish(
            model,
            &[("a.bin", bytes(CHUNK, 7)), ("b.bin", b"b".to_vec())],
        );
    }
    lock(&rack, &["g/m v1"]).unwrap();
    for model in ["z/last v1", "a/first v1", "g/m v2"] {
        let before = text(&rack);
        lock(&rack, &[model]).unwrap();
        let after = text(&rack);
        let mut rest = after.lines();
        for line in before.lines() {
            assert!(
                rest.any(|other| other == line),
                "{line} is gone or moved\n{after}"
            );
        }
        let added = after.lines().count() - before.lines().count();
        assert_eq!(added, 11, "one table, with a blank line in front\n{after}");
    }
    let headers = text(&rack);
    let headers: Vec<_> = headers
        .lines()
        .filter(|line| line.starts_with('['))
        .collect();
    assert_eq!(
        headers,
        [
            "[models.\"a/first v1\"]",
            "[models.\"g/m v1\"]",
            "[models.\"g/m v2\"]",
            "[models.\"z/last v1\"]"
        ]
    );
}

#[test]
fn without_names_it_locks_what_is_installed_and_then_what_is_locked() {
    let rack = Rack::with_model();
    rack.publish("g/other v1", &[("a.bin", b"a".to_vec())]);
    rack.pull("g/m v1").unwrap();
    let report = lock(&rack, &[]).unwrap();
    assert_eq!(states(&report), [("g/m v1".to_owned(), "added")]);
    rack.pull("g/other v1").unwrap();
    let before = text(&rack);
    let report = lock(&rack, &[]).unwrap();
    assert_eq!(states(&report), [("g/m v1".to_owned(), "held")]);
    assert!(!report.is_written);
    assert_eq!(text(&rack), before);
    // Nobody is asked about what is not named.
    let report = lock(&rack, &["g/other v1"]).unwrap();
    assert_eq!(states(&report), [("g/other v1".to_owned(), "added")]);
    assert_eq!(report.untouched, 1);
}

#[test]
fn a_thousand_models_take_one_request_for_the_index_and_one_a_manifest() {
    let rack = Rack::new();
    let names: Vec<String> = (0..1000).map(|number| format!("g/m{number} v1")).collect();
    for (number, name) in names.iter().enumerate() {
        let content = format!("model {number}");
        rack.publish(name, &[("a.txt", content.into_bytes())]);
    }
    rack.server.reset_counts();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = lock(&rack, &names).unwrap();
    assert_eq!(report.entries.len(), 1000);
    assert_eq!(rack.server.count("/models.json"), 1);
    assert_eq!(rack.data_requests().len(), 1000);
    assert_eq!(rack.server.requests().len(), 1001);
    // A check reads the same, and no more.
    rack.server.reset_counts();
    let report = rack.manager().check_lock(&options(&rack, &[])).unwrap();
    assert!(!report.is_stale());
    assert_eq!(rack.server.count("/models.json"), 1);
    assert_eq!(rack.server.requests().len(), 1001);
}

#[test]
fn a_tag_that_moved_makes_the_lock_stale_until_it_is_renewed() {
    let rack = Rack::with_model();
    rack.publish("g/still v1", &[("a.bin", b"a".to_vec())]);
    lock(&rack, &["g/m v1", "g/still v1"]).unwrap();
    let before = text(&rack);
    let mut files = sample();
    files[0].1 = b"{\"layers\": 3}".to_vec();
    files[1].0 = "names.txt";
    rack.publish("g/m v1", &files);
    let manager = rack.manager();

    let report = manager.check_lock(&options(&rack, &[])).unwrap();
    assert!(report.is_stale());
    let expected = [
        ("g/m v1".to_owned(), "moved"),
        ("g/still v1".to_owned(), "held"),
    ];
    assert_eq!(states(&report), expected);
    let LockState::Moved(change) = &report.entries[0].state else {
        panic!("{report:?}");
    };
    assert_eq!(change.added, ["names.txt"]);
    assert_eq!(change.changed, ["config.json"]);
    assert_eq!(change.removed, ["labels.txt"]);
    assert_eq!(text(&rack), before, "a check changes nothing");

    let error = manager.pull_locked(&locked(&rack)).unwrap_err();
    let ErrorKind::LockStale { models, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(models, &["g/m v1"]);
    assert_eq!(rack.listed().0, Vec::<String>::new(), "nothing is pulled");
    assert_eq!(text(&rack), before, "a pull never writes the lock");
    // What did not move can be pulled.
    let report = manager
        .pull_locked(&locked(&rack).models([address("g/still")]))
        .unwrap();
    assert_pulled(&report, PullOutcome::Installed);

    let report = lock(&rack, &[]).unwrap();
    assert_eq!(states(&report), expected);
    assert!(text(&rack).contains("names.txt"));
    let report = manager.pull_locked(&locked(&rack)).unwrap();
    assert_eq!(report.pulled.len(), 2);
    rack.assert_files("g/m v1", &files);
}

#[test]
fn update_renews_one_model_and_asks_about_no_other() {
    let rack = Rack::with_model();
    rack.publish("g/other v1", &[("a.bin", b"a".to_vec())]);
    lock(&rack, &["g/m v1", "g/other v1"]).unwrap();
    rack.publish("g/m v1", &[("new.bin", bytes(CHUNK, 9))]);
    rack.publish("g/other v1", &[("new.bin", bytes(CHUNK, 9))]);
    let update = options(&rack, &["g/m"]).update(true);
    let report = rack.manager().lock(&update).unwrap();
    assert_eq!(states(&report), [("g/m v1".to_owned(), "moved")]);
    assert_eq!(report.untouched, 1);
    let report = rack.manager().check_lock(&options(&rack, &[])).unwrap();
    let expected = [
        ("g/m v1".to_owned(), "held"),
        ("g/other v1".to_owned(), "moved"),
    ];
    assert_eq!(states(&report), expected);

    let unknown = options(&rack, &["g/none"]).update(true);
    let error = rack.manager().lock(&unknown).unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    assert!(
        error
            .to_string()
            .starts_with("'g/none' is not in the lock: "),
        "{error}"
    );
}

#[test]
fn a_model_that_is_gone_keeps_what_is_locked_of_it() {
    let rack = Rack::with_model();
    rack.publish("g/other v1", &[("a.bin", b"a".to_vec())]);
    lock(&rack, &["g/m v1", "g/other v1"]).unwrap();
    let before = text(&rack);
    let mut index = rack.index();
    index["g"].as_object_mut().unwrap().remove("m");
    fs::write(rack.registry().join("models.json"), index.to_string()).unwrap();
    let expected = [
        ("g/m v1".to_owned(), "gone"),
        ("g/other v1".to_owned(), "held"),
    ];
    let report = rack.manager().check_lock(&options(&rack, &[])).unwrap();
    assert_eq!(states(&report), expected);
    assert!(report.is_stale());
    let report = lock(&rack, &[]).unwrap();
    assert_eq!(states(&report), expected);
    assert_eq!(text(&rack), before);
    let error = rack.manager().pull_locked(&locked(&rack)).unwrap_err();
    assert_eq!(error.code(), "LOCK_STALE");
}

#[test]
fn a_source_that_cannot_be_reached_is_asked_once_and_changes_nothing() {
    let rack = Rack::with_model();
    for number in 0..40 {
        rack.publish(&format!("g/n{number} v1"), &[("a.bin", b"a".to_vec())]);
    }
    let names: Vec<String> = (0..40).map(|number| format!("g/n{number} v1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lock(&rack, &names).unwrap();
    let before = text(&rack);
    rack.server.rule(Rule::any().status(503));
    rack.server.reset_counts();
    let report = lock(&rack, &[]).unwrap();
    assert!(
        report
            .entries
            .iter()
            .all(|it| matches!(it.state, LockState::Unknown(_)))
    );
    assert!(!report.is_stale());
    assert_eq!(text(&rack), before);
    // One after another, at most those that had begun before the first of them failed.
    let requests = rack.server.requests().len();
    assert!(requests <= 16 * 4, "{requests}");
}

#[test]
fn a_digest_that_was_tampered_with_is_refused() {
    let rack = Rack::with_model();
    lock(&rack, &["g/m v1"]).unwrap();
    let good = text(&rack);
    let digest = modelrack::Digest::of(&sample()[0].1).to_string();
    let bad = good.replace(&digest, &modelrack::Digest::of(b"evil").to_string());
    assert_ne!(good, bad);
    fs::write(file(&rack), &bad).unwrap();
    for options in [locked(&rack), frozen(&rack)] {
        let error = rack.manager().pull_locked(&options).unwrap_err();
        assert_eq!(error.code(), "HASH_MISMATCH", "{error}");
        assert!(
            chain(&error).contains("the file 'config.json' of 'g/m v1'"),
            "{error}"
        );
    }
    assert_eq!(rack.listed().0, Vec::<String>::new());
    let report = rack.manager().check_lock(&options(&rack, &[])).unwrap();
    assert!(report.is_stale());
    // Installed or not.
    rack.pull("g/m v1").unwrap();
    let error = rack.manager().pull_locked(&frozen(&rack)).unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH", "{error}");

    // The digest of the state is what its manifest must have.
    let other = elsewhere(&rack);
    let manifest = Lock::parse(&good, "good").unwrap();
    let manifest = manifest.get(&model_ref("g/m v1")).unwrap().manifest_digest;
    let name = format!("data/{manifest}");
    flip(&rack.registry().join(name), 5);
    fs::write(file(&other), &good).unwrap();
    let error = manager_of(&other, &rack.server.url())
        .pull_locked(&frozen(&other))
        .unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH", "{error}");
}

#[test]
fn a_file_that_the_locked_state_does_not_have_is_said_to_be_gone() {
    let rack = Rack::new();
    let files = [("full.bin", b"full".to_vec()), ("empty.bin", Vec::new())];
    rack.publish("g/m v1", &files);
    lock(&rack, &["g/m v1"]).unwrap();
    let good = text(&rack);
    let digest = modelrack::Digest::of(b"gone");
    let gone = format!("files = [\n  {{ path = \"gone.bin\", size = 0, sha256 = \"{digest}\" }},");
    let line = good.lines().find(|line| line.contains("\"empty.bin\""));
    let cases = [
        (
            good.replace("files = [", &gone),
            format!("the file 'gone.bin' of 'g/m v1' is gone, expected {digest} as it is locked"),
        ),
        (
            good.replace(line.unwrap(), ""),
            "expected no such file, as it is locked".to_owned(),
        ),
    ];
    for (bad, expected) in cases {
        fs::write(file(&rack), &bad).unwrap();
        for options in [locked(&rack), frozen(&rack)] {
            let error = rack.manager().pull_locked(&options).unwrap_err();
            assert_eq!(error.code(), "HASH_MISMATCH", "{error}");
            assert!(chain(&error).contains(&expected), "{}", chain(&error));
        }
    }
}

#[test]
fn a_lock_that_is_no_file_is_refused() {
    let rack = Rack::with_model();
    // A pipe to which nobody writes would be waited for.
    make_pipe(&file(&rack));
    let refused = [
        lock(&rack, &["g/m v1"]).unwrap_err(),
        rack.manager().pull_locked(&locked(&rack)).unwrap_err(),
        Lock::read(&file(&rack)).unwrap_err(),
    ];
    for error in refused {
        let problem = match error.kind() {
            ErrorKind::UnusableLock { problem, .. } => *problem,
            kind => panic!("{kind:?}"),
        };
        assert_eq!(problem, LockProblem::Malformed);
        assert!(chain(&error).contains("the lock is not a file"), "{error}");
        assert_eq!(error.path(), Some(&*file(&rack)));
    }
}

/// What is left of a merge if nobody resolves its conflict.
fn conflict(text: &str, line_end: &str) -> String {
    let manifest = text.lines().find(|line| line.starts_with("manifest"));
    let manifest = manifest.unwrap();
    let other = manifest.replace("manifest = \"", "manifest = \"f");
    let both = format!("<<<<<<< HEAD\n{manifest}\n=======\n{other}\n>>>>>>> renewed");
    text.replace(manifest, &both).replace('\n', line_end)
}

#[test]
fn what_is_no_lock_is_refused_with_the_line() {
    let rack = Rack::with_model();
    lock(&rack, &["g/m v1"]).unwrap();
    let good = text(&rack);
    let manifest_line = 1 + good
        .lines()
        .position(|line| line.starts_with("manifest"))
        .unwrap();
    let file_line = 1 + good
        .lines()
        .position(|line| line.contains("config.json"))
        .unwrap();
    let digest = modelrack::Digest::of(&sample()[0].1).to_string();
    let cases = [
        (
            good.replace("version = 1", "version = 2"),
            "version 2".to_owned(),
        ),
        (good.replace("version = 1", ""), "no version".to_owned()),
        (
            good.replace("version = 1", "version = \"1\""),
            "line 3".to_owned(),
        ),
        (
            good.replace("\"g/m v1\"", "\"g/m\""),
            "has no version".to_owned(),
        ),
        (
            good.replace("\"g/m v1\"", "\"../m v1\""),
            "line 5".to_owned(),
        ),
        (
            good.replace("manifest = \"", "manifest = \"x"),
            format!("line {manifest_line}, in [models.\"g/m v1\"]: the digest 'x"),
        ),
        (
            good.replace(&digest, &digest[1..]),
            format!("line {file_line}, in [models.\"g/m v1\"]: the digest"),
        ),
        (
            good.replace("\"config.json\"", "\"../../config.json\""),
            format!("line {file_line}, in [models.\"g/m v1\"]: the path '../../config.json' has"),
        ),
        (
            good.replace("\"config.json\"", "\"C:/config.json\""),
            format!("line {file_line}"),
        ),
        (
            good.replace("\"config.json\"", "\"labels.txt\""),
            "in 'g/m v1', the file 'labels.txt' is listed twice".to_owned(),
        ),
        (
            good.replace("size = 13,", "size = 14,"),
            "do not add up".to_owned(),
        ),
        (
            format!("{good}{}", &good[good.find("[models").unwrap()..]),
            "duplicate key".to_owned(),
        ),
        (
            format!(
                "{good}{}",
                good[good.find("[models").unwrap()..].replace("g/m v1", "g/m@v1")
            ),
            "'g/m v1' is locked twice".to_owned(),
        ),
        (good.replace("]\n", ""), "line".to_owned()),
        (
            conflict(&good, "\n"),
            format!("line {manifest_line}: a merge is unfinished here, '<<<<<<<'"),
        ),
        (
            conflict(&good, "\r\n"),
            format!("line {manifest_line}: a merge is unfinished here, '<<<<<<<'"),
        ),
    ];
    for (bad, expected) in cases {
        assert_ne!(bad, good, "{expected}");
        fs::write(file(&rack), &bad).unwrap();
        let error = rack.manager().pull_locked(&frozen(&rack)).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{error}");
        let said = chain(&error);
        assert!(said.contains(&expected), "{expected}: {said}");
        assert!(said.contains("models.lock"), "{said}");
    }
    // Keys that are added later do not matter.
    let added = good.replace("version = 1", "version = 1\nsigned_by = \"somebody\"");
    let added = added.replace("kind = ", "licence = { spdx = \"MIT\" }\nkind = ");
    let added = added.replace(
        "path = \"config.json\"",
        "mode = 420, path = \"config.json\"",
    );
    assert_eq!(
        Lock::parse(&added, "later").unwrap(),
        Lock::parse(&good, "now").unwrap()
    );
}

#[test]
fn small_files_of_the_hub_get_their_sha256_once_they_are_installed() {
    let (machine, repo, commit) = Machine::with_whisper();
    let file = file(&machine.rack);
    let options = LockOptions::default()
        .file(&file)
        .models([address(WHISPER)]);
    let report = machine.manager().lock(&options).unwrap();
    assert_eq!(states(&report), [(format!("{WHISPER} main"), "added")]);
    let model = |what: &str| {
        let lock = Lock::read(&file).unwrap_or_else(|error| panic!("{what}: {error}"));
        lock.get(&model_ref(&format!("{WHISPER} main")))
            .unwrap()
            .clone()
    };
    let first = model("locked");
    assert_eq!(first.commit(), Some(&*commit));
    let has_sha256 = |index: usize| first.files[index].sha256.is_some();
    assert_eq!([0, 1, 2, 3].map(has_sha256), [false, false, true, true]);
    assert!(first.files[0].git_blob.is_some());

    // A branch that moves on: the commit of the lock can be pulled, by asking for its files alone.
    repo.commit("main", [("config.json", b"{}".to_vec())]);
    machine.hub.server().reset_counts();
    let frozen = LockedOptions::default().file(&file).frozen(true);
    let report = machine.manager().pull_locked(&frozen).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    assert_eq!(machine.hub.api_requests(), 0);
    machine
        .rack
        .assert_files(&format!("{WHISPER} main"), &whisper());
    let stale = LockedOptions::default().file(&file);
    let error = machine.manager().pull_locked(&stale).unwrap_err();
    assert_eq!(error.code(), "LOCK_STALE", "{error}");

    // The same files at another commit: the lock holds, and keeps its commit until it is updated.
    let back = repo.commit("main", whisper());
    machine.manager().pull_model(WHISPER).unwrap();
    let report = machine.manager().lock(&options.clone().models([])).unwrap();
    assert_eq!(states(&report), [(format!("{WHISPER} main"), "held")]);
    let second = model("kept");
    assert_eq!(second.commit(), Some(&*commit));
    for (file, (name, bytes)) in second.files.iter().zip(whisper()) {
        assert_eq!(file.path.as_str(), name);
        assert_eq!(file.sha256, Some(modelrack::Digest::of(&bytes)), "{name}");
    }
    let report = machine.manager().lock(&options.update(true)).unwrap();
    assert_eq!(states(&report), [(format!("{WHISPER} main"), "held")]);
    assert_eq!(model("updated").commit(), Some(&*back));
}

#[test]
fn a_lock_keeps_which_files_are_wanted() {
    let (machine, ..) = Machine::with_whisper();
    let file = file(&machine.rack);
    let options = LockOptions::default()
        .file(&file)
        .models([address(WHISPER)])
        .exclude(["onnx/"]);
    machine.manager().lock(&options).unwrap();
    let report = machine
        .manager()
        .check_lock(&LockOptions::default().file(&file))
        .unwrap();
    assert!(!report.is_stale());
    for frozen in [false, true] {
        let pull = LockedOptions::default().file(&file).frozen(frozen);
        machine.manager().pull_locked(&pull).unwrap();
        let expected: Vec<_> = whisper().into_iter().take(3).collect();
        machine
            .rack
            .assert_files(&format!("{WHISPER} main"), &expected);
        let cancel = modelrack::CancelToken::new();
        machine
            .manager()
            .remove(&address(WHISPER), &cancel)
            .unwrap();
    }
}
