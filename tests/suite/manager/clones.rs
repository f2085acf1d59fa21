//! Whole files that the store has: cloned where the file system can, copied where it cannot, and checked all the same.

use std::fs;

use modelrack::installed::{UsageOptions, UsageReport};
use modelrack::{CancelToken, Manager, PullOptions};

use crate::support::disk::flip;
use crate::support::rack::{CHUNK, Rack, sample};
use crate::support::{address, bytes};

/// The sample and a file of its own, in an order that puts no file where it was in the sample.
fn related() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![("a/first.bin", bytes(3 * CHUNK, 7))];
    files.extend(sample());
    files
}

#[test]
fn what_is_taken_from_another_model_belongs_to_this_one_alone() {
    let rack = Rack::with_model();
    let from = rack.pull("g/m v1").unwrap().path.join("weights/model.bin");
    let mut permissions = fs::metadata(&from).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&from, permissions).unwrap();
    rack.publish("g/n v1", &related());
    let report = rack.pull("g/n v1").unwrap();
    assert!(report.bytes_reused >= 9 * CHUNK as u64, "{report:?}");
    rack.assert_files("g/n v1", &related());
    let file = report.path.join("weights/model.bin");
    assert!(!fs::metadata(&file).unwrap().permissions().readonly());
    flip(&file, 5);
    rack.assert_files("g/m v1", &sample());
}

#[test]
fn what_is_damaged_there_comes_over_the_network() {
    let rack = Rack::with_model();
    let folder = rack.pull("g/m v1").unwrap().path;
    flip(&folder.join("weights/model.bin"), 5 * CHUNK);
    let other = rack.publish("g/n v1", &related());
    rack.server.reset_counts();
    let report = rack.pull("g/n v1").unwrap();
    rack.assert_files("g/n v1", &related());
    let own = 3 * CHUNK as u64;
    assert!(report.bytes_fetched > own, "{report:?}");
    assert!(report.bytes_fetched <= own + 2 * CHUNK as u64, "{report:?}");
    assert!(rack.chunk_requests(&[&other]).len() <= 5);
}

#[test]
fn a_pull_that_ended_among_clones_is_resumed() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let other = rack.publish("g/n v1", &related());
    rack.server
        .rule(crate::support::rack::chunks_but(&[&other]).status(404));
    rack.pull("g/n v1").unwrap_err();
    // As a crash leaves it: one clone on its way, and nothing in the journal of those that arrived.
    for name in rack.cache() {
        let folder = rack.store().join("cache").join(name);
        if folder.is_dir() {
            fs::write(folder.join("clone"), "half").unwrap();
            fs::write(folder.join("journal"), "").unwrap();
        }
    }
    rack.server.clear_rules();
    rack.pull("g/n v1").unwrap();
    rack.assert_files("g/n v1", &related());
    assert!(rack.cache().is_empty());
}

#[test]
fn a_forced_pull_of_what_is_damaged_mends_it() {
    let rack = Rack::with_model();
    let folder = rack.pull("g/m v1").unwrap().path;
    flip(&folder.join("weights/model.bin"), 0);
    flip(&folder.join("config.json"), 0);
    let options = PullOptions::default().force(true);
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
    rack.assert_sample_installed();
}

#[test]
fn blocks_that_clones_share_are_counted_once() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    rack.publish("g/n v1", &related());
    rack.publish("h/o v1", &related());
    rack.pull("g/n v1").unwrap();
    let list = rack.dir_of("g/n v1").join(".rack").join("clones.json");
    if !list.is_file() {
        // This file system cannot clone.
        return;
    }
    // Most likely of what was cloned itself.
    rack.pull("h/o v1").unwrap();
    let usage = |models: &[&str]| {
        let models: Vec<_> = models.iter().map(|model| address(model)).collect();
        let options = UsageOptions::default().models(models);
        rack.manager().disk_usage(&options).unwrap()
    };
    let sizes: Vec<u64> = sample()
        .iter()
        .map(|(_, bytes)| bytes.len() as u64)
        .collect();
    let whole: u64 = sizes.iter().sum();
    let sum = |report: &UsageReport| -> u64 { report.models.iter().map(|model| model.bytes).sum() };
    let all = usage(&["g/m", "g/n", "h/o"]);
    assert!(
        all.models.iter().all(|it| it.shared_bytes >= whole),
        "{all:?}"
    );
    assert!(sum(&all) - all.bytes >= 2 * whole, "{all:?}");
    // What is left of them shares still.
    let cancel = CancelToken::new();
    rack.manager().remove(&address("g/m v1"), &cancel).unwrap();
    let rest = usage(&["g/n", "h/o"]);
    assert!(sum(&rest) - rest.bytes >= whole, "{rest:?}");
    // What is written is no clone any more.
    flip(&rack.dir_of("g/n v1").join("weights/model.bin"), 0);
    let less = usage(&["g/n", "h/o"]);
    let written = 10 * CHUNK as u64 - 100;
    assert!(less.bytes >= rest.bytes + written, "{less:?}");
}
