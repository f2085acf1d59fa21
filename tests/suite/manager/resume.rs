//! Pulls that end early, and the next ones that go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelrack::installed::Status;
use modelrack::{CancelToken, ListOptions, Manager, PullOptions};
use serde_json::Value;

use crate::support::disk::flip;
use crate::support::rack::{CHUNK, Rack, chunks_but, quick_http, sample};
use crate::support::recorder::Recorder;
use crate::support::registry::{Publication, Published};
use crate::support::server::{Rule, Server};
use crate::support::{address, bytes};

/// The sample, published and pulled until the server fails for good at the sixth chunk. One chunk at a time.
fn interrupted() -> (Rack, Published) {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    rack.server
        .rule(chunks_but(&[&published]).nth(6).status(404));
    let options = PullOptions::default().concurrency(1);
    let error = rack
        .manager()
        .pull(&address("g/m v1"), &options)
        .unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    rack.server.clear_rules();
    (rack, published)
}

/// The folder of the one partial there is.
pub(super) fn partial(rack: &Rack) -> PathBuf {
    let cache = rack.cache();
    assert_eq!(cache.len(), 1, "{cache:?}");
    rack.store().join("cache").join(&cache[0])
}

#[test]
fn a_failed_pull_is_listed_as_such_and_goes_on_where_it_was() {
    let (rack, published) = interrupted();
    let first = rack.chunk_requests(&[&published]);
    assert_eq!(first.len(), 6);
    let manager = rack.manager();
    let listing = manager.list(&ListOptions::default()).unwrap();
    assert!(listing.models.is_empty());
    let [partial] = listing.partials.as_slice() else {
        panic!("{listing:?}");
    };
    assert_eq!(partial.status, Status::Error);
    assert_eq!(
        (partial.total_bytes, partial.files),
        (Some(published.total_bytes), Some(3))
    );
    let (done, total) = (partial.bytes_done, published.total_bytes);
    assert!(done > 0 && done < total);
    assert!(partial.last_error.as_ref().unwrap().contains("not found"));
    let plan = manager
        .plan_pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    assert_eq!(
        (plan.bytes_resumed, plan.bytes_to_fetch),
        (done, total - done)
    );
    assert_eq!(plan.requests, 6);
    assert!(!rack.dir_of("g/m v1").exists());

    rack.server.reset_counts();
    let report = manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    assert_eq!(
        (report.bytes_resumed, report.bytes_fetched),
        (done, total - done)
    );
    let second = rack.chunk_requests(&[&published]);
    assert_eq!(second.len(), 6);
    assert!(first[..5].iter().all(|path| !second.contains(path)));
    rack.assert_sample_installed();
}

#[test]
fn a_cancelled_pull_goes_on_where_it_was() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    let cancel = CancelToken::new();
    let on_sixth = cancel.clone();
    rack.server.rule(
        chunks_but(&[&published])
            .nth(6)
            .on_request(move || on_sixth.cancel()),
    );
    let manager = rack.manager();
    let options = PullOptions::default().concurrency(1).cancel(cancel);
    let error = manager.pull(&address("g/m v1"), &options).unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert_eq!(manager.downloads(), []);
    let first = rack.chunk_requests(&[&published]);
    assert_eq!(first.len(), 6);
    rack.server.reset_counts();
    // The same manager, and a new one as after a restart.
    let report = rack
        .manager()
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    assert!(report.bytes_resumed > 0);
    let second = rack.chunk_requests(&[&published]);
    assert!(
        first[..5].iter().all(|path| !second.contains(path)),
        "{first:?} {second:?}"
    );
    assert_eq!(second.len(), 6);
    rack.assert_sample_installed();
}

