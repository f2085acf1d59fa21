//! A store that is damaged, unwritable or in the way.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use modelrack::installed::PruneOptions;
use modelrack::pull::PullOutcome;
use modelrack::{CancelToken, ListOptions, Manager, PullOptions, RemoteOptions, VerifyOptions};
use serde_json::json;

use crate::support::disk::names_in;
use crate::support::platform::{link_folder, read_only};
use crate::support::rack::{Rack, sample};
use crate::support::{PATIENCE, address, chain, in_background};

fn installed() -> Rack {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    rack.publish("h/n v1", &[("a", "1")]);
    rack.pull("h/n v1").unwrap();
    rack
}

#[test]
fn a_damaged_record_is_restored_and_kept_aside() {
    let garbage: [(&str, &[u8]); 5] = [
        ("garbage", &[0xff, 0xfe, 0x00]),
        ("cut short", br#"{"g":{"m":{"v1":{"manifest_hash":"#),
        ("empty", b""),
        ("another document", b"[]"),
        (
            "a wrong entry",
            br#"{"g":{"m":{"v1":{"manifest_hash":"abc"}}}}"#,
        ),
    ];
    for (what, bytes) in garbage {
        for backup in ["kept", "missing", "damaged too"] {
            if backup != "kept" && what != "cut short" {
                continue;
            }
            let rack = installed();
            let before = rack.record();
            let record = rack.store().join("registry.json");
            fs::write(&record, bytes).unwrap();
            match backup {
                "missing" => fs::remove_file(rack.store().join("registry.json.bak")).unwrap(),
                "damaged too" => fs::write(rack.store().join("registry.json.bak"), bytes).unwrap(),
                _ => {}
            }
            assert_eq!(
                rack.listed().0,
                ["g/m v1", "h/n v1"],
                "{what}, backup {backup}"
            );
            assert_eq!(rack.record(), before, "{what}, backup {backup}");
            let aside = rack.store().join("registry.json.damaged-1");
            assert_eq!(fs::read(aside).unwrap(), bytes, "{what}, backup {backup}");
            assert_eq!(
                fs::read(rack.store().join("registry.json.bak")).unwrap(),
                fs::read(&record).unwrap()
            );
            // And it is a store like any other.
            rack.manager()
                .remove(&address("h/n"), &CancelToken::new())
                .unwrap();
            assert_eq!(rack.listed().0, ["g/m v1"], "{what}, backup {backup}");
        }
    }
}

#[test]
fn a_record_that_is_gone_is_restored() {
    let rack = installed();
    let before = rack.record();
    fs::remove_file(rack.store().join("registry.json")).unwrap();
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
    assert_eq!(rack.record(), before);
}

#[test]
fn models_in_linked_groups_are_restored_and_circles_are_not_walked() {
    let rack = installed();
    let (store, disk) = (rack.store(), rack.temp.path().join("disk"));
    fs::create_dir(&disk).unwrap();
    fs::rename(store.join("g"), disk.join("g")).unwrap();
    if !link_folder(&disk.join("g"), &store.join("g")) {
        return;
    }
    fs::rename(store.join("h"), disk.join("h")).unwrap();
    fs::create_dir(store.join("h")).unwrap();
    assert!(link_folder(
        &disk.join("h").join("n"),
        &store.join("h").join("n")
    ));
    let circles = [
        (&store, store.join("h").join("store")),
        (&rack.temp.path().to_owned(), store.join("above")),
        (&disk.join("g"), disk.join("g").join("itself")),
        (&store.join("h"), disk.join("g").join("back")),
        (&disk.join("gone"), store.join("gone")),
    ];
    for (to, link) in circles {
        assert!(link_folder(to, &link));
    }
    let before = rack.record();
    fs::remove_file(store.join("registry.json.bak")).unwrap();
    fs::write(store.join("registry.json"), "{").unwrap();
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
    assert_eq!(rack.record(), before);
}

#[test]
fn what_is_not_on_disk_is_not_restored() {
    let rack = installed();
    fs::remove_dir_all(rack.dir_of("h/n v1")).unwrap();
    // A folder with nothing of ours is nobody's model.
    fs::create_dir_all(rack.store().join("x").join("y").join("z")).unwrap();
    fs::write(rack.store().join("x").join("y").join("z").join("file"), "1").unwrap();
    fs::write(rack.store().join("registry.json"), "{").unwrap();
    assert_eq!(rack.listed().0, ["g/m v1"]);
}

#[test]
fn damaged_records_are_all_kept_aside() {
    let rack = installed();
    for number in 1..=3 {
        fs::write(rack.store().join("registry.json"), format!("{number}")).unwrap();
        rack.listed();
        let aside = rack.store().join(format!("registry.json.damaged-{number}"));
        assert_eq!(fs::read_to_string(aside).unwrap(), number.to_string());
    }
}

#[test]
fn a_pull_into_a_damaged_store_loses_nothing() {
    let rack = installed();
    rack.publish("h/o v1", &[("b", "2")]);
    fs::write(rack.store().join("registry.json"), "").unwrap();
    rack.pull("h/o v1").unwrap();
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1", "h/o v1"]);
}

#[test]
fn a_store_that_cannot_be_written_says_so_and_can_still_be_read() {
    let rack = installed();
    rack.publish("h/o v1", &[("b", "2")]);
    let store = rack.store();
    let cache = store.join("cache");
    let (Some(_store), Some(_cache)) = (read_only(&store), read_only(&cache)) else {
        return;
    };
    let error = rack.pull("h/o v1").unwrap_err();
    assert_eq!(error.code(), "PERMISSION_ERROR", "{}", chain(&error));
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
    let error = rack
        .manager()
        .remove(&address("h/n"), &CancelToken::new())
        .unwrap_err();
    assert_eq!(error.code(), "PERMISSION_ERROR");
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
}

#[test]
fn a_file_in_place_of_a_folder_is_a_storage_error() {
    type Spoil = fn(&Rack, &Path);
    let cases: [(&str, Spoil); 5] = [
        ("the store", |_, store| fs::write(store, "x").unwrap()),
        ("the cache", |_, store| {
            fs::create_dir(store).unwrap();
            fs::write(store.join("cache"), "x").unwrap();
        }),
        ("the group", |_, store| {
            fs::create_dir(store).unwrap();
            fs::write(store.join("g"), "x").unwrap();
        }),
        ("the model", |_, store| {
            fs::create_dir_all(store.join("g")).unwrap();
            fs::write(store.join("g").join("m"), "x").unwrap();
        }),
        ("the record is a folder", |_, store| {
            fs::create_dir_all(store.join("registry.json")).unwrap()
        }),
    ];
    for (what, spoil) in cases {
        let rack = Rack::with_model();
        spoil(&rack, &rack.store());
        let error = rack.pull("g/m v1").unwrap_err();
        // Windows says that a folder may not be opened as a file.
        let codes = ["STORAGE_ERROR", "PERMISSION_ERROR"];
        assert!(codes.contains(&error.code()), "{what}: {}", chain(&error));
    }
    let rack = Rack::with_model();
    fs::write(rack.index_cache(), "x").unwrap();
    let error = rack
        .manager()
        .list_remote(&RemoteOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "STORAGE_ERROR", "{}", chain(&error));
}

#[test]
fn what_a_crash_left_half_done_is_finished_by_whoever_comes_next() {
    // As after a crash between writing the intent and moving the files.
    let rack = installed();
    let record = rack.record()["h"]["n"]["v1"].clone();
    let removal = rack.store().join("cache").join("0123456789abcdef-removed");
    fs::create_dir_all(&removal).unwrap();
    let intent = serde_json::json!({"group": "h", "model": "n", "version": "v1", "record": null});
    fs::write(removal.join("intent.json"), intent.to_string()).unwrap();
    assert_eq!(rack.listed().0, ["g/m v1"]);
    assert!(!rack.store().join("h").exists());
    assert!(rack.cache().is_empty(), "{:?}", rack.cache());

    // And between moving the files and recording them.
    let partial = rack
        .store()
        .join("cache")
        .join("0123456789abcdef-0123456789abcdef");
    let files = partial.join("files");
    fs::create_dir_all(files.join(".rack")).unwrap();
    fs::write(files.join("a"), "1").unwrap();
    fs::write(files.join(".rack").join("record.json"), record.to_string()).unwrap();
    let intent = serde_json::json!({"group": "h", "model": "n", "version": "v1", "record": record});
    fs::write(partial.join("intent.json"), intent.to_string()).unwrap();
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
    rack.assert_files("h/n v1", &[("a", "1")]);
    assert!(rack.cache().is_empty(), "{:?}", rack.cache());
}

#[test]
fn what_is_installed_needs_no_place_to_write_to() {
    let rack = installed();
    let cache = rack.store().join("cache");
    fs::remove_dir(&cache).unwrap();
    // Neither partials nor locks.
    fs::write(&cache, "a file").unwrap();
    let again = rack.pull("g/m v1").unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    let forced = PullOptions::default().force(true);
    let error = rack.manager().pull(&address("g/m v1"), &forced);
    assert_eq!(error.unwrap_err().code(), "STORAGE_ERROR");
}

/// Asks a manager of its own everything that changes nothing.
fn read_all(rack: &Rack) {
    let (manager, model) = (rack.manager(), address("g/m v1"));
    let listed = manager.list(&ListOptions::default()).unwrap();
    assert_eq!(listed.models[0].model.model(), "m");
    manager.get(&model).unwrap();
    manager.path(&model).unwrap();
    let verified = manager.verify(&VerifyOptions::default().model(model));
    assert!(verified.unwrap().models[0].is_whole());
}

#[test]
fn readers_wait_for_nobody() {
    type Damage = fn(&Path);
    let interrupt: Damage = |store| {
        let removal = store.join("cache").join("0123456789abcdef-removed");
        fs::create_dir_all(&removal).unwrap();
        let intent = json!({"group": "h", "model": "n", "version": "v1", "record": null});
        fs::write(removal.join("intent.json"), intent.to_string()).unwrap();
    };
    let damage: Damage = |store| fs::write(store.join("registry.json"), "[]").unwrap();
    for spoil in [interrupt, damage] {
        let rack = installed();
        let lock = fs::File::create(rack.store().join("registry.json.lock")).unwrap();
        lock.lock().unwrap();
        spoil(&rack.store());
        let rack = Arc::new(rack);
        let read = {
            let rack = rack.clone();
            in_background(move || read_all(&rack))
        };
        // Each would wait for as long.
        read.recv_timeout(PATIENCE).unwrap();
        drop(lock);
        read_all(&rack);
        assert!(rack.cache().is_empty(), "{:?}", rack.cache());
    }
}

#[test]
fn hostile_leftovers_in_the_cache_are_harmless() {
    let rack = installed();
    let cache = rack.store().join("cache");
    for (name, file, text) in [
        (
            "a",
            "intent.json",
            r#"{"group":"..","model":"..","version":"..","record":null}"#.to_owned(),
        ),
        ("b", "intent.json", "{".to_owned()),
        ("c", "partial.json", "[]".to_owned()),
        (
            "d",
            "intent.json",
            r#"{"group":"no","model":"such","version":"v","record":null}"#.to_owned(),
        ),
    ] {
        fs::create_dir_all(cache.join(name)).unwrap();
        fs::write(cache.join(name).join(file), text).unwrap();
    }
    fs::write(cache.join("stray"), "x").unwrap();
    let manager = rack.manager();
    assert_eq!(
        manager.list(&ListOptions::default()).unwrap().models.len(),
        2
    );
    manager
        .pull(&address("g/m v1"), &PullOptions::default().force(true))
        .unwrap();
    manager
        .prune(&manager.plan_prune(&PruneOptions::default()).unwrap())
        .unwrap();
    rack.assert_files("g/m v1", &sample());
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
    assert!(!names_in(&cache).contains(&"c".to_owned()));
}
