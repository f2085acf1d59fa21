//! What takes space on the disk.

use std::fs;

use modelrack::installed::{ModelUsage, UsageOptions, UsageReport};
use modelrack::{Manager, ModelAddress};

use crate::support::disk::write_files;
use crate::support::platform::SYSTEM;
use crate::support::rack::{CHUNK, Rack, chunks_but};
use crate::support::{address, bytes};

/// More than a block of any file system.
const SIZE: usize = 100 * CHUNK;

/// Two models that are installed and one that is half pulled.
fn furnished() -> Rack {
    let rack = Rack::new();
    rack.publish("g/m v1", &[("a.bin", bytes(SIZE, 1))]);
    rack.publish(
        "g/n v1",
        &[("a.bin", bytes(2 * SIZE, 2)), ("b.bin", bytes(SIZE, 3))],
    );
    let broken = rack.publish("h/k v1", &[("k.bin", bytes(SIZE, 4))]);
    rack.pull("g/m v1").unwrap();
    rack.pull("g/n v1").unwrap();
    rack.server.rule(chunks_but(&[&broken]).nth(60).status(404));
    rack.pull("h/k v1").unwrap_err();
    rack.server.clear_rules();
    rack
}

fn usage(rack: &Rack, models: &[&str]) -> UsageReport {
    let models = models.iter().map(|model| address(model));
    let options = UsageOptions::default().models(models.collect::<Vec<ModelAddress>>());
    rack.manager().disk_usage(&options).unwrap()
}

fn names(entries: &[ModelUsage]) -> Vec<String> {
    entries.iter().map(|it| it.model.to_string()).collect()
}

#[test]
fn all_that_takes_space_is_in_the_sum() {
    let rack = furnished();
    rack.server.reset_counts();
    let report = usage(&rack, &[]);
    assert_eq!(rack.server.requests().len(), 0);
    assert_eq!(names(&report.models), ["g/m v1", "g/n v1"]);
    assert_eq!(names(&report.partials), ["h/k v1"]);
    let [m, n] = report.models.as_slice() else {
        panic!("{report:?}")
    };
    // Their own files are small.
    let is_about = |entry: &ModelUsage, size: usize| {
        let size = size as u64;
        (size..size + 64 * 1024).contains(&entry.bytes)
    };
    assert!(is_about(m, SIZE) && is_about(n, 3 * SIZE), "{report:?}");
    assert!(m.files < n.files && m.shared_bytes == 0, "{report:?}");
    assert_eq!(m.path, rack.dir_of("g/m v1"));
    assert!(report.partials[0].bytes > 0);
    assert_eq!(report.registries.len(), 1);
    assert!(report.other_bytes > 0, "the record");
    let parts = report.models.iter().chain(&report.partials);
    let parts: u64 = parts.map(|entry| entry.bytes).sum();
    let sum = parts + report.registries[0].bytes + report.other_bytes;
    assert_eq!(report.bytes, sum);
    // What an interrupted operation left.
    write_files(
        &rack.store().join("cache").join("debris"),
        &[("x", &bytes(SIZE, 5))],
    );
    let more = usage(&rack, &[]);
    assert!(more.bytes >= report.bytes + SIZE as u64, "{more:?}");
    assert_eq!(
        more.bytes - report.bytes,
        more.other_bytes - report.other_bytes
    );
}

#[test]
fn only_what_is_named_is_counted() {
    let rack = furnished();
    let report = usage(&rack, &["g/n", "h/k v1"]);
    assert_eq!(names(&report.models), ["g/n v1"]);
    assert_eq!(names(&report.partials), ["h/k v1"]);
    assert_eq!((report.registries.len(), report.other_bytes), (0, 0));
    let sum = report.models[0].bytes + report.partials[0].bytes;
    assert_eq!(report.bytes, sum);
    let options = UsageOptions::default().models([address("g/none")]);
    let error = rack.manager().disk_usage(&options).unwrap_err();
    assert_eq!(error.code(), "NOT_INSTALLED");
    // A folder that is gone takes nothing.
    fs::remove_dir_all(rack.dir_of("g/m v1")).unwrap();
    assert_eq!(usage(&rack, &["g/m"]).bytes, 0);
}

#[test]
fn a_file_with_several_names_is_counted_once() {
    let rack = furnished();
    let before = usage(&rack, &["g/m", "g/n"]);
    let [m, n] = ["g/m v1", "g/n v1"].map(|model| rack.dir_of(model));
    // One within a model, and one of another.
    fs::hard_link(m.join("a.bin"), m.join("again.bin")).unwrap();
    fs::hard_link(n.join("b.bin"), m.join("b.bin")).unwrap();
    let after = usage(&rack, &["g/m", "g/n"]);
    if SYSTEM == modelrack::config::System::Windows {
        return;
    }
    assert_eq!(after.bytes, before.bytes);
    let shared = after.models[0].shared_bytes;
    assert!(shared >= SIZE as u64, "{after:?}");
    assert_eq!(after.models[1].shared_bytes, shared);
    assert_eq!(after.models[0].bytes, before.models[0].bytes + shared);
    // Alone, it shares with nobody.
    let alone = usage(&rack, &["g/m"]);
    assert_eq!(
        (alone.bytes, alone.models[0].shared_bytes),
        (after.models[0].bytes, 0)
    );
}
