//! Commits as refs, by their whole hash or its beginning.

use modelrack::{Manager, SyncOptions};

use super::{Host, advertisement, raw, release, sync, sync_with, tree, tree_of};
use crate::sources::repository::models::ModelsToml;
use crate::support::server::Rule;

/// The API's answer about a commit is asked for here.
fn api(hash: &str) -> String {
    format!("/api/v3/repos/o/models/commits/{hash}")
}

#[test]
fn a_whole_hash_needs_no_ref_that_leads_to_it() {
    let host = Host::new();
    let old = host.repo.commit("develop", tree());
    let tip = host.repo.commit("develop", tree_of(ModelsToml::new()));
    for (hash, commit, models) in [
        (old.clone(), &old, 3),
        (tip.clone(), &tip, 0),
        (old.to_uppercase(), &old, 3),
    ] {
        let manager = host.manager(&[&hash]);
        let expected = format!("synced mf6/test@{hash} version_controlled {models}\n");
        assert_eq!(sync(&manager), expected);
        assert_eq!(
            host.paths(),
            [release(&hash), advertisement("o/models"), raw(commit)]
        );
        let info = &manager.sources().unwrap()[0];
        let info = info
            .refs
            .iter()
            .find(|info| info.reference == hash)
            .unwrap();
        let cached = info.cached.as_ref().unwrap();
        assert_eq!(cached.commit.as_ref(), Some(commit));
    }
    assert_eq!(host.forge.api_requests(), 0);
}

#[test]
fn a_whole_hash_without_a_registry_may_be_no_commit_at_all() {
    let host = Host::new();
    let bare = host.repo.commit("bare", [("a", "b")]);
    let hidden = host.repo.commit("bare", [("a", "c")]);
    host.repo.set_branch("bare", &bare);
    let unknown = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let not_found = |hash: &str| {
        format!(
            "Registry file 'models.toml' not found in .registry for 'mf6/test@{hash}' ({}{})",
            host.forge.url(),
            raw(hash)
        )
    };
    let not_there = format!(
        "Registry discovery failed, ref 'mf6/test@{unknown}' does not exist ({}/o/models)",
        host.forge.url()
    );
    for (hash, error, asked) in [
        (&bare, not_found(&bare), None),
        (&hidden, not_found(&hidden), Some(api(&hidden))),
        (&unknown, not_there, Some(api(&unknown))),
    ] {
        let told = sync(&host.manager(&[hash]));
        let expected = format!("failed mf6/test@{hash} REGISTRY_ERROR {error}\n");
        assert_eq!(told, expected);
        let before = [release(hash), advertisement("o/models"), raw(hash)];
        let expected: Vec<String> = before.into_iter().chain(asked).collect();
        assert_eq!(host.paths(), expected);
    }
}

#[test]
fn the_beginning_of_a_hash_is_completed() {
    let host = Host::new();
    let old = host.repo.commit("develop", tree());
    let tip = host.repo.commit("develop", tree_of(ModelsToml::new()));
    let object = host.repo.annotated_tag("v1", &old);
    host.repo.delete_tag("v1");
    for (hash, commit, is_asked) in [
        (&tip[..7], &tip, false),
        (&tip[..39], &tip, false),
        (&old[..7], &old, true),
        (&old[..12].to_uppercase(), &old, true),
    ] {
        // The host knows hashes in lower case only, as git writes them.
        let told = sync(&host.manager(&[hash]));
        let mut expected = vec![release(hash), advertisement("o/models")];
        if is_asked {
            expected.push(api(&hash.to_lowercase()));
        }
        expected.push(raw(commit));
        assert!(told.starts_with("synced"), "{hash}: {told}");
        assert_eq!(host.paths(), expected);
    }
    // That of an annotated tag leads to its commit, whole or not.
    host.repo.annotated_tag("v1", &old);
    for hash in [&object[..], &object[..9]] {
        let manager = host.manager(&[hash]);
        assert!(sync(&manager).starts_with("synced"), "{hash}");
        let expected = [release(hash), advertisement("o/models"), raw(&old)];
        assert_eq!(host.paths(), expected);
    }
}

#[test]
fn a_beginning_that_nobody_or_more_than_one_has_does_not_exist() {
    let host = Host::new();
    let told = sync(&host.manager(&["abcdef0"]));
    assert_eq!(
        told,
        format!(
            "failed mf6/test@abcdef0 REGISTRY_ERROR Registry discovery failed, ref 'mf6/test@abcdef0' does not \
             exist ({}/o/models)\n",
            host.forge.url()
        )
    );
    let requests = host.forge.server().requests();
    let asked = requests
        .iter()
        .find(|request| request.path == api("abcdef0"));
    // Of all that the interface could say of a commit, the hash is enough.
    assert_eq!(
        asked.unwrap().header("accept"),
        Some("application/vnd.github.sha")
    );
    // Fewer than seven digits are taken for a name.
    host.forge.server().reset_counts();
    assert!(sync(&host.manager(&["abcde"])).contains("does not exist"));
    assert_eq!(host.forge.api_requests(), 0);
}

#[test]
fn what_looks_like_a_hash_may_be_a_branch() {
    let host = Host::new();
    let commit = host.repo.commit("deadbee", tree());
    let manager = host.manager(&["deadbee"]);
    assert!(sync(&manager).starts_with("synced"));
    assert_eq!(
        host.paths(),
        [release("deadbee"), advertisement("o/models"), raw(&commit)]
    );
    // A commit that was synced by its hash is up to date for ever, and says so by asking for the refs alone.
    let by_hash = SyncOptions::default()
        .source("testmodels")
        .reference(&commit[..8]);
    assert!(sync_with(&manager, &by_hash).starts_with("synced"));
    host.paths();
    assert!(sync_with(&manager, &by_hash).starts_with("skipped"));
    assert_eq!(
        host.paths(),
        [release(&commit[..8]), advertisement("o/models")]
    );
    assert_eq!(manager.sources().unwrap()[0].refs.len(), 2);
}

#[test]
fn an_interface_that_answers_json_or_nonsense() {
    let host = Host::new();
    let old = host.repo.commit("develop", tree());
    host.repo.commit("develop", tree_of(ModelsToml::new()));
    let whole = format!("{{\"sha\": \"{old}\", \"commit\": {{}}}}");
    for (body, is_found) in [
        (whole.as_str(), true),
        ("{\"sha\": 7}", false),
        ("{}", false),
        ("<html>", false),
        ("", false),
    ] {
        host.forge.server().clear_rules();
        host.forge
            .server()
            .rule(Rule::path_contains("/commits/").body(body));
        let options = SyncOptions::default()
            .source("testmodels")
            .reference(&old[..7])
            .force(true);
        let told = sync_with(&host.manager(&["develop"]), &options);
        assert_eq!(told.starts_with("synced"), is_found, "{body}: {told}");
    }
}
