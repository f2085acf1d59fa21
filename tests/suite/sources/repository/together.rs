//! Several sources in one sync: all at once, each for itself, and those that are named.

use modelrack::{CancelToken, Manager, SyncOptions};

use super::{Host, refs_key, state, sync, sync_with, tree, tree_of};
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, in_background};

#[test]
fn one_that_fails_keeps_no_other_from_it() {
    let host = Host::new();
    host.forge.repo("o/good").commit("main", tree());
    host.forge.repo("o/bad").commit("main", tree_of("= broken"));
    let config = [
        host.source(&refs_key(&["nosuch", "develop"])),
        host.source_of("good", "a-good", "o/good", ""),
        host.source_of("bad", "bad", "o/bad", "refs = [\"main\"]"),
        host.source_of("gone", "gone", "o/gone", "refs = [\"main\"]"),
        "[sources.hf]\nhub = \"https://hub.invalid\"\n".to_owned(),
    ];
    let manager = host.manager_of(&config.concat());
    let report = manager.sync(&SyncOptions::default()).unwrap();
    let synced: Vec<_> = report.synced.iter().map(|s| s.source.as_str()).collect();
    assert_eq!(synced, ["good", "testmodels"]);
    let skipped: Vec<_> = report
        .skipped
        .iter()
        .map(|s| (&*s.source, s.reason.as_str()))
        .collect();
    assert_eq!(skipped, [("hf", "queried directly")]);
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|f| (&*f.source, f.reference.as_deref().unwrap()))
        .collect();
    assert_eq!(
        failed,
        [("bad", "main"), ("gone", "main"), ("testmodels", "nosuch")]
    );
}

#[test]
fn only_the_source_or_the_ref_that_is_named() {
    let host = Host::new();
    host.repo.commit("master", tree());
    host.forge.repo("o/other").commit("master", tree());
    let config = [
        host.source(&refs_key(&["develop", "master"])),
        host.source_of("other", "another/name", "o/other", &refs_key(&["master"])),
    ];
    let manager = host.manager_of(&config.concat());
    let of = |source: Option<&str>, reference: Option<&str>| {
        let mut options = SyncOptions::default();
        options.source = source.map(str::to_owned);
        options.reference = reference.map(str::to_owned);
        sync_with(&manager, &options.force(true)).replace(" version_controlled 3", "")
    };
    assert_eq!(
        of(Some("another/name"), None),
        "synced another/name@master\n"
    );
    assert_eq!(of(Some("other"), None), "synced another/name@master\n");
    assert_eq!(
        of(None, Some("master")),
        "synced another/name@master\nsynced mf6/test@master\n"
    );
    assert_eq!(
        of(Some("testmodels"), Some("master")),
        "synced mf6/test@master\n"
    );
    assert_eq!(of(None, Some("develop")), "synced mf6/test@develop\n");
    assert_eq!(
        of(None, Some("feature")),
        "INVALID_ARGUMENT no source lists the ref 'feature': name the source to sync it from"
    );
    assert_eq!(
        of(Some("tesmodels"), None),
        "INVALID_ARGUMENT no source has the key or name 'tesmodels', did you mean 'testmodels'?"
    );
    host.repo.commit("feature", tree());
    assert_eq!(
        of(Some("mf6/test"), Some("feature")),
        "synced mf6/test@feature\n"
    );
    assert_eq!(
        sync(&host.manager_of("")),
        "CONFIG_ERROR no source is configured"
    );
}

#[test]
fn sources_and_refs_are_asked_at_once() {
    let host = Host::new();
    host.repo.commit("master", tree());
    host.forge.repo("o/other").commit("main", tree());
    let config = [
        host.source(&refs_key(&["develop", "master"])),
        host.source_of("other", "other", "o/other", &refs_key(&["main"])),
    ];
    let manager = host.manager_of(&config.concat());
    let gate = Gate::new();
    host.forge
        .server()
        .rule(Rule::path_ends("models.toml").hold(&gate));
    let ended = in_background(move || sync(&manager));
    let all = host.forge.server().wait_for("/o/", 3, PATIENCE);
    gate.open();
    assert!(all, "{:?}", host.paths());
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().lines().count(), 3);
    assert!(host.forge.server().max_in_flight() >= 3);
}

#[test]
fn a_chunked_source_syncs_beside_a_repository() {
    let host = Host::new();
    host.rack.publish("g/m v1", &crate::support::rack::sample());
    let config = host.source(&refs_key(&["develop"]))
        + &format!("[sources.chunked]\nurl = \"{}\"\n", host.rack.server.url());
    let manager = host.manager_of(&config);
    let expected = "synced chunked@- chunked 1\nsynced mf6/test@develop version_controlled 3\n";
    assert_eq!(sync(&manager), expected);
    let expected = "skipped chunked@- up to date\nskipped mf6/test@develop up to date\n";
    assert_eq!(sync(&manager), expected);
}

#[test]
fn cancelled_or_offline_it_leaves_everything_as_it_was() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    let offline = SyncOptions::default().offline(true);
    assert_eq!(
        sync_with(&manager, &offline),
        "OFFLINE cannot fetch registries in offline mode"
    );
    let stopped = SyncOptions::default();
    stopped.cancel.cancel();
    assert_eq!(sync_with(&manager, &stopped), "CANCELLED cancelled");
    assert_eq!(host.paths(), Vec::<String>::new());
    for held in ["/releases/", "/info/refs", "/raw/"] {
        let begun = Gate::new();
        let open = begun.clone();
        host.forge.server().clear_rules();
        host.forge.server().rule(
            Rule::path_contains(held)
                .on_request(move || open.open())
                .stall(),
        );
        let cancel = CancelToken::new();
        let options = SyncOptions::default().cancel(cancel.clone());
        let manager = host.manager(&["develop"]);
        let ended = in_background(move || sync_with(&manager, &options));
        assert!(begun.wait(PATIENCE), "{held}");
        cancel.cancel();
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), "CANCELLED cancelled");
    }
    assert_eq!(
        state(&manager.sources().unwrap()[0]),
        ["develop configured missing"]
    );
}
