//! Stores that another program of the same layout wrote.

use std::fs;

use modelrack::installed::{Damage, Scope};
use modelrack::{CancelToken, ListOptions, Manager, VerifyOptions};
use serde_json::{Value, json};

use crate::support::address;
use crate::support::disk::{flip, write_files};
use crate::support::rack::{Rack, model_ref, sample};
use crate::support::registry::{HandMade, digest};

/// A store with `a/b/c/m v1`, as seed 003 lays it out: nothing but what its text names.
fn go_store(rack: &Rack) -> Value {
    let files: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("data/model.bin", &[7; 2500])];
    let manifest = HandMade::plain(&files, 1000).manifest.to_string();
    let dir = rack.dir_of("a/b/c/m v1");
    write_files(&dir, &files);
    write_files(&dir, &[(".rack/manifest.json", manifest.as_bytes())]);
    let record = json!({"a/b/c": {"m": {"v1": {
        "manifest_hash": digest(manifest.as_bytes()),
        "total_size": 2502,
        "file_count": 2,
        "installed_at": "2025-11-30T10:20:30.123456789+01:00",
    }}}});
    fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
    fs::create_dir_all(rack.store().join("cache").join("chunks")).unwrap();
    record
}

#[test]
fn a_store_of_another_program_is_read_and_verified() {
    let rack = Rack::new();
    go_store(&rack);
    let manager = rack.manager();
    let listing = manager.list(&ListOptions::default()).unwrap();
    let [model] = listing.models.as_slice() else {
        panic!("{listing:?}");
    };
    assert_eq!(model.model, model_ref("a/b/c/m v1"));
    assert_eq!((model.total_bytes, model.files), (2502, 2));
    assert_eq!((&model.source, &model.model_type), (&None, &None));
    let seconds = model
        .installed_at
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert_eq!(seconds, 1_764_494_430);
    let group = ListOptions::default().scope(Scope::Group("a/b".into()));
    assert_eq!(manager.list(&group).unwrap().models.len(), 1);
    assert_eq!(
        manager.path(&address("a/b/c/m")).unwrap(),
        rack.dir_of("a/b/c/m v1")
    );
    assert_eq!(manager.get(&address("a/b/c/m")).unwrap().files().len(), 2);

    let verified = manager.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.models[0].is_whole());
    assert_eq!(verified.models[0].bytes, 2502);
    flip(
        &rack.dir_of("a/b/c/m v1").join("data").join("model.bin"),
        1200,
    );
    let verified = manager.verify(&VerifyOptions::default()).unwrap();
    let damaged = &verified.models[0].damaged;
    assert_eq!((damaged.len(), damaged[0].damage), (1, Damage::WrongDigest));
    assert_eq!(damaged[0].path, "data/model.bin");
    assert_eq!(rack.server.requests().len(), 0);
}

#[test]
fn a_model_of_another_program_is_removed_with_the_folders_above_it() {
    let rack = Rack::new();
    go_store(&rack);
    let report = rack
        .manager()
        .remove(&address("a/b/c/m v1"), &CancelToken::new())
        .unwrap();
    assert_eq!(report.removed, [model_ref("a/b/c/m v1")]);
    assert_eq!(report.bytes_freed, 2502);
    assert_eq!(rack.record(), json!({}));
    assert!(!rack.store().join("a").exists());
    assert!(rack.store().join("cache").exists());
}

#[test]
fn what_is_not_understood_in_the_record_is_kept() {
    let rack = Rack::with_model();
    let mut record = go_store(&rack);
    record["a/b/c"]["m"]["v1"]["license"] = json!({"id": "MIT"});
    fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
    rack.pull("g/m v1").unwrap();
    let after = rack.record();
    assert_eq!(after["a/b/c"]["m"]["v1"]["license"], json!({"id": "MIT"}));
    assert_eq!(after["g"]["m"]["v1"]["file_count"], sample().len());
    assert_eq!(rack.listed().0, ["a/b/c/m v1", "g/m v1"]);
}

#[test]
fn an_entry_with_a_hostile_name_is_passed_over() {
    let rack = Rack::with_model();
    let mut record = go_store(&rack);
    let entry = record["a/b/c"]["m"]["v1"].clone();
    record["../.."] = json!({"m": {"v1": entry}});
    record["g"] = json!({"..": {"v1": entry}, "m": {"../../x": entry, "C:\\x": entry}});
    fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
    assert_eq!(rack.listed().0, ["a/b/c/m v1"]);
    rack.pull("g/m v1").unwrap();
    assert_eq!(rack.listed().0, ["a/b/c/m v1", "g/m v1"]);
    let kept = &rack.record()["../.."]["m"]["v1"];
    assert_eq!(
        kept["manifest_hash"], entry["manifest_hash"],
        "what another wrote stays"
    );
}
