//! Where the bytes of a lock come from when the first place fails, and what else of a model comes with them.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use modelrack::installed::{Annotation, InstalledModel};
use modelrack::lock::{Lock, LockOptions, LockedOptions};
use modelrack::pull::{MatchingReport, PullOutcome};
use modelrack::{ListOptions, Manager, ManagerExt, ModelManager, PullOptions};
use serde_json::json;

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::flip;
use crate::support::hub::Hub;
use crate::support::rack::{Rack, model_ref, sample};
use crate::support::registry::{HandMade, Publication, digest};
use crate::support::server::Rule;
use crate::support::{address, chain};

fn file(rack: &Rack) -> PathBuf {
    rack.temp.path().join("models.lock")
}

fn lock(rack: &Rack, manager: &ModelManager, models: &[&str]) {
    let models = models.iter().map(|model| address(model));
    let options = LockOptions::default().file(file(rack)).models(models);
    manager.lock(&options).unwrap();
}

fn frozen(rack: &Rack) -> LockedOptions {
    let pull = PullOptions::default().concurrency(1);
    LockedOptions::default()
        .file(file(rack))
        .frozen(true)
        .pull(pull)
}

/// Another machine with the same lock.
fn elsewhere(rack: &Rack) -> Rack {
    let other = Rack::new();
    fs::copy(file(rack), file(&other)).unwrap();
    other
}

#[track_caller]
fn assert_installed(report: &MatchingReport) {
    let failed: Vec<_> = report.failed.iter().map(|it| chain(&it.error)).collect();
    assert_eq!(failed, Vec::<String>::new());
    let outcomes: Vec<_> = report.pulled.iter().map(|pulled| pulled.outcome).collect();
    assert_eq!(outcomes, [PullOutcome::Installed]);
}

fn installed(manager: &ModelManager) -> InstalledModel {
    let mut models = manager.list(&ListOptions::default()).unwrap().models;
    models.swap_remove(0)
}

#[test]
fn another_source_goes_on_where_the_first_one_breaks_off() {
    let (rack, second) = (Rack::with_model(), Rack::new());
    // The second one has it under another name, which is not asked for: manifests are named by their digests, too.
    let published = second.publish("copy/m v7", &sample());
    lock(&rack, &rack.manager(), &["g/m v1"]);
    let other = elsewhere(&rack);
    // The manifest and some chunks come; then, nothing is there any more.
    let served = AtomicUsize::new(0);
    rack.server.rule(
        Rule::when(move |request| {
            request.path.starts_with("/data/") && served.fetch_add(1, Ordering::Relaxed) >= 5
        })
        .status(404),
    );
    rack.server.reset_counts();
    let config = other.bare_config().registry_url(rack.server.url());
    let config = config.bootstrap(format!(
        "[sources.second]\nurl = \"{}\"\n",
        second.server.url()
    ));
    let report = other
        .manager_of(config)
        .pull_locked(&frozen(&other))
        .unwrap();
    assert_installed(&report);
    other.assert_files("g/m v1", &sample());
    assert!(other.cache().is_empty());
    assert_eq!(rack.server.count("/models.json"), 0);
    // What came of the first one is not fetched again.
    let chunks = second.chunk_requests(&[&published]);
    let all = published.chunks;
    assert!(
        (1..all).contains(&chunks.len()),
        "{} of {all}",
        chunks.len()
    );
}