#[test]
fn what_any_dead_writer_left_is_taken_over_at_once() {
    // Of a pod that is no more, and of a process whose number another one has by now.
    for (host, process) in [
        (Some("another-pod"), None),
        (None, Some(1)),
        (Some("another-pod"), Some(1)),
    ] {
        let (rack, published) = interrupted();
        let path = partial(&rack).join("partial.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if let Some(host) = host {
            record["host"] = host.into();
        }
        if let Some(process) = process {
            record["process"] = process.into();
        }
        fs::write(&path, record.to_string()).unwrap();
        rack.server.reset_counts();
        let report = rack.pull("g/m v1").unwrap();
        assert_eq!(rack.chunk_requests(&[&published]).len(), 6);
        assert!(report.bytes_resumed > 0);
        rack.assert_sample_installed();
        assert_eq!(rack.listed(), (vec!["g/m v1".into()], vec![]));
    }
}

#[test]
fn bytes_of_a_partial_that_changed_on_disk_are_fetched_anew() {
    let (rack, published) = interrupted();
    let partial = partial(&rack);
    flip(&partial.join("files").join("weights").join("model.bin"), 5);
    rack.server.reset_counts();
    rack.pull("g/m v1").unwrap();
    assert_eq!(
        rack.chunk_requests(&[&published]).len(),
        7,
        "the six that were missing and the one that was wrong"
    );
    rack.assert_sample_installed();
}

#[test]
fn a_damaged_partial_is_used_as_far_as_it_is_right() {
    // What is damaged, and how many chunks are left to be fetched at least.
    type Spoil = fn(&std::path::Path);
    let cases: [(&str, Spoil, usize); 9] = [
        (
            "no journal",
            |dir| fs::remove_file(dir.join("journal")).unwrap(),
            11,
        ),
        (
            "an empty journal",
            |dir| fs::write(dir.join("journal"), "").unwrap(),
            11,
        ),
        (
            "a journal of garbage",
            |dir| fs::write(dir.join("journal"), [0xff, 0x00, b'\n', b'-', b'.', 7]).unwrap(),
            11,
        ),
        (
            "a journal that claims all",
            |dir| fs::write(dir.join("journal"), "0-10162.\n").unwrap(),
            6,
        ),
        (
            "a journal that claims too much",
            |dir| fs::write(dir.join("journal"), "0-18446744073709551615.\n9-1.\n5-5.\n").unwrap(),
            6,
        ),
        (
            "no record",
            |dir| fs::remove_file(dir.join("partial.json")).unwrap(),
            0,
        ),
        (
            "a record of garbage",
            |dir| fs::write(dir.join("partial.json"), "{").unwrap(),
            0,
        ),
        (
            "no files",
            |dir| fs::remove_dir_all(dir.join("files")).unwrap(),
            11,
        ),
        (
            "shorter files",
            |dir| {
                let file = dir.join("files").join("weights").join("model.bin");
                fs::OpenOptions::new()
                    .write(true)
                    .open(file)
                    .unwrap()
                    .set_len(100)
                    .unwrap();
            },
            6,
        ),
    ];
    for (what, spoil, least) in cases {
        let (rack, published) = interrupted();
        spoil(&partial(&rack));
        rack.server.reset_counts();
        rack.listed();
        let report = rack
            .pull("g/m v1")
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(report.total_bytes == published.total_bytes, "{what}");
        rack.assert_files("g/m v1", &sample());
        assert_eq!(rack.listed().0, ["g/m v1"], "{what}");
        let requests = rack.chunk_requests(&[&published]).len();
        assert!((least..=11).contains(&requests), "{what}: {requests}");
    }
}

#[test]
fn a_network_that_cuts_every_body_brings_a_model_all_the_same() {
    let rack = Rack::new();
    let how = Publication {
        chunk_bytes: 5 << 20,
        ..Publication::default()
    };
    // A chunk that occurs twice, and one that is a range of its own.
    let twice = bytes(5 << 20, 1);
    let files = [
        ("a.bin", twice.clone()),
        ("b.bin", bytes(3 << 20, 2)),
        ("c.bin", twice),
    ];
    rack.publish_as("g/m v1", &files, &how);
    for framing in [|rule| rule, Rule::chunked, Rule::until_close] {
        let recorder = Arc::new(Recorder::default());
        rack.server.reset_counts();
        rack.server.clear_rules();
        rack.server.rule(framing(Rule::any()).cut_after(400_000));
        let options = PullOptions::default().progress(recorder.clone());
        let report = rack.manager().pull(&address("g/m v1"), &options).unwrap();
        rack.assert_files("g/m v1", &files);
        assert_eq!(
            report.bytes_fetched,
            report.total_bytes - report.bytes_reused
        );
        assert!(recorder.retries() >= (8 << 20) / 400_000, "each is told");
        let no_longer = CancelToken::new();
        rack.manager()
            .remove(&address("g/m v1"), &no_longer)
            .unwrap();
    }
}

