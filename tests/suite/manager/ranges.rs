//! Parts so large that they come in ranges.

use std::sync::atomic::{AtomicUsize, Ordering};

use modelrack::{Manager, PullOptions};

use super::fixture::Spoil;
use super::resume::partial;
use crate::support::disk::flip;
use crate::support::rack::{Rack, chunks_but};
use crate::support::registry::{Publication, Published};
use crate::support::server::{Gate, Request, Rule};
use crate::support::{address, bytes};

/// `g/m v1` of one file of 33 MiB and a bit in one chunk.
fn large() -> (Rack, Published, Vec<u8>) {
    let rack = Rack::new();
    let file = bytes((33 << 20) + 5, 3);
    let options = Publication {
        chunk_bytes: 64 << 20,
        ..Publication::default()
    };
    let published = rack.publish_as("g/m v1", &[("large.bin", &file)], &options);
    assert_eq!(published.chunks, 1);
    (rack, published, file)
}

fn ranges(rack: &Rack, published: &Published) -> Vec<String> {
    let requests = rack.server.requests().into_iter();
    let mut ranges: Vec<String> = requests
        .filter(|request| {
            request.path.starts_with("/data/")
                && request.path != crate::support::rack::manifest_path(published)
        })
        .map(|request| request.header("range").unwrap_or("whole").to_owned())
        .collect();
    ranges.sort();
    ranges
}

/// The ranges that such a file comes in.
const RANGES: [&str; 5] = [
    "bytes=0-8388607",
    "bytes=16777216-25165823",
    "bytes=25165824-33554431",
    "bytes=33554432-34603012",
    "bytes=8388608-16777215",
];

#[test]
fn a_large_part_comes_in_ranges_and_only_those_that_are_missing_come_again() {
    let (rack, published, file) = large();
    rack.server.rule(
        Rule::when(|request| request.header("range") == Some("bytes=16777216-25165823"))
            .status(404),
    );
    let options = PullOptions::default().concurrency(1);
    rack.manager()
        .pull(&address("g/m v1"), &options)
        .unwrap_err();
    assert_eq!(rack.listed().1, ["g/m v1"]);
    rack.server.clear_rules();
    rack.server.reset_counts();
    let report = rack.pull("g/m v1").unwrap();
    assert_eq!(ranges(&rack, &published), [RANGES[1], RANGES[2], RANGES[3]]);
    assert_eq!(report.bytes_resumed, 16 << 20);
    assert_eq!(report.bytes_fetched, (17 << 20) + 5);
    rack.assert_files("g/m v1", &[("large.bin", file)]);
}

#[test]
fn a_server_without_ranges_sends_a_large_part_once() {
    let (rack, published, file) = large();
    rack.server.rule(chunks_but(&[&published]).ignore_range());
    let options = PullOptions::default().concurrency(1);
    let report = rack.manager().pull(&address("g/m v1"), &options).unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert!(rack.cache().is_empty());
    assert_eq!(ranges(&rack, &published), RANGES[..1]);
    assert_eq!(report.bytes_fetched, report.total_bytes);
}

#[test]
fn a_server_without_ranges_sends_a_large_part_once_however_many_have_asked() {
    let (rack, published, file) = large();
    // Nobody is answered before everybody has asked.
    let all = Gate::new();
    let (open, asked) = (all.clone(), AtomicUsize::new(1));
    let whole = chunks_but(&[&published]).ignore_range().hold(&all);
    rack.server.rule(whole.on_request(move || {
        if asked.fetch_add(1, Ordering::Relaxed) == RANGES.len() {
            open.open();
        }
    }));
    let options = PullOptions::default().concurrency(RANGES.len());
    let report = rack.manager().pull(&address("g/m v1"), &options).unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert_eq!(ranges(&rack, &published), RANGES);
    assert_eq!(report.bytes_fetched, report.total_bytes);
}

#[test]
fn an_answer_that_comes_when_a_part_is_here_whole_is_dropped() {
    let (rack, published, file) = large();
    let (asked, sent) = (Gate::new(), Gate::new());
    let open = asked.clone();
    let first = Rule::when(|request| request.header("range") == Some(RANGES[0]));
    let first = first.on_request(move || open.open());
    rack.server.rule(first.ignore_range().hold(&sent));
    let open = sent.clone();
    let others = chunks_but(&[&published]).ignore_range().hold(&asked);
    let all_but_one = file.len() as u64 - 1;
    rack.server
        .rule(others.on_bytes(all_but_one, move || open.open()));
    let options = PullOptions::default().concurrency(2);
    let report = rack.manager().pull(&address("g/m v1"), &options).unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert_eq!(ranges(&rack, &published), [RANGES[0], RANGES[4]]);
    assert_eq!(report.bytes_fetched, report.total_bytes);
}

