//! What was synced, on disk: several refs, lookups without the network, clearing.

use modelrack::lock::LockOptions;
use modelrack::remote::ClearPlan;
use modelrack::{ClearOptions, Manager, PullOptions, RemoteOptions, SearchOptions, SyncOptions};

use super::{Host, offered, refs_key, sync, sync_with, tree, tree_of};
use crate::sources::repository::models::ModelsToml;
use crate::support::address;
use crate::support::disk::names_in;
use crate::support::log::logged;

#[test]
fn a_lookup_opens_no_socket() {
    let host = Host::new();
    host.repo
        .commit("master", tree_of(ModelsToml::new().model("only", &[])));
    sync(&host.manager(&["develop", "master"]));
    host.forge.server().reset_counts();
    let manager = host.manager(&["develop", "master"]);
    let options = RemoteOptions::default();
    assert_eq!(offered(&manager).len(), 4);
    assert_eq!(manager.sources().unwrap()[0].versions, Some(4));
    manager.examples(&options).unwrap();
    let detail = manager
        .remote_detail(&address("mf6/test/ex-gwf-twri01"), &options)
        .unwrap();
    assert_eq!(detail.files.len(), 3);
    assert_eq!(
        manager
            .get_remote(&address("mf6/test/only"), &options)
            .unwrap()
            .model
            .version(),
        "master"
    );
    let search = SearchOptions::default().remote(true);
    assert_eq!(manager.search("keating", &search).unwrap().remote.len(), 1);
    manager.plan_clear(&ClearOptions::default()).unwrap();
    assert_eq!(host.forge.server().connections(), 0);
}

#[test]
fn a_registry_is_read_once_for_many_models() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    sync(&manager);
    let options = RemoteOptions::default();
    let (found, log) = logged(|| {
        let models = offered(&manager).into_iter();
        let models = models.map(|model| address(&model));
        let lock = LockOptions::default()
            .models(models)
            .file(host.rack.temp.path().join("models.lock"));
        (
            manager.lock(&lock).unwrap().entries.len(),
            manager
                .get_remote(&address("mf6/test/ex-gwf-twri02"), &options)
                .is_err(),
        )
    });
    assert_eq!(found, (3, true));
    assert_eq!(log.matches("reading a compiled registry").count(), 1);

    // A registry that comes in its place is read again.
    let later = tree_of(ModelsToml::new().model("ex-gwf-twri02", &[]));
    host.repo.commit("develop", later);
    sync(&manager);
    manager
        .get_remote(&address("mf6/test/ex-gwf-twri02"), &options)
        .unwrap();
    manager
        .get_remote(&address("mf6/test/ex-gwf-twri01"), &options)
        .unwrap_err();
}

#[test]
fn several_refs_lie_side_by_side() {
    let host = Host::new();
    let refs = ["a%2Fb", "a/b", "a:b", "models.toml", "v1.0"];
    for reference in refs {
        host.repo.commit(reference, tree());
    }
    assert_eq!(
        sync(&host.manager(&refs)).matches("synced").count(),
        refs.len()
    );
    let folder = host
        .rack
        .index_cache()
        .join("registries")
        .join("testmodels");
    assert_eq!(
        names_in(&folder),
        ["a%252Fb", "a%2Fb", "a%3Ab", "models.toml", "v1.0"]
    );
    for name in names_in(&folder) {
        let files = ["models.index", "models.meta.json", "models.toml"];
        assert_eq!(names_in(&folder.join(name)), files);
    }
    // Fewer refs are configured now; what is cached of others is still there.
    let manager = host.manager(&["v1.0"]);
    assert_eq!(offered(&manager).len(), refs.len() * 3);
    let one = manager.get_remote(
        &address("mf6/test@a/b/ex-gwf-twri01"),
        &RemoteOptions::default(),
    );
    assert_eq!(one.unwrap().model.version(), "a/b");
    // A model that is there at several refs must be told apart.
    let error = manager
        .get_remote(
            &address("mf6/test/ex-gwf-twri01"),
            &RemoteOptions::default(),
        )
        .unwrap_err();
    assert_eq!(error.code(), "INVALID_REF");
    let modelrack::ErrorKind::InvalidRef { choices, .. } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!(choices.len(), refs.len());
}