/// Publishes a model of one file in one chunk of 2,000 bytes.
fn publish_one_chunk(rack: &Rack) -> ([(&'static str, Vec<u8>); 1], Published) {
    let files = [("a.bin", bytes(2000, 1))];
    let how = Publication {
        chunk_bytes: 2000,
        ..Publication::default()
    };
    let published = rack.publish_as("g/m v1", &files, &how);
    (files, published)
}

#[test]
fn a_body_that_brings_nothing_new_is_given_up() {
    let rack = Rack::new();
    let (files, published) = publish_one_chunk(&rack);
    // 700 bytes come, and then no more; on with the rest at the mirror, or the next pull.
    let chunks = || chunks_but(&[&published]);
    rack.server.rule(chunks().nth(1).cut_after(700));
    rack.server.rule(chunks().cut_after(0));
    assert_eq!(rack.pull("g/m v1").unwrap_err().code(), "NETWORK_ERROR");
    assert_eq!(rack.chunk_requests(&[&published]).len(), 1 + 3);
    rack.server.clear_rules();
    // A server without ranges begins again, and never gets further.
    rack.server.rule(chunks().ignore_range().cut_after(700));
    assert_eq!(rack.pull("g/m v1").unwrap_err().code(), "NETWORK_ERROR");
    rack.server.clear_rules();
    let report = rack.pull("g/m v1").unwrap();
    assert_eq!((report.bytes_resumed, report.bytes_fetched), (700, 1300));
    rack.assert_files("g/m v1", &files);
}

#[test]
fn what_does_not_fit_behind_what_was_kept_is_fetched_from_the_beginning() {
    for spoil in [
        // Bytes that a crash of the machine lost.
        (|_, partial| flip(&partial.join("files").join("a.bin"), 5)) as fn(&Server, &Path),
        // A server that sends all of it.
        |server, _| {
            server.rule(Rule::path_contains("/data/").ignore_range());
        },
        // One that takes its ranges for something else.
        |server, _| {
            let ranges = Rule::when(|request| request.header("range").is_some());
            server.rule(ranges.status(416));
        },
    ] {
        let rack = Rack::new();
        let (files, published) = publish_one_chunk(&rack);
        let chunks = || chunks_but(&[&published]);
        rack.server.rule(chunks().nth(1).cut_after(700));
        rack.server.rule(chunks().status(404));
        rack.pull("g/m v1").unwrap_err();
        rack.server.clear_rules();
        spoil(&rack.server, &partial(&rack));
        // Even without another try: nothing is wrong with the server.
        let mut http = quick_http();
        http.retry.retries = 0;
        let manager = rack.manager_of(rack.config_of(http));
        manager
            .pull(&address("g/m v1"), &PullOptions::default())
            .unwrap();
        rack.assert_files("g/m v1", &files);
    }
}

#[test]
fn an_installed_model_stays_until_the_new_state_is_complete() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let new = rack.publish("g/m v1", &[("weights/model.bin", bytes(5 * CHUNK, 77))]);
    rack.server.rule(chunks_but(&[&new]).nth(3).status(404));
    rack.pull("g/m v1").unwrap_err();
    rack.assert_files("g/m v1", &sample());
    assert_eq!(
        rack.listed(),
        (vec!["g/m v1".into()], vec!["g/m v1".into()])
    );
    rack.server.clear_rules();
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("weights/model.bin", bytes(5 * CHUNK, 77))]);
    assert!(rack.cache().is_empty());
}
