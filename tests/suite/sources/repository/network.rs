//! Servers that fail, now and then or for good.

use std::time::Duration;

use modelrack::error::AuthFailure;
use modelrack::{ErrorKind, Manager, SyncOptions};

use super::{Host, advertisement, raw, release, sync, tree_of};
use crate::sources::repository::models::ModelsToml;
use crate::support::server::Rule;

#[test]
fn what_fails_now_and_then_is_asked_for_again() {
    type Spoil = fn(Rule) -> Rule;
    let faults: [(&str, Spoil); 7] = [
        ("500", |rule| rule.status(500)),
        ("502", |rule| rule.status(502)),
        ("503", |rule| rule.status(503).header("retry-after", "0")),
        ("503 for long", |rule| {
            rule.status(503).header("retry-after", "900")
        }),
        ("429", |rule| rule.status(429)),
        ("a reset", Rule::reset),
        ("a cut body", |rule| rule.cut_after(20)),
    ];
    for (what, spoil) in faults {
        let host = Host::new();
        for place in ["/releases/", "/info/refs", "/raw/"] {
            let rule = Rule::path_contains(place).times(2);
            host.forge.server().rule(spoil(rule));
        }
        let told = sync(&host.manager(&["develop"]));
        assert_eq!(
            told, "synced mf6/test@develop version_controlled 3\n",
            "{what}"
        );
        // A body of nothing cannot be cut.
        let releases = if what == "a cut body" { 1 } else { 3 };
        assert_eq!(
            host.forge.server().count("/o/models/releases/"),
            releases,
            "{what}"
        );
        assert_eq!(host.forge.server().count("/o/models/info/"), 3, "{what}");
        assert_eq!(host.forge.server().count("/o/models/raw/"), 3, "{what}");
    }
}

#[test]
fn what_fails_for_good_is_the_reason() {
    for (place, path, requests) in [
        ("/releases/", release("develop"), 4),
        ("/info/refs", "/o/models/info/refs?…".to_owned(), 1 + 4),
        ("/raw/", String::new(), 1 + 1 + 4),
    ] {
        let host = Host::new();
        let commit = host.repo.commit("develop", tree_of(ModelsToml::new()));
        let path = if path.is_empty() { raw(&commit) } else { path };
        host.forge
            .server()
            .rule(Rule::path_contains(place).status(500));
        let told = sync(&host.manager(&["develop"]));
        assert_eq!(
            told,
            format!(
                "failed mf6/test@develop NETWORK_ERROR the server responded with status 500 ({}{path})\n",
                host.forge.url()
            )
        );
        assert_eq!(host.paths().len(), requests, "{place}");
    }
}

#[test]
fn a_limit_of_the_interface_says_when_it_ends() {
    let host = Host::new();
    let commit = host.repo.commit("develop", tree_of(ModelsToml::new()));
    host.repo.tag("v1", &commit);
    host.forge.limit_api();
    let manager = host.manager(&["develop", "v1", "0123456"]);
    let report = manager.sync(&SyncOptions::default()).unwrap();
    assert_eq!(report.synced.len(), 1, "a branch needs no interface");
    for failed in &report.failed {
        assert_eq!(failed.error.code(), "RATE_LIMITED", "{failed:?}");
        let wait = failed.error.retry_after().unwrap();
        assert!(wait > Duration::from_secs(500) && wait <= Duration::from_secs(600));
    }
    assert_eq!((report.failed.len(), host.forge.api_requests()), (2, 2));
}

#[test]
fn a_limit_without_an_end_and_a_refusal_are_told_apart() {
    for (name, value, code, wait) in [
        ("retry-after", "7", "RATE_LIMITED", Some(7)),
        ("x-ratelimit-remaining", "3", "AUTHENTICATION_ERROR", None),
        ("server", "x", "AUTHENTICATION_ERROR", None),
    ] {
        let host = Host::new();
        let rule = Rule::path_contains("/info/refs").status(403);
        host.forge.server().rule(rule.header(name, value));
        let report = host.manager(&["develop"]).sync(&SyncOptions::default());
        let reason = report.unwrap().failed.remove(0).error;
        assert_eq!(reason.code(), code, "{name}");
        assert_eq!(reason.retry_after().map(|wait| wait.as_secs()), wait);
        if let ErrorKind::Authentication { failure, .. } = reason.kind() {
            assert_eq!(*failure, AuthFailure::Forbidden);
        }
    }
}

#[test]
fn what_answers_something_else_is_told_from_git_and_from_a_registry() {
    for (place, message) in [
        (
            "/info/refs",
            "the server does not respond like a git server",
        ),
        ("/releases/", "the registry is malformed"),
        ("/raw/", "the registry is malformed"),
    ] {
        let host = Host::new();
        let rule = Rule::path_contains(place).body("not what was expected");
        host.forge.server().rule(rule);
        let told = sync(&host.manager(&["develop"]));
        let expected = format!("failed mf6/test@develop REGISTRY_ERROR {message} (");
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for bytes in [
        &b"0000"[..],
        b"",
        b"001e# service=git-upload-pack\n",
        b"fff",
        b"0009ERR x",
    ] {
        let host = Host::new();
        let rule = Rule::path_contains("/info/refs").body(bytes);
        host.forge.server().rule(rule);
        let told = sync(&host.manager(&["develop"]));
        assert!(
            told.starts_with("failed mf6/test@develop REGISTRY_ERROR"),
            "{told}"
        );
    }
}

#[test]
fn a_document_beyond_its_limit_is_not_read_on() {
    for place in ["/releases/", "/info/refs", "/raw/"] {
        let host = Host::new();
        let rule = Rule::path_contains(place)
            .body("x")
            .declare_length((64 << 20) + 1);
        host.forge.server().rule(rule);
        let told = sync(&host.manager(&["develop"]));
        assert!(
            told.starts_with(
                "failed mf6/test@develop REGISTRY_ERROR the document is larger than 67.1 MB"
            ),
            "{told}"
        );
        let asked = host.forge.server().requests();
        assert_eq!(asked.iter().filter(|r| r.path.contains(place)).count(), 1);
    }
    let host = Host::new();
    host.forge
        .server()
        .rule(Rule::path_contains("/info/refs").body("x").endless());
    let told = sync(&host.manager(&["develop"]));
    assert!(told.contains("the document is larger than"), "{told}");
    assert_eq!(
        host.paths(),
        [release("develop"), advertisement("o/models")]
    );
}
