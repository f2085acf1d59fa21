//! Bytes that are on this machine already: in the cache of the Hub's own tools, or under another name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use modelrack::{Manager, PullOptions, PullReport, RemoteOptions};

use crate::sources::hub::machine::{Machine, WHISPER, WHISPER_BYTES, whisper};
use crate::support::address;
use crate::support::disk::{files_below, flip, write_files};
use crate::support::platform::link_folder;

/// What the Hub's own tools call the bytes of a file of `openai/whisper-tiny`.
fn blobs(machine: &Machine) -> BTreeMap<String, String> {
    let detail = machine
        .manager()
        .remote_detail(&address(WHISPER), &RemoteOptions::default())
        .unwrap();
    let named = detail.files.iter().map(|file| {
        let blob = file.digest.unwrap().to_string();
        (file.path.to_string(), blob)
    });
    let blobs = named.collect();
    machine.hub.server().reset_counts();
    blobs
}

/// Fills a cache as `hf download` does; returns its folder of blobs.
fn fill(machine: &Machine, cache: &Path, names: &[&str]) -> PathBuf {
    let folder = cache.join("models--openai--whisper-tiny").join("blobs");
    let blobs = blobs(machine);
    for (name, bytes) in whisper() {
        if names.contains(&name) {
            write_files(&folder, &[(blobs[name].as_str(), &bytes)]);
        }
    }
    folder
}

/// Every file below a folder, with its bytes and when it was last changed.
fn state(folder: &Path) -> Vec<(String, Vec<u8>, SystemTime)> {
    let files = files_below(folder).into_iter();
    let with_time = files.map(|(name, bytes)| {
        let metadata = fs::metadata(folder.join(&name)).unwrap();
        (name, bytes, metadata.modified().unwrap())
    });
    with_time.collect()
}

/// Pulls with this folder as the home of the Hub's own tools.
fn pull_beside(machine: &Machine, home: &Path) -> PullReport {
    let environment = machine.rack.environment().variable("HF_HOME", home);
    machine
        .manager_in(environment)
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap()
}

#[test]
fn what_the_hub_s_own_tools_have_is_taken_from_there_and_left_as_it_is() {
    let all = [
        "README.md",
        "config.json",
        "model.safetensors",
        "onnx/model.onnx",
    ];
    for (variable, value, cache) in [
        ("HF_HOME", "{home}/hf", "hf/hub"),
        ("HF_HOME", "~/hf\n", "hf/hub"),
        ("HF_HUB_CACHE", "{home}/hf", "hf"),
        ("HF_HUB_CACHE", "~/hf", "hf"),
        ("HUGGINGFACE_HUB_CACHE", "$FOLDER/hf", "hf"),
        ("XDG_CACHE_HOME", "~/c", "c/huggingface/hub"),
        ("", "", ".cache/huggingface/hub"),
    ] {
        let (machine, _, _) = Machine::with_whisper();
        let home = machine.rack.temp.path().join("home");
        let value = value.replace("{home}", &home.to_string_lossy());
        let environment = machine.rack.environment().variable("FOLDER", &home);
        let environment = environment.variable(variable, value);
        let cache = cache.split('/').fold(home, |path, name| path.join(name));
        fill(&machine, &cache, &all);
        let before = state(&cache);
        let manager = machine.manager_in(environment);
        let plan = manager
            .plan_pull(&address(WHISPER), &PullOptions::default())
            .unwrap();
        assert_eq!((plan.bytes_to_fetch, plan.bytes_reused), (0, WHISPER_BYTES));
        machine.hub.server().reset_counts();
        let report = manager
            .pull(&address(WHISPER), &PullOptions::default())
            .unwrap();
        assert_eq!(
            (report.bytes_fetched, report.bytes_reused),
            (0, WHISPER_BYTES)
        );
        machine.assert_requests(&["/api/models/openai/whisper-tiny/revision/main"]);
        machine
            .rack
            .assert_files("hf/openai/whisper-tiny main", &whisper());
        assert_eq!(state(&cache), before, "{variable}");
        // The copy is our own: changing it changes nothing there.
        flip(&report.path.join("config.json"), 1);
        assert_eq!(state(&cache), before, "{variable}");
    }
}

#[test]
fn what_tools_of_other_registries_have_is_taken_from_there_and_left_as_it_is() {
    for store in [
        ".ollama/models/blobs/sha256-",
        ".docker/models/blobs/sha256/",
    ] {
        let (machine, _, _) = Machine::with_whisper();
        let home = machine.rack.temp.path().join("home");
        let detail = machine
            .manager()
            .remote_detail(&address(WHISPER), &RemoteOptions::default())
            .unwrap();
        let mut kept_bytes = 0;
        for (name, bytes) in whisper() {
            let file = detail.files.iter().find(|file| file.path.as_str() == name);
            // The Hub knows the SHA-256 of large files only.
            if let Some(digest) = file.unwrap().digest.unwrap().sha256() {
                write_files(&home, &[(format!("{store}{digest}").as_str(), &bytes)]);
                kept_bytes += bytes.len() as u64;
            }
        }
        assert!(kept_bytes > 0);
        let before = state(&home);
        let report = machine
            .manager_in(machine.rack.environment())
            .pull(&address(WHISPER), &PullOptions::default())
            .unwrap();
        assert_eq!(
            (report.bytes_fetched, report.bytes_reused),
            (WHISPER_BYTES - kept_bytes, kept_bytes),
            "{store}"
        );
        machine
            .rack
            .assert_files("hf/openai/whisper-tiny main", &whisper());
        flip(&report.path.join("model.safetensors"), 1);
        let after = state(&home).into_iter();
        let after = after.filter(|(name, ..)| name.starts_with(store.split_once('/').unwrap().0));
        assert!(after.eq(before), "{store}");
    }
}