#[test]
fn a_copy_that_is_damaged_comes_from_a_source_after_all() {
    let rack = Rack::with_model();
    let how = Publication {
        chunk_bytes: 700,
        ..Publication::default()
    };
    rack.publish_as("h/same v9", &sample(), &how);
    lock(&rack, &rack.manager(), &["h/same v9"]);
    rack.pull("g/m v1").unwrap();
    // The store believes that it has everything.
    let dir = rack.dir_of("g/m v1");
    let large = sample()
        .into_iter()
        .max_by_key(|(_, bytes)| bytes.len())
        .unwrap();
    flip(&dir.join(large.0), 3);
    rack.server.reset_counts();
    let report = rack.manager().pull_locked(&frozen(&rack)).unwrap();
    assert_installed(&report);
    rack.assert_files("h/same v9", &sample());
    assert_eq!(rack.server.count("/models.json"), 0);
    assert!(!rack.data_requests().is_empty());

    // With no source left, it says what is wrong, and installs nothing.
    let other = elsewhere(&rack);
    let lonely = other.manager_of(other.bare_config().registry_url(rack.server.url()));
    lonely.pull_model("g/m v1").unwrap();
    flip(&other.dir_of("g/m v1").join(large.0), 3);
    rack.server.rule(Rule::any().status(404));
    let report = lonely.pull_locked(&frozen(&other)).unwrap();
    let error = chain(&report.failed[0].error);
    assert!(
        error.contains("the copy of ") && error.contains(" is damaged"),
        "{error}"
    );
    assert_eq!(chain(&report.into_result().unwrap_err()), error);
    assert_eq!(other.listed().0, ["g/m v1"]);
}

#[test]
fn small_files_of_a_hub_come_from_a_mirror_of_it() {
    let (machine, _, commit) = Machine::with_whisper();
    lock(&machine.rack, &machine.manager(), &[WHISPER]);
    machine.hub.server().reset_counts();
    let other = elsewhere(&machine.rack);
    let mirror = Hub::start();
    let copy = mirror.repo("openai/whisper-tiny").commit("main", whisper());
    assert_eq!(copy, commit, "a commit is its content");
    machine
        .hub
        .server()
        .rule(Rule::path_ends("config.json").status(404));
    let config = other.bare_config().bootstrap(format!(
        "[sources.hf]\nhub = \"{}\"\n[sources.mirror]\nhub = \"{}\"\n",
        machine.hub.url(),
        mirror.url()
    ));
    let report = other
        .manager_of(config)
        .pull_locked(&frozen(&other))
        .unwrap();
    assert_installed(&report);
    other.assert_files(&format!("{WHISPER} main"), &whisper());
    assert_eq!((machine.hub.api_requests(), mirror.api_requests()), (0, 0));
}

#[test]
fn a_variable_that_keeps_one_source_offline_does_not_keep_the_next_one() {
    let (machine, ..) = Machine::with_whisper();
    // Once it is installed, the lock has a SHA-256 of every file, by which any source can serve it.
    machine.pull(WHISPER).unwrap();
    lock(&machine.rack, &machine.manager(), &[WHISPER]);
    let other = elsewhere(&machine.rack);
    let second = Rack::new();
    for (name, bytes) in whisper() {
        // A document by its own digest, as a mirror has small files.
        let how = Publication {
            chunk_bytes: bytes.len().max(1),
            ..Publication::default()
        };
        second.publish_as(
            &format!("part/{} v1", name.replace('/', "-")),
            &[(name, bytes)],
            &how,
        );
    }
    let config = other.bare_config().bootstrap(format!(
        "[sources.hf]\nhub = \"{}\"\n[sources.second]\nurl = \"{}\"\n",
        machine.hub.url(),
        second.server.url()
    ));
    let environment = other.environment().variable("HF_HUB_OFFLINE", "1");
    let manager = ModelManager::builder(config)
        .environment(environment)
        .build();
    machine.hub.server().reset_counts();
    let report = manager.pull_locked(&frozen(&other)).unwrap();
    assert_installed(&report);
    other.assert_files(&format!("{WHISPER} main"), &whisper());
    assert_eq!(machine.hub.server().connections(), 0);
}

