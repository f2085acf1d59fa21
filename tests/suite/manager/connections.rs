//! How many connections a pull has when nobody says how many.

use std::collections::HashSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use modelrack::config::{HttpConfig, RateLimit};
use modelrack::{Manager, PullOptions};

use crate::support::log::logged;
use crate::support::rack::{CHUNK, Rack, chunks_but, quick_http};
use crate::support::recorder::Recorder;
use crate::support::registry::Published;
use crate::support::server::{Request, Rule};
use crate::support::{address, bytes};

/// So slow that all chunks together take seconds, in which connections are added.
const BYTES_PER_SECOND: u64 = 8 << 10;
const CHUNKS: usize = 120;
/// How many chunks are still slow after what a test waits for, so that the pull can answer to that.
const SLOW_AFTER: usize = 16;

/// A model of many chunks.
fn many_chunks() -> (Rack, Published) {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &[("a.bin", bytes(CHUNKS * CHUNK, 1))]);
    (rack, published)
}

/// The requests for chunks until what a test waits for is seen, and some more.
fn chunks_until(
    published: &Published,
    is_seen: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> Rule {
    let after = AtomicUsize::new(0);
    chunks_but(&[published]).and(move |request| {
        if after.load(SeqCst) > 0 || is_seen(request) {
            after.fetch_add(1, SeqCst);
        }
        after.load(SeqCst) <= SLOW_AFTER
    })
}

/// Without retries, so that each failure that counts as one ends the pull.
fn no_retries() -> HttpConfig {
    let mut http = quick_http();
    http.retry.retries = 0;
    http
}

/// Pulls, and returns what was logged. The model is complete, and nothing was retried.
#[track_caller]
fn pull(rack: &Rack, http: HttpConfig) -> String {
    rack.server.reset_counts();
    let recorder = Arc::new(Recorder::default());
    let options = PullOptions::default().progress(recorder.clone());
    let manager = rack.manager_of(rack.config_of(http));
    let (pulled, log) = logged(|| manager.pull(&address("g/m v1"), &options));
    pulled.unwrap_or_else(|error| panic!("{error}: {log}"));
    rack.assert_files("g/m v1", &[("a.bin", bytes(CHUNKS * CHUNK, 1))]);
    assert_eq!(recorder.retries(), 0);
    log
}

/// How many answers to requests for chunks had this status.
fn answers(rack: &Rack, published: &Published, status: u16) -> usize {
    let requests = rack.server.requests();
    let chunks = rack.chunk_requests(&[published]);
    let answered = requests.iter().filter(|request| request.status == status);
    answered
        .filter(|request| chunks.contains(&request.path))
        .count()
}

#[test]
fn a_server_that_drops_the_fifth_connection_is_asked_for_few() {
    let (rack, published) = many_chunks();
    let is_refused = |request: &Request| request.refused > 0;
    rack.server
        .rule(chunks_until(&published, is_refused).throttle(BYTES_PER_SECOND));
    // The one that asked for the index is still open.
    rack.server.limit_connections(1 + 4);
    let log = pull(&rack, no_retries());
    let refused = rack.server.connections_refused();
    assert!((1..=3).contains(&refused), "{refused}");
    assert_eq!(answers(&rack, &published, 200), CHUNKS, "each came once");
    assert!(
        rack.server.connections() <= 1 + 4,
        "none was given up for another"
    );
    for line in [
        "connections=8",
        "connections=4",
        "why=\"the server refuses connections\"",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn a_server_that_takes_fewer_than_a_pull_begins_with_refuses_each_once() {
    for most in [1, 2] {
        let (rack, published) = many_chunks();
        let surplus = 4 - most as u64;
        let are_refused = move |request: &Request| request.refused >= surplus;
        rack.server
            .rule(chunks_until(&published, are_refused).throttle(2 * BYTES_PER_SECOND));
        rack.server.limit_connections(1 + most);
        pull(&rack, no_retries());
        assert_eq!(rack.server.connections_refused(), surplus);
        assert_eq!(answers(&rack, &published, 200), CHUNKS);
    }
}

#[test]
fn a_server_that_answers_six_requests_at_once_has_few_to_refuse() {
    for retry_after in [None, Some("7200")] {
        for status in [429, 503] {
            let (rack, published) = many_chunks();
            let refused = Arc::new(AtomicBool::new(false));
            let busy = chunks_but(&[&published]).and(|request| request.in_flight > 6);
            let refuse = Arc::clone(&refused);
            let busy = busy
                .status(status)
                .on_request(move || refuse.store(true, SeqCst));
            rack.server.rule(match retry_after {
                Some(seconds) => busy.header("retry-after", seconds),
                None => busy,
            });
            let is_refused = move |_: &Request| refused.load(SeqCst);
            rack.server
                .rule(chunks_until(&published, is_refused).throttle(BYTES_PER_SECOND));
            pull(&rack, no_retries());
            let refused = answers(&rack, &published, status);
            assert!((1..=3).contains(&refused), "{refused} times {status}");
            assert_eq!(answers(&rack, &published, 200), CHUNKS, "each came once");
        }
    }
}

#[test]
fn a_limit_of_the_rate_is_not_shared_between_more_connections() {
    let (rack, _) = many_chunks();
    let options = PullOptions::default().rate_limit(RateLimit::new(150_000));
    let manager = rack.manager();
    let (pulled, log) = logged(|| manager.pull(&address("g/m v1"), &options));
    pulled.unwrap();
    rack.assert_files("g/m v1", &[("a.bin", bytes(CHUNKS * CHUNK, 1))]);
    assert!(log.contains("the limit of the rate is reached"), "{log}");
    assert!(!log.contains("connections=8"), "{log}");
    assert!(rack.server.connections() <= 1 + 4);
}

#[test]
fn connections_that_share_a_rate_cost_nothing() {
    let (rack, published) = many_chunks();
    // Until those that were added are gone: as many requests in a row find few others.
    let (is_more, alone) = (AtomicBool::new(false), AtomicUsize::new(0));
    let is_over = move |request: &Request| {
        match request.in_flight {
            ..=4 => _ = alone.fetch_add(1, SeqCst),
            _ => alone.store(0, SeqCst),
        }
        is_more.fetch_or(request.in_flight > 4, SeqCst) && alone.load(SeqCst) >= 8
    };
    let slow = chunks_until(&published, is_over);
    rack.server.rule(slow.throttle_all(2 * BYTES_PER_SECOND));
    let log = pull(&rack, no_retries());
    assert!(log.contains("connections=8"), "{log}");
    let requests = rack.chunk_requests(&[&published]);
    assert_eq!(requests.len(), CHUNKS, "each was asked for once");
    assert_eq!(answers(&rack, &published, 200), CHUNKS);
}

/// Pulls while one connection stalls for good; returns the ranges that were asked for.
#[track_caller]
fn ranges_after(stall: fn(Rule) -> Rule) -> Vec<String> {
    // Nobody waits that long.
    let mut http = no_retries();
    http.stall_timeout = Duration::from_secs(3600);
    let (rack, published) = many_chunks();
    // Until a chunk is asked for again.
    let (paths, again) = (Mutex::new(HashSet::new()), Arc::new(AtomicBool::new(false)));
    let is_again = Arc::clone(&again);
    let counted = chunks_but(&[&published]).and(move |request| {
        let is_new = paths.lock().unwrap().insert(request.path.clone());
        again.fetch_or(!is_new, SeqCst);
        true
    });
    rack.server.rule(stall(counted.nth(3)));
    let slow = chunks_until(&published, move |_| is_again.load(SeqCst));
    rack.server.rule(slow.throttle(BYTES_PER_SECOND));
    let log = pull(&rack, http);
    assert!(log.contains("others bring bytes, and it does not"), "{log}");
    assert_eq!(rack.chunk_requests(&[&published]).len(), CHUNKS + 1);
    let requests = rack.server.requests();
    let ranges = requests.iter().filter_map(|it| it.header("range"));
    ranges.map(str::to_owned).collect()
}

#[test]
fn one_that_stalls_before_it_answers_is_replaced() {
    assert_eq!(ranges_after(Rule::stall), [""; 0]);
}

#[test]
fn one_that_stalls_after_its_header_is_replaced() {
    assert_eq!(ranges_after(|rule| rule.stall_after(0)), [""; 0]);
}

#[test]
fn one_that_stalls_is_replaced_and_what_came_over_it_is_kept() {
    assert_eq!(
        ranges_after(|rule| rule.stall_after(100)),
        ["bytes=100-1023"]
    );
}

#[test]
fn few_parts_need_few_connections() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &[("a", bytes(3 * CHUNK, 1))]);
    rack.server
        .rule(chunks_but(&[&published]).throttle(BYTES_PER_SECOND));
    rack.server.reset_counts();
    rack.pull("g/m v1").unwrap();
    assert!(rack.server.connections() <= 1 + 3);
}

#[test]
fn as_many_as_the_user_says_stay_as_many() {
    for concurrency in [2, 6] {
        let (rack, published) = many_chunks();
        // Some on each connection, until others would be added.
        let slow = chunks_but(&[&published]).times(16 * concurrency as u64);
        rack.server.rule(slow.throttle(2 * BYTES_PER_SECOND));
        rack.server.reset_counts();
        let options = PullOptions::default().concurrency(concurrency);
        rack.manager().pull(&address("g/m v1"), &options).unwrap();
        assert_eq!(rack.server.max_in_flight(), concurrency);
        assert!(rack.server.connections() <= 1 + concurrency as u64);
    }
}

#[test]
fn the_parts_of_large_files_come_first() {
    let rack = Rack::new();
    let files = [("a", 2), ("b", 5), ("c", 3)];
    let files = files.map(|(name, chunks)| (name, bytes(chunks * CHUNK, chunks as u64)));
    let published = rack.publish("g/m v1", &files);
    rack.server.reset_counts();
    let options = PullOptions::default().concurrency(1);
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
    let [a, b, c] = files.map(|(_, bytes)| {
        let digests = bytes
            .chunks(CHUNK)
            .map(|chunk| format!("/data/{}", modelrack::Digest::of(chunk)));
        digests.collect::<Vec<_>>()
    });
    assert_eq!(rack.chunk_requests(&[&published]), [b, c, a].concat());
}
