//! Pulling a model that is served as it should be.

use std::fs;
use std::sync::Arc;

use modelrack::pull::PullOutcome;
use modelrack::{Manager, ManagerExt, PullOptions};
use serde_json::json;

use crate::support::rack::{CHUNK, Rack, sample};
use crate::support::recorder::Recorder;
use crate::support::registry::{HandMade, Publication, digest, serve_index};
use crate::support::{address, bytes};

#[test]
fn a_pulled_model_lies_in_its_folder_and_is_recorded() {
    let rack = Rack::new();
    let metadata =
        json!({"description": "d", "type": "classifier", "tags": ["a", "b"], "more": {"x": 1}});
    let options = Publication {
        metadata: metadata.clone(),
        ..Publication::default()
    };
    let published = rack.publish_as("g/m v1", &sample(), &options);
    let report = rack.pull("g/m v1").unwrap();
    assert_eq!(report.outcome, PullOutcome::Installed);
    assert_eq!(report.path, rack.dir_of("g/m v1"));
    assert_eq!(report.manifest_digest, published.manifest_digest);
    assert_eq!(
        (report.files, report.total_bytes),
        (3, published.total_bytes)
    );
    assert_eq!(report.bytes_fetched, published.total_bytes);
    assert_eq!((report.bytes_reused, report.bytes_resumed), (0, 0));
    assert!(report.files_unverified.is_empty());
    rack.assert_sample_installed();
    // The index, the manifest, and each chunk once.
    assert_eq!(rack.server.count("/models.json"), 1);
    assert_eq!(rack.data_requests().len(), 1 + published.chunks);
    assert_eq!(published.chunks, 11);

    let manifest = fs::read(report.path.join(".rack").join("manifest.json")).unwrap();
    let served = rack
        .registry()
        .join("data")
        .join(published.manifest_digest.to_string());
    assert_eq!(manifest, fs::read(served).unwrap());
    let record = rack.record();
    let entry = &record["g"]["m"]["v1"];
    assert_eq!(
        entry["manifest_hash"],
        published.manifest_digest.to_string()
    );
    assert_eq!(entry["total_size"], published.total_bytes);
    assert_eq!(entry["file_count"], 3);
    assert_eq!(entry["source"], "");
    assert_eq!(entry["type"], "classifier");
    assert_eq!(entry["tags"], json!(["a", "b"]));
    assert_eq!(entry["metadata"], metadata);
    let installed_at = entry["installed_at"].as_str().unwrap();
    assert!(
        installed_at.len() == 20 && installed_at.ends_with('Z'),
        "{installed_at}"
    );
    let store = rack.store();
    assert_eq!(
        fs::read(store.join("registry.json")).unwrap(),
        fs::read(store.join("registry.json.bak")).unwrap()
    );
}

#[test]
fn what_is_installed_already_is_not_fetched() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    manager.pull_model("g/m v1").unwrap();
    let before = rack.record();
    rack.server.reset_counts();
    let again = manager.pull_model("g/m v1").unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    assert_eq!((again.files, again.bytes_fetched), (3, 0));
    assert_eq!(rack.data_requests(), Vec::<String>::new());
    assert_eq!(rack.record(), before);
    let ensured = manager.ensure("g/m v1").unwrap();
    assert_eq!(ensured, rack.dir_of("g/m v1"));
    assert_eq!(
        rack.server.requests().len(),
        1,
        "asks for the index on a pull only"
    );
}

#[test]
fn a_missing_folder_is_pulled_again_and_a_broken_store_is_not() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let model = manager.pull_model("g/m v1").unwrap().model;
    assert!(manager.is_installed(&model).unwrap());
    fs::remove_dir_all(rack.dir_of("g/m v1")).unwrap();
    assert!(!manager.is_installed(&model).unwrap());
    let path = manager.ensure("g/m v1").unwrap();
    assert!(path.join("labels.txt").is_file());
    assert!(manager.is_installed(&model).unwrap());

    for name in ["registry.json", "registry.json.bak"] {
        fs::remove_file(rack.store().join(name)).unwrap();
        fs::create_dir(rack.store().join(name)).unwrap();
    }
    rack.server.reset_counts();
    // Windows says that a folder may not be opened as a file.
    let codes = ["STORAGE_ERROR", "PERMISSION_ERROR"];
    let error = manager.ensure("g/m v1").unwrap_err();
    assert!(codes.contains(&error.code()), "{error}");
    let error = manager.is_installed(&model).unwrap_err();
    assert!(codes.contains(&error.code()), "{error}");
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn the_only_version_needs_no_name_and_an_alias_is_followed() {
    let rack = Rack::new();
    let options = Publication {
        aliases: &["latest"],
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &sample(), &options);
    let report = rack.pull("g/m").unwrap();
    assert_eq!((report.model.version(), report.alias_of), ("v1", None));
    rack.server.reset_counts();
    let report = rack.pull("g/m latest").unwrap();
    assert_eq!(report.model.version(), "latest");
    assert_eq!(report.alias_of.as_deref(), Some("v1"));
    assert_eq!(
        report.bytes_fetched, 0,
        "all of it is there under the other name"
    );
    rack.assert_files("g/m latest", &sample());
    // The manifest is fetched, and nothing else.
    assert_eq!(rack.data_requests().len(), 1);
    assert_eq!(
        rack.pull("g/m@latest").unwrap().outcome,
        PullOutcome::AlreadyInstalled
    );
}