#[test]
fn a_range_that_the_server_does_not_send_makes_the_part_come_whole() {
    let labels: [(&str, Spoil); 7] = [
        ("no label", |rule| rule.without_header("content-range")),
        ("a list of ranges", |rule| {
            rule.without_header("content-range")
                .header("content-type", "multipart/byteranges; boundary=x")
        }),
        ("another range", |rule| {
            rule.wrong_content_range("bytes 0-9/34603013")
        }),
        ("a shorter range", |rule| {
            rule.wrong_content_range("bytes 8388608-8388700/34603013")
        }),
        ("another unit", |rule| {
            rule.wrong_content_range("bytes=8388608-16777215/34603013")
        }),
        ("no number", |rule| {
            rule.wrong_content_range("bytes 8388608-18446744073709551615/*")
        }),
        ("a refusal", |rule| rule.status(416)),
    ];
    for (what, spoil) in labels {
        for only in [None, Some(RANGES[4])] {
            let (rack, published, file) = large();
            let spoiled = Rule::when(move |request| {
                let range = request.header("range");
                range.is_some() && only.is_none_or(|only| range == Some(only))
            });
            rack.server.rule(spoil(spoiled));
            let options = PullOptions::default().concurrency(1);
            let report = rack.manager().pull(&address("g/m v1"), &options);
            let report = report.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            rack.assert_files("g/m v1", &[("large.bin", &file)]);
            let asked = ranges(&rack, &published);
            let whole = asked.iter().filter(|range| *range == "whole");
            assert_eq!(whole.count(), 1, "{what}: {asked:?}");
            assert!(
                report.bytes_fetched <= report.total_bytes + (16 << 20),
                "{what}"
            );
        }
    }
}

#[test]
fn what_comes_whole_instead_of_a_range_is_verified_as_well() {
    let (rack, _, _) = large();
    let is_ranged = |request: &Request| request.header("range").is_some();
    rack.server
        .rule(Rule::when(is_ranged).without_header("content-range"));
    let whole = Rule::path_contains("/data/").and(move |request| !is_ranged(request));
    rack.server.rule(whole.flip(9 << 20));
    assert_eq!(rack.pull("g/m v1").unwrap_err().code(), "HASH_MISMATCH");
    assert!(rack.listed().0.is_empty());
}

#[test]
fn a_wrong_range_is_fetched_again_until_the_part_is_right() {
    let (rack, published, file) = large();
    rack.server.rule(
        Rule::when(|request| request.header("range") == Some(RANGES[1]))
            .times(1)
            .flip(77),
    );
    rack.server.rule(
        Rule::when(|request| request.header("range") == Some(RANGES[2]))
            .times(1)
            .cut_after(1000),
    );
    let report = rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert_eq!(ranges(&rack, &published).len(), 5 + 1 + 5);
    assert!(report.bytes_fetched > report.total_bytes);
}

#[test]
fn a_range_whose_bytes_were_dropped_comes_again_alone() {
    for workers in [1, 4] {
        let (rack, published, file) = large();
        // Its wrong bytes are all here before it turns out to be too long.
        let first = Rule::when(|request| request.header("range") == Some(RANGES[0])).times(1);
        rack.server.rule(first.chunked().flip(77).overlong(1));
        let options = PullOptions::default().concurrency(workers);
        rack.manager().pull(&address("g/m v1"), &options).unwrap();
        rack.assert_files("g/m v1", &[("large.bin", file)]);
        assert_eq!(ranges(&rack, &published).len(), 5 + 1, "{workers}");
    }
}

#[test]
fn ranges_that_come_before_the_first_are_hashed_when_their_turn_comes() {
    let (rack, published, file) = large();
    let others = Gate::new();
    let first = Rule::when(|request| request.header("range") == Some(RANGES[0]));
    rack.server.rule(first.hold_after(1 << 20, &others));
    let last = Rule::when(|request| request.header("range") == Some(RANGES[3]));
    let open = others.clone();
    rack.server.rule(last.on_bytes(1, move || open.open()));
    let options = PullOptions::default().concurrency(2);
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert_eq!(ranges(&rack, &published).len(), 5);
}

#[test]
fn a_range_that_stays_wrong_is_a_mismatch_and_nothing_is_installed() {
    let (rack, published, _) = large();
    rack.server
        .rule(Rule::when(|request| request.header("range") == Some(RANGES[1])).flip(77));
    let error = rack.pull("g/m v1").unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH");
    assert_eq!(
        ranges(&rack, &published).len(),
        4 * 5,
        "once and three times more"
    );
    assert!(rack.listed().0.is_empty());
}

#[test]
fn a_wrong_byte_of_a_large_partial_does_not_spoil_the_model() {
    let (rack, _, file) = large();
    rack.server
        .rule(Rule::when(|request| request.header("range") == Some(RANGES[3])).status(404));
    let options = PullOptions::default().concurrency(1);
    rack.manager()
        .pull(&address("g/m v1"), &options)
        .unwrap_err();
    rack.server.clear_rules();
    flip(&partial(&rack).join("files").join("large.bin"), 1234);
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
}
