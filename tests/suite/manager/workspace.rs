//! Copying out, searching, listing, removing, pruning.

use std::fs;
use std::sync::Arc;

use modelrack::installed::{PruneOptions, PruneReport, Status};
use modelrack::{
    CancelToken, CopyOptions, ErrorKind, ListOptions, Manager, ManagerExt, ModelName, PullOptions,
    SearchOptions,
};
use serde_json::json;

use crate::support::disk::{files_below, names_in};
use crate::support::rack::{CHUNK, Rack, chunks_but, model_ref, sample};
use crate::support::registry::Publication;
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, address, in_background};

#[test]
fn a_copy_keeps_folders_and_leaves_out_what_is_the_store_s_own() {
    let rack = Rack::with_model();
    let to = rack.temp.path().join("work").join("space");
    let manager = rack.manager();
    let report = manager
        .copy(&address("g/m"), &to, &CopyOptions::default())
        .unwrap();
    assert!(report.pulled.is_some());
    assert_eq!((report.copied, report.unchanged), (3, 0));
    let there: Vec<(String, Vec<u8>)> = files_below(&to).into_iter().collect();
    assert_eq!(there, rack.files_of("g/m v1"));

    fs::write(to.join("mine.txt"), "mine").unwrap();
    rack.server.reset_counts();
    let again = manager
        .copy(&address("g/m"), &to, &CopyOptions::default())
        .unwrap();
    assert!(again.pulled.is_none());
    assert_eq!((again.copied, again.unchanged), (0, 3));
    assert_eq!(rack.server.connections(), 0);
    assert_eq!(fs::read(to.join("mine.txt")).unwrap(), b"mine");
}

#[test]
fn a_copy_over_other_bytes_is_refused_and_writes_nothing() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    manager.pull_model("g/m v1").unwrap();
    let to = rack.temp.path().join("work");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("labels.txt"), "mine").unwrap();
    let error = manager
        .copy(&address("g/m"), &to, &CopyOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "STORAGE_ERROR");
    assert!(crate::support::chain(&error).contains("labels.txt"));
    assert_eq!(names_in(&to), ["labels.txt"]);
    assert_eq!(fs::read(to.join("labels.txt")).unwrap(), b"mine");
    // Other bytes of the same length, too.
    fs::write(to.join("labels.txt"), "zero\nTWO\n").unwrap();
    assert!(
        manager
            .copy(&address("g/m"), &to, &CopyOptions::default())
            .is_err()
    );

    let force = CopyOptions::default().force(true);
    let report = manager.copy(&address("g/m"), &to, &force).unwrap();
    assert_eq!(report.copied, 3);
    assert_eq!(fs::read(to.join("labels.txt")).unwrap(), sample()[1].1);
    // A folder is not replaced, even so.
    fs::remove_file(to.join("labels.txt")).unwrap();
    fs::create_dir(to.join("labels.txt")).unwrap();
    assert_eq!(
        manager
            .copy(&address("g/m"), &to, &force)
            .unwrap_err()
            .code(),
        "STORAGE_ERROR"
    );
}

