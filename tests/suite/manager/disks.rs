//! Stores that are spread over several file systems by links. Where the tests have one file system only, they do nothing.

use std::fs;
use std::path::Path;

use modelrack::installed::{Damage, PruneOptions};
use modelrack::pull::PullOutcome;
use modelrack::{CancelToken, Manager, PullOptions, UpdateOptions, VerifyOptions};
use tempfile::TempDir;

use crate::support::disk::{flip, names_in, other_disk};
use crate::support::platform::{link_file, link_folder};
use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::{address, chain};

/// A machine whose group `g` lies on another file system, with a registry that offers `g/m v1`.
fn spread() -> Option<(Rack, TempDir)> {
    let disk = other_disk()?;
    let rack = Rack::with_model();
    fs::create_dir_all(rack.store()).unwrap();
    link_folder(disk.path(), &rack.store().join("g")).then_some((rack, disk))
}

/// Nothing but models is on the disk, and no partial in the store.
#[track_caller]
fn assert_clean(rack: &Rack, disk: &Path, models: &[&str]) {
    assert_eq!(names_in(disk), models);
    for model in models {
        assert_eq!(names_in(&disk.join(model)), ["v1"]);
    }
    assert!(rack.cache().is_empty(), "{:?}", rack.cache());
}

#[test]
fn a_group_on_another_disk_is_a_group_like_any_other() {
    let Some((rack, disk)) = spread() else { return };
    let (manager, model) = (rack.manager(), address("g/m v1"));
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &sample());
    assert_clean(&rack, disk.path(), &["m"]);

    let mut files = sample();
    files[0].1 = b"{\"layers\": 3}".to_vec();
    rack.publish("g/m v1", &files);
    manager
        .update(&UpdateOptions::default().model(model.clone()))
        .unwrap();
    rack.assert_files("g/m v1", &files);
    assert_clean(&rack, disk.path(), &["m"]);

    let anew = manager.pull(&model, &PullOptions::default().force(true));
    assert_eq!(anew.unwrap().outcome, PullOutcome::Installed);
    flip(
        &rack.dir_of("g/m v1").join("weights").join("model.bin"),
        CHUNK + 1,
    );
    let report = manager.verify(&VerifyOptions::default().repair(true));
    let verified = &report.unwrap().models[0];
    assert_eq!(verified.damaged[0].damage, Damage::WrongDigest);
    let repaired = verified.repaired.as_ref().unwrap();
    assert_eq!(repaired.bytes_fetched, CHUNK as u64);
    rack.assert_files("g/m v1", &files);
    assert_clean(&rack, disk.path(), &["m"]);

    manager.remove(&model, &CancelToken::new()).unwrap();
    assert_eq!(rack.listed(), (vec![], vec![]));
    assert_clean(&rack, disk.path(), &[]);
}

#[test]
fn an_unfinished_pull_lies_where_the_model_will() {
    let Some((rack, disk)) = spread() else { return };
    let fail = || {
        let published = rack.publish("g/m v1", &sample());
        let rule = chunks_but(&[&published]).nth(6).status(404);
        rack.server.rule(rule);
        let options = PullOptions::default().concurrency(1);
        let failed = rack.manager().pull(&address("g/m v1"), &options);
        rack.server.clear_rules();
        failed.unwrap_err()
    };
    fail();
    let name = format!(".rack-{}", rack.cache()[0]);
    assert_eq!(names_in(disk.path()), [name.as_str()]);
    // Without a link: not every file system has them.
    let partial = rack.store().join("cache").join(&rack.cache()[0]);
    assert!(fs::symlink_metadata(&partial).unwrap().is_dir());
    assert_eq!(names_in(&disk.path().join(&name)), ["files"]);
    assert_eq!(rack.listed().1, ["g/m v1"]);
    let resumed = rack.pull("g/m v1").unwrap();
    assert!(resumed.bytes_resumed >= 4 * CHUNK as u64, "{resumed:?}");
    assert_clean(&rack, disk.path(), &["m"]);

    rack.manager()
        .remove(&address("g/m v1"), &CancelToken::new())
        .unwrap();
    fail();
    let manager = rack.manager();
    let pruned = manager
        .prune(&manager.plan_prune(&PruneOptions::default()).unwrap())
        .unwrap();
    assert_eq!(pruned.removed.partials.len(), 1);
    assert_clean(&rack, disk.path(), &[]);

    // Of one that a crash left without its record, too.
    fail();
    fs::remove_file(partial.join("partial.json")).unwrap();
    let pruned = manager
        .prune(&manager.plan_prune(&PruneOptions::default()).unwrap())
        .unwrap();
    assert_eq!(pruned.removed.leftovers.len(), 1);
    assert!(
        pruned.removed.bytes >= 4 * CHUNK as u64,
        "also beside the place"
    );
    assert_clean(&rack, disk.path(), &[]);
}

