//! Some files of a model only.

use std::fs;

use modelrack::installed::Freshness;
use modelrack::pull::PullOutcome;
use modelrack::{
    ErrorKind, Manager, PullOptions, PullReport, RemoteOptions, Result, UpdateOptions,
    VerifyOptions,
};

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::rack::Rack;
use crate::support::{address, chain};

fn options(include: &[&str], exclude: &[&str]) -> PullOptions {
    let owned = |globs: &[&str]| globs.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    PullOptions::default()
        .include(owned(include))
        .exclude(owned(exclude))
}

fn pull(machine: &Machine, include: &[&str], exclude: &[&str]) -> Result<PullReport> {
    machine
        .manager()
        .pull(&address(WHISPER), &options(include, exclude))
}

fn names(rack: &Rack, model: &str) -> Vec<String> {
    rack.files_of(model)
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn files_that_cannot_be_installed_matter_only_when_they_are_wanted() {
    let bad = [
        "nul",
        "runs/12:30/events",
        "CONFIG.json",
        "sub./x",
        "a\\b",
        "../x",
    ];
    let machine = Machine::new();
    let repo = machine.hub.repo(WHISPER.trim_start_matches("hf/"));
    let good = ["config.json", "model.safetensors"];
    repo.commit("main", good.into_iter().chain(bad).map(|name| (name, name)));
    let error = pull(&machine, &[], &[]).unwrap_err();
    let ErrorKind::UnusableFiles {
        files,
        can_exclude: true,
        ..
    } = error.kind()
    else {
        panic!("{}", chain(&error));
    };
    assert_eq!(files.len(), bad.len(), "{files:?}");
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(machine.rack.listed().0.is_empty());
    assert!(pull(&machine, &["*.safetensors", "nul"], &[]).is_err());

    let remote = RemoteOptions::default();
    let detail = machine
        .manager()
        .remote_detail(&address(WHISPER), &remote)
        .unwrap();
    assert_eq!(
        detail.files.len(),
        3,
        "what is no file name anywhere is left out"
    );

    pull(&machine, &["*.safetensors"], &[]).unwrap();
    let installed = format!("{WHISPER} main");
    assert_eq!(names(&machine.rack, &installed), ["model.safetensors"]);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let all = machine
        .manager()
        .pull(&address(WHISPER), &options(&[], &files));
    all.unwrap();
    assert_eq!(names(&machine.rack, &installed).len(), 2);
    let update = machine
        .manager()
        .check_update(&UpdateOptions::default())
        .unwrap();
    assert!(matches!(update.entries[0].freshness, Freshness::UpToDate));
}

#[test]
fn patterns_mean_what_they_mean_to_the_hub_s_own_command() {
    let files = [
        "README.md",
        "config.json",
        "model.bin",
        "model-00001.bin",
        "onnx/config.json",
        "onnx/deep/model.onnx",
        "onnx.txt",
        "UPPER.JSON",
        "[x].txt",
    ];
    // As `hf download o/n --include … --exclude …` chooses.
    let cases: [(&[&str], &[&str], &[&str]); 12] = [
        (&["*.json"], &[], &["config.json", "onnx/config.json"]),
        (&["config.json"], &[], &["config.json"]),
        (
            &["onnx/"],
            &[],
            &["onnx/config.json", "onnx/deep/model.onnx"],
        ),
        (
            &["onnx/*"],
            &[],
            &["onnx/config.json", "onnx/deep/model.onnx"],
        ),
        (
            &["onnx*"],
            &["*.txt"],
            &["onnx/config.json", "onnx/deep/model.onnx"],
        ),
        (&["*/model*"], &[], &["onnx/deep/model.onnx"]),
        (&["model-?????.bin"], &[], &["model-00001.bin"]),
        (&["[!a-z]*"], &["*.md"], &["UPPER.JSON", "[x].txt"]),
        (&["[[]x].txt"], &[], &["[x].txt"]),
        (
            &["*.bin", "*.md"],
            &["model-*"],
            &["README.md", "model.bin"],
        ),
        (
            &[],
            &["onnx/", "*.bin", "*.txt", "*.md"],
            &["UPPER.JSON", "config.json"],
        ),
        (&["**/*.onnx"], &[], &["onnx/deep/model.onnx"]),
    ];
    for (include, exclude, expected) in cases {
        let machine = Machine::new();
        let repo = machine.hub.repo("o/n");
        repo.commit("main", files.map(|name| (name, name)));
        let manager = machine.manager();
        let plan = manager.plan_pull(&address("hf/o/n"), &options(include, exclude));
        assert_eq!(
            plan.unwrap().files,
            expected.len(),
            "{include:?} {exclude:?}"
        );
        machine.hub.server().reset_counts();
        let report = manager
            .pull(&address("hf/o/n"), &options(include, exclude))
            .unwrap();
        assert_eq!(report.files, expected.len() as u64);
        assert_eq!(
            names(&machine.rack, "hf/o/n main"),
            expected,
            "{include:?} {exclude:?}"
        );
        let large = expected
            .iter()
            .filter(|name| name.ends_with("in") || name.ends_with("nx"));
        assert_eq!(machine.requests().len(), 1 + expected.len() + large.count());
    }
}

#[test]
fn a_selection_of_nothing_is_refused() {
    let (machine, _, _) = Machine::with_whisper();
    for (include, exclude) in [
        (&["*.gguf"][..], &[][..]),
        (&[], &["*"]),
        (&["*.json"], &["c*"]),
    ] {
        let error = pull(&machine, include, exclude).unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT", "{error:?}");
    }
    assert!(machine.installed().is_empty());
    assert_eq!(machine.hub.server().count("/openai/"), 0);
}

#[test]
fn a_chunked_model_comes_whole_or_not_at_all() {
    let rack = Rack::with_model();
    let error = rack
        .manager()
        .pull(&address("g/m v1"), &options(&["*.json"], &[]))
        .unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    assert!(rack.data_requests().is_empty());
}

#[test]
fn another_selection_takes_the_place_of_the_first_and_fetches_what_is_new() {
    let (machine, _, _) = Machine::with_whisper();
    let model = "hf/openai/whisper-tiny main";
    pull(&machine, &["*.json", "*.onnx"], &[]).unwrap();
    assert_eq!(
        names(&machine.rack, model),
        ["config.json", "onnx/model.onnx"]
    );
    assert_eq!(machine.installed()[0].files, 2);
    let again = pull(&machine, &["*.json", "*.onnx"], &[]).unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    let other = pull(&machine, &["*.json", "*.safetensors"], &[]).unwrap();
    assert_eq!((other.bytes_reused, other.bytes_fetched), (13, 3000));
    assert_eq!(
        names(&machine.rack, model),
        ["config.json", "model.safetensors"]
    );
    let all = pull(&machine, &[], &[]).unwrap();
    assert_eq!(all.bytes_reused, 3013);
    machine.rack.assert_files(model, &whisper());
    let fewer = pull(&machine, &[], &["*.onnx"]).unwrap();
    assert_eq!(fewer.bytes_fetched, 0);
    assert_eq!(
        names(&machine.rack, model),
        ["README.md", "config.json", "model.safetensors"]
    );
}

#[test]
fn an_update_keeps_to_the_selection() {
    let (machine, repo, _) = Machine::with_whisper();
    pull(&machine, &["*.json", "*.safetensors"], &["config.*"]).unwrap();
    repo.commit_with("main", [("README.md", "# New\n"), ("config.json", "{}")]);
    let manager = machine.manager();
    let report = manager.update(&UpdateOptions::default()).unwrap();
    assert!(
        matches!(
            report.entries[0].freshness,
            modelrack::installed::Freshness::UpToDate
        ),
        "{report:?}"
    );
    repo.commit_with("main", [("tokenizer.json", "{}")]);
    machine.hub.server().reset_counts();
    let report = manager.update(&UpdateOptions::default()).unwrap();
    let applied = report.entries[0].applied.as_ref().unwrap();
    assert_eq!((applied.files, applied.bytes_fetched), (2, 2));
    assert_eq!(
        names(&machine.rack, "hf/openai/whisper-tiny main"),
        ["model.safetensors", "tokenizer.json"]
    );
    assert_eq!(machine.requests().len(), 2);
}

#[test]
fn a_repair_keeps_to_the_selection_even_when_the_manifest_is_lost() {
    let (machine, repo, _) = Machine::with_whisper();
    let path = pull(&machine, &["*.json", "*.onnx"], &[]).unwrap().path;
    repo.commit("main", [("config.json", "moved on")]);
    fs::remove_file(path.join(".rack").join("manifest.json")).unwrap();
    let report = machine
        .manager()
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    assert!(report.models[0].is_whole(), "{report:?}");
    assert_eq!(
        names(&machine.rack, "hf/openai/whisper-tiny main"),
        ["config.json", "onnx/model.onnx"]
    );
    let again = machine.manager().verify(&VerifyOptions::default()).unwrap();
    assert!(again.models[0].damaged.is_empty());
}
