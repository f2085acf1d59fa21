//! Syncing what a lookup needs, where that is asked for.

use modelrack::{Manager, ModelManager, ModelPattern, PullOptions, RemoteOptions};

use super::{
    Host, advertisement, models_at, offered, offered_with, raw, refs_key, release, state, tree,
    tree_of,
};
use crate::sources::repository::models::ModelsToml;
use crate::support::{address, chain};

impl Host {
    fn automatic(&self, keys: &str) -> ModelManager {
        let environment = self
            .rack
            .environment()
            .variable("RACK_MODELS_AUTO_SYNC", "1");
        self.manager_in(&self.source(keys), environment)
    }
}

#[test]
fn a_pull_syncs_the_ref_that_it_needs() {
    let host = Host::new();
    let commit = host.repo.commit("fix", tree());
    let manager = host.automatic(&refs_key(&["develop"]));
    let pulled = manager.pull(
        &address("mf6/test@fix/test001a_Tharmonic"),
        &PullOptions::default(),
    );
    assert_eq!(pulled.unwrap().model.version(), "fix");
    let paths = host.paths();
    assert_eq!(
        paths[..3],
        [release("fix"), advertisement("o/models"), raw(&commit)]
    );
    assert_eq!(paths.len(), 3 + 3);
    // What is there is not asked for again, moved or not.
    host.repo.commit("fix", tree_of(ModelsToml::new()));
    manager
        .get_remote(
            &address("mf6/test@fix/ex-gwf-twri01"),
            &RemoteOptions::default(),
        )
        .unwrap();
    assert_eq!(host.paths(), Vec::<String>::new());
}

#[test]
fn the_configuration_may_say_it_too() {
    let host = Host::new();
    let config = host
        .rack
        .bare_config()
        .bootstrap(host.source(&refs_key(&["develop"])));
    let manager = host.rack.manager_of(config.clone().auto_sync(true));
    assert_eq!(offered(&manager), models_at("mf6/test", "develop"));
    let manager = host.rack.manager_of(config);
    host.paths();
    let error = manager
        .get_remote(&address("mf6/test@v1/x"), &RemoteOptions::default())
        .unwrap_err();
    assert_eq!((error.code(), host.paths().len()), ("NOT_SYNCED", 0));
}

#[test]
fn a_model_of_any_ref_syncs_all_of_them() {
    let host = Host::new();
    host.repo
        .commit("master", tree_of(ModelsToml::new().model("only", &[])));
    let manager = host.automatic(&refs_key(&["develop", "gone", "master"]));
    let found = manager
        .get_remote(&address("mf6/test/only"), &RemoteOptions::default())
        .unwrap();
    assert_eq!(found.model.version(), "master");
    assert_eq!(
        host.paths()
            .iter()
            .filter(|path| **path == advertisement("o/models"))
            .count(),
        1
    );
    assert_eq!(
        state(&manager.sources().unwrap()[0])
            .iter()
            .filter(|line| line.contains("missing"))
            .count(),
        1
    );
}

#[test]
fn listings_and_patterns_sync_what_they_lack() {
    for keys in [refs_key(&["develop", "master"]), String::new()] {
        let host = Host::new();
        host.repo.commit("master", tree());
        let manager = host.automatic(&keys);
        let all = offered(&manager);
        assert_eq!(all.len(), if keys.is_empty() { 3 } else { 6 });
        assert_eq!(
            host.paths()
                .iter()
                .filter(|path| **path == advertisement("o/models"))
                .count(),
            1
        );
        assert_eq!(offered(&manager), all);
        assert_eq!(host.paths(), Vec::<String>::new());
    }
    let host = Host::new();
    let manager = host.automatic(&refs_key(&["develop"]));
    let all = ModelPattern::parse("mf6/test@develop/*", None).unwrap();
    let plans = manager
        .plan_matching(&all, &PullOptions::default())
        .unwrap();
    assert!(plans.len() >= 2, "{}", plans.len());
}

#[test]
fn a_listing_syncs_the_ref_that_is_asked_for_only() {
    let host = Host::new();
    host.repo.commit("master", tree());
    let manager = host.automatic(&refs_key(&["develop", "master"]));
    let of = |reference: &str| RemoteOptions::default().reference(reference);
    assert_eq!(
        offered_with(&manager, &of("master")).unwrap(),
        models_at("mf6/test", "master")
    );
    assert!(!host.paths().contains(&release("develop")));
    // One that is not configured, of a source that is named.
    host.repo.commit("fix", tree());
    let named = of("fix").source("mf6/test");
    assert_eq!(
        offered_with(&manager, &named).unwrap(),
        models_at("mf6/test", "fix")
    );
}

#[test]
fn what_cannot_be_synced_is_the_reason() {
    let host = Host::new();
    let manager = host.automatic(&refs_key(&["develop"]));
    let options = RemoteOptions::default();
    let error = manager
        .get_remote(&address("mf6/test@v9/x"), &options)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Registry discovery failed, ref 'mf6/test@v9'"),
        "{error}"
    );
    let offline = options.offline(true);
    let error = manager
        .get_remote(&address("mf6/test@develop/x"), &offline)
        .unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    host.paths();
    let error = manager.list_remote(&offline).unwrap_err();
    assert_eq!((error.code(), host.paths().len()), ("NOT_SYNCED", 0));
    // A listing goes on without what cannot be synced.
    let host = Host::new();
    let manager = host.automatic(&refs_key(&["develop", "gone"]));
    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!((listing.models.len(), listing.failures.len()), (3, 1));
    assert_eq!(listing.failures[0].reference.as_deref(), Some("gone"));
}

#[test]
fn what_cannot_be_synced_says_why() {
    let host = Host::new();
    host.repo.commit("master", tree());
    host.repo.commit("broken", tree_of("= broken"));
    let manager = host.automatic(&refs_key(&["master", "broken", "gone"]));
    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(listing.models.len(), 3);
    let told = listing.failures.iter().map(|it| chain(&it.error));
    let told: Vec<String> = told.collect();
    for (reference, reason) in [
        ("broken", "the registry is malformed"),
        ("gone", "ref 'mf6/test@gone' does not exist"),
    ] {
        let expected = format!("the registry of 'mf6/test' at {reference} has not been synced: ");
        let found = told.iter().find(|told| told.starts_with(&expected));
        assert!(found.is_some_and(|told| told.contains(reason)), "{told:?}");
    }
    assert!(
        listing
            .failures
            .iter()
            .all(|it| it.error.code() == "NOT_SYNCED")
    );
    let error = manager
        .get_remote(&address("mf6/test@gone/x"), &RemoteOptions::default())
        .unwrap_err();
    assert!(chain(&error).contains("does not exist"), "{error:?}");
}
