//! Damage on disk: found, named, and repaired by fetching just that.

use std::fs;
use std::path::Path;

use modelrack::installed::Damage;
use modelrack::{Manager, VerifyOptions};

use crate::support::address;
use crate::support::disk::{flip, make_pipe};
use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::registry::Published;

fn installed() -> (Rack, Published) {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    rack.pull("g/m v1").unwrap();
    rack.server.reset_counts();
    (rack, published)
}

type Spoil = fn(&Path);

#[test]
fn every_kind_of_damage_is_found_and_repaired_by_its_own_bytes() {
    // What is done to the model, what is found, and how many chunks a repair fetches.
    type Found = &'static [(&'static str, Damage)];
    let cases: Vec<(&str, Spoil, Found, usize)> = vec![
        ("nothing", |_| {}, &[], 0),
        (
            "a missing file",
            |dir| fs::remove_file(dir.join("labels.txt")).unwrap(),
            &[("labels.txt", Damage::Missing)],
            1,
        ),
        (
            "a missing folder",
            |dir| fs::remove_dir_all(dir.join("weights")).unwrap(),
            &[("weights/model.bin", Damage::Missing)],
            10,
        ),
        (
            "a flipped byte",
            |dir| flip(&dir.join("weights").join("model.bin"), 5 * CHUNK + 1),
            &[("weights/model.bin", Damage::WrongDigest)],
            1,
        ),
        (
            "a shorter file",
            |dir| {
                let file = fs::OpenOptions::new()
                    .write(true)
                    .open(dir.join("weights").join("model.bin"))
                    .unwrap();
                file.set_len(9 * CHUNK as u64).unwrap();
            },
            &[("weights/model.bin", Damage::WrongSize)],
            1,
        ),
        (
            "a longer file",
            |dir| {
                let path = dir.join("config.json");
                let longer = fs::read_to_string(&path).unwrap() + "\n";
                fs::write(path, longer).unwrap();
            },
            &[("config.json", Damage::WrongSize)],
            0,
        ),
        (
            "a folder in place of a file",
            |dir| {
                fs::remove_file(dir.join("config.json")).unwrap();
                fs::create_dir(dir.join("config.json")).unwrap();
            },
            &[("config.json", Damage::Unreadable)],
            1,
        ),
        (
            "a pipe in place of a file",
            |dir| {
                fs::remove_file(dir.join("config.json")).unwrap();
                make_pipe(&dir.join("config.json"));
            },
            &[("config.json", Damage::Unreadable)],
            1,
        ),
        (
            "two damaged files",
            |dir| {
                flip(&dir.join("weights").join("model.bin"), 0);
                fs::write(dir.join("labels.txt"), "").unwrap();
            },
            &[
                ("labels.txt", Damage::WrongSize),
                ("weights/model.bin", Damage::WrongDigest),
            ],
            2,
        ),
    ];
    for (what, spoil, expected, chunks) in cases {
        let (rack, published) = installed();
        spoil(&rack.dir_of("g/m v1"));
        let report = rack.manager().verify(&VerifyOptions::default()).unwrap();
        let found: Vec<(&str, Damage)> = report.models[0]
            .damaged
            .iter()
            .map(|file| (file.path.as_str(), file.damage))
            .collect();
        assert_eq!(found, expected, "{what}");
        assert_eq!(report.models[0].is_whole(), expected.is_empty(), "{what}");
        assert_eq!(rack.server.connections(), 0, "{what}");

        let options = VerifyOptions::default().repair(true);
        let report = rack.manager().verify(&options).unwrap();
        assert!(report.models[0].is_whole(), "{what}");
        assert_eq!(
            report.models[0].repaired.is_some(),
            !expected.is_empty(),
            "{what}"
        );
        let asked = rack.chunk_requests(&[&published]);
        assert_eq!(asked.len(), chunks, "{what}");
        assert_eq!(
            rack.data_requests().len(),
            asked.len(),
            "{what}: the manifest is there"
        );
        rack.assert_sample_installed();
    }
}

