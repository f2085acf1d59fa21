//! Models brought in whole.

use modelrack::installed::Freshness;
use modelrack::pull::PullOutcome;
use modelrack::{CancelToken, Manager, ModelManager, PullOptions, RemoteOptions, UpdateOptions};

use crate::sources::hub::machine::{Machine, WHISPER, WHISPER_BYTES, whisper};
use crate::support::hub::Hub;
use crate::support::server::Rule;
use crate::support::{address, bytes};

#[test]
fn every_file_comes_once_and_from_the_commit() {
    let (machine, repo, commit) = Machine::with_whisper();
    repo.describe(|facts| {
        facts.library = Some("transformers".to_owned());
        facts.card = Some(serde_json::json!({"license": "mit"}));
    });
    let report = machine.pull(WHISPER).unwrap();
    assert_eq!(report.outcome, PullOutcome::Installed);
    assert_eq!(report.model.to_string(), "hf/openai/whisper-tiny main");
    assert_eq!(
        (report.total_bytes, report.bytes_fetched),
        (WHISPER_BYTES, WHISPER_BYTES)
    );
    assert_eq!(report.files_unverified, Vec::<String>::new());
    let file = |name: &str| format!("/openai/whisper-tiny/resolve/{commit}/{name}");
    machine.assert_requests(&[
        "/api/models/openai/whisper-tiny/revision/main",
        &file("README.md"),
        &file("config.json"),
        &file("model.safetensors"),
        &file("onnx/model.onnx"),
        "cdn",
        "cdn",
    ]);
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    let [model] = machine.installed().try_into().unwrap();
    assert_eq!(model.source.as_deref(), Some("hf"));
    assert_eq!(model.commit.as_deref(), Some(commit.as_str()));
    assert_eq!(model.model_type.as_deref(), Some("audio-to-text"));
    assert_eq!((model.total_bytes, model.files), (WHISPER_BYTES, 4));
    assert_eq!(
        model.metadata.to_map()["pipeline_tag"],
        "automatic-speech-recognition"
    );
    assert_eq!(model.metadata.to_map()["license"], "mit");
    assert_eq!(model.metadata.to_map()["gated"], false);
    assert!(model.tags.contains(&"transformers".to_owned()));

    machine.hub.server().reset_counts();
    let again = machine.pull(WHISPER).unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    machine.assert_requests(&["/api/models/openai/whisper-tiny/revision/main"]);
}

#[test]
fn what_there_is_to_know_costs_one_request_and_no_file() {
    let (machine, repo, commit) = Machine::with_whisper();
    repo.gate("s3cret");
    repo.describe(|facts| facts.tags = vec!["audio", "en"]);
    let detail = machine
        .manager()
        .remote_detail(&address(WHISPER), &RemoteOptions::default())
        .unwrap();
    assert_eq!(detail.remote.total_bytes, Some(WHISPER_BYTES));
    let names: Vec<&str> = detail.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        names,
        [
            "README.md",
            "config.json",
            "model.safetensors",
            "onnx/model.onnx"
        ]
    );
    assert!(detail.files[0].digest.unwrap().git_blob().is_some());
    assert!(detail.files[2].digest.unwrap().sha256().is_some());
    assert_eq!(detail.remote.commit, Some(commit.into()));
    let facts = detail.remote.metadata.facts();
    assert_eq!(facts.model_type.as_deref(), Some("audio-to-text"));
    assert!(facts.tags.contains(&"en".to_owned()));
    assert_eq!(detail.remote.metadata.to_map()["gated"], "auto");
    machine.assert_requests(&["/api/models/openai/whisper-tiny/revision/main"]);
}

#[test]
fn a_small_file_that_is_kept_elsewhere_on_the_host_is_fetched_from_there() {
    let (machine, _, commit) = Machine::with_whisper();
    machine.hub.redirect_small_files();
    machine.hub.token("t0ken");
    machine
        .manager_with_token("t0ken")
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    let kept = format!("/api/resolve-cache/models/openai/whisper-tiny/{commit}/");
    assert_eq!(machine.hub.server().count(&kept), 2);
    for request in machine.hub.server().requests() {
        let token = request.header("authorization");
        let expected = (!request.path.starts_with("/cdn/")).then_some("Bearer t0ken");
        assert_eq!(token, expected, "{}", request.path);
    }
}

#[test]
fn capitals_do_not_count_in_an_id() {
    let machine = Machine::new();
    let repo = machine.hub.repo("acme/Tiny");
    repo.commit("main", [("config.json", "{}")]);
    let first = machine.pull("hf/ACME/tiny").unwrap();
    assert_eq!(first.model.to_string(), "hf/acme/Tiny main");
    let manager = machine.manager();
    for typed in [
        "hf/acme/Tiny",
        "hf/ACME/tiny",
        "hf/acme/tiny main",
        "hf@main/ACME/TINY",
    ] {
        let again = machine.pull(typed).unwrap();
        assert_eq!(again.outcome, PullOutcome::AlreadyInstalled, "{typed}");
        assert_eq!(again.model, first.model);
        assert_eq!(
            manager.path(&address(typed)).unwrap(),
            first.path,
            "{typed}"
        );
        let detail = manager.get(&address(typed)).unwrap();
        assert_eq!(detail.installed.model, first.model);
        let offline = PullOptions::default().offline(true);
        let offline = manager.pull(&address(typed), &offline).unwrap();
        assert_eq!(offline.model, first.model, "{typed}");
    }
    assert_eq!(
        manager
            .path(&address("hf/acme/tiny dev"))
            .unwrap_err()
            .code(),
        "NOT_INSTALLED"
    );
    // Its owner writes it in another way now: what is installed keeps its name.
    let rule = Rule::path_starts("/api/models/").body(
        r#"{"id":"Acme/tiny","sha":"0123456789012345678901234567890123456789","siblings":[]}"#,
    );
    machine.hub.server().rule(rule);
    let moved = machine.pull("hf/Acme/TINY").unwrap();
    assert_eq!(
        (moved.model, moved.outcome),
        (first.model.clone(), PullOutcome::Installed)
    );
    let update = manager.update(&UpdateOptions::default()).unwrap();
    assert!(
        matches!(update.entries[0].freshness, Freshness::UpToDate),
        "{update:?}"
    );
    let removed = manager
        .remove(&address("hf/ACME/TINY"), &CancelToken::new())
        .unwrap();
    assert_eq!(removed.removed[0], first.model);
}

