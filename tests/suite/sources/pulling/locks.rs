//! Locks of repositories: the commit or the release that files come from, whatever has become of the branch.

use std::path::PathBuf;

use modelrack::lock::{Lock, LockOptions, LockState, LockedModel, LockedOptions};
use modelrack::pull::{MatchingReport, PullOutcome};
use modelrack::{Manager, ModelManager, Result};

use super::zips::ALPHA;
use super::{Site, changed, inside, model};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile};
use crate::support::forge::zip;
use crate::support::rack::model_ref;
use crate::support::{address, bytes, chain};

const BRANCH: &str = "mf6/test/alpha develop";

fn files() -> Vec<NamedFile> {
    model(
        "alpha",
        &[("a.txt", b"a".to_vec()), ("b.bin", bytes(3000, 1))],
    )
}

fn file(site: &Site) -> PathBuf {
    site.rack.temp.path().join("models.lock")
}

fn lock(site: &Site, manager: &ModelManager, model: &str) -> LockedModel {
    let options = LockOptions::default().file(file(site));
    let report = manager.lock(&options.models([address(model)])).unwrap();
    assert!(matches!(report.entries[0].state, LockState::Added));
    let lock = Lock::read(&file(site)).unwrap();
    lock.get(&model_ref(model)).unwrap().clone()
}

fn pull(site: &Site, manager: &ModelManager, frozen: bool) -> Result<MatchingReport> {
    manager.pull_locked(&LockedOptions::default().file(file(site)).frozen(frozen))
}

#[track_caller]
fn assert_pulled(report: &MatchingReport, outcome: PullOutcome) {
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let outcomes: Vec<_> = report.pulled.iter().map(|pulled| pulled.outcome).collect();
    assert_eq!(outcomes, [outcome]);
}

#[test]
fn a_lock_holds_the_commit_of_a_branch() {
    let site = Site::of(&files(), |toml| toml);
    let commit = site.synced_commit();
    let locked = lock(&site, &site.manager(), BRANCH);
    assert_eq!(locked.commit(), Some(&*commit));
    // The branch moves on, and nothing is synced or even cached: the commit's files are asked for, and nothing else.
    let newer = changed(&files(), "alpha/a.txt", b"newer");
    site.commit("develop", &newer, ModelsToml::of(&newer));
    let manager = site.manager();
    manager.clear(&Default::default()).unwrap();
    site.forge.server().reset_counts();
    let report = pull(&site, &manager, true).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    site.assert_installed(BRANCH, "alpha", &files());
    assert_eq!(site.forge.server().requests().len(), 3);
    assert!(
        site.raw_requests()
            .iter()
            .all(|(asked, _)| *asked == commit)
    );
    assert_pulled(
        &pull(&site, &manager, true).unwrap(),
        PullOutcome::AlreadyInstalled,
    );
    let error = pull(&site, &manager, false).unwrap_err();
    assert_eq!(error.code(), "LOCK_STALE", "{error}");
}

#[test]
fn files_without_sizes_and_digests_get_them_once_they_are_installed() {
    let bare = |files: &[NamedFile]| {
        ModelsToml::of(files)
            .without_sizes()
            .hashes(Hashes::Missing)
    };
    let site = Site::new();
    site.commit("develop", &files(), bare(&files()));
    site.sync();
    let locked = lock(&site, &site.manager(), BRANCH);
    assert_eq!(locked.total_bytes, None);
    assert!(locked.files.iter().all(|file| file.checksum().is_none()));
    assert_pulled(
        &pull(&site, &site.manager(), true).unwrap(),
        PullOutcome::Installed,
    );
    site.assert_installed(BRANCH, "alpha", &files());
    let options = LockOptions::default().file(file(&site));
    let report = site.manager().lock(&options).unwrap();
    assert!(matches!(report.entries[0].state, LockState::Held));
    let learned = Lock::read(&file(&site)).unwrap();
    let learned = learned.get(&model_ref(BRANCH)).unwrap();
    let (files, mut stated) = (files(), Vec::new());
    stated.extend(inside("alpha", &files));
    stated.sort_unstable();
    for (locked, (name, bytes)) in learned.files.iter().zip(stated) {
        assert_eq!(locked.path.as_str(), name);
        assert_eq!(locked.sha256, Some(modelrack::Digest::of(bytes)), "{name}");
    }
    assert_pulled(
        &pull(&site, &site.manager(), false).unwrap(),
        PullOutcome::AlreadyInstalled,
    );
}

#[test]
fn a_lock_of_a_release_is_pulled_from_its_zip() {
    let site = Site::of_zip(zip(&files()), ModelsToml::of(&files()));
    let manager = site.manager_at(&["current"]);
    let locked = lock(&site, &manager, ALPHA);
    assert_eq!(locked.commit(), None);
    let text = Lock::read(&file(&site)).unwrap().to_toml();
    assert!(
        text.contains("release = { asset = \"models.zip\", tag = \"current\" }"),
        "{text}"
    );
    manager.clear(&Default::default()).unwrap();
    let report = pull(&site, &manager, true).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    site.rack.assert_files(ALPHA, &inside("alpha", &files()));
    assert!(
        site.asked("/o/models/releases/download/current/models.toml")
            .is_empty()
    );

    // Another zip of the same release has other bytes, which no lock takes.
    let cancel = modelrack::CancelToken::new();
    manager.remove(&address(ALPHA), &cancel).unwrap();
    let newer = changed(&files(), "alpha/a.txt", b"b");
    site.release(zip(&newer), ModelsToml::of(&newer));
    manager.clear(&Default::default()).unwrap();
    let report = pull(&site, &manager, true).unwrap();
    let error = chain(&report.failed[0].error);
    assert!(error.contains("a.txt"), "{error}");
    assert_eq!(site.rack.listed().0, Vec::<String>::new());
}
