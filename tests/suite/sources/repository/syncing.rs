//! What a sync asks for, the first time and later.

use modelrack::{Manager, SyncOptions};

use super::{
    Host, advertisement, assets, models_at, offered, raw, refs_key, registry, release, state, sync,
    sync_with, tree, tree_of,
};
use crate::sources::repository::models::ModelsToml;
use crate::support::forge::zip;
use crate::support::server::Rule;

fn forced() -> SyncOptions {
    SyncOptions::default().force(true)
}

#[test]
fn branches_take_one_advertisement_and_no_request_of_the_interface() {
    let host = Host::new();
    let branches: Vec<String> = (0..12).map(|number| format!("branch-{number}")).collect();
    let mut expected = vec![advertisement("o/models")];
    let mut told = String::new();
    for branch in &branches {
        let commit = host.repo.commit(branch, tree());
        expected.push(release(branch));
        expected.push(raw(&commit));
        told += &format!("synced mf6/test@{branch} version_controlled 3\n");
    }
    let branches: Vec<&str> = branches.iter().map(String::as_str).collect();
    let manager = host.manager(&branches);
    assert_eq!(sync(&manager), told, "in the order of the configuration");
    expected.sort();
    assert_eq!(host.sorted_paths(), expected);
    assert_eq!(
        sync(&manager),
        told.replace("synced", "skipped")
            .replace("version_controlled 3", "up to date")
    );
    expected.retain(|path| !path.contains("/raw/"));
    assert_eq!(host.sorted_paths(), expected);
    assert_eq!(host.forge.api_requests(), 0);
}

#[test]
fn a_release_is_asked_for_with_its_validator() {
    let host = Host::new();
    host.repo.release("current", assets());
    let manager = host.manager(&["current"]);
    assert!(sync(&manager).starts_with("synced"));
    host.paths();
    // Another process knows as much.
    let again = host.manager(&["current"]);
    assert_eq!(sync(&again), "skipped mf6/test@current up to date\n");
    let requests = host.forge.server().requests();
    assert_eq!(
        requests.iter().map(|r| r.status).collect::<Vec<_>>(),
        [302, 304]
    );
    assert_eq!(host.forge.server().bytes_sent(), 0);
    host.paths();
    assert!(sync_with(&again, &forced()).starts_with("synced"));
    assert!(
        host.forge
            .server()
            .requests()
            .iter()
            .all(|request| request.header("if-none-match").is_none())
    );
    // A new state of the same release.
    let toml = ModelsToml::new().asset("models.zip").model("new", &[]);
    host.repo.release("current", [("models.toml", toml.text())]);
    assert_eq!(sync(&again), "synced mf6/test@current release 1\n");
    assert_eq!(offered(&again), ["mf6/test/new current"]);
}

#[test]
fn a_server_without_validators_sends_it_again_and_it_is_still_up_to_date() {
    let host = Host::new();
    host.repo.release("current", assets());
    host.forge
        .server()
        .rule(Rule::path_contains("/storage/").without_header("etag"));
    let manager = host.manager(&["current"]);
    assert!(sync(&manager).starts_with("synced"));
    assert!(sync(&manager).starts_with("skipped"));
    assert!(sync_with(&manager, &forced()).starts_with("synced"));
}

#[test]
fn force_fetches_what_is_up_to_date() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    sync(&manager);
    let first = host.paths();
    assert!(sync_with(&manager, &forced()).starts_with("synced"));
    assert_eq!(host.paths(), first);
}

#[test]
fn a_branch_that_moves_is_followed_and_its_listing_with_it() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    sync(&manager);
    let moved = host
        .repo
        .commit("develop", tree_of(ModelsToml::new().model("only", &[])));
    host.paths();
    assert_eq!(offered(&manager), models_at("mf6/test", "develop"));
    assert_eq!(host.paths(), Vec::<String>::new(), "what is cached holds");
    assert_eq!(
        sync(&manager),
        "synced mf6/test@develop version_controlled 1\n"
    );
    assert_eq!(offered(&manager), ["mf6/test/only develop"]);
    // The same registry in another commit: files come from the new one.
    let again = host.repo.commit_with("develop", [("README.md", "new")]);
    assert!(moved != again && sync(&manager).starts_with("synced"));
    assert_eq!(
        state(&manager.sources().unwrap()[0]),
        [format!(
            "develop configured o/models version_controlled {again} 1"
        )]
    );
}

#[test]
fn a_ref_may_become_a_release_and_stop_being_one() {
    let host = Host::new();
    let commit = host.repo.commit("current", tree());
    let manager = host.manager(&["current"]);
    assert!(sync(&manager).contains("version_controlled"));
    host.repo.release("current", assets());
    assert_eq!(sync(&manager), "synced mf6/test@current release 3\n");
    host.repo.delete_release("current");
    host.repo.delete_tag("current");
    assert_eq!(
        sync(&manager),
        "synced mf6/test@current version_controlled 3\n"
    );
    assert!(sync(&manager).starts_with("skipped"));
    assert_eq!(
        state(&manager.sources().unwrap()[0]),
        [format!(
            "current configured o/models version_controlled {commit} 3"
        )]
    );
}

#[test]
fn another_configuration_is_not_up_to_date() {
    let host = Host::new();
    let mut files = tree();
    let top = ModelsToml::new().model("top", &[]);
    files.push(("models.toml".to_owned(), top.into()));
    host.repo.commit("develop", files);
    let without_asset = ModelsToml::new().model("m", &[]).text();
    host.repo.release(
        "v1",
        [("models.toml", without_asset), ("b.zip", "PK".into())],
    );
    let of = |keys: &str| {
        host.manager_of(&host.source(&format!("{}\n{keys}", refs_key(&["develop", "v1"]))))
    };
    let (both, none) = (
        "synced mf6/test@develop version_controlled 3\nsynced mf6/test@v1 release 1\n",
        "skipped mf6/test@develop up to date\nskipped mf6/test@v1 up to date\n",
    );
    assert_eq!(sync(&of("asset = \"a.zip\"")), both);
    assert_eq!(sync(&of("asset = \"a.zip\"")), none);
    assert_eq!(sync(&of("asset = \"b.zip\"")), both);
    let moved = sync(&of("asset = \"b.zip\"\nregistry_path = \".\""));
    assert!(
        moved.starts_with("synced mf6/test@develop version_controlled 1\n"),
        "{moved}"
    );
}

#[test]
fn a_sync_that_fails_leaves_the_copy_from_before() {
    let host = Host::new();
    host.repo.release("current", assets());
    let manager = host.manager(&["current", "develop"]);
    sync(&manager);
    let before = offered(&manager);
    assert_eq!(before.len(), 6);
    host.repo
        .commit("develop", tree_of("[models]\n\"../x\" = []\n"));
    let files: [(&str, Vec<u8>); 3] = [
        ("models.toml", registry().into()),
        ("models.zip", zip::<&str, &str>(&[])),
        ("others.zip", zip::<&str, &str>(&[])),
    ];
    host.repo.release("current", files);
    let told = sync(&manager);
    assert_eq!(told.matches("failed").count(), 2, "{told}");
    assert_eq!(offered(&manager), before);
}