#[test]
fn a_renamed_repository_is_pulled_by_its_old_name() {
    let (machine, repo, _) = Machine::with_whisper();
    repo.rename_from("openai/whisper-small");
    machine.hub.token("t0ken");
    let pulled = machine
        .manager_with_token("t0ken")
        .pull(&address("hf/openai/whisper-small"), &PullOptions::default())
        .unwrap();
    assert_eq!(pulled.model.to_string(), "hf/openai/whisper-small main");
    machine
        .rack
        .assert_files("hf/openai/whisper-small main", &whisper());
}

#[test]
fn a_mirror_below_a_path_is_asked_below_it() {
    let machine = Machine::at(Hub::start_below("/mirror/hf"));
    let repo = machine.hub.repo("openai/whisper-tiny");
    repo.commit("main", whisper());
    machine.hub.redirect_small_files();
    machine.pull(WHISPER).unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    let asked = machine.requests();
    assert!(
        asked
            .iter()
            .all(|path| path == "cdn" || path.starts_with("/mirror/hf/")),
        "{asked:?}"
    );
}

#[test]
fn the_environment_puts_a_mirror_in_the_place_of_the_hub_itself_only() {
    let (machine, _, _) = Machine::with_whisper();
    let manager = |source: &str, endpoint: String| {
        let toml = format!("[sources.hf]\nhub = \"{source}\"\n");
        ModelManager::builder(machine.rack.bare_config().bootstrap(toml))
            .environment(machine.rack.environment().variable("HF_ENDPOINT", endpoint))
            .build()
    };
    let with_slash = format!("{}/", machine.hub.url());
    manager("https://huggingface.co", with_slash)
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    // A source that names a mirror means that mirror.
    let error = manager("http://127.0.0.1:1", machine.hub.url())
        .get_remote(&address(WHISPER), &RemoteOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    let error = manager("https://huggingface.co", "hf-mirror.example".into())
        .get_remote(&address(WHISPER), &RemoteOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(error.to_string().contains("HF_ENDPOINT"), "{error}");
}

#[test]
fn an_endpoint_that_nobody_asks_for_spoils_nothing() {
    let rack = crate::support::rack::Rack::with_model();
    let manager = ModelManager::builder(rack.config())
        .environment(rack.environment().variable("HF_ENDPOINT", "no URL"))
        .build();
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
}

#[test]
fn a_branch_that_moves_meanwhile_does_not_mix_two_states() {
    let (machine, repo, _) = Machine::with_whisper();
    let moving = repo.clone();
    machine.hub.server().rule(
        Rule::path_contains("/resolve/")
            .times(1)
            .on_request(move || {
                let files = whisper().into_iter().map(|(name, _)| (name, bytes(50, 9)));
                moving.commit("main", files);
            }),
    );
    machine.pull(WHISPER).unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
}

#[test]
fn wrong_bytes_are_fetched_again_and_never_become_a_model() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3000\n";
    type Spoil = fn(Rule) -> Rule;
    let spoils: [(&str, Spoil); 3] = [
        ("another byte", |rule| rule.flip(5)),
        ("a cut body", |rule| rule.cut_after(5)),
        ("too many bytes", |rule| rule.overlong(1)),
    ];
    for file in ["config.json", "model.safetensors"] {
        for (what, spoil) in spoils {
            let (machine, _, _) = Machine::with_whisper();
            let at = if file == "config.json" {
                "config.json"
            } else {
                "/cdn/"
            };
            machine
                .hub
                .server()
                .rule(spoil(Rule::path_contains(at)).times(2));
            machine
                .pull(WHISPER)
                .unwrap_or_else(|error| panic!("{what}, {file}: {error:?}"));
            machine
                .rack
                .assert_files("hf/openai/whisper-tiny main", &whisper());
        }
    }
    for body in [pointer.as_bytes().to_vec(), bytes(3000, 77), Vec::new()] {
        let (machine, _, _) = Machine::with_whisper();
        machine
            .hub
            .server()
            .rule(Rule::path_contains("model.safetensors").body(body));
        let error = machine.pull(WHISPER).unwrap_err();
        assert_eq!(error.code(), "HASH_MISMATCH", "{error:?}");
        assert!(machine.installed().is_empty());
        assert!(!machine.rack.dir_of("hf/openai/whisper-tiny main").exists());
    }
}
