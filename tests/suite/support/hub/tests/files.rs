//! Files, and where they are.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::Hub;
use super::{HELLO, HELLO_SHA256, ask, get, get_as};

#[test]
fn serves_small_files() {
    let hub = Hub::start();
    let repo = hub.repo("o/m");
    let commit = repo.commit("main", [("ä/b c.txt", "hello\n"), ("empty", "")]);
    let path = "/o/m/resolve/main/%C3%A4/b%20c.txt";
    let etag = format!("\"{HELLO}\"");
    for method in ["GET", "HEAD"] {
        let answer = ask(&hub, &format!("{method} {path}"), "");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("etag"), Some(etag.as_str()));
        assert_eq!(answer.header("x-repo-commit"), Some(commit.as_str()));
        assert_eq!(answer.header("content-length"), Some("6"));
    }
    let part = ask(&hub, &format!("GET {path}"), "range: bytes=1-2\r\n");
    assert_eq!((part.status(), part.text()), (206, "el"));
    let unchanged = format!("if-none-match: {etag}\r\n");
    assert_eq!(ask(&hub, &format!("GET {path}"), &unchanged).status(), 304);
    let missing = get(&hub, "/o/m/resolve/main/none");
    assert_eq!(missing.outcome(), (404, "EntryNotFound"));
    assert_eq!(missing.header("x-repo-commit"), Some(commit.as_str()));
    assert_eq!(missing.text(), "Entry not found");

    hub.redirect_small_files();
    let answer = get(&hub, path);
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.header("x-repo-commit"), Some(commit.as_str()));
    let kept = format!("/api/resolve-cache/models/o/m/{commit}/%C3%A4/b%20c.txt");
    let place = answer.header("location").unwrap();
    assert!(place.starts_with(&format!("{kept}?%2Fo%2Fm%2Fresolve%2Fmain%2F")));
    assert!(place.ends_with(&format!("=&etag=%22{HELLO}%22")));
    let file = get(&hub, place);
    assert_eq!((file.status(), file.text()), (200, "hello\n"));
    assert_eq!(file.header("etag"), Some(etag.as_str()));
    assert_eq!(file.header("x-repo-commit"), Some(commit.as_str()));
    assert_eq!(get(&hub, &kept.replace(&commit, "main")).status(), 400);
    assert_eq!(get(&hub, "/o/m/resolve/main/empty").status(), 200);
    assert_eq!(hub.api_requests(), 0);
}

#[test]
fn hands_large_files_out_from_another_host() {
    let hub = Hub::start();
    let repo = hub.repo("o/m");
    repo.track(".weights");
    let commit = repo.commit("main", [("a.weights", "hello\n")]);
    let linked = format!("\"{HELLO_SHA256}\"");
    for method in ["GET", "HEAD"] {
        let answer = ask(&hub, &format!("{method} /o/m/resolve/main/a.weights"), "");
        assert_eq!(answer.status(), 302);
        for (name, value) in [
            ("x-repo-commit", commit.as_str()),
            ("x-linked-etag", &linked),
            ("x-linked-size", "6"),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
    }
    let answer = get(&hub, "/o/m/resolve/main/a.weights");
    let place = answer.header("location").unwrap();
    let place = place.strip_prefix(&hub.server().localhost_url()).unwrap();
    let whole = get(&hub, place);
    assert_eq!((whole.status(), whole.text()), (200, "hello\n"));
    let etag = whole.header("etag").unwrap();
    assert_ne!(etag, linked, "the storage calls it otherwise");
    let line = format!("GET {place}");
    for (condition, status, text) in [(etag, 206, "llo\n"), (&*linked, 200, "hello\n")] {
        let headers = format!("range: bytes=2-\r\nif-range: {condition}\r\n");
        let part = ask(&hub, &line, &headers);
        assert_eq!((part.status(), part.text()), (status, text));
    }
    assert_eq!(get(&hub, place.split_once('?').unwrap().0).status(), 403);
    assert_eq!(
        get(&hub, &place.replacen("/cdn/", "/cdn/0", 1)).status(),
        404
    );
    repo.commit("main", [("other", "1")]);
    assert_eq!(get(&hub, place).status(), 200, "history stays");

    let leaked = catch_unwind(AssertUnwindSafe(|| get_as(&hub, "secret", place)));
    assert!(leaked.is_err(), "the storage answered");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(hub))).is_err());
}
