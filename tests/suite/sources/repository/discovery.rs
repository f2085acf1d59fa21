//! Which registry a ref has: of a release, of a tag, of a branch.

use modelrack::{Manager, SyncOptions};

use super::{
    Host, REGISTRY, advertisement, assets, models_at, offered, raw, refs_key, release, state, sync,
    sync_with, tree, tree_of,
};
use crate::sources::repository::models::{ModelsToml, below, small_models};
use crate::support::server::Rule;

#[test]
fn a_release_goes_before_the_tag_and_the_branch_of_its_name() {
    let host = Host::new();
    host.repo.commit("current", tree_of(ModelsToml::new()));
    host.repo.release("current", assets());
    let manager = host.manager(&["current"]);
    assert_eq!(sync(&manager), "synced mf6/test@current release 3\n");
    let storage = "/storage/o/models/current/models.toml?signature=c2lnbmVk";
    assert_eq!(host.paths(), [release("current"), storage.to_owned()]);
    assert_eq!(offered(&manager), models_at("mf6/test", "current"));
    assert_eq!(
        state(&manager.sources().unwrap()[0]),
        ["current configured o/models release - 3"]
    );
}

#[test]
fn a_release_without_a_registry_is_an_error_even_where_the_commit_has_one() {
    let host = Host::new();
    host.repo.release("v1/rc", [("models.zip", b"PK".to_vec())]);
    let told = sync(&host.manager(&["v1/rc"]));
    let place = release("v1/rc");
    assert_eq!(
        told,
        format!(
            "failed mf6/test@v1/rc REGISTRY_ERROR Registry file 'models.toml' not found as release asset for \
             'mf6/test@v1/rc' ({}{place})\n",
            host.forge.url()
        )
    );
    let api = "/api/v3/repos/o/models/releases/tags/v1/rc";
    assert_eq!(
        host.paths(),
        [place, advertisement("o/models"), api.to_owned()]
    );
}

#[test]
fn tags_go_before_branches_and_lead_to_their_commits() {
    let host = Host::new();
    let first = host.repo.commit("develop", tree());
    let other = host.repo.commit("v1", tree_of(ModelsToml::new()));
    host.repo.tag("v1", &first);
    let object = host.repo.annotated_tag("v2", &first);
    assert!(object != first && other != first);
    let manager = host.manager(&["v1", "v2", "refs/heads/v1", "refs/tags/v1"]);
    assert_eq!(
        sync(&manager),
        "synced mf6/test@v1 version_controlled 3\n\
         synced mf6/test@v2 version_controlled 3\n\
         synced mf6/test@refs/heads/v1 version_controlled 0\n\
         synced mf6/test@refs/tags/v1 version_controlled 3\n"
    );
    let report = manager.sync(&SyncOptions::default().force(true)).unwrap();
    let commits: Vec<_> = report.synced.iter().map(|s| s.commit.as_deref()).collect();
    assert_eq!(
        commits,
        [Some(&*first), Some(&*first), Some(&*other), Some(&*first)]
    );
}

#[test]
fn every_way_to_write_a_branch() {
    for branch in [
        "develop",
        "feature/deep/er",
        "fix-#12",
        "100%",
        "dots.and_(x)",
        "ümlaut",
    ] {
        let host = Host::empty();
        let commit = host.repo.commit(branch, tree());
        let manager = host.manager(&[branch]);
        let expected = format!("synced mf6/test@{branch} version_controlled 3\n");
        assert_eq!(sync(&manager), expected);
        assert_eq!(
            host.paths(),
            [release(branch), advertisement("o/models"), raw(&commit)]
        );
        assert_eq!(offered(&manager), models_at("mf6/test", branch));
        // It is found again by a manager that reads its name from the disk.
        let again = host.manager(&[branch]);
        assert_eq!(
            state(&again.sources().unwrap()[0]),
            [format!(
                "{branch} configured o/models version_controlled {commit} 3"
            )]
        );
        assert_eq!(
            sync(&again),
            format!("skipped mf6/test@{branch} up to date\n")
        );
    }
}

#[test]
fn without_refs_it_is_the_default_branch() {
    let host = Host::new();
    let commit = host.repo.commit("trunk", tree());
    host.repo.set_default_branch("trunk");
    let manager = host.manager_of(&host.source(""));
    assert_eq!(
        sync(&manager),
        "synced mf6/test@trunk version_controlled 3\n"
    );
    assert_eq!(
        host.paths(),
        [advertisement("o/models"), release("trunk"), raw(&commit)]
    );
    assert_eq!(sync(&manager), "skipped mf6/test@trunk up to date\n");
    assert_eq!(host.paths(), [advertisement("o/models"), release("trunk")]);
    assert_eq!(offered(&manager), models_at("mf6/test", "trunk"));
}