#[test]
fn blobs_that_are_wrong_or_missing_come_over_the_network() {
    let (machine, _, _) = Machine::with_whisper();
    let home = machine.rack.temp.path().join("hf");
    let cache = home.join("hub");
    let folder = fill(
        &machine,
        &cache,
        &["README.md", "config.json", "model.safetensors"],
    );
    let blobs = blobs(&machine);
    flip(&folder.join(&blobs["config.json"]), 3);
    flip(&folder.join(&blobs["model.safetensors"]), 2999);
    // Shorter than it should be, as while it is downloaded.
    fs::write(folder.join(&blobs["README.md"]), "#").unwrap();
    fs::create_dir_all(folder.join(&blobs["onnx/model.onnx"])).unwrap();
    let before = state(&cache);
    pull_beside(&machine, &home);
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    assert_eq!(state(&cache), before);
    assert_eq!(machine.hub.server().count("/openai/"), 4);
}

#[test]
fn a_cache_without_links_is_taken_from_by_name_at_the_same_commit() {
    for linked in [false, true] {
        let (machine, _, commit) = Machine::with_whisper();
        let home = machine.rack.temp.path().join("hf");
        let repo = home
            .join("hub")
            .join("models--openai--whisper-tiny")
            .join("snapshots");
        let mut folder = repo.join(&commit);
        if linked {
            let elsewhere = machine.rack.temp.path().join("elsewhere");
            fs::create_dir_all(&repo).unwrap();
            fs::create_dir_all(&elsewhere).unwrap();
            if !link_folder(&elsewhere, &folder) {
                continue;
            }
            folder = elsewhere;
        }
        let files = whisper();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, &bytes[..]))
            .collect();
        write_files(&folder, &files);
        flip(&folder.join("onnx").join("model.onnx"), 7);
        fs::write(folder.join("README.md"), "#").unwrap();
        let before = state(&home);
        let report = pull_beside(&machine, &home);
        machine
            .rack
            .assert_files("hf/openai/whisper-tiny main", &whisper());
        // The damaged one was counted on; of the one that is too short nobody thought.
        assert_eq!(report.bytes_reused, WHISPER_BYTES - 10);
        assert_eq!(report.bytes_fetched, 2010);
        assert_eq!(state(&home), before);
    }
}

#[test]
fn names_at_another_commit_say_nothing() {
    let (machine, repo, first) = Machine::with_whisper();
    repo.commit_with("main", [("new.txt", "new")]);
    let home = machine.rack.temp.path().join("hf");
    let folder = home
        .join("hub")
        .join("models--openai--whisper-tiny")
        .join("snapshots")
        .join(first);
    write_files(&folder, &[("config.json", &b"{\"layers\": 4}"[..])]);
    let report = pull_beside(&machine, &home);
    assert_eq!(report.bytes_reused, 0);
}

#[test]
fn the_cache_of_another_repository_is_not_looked_at() {
    let (machine, _, _) = Machine::with_whisper();
    let home = machine.rack.temp.path().join("hf");
    let folder = fill(&machine, &home.join("hub"), &["config.json"]);
    let other = home.join("hub").join("models--openai--whisper");
    fs::rename(folder.parent().unwrap(), other).unwrap();
    let report = pull_beside(&machine, &home);
    assert_eq!(report.bytes_reused, 0);
}

#[test]
fn equal_files_of_other_models_and_names_are_not_fetched() {
    let (machine, _, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    machine.hub.server().reset_counts();
    let (_, weights) = whisper().swap_remove(2);
    let repo = machine.hub.repo("fork/whisper");
    repo.commit(
        "main",
        [
            ("renamed.safetensors", weights.clone()),
            ("copy.safetensors", weights),
            ("new.json", b"[]".to_vec()),
        ],
    );
    let report = machine.pull("hf/fork/whisper").unwrap();
    assert_eq!((report.bytes_fetched, report.bytes_reused), (2, 6000));
    assert_eq!(machine.requests().len(), 2);
}

#[test]
fn a_name_and_another_file_of_equal_bytes_come_once() {
    let machine = Machine::new();
    let repo = machine.hub.repo("o/twins");
    let files = [
        ("a.bin", vec![5; 5000]),
        ("b/c.bin", vec![5; 5000]),
        ("empty.txt", vec![]),
    ];
    repo.commit("main", files.clone());
    let report = machine.pull("hf/o/twins").unwrap();
    assert_eq!(report.bytes_fetched, 5000);
    machine.rack.assert_files("hf/o/twins main", &files);
    assert_eq!(machine.hub.server().count("/cdn/"), 1);
}
