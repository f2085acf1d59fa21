//! Pulls that end early, and the next ones that go on.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use modelrack::project::{PublishOptions, PublishReport};
use modelrack::{CancelToken, ListOptions, Manager, ManagerExt, PullOptions, Status};

use crate::support::disk::flip;
use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::recorder::Recorder;
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, address, bytes, in_background};

/// The sample, published and pulled until the server fails for good at the sixth chunk. One chunk at a time.
fn interrupted() -> (Rack, PublishReport) {
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
fn partial(rack: &Rack) -> PathBuf {
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
        (published.total_bytes, 3)
    );
    assert!(partial.bytes_done > 0 && partial.bytes_done < partial.total_bytes);
    assert!(partial.last_error.as_ref().unwrap().contains("not found"));
    let (done, total) = (partial.bytes_done, partial.total_bytes);
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
fn a_cancelled_token_stops_before_the_first_request() {
    let rack = Rack::with_model();
    let cancel = CancelToken::new();
    cancel.cancel();
    let options = PullOptions::default().cancel(cancel);
    let error = rack
        .manager()
        .pull(&address("g/m v1"), &options)
        .unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert_eq!(rack.server.connections(), 0);
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
        assert!(report.bytes_total == published.total_bytes, "{what}");
        rack.assert_files("g/m v1", &sample());
        assert_eq!(rack.listed().0, ["g/m v1"], "{what}");
        let requests = rack.chunk_requests(&[&published]).len();
        assert!((least..=11).contains(&requests), "{what}: {requests}");
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

#[test]
fn cancelling_ends_a_stalled_body_within_a_second() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    let stalled = Gate::new();
    let open = stalled.clone();
    rack.server.rule(
        chunks_but(&[&published])
            .on_bytes(10, move || open.open())
            .stall_after(10),
    );
    let manager = Arc::new(rack.manager());
    let ended = in_background({
        let manager = manager.clone();
        move || manager.pull_version("g/m", "v1").unwrap_err().code()
    });
    assert!(stalled.wait(PATIENCE));
    let [download] = manager.downloads().try_into().unwrap();
    assert_eq!(download.model.to_string(), "g/m v1");
    assert!((0.0..1.0).contains(&download.progress));
    assert_eq!(download.transferred.bytes_total, published.total_bytes);
    assert_eq!(manager.cancel(&address("g/other")), 0);
    assert_eq!(manager.cancel(&address("g/m v2")), 0);
    let begun = Instant::now();
    assert_eq!(manager.cancel(&address("g/m")), 1);
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), "CANCELLED");
    // The one timing that is a promise; with a generous margin for a busy machine.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(manager.downloads(), []);
}

#[test]
fn cancelling_ends_every_kind_of_wait() {
    let waits: [(&str, fn(&Rack, &PublishReport) -> Rule); 5] = [
        ("for the index", |_, _| Rule::path("/models.json").stall()),
        ("for the manifest", |_, report| {
            Rule::path(format!("/data/{}", report.manifest_digest)).stall()
        }),
        ("for a chunk", |_, report| chunks_but(&[report]).stall()),
        ("for a chunk of a slow server", |_, report| {
            chunks_but(&[report]).throttle(1)
        }),
        ("in a body of the index", |_, _| {
            Rule::path("/models.json").stall_after(3)
        }),
    ];
    for (what, rule) in waits {
        let rack = Rack::new();
        let published = rack.publish("g/m v1", &sample());
        let begun = Gate::new();
        let open = begun.clone();
        rack.server
            .rule(rule(&rack, &published).on_request(move || open.open()));
        let cancel = CancelToken::new();
        let options = PullOptions::default().cancel(cancel.clone());
        let manager = rack.manager();
        let ended = in_background(move || {
            manager
                .pull(&address("g/m v1"), &options)
                .unwrap_err()
                .code()
        });
        assert!(begun.wait(PATIENCE), "{what}");
        cancel.cancel();
        let code = ended.recv_timeout(Duration::from_secs(5));
        assert_eq!(code.unwrap_or("nothing"), "CANCELLED", "{what}");
    }
}

#[test]
fn cancelling_ends_the_wait_before_a_retry() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    rack.server.rule(
        chunks_but(&[&published])
            .status(503)
            .header("retry-after", "3000"),
    );
    let mut http = crate::support::rack::quick_http();
    http.retry.longest_wait = Duration::from_secs(3000);
    let retrying = Gate::new();
    let open = retrying.clone();
    let recorder = Recorder::calling(move |_, event| {
        if matches!(event, modelrack::ProgressEvent::Retrying { .. }) {
            open.open();
        }
    });
    let manager = rack.manager_of(rack.config_of(http));
    let cancel = CancelToken::new();
    let options = PullOptions::default()
        .cancel(cancel.clone())
        .progress(Arc::new(recorder));
    let ended = in_background(move || {
        manager
            .pull(&address("g/m v1"), &options)
            .unwrap_err()
            .code()
    });
    assert!(retrying.wait(PATIENCE));
    cancel.cancel();
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), "CANCELLED");
}

#[test]
fn a_handler_may_cancel_at_any_event() {
    let rack = Rack::with_model();
    let most = Arc::new(AtomicUsize::new(0));
    for stop_at in 0..40 {
        let cancel = CancelToken::new();
        let (seen, from_handler) = (AtomicUsize::new(0), cancel.clone());
        let counted = most.clone();
        let recorder = Recorder::calling(move |_, _| {
            let number = seen.fetch_add(1, Ordering::SeqCst);
            counted.fetch_max(number, Ordering::SeqCst);
            if number == stop_at {
                from_handler.cancel();
            }
        });
        let options = PullOptions::default()
            .cancel(cancel)
            .progress(Arc::new(recorder));
        match rack.manager().pull(&address("g/m v1"), &options) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), "CANCELLED", "{stop_at}"),
        }
        assert!(rack.listed().0.is_empty(), "{stop_at}");
    }
    rack.assert_sample_installed();
    assert!(most.load(Ordering::SeqCst) > 3);
}

/// `g/m v1` of one file of 33 MiB and a bit in one chunk.
fn large() -> (Rack, PublishReport, Vec<u8>) {
    let rack = Rack::new();
    let file = bytes((33 << 20) + 5, 3);
    let options = PublishOptions::default().chunk_bytes(64 << 20);
    let published = rack.publish_with("g/m v1", &[("large.bin", &file)], &options);
    assert_eq!(published.chunks, 1);
    (rack, published, file)
}

fn ranges(rack: &Rack, published: &PublishReport) -> Vec<String> {
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
    let report = rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert!(rack.cache().is_empty());
    assert!(report.bytes_fetched >= report.bytes_total);
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
    rack.server.rule(
        Rule::when(|request| request.header("range") == Some(RANGES[3]))
            .times(1)
            .wrong_content_range("bytes 0-9/34603013"),
    );
    let report = rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("large.bin", file)]);
    assert_eq!(ranges(&rack, &published).len(), 5 + 2 + 5);
    assert!(report.bytes_fetched > report.bytes_total);
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