#[test]
fn a_ref_that_is_not_there_comes_with_those_that_are_near() {
    let host = Host::new();
    let commit = host.repo.commit("master", tree());
    host.repo.annotated_tag("develops", &commit);
    let told = sync(&host.manager(&["develp", "nothing-like-it"]));
    let place = format!("{}/o/models", host.forge.url());
    assert_eq!(
        told,
        format!(
            "failed mf6/test@develp REGISTRY_ERROR Registry discovery failed, ref 'mf6/test@develp' does not exist \
             ({place}): the repository has develop, develops\n\
             failed mf6/test@nothing-like-it REGISTRY_ERROR Registry discovery failed, ref \
             'mf6/test@nothing-like-it' does not exist ({place})\n"
        )
    );
    assert_eq!(
        host.sorted_paths(),
        [
            advertisement("o/models"),
            release("develp"),
            release("nothing-like-it")
        ]
    );
    assert_eq!(host.forge.api_requests(), 0);
}

#[test]
fn a_commit_without_a_registry_says_where_it_should_be() {
    let host = Host::empty();
    let commit = host.repo.commit("develop", below("mf6", &small_models()));
    for (keys, folder, path) in [
        ("", ".registry", REGISTRY.to_owned()),
        (
            "registry_path = \"/meta/x/\"",
            "meta/x",
            "meta/x/models.toml".to_owned(),
        ),
        ("registry_path = \".\"", ".", "models.toml".to_owned()),
    ] {
        let keys = format!("{}\n{keys}", refs_key(&["develop"]));
        let told = sync(&host.manager_of(&host.source(&keys)));
        let place = format!("/o/models/raw/{commit}/{path}");
        assert_eq!(
            told,
            format!(
                "failed mf6/test@develop REGISTRY_ERROR Registry file 'models.toml' not found in {folder} for \
                 'mf6/test@develop' ({}{place})\n",
                host.forge.url()
            )
        );
        assert_eq!(
            host.paths(),
            [release("develop"), advertisement("o/models"), place]
        );
    }
}

#[test]
fn the_registry_lies_where_the_source_says() {
    let host = Host::empty();
    let of = |model: &str| ModelsToml::new().model(model, &[]).text().into_bytes();
    let mut files = tree();
    files.push(("meta/x/models.toml".to_owned(), of("below")));
    files.push(("models.toml".to_owned(), of("top")));
    host.repo.commit("develop", files);
    for (path, model) in [
        ("meta/x", "below"),
        ("/meta/x/", "below"),
        ("", "top"),
        ("/", "top"),
        (".", "top"),
    ] {
        let keys = format!("{}\nregistry_path = \"{path}\"", refs_key(&["develop"]));
        let manager = host.manager_of(&host.source(&keys));
        assert!(sync(&manager).starts_with("s"), "{path:?}");
        assert_eq!(offered(&manager), [format!("mf6/test/{model} develop")]);
    }
}

#[test]
fn a_repository_that_is_not_there() {
    for (asks_to_sign_in, code, cause) in [
        (false, "REGISTRY_ERROR", ""),
        (
            true,
            "AUTHENTICATION_ERROR",
            ": the server requires credentials",
        ),
    ] {
        let host = Host::new();
        if asks_to_sign_in {
            // As GitHub does, in the hope that the client signs in.
            let rule = Rule::path_contains("/info/refs").status(401);
            let rule = rule.header("www-authenticate", "Basic realm=\"GitHub\"");
            host.forge.server().rule(rule);
        }
        let source = host.source_of("x", "x", "o/nothing", &refs_key(&["develop"]));
        let told = sync(&host.manager_of(&source));
        assert_eq!(
            told,
            format!(
                "failed x@develop {code} the repository 'o/nothing' does not exist, or is private{cause} \
                 ({}/o/nothing/info/refs?…)\n",
                host.forge.url()
            )
        );
        assert_eq!(
            host.paths(),
            [
                "/o/nothing/releases/download/develop/models.toml".to_owned(),
                advertisement("o/nothing")
            ]
        );
    }
}

#[test]
fn a_repository_without_commits_has_no_refs() {
    let host = Host::empty();
    let place = format!("{}/o/models", host.forge.url());
    assert_eq!(
        sync(&host.manager_of(&host.source(""))),
        format!(
            "failed mf6/test@- REGISTRY_ERROR the repository has no default branch ({place})\n"
        )
    );
    assert_eq!(
        sync(&host.manager(&["develop"])),
        format!(
            "failed mf6/test@develop REGISTRY_ERROR Registry discovery failed, ref 'mf6/test@develop' does not \
             exist ({place})\n"
        )
    );
}

#[test]
fn a_ref_that_could_be_none_is_refused_before_anybody_is_asked() {
    let host = Host::new();
    let manager = host.manager(&["develop"]);
    for reference in ["", "a//b", "../x", "a/..", "a\nb", "a\\b", "/x", "x/"] {
        let options = SyncOptions::default()
            .source("testmodels")
            .reference(reference);
        let told = sync_with(&manager, &options);
        assert!(told.starts_with("INVALID_REF "), "{reference:?}: {told}");
    }
    assert_eq!(host.paths(), Vec::<String>::new());
}
