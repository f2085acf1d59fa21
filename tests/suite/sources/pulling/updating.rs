//! Models whose repositories move on: what changed, and bringing just that in.

use modelrack::installed::{Change, Freshness, UpdateEntry};
use modelrack::{Manager, PullOptions, SyncOptions, UpdateOptions};

use super::{Site, changed, model};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile};
use crate::support::forge::zip;
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

const ALPHA: &str = "mf6/test/alpha develop";

fn alpha() -> Vec<NamedFile> {
    let files = [
        ("a", bytes(1000, 1)),
        ("b", bytes(2000, 2)),
        ("in/c", bytes(3000, 3)),
        ("old", bytes(4000, 4)),
    ];
    model("alpha", &files)
}

/// `alpha` with a file more, one less, and one with other bytes.
fn next() -> Vec<NamedFile> {
    let mut files = changed(&alpha(), "alpha/b", &bytes(2500, 22));
    files.retain(|(name, _)| name != "alpha/old");
    files.push(("alpha/in/new".to_owned(), bytes(700, 5)));
    files
}

fn check(site: &Site) -> Vec<UpdateEntry> {
    let options = UpdateOptions::default();
    site.manager().check_update(&options).unwrap().entries
}

fn change(entry: &UpdateEntry) -> &Change {
    match &entry.freshness {
        Freshness::Changed(change) => change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_branch_that_moved_is_synced_and_only_what_changed_is_fetched() {
    let changes: [fn(ModelsToml) -> ModelsToml; 2] = [|toml| toml, ModelsToml::without_sizes];
    for (number, alter) in changes.into_iter().enumerate() {
        let site = Site::of(&alpha(), alter);
        site.pull("mf6/test/alpha").unwrap();
        assert!(matches!(check(&site)[0].freshness, Freshness::UpToDate));
        let commit = site.commit("develop", &next(), alter(ModelsToml::of(&next())));
        site.forge.server().reset_counts();
        let entries = check(&site);
        let found = change(&entries[0]);
        assert_eq!(found.added, ["in/new"]);
        assert_eq!(found.changed, ["b"]);
        assert_eq!(found.removed, ["old"]);
        let unsized_files = [0, 2][number];
        assert_eq!(found.plan.files_unsized, unsized_files);
        assert_eq!(found.plan.bytes_to_fetch, [3200, 0][number]);
        assert!(site.raw().is_empty() || site.fetched() == [".registry/models.toml"]);
        // Checking changed nothing.
        site.assert_installed(ALPHA, "alpha", &alpha());

        site.forge.server().reset_counts();
        let report = site.manager().update(&UpdateOptions::default()).unwrap();
        let applied = report.entries[0].applied.as_ref().unwrap();
        assert_eq!(applied.bytes_fetched, 3200);
        let mut fetched = site.fetched();
        fetched.retain(|path| !path.starts_with(".registry"));
        assert_eq!(fetched, ["alpha/b", "alpha/in/new"]);
        site.assert_installed(ALPHA, "alpha", &next());
        let pin = &site.rack.record()["mf6/test"]["alpha"]["develop"]["pin"];
        assert_eq!(pin["commit"], *commit);
        assert!(matches!(check(&site)[0].freshness, Freshness::UpToDate));
    }
}

#[test]
fn a_branch_that_moved_elsewhere_changes_nothing_of_a_model_with_hashes() {
    let mut files = alpha();
    files.extend(model("beta", &[("x", bytes(10, 1))]));
    let site = Site::of(&files, |toml| toml);
    site.pull("mf6/test/alpha").unwrap();
    let moved = changed(&files, "beta/x", b"moved");
    let commit = site.commit("develop", &moved, ModelsToml::of(&moved));
    assert!(matches!(check(&site)[0].freshness, Freshness::UpToDate));
    site.forge.server().reset_counts();
    let report = site.manager().update(&UpdateOptions::default()).unwrap();
    assert!(matches!(report.entries[0].freshness, Freshness::UpToDate));
    assert!(site.raw().is_empty());
    let pin = &site.rack.record()["mf6/test"]["alpha"]["develop"]["pin"];
    assert_eq!(pin["commit"], *commit);
    site.assert_installed(ALPHA, "alpha", &files);
}

#[test]
fn a_branch_that_moved_may_have_changed_files_without_hashes() {
    let alters: [fn(ModelsToml) -> ModelsToml; 2] = [
        |toml| toml.hashes(Hashes::Missing),
        |toml| toml.hashes(Hashes::Missing).without_sizes(),
    ];
    for alter in alters {
        let site = Site::of(&alpha(), alter);
        site.pull("mf6/test/alpha").unwrap();
        // Of the same size, so that nothing in the registry tells.
        let moved = changed(&alpha(), "alpha/b", &bytes(2000, 77));
        site.commit("develop", &moved, alter(ModelsToml::of(&moved)));
        let entries = check(&site);
        let found = change(&entries[0]);
        assert_eq!(found.changed, ["a", "b", "in/c", "mfsim.nam", "old"]);
        assert!(found.added.is_empty() && found.removed.is_empty());
        site.manager().update(&UpdateOptions::default()).unwrap();
        site.assert_installed(ALPHA, "alpha", &moved);
        assert!(matches!(check(&site)[0].freshness, Freshness::UpToDate));
    }
}

#[test]
fn a_release_that_is_replaced_is_noticed() {
    let site = Site::new();
    site.repo.commit("develop", [("README.md", "x")]);
    let release = |files: &[NamedFile]| {
        let toml: Vec<u8> = ModelsToml::of(files).asset("models.zip").into();
        site.repo.release(
            "current",
            [("models.toml", toml), ("models.zip", zip(files))],
        );
    };
    release(&alpha());
    site.sync_at(&["current"]);
    // One manager all the while.
    let manager = site.manager_at(&["current"]);
    manager
        .pull(&address("mf6/test/alpha"), &PullOptions::default())
        .unwrap();
    release(&next());
    let report = manager.update(&UpdateOptions::default()).unwrap();
    let found = change(&report.entries[0]);
    assert_eq!(
        (&*found.added, &*found.removed),
        (&["in/new".to_owned()][..], &["old".to_owned()][..])
    );
    site.assert_installed("mf6/test/alpha current", "alpha", &next());
    // And where the zip is kept whole.
    site.forge
        .server()
        .rule(Rule::path_starts("/storage/").ignore_range());
    release(&alpha());
    manager.update(&UpdateOptions::default()).unwrap();
    site.assert_installed("mf6/test/alpha current", "alpha", &alpha());
}

#[test]
fn models_and_sources_that_are_gone() {
    let mut files = alpha();
    files.extend(model("beta", &[("x", bytes(10, 1))]));
    let site = Site::of(&files, |toml| toml);
    for model in ["mf6/test/alpha", "mf6/test/beta"] {
        site.pull(model).unwrap();
    }
    site.commit("develop", &alpha(), ModelsToml::of(&alpha()));
    site.forge.server().reset_counts();
    let entries = check(&site);
    assert!(matches!(entries[0].freshness, Freshness::UpToDate));
    assert!(matches!(entries[1].freshness, Freshness::Gone(_)));
    assert_eq!(
        site.asked("/o/models.git/info/refs").len() + site.asked("/o/models/info/refs").len(),
        1
    );
    assert_eq!(
        site.raw().len(),
        1,
        "the registry, once for all models of the ref"
    );
    let named = UpdateOptions::default().model(address("mf6/test/beta"));
    let error = site.manager().check_update(&named).unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
    // Applying leaves it.
    site.manager().update(&UpdateOptions::default()).unwrap();
    site.rack
        .assert_files("mf6/test/beta develop", &super::inside("beta", &files));

    // Without the source nothing can be told, and nothing is lost.
    let none = site.rack.manager_of(site.rack.bare_config());
    let report = none.check_update(&UpdateOptions::default());
    match report {
        Ok(report) => assert!(
            report
                .entries
                .iter()
                .all(|entry| matches!(entry.freshness, Freshness::Unknown(_) | Freshness::Gone(_))),
            "{report:?}"
        ),
        Err(error) => assert_eq!(error.code(), "CONFIG_ERROR"),
    }
    none.path(&address("mf6/test/alpha")).unwrap();
    assert_eq!(site.rack.listed().0.len(), 2);
}

#[test]
fn a_sync_that_fails_leaves_it_unknown_and_says_why() {
    let mut files = alpha();
    files.extend(model("beta", &[("x", bytes(10, 1))]));
    let site = Site::of(&files, |toml| toml);
    for model in ["mf6/test/alpha", "mf6/test/beta"] {
        site.pull(model).unwrap();
    }
    site.forge.server().rule(Rule::any().status(500));
    let entries = check(&site);
    let Freshness::Unknown(error) = &entries[0].freshness else {
        panic!("{entries:?}");
    };
    assert_eq!(error.code(), "NETWORK_ERROR", "{}", chain(error));
    assert!(matches!(entries[1].freshness, Freshness::Unknown(_)));
    let one = UpdateOptions::default().model(address("mf6/test/beta"));
    let error = site.manager().check_update(&one).unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR", "{}", chain(&error));
    site.forge.server().clear_rules();
    site.repo.delete_branch("develop");
    let entries = check(&site);
    let Freshness::Unknown(error) = &entries[0].freshness else {
        panic!("{entries:?}");
    };
    assert!(chain(error).contains("does not exist"), "{}", chain(error));
}

#[test]
fn offline_compares_with_what_is_cached() {
    let site = Site::of(&alpha(), ModelsToml::without_sizes);
    site.pull("mf6/test/alpha").unwrap();
    site.commit("develop", &next(), ModelsToml::of(&next()).without_sizes());
    site.forge.server().reset_counts();
    let offline = UpdateOptions::default().offline(true);
    let manager = site.manager();
    let report = manager.check_update(&offline).unwrap();
    assert!(matches!(report.entries[0].freshness, Freshness::UpToDate));
    assert_eq!(site.forge.server().connections(), 0);
    manager.sync(&SyncOptions::default()).unwrap();
    site.forge.server().reset_counts();
    let report = manager.check_update(&offline).unwrap();
    assert_eq!(change(&report.entries[0]).changed, ["b"]);
    assert_eq!(site.forge.server().connections(), 0);
    assert_eq!(manager.update(&offline).unwrap_err().code(), "OFFLINE");
    site.rack
        .assert_files(ALPHA, &super::inside("alpha", &alpha()));
}

#[test]
fn an_update_that_failed_keeps_the_old_state_and_goes_on_later() {
    for k in 1..=2 {
        let site = Site::of(&alpha(), ModelsToml::without_sizes);
        site.pull("mf6/test/alpha").unwrap();
        site.commit("develop", &next(), ModelsToml::of(&next()).without_sizes());
        let server = site.forge.server();
        server.rule(Rule::path_contains("/mf6/alpha/").nth(k).status(404));
        let options = UpdateOptions::default().concurrency(1);
        let error = site.manager().update(&options).unwrap_err();
        assert_eq!(error.code(), "NETWORK_ERROR");
        site.rack
            .assert_files(ALPHA, &super::inside("alpha", &alpha()));
        assert_eq!(site.rack.listed().0, [ALPHA]);
        server.reset_counts();
        site.manager().update(&options).unwrap();
        let asked = site.asked_for("alpha/b").len() + site.asked_for("in/new").len();
        assert_eq!(asked as u64, 3 - k);
        site.assert_installed(ALPHA, "alpha", &next());
    }
}

#[test]
fn a_commit_does_not_move() {
    let site = Site::new();
    let commit = site.commit("develop", &alpha(), ModelsToml::of(&alpha()));
    site.sync_at(&[&commit]);
    let manager = site.manager_at(&[&commit]);
    manager
        .pull(
            &address(&format!("mf6/test@{commit}/alpha")),
            &PullOptions::default(),
        )
        .unwrap();
    site.commit("develop", &next(), ModelsToml::of(&next()));
    site.forge.server().reset_counts();
    let report = manager.check_update(&UpdateOptions::default()).unwrap();
    assert!(matches!(report.entries[0].freshness, Freshness::UpToDate));
    assert_eq!(site.forge.server().connections(), 0);
}