#[test]
fn a_frozen_pull_keeps_what_the_lock_and_the_store_know_of_a_model() {
    let rack = Rack::new();
    let how = Publication {
        metadata: json!({"type": "classification", "tags": ["digits", "tiny"], "licence": "MIT"}),
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &sample(), &how);
    lock(&rack, &rack.manager(), &["g/m v1"]);
    let locked = Lock::read(&file(&rack)).unwrap();
    let model = locked.get(&model_ref("g/m v1")).unwrap();
    assert_eq!(model.model_type.as_deref(), Some("classification"));
    assert_eq!(model.tags, ["digits", "tiny"]);
    assert_eq!(Lock::parse(&locked.to_toml(), "again").unwrap(), locked);
    // Another description of the same files does not make it stale; it is taken over with an update.
    let other = Publication {
        metadata: json!({"type": "vision"}),
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &sample(), &other);
    lock(&rack, &rack.manager(), &["g/m v1"]);
    assert_eq!(Lock::read(&file(&rack)).unwrap(), locked);

    let report = rack.manager().pull_locked(&frozen(&rack)).unwrap();
    assert_installed(&report);
    let manager = rack.manager();
    let model = installed(&manager);
    assert_eq!(model.model_type.as_deref(), Some("classification"));
    assert_eq!(model.tags, ["digits", "tiny"]);

    // What is installed is known better: all metadata, and what somebody noted.
    rack.publish_as("g/m v1", &sample(), &how);
    let force = PullOptions::default().force(true);
    manager.pull(&address("g/m v1"), &force).unwrap();
    let note = Annotation::default().add_tags(["mine"]);
    manager.annotate(&address("g/m v1"), &note).unwrap();
    let options = frozen(&rack).pull(force);
    assert_installed(&manager.pull_locked(&options).unwrap());
    let model = installed(&manager);
    assert_eq!(model.tags, ["digits", "tiny", "mine"]);
    assert_eq!(model.metadata.to_map()["licence"], "MIT");
}

#[test]
fn a_mirror_that_lies_about_the_id_that_git_gives_a_file_is_refused() {
    let (machine, ..) = Machine::with_whisper();
    lock(&machine.rack, &machine.manager(), &[WHISPER]);
    let name = format!("{WHISPER} main");
    let locked = Lock::read(&file(&machine.rack)).unwrap();
    let locked = &locked.get(&model_ref(&name)).unwrap().files;
    let by_git = |path: &str| {
        let file = locked.iter().find(|file| file.path.as_str() == path);
        file.unwrap().git_blob.map(|id| id.to_string())
    };
    assert!(
        by_git("config.json").is_some(),
        "the lock knows it by nothing else"
    );
    let honest = whisper();
    let mut lying = honest.clone();
    let (_, bytes) = lying
        .iter_mut()
        .find(|(path, _)| *path == "config.json")
        .unwrap();
    *bytes = b"{\"layers\": 9}".to_vec();
    for (files, error) in [(&honest, None), (&lying, Some("the file 'config.json'"))] {
        // Chunks of every file, whose SHA-256 is right, and the id that git gives the file that is locked.
        let parts: Vec<(&str, &[u8])> = files.iter().map(|(path, it)| (*path, &**it)).collect();
        let mirror = Rack::new();
        let made = HandMade::plain(&parts, 1000).with(|manifest| {
            for (file, (path, bytes)) in manifest["files"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .zip(&parts)
            {
                file["sha256"] = json!(digest(bytes));
                file["git_blob"] = json!(by_git(path));
            }
        });
        made.serve_as(&mirror.server, "hf/openai", "whisper-tiny", "main");
        for is_frozen in [true, false] {
            let other = elsewhere(&machine.rack);
            let config = other.bare_config().registry_url(mirror.server.url());
            let options = frozen(&other).frozen(is_frozen);
            let report = other.manager_of(config).pull_locked(&options).unwrap();
            let Some(error) = error else {
                assert_installed(&report);
                other.assert_files(&name, files);
                continue;
            };
            assert_eq!(report.failed[0].error.code(), "HASH_MISMATCH");
            let refused = chain(&report.failed[0].error);
            assert!(refused.contains(error), "{refused}");
            assert_eq!(other.listed().0, Vec::<String>::new());
        }
    }
}
