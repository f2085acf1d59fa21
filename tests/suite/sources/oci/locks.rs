//! Locks of artifacts: what is locked are the layers, and those are all that a frozen pull asks for.

use std::fs;
use std::path::PathBuf;

use modelrack::lock::{Lock, LockOptions, LockReport, LockState, LockedModel, LockedOptions};
use modelrack::manifest::ArchiveFormat;
use modelrack::pull::{MatchingReport, PullOutcome};
use modelrack::{CancelToken, Config, Digest, Manager, ModelManager, Result};

use super::layouts::{Folder, TAG, url};
use super::tars::packed;
use super::{LLAMA, Machine, llama};
use crate::support::address;
use crate::support::disk::files_below;
use crate::support::oci::{Artifact, Registry};
use crate::support::rack::{Rack, model_ref};
use crate::support::server::Rule;

const MODEL: &str = "oci/acme/llama q4";

fn file(rack: &Rack) -> PathBuf {
    rack.temp.path().join("models.lock")
}

fn options(rack: &Rack) -> LockOptions {
    LockOptions::default().file(file(rack))
}

fn lock(machine: &Machine, model: &str) -> LockedModel {
    lock_as(machine, options(&machine.rack).models([address(model)]))
}

fn lock_as(machine: &Machine, options: LockOptions) -> LockedModel {
    let report = machine.manager().lock(&options).unwrap();
    assert!(matches!(report.entries[0].state, LockState::Added));
    let lock = Lock::read(&file(&machine.rack)).unwrap();
    lock.get(&report.entries[0].model).unwrap().clone()
}

fn pull(rack: &Rack, manager: &ModelManager, frozen: bool) -> Result<MatchingReport> {
    manager.pull_locked(&LockedOptions::default().file(file(rack)).frozen(frozen))
}

#[track_caller]
fn assert_pulled(report: &MatchingReport, outcome: PullOutcome) {
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let outcomes: Vec<_> = report.pulled.iter().map(|pulled| pulled.outcome).collect();
    assert_eq!(outcomes, [outcome]);
}

fn check(machine: &Machine) -> LockReport {
    machine
        .manager()
        .check_lock(&options(&machine.rack))
        .unwrap()
}

/// Another machine with the same lock, and what it knows of sources.
fn elsewhere(machine: &Machine, bootstrap: &str) -> (Rack, Config) {
    let rack = Rack::new();
    fs::copy(file(&machine.rack), file(&rack)).unwrap();
    let config = rack.bare_config().bootstrap(bootstrap);
    (rack, config)
}

fn remove(machine: &Machine, model: &str) {
    let cancel = CancelToken::new();
    machine.manager().remove(&address(model), &cancel).unwrap();
}

#[test]
fn a_lock_of_a_tag_is_pulled_by_the_digests_of_its_layers() {
    let (machine, digest) = Machine::with_llama();
    let locked = lock(&machine, MODEL);
    assert_eq!(locked.commit(), Some(&*digest));
    assert_eq!(
        (locked.kind.as_str(), locked.source.as_str()),
        ("oci", "oci")
    );
    for (file, (name, bytes)) in locked.files.iter().zip(llama()) {
        assert_eq!(file.path.as_str(), name);
        assert_eq!(file.sha256, Some(Digest::of(&bytes)), "{name}");
        assert_eq!(
            (file.size_bytes, file.archive),
            (Some(bytes.len() as u64), None)
        );
    }

    // The tag moves on.
    let other = Artifact::model_pack(&[("model.gguf", "another")]);
    machine.registry.push(LLAMA, "q4", &other);
    assert!(check(&machine).is_stale());
    let error = pull(&machine.rack, &machine.manager(), false).unwrap_err();
    assert_eq!(error.code(), "LOCK_STALE", "{error}");
    machine.requests();
    let report = pull(&machine.rack, &machine.manager(), true).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    machine.assert_llama_installed(MODEL);
    let requests = machine.requests();
    let is_of_blob = |request: &String| request.starts_with("GET acme/llama/blobs/sha256:");
    assert!(requests.iter().all(is_of_blob), "{requests:?}");

    let report = pull(&machine.rack, &machine.manager(), true).unwrap();
    assert_pulled(&report, PullOutcome::AlreadyInstalled);
    assert_eq!(machine.requests(), Vec::<String>::new());
    // The tag comes back: the lock holds again, and there is nothing to do.
    machine
        .registry
        .push(LLAMA, "q4", &Artifact::model_pack(&llama()));
    assert!(!check(&machine).is_stale());
    let report = pull(&machine.rack, &machine.manager(), false).unwrap();
    assert_pulled(&report, PullOutcome::AlreadyInstalled);
}

#[test]
fn a_digest_is_locked_like_a_tag() {
    let (machine, digest) = Machine::with_llama();
    let locked = lock(&machine, &format!("oci/acme/llama@{digest}"));
    assert_eq!(locked.model.version(), digest);
    let report = pull(&machine.rack, &machine.manager(), true).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    assert_eq!(report.pulled[0].model, locked.model);
    let installed = files_below(&report.pulled[0].path);
    for (name, bytes) in llama() {
        assert_eq!(installed.get(name), Some(&bytes), "{name}");
    }
}