#[test]
fn what_was_never_synced_says_so() {
    let host = Host::new();
    let options = PullOptions::default();
    let both = host.manager(&["develop", "master"]);
    let default_branch = host.manager_of(&host.source(""));
    for (manager, model, expected) in [
        (
            &both,
            "mf6/test/x",
            "the registry of 'mf6/test' at develop, master has not been synced",
        ),
        (
            &both,
            "mf6/test@master/x",
            "the registry of 'mf6/test' at master has not been synced",
        ),
        (
            &both,
            "mf6/test@v9/x",
            "the registry of 'mf6/test' at v9 has not been synced",
        ),
        (
            &default_branch,
            "mf6/test/x",
            "the registry of 'mf6/test' has not been synced",
        ),
    ] {
        let error = manager.pull(&address(model), &options).unwrap_err();
        assert_eq!(error.code(), "NOT_SYNCED");
        assert_eq!(error.kind().to_string(), expected);
    }
    // Of two refs one is there: what it has is found, and what it lacks may be in the other.
    sync(&host.manager(&["develop"]));
    both.get_remote(
        &address("mf6/test/ex-gwf-twri01"),
        &RemoteOptions::default(),
    )
    .unwrap();
    let error = both
        .pull(&address("mf6/test/nothing"), &options)
        .unwrap_err();
    assert_eq!(
        error.kind().to_string(),
        "the registry of 'mf6/test' at master has not been synced"
    );
    let one = host.manager(&["develop"]);
    let error = one
        .pull(&address("mf6/test/ex-gwf-twri1"), &options)
        .unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
    let modelrack::ErrorKind::ModelNotFound { near, .. } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!(near, &["mf6/test/ex-gwf-twri01"]);
}

#[test]
fn clearing_takes_a_source_a_ref_or_both() {
    let host = Host::new();
    host.repo.commit("master", tree());
    host.forge.repo("o/other").commit("master", tree());
    host.rack.publish("g/m v1", &crate::support::rack::sample());
    let config = [
        host.source(&refs_key(&["develop", "master"])),
        host.source_of("other", "other", "o/other", &refs_key(&["master"])),
        format!("[sources.chunked]\nurl = \"{}\"\n", host.rack.server.url()),
    ]
    .concat();
    let manager = host.manager_of(&config);
    let told = |plan: &ClearPlan| -> Vec<String> {
        let registries = plan.registries.iter();
        registries
            .map(|cleared| {
                assert!(cleared.bytes > 0);
                format!(
                    "{}@{}",
                    cleared.name,
                    cleared.reference.as_deref().unwrap_or("-")
                )
            })
            .collect()
    };
    let all = [
        "chunked@-",
        "other@master",
        "mf6/test@develop",
        "mf6/test@master",
    ];
    for (source, reference, expected) in [
        (None, None, &all[..]),
        (Some("mf6/test"), None, &all[2..]),
        (Some("testmodels"), Some("master"), &all[3..]),
        (None, Some("master"), &[all[1], all[3]]),
        (Some("chunked"), None, &all[..1]),
        (Some("other"), Some("develop"), &[]),
    ] {
        sync(&manager);
        let mut options = ClearOptions::default();
        options.source = source.map(str::to_owned);
        options.reference = reference.map(str::to_owned);
        assert_eq!(told(&manager.plan_clear(&options).unwrap()), expected);
        let cleared = manager.clear(&options).unwrap();
        assert_eq!(told(&cleared), expected);
        assert!(manager.clear(&options).unwrap().registries.is_empty());
        let rest = manager.plan_clear(&ClearOptions::default()).unwrap();
        assert_eq!(rest.registries.len(), all.len() - expected.len());
    }
    let nobody = ClearOptions::default().source("nobody");
    assert_eq!(
        manager.clear(&nobody).unwrap_err().code(),
        "INVALID_ARGUMENT"
    );
    // What the configuration has no more is cleared with everything.
    sync(&manager);
    let changed = host.manager_of("");
    assert_eq!(
        told(&changed.clear(&ClearOptions::default()).unwrap()),
        [
            "chunked@-",
            "other@master",
            "testmodels@develop",
            "testmodels@master"
        ]
    );
}

#[test]
fn managers_that_sync_at_once_leave_a_cache_that_works() {
    let host = Host::new();
    let of = |number: usize| {
        let models = (0..number).fold(ModelsToml::new(), |toml, model| {
            toml.model(&format!("m{model}"), &[])
        });
        tree_of(models)
    };
    for round in 0..6 {
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let host = &host;
                scope.spawn(move || {
                    if worker == 0 {
                        host.repo.commit("develop", of(round));
                    }
                    let manager = host.manager(&["develop"]);
                    let options = SyncOptions::default().force(worker % 2 == 0);
                    let told = sync_with(&manager, &options);
                    assert!(!told.contains("failed"), "{told}");
                    offered(&manager);
                });
            }
        });
        let manager = host.manager(&["develop"]);
        sync(&manager);
        assert_eq!(offered(&manager).len(), round);
    }
    let folder = host
        .rack
        .index_cache()
        .join("registries")
        .join("testmodels")
        .join("develop");
    assert_eq!(names_in(&folder).len(), 3, "no temporary file is left");
}