#[test]
fn a_group_may_move_to_another_disk_before_a_pull_goes_on() {
    let Some(disk) = other_disk() else { return };
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    rack.server
        .rule(chunks_but(&[&published]).nth(6).status(404));
    let options = PullOptions::default().concurrency(1);
    let failed = rack.manager().pull(&address("g/m v1"), &options);
    failed.unwrap_err();
    rack.server.clear_rules();
    if !link_folder(disk.path(), &rack.store().join("g")) {
        return;
    }
    let pulled = rack.pull("g/m v1").unwrap();
    assert!(pulled.bytes_fetched <= 7 * CHUNK as u64, "{pulled:?}");
    rack.assert_files("g/m v1", &sample());
    assert_clean(&rack, disk.path(), &["m"]);
}

#[test]
fn a_partial_whose_disk_is_away_is_in_nobody_s_way() {
    let Some((rack, disk)) = spread() else { return };
    let published = rack.publish("g/m v1", &sample());
    rack.server
        .rule(chunks_but(&[&published]).nth(6).status(404));
    rack.pull("g/m v1").unwrap_err();
    rack.server.clear_rules();
    fs::remove_dir_all(disk.path()).unwrap();
    fs::remove_file(rack.store().join("g")).unwrap();
    assert_eq!(rack.listed(), (vec![], vec![]));
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &sample());
}

#[test]
fn a_cache_on_another_disk_works_too() {
    let Some(disk) = other_disk() else { return };
    let rack = Rack::with_model();
    fs::create_dir_all(rack.store()).unwrap();
    if !link_folder(disk.path(), &rack.store().join("cache")) {
        return;
    }
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &sample());
    let manager = rack.manager();
    manager
        .remove(&address("g/m v1"), &CancelToken::new())
        .unwrap();
    assert!(rack.cache().is_empty(), "{:?}", rack.cache());
    let names = names_in(&rack.store());
    assert!(!names.iter().any(|name| name.starts_with('.')), "{names:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_found_out_before_anything_is_fetched() {
    let rack = Rack::with_model();
    fs::create_dir_all(rack.store()).unwrap();
    let group = rack.store().join("g");
    let fails = || {
        let error = rack.pull("g/m v1").unwrap_err();
        assert_eq!(error.code(), "STORAGE_ERROR", "{}", chain(&error));
        assert!(chain(&error).contains(group.to_str().unwrap()), "{error:?}");
        assert_eq!(rack.data_requests().len(), 1, "the manifest");
        rack.server.reset_counts();
    };
    fs::write(&group, "a file").unwrap();
    fails();
    fs::remove_file(&group).unwrap();
    let gone = rack.temp.path().join("unmounted");
    if link_folder(&gone, &group) {
        fails();
        assert!(rack.cache().is_empty(), "{:?}", rack.cache());
        // It is not made where a disk should be.
        assert!(!gone.exists());
    }
}

#[test]
fn a_record_that_is_a_link_stays_one() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let (record, elsewhere) = (rack.store().join("registry.json"), rack.temp.path());
    let target = elsewhere.join("synced.json");
    fs::rename(&record, &target).unwrap();
    if !link_file(&target, &record) {
        return;
    }
    rack.publish("h/n v1", &[("a", "1")]);
    rack.pull("h/n v1").unwrap();
    fs::write(&target, "{").unwrap();
    assert_eq!(rack.listed().0, ["g/m v1", "h/n v1"]);
    assert!(fs::symlink_metadata(&record).unwrap().is_symlink());
    let aside = fs::read_to_string(rack.store().join("registry.json.damaged-1"));
    assert_eq!(aside.unwrap(), "{");
    assert_eq!(fs::read(&record).unwrap(), fs::read(&target).unwrap());
}
