//! What is known of sources and refs, and listings of several sources where one cannot be read.

use std::time::{Duration, SystemTime};

use modelrack::{Manager, RemoteOptions, SearchOptions, SyncOptions};

use super::{
    Host, assets, models_at, offered, offered_with, refs_key, state, sync, sync_with, tree,
};
use crate::support::rack::sample;

#[test]
fn each_source_shows_its_refs_and_what_is_cached_of_them() {
    let host = Host::new();
    let commit = host.repo.commit("develop", tree());
    let extra = host.repo.commit("extra", tree());
    host.repo.release("current", assets());
    let before = SystemTime::now() - Duration::from_secs(2);
    let manager = host.manager(&["current", "develop", "master"]);
    let nothing = &manager.sources().unwrap()[0];
    assert_eq!((nothing.fetched_at, nothing.versions), (None, None));
    assert_eq!(
        state(nothing),
        [
            "current configured missing",
            "develop configured missing",
            "master configured missing"
        ]
    );
    sync(&manager);
    let of_extra = SyncOptions::default().source("mf6/test").reference("extra");
    sync_with(&manager, &of_extra);
    let info = &host
        .manager(&["current", "develop", "master"])
        .sources()
        .unwrap()[0];
    assert_eq!(
        state(info),
        [
            "current configured o/models release - 3".to_owned(),
            format!("develop configured o/models version_controlled {commit} 3"),
            format!("extra extra o/models version_controlled {extra} 3"),
            "master configured missing".to_owned(),
        ]
    );
    assert_eq!(info.versions, Some(9));
    let ages = info
        .refs
        .iter()
        .filter_map(|reference| reference.cached.as_ref());
    let oldest = ages.map(|cached| cached.fetched_at).min();
    assert_eq!(info.fetched_at, oldest);
    assert!(
        oldest.unwrap() > before && oldest.unwrap() <= SystemTime::now() + Duration::from_secs(2)
    );
    assert_eq!(
        (info.label(), info.locations.clone()),
        ("mf6/test".to_owned(), vec!["o/models".to_owned()])
    );
}

#[test]
fn confirming_a_copy_makes_it_young_again() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    sync(&manager);
    let meta = host
        .rack
        .index_cache()
        .join("registries")
        .join("testmodels")
        .join("develop");
    let meta = meta.join("models.meta.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&meta).unwrap()).unwrap();
    json["fetched_at"] = "2001-02-03T04:05:06Z".into();
    std::fs::write(&meta, json.to_string()).unwrap();
    let age = || {
        manager.sources().unwrap()[0]
            .fetched_at
            .unwrap()
            .elapsed()
            .unwrap_or_default()
    };
    let day = Duration::from_secs(86_400);
    assert!(age() > 365 * day);
    assert_eq!(sync(&manager), "skipped mf6/test@develop up to date\n");
    assert!(age() < day);
}

/// A repository that is synced, one that is not, a chunked source that works and one that does not.
fn four_sources(host: &Host) -> String {
    host.rack.publish("g/keating v1", &sample());
    let chunked = |key: &str, url: &str| format!("[sources.{key}]\nurl = \"{url}\"\n");
    [
        host.source(&refs_key(&["develop", "master"])),
        host.source_of("unsynced", "un", "o/un", ""),
        chunked("works", &host.rack.server.url()),
        chunked("broken", "http://127.0.0.1:1"),
    ]
    .concat()
}

#[test]
fn what_cannot_be_read_stands_beside_what_can() {
    let host = Host::new();
    let manager = host.manager_of(&four_sources(&host));
    let only = SyncOptions::default().reference("develop");
    assert_eq!(
        sync_with(&manager, &only),
        "synced mf6/test@develop version_controlled 3\n"
    );
    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(listing.models.len(), 4);
    let mut failures: Vec<_> = listing
        .failures
        .iter()
        .map(|failure| {
            (
                &*failure.source,
                failure.reference.as_deref(),
                failure.error.code(),
            )
        })
        .collect();
    failures.sort_unstable();
    assert_eq!(
        failures,
        [
            ("broken", None, "NETWORK_ERROR"),
            ("testmodels", Some("master"), "NOT_SYNCED"),
            ("unsynced", None, "NOT_SYNCED"),
        ]
    );
    let found = manager
        .search("KEATING", &SearchOptions::default().remote(true))
        .unwrap();
    let names: Vec<_> = found
        .remote
        .iter()
        .map(|remote| remote.model.to_string())
        .collect();
    assert_eq!(
        names,
        ["mf6/test/ex-gwt-keating/flow develop", "works/g/keating v1"]
    );
    assert_eq!(found.failures.len(), 3);
    let of_source = SearchOptions::default().remote(true).source("mf6/test");
    let found = manager.search("keating develop", &of_source).unwrap();
    assert_eq!((found.remote.len(), found.failures.len()), (1, 1));
    assert!(
        manager
            .search("keating master", &of_source)
            .unwrap()
            .remote
            .is_empty()
    );
}

#[test]
fn a_listing_is_narrowed_by_source_and_ref() {
    let host = Host::new();
    let manager = host.manager_of(&four_sources(&host));
    let only = SyncOptions::default().reference("develop");
    sync_with(&manager, &only);
    let of = |source: Option<&str>, reference: Option<&str>| {
        let mut options = RemoteOptions::default();
        options.source = source.map(str::to_owned);
        options.reference = reference.map(str::to_owned);
        offered_with(&manager, &options).map_err(|error| error.code())
    };
    assert_eq!(
        of(Some("testmodels"), None),
        Ok(models_at("mf6/test", "develop"))
    );
    assert_eq!(
        of(Some("mf6/test"), Some("develop")),
        Ok(models_at("mf6/test", "develop"))
    );
    assert_eq!(
        of(None, Some("develop")),
        Ok(models_at("mf6/test", "develop"))
    );
    assert_eq!(
        of(Some("works"), None),
        Ok(vec!["works/g/keating v1".to_owned()])
    );
    assert_eq!(of(Some("mf6/test"), Some("master")), Err("NOT_SYNCED"));
    assert_eq!(of(Some("mf6/test"), Some("v9")), Err("NOT_SYNCED"));
    assert_eq!(of(Some("un"), None), Err("NOT_SYNCED"));
    assert_eq!(of(Some("broken"), None), Err("NETWORK_ERROR"));
    assert_eq!(of(Some("nobody"), None), Err("INVALID_ARGUMENT"));
}

#[test]
fn when_nothing_can_be_read_it_is_an_error() {
    let host = Host::new();
    let config = [
        host.source(&refs_key(&["develop"])),
        host.source_of("unsynced", "un", "o/un", ""),
    ];
    let manager = host.manager_of(&config.concat());
    let error = offered_with(&manager, &RemoteOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the registry of 'mf6/test' at develop has not been synced"
    );
    let error = manager
        .search("x", &SearchOptions::default().remote(true))
        .unwrap_err();
    assert_eq!(error.code(), "NOT_SYNCED");
    // A registry of nothing can be read.
    host.repo.commit("develop", super::tree_of("[models]\n"));
    sync(&manager);
    assert_eq!(offered(&manager), Vec::<String>::new());
}
