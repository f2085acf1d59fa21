//! Updating, verifying and repairing what came from the Hub.

use std::fs;

use modelrack::installed::{Annotation, Change, Freshness, UpdateReport};
use modelrack::{Manager, PullOptions, UpdateOptions, VerifyOptions};

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::flip;
use crate::support::{address, bytes};

fn change(report: &UpdateReport) -> &Change {
    match &report.entries[0].freshness {
        Freshness::Changed(change) => change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_fetches_what_another_commit_changed() {
    let (machine, repo, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    let new = repo.commit_with("main", [("config.json", "{\"layers\": 6}\n")]);
    machine.hub.server().reset_counts();
    let manager = machine.manager();
    let checked = manager.check_update(&UpdateOptions::default()).unwrap();
    assert_eq!(change(&checked).changed, ["config.json"]);
    assert_eq!(change(&checked).plan.bytes_to_fetch, 14);
    machine.assert_requests(&["/api/models/openai/whisper-tiny/revision/main"]);
    machine.hub.server().reset_counts();
    let report = manager.update(&UpdateOptions::default()).unwrap();
    assert_eq!(
        report.entries[0].applied.as_ref().unwrap().bytes_fetched,
        14
    );
    machine.assert_requests(&[
        "/api/models/openai/whisper-tiny/revision/main",
        &format!("/openai/whisper-tiny/resolve/{new}/config.json"),
    ]);
    assert_eq!(machine.installed()[0].commit, Some(new));
    let after = manager.update(&UpdateOptions::default()).unwrap();
    assert!(matches!(after.entries[0].freshness, Freshness::UpToDate));
}

#[test]
fn a_commit_that_changes_no_file_changes_nothing() {
    let (machine, repo, first) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    let second = repo.commit("main", whisper());
    assert_ne!(first, second);
    let annotation = Annotation::default().tags(["mine"]);
    let manager = machine.manager();
    manager.annotate(&address(WHISPER), &annotation).unwrap();
    let before = machine.installed();
    manager.check_update(&UpdateOptions::default()).unwrap();
    assert_eq!(machine.installed(), before);
    machine.hub.server().reset_counts();
    let report = manager.update(&UpdateOptions::default()).unwrap();
    assert!(matches!(report.entries[0].freshness, Freshness::UpToDate));
    // Which commit it is of is recorded, in the folder as well, and nothing else.
    assert_eq!(machine.requests().len(), 1);
    let mut after = machine.installed();
    assert_eq!(after[0].commit.replace(first), Some(second));
    assert_eq!(after, before);
    let folder = machine.rack.dir_of("hf/openai/whisper-tiny main");
    let beside = fs::read(folder.join(".rack").join("record.json")).unwrap();
    let beside: serde_json::Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!(
        beside,
        machine.rack.record()["hf/openai"]["whisper-tiny"]["main"]
    );
    machine.hub.server().reset_counts();
    assert_eq!(machine.pull(WHISPER).unwrap().bytes_fetched, 0);
    assert_eq!(machine.requests().len(), 1);
}

#[test]
fn a_file_that_only_gets_another_name_is_not_fetched() {
    let (machine, repo, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    let mut files = whisper();
    files[2].0 = "pytorch.safetensors";
    repo.commit("main", files.clone());
    machine.hub.server().reset_counts();
    let report = machine.manager().update(&UpdateOptions::default()).unwrap();
    let change = change(&report);
    assert_eq!(change.added, ["pytorch.safetensors"]);
    assert_eq!(change.removed, ["model.safetensors"]);
    assert_eq!(change.plan.bytes_to_fetch, 0);
    machine.assert_requests(&["/api/models/openai/whisper-tiny/revision/main"]);
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &files);
}

#[test]
fn what_the_hub_has_no_more_is_gone_and_stays_installed() {
    let (machine, repo, commit) = Machine::with_whisper();
    repo.commit("dev", whisper());
    machine.pull("hf/openai/whisper-tiny dev").unwrap();
    let pinned = format!("{WHISPER} {commit}");
    machine.pull(&pinned).unwrap();
    repo.delete_branch("dev");
    let options = UpdateOptions::default().model(address("hf/openai/whisper-tiny dev"));
    let error = machine.manager().update(&options).unwrap_err();
    assert_eq!(error.code(), "VERSION_NOT_FOUND");
    let report = machine.manager().update(&UpdateOptions::default()).unwrap();
    let by_version = |version: &str| {
        let mut entries = report.entries.iter();
        &entries
            .find(|e| e.model.version() == version)
            .unwrap()
            .freshness
    };
    assert!(
        matches!(by_version("dev"), Freshness::Gone(_)),
        "{report:?}"
    );
    assert!(matches!(by_version(&commit), Freshness::UpToDate));
    repo.make_private("hf_reader");
    let error = machine.manager().check_update(&options).unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny dev", &whisper());
}

#[test]
fn a_repair_fetches_the_bad_files_from_the_commit_that_is_installed() {
    let (machine, repo, first) = Machine::with_whisper();
    let path = machine.pull(WHISPER).unwrap().path;
    repo.commit(
        "main",
        whisper().into_iter().map(|(name, _)| (name, bytes(40, 8))),
    );
    flip(&path.join("model.safetensors"), 100);
    fs::remove_file(path.join("config.json")).unwrap();
    let manager = machine.manager();
    let found = manager.verify(&VerifyOptions::default()).unwrap();
    let damaged: Vec<_> = found.models[0]
        .damaged
        .iter()
        .map(|file| (file.path.as_str(), file.damage.as_str()))
        .collect();
    assert_eq!(
        damaged,
        [
            ("config.json", "missing"),
            ("model.safetensors", "wrong_digest")
        ]
    );
    machine.hub.server().reset_counts();
    let options = VerifyOptions::default().repair(true);
    let report = manager.verify(&options).unwrap();
    assert!(report.models[0].is_whole());
    machine.assert_requests(&[
        &format!("/openai/whisper-tiny/resolve/{first}/config.json"),
        &format!("/openai/whisper-tiny/resolve/{first}/model.safetensors"),
        "cdn",
    ]);
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    assert_eq!(machine.installed()[0].commit, Some(first));
}

#[test]
fn a_forced_pull_builds_the_copy_anew_from_what_is_there() {
    let (machine, _, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    machine.hub.server().reset_counts();
    let options = PullOptions::default().force(true);
    let report = machine.manager().pull(&address(WHISPER), &options).unwrap();
    assert_eq!(report.outcome, modelrack::pull::PullOutcome::Installed);
    assert_eq!(report.bytes_fetched, 0);
    assert_eq!(machine.requests().len(), 1);
}