#[test]
fn several_versions_must_be_told_apart() {
    let rack = Rack::new();
    rack.publish("g/m v1", &sample());
    rack.publish("g/m v2", &sample());
    let error = rack.pull("g/m").unwrap_err();
    assert_eq!(error.code(), "INVALID_REF");
    let modelrack::ErrorKind::InvalidRef { choices, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(choices, &["g/m v1", "g/m v2"]);
    for (wanted, code) in [("g/n", "MODEL_NOT_FOUND"), ("g/m v3", "VERSION_NOT_FOUND")] {
        assert_eq!(rack.pull(wanted).unwrap_err().code(), code, "{wanted}");
    }
}

#[test]
fn files_of_every_size_in_every_folder_come_whole() {
    type Files = Vec<(&'static str, Vec<u8>)>;
    let cases: Vec<(&str, Files)> = vec![
        (
            "nothing but empty files",
            vec![("a", vec![]), ("b/c", vec![])],
        ),
        ("one byte", vec![("a", vec![7])]),
        (
            "empty files between others",
            vec![
                ("0", vec![]),
                ("a/b/c/d/e", bytes(3 * CHUNK, 2)),
                ("a/b/empty", vec![]),
                ("a/z", bytes(1, 3)),
                ("zz", vec![]),
            ],
        ),
        (
            "the same chunk many times",
            vec![
                ("zeros", vec![0; 20 * CHUNK + 5]),
                ("more", vec![0; 7 * CHUNK]),
            ],
        ),
        (
            "the same file many times",
            (0..20)
                .map(|i| {
                    let name: &str = [
                        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o",
                        "p", "q", "r", "s", "t",
                    ][i];
                    (name, bytes(700, 4))
                })
                .collect(),
        ),
        ("just a chunk", vec![("a", bytes(CHUNK, 5))]),
        (
            "names of every kind",
            vec![
                ("ä ö/日本.bin", bytes(10, 6)),
                (".hidden/x", bytes(10, 7)),
                ("a b+c&d#e%41", bytes(10, 8)),
            ],
        ),
    ];
    for (what, files) in cases {
        let rack = Rack::new();
        let published = rack.publish("g/m v1", &files);
        let report = rack
            .pull("g/m v1")
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(report.total_bytes, published.total_bytes, "{what}");
        rack.assert_files("g/m v1", &files);
        let mut asked = rack.chunk_requests(&[&published]);
        let requests = asked.len();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), requests, "{what}: a chunk is fetched twice");
        assert_eq!(
            report.bytes_fetched + report.bytes_reused,
            report.total_bytes,
            "{what}"
        );
        assert!(rack.cache().is_empty(), "{what}");
    }
}

#[test]
fn a_registry_without_the_additions_is_pulled() {
    let rack = Rack::new();
    // Files begin and end within chunks, and chunks span several files.
    let files: [(&str, &[u8]); 4] = [
        ("a", &bytes(1500, 1)),
        ("b/c", &bytes(10, 2)),
        ("empty", b""),
        ("d", &bytes(2400, 3)),
    ];
    HandMade::plain(&files, 1000).serve_as(&rack.server, "g", "m", "v1");
    let report = rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &files);
    assert!(
        report.files_unverified.is_empty(),
        "chunks cover every file"
    );
    assert_eq!(rack.data_requests().len(), 1 + 4);
    let options = PullOptions::default().require_hashes(true).force(true);
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
}

#[test]
fn chunks_may_differ_in_length() {
    let rack = Rack::new();
    let files: [(&str, &[u8]); 2] = [("a", &bytes(1500, 1)), ("d", &bytes(500, 3))];
    let made = HandMade::cut(&files, &[1, 999, 700, 300]).with(|manifest| {
        manifest["files"][0]["sha256"] = json!(digest(files[0].1));
        manifest["more"] = json!({"unknown": true});
    });
    made.serve_as(&rack.server, "g", "m", "v1");
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &files);
}

