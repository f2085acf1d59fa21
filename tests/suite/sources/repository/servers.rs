//! Servers other than GitHub: what follows from one another, and what a source says in its place.

use modelrack::{Manager, SyncOptions};

use super::{Host, REGISTRY, models_at, offered, refs_key, sync, sync_with, tree, tree_of};
use crate::sources::repository::models::ModelsToml;
use crate::support::log::logged;
use crate::support::server::Rule;
use crate::support::{address, chain};

#[test]
fn a_server_that_has_files_elsewhere() {
    let host = Host::new();
    let commit = host.repo.commit("feature/x", tree());
    let url = host.forge.url();
    let blob = format!("/blobs/o/models/{commit}/{REGISTRY}");
    host.forge.server().put(&blob, tree().pop().unwrap().1);
    host.forge
        .server()
        .rule(Rule::path_contains("/raw/").status(404));
    for raw in [
        format!("{url}/blobs/{{repo}}/{{ref}}/{{path}}"),
        format!(" {url}/blobs/o/models/{{ref}}/{{path}} "),
    ] {
        let keys = format!("{}\nraw = \"{raw}\"", refs_key(&["feature/x"]));
        let manager = host.manager_of(&host.source(&keys));
        let told = sync_with(&manager, &SyncOptions::default().force(true));
        assert_eq!(told, "synced mf6/test@feature/x version_controlled 3\n");
        assert!(host.paths().contains(&blob));
        assert_eq!(offered(&manager), models_at("mf6/test", "feature/x"));
    }
}

#[test]
fn a_ref_in_a_query_is_followed_when_it_moves() {
    let host = Host::new();
    let url = host.forge.url();
    let keys = format!(
        "{}\nraw = \"{url}/files?repo={{repo}}&at={{ref}}&path={{path}}\"",
        refs_key(&["develop"])
    );
    let manager = host.manager_of(&host.source(&keys));
    for model in ["first", "second"] {
        let toml = ModelsToml::new().model(model, &[]).text();
        let commit = host.repo.commit("develop", tree_of(toml.clone()));
        let path = format!("/files?repo=o/models&at={commit}&path={REGISTRY}");
        host.forge.server().put(&path, toml);
        assert_eq!(
            sync(&manager),
            "synced mf6/test@develop version_controlled 1\n"
        );
        assert_eq!(offered(&manager), [format!("mf6/test/{model} develop")]);
        assert_eq!(sync(&manager), "skipped mf6/test@develop up to date\n");
    }
}

#[test]
fn an_interface_of_its_own_is_asked_there() {
    let host = Host::new();
    let old = host.repo.commit("develop", tree());
    host.repo.commit("develop", tree_of(ModelsToml::new()));
    let url = host.forge.url();
    let answer = format!("/own/repos/o/models/commits/{}", &old[..8]);
    host.forge.server().put(&answer, old.clone());
    let keys = format!("{}\napi = \"{url}/own/\"", refs_key(&[&old[..8]]));
    let manager = host.manager_of(&host.source(&keys));
    assert!(sync(&manager).starts_with("synced"));
    assert!(host.paths().contains(&answer));
    assert_eq!(host.forge.api_requests(), 0);
}

#[test]
fn the_environment_says_where_repositories_are_that_do_not_say_it() {
    let host = Host::new();
    let plain = "[sources.testmodels]\nrepo = \"o/models\"\n";
    let manager = host.manager_in(plain, host.environment());
    assert_eq!(
        sync(&manager),
        "synced testmodels@develop version_controlled 3\n"
    );
    assert_eq!(offered(&manager), models_at("testmodels", "develop"));
    // What was cached of another server does not count.
    let elsewhere = host
        .rack
        .environment()
        .variable("GITHUB_SERVER_URL", "https://git.invalid");
    let manager = host.manager_in(plain, elsewhere);
    let error = manager.list_remote(&Default::default()).unwrap_err();
    assert_eq!(error.code(), "NOT_SYNCED");
    host.paths();
    for (name, value) in [
        ("GITHUB_SERVER_URL", "git.invalid"),
        ("GITHUB_API_URL", "ftp://x"),
    ] {
        let environment = host.rack.environment().variable(name, value);
        let manager = host.manager_in(plain, environment);
        let told = sync(&manager);
        assert!(
            told.starts_with(&format!(
                "failed testmodels@- CONFIG_ERROR {name} is not a usable URL: "
            )),
            "{told}"
        );
        // What was cached can be looked up, and nothing else.
        let (listed, log) = logged(|| offered(&manager));
        assert_eq!(listed, models_at("testmodels", "develop"));
        assert!(
            log.contains("is listed as it was cached") && log.contains(name),
            "{log}"
        );
        assert_eq!(manager.sources().unwrap()[0].versions, Some(3));
        let model = address(&listed[0]);
        let refused = [
            manager.plan_pull(&model, &Default::default()).unwrap_err(),
            manager.pull(&model, &Default::default()).unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.code(), "CONFIG_ERROR");
            assert!(chain(&error).contains(name), "{error:?}");
        }
        assert!(host.paths().is_empty());
    }
}

#[test]
fn a_repository_that_is_not_configured_is_listed_without_its_server_too() {
    let host = Host::new();
    let options = SyncOptions::default().repo("o/models").reference("develop");
    let manager = host.manager_in("", host.environment());
    manager.sync(&options).unwrap();
    assert_eq!(offered(&manager), models_at("o/models", "develop"));
    let environment = host.rack.environment();
    let environment = environment.variable("GITHUB_SERVER_URL", "git.invalid");
    let manager = host.manager_in("", environment);
    assert_eq!(offered(&manager), models_at("o/models", "develop"));
}

#[test]
fn a_server_in_a_folder_and_groups_in_groups() {
    let host = Host::new();
    let url = host.forge.url();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let place = format!("/git/a/b/c/raw/{commit}/{REGISTRY}");
    let toml = ModelsToml::new().model("m", &[]).text();
    host.forge.server().put(&place, toml);
    let refs = format!("003d{commit} refs/heads/main\n0000");
    host.forge
        .server()
        .put("/git/a/b/c/info/refs?service=git-upload-pack", refs);
    let config = format!(
        "[sources.x]\nrepo = \"a/b/c\"\nserver = \"{url}/git/\"\n{}\n",
        refs_key(&["main"])
    );
    let manager = host.manager_of(&config);
    assert_eq!(sync(&manager), "synced x@main version_controlled 1\n");
    assert_eq!(offered(&manager), ["x/m main"]);
}
