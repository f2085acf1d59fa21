//! What a power cut may leave: a record that is right, and files that the disk never got.

use std::fs::{self, File};
use std::path::Path;

use modelrack::installed::Status;
use modelrack::pull::PullOutcome;
use modelrack::{
    CopyOptions, ErrorKind, ListOptions, Manager, ManagerExt, ModelManager, PullOptions,
    VerifyOptions,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::address;
use crate::support::disk::flip;
use crate::support::platform::link_folder;
use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::registry::Published;

const MODEL: &str = "g/m v1";

/// A manager that runs under a boot of the system.
fn under(boot: &str, rack: &Rack) -> ModelManager {
    ModelManager::builder(rack.config())
        .environment(rack.environment().boot(boot))
        .build()
}

/// A store with the sample that was installed under boot 1 and is not settled, on whatever system this is.
fn unsettled() -> (Rack, Published) {
    let rack = Rack::new();
    let published = rack.publish(MODEL, &sample());
    rack.pull(MODEL).unwrap();
    mark(&rack, "1");
    rack.server.reset_counts();
    (rack, published)
}

/// Records that the sample is unsettled since this boot.
fn mark(rack: &Rack, boot: &str) {
    change_entry(rack, |entry| entry["unsettled"] = json!(boot));
}

/// Records that the sample was installed long ago.
fn age(rack: &Rack) {
    change_entry(rack, |entry| {
        entry["installed_at"] = json!("2025-01-31T12:00:00Z")
    });
}

fn change_entry(rack: &Rack, change: impl FnOnce(&mut Value)) {
    let mut record = rack.record();
    change(&mut record["g"]["m"]["v1"]);
    fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
}

fn mark_of(rack: &Rack) -> Value {
    rack.record()["g"]["m"]["v1"]["unsettled"].clone()
}

fn status(manager: &dyn Manager) -> Status {
    let listing = manager.list(&ListOptions::default()).unwrap();
    assert_eq!(listing.models.len(), 1);
    listing.models[0].status
}

type Spoil = fn(&Path);

/// What a disk may have of the newest files, and how many chunks make it good.
const LOSSES: [(&str, Spoil, usize); 5] = [
    (
        "zeros in place of the last bytes",
        |dir| {
            let path = dir.join("weights").join("model.bin");
            let mut bytes = fs::read(&path).unwrap();
            bytes[7 * CHUNK..].fill(0);
            fs::write(path, bytes).unwrap();
        },
        3,
    ),
    (
        "zeros in place of all bytes",
        |dir| {
            for file in ["config.json", "labels.txt"] {
                let length = fs::metadata(dir.join(file)).unwrap().len();
                fs::write(dir.join(file), vec![0; length as usize]).unwrap();
            }
        },
        1,
    ),
    (
        "a shorter file",
        |dir| {
            let path = dir.join("weights").join("model.bin");
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(9 * CHUNK as u64).unwrap();
        },
        1,
    ),
    (
        "an empty file",
        |dir| fs::write(dir.join("labels.txt"), "").unwrap(),
        1,
    ),
    (
        "no file",
        |dir| fs::remove_file(dir.join("config.json")).unwrap(),
        1,
    ),
];

/// A rack whose store is on a file system that stays with its machine; `None` where there is no such, or no Linux.
fn on_a_fixed_disk() -> Option<(Rack, TempDir)> {
    let disk = tempfile::tempdir_in("/dev/shm").ok()?;
    let rack = Rack::with_model();
    fs::create_dir(disk.path().join("store")).unwrap();
    link_folder(&disk.path().join("store"), &rack.store()).then_some((rack, disk))
}

#[test]
fn a_pull_says_under_which_boot_it_left_the_files_to_the_system() {
    let Some((rack, _disk)) = on_a_fixed_disk() else {
        return;
    };
    let first = under("1", &rack);
    first.pull_model(MODEL).unwrap();
    assert_eq!(mark_of(&rack), "1");
    assert_eq!(status(&first), Status::Available);
    assert_eq!(status(&under("2", &rack)), Status::Unverified);
    // Nobody knows which boot this is.
    assert_eq!(status(&rack.manager()), Status::Unverified);
    // The record beside the files says so, too.
    fs::write(rack.store().join("registry.json"), "").unwrap();
    fs::remove_file(rack.store().join("registry.json.bak")).unwrap();
    assert_eq!(status(&under("2", &rack)), Status::Unverified);
    // A copy that is replaced would be gone by then.
    let force = PullOptions::default().force(true);
    first.pull(&address(MODEL), &force).unwrap();
    assert_eq!(mark_of(&rack), Value::Null);
}

#[test]
fn a_pull_waits_for_the_disk_where_boots_have_no_names_or_it_is_told_to() {
    let told = [(true, "0"), (false, "1")];
    for (durable, variable) in told {
        let Some((rack, _disk)) = on_a_fixed_disk() else {
            break;
        };
        let environment = rack.environment().boot("1");
        let manager = ModelManager::builder(rack.config().durable(durable))
            .environment(environment.variable("RACK_MODELS_DURABLE", variable))
            .build();
        manager.pull_model(MODEL).unwrap();
        assert_eq!(mark_of(&rack), Value::Null);
    }
    let rack = Rack::with_model();
    rack.pull(MODEL).unwrap();
    assert_eq!(mark_of(&rack), Value::Null);
    assert_eq!(status(&under("1", &rack)), Status::Available);
}

#[test]
fn what_is_lost_is_found_before_anybody_gets_the_files_and_only_that_is_fetched() {
    for (what, spoil, chunks) in LOSSES {
        let (rack, published) = unsettled();
        spoil(&rack.dir_of(MODEL));
        let manager = under("2", &rack);
        assert_eq!(status(&manager), Status::Unverified, "{what}");
        for error in [
            manager.path(&address(MODEL)).unwrap_err(),
            manager.get(&address(MODEL)).unwrap_err(),
        ] {
            let ErrorKind::Damaged {
                model,
                files,
                first,
            } = error.kind()
            else {
                panic!("{what}: {error:?}");
            };
            assert_eq!(*model, MODEL, "{what}");
            assert!(*files > 0 && sample().iter().any(|(name, _)| name == first));
        }
        assert!(!manager.is_installed(MODEL).unwrap(), "{what}");
        assert!(!manager.verify(&VerifyOptions::default()).unwrap().models[0].is_whole());
        assert_eq!(status(&manager), Status::Unverified, "{what}");
        assert_eq!(rack.server.connections(), 0, "{what}");

        let repair = VerifyOptions::default().repair(true);
        assert!(manager.verify(&repair).unwrap().models[0].is_whole());
        assert_eq!(rack.chunk_requests(&[&published]).len(), chunks, "{what}");
        assert_eq!(mark_of(&rack), Value::Null, "{what}");
        assert_eq!(status(&manager), Status::Available, "{what}");
        rack.assert_sample_installed();
    }
}

#[test]
fn what_brings_a_model_in_makes_good_what_is_lost() {
    type Bring = fn(&ModelManager, &Path);
    let ways: [(&str, Bring); 3] = [
        ("pull", |manager, _| {
            let pulled = manager.pull_model(MODEL).unwrap();
            assert_eq!(pulled.outcome, PullOutcome::Installed);
        }),
        ("ensure", |manager, _| {
            manager.ensure(MODEL).unwrap();
        }),
        ("copy", |manager, to| {
            let copied = manager.copy(&address(MODEL), to, &CopyOptions::default());
            assert!(copied.unwrap().pulled.is_some());
        }),
    ];
    for (what, spoil, chunks) in LOSSES {
        for (way, bring) in ways {
            let (rack, published) = unsettled();
            spoil(&rack.dir_of(MODEL));
            let manager = under("2", &rack);
            let plan = manager.plan_pull(&address(MODEL), &PullOptions::default());
            assert!(!plan.unwrap().installed, "{what}, {way}");
            rack.server.reset_counts();
            bring(&manager, &rack.temp.path().join("workspace"));
            let fetched = rack.chunk_requests(&[&published]).len();
            assert_eq!(fetched, chunks, "{what}, {way}");
            assert_eq!(mark_of(&rack), Value::Null, "{what}, {way}");
            assert_eq!(status(&manager), Status::Available, "{what}, {way}");
            rack.assert_sample_installed();
        }
    }
}

#[test]
fn a_model_that_has_lost_its_manifest_gets_it_again() {
    let (rack, published) = unsettled();
    let manifest = rack.dir_of(MODEL).join(".rack").join("manifest.json");
    let length = fs::metadata(&manifest).unwrap().len();
    fs::write(&manifest, vec![0; length as usize]).unwrap();
    let manager = under("2", &rack);
    manager.path(&address(MODEL)).unwrap_err();
    manager.pull_model(MODEL).unwrap();
    assert_eq!(
        rack.data_requests().len() - rack.chunk_requests(&[&published]).len(),
        1
    );
    assert_eq!(status(&manager), Status::Available);
    rack.assert_sample_installed();
}

#[test]
fn a_model_that_lost_nothing_is_verified_once() {
    type Use = fn(&ModelManager);
    let uses: [Use; 4] = [
        |manager| {
            manager.path(&address(MODEL)).unwrap();
        },
        |manager| {
            manager.get(&address(MODEL)).unwrap();
        },
        |manager| {
            let again = manager.pull_model(MODEL).unwrap();
            assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
        },
        |manager| {
            let report = manager.verify(&VerifyOptions::default()).unwrap();
            assert!(report.models[0].is_whole());
        },
    ];
    for first in uses {
        let (rack, published) = unsettled();
        first(&under("2", &rack));
        assert_eq!(mark_of(&rack), Value::Null);
        assert!(rack.chunk_requests(&[&published]).is_empty());
        let third = under("3", &rack);
        assert_eq!(status(&third), Status::Available);
        // Nobody looks at the bytes again.
        flip(&rack.dir_of(MODEL).join("labels.txt"), 0);
        third.path(&address(MODEL)).unwrap();
    }
}

#[test]
fn what_cannot_be_recorded_keeps_nobody_waiting() {
    let (rack, _) = unsettled();
    let lock = File::create(rack.store().join("registry.json.lock")).unwrap();
    lock.lock().unwrap();
    let manager = under("2", &rack);
    manager.path(&address(MODEL)).unwrap();
    assert_eq!(mark_of(&rack), "1");
    // This manager knows by now; another one does not.
    assert_eq!(status(&manager), Status::Available);
    flip(&rack.dir_of(MODEL).join("labels.txt"), 0);
    manager.path(&address(MODEL)).unwrap();
    under("2", &rack).path(&address(MODEL)).unwrap_err();
}

#[test]
fn a_model_settles_once_the_system_has_had_the_time_to_write_it() {
    let (rack, _) = unsettled();
    let manager = under("1", &rack);
    let pull = || manager.pull_model(MODEL).unwrap();
    assert_eq!(pull().outcome, PullOutcome::AlreadyInstalled);
    assert_eq!(mark_of(&rack), "1", "it was installed just now");
    age(&rack);
    manager.path(&address(MODEL)).unwrap();
    manager.list(&ListOptions::default()).unwrap();
    assert_eq!(mark_of(&rack), "1", "readers write nothing");
    assert_eq!(pull().outcome, PullOutcome::AlreadyInstalled);
    assert_eq!(mark_of(&rack), Value::Null);
    assert_eq!(status(&under("2", &rack)), Status::Available);

    mark(&rack, "1");
    rack.publish("g/n v1", &[("a", "1")]);
    manager.pull_model("g/n v1").unwrap();
    assert_eq!(mark_of(&rack), Value::Null, "along with another pull");
}

#[test]
fn who_verifies_a_model_settles_it_at_once() {
    let (rack, _) = unsettled();
    let manager = under("1", &rack);
    manager.verify(&VerifyOptions::default()).unwrap();
    assert_eq!(mark_of(&rack), Value::Null);
}

#[test]
fn what_cannot_be_synced_has_to_be_verified() {
    let (rack, published) = unsettled();
    age(&rack);
    // To a sync, a file that is gone is as good as one that cannot be written.
    fs::remove_file(rack.dir_of(MODEL).join("labels.txt")).unwrap();
    let manager = under("1", &rack);
    manager.pull_model(MODEL).unwrap();
    assert_eq!(status(&manager), Status::Unverified);
    manager.pull_model(MODEL).unwrap();
    assert_eq!(rack.chunk_requests(&[&published]).len(), 1);
    assert_eq!(status(&manager), Status::Available);
    rack.assert_sample_installed();
}

#[test]
fn an_unfinished_pull_of_another_boot_goes_on_with_what_digests_prove() {
    let rack = Rack::new();
    let published = rack.publish(MODEL, &sample());
    rack.server
        .rule(chunks_but(&[&published]).nth(6).status(404));
    let one = PullOptions::default().concurrency(1);
    let first = under("1", &rack);
    first.pull(&address(MODEL), &one).unwrap_err();
    rack.server.clear_rules();
    rack.server.reset_counts();
    // Two of five chunks did not reach the disk.
    let partial = rack.cache().pop().unwrap();
    let path = rack.store().join("cache").join(partial).join("files");
    let path = path.join("weights").join("model.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[..2 * CHUNK].fill(0);
    fs::write(path, bytes).unwrap();
    under("2", &rack).pull(&address(MODEL), &one).unwrap();
    assert_eq!(rack.chunk_requests(&[&published]).len(), 6 + 2);
    rack.assert_sample_installed();
}
