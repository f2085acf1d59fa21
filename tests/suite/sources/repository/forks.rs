//! Repositories that no source names, and forks in place of those that one does.

use modelrack::{ClearOptions, Manager, PullOptions, SyncOptions};

use super::{
    Host, models_at, offered, offered_with, refs_key, state, sync, sync_with, tree, tree_of,
};
use crate::sources::repository::models::ModelsToml;
use crate::support::address;

fn of_repo(repo: &str) -> SyncOptions {
    SyncOptions::default().repo(repo)
}

fn of_repo_at(repo: &str, reference: &str) -> SyncOptions {
    of_repo(repo).reference(reference)
}

/// With the fork `me/models`, whose branch `develop` has another model and `fix` the three.
fn forked() -> Host {
    let host = Host::new();
    let fork = host.forge.repo("me/models");
    fork.commit("develop", tree_of(ModelsToml::new().model("mine", &[])));
    fork.commit("fix", tree());
    host
}

#[test]
fn a_repository_that_no_source_names_becomes_one() {
    let host = forked();
    let manager = host.manager_in(&host.source(&refs_key(&["develop"])), host.environment());
    assert_eq!(
        sync_with(&manager, &of_repo_at("me/models", "fix")),
        "synced me/models@fix version_controlled 3\n"
    );
    // The same manager knows it, and so does one that finds it in the cache.
    let later = host.manager_in(&host.source(&refs_key(&["develop"])), host.environment());
    for manager in [&manager, &later] {
        let sources = manager.sources().unwrap();
        let keys: Vec<_> = sources.iter().map(|source| source.key.as_str()).collect();
        assert_eq!(keys, ["testmodels", "me/models"]);
        assert_eq!(offered(manager), models_at("me/models", "fix"));
    }
    host.paths();
    for name in [
        "me/models@fix/test001a_Tharmonic",
        "me/models/ex-gwt-keating/flow",
    ] {
        let pulled = later.pull(&address(name), &PullOptions::default()).unwrap();
        assert_eq!(pulled.model.version(), "fix");
    }
    assert!(
        host.paths()
            .iter()
            .all(|path| path.starts_with("/me/models/raw/"))
    );
}

#[test]
fn it_stays_a_source_and_follows_its_refs_only() {
    let host = forked();
    let new_manager = || host.manager_in("", host.environment());
    sync_with(&new_manager(), &of_repo_at("me/models", "fix"));
    host.forge
        .repo("me/models")
        .commit("fix", tree_of(ModelsToml::new()));
    // An ordinary sync follows what is cached, and nothing that nobody asked for.
    assert_eq!(
        sync(&new_manager()),
        "synced me/models@fix version_controlled 0\n"
    );
    assert_eq!(sync(&new_manager()), "skipped me/models@fix up to date\n");
    let by_source = SyncOptions::default()
        .source("me/models")
        .reference("develop");
    assert!(sync_with(&new_manager(), &by_source).starts_with("synced"));
    assert!(sync_with(&new_manager(), &of_repo_at("me/models", "fix")).starts_with("skipped"));
    // Without a ref it is the default branch.
    assert!(
        sync_with(&new_manager(), &of_repo("me/models")).starts_with("skipped me/models@develop")
    );
    let sources = new_manager().sources().unwrap();
    let state = state(&sources[0]);
    assert_eq!((sources.len(), state.len()), (1, 2), "{state:?}");
    assert!(
        state
            .iter()
            .all(|line| line.contains(" extra me/models version_controlled "))
    );
    // Once it is cleared it is no source any more.
    let manager = new_manager();
    manager.clear(&ClearOptions::default()).unwrap();
    assert!(manager.sources().unwrap().is_empty());
    assert_eq!(sync(&manager), "CONFIG_ERROR no source is configured");
}

