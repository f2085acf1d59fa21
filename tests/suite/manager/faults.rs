//! Servers that fail: the right code, no more requests than promised, and nothing lost.

use std::sync::Arc;
use std::time::Duration;

use modelrack::{CancelToken, Manager, PullOptions};

use super::fixture::{Fixture, PLACES, Place, Spoil};
use crate::support::rack::{Rack, quick_http};
use crate::support::recorder::Recorder;
use crate::support::server::Rule;
use crate::support::{address, chain};

#[test]
fn a_fault_that_stays_ends_in_its_code_after_as_many_tries_as_it_is_worth() {
    // What goes wrong, the code at each place, and the number of tries.
    let faults: Vec<(&str, Spoil, [&str; 3], usize)> = vec![
        (
            "401",
            |rule| rule.status(401),
            ["AUTHENTICATION_ERROR"; 3],
            1,
        ),
        (
            "403",
            |rule| rule.status(403),
            ["AUTHENTICATION_ERROR"; 3],
            1,
        ),
        ("404", |rule| rule.status(404), ["NETWORK_ERROR"; 3], 1),
        ("410", |rule| rule.status(410), ["NETWORK_ERROR"; 3], 1),
        ("418", |rule| rule.status(418), ["NETWORK_ERROR"; 3], 1),
        (
            "304 unasked",
            |rule| rule.status(304),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        ("500", |rule| rule.status(500), ["NETWORK_ERROR"; 3], 4),
        ("503", |rule| rule.status(503), ["NETWORK_ERROR"; 3], 4),
        ("429", |rule| rule.status(429), ["RATE_LIMITED"; 3], 4),
        (
            "429 for now",
            |rule| rule.status(429).header("retry-after", "0"),
            ["RATE_LIMITED"; 3],
            4,
        ),
        (
            "429 for a second, which is longer than is waited here",
            |rule| rule.status(429).header("retry-after", "1"),
            ["RATE_LIMITED"; 3],
            1,
        ),
        ("no answer", |rule| rule.close(), ["NETWORK_ERROR"; 3], 4),
        ("a reset", |rule| rule.reset(), ["NETWORK_ERROR"; 3], 4),
        (
            "no HTTP",
            |rule| rule.raw("SSH-2.0-OpenSSH_9.9\r\n"),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "no status",
            |rule| rule.raw("HTTP/1.1 abc\r\n\r\n"),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a body that is cut before its first byte",
            |rule| rule.cut_after(0),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a body that is reset before its first byte",
            |rule| rule.reset_after(0),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a chunked body that is cut before its first byte",
            |rule| rule.chunked().cut_after(0),
            ["NETWORK_ERROR"; 3],
            4,
        ),
        (
            "a redirect to nowhere",
            |rule| rule.status(302),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        (
            "a redirect to a file",
            |rule| rule.redirect(302, "file:///etc/hostname"),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        (
            "a redirect to another kind of place",
            |rule| rule.redirect(302, "ftp://127.0.0.1/x"),
            ["NETWORK_ERROR"; 3],
            1,
        ),
        (
            "a wrong byte",
            |rule| rule.flip(3),
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
        ("a web page", Rule::html, ["REGISTRY_ERROR"; 3], 1),
        (
            "no body",
            |rule| rule.body(""),
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
        (
            "an endless body",
            |rule| rule.endless(),
            ["REGISTRY_ERROR", "HASH_MISMATCH", "HASH_MISMATCH"],
            4,
        ),
    ];
    for (at, place) in PLACES.into_iter().enumerate() {
        let fixture = Fixture::new();
        for (what, spoil, codes, tries) in &faults {
            let beside = match *what {
                // Cut at the cap, which is large for an index or a manifest.
                "an endless body" => place != Place::Chunk,
                // The index is asked for with a validator.
                "304 unasked" => place == Place::Index,
                _ => false,
            };
            if beside {
                continue;
            }
            fixture.rack.server.clear_rules();
            fixture.rack.server.reset_counts();
            fixture.rack.server.rule(spoil(fixture.at(place)));
            let error = fixture.pull().unwrap_err();
            let shown = chain(&error);
            let code = codes[at];
            assert_eq!(error.code(), code, "{what}, {place:?}: {shown}");
            assert!(!shown.contains('\n'), "{shown}");
            let tries = if code == "REGISTRY_ERROR" { 1 } else { *tries };
            assert_eq!(
                fixture.requests_at(place),
                tries,
                "{what}, {place:?}: {shown}"
            );
            assert_eq!(fixture.rack.listed().0, ["g/m v1"], "{what}, {place:?}");
        }
        fixture.assert_nothing_lost();
    }
}

#[test]
fn a_fault_that_passes_is_not_noticed() {
    let faults: Vec<(&str, Spoil)> = vec![
        ("500", |rule| rule.times(3).status(500)),
        ("429", |rule| {
            rule.times(3).status(429).header("retry-after", "0")
        }),
        ("no answer", |rule| rule.times(3).close()),
        ("no HTTP", |rule| rule.times(3).raw("\r\n\r\n")),
        ("a cut body", |rule| rule.times(3).cut_after(7)),
        ("a wrong byte", |rule| {
            rule.times(3)
                .flip(0)
                .and(|request| request.path != "/models.json")
        }),
        ("slowness", |rule| rule.delay(Duration::from_millis(3))),
        ("a chunked body", Rule::chunked),
        ("a body without a length", Rule::until_close),
        ("a body that stops and goes on", |rule| {
            rule.throttle(200_000)
        }),
    ];
    let fixture = Fixture::new();
    for (what, spoil) in faults {
        for place in PLACES {
            fixture.rack.server.clear_rules();
            fixture.rack.server.rule(spoil(fixture.at(place)));
            let report = fixture
                .pull()
                .unwrap_or_else(|error| panic!("{what}, {place:?}: {error:?}"));
            assert!(
                report.bytes_fetched >= report.total_bytes,
                "{what}, {place:?}"
            );
            fixture
                .rack
                .assert_files("g/m v2", &[("a.bin", crate::support::bytes(2500, 9))]);
            // Everything comes over the network again.
            let gone = CancelToken::new();
            fixture
                .rack
                .manager()
                .remove(&address("g/m v2"), &gone)
                .unwrap();
            std::fs::remove_dir_all(fixture.rack.index_cache()).unwrap();
        }
    }
}

#[test]
fn a_wrong_chunk_is_tried_three_times_more_and_no_other_after_it() {
    let fixture = Fixture::new();
    fixture.rack.server.rule(fixture.at(Place::Chunk).flip(3));
    let recorder = Arc::new(Recorder::default());
    let options = PullOptions::default().progress(recorder.clone());
    let error = fixture.pull_with(quick_http(), options).unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH");
    assert!(
        chain(&error).starts_with("pull g/m v2: chunk 1/3: "),
        "{}",
        chain(&error)
    );
    assert_eq!(recorder.retries(), 3);
    let asked = fixture.rack.chunk_requests(&[&fixture.v2]);
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|path| *path == asked[0]));
    let partial = fixture
        .rack
        .manager()
        .list(&modelrack::ListOptions::default())
        .unwrap();
    let last_error = partial.partials[0].last_error.as_ref().unwrap();
    assert!(last_error.contains("chunk 1/3"), "{last_error}");
    fixture.assert_nothing_lost();
}

#[test]
fn nobody_at_the_other_end_is_a_network_error() {
    let rack = Rack::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = rack
        .config()
        .registry_url(format!("http://127.0.0.1:{port}"));
    let error = rack
        .manager_of(config)
        .pull(&address("g/m"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    // The message says it, and no cause says it again.
    let expected = format!("connection refused (http://127.0.0.1:{port}/models.json)");
    assert!(chain(&error).ends_with(&expected), "{}", chain(&error));
}

#[test]
fn a_body_of_another_length_than_the_manifest_says_is_a_mismatch() {
    let cases: [(&str, Spoil); 5] = [
        ("a byte more", |rule| rule.body(vec![0; 1025])),
        ("a byte less", |rule| rule.body(vec![0; 1023])),
        ("a byte more without a length", |rule| {
            rule.chunked().overlong(1)
        }),
        ("bytes until the end of the connection", |rule| {
            rule.until_close().overlong(100)
        }),
        ("a range of it", |rule| {
            rule.body(vec![0; 10])
                .status(206)
                .header("content-range", "bytes 0-9/1024")
        }),
    ];
    for (what, spoil) in cases {
        let fixture = Fixture::new();
        fixture.rack.server.rule(spoil(fixture.at(Place::Chunk)));
        let error = fixture.pull().unwrap_err();
        let (expected, tries) = match what {
            "a range of it" => ("NETWORK_ERROR", 1),
            _ => ("HASH_MISMATCH", 4),
        };
        assert_eq!(error.code(), expected, "{what}: {}", chain(&error));
        assert_eq!(fixture.requests_at(Place::Chunk), tries, "{what}");
        fixture.assert_nothing_lost();
    }
}

#[test]
fn a_length_that_was_not_kept_is_a_network_error() {
    let fixture = Fixture::new();
    fixture
        .rack
        .server
        .rule(fixture.at(Place::Manifest).declare_length(100_000));
    assert_eq!(fixture.pull().unwrap_err().code(), "NETWORK_ERROR");
    fixture.assert_nothing_lost();
}