#[test]
fn digests_may_be_in_capitals() {
    let rack = Rack::new();
    let files: [(&str, &[u8]); 1] = [("a", &bytes(2500, 1))];
    let made = HandMade::plain(&files, 1000).with(|manifest| {
        for chunk in manifest["chunks"].as_array_mut().unwrap() {
            *chunk = json!(chunk.as_str().unwrap().to_uppercase());
        }
    });
    let hash = made.serve(&rack.server).to_uppercase();
    serve_index(&rack.server, &json!({"g": {"m": {"v1": {"hash": hash}}}}));
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &files);
    let recorded = rack.record()["g"]["m"]["v1"]["manifest_hash"].clone();
    assert_eq!(recorded, hash.to_lowercase());
}

#[test]
fn a_group_may_have_several_segments_or_none() {
    let rack = Rack::new();
    for model in ["a/b/c/m v1", "m v1", "cache/m v1", "g/m feature/x"] {
        rack.publish(model, &sample());
    }
    for model in ["a/b/c/m v1", "m v1", "cache/m v1", "g/m feature/x"] {
        let report = rack.pull(model).unwrap();
        assert_eq!(report.model.to_string(), model);
        assert!(report.path.starts_with(rack.store()));
        assert!(!report.path.starts_with(rack.store().join("cache")));
        assert!(report.path.join("weights").join("model.bin").is_file());
    }
    assert_eq!(rack.listed().0.len(), 4);
    assert!(rack.cache().is_empty());
}

#[test]
fn a_plan_says_what_a_pull_does_and_changes_nothing() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let options = PullOptions::default();
    let plan = manager.plan_pull(&address("g/m v1"), &options).unwrap();
    assert!(!plan.installed);
    assert_eq!((plan.files, plan.requests), (3, 11));
    assert_eq!(
        (plan.bytes_to_fetch, plan.bytes_reused),
        (plan.total_bytes, 0)
    );
    assert!(!rack.store().exists());
    manager.pull(&address("g/m v1"), &options).unwrap();
    let plan = manager.plan_pull(&address("g/m v1"), &options).unwrap();
    assert!(plan.installed);
    assert_eq!((plan.bytes_to_fetch, plan.requests), (0, 0));
}

#[test]
fn events_come_in_the_order_that_is_documented() {
    let rack = Rack::with_model();
    let recorder = Arc::new(Recorder::default());
    let manager = rack.manager_with(recorder.clone());
    manager.pull_model("g/m v1").unwrap();
    assert_eq!(
        recorder.story(),
        [
            "phase manifest",
            "phase chunks",
            "advanced",
            "phase extracting",
            "finished"
        ]
    );
    let Some(modelrack::ProgressEvent::Finished(end)) = recorder.events().pop() else {
        panic!("{:?}", recorder.events());
    };
    assert_eq!((end.files_total, end.files_done), (3, 3));
    assert_eq!((end.parts_total, end.parts_done), (11, 11));
    assert_eq!(end.bytes_done, end.total_bytes);
    assert_eq!(
        (end.bytes_network, end.bytes_in_flight),
        (end.total_bytes, 0)
    );

    // A handler of the call goes before the manager's own.
    let own = Arc::new(Recorder::default());
    let options = PullOptions::default().force(true).progress(own.clone());
    let before = recorder.events().len();
    manager.pull(&address("g/m v1"), &options).unwrap();
    assert_eq!(recorder.events().len(), before);
    assert_eq!(own.story().last().unwrap(), "finished");
}

#[test]
fn a_forced_pull_builds_a_new_copy_of_what_is_there() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    fs::write(rack.dir_of("g/m v1").join("stray.txt"), "mine").unwrap();
    rack.server.reset_counts();
    let options = PullOptions::default().force(true);
    let report = rack.manager().pull(&address("g/m v1"), &options).unwrap();
    assert_eq!(report.outcome, PullOutcome::Installed);
    assert_eq!(
        report.bytes_fetched, 0,
        "the bytes that are there are checked and taken"
    );
    assert_eq!(rack.data_requests(), Vec::<String>::new());
    rack.assert_sample_installed();
}

#[test]
fn the_number_of_workers_has_limits() {
    let rack = Rack::with_model();
    for workers in [0, 17] {
        let options = PullOptions::default().concurrency(workers);
        let error = rack
            .manager()
            .pull(&address("g/m v1"), &options)
            .unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT");
    }
    let options = PullOptions::default().concurrency(1);
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
    assert_eq!(rack.server.max_in_flight(), 1);
}