#[test]
fn a_copy_of_what_nobody_offers_is_not_made() {
    let rack = Rack::with_model();
    let to = rack.temp.path().join("work");
    let error = rack
        .manager()
        .copy(&address("g/x"), &to, &CopyOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
    assert!(!to.exists());
}

#[test]
fn a_search_finds_every_word_in_name_description_type_or_tags() {
    let rack = Rack::new();
    for (model, metadata) in [
        (
            "speech/whisper v1",
            json!({"description": "Hears words", "type": "asr", "tags": ["small", "EN"]}),
        ),
        (
            "vision/digits v1",
            json!({"description": "Reads digits", "tags": ["small"]}),
        ),
        ("vision/plain v1", json!({})),
    ] {
        let options = Publication {
            metadata: metadata.clone(),
            ..Publication::default()
        };
        rack.publish_as(model, &[("a", model)], &options);
    }
    rack.pull("speech/whisper v1").unwrap();
    let manager = rack.manager();
    for (query, expected) in [
        ("WHISPER", vec!["speech/whisper v1"]),
        ("small", vec!["speech/whisper v1", "vision/digits v1"]),
        ("small reads", vec!["vision/digits v1"]),
        ("asr en", vec!["speech/whisper v1"]),
        (
            "v1",
            vec!["speech/whisper v1", "vision/digits v1", "vision/plain v1"],
        ),
        ("nothing", vec![]),
    ] {
        let found = manager
            .search(query, &SearchOptions::default().remote(true))
            .unwrap();
        let names: Vec<String> = found
            .remote
            .iter()
            .map(|remote| remote.model.to_string())
            .collect();
        assert_eq!(names, expected, "{query}");
        assert!(found.installed.is_empty());
        let found = manager.search(query, &SearchOptions::default()).unwrap();
        let installed = expected.contains(&"speech/whisper v1");
        assert_eq!(found.installed.len(), usize::from(installed), "{query}");
    }
    let error = manager.search(" ", &SearchOptions::default()).unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    let types = ListOptions::default().model_type("asr");
    assert_eq!(manager.list(&types).unwrap().models.len(), 1);
    let types = ListOptions::default().model_type("other");
    assert_eq!(manager.list(&types).unwrap().models.len(), 0);
}

#[test]
fn removing_a_version_leaves_the_others() {
    let rack = Rack::new();
    for version in ["g/m v1", "g/m v2"] {
        rack.publish(version, &sample());
        rack.pull(version).unwrap();
    }
    let manager = rack.manager();
    let cancel = CancelToken::new();
    let error = manager.remove(&address("g/m"), &cancel).unwrap_err();
    assert_eq!(error.code(), "INVALID_REF");
    let report = manager.remove(&address("g/m v1"), &cancel).unwrap();
    assert_eq!(report.removed, [model_ref("g/m v1")]);
    assert_eq!(rack.listed().0, ["g/m v2"]);
    assert!(!rack.dir_of("g/m v1").exists());
    rack.assert_files("g/m v2", &sample());
    for gone in ["g/m v1", "g/x", "x"] {
        assert_eq!(
            manager.remove(&address(gone), &cancel).unwrap_err().code(),
            "NOT_INSTALLED"
        );
    }
    manager.remove(&address("g/m"), &cancel).unwrap();
    assert!(!rack.store().join("g").exists(), "empty folders go, too");
    assert!(rack.cache().is_empty());
}

#[test]
fn removing_all_versions_goes_on_past_a_failure() {
    let rack = Rack::new();
    for version in ["g/m v1", "g/m v2", "g/m v3"] {
        rack.publish(version, &sample());
        rack.pull(version).unwrap();
    }
    rack.publish("g/other v1", &sample());
    rack.pull("g/other v1").unwrap();
    // Where the second passes through, a file is in the way.
    let key = modelrack::Digest::of(b"g/m v2").to_string();
    let removal = rack
        .store()
        .join("cache")
        .join(format!("{}-removed", &key[..16]));
    fs::write(&removal, "in the way").unwrap();
    let name = ModelName::parse("g/m").unwrap();
    let error = rack
        .manager()
        .remove_all(&name, &CancelToken::new())
        .unwrap_err();
    let ErrorKind::Several { message, errors } = error.kind() else {
        panic!("{error:?}");
    };
    assert!(
        message.contains("g/m v2") && !message.contains("v3"),
        "{message}"
    );
    assert_eq!(errors.len(), 1);
    assert_eq!(error.code(), "STORAGE_ERROR");
    assert_eq!(rack.listed().0, ["g/m v2", "g/other v1"]);
    rack.assert_files("g/m v2", &sample());
    fs::remove_file(removal).unwrap();
    let report = rack
        .manager()
        .remove_all(&name, &CancelToken::new())
        .unwrap();
    assert_eq!(report.removed, [model_ref("g/m v2")]);
    let error = rack
        .manager()
        .remove_all(&name, &CancelToken::new())
        .unwrap_err();
    assert_eq!(error.code(), "NOT_INSTALLED");
}

fn prune(rack: &Rack) -> PruneReport {
    let manager = rack.manager();
    manager
        .prune(&manager.plan_prune(&PruneOptions::default()).unwrap())
        .unwrap()
}

#[test]
fn prune_removes_partials_but_not_one_in_use() {
    let rack = Rack::new();
    let first = rack.publish("g/m v1", &sample());
    let second = rack.publish("g/n v1", &[("n", vec![9; 3 * CHUNK])]);
    rack.server
        .rule(chunks_but(&[&first, &second]).nth(4).status(404));
    rack.manager()
        .pull(&address("g/m v1"), &PullOptions::default().concurrency(1))
        .unwrap_err();
    rack.server.clear_rules();
    let (under_way, go_on) = (Gate::new(), Gate::new());
    let open = under_way.clone();
    rack.server.rule(
        Rule::any()
            .and({
                let manifest = format!("/data/{}", second.manifest_digest);
                move |request| request.path.starts_with("/data/") && request.path != manifest
            })
            .on_request(move || open.open())
            .hold(&go_on),
    );
    let manager = Arc::new(rack.manager());
    let pulled = in_background({
        let manager = manager.clone();
        move || manager.pull_model("g/n v1").map(drop)
    });
    assert!(under_way.wait(PATIENCE));
    fs::create_dir(rack.store().join("cache").join("chunks")).unwrap();

    // Another process would see the same.
    for other in [manager.as_ref() as &dyn Manager, &rack.manager()] {
        let statuses: Vec<(String, Status)> = other
            .list(&ListOptions::default())
            .unwrap()
            .partials
            .into_iter()
            .map(|partial| (partial.model.to_string(), partial.status))
            .collect();
        assert_eq!(
            statuses,
            [
                ("g/m v1".into(), Status::Error),
                ("g/n v1".into(), Status::Downloading)
            ]
        );
        let plan = other.plan_prune(&PruneOptions::default()).unwrap();
        assert_eq!(plan.partials.len(), 1);
        assert_eq!(plan.partials[0].model, model_ref("g/m v1"));
        assert!(plan.bytes > 0);
        assert_eq!(plan.leftovers, [rack.store().join("cache").join("chunks")]);
    }
    let report = prune(&rack);
    assert_eq!(report.removed.partials.len(), 1);
    assert_eq!(report.in_use, [model_ref("g/n v1")]);
    go_on.open();
    pulled.recv_timeout(PATIENCE).unwrap().unwrap();
    rack.assert_files("g/n v1", &[("n", vec![9; 3 * CHUNK])]);
    assert_eq!(rack.listed(), (vec!["g/n v1".into()], vec![]));
    assert!(rack.cache().is_empty());
    assert_eq!(prune(&rack).removed.bytes, 0);
}

#[test]
fn prune_of_a_store_that_is_not_there_makes_none() {
    let rack = Rack::new();
    assert!(prune(&rack).removed.partials.is_empty());
    assert_eq!(rack.listed(), (vec![], vec![]));
    assert!(!rack.store().exists());
}

#[test]
fn models_whose_folders_would_lie_in_one_another_are_refused() {
    for (first, second) in [
        // A version's folder would be a model's, the other way round, and one that a system ignoring case mixes up.
        ("a/b c", "a/b/c v"),
        ("a/b/c v", "a/b c"),
        ("a/B v1", "A/b v1"),
        ("a/b v1", "a/b V1"),
    ] {
        let rack = Rack::new();
        rack.publish(first, &[("f", "1")]);
        rack.pull(first).unwrap();
        // Not in one index, where names that differ by case are refused.
        fs::remove_file(rack.registry().join("models.json")).unwrap();
        rack.publish(second, &[("f", "2")]);
        rack.server.reset_counts();
        let error = rack.pull(second).unwrap_err();
        assert_eq!(error.code(), "STORAGE_ERROR", "{first}, {second}");
        assert!(
            matches!(error.kind(), ErrorKind::Collision { .. }),
            "{error:?}"
        );
        assert_eq!(rack.data_requests(), Vec::<String>::new());
        assert_eq!(rack.listed(), (vec![first.to_owned()], vec![]));
        rack.assert_files(first, &[("f", "1")]);
    }
}
