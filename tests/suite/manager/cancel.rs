//! Pulls that are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use modelrack::{CancelToken, ListOptions, Manager, ManagerExt, PullOptions};

use crate::support::rack::{Rack, chunks_but, sample};
use crate::support::recorder::Recorder;
use crate::support::registry::Published;
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, address, in_background};

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
        move || manager.pull_model("g/m v1").unwrap_err().code()
    });
    assert!(stalled.wait(PATIENCE));
    let [download] = manager.downloads().try_into().unwrap();
    assert_eq!(download.model.unwrap().to_string(), "g/m v1");
    assert!((0.0..1.0).contains(&download.progress));
    assert_eq!(download.transferred.total_bytes, published.total_bytes);
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
fn a_pull_is_seen_and_cancelled_while_its_model_is_looked_up() {
    let rack = Rack::with_model();
    for (asked, others, cancelled) in [
        ("g/m v1", vec!["g/m v2", "g/other", "m"], "g/m v1"),
        ("g/m@v1", vec!["g/m v2"], "g/m"),
        // It may mean any version.
        ("g/m", vec!["g/other v1"], "g/m v2"),
    ] {
        let arrived = Gate::new();
        let open = arrived.clone();
        rack.server.clear_rules();
        rack.server.rule(
            Rule::path("/models.json")
                .on_request(move || open.open())
                .stall(),
        );
        let manager = Arc::new(rack.manager());
        let ended = in_background({
            let manager = manager.clone();
            move || {
                let pulled = manager.pull(&address(asked), &PullOptions::default());
                pulled.unwrap_err().code()
            }
        });
        assert!(arrived.wait(PATIENCE));
        let [download] = manager.downloads().try_into().unwrap();
        assert_eq!((download.address, download.model), (address(asked), None));
        assert_eq!(download.progress, 0.0);
        let listing = manager.list(&ListOptions::default()).unwrap();
        assert_eq!(listing.partials, []);
        for other in others {
            assert_eq!(manager.cancel(&address(other)), 0, "{other}");
        }
        assert_eq!(manager.cancel(&address(cancelled)), 1);
        let code = ended.recv_timeout(Duration::from_secs(5));
        assert_eq!(code.unwrap_or("nothing"), "CANCELLED", "{asked}");
        assert_eq!(manager.downloads(), []);
    }
}

#[test]
fn cancelling_ends_every_kind_of_wait() {
    type Wait = fn(&Rack, &Published) -> Rule;
    let waits: [(&str, Wait); 5] = [
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
