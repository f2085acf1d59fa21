//! A registry as a value: as it is served now, as it is cached, and in a file of one's own.

use std::fs;

use modelrack::remote::{self, DiscoverOptions};
use modelrack::{ClearOptions, Manager};

use super::{Host, MODELS, advertisement, assets, raw, refs_key, registry, release, sync, tree_of};
use crate::sources::repository::models::ModelsToml;

#[test]
fn a_registry_is_discovered_with_its_url_and_nothing_is_kept() {
    let host = Host::new();
    let commit = host.repo.commit("develop", super::tree());
    let manager = host.manager(&["develop", "master"]);
    let options = DiscoverOptions::default().source("testmodels");
    let found = manager.discover(&options.clone().reference("develop"));
    let found = found.unwrap();
    assert_eq!(
        (found.source.as_str(), found.name.as_str()),
        ("testmodels", "mf6/test")
    );
    assert_eq!(
        (found.reference.as_str(), found.mode.as_str()),
        ("develop", "version_controlled")
    );
    assert_eq!(found.commit.as_deref(), Some(&*commit));
    let place = raw(&commit);
    assert_eq!(
        found.url.to_string(),
        format!("{}{place}", host.forge.url())
    );
    assert!(found.registry.models().keys().eq(MODELS));
    assert_eq!(found.registry.text().as_bytes(), Vec::from(registry()));
    assert_eq!(
        host.paths(),
        [release("develop"), advertisement("o/models"), place]
    );
    assert!(
        manager
            .plan_clear(&ClearOptions::default())
            .unwrap()
            .registries
            .is_empty()
    );

    // The default branch, where several refs are configured; a release.
    let found = manager
        .discover(&options.clone().source("mf6/test"))
        .unwrap();
    assert_eq!(found.reference, "develop");
    host.repo.release("v1", assets());
    let found = manager.discover(&options.clone().reference("v1")).unwrap();
    assert_eq!((found.mode.as_str(), found.commit), ("release", None));
    assert!(
        found
            .url
            .to_string()
            .ends_with("/releases/download/v1/models.toml"),
        "{}",
        found.url
    );
    // Another repository.
    let fork = host.forge.repo("me/fork");
    fork.commit("main", tree_of(ModelsToml::new()));
    let found = manager.discover(&options.repo("me/fork")).unwrap();
    assert!(found.registry.models().is_empty());
    assert_eq!(
        (found.source.as_str(), found.reference.as_str()),
        ("testmodels", "main")
    );
}

#[test]
fn what_cannot_be_discovered_is_said() {
    let host = Host::new();
    let keys = refs_key(&["develop"]);
    let chunked = "[sources.weights]\nurl = \"http://127.0.0.1:1\"\n";
    let manager = host.manager_of(&(host.source(&keys) + chunked));
    let options = DiscoverOptions::default();
    let testmodels = options.clone().source("testmodels");
    for (options, code, expected) in [
        (options.clone(), "INVALID_ARGUMENT", "no source is named"),
        (
            options.clone().source("weights"),
            "INVALID_ARGUMENT",
            "the source 'weights' is not a repository",
        ),
        (
            options.source("test"),
            "INVALID_ARGUMENT",
            "no source has the key or name 'test'",
        ),
        (
            testmodels.clone().reference("a\\b"),
            "INVALID_REF",
            "is not a ref",
        ),
        (
            testmodels.clone().reference("gone"),
            "REGISTRY_ERROR",
            "ref 'mf6/test@gone' does not exist",
        ),
        (
            testmodels.offline(true),
            "OFFLINE",
            "cannot fetch registries in offline mode",
        ),
    ] {
        let error = manager.discover(&options).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_cached_registry_is_a_file_that_is_loaded_and_saved_as_it_is() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    sync(&manager);
    let sources = manager.sources().unwrap();
    let cached = sources[0].refs[0].cached.as_ref().unwrap();
    let loaded = remote::ModelsToml::load(&cached.path).unwrap();
    assert!(loaded.models().keys().eq(MODELS));
    let mut files = loaded.models().values().flatten();
    assert!(files.all(|file| loaded.files().contains_key(file)));
    assert!(loaded.files().values().all(|file| file.digest.is_some()));
    let discovered = manager.discover(&DiscoverOptions::default().source("testmodels"));
    assert_eq!(discovered.unwrap().registry, loaded);
    let own = host.rack.temp.path().join("own").join("models.toml");
    loaded.save(&own).unwrap();
    assert_eq!(fs::read(&own).unwrap(), fs::read(&cached.path).unwrap());
}
