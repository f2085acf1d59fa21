//! What a version may be: a branch, a tag, a commit, a pull request.

use modelrack::{ErrorKind, ListOptions, Manager, PullOptions, RemoteOptions};

use crate::sources::hub::machine::{Machine, WHISPER};
use crate::support::address;

#[test]
fn every_kind_of_revision_is_a_version() {
    let (machine, repo, first) = Machine::with_whisper();
    repo.tag("v1.0", &first);
    repo.commit("feature/fast", [("config.json", "fast")]);
    let proposed = repo.commit("proposal", [("config.json", "proposed")]);
    repo.delete_branch("proposal");
    repo.pull_request(7, &proposed);
    repo.commit("main", [("config.json", "new")]);
    let content = |path: std::path::PathBuf| std::fs::read_to_string(path.join("config.json"));
    for (typed, version, expected) in [
        ("hf/openai/whisper-tiny", "main", "new"),
        ("hf/openai/whisper-tiny v1.0", "v1.0", "{\"layers\": 4}"),
        (
            "hf/openai/whisper-tiny feature/fast",
            "feature/fast",
            "fast",
        ),
        (
            "hf/openai/whisper-tiny@feature/fast",
            "feature/fast",
            "fast",
        ),
        ("hf/openai/whisper-tiny refs/pr/7", "refs/pr/7", "proposed"),
        ("hf@refs/pr/7/openai/whisper-tiny", "refs/pr/7", "proposed"),
        ("hf@main/openai/whisper-tiny", "main", "new"),
    ] {
        let pulled = machine
            .pull(typed)
            .unwrap_or_else(|error| panic!("{typed}: {error:?}"));
        assert_eq!(pulled.model.version(), version, "{typed}");
        assert_eq!(content(pulled.path).unwrap(), expected, "{typed}");
    }
    let by_hash = machine.pull(&format!("{WHISPER} {first}")).unwrap();
    assert_eq!(content(by_hash.path).unwrap(), "{\"layers\": 4}");
    assert_eq!(by_hash.bytes_fetched, 0, "the tag's files are these");
    let versions = machine.manager().list(&ListOptions::default()).unwrap();
    assert_eq!(versions.models.len(), 5);
    let commits: Vec<_> = versions.models.iter().map(|m| m.commit.clone()).collect();
    assert!(commits.contains(&Some(proposed)));
}

#[test]
fn a_model_may_have_no_owner() {
    let machine = Machine::new();
    let commit = machine
        .hub
        .repo("gpt2")
        .commit("main", [("config.json", "{}")]);
    let report = machine.pull("hf/gpt2").unwrap();
    assert_eq!(report.model.to_string(), "hf/gpt2 main");
    machine.assert_requests(&[
        "/api/models/gpt2/revision/main",
        &format!("/gpt2/resolve/{commit}/config.json"),
    ]);
    machine
        .rack
        .assert_files("hf/gpt2 main", &[("config.json", "{}")]);
}

#[test]
fn what_is_missing_is_named() {
    let (machine, _, _) = Machine::with_whisper();
    let find = |text: &str| {
        let manager = machine.manager();
        manager.get_remote(&address(text), &RemoteOptions::default())
    };
    let error = find("hf/openai/whisper-tiny nightly").unwrap_err();
    let ErrorKind::VersionNotFound { model, version, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((model.as_str(), version.as_str()), (WHISPER, "nightly"));
    for typed in ["hf/openai/whisper", "hf/whisper", "hf@main/openai/whisper"] {
        let error = find(typed).unwrap_err();
        let ErrorKind::ModelNotFound { model, .. } = error.kind() else {
            panic!("{typed}: {error:?}");
        };
        assert!(model.starts_with("hf/"), "{model}");
    }
    assert_eq!(machine.hub.server().count("/openai/"), 0);
    machine.hub.server().reset_counts();
    // No id of the Hub has three segments: nobody is asked.
    let error = find("hf/a/b/c").unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
    assert_eq!(machine.requests(), Vec::<String>::new());
}

#[test]
fn what_could_be_no_version_is_refused_before_anybody_is_asked() {
    let (machine, _, _) = Machine::with_whisper();
    for version in ["../main", "a//b", "a\\b"] {
        let typed = modelrack::ModelAddress::parse(WHISPER, Some(version));
        assert_eq!(typed.unwrap_err().code(), "INVALID_REF", "{version}");
    }
    let error = machine
        .manager()
        .pull(&address("hf@main"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "INVALID_REF");
    assert_eq!(machine.requests(), Vec::<String>::new());
}