#[test]
fn tars_are_locked_as_they_come_and_unpacked_when_they_are_pulled() {
    let machine = Machine::new();
    let (artifact, files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    let locked = lock(&machine, MODEL);
    let formats = locked.files.iter().filter_map(|file| file.archive);
    let mut formats: Vec<&str> = formats.map(ArchiveFormat::as_str).collect();
    formats.sort_unstable();
    assert_eq!(formats, ["tar", "tar+gzip"]);
    assert!(locked.files.iter().all(|file| file.sha256.is_some()));
    let before = fs::read(file(&machine.rack)).unwrap();

    for frozen in [true, false] {
        let report = pull(&machine.rack, &machine.manager(), frozen).unwrap();
        assert_pulled(&report, PullOutcome::Installed);
        machine.rack.assert_files(MODEL, &files);
        assert_eq!(machine.rack.cache(), Vec::<String>::new());
        // What is there is what is locked, whichever way one looks.
        for frozen in [true, false] {
            let report = pull(&machine.rack, &machine.manager(), frozen).unwrap();
            assert_pulled(&report, PullOutcome::AlreadyInstalled);
        }
        assert!(!check(&machine).is_stale());
        let again = machine.manager().lock(&options(&machine.rack)).unwrap();
        assert!(matches!(again.entries[0].state, LockState::Held));
        assert_eq!(fs::read(file(&machine.rack)).unwrap(), before);
        remove(&machine, MODEL);
    }
}

#[test]
fn a_lock_keeps_what_is_wanted_of_a_tar() {
    let machine = Machine::new();
    let (artifact, files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    let some = options(&machine.rack).models([address(MODEL)]);
    lock_as(&machine, some.exclude(["weights/b.bin"]));
    let mut expected = files;
    expected.retain(|(name, _)| *name != "weights/b.bin");
    for frozen in [true, false] {
        let report = pull(&machine.rack, &machine.manager(), frozen).unwrap();
        assert_pulled(&report, PullOutcome::Installed);
        machine.rack.assert_files(MODEL, &expected);
        let report = pull(&machine.rack, &machine.manager(), true).unwrap();
        assert_pulled(&report, PullOutcome::AlreadyInstalled);
        remove(&machine, MODEL);
    }
}

#[test]
fn a_registry_that_is_not_configured_is_found_by_what_the_lock_says() {
    let (machine, _) = Machine::with_llama();
    let typed = format!("oci://{}/acme/llama:q4", machine.registry.host());
    let options = options(&machine.rack).models([address(&typed)]);
    machine.bare_manager().lock(&options).unwrap();
    for frozen in [true, false] {
        let (rack, config) = elsewhere(&machine, "");
        let manager = rack.manager_of(config);
        let report = pull(&rack, &manager, frozen).unwrap();
        assert_pulled(&report, PullOutcome::Installed);
        rack.assert_files(&report.pulled[0].model.to_string(), &llama());
        let checked = manager.check_lock(&super::locks::options(&rack)).unwrap();
        assert!(matches!(checked.entries[0].state, LockState::Held));
        // Without a lock, what is installed is locked.
        fs::remove_file(file(&rack)).unwrap();
        let again = manager.lock(&super::locks::options(&rack)).unwrap();
        assert!(
            matches!(again.entries[0].state, LockState::Added),
            "{again:?}"
        );
    }
}

#[test]
fn a_lock_is_pulled_from_another_registry_or_from_a_layout() {
    let machine = Machine::new();
    let (artifact, files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    lock(&machine, MODEL);
    let mirror = Registry::start();
    mirror.push(LLAMA, "other", &artifact);
    let gone = Registry::start();
    gone.server().rule(Rule::any().status(404));
    let (rack, config) = elsewhere(
        &machine,
        &format!(
            "[sources.oci]\noci = \"{}\"\n[sources.spare]\noci = \"{}\"\n",
            gone.url(),
            mirror.url()
        ),
    );
    let report = pull(&rack, &rack.manager_of(config), true).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    rack.assert_files(MODEL, &files);
    let asked = mirror.requests();
    assert!(
        asked.iter().all(|it| it.contains("/blobs/sha256:")),
        "{asked:?}"
    );

    let (rack, _) = elsewhere(&machine, "");
    let mut folder = Folder::new(rack.temp.path().join("stick"));
    folder.add(TAG, "anything", &artifact);
    let stick = format!(
        "[sources.stick]\noci = \"{}\"\n",
        url(&rack.temp.path().join("stick"))
    );
    let config = rack.bare_config().bootstrap(stick).offline(true);
    let report = pull(&rack, &rack.manager_of(config), true).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    rack.assert_files(MODEL, &files);
}

#[test]
fn a_layer_that_was_tampered_with_in_the_lock_is_refused() {
    let (machine, _) = Machine::with_llama();
    lock(&machine, MODEL);
    let good = fs::read_to_string(file(&machine.rack)).unwrap();
    let layer = Digest::of(&llama()[1].1).to_string();
    let bad = good.replace(&layer, &Digest::of(b"evil").to_string());
    assert_ne!(good, bad);
    fs::write(file(&machine.rack), bad).unwrap();
    let error = pull(&machine.rack, &machine.manager(), false).unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH", "{error}");
    let report = pull(&machine.rack, &machine.manager(), true).unwrap();
    assert_eq!(report.failed[0].error.code(), "NETWORK_ERROR");
    let bad = good.replace("repo = \"acme/llama\"", "repo = \"../acme/llama\"");
    assert_ne!(good, bad);
    let error = Lock::parse(&bad, "bad").unwrap_err();
    assert!(error.to_string().contains(".."), "{error}");
    assert_eq!(machine.rack.listed().0, Vec::<String>::new());
    assert!(
        Lock::parse(&good, "good")
            .unwrap()
            .get(&model_ref(MODEL))
            .is_some()
    );
}