#[test]
fn a_damaged_manifest_is_fetched_and_the_files_are_taken_as_they_are() {
    let cases: [(&str, Spoil, Damage); 3] = [
        (
            "missing",
            |path| fs::remove_file(path).unwrap(),
            Damage::Missing,
        ),
        ("changed", |path| flip(path, 10), Damage::WrongDigest),
        (
            "empty",
            |path| fs::write(path, "").unwrap(),
            Damage::WrongDigest,
        ),
    ];
    for (what, spoil, damage) in cases {
        let (rack, _) = installed();
        spoil(&rack.dir_of("g/m v1").join(".rack").join("manifest.json"));
        let report = rack.manager().verify(&VerifyOptions::default()).unwrap();
        let damaged = &report.models[0].damaged;
        assert_eq!(damaged.len(), 1, "{what}");
        assert_eq!(
            (damaged[0].path.as_str(), damaged[0].damage),
            (".rack/manifest.json", damage),
            "{what}"
        );
        assert_eq!(rack.listed().0, ["g/m v1"], "{what}");
        assert!(rack.manager().get(&address("g/m")).is_err(), "{what}");
        let options = VerifyOptions::default().repair(true);
        rack.manager().verify(&options).unwrap();
        rack.assert_sample_installed();
        rack.manager().get(&address("g/m")).unwrap();
    }
}

#[test]
fn what_is_repaired_is_what_was_installed_even_when_the_source_moved_on() {
    let (rack, published) = installed();
    rack.publish("g/m v1", &[("other", "x")]);
    flip(&rack.dir_of("g/m v1").join("weights").join("model.bin"), 0);
    rack.server.reset_counts();
    rack.manager()
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    rack.assert_sample_installed();
    assert_eq!(rack.data_requests().len(), 1);
    assert_eq!(rack.server.count("/models.json"), 0);
    assert_eq!(
        rack.record()["g"]["m"]["v1"]["manifest_hash"],
        published.manifest_digest.to_string()
    );
}

#[test]
fn a_repair_that_fails_leaves_what_is_there() {
    let (rack, published) = installed();
    let labels = rack.dir_of("g/m v1").join("labels.txt");
    fs::write(&labels, "mine").unwrap();
    rack.server.rule(chunks_but(&[&published]).status(404));
    let error = rack
        .manager()
        .verify(&VerifyOptions::default().repair(true))
        .unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert_eq!(fs::read(&labels).unwrap(), b"mine");
    let offline = VerifyOptions::default().repair(true).offline(true);
    assert_eq!(
        rack.manager().verify(&offline).unwrap_err().code(),
        "OFFLINE"
    );
    assert_eq!(rack.listed().0, ["g/m v1"]);
}

#[test]
fn a_folder_that_is_gone_is_damage_and_repaired() {
    let (rack, _) = installed();
    fs::remove_dir_all(rack.dir_of("g/m v1")).unwrap();
    assert_eq!(
        rack.manager().path(&address("g/m")).unwrap_err().code(),
        "STORAGE_ERROR"
    );
    let report = rack.manager().verify(&VerifyOptions::default()).unwrap();
    assert!(!report.models[0].is_whole());
    rack.manager()
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    rack.assert_sample_installed();
    // And without asking, by the next pull.
    fs::remove_dir_all(rack.dir_of("g/m v1")).unwrap();
    rack.pull("g/m v1").unwrap();
    rack.assert_sample_installed();
}

#[test]
fn one_model_or_all_are_verified() {
    let (rack, _) = installed();
    rack.publish("h/n v1", &[("a", "1")]);
    rack.pull("h/n v1").unwrap();
    let all = rack.manager().verify(&VerifyOptions::default()).unwrap();
    assert_eq!(all.models.len(), 2);
    let one = VerifyOptions::default().model(address("h/n"));
    assert_eq!(rack.manager().verify(&one).unwrap().models.len(), 1);
    let none = VerifyOptions::default().model(address("h/nothing"));
    assert_eq!(
        rack.manager().verify(&none).unwrap_err().code(),
        "NOT_INSTALLED"
    );
    let cancel = modelrack::CancelToken::new();
    cancel.cancel();
    let cancelled = VerifyOptions::default().cancel(cancel);
    assert_eq!(
        rack.manager().verify(&cancelled).unwrap_err().code(),
        "CANCELLED"
    );
}