#[test]
fn a_fork_stands_in_for_a_source_until_the_next_ordinary_sync() {
    let host = forked();
    let manager = host.manager(&["develop"]);
    sync(&manager);
    let fork = of_repo_at("me/models", "develop").source("mf6/test");
    assert_eq!(
        sync_with(&manager, &fork),
        "synced mf6/test@develop version_controlled 1\n"
    );
    assert_eq!(offered(&manager), ["mf6/test/mine develop"]);
    assert!(state(&manager.sources().unwrap()[0])[0].starts_with("develop configured me/models "));
    assert_eq!(
        sync_with(&manager, &fork),
        "skipped mf6/test@develop up to date\n"
    );
    assert_eq!(
        sync(&manager),
        "synced mf6/test@develop version_controlled 3\n"
    );
    assert_eq!(offered(&manager), models_at("mf6/test", "develop"));
    // A ref that the configuration does not have stays what it is.
    let fix = of_repo_at("me/models", "fix").source("testmodels");
    assert!(sync_with(&manager, &fix).starts_with("synced mf6/test@fix"));
    assert!(sync(&manager).starts_with("skipped mf6/test@develop"));
    let mut both = models_at("mf6/test", "develop");
    both.extend(models_at("mf6/test", "fix"));
    both.sort();
    assert_eq!(offered(&manager), both);
    host.paths();
    manager
        .pull(
            &address("mf6/test@fix/ex-gwf-twri01"),
            &PullOptions::default(),
        )
        .unwrap();
    assert!(
        host.paths()
            .iter()
            .all(|path| path.starts_with("/me/models/raw/"))
    );
}

#[test]
fn without_a_ref_a_fork_has_those_of_its_source() {
    let host = forked();
    let manager = host.manager(&["develop", "fix"]);
    let fork = of_repo("me/models").source("testmodels");
    let told = sync_with(&manager, &fork);
    assert_eq!(told.matches("synced mf6/test@").count(), 2, "{told}");
    // By its own name a configured repository is that source.
    let told = sync_with(&manager, &of_repo("o/models"));
    assert!(told.starts_with("synced mf6/test@develop version_controlled 3\nfailed mf6/test@fix"));
    assert_eq!(manager.sources().unwrap().len(), 1);
}

#[test]
fn a_fork_by_overlay_hides_what_was_cached_of_the_other() {
    let host = forked();
    host.repo.commit("master", tree());
    let config =
        |repo: &str, refs: &[&str]| host.source_of("testmodels", "mf6/test", repo, &refs_key(refs));
    sync(&host.manager_of(&config("o/models", &["develop", "master"])));
    let fork = host.manager_of(&config("me/models", &["develop"]));
    let error = offered_with(&fork, &Default::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the registry of 'mf6/test' at develop has not been synced"
    );
    assert_eq!(
        state(&fork.sources().unwrap()[0]),
        ["develop configured missing"]
    );
    let error = fork.pull(
        &address("mf6/test@master/ex-gwf-twri01"),
        &PullOptions::default(),
    );
    assert_eq!(error.unwrap_err().code(), "NOT_SYNCED");
    assert_eq!(
        sync(&fork),
        "synced mf6/test@develop version_controlled 1\n"
    );
    assert_eq!(offered(&fork), ["mf6/test/mine develop"]);
    // And back: what was not touched is still there.
    let back = host.manager_of(&config("o/models", &["develop", "master"]));
    assert_eq!(offered(&back), models_at("mf6/test", "master"));
}

#[test]
fn what_cannot_be_forked_is_refused() {
    let host = forked();
    let url = host.forge.url();
    let fixed = format!(
        "{}\nraw = \"{url}/o/models/raw/{{ref}}/{{path}}\"",
        refs_key(&["develop"])
    );
    let chunked = format!("[sources.chunked]\nurl = \"{}\"\n", host.rack.server.url());
    let manager = host.manager_in(&(host.source(&fixed) + &chunked), host.environment());
    for (options, expected) in [
        (of_repo("models"), "repo: 'models' is not OWNER/NAME"),
        (of_repo("../../etc"), "repo: '../../etc' is not OWNER/NAME"),
        (
            of_repo("me/models").source("chunked"),
            "the source 'chunked' is not a repository",
        ),
        (
            of_repo("me/models").source("nobody"),
            "no source has the key or name 'nobody': expected chunked, mf6/test",
        ),
        (
            of_repo("me/models").source("testmodels"),
            "raw: lacks {repo}, so it serves 'o/models' and not 'me/models'",
        ),
    ] {
        assert_eq!(
            sync_with(&manager, &options),
            format!("INVALID_ARGUMENT {expected}")
        );
    }
    assert_eq!(host.paths(), Vec::<String>::new());
}
