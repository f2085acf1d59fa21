//! Many at once: threads, managers, and what waits for what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use modelrack::pull::PullOutcome;
use modelrack::transport::Transport;
use modelrack::{
    CancelToken, Config, ErrorKind, ListOptions, Manager, ManagerExt, ModelManager, ProgressEvent,
    PullOptions,
};

use crate::support::disk::files_below;
use crate::support::rack::{CHUNK, Rack, chunks_but, manifest_path, sample};
use crate::support::recorder::Recorder;
use crate::support::server::{Gate, Rule};
use crate::support::transport::InMemory;
use crate::support::{PATIENCE, address, bytes, in_background};

#[test]
fn a_manager_is_shared_as_a_trait_object() {
    fn shared<T: Send + Sync + std::fmt::Debug + ?Sized>(_: &T) {}
    let manager: Arc<dyn Manager> = Arc::new(ModelManager::new(Config::new("rack")));
    shared(manager.as_ref());
    // The shorthand works on it, too.
    let _: fn(&dyn Manager) -> bool = |manager| manager.ensure(" v").is_ok();
    let boxed: Box<dyn Manager> = Box::new(ModelManager::new(Config::new("rack")));
    shared(&boxed);
    assert!(manager.downloads().is_empty());
}

#[test]
fn one_model_from_many_threads_is_downloaded_once() {
    for managers in [1, 8] {
        let rack = Rack::new();
        let published = rack.publish("g/m v1", &sample());
        let managers: Vec<ModelManager> = (0..managers).map(|_| rack.manager()).collect();
        let outcomes: Vec<PullOutcome> = thread::scope(|scope| {
            let pulls: Vec<_> = (0..8)
                .map(|thread| {
                    let manager = &managers[thread % managers.len()];
                    scope.spawn(move || manager.pull_model("g/m v1").unwrap().outcome)
                })
                .collect();
            pulls.into_iter().map(|pull| pull.join().unwrap()).collect()
        });
        let installed = outcomes
            .iter()
            .filter(|outcome| **outcome == PullOutcome::Installed);
        assert_eq!(installed.count(), 1);
        let mut asked = rack.chunk_requests(&[&published]);
        asked.sort();
        let requests = asked.len();
        asked.dedup();
        assert_eq!((requests, asked.len()), (11, 11));
        rack.assert_sample_installed();
    }
}

#[test]
fn who_waits_is_told_and_may_be_cancelled() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    let (under_way, go_on) = (Gate::new(), Gate::new());
    let open = under_way.clone();
    rack.server.rule(
        chunks_but(&[&published])
            .on_request(move || open.open())
            .hold(&go_on),
    );
    let first = rack.manager();
    let pulled = in_background(move || first.pull_model("g/m v1").unwrap().outcome);
    assert!(under_way.wait(PATIENCE));
    let cancel = CancelToken::new();
    for cancelled in [true, false] {
        let (waiting, told) = channel();
        let recorder = Arc::new(Recorder::calling(move |_, event| {
            if let modelrack::ProgressEvent::Waiting { holder } = event {
                waiting.send(holder.clone()).unwrap();
            }
        }));
        let mut options = PullOptions::default().progress(recorder.clone());
        if cancelled {
            options = options.cancel(cancel.clone());
        }
        let second = rack.manager();
        let waited = in_background(move || second.pull(&address("g/m v1"), &options));
        let holder = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(holder, Some(format!("process {}", std::process::id())));
        if cancelled {
            cancel.cancel();
            let result = waited.recv_timeout(PATIENCE).unwrap();
            assert_eq!(result.unwrap_err().code(), "CANCELLED");
        } else {
            go_on.open();
            let result = waited.recv_timeout(PATIENCE).unwrap().unwrap();
            assert_eq!(result.outcome, PullOutcome::AlreadyInstalled);
            assert_eq!(recorder.story(), ["waiting", "phase manifest", "finished"]);
        }
    }
    assert_eq!(
        pulled.recv_timeout(PATIENCE).unwrap(),
        PullOutcome::Installed
    );
    rack.assert_sample_installed();
}

#[test]
fn different_models_do_not_wait_for_each_other() {
    let rack = Rack::new();
    let held = rack.publish("g/held v1", &[("a", bytes(3 * CHUNK, 1))]);
    rack.publish("g/free v1", &[("a", bytes(3 * CHUNK, 2))]);
    let go_on = Gate::new();
    rack.server
        .rule(Rule::path(manifest_path(&held)).hold(&go_on));
    let manager = Arc::new(rack.manager());
    let waiting = in_background({
        let manager = manager.clone();
        move || manager.pull_model("g/held v1").map(drop)
    });
    assert!(rack.server.wait_for(&manifest_path(&held), 1, PATIENCE));
    manager.pull_model("g/free v1").unwrap();
    // Readers do not wait either.
    assert_eq!(rack.listed().0, ["g/free v1"]);
    assert_eq!(
        manager.list(&ListOptions::default()).unwrap().models.len(),
        1
    );
    manager
        .remove(&address("g/free"), &CancelToken::new())
        .unwrap();
    go_on.open();
    waiting.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(rack.listed().0, ["g/held v1"]);
}

#[test]
fn many_models_are_recorded_by_many_managers_and_none_is_lost() {
    let rack = Rack::new();
    let models: Vec<String> = (0..12).map(|number| format!("g/m{number:02} v1")).collect();
    for model in &models {
        rack.publish(model, &[("a", model)]);
    }
    thread::scope(|scope| {
        for model in &models {
            let manager = rack.manager();
            scope.spawn(move || {
                manager
                    .pull(&address(model), &PullOptions::default())
                    .unwrap()
            });
        }
    });
    assert_eq!(rack.listed(), (models.clone(), vec![]));
    thread::scope(|scope| {
        for model in &models[..6] {
            let manager = rack.manager();
            scope.spawn(move || {
                manager
                    .remove(&address(model), &CancelToken::new())
                    .unwrap()
            });
        }
    });
    assert_eq!(rack.listed().0, models[6..]);
    assert!(rack.cache().is_empty());
}

#[test]
fn removing_waits_for_a_pull_of_the_same_model() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let new = rack.publish("g/m v1", &[("new", bytes(3 * CHUNK, 8))]);
    let (under_way, go_on) = (Gate::new(), Gate::new());
    let open = under_way.clone();
    rack.server.rule(
        chunks_but(&[&new])
            .on_request(move || open.open())
            .hold(&go_on),
    );
    let first = rack.manager();
    let pulled = in_background(move || first.pull_model("g/m v1").map(drop));
    assert!(under_way.wait(PATIENCE));
    let second = rack.manager();
    let removed = in_background(move || {
        second
            .remove(&address("g/m v1"), &CancelToken::new())
            .map(drop)
    });
    // It cannot have ended: whatever the order of threads, the lock is taken.
    assert!(removed.try_recv().is_err());
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = rack
        .manager()
        .remove(&address("g/m v1"), &cancel)
        .unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert_eq!(rack.listed().0, ["g/m v1"]);
    go_on.open();
    pulled.recv_timeout(PATIENCE).unwrap().unwrap();
    removed.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(rack.listed(), (vec![], vec![]));
    assert!(rack.cache().is_empty());
}

#[test]
fn removing_waits_for_the_first_pull_of_a_model() {
    // What is held up, and what is removed while it is.
    for (held, removed) in [
        ("a chunk", "g/m v1"),
        ("a chunk", "g/m"),
        ("a chunk", "all of g/m"),
        ("the manifest", "g/m v1"),
    ] {
        let rack = Rack::new();
        let published = rack.publish("g/m v1", &sample());
        let (under_way, go_on) = (Gate::new(), Gate::new());
        let open = under_way.clone();
        let rule = match held {
            "a chunk" => chunks_but(&[&published]),
            _ => Rule::path(manifest_path(&published)),
        };
        rack.server
            .rule(rule.on_request(move || open.open()).hold(&go_on));
        let first = rack.manager();
        let pulled = in_background(move || first.pull_model("g/m v1").map(drop));
        assert!(under_way.wait(PATIENCE));
        // It says that it waits, which is what lets the pull go on.
        let waits = go_on.clone();
        let recorder = Recorder::calling(move |_, event| {
            assert!(matches!(event, ProgressEvent::Waiting { holder: Some(_) }));
            waits.open();
        });
        let second = rack.manager_with(Arc::new(recorder));
        let never = CancelToken::new();
        let report = match removed.strip_prefix("all of ") {
            Some(name) => second.remove_all(&name.parse().unwrap(), &never),
            None => second.remove(&address(removed), &never),
        };
        let report = report.unwrap_or_else(|error| panic!("{held}, {removed}: {error}"));
        assert_eq!(report.removed.len(), 1, "{held}, {removed}");
        pulled.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(rack.listed(), (vec![], vec![]), "{held}, {removed}");
    }
}

#[test]
fn removing_waits_for_a_pull_that_fails_and_takes_what_it_left() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    let (under_way, go_on) = (Gate::new(), Gate::new());
    let open = under_way.clone();
    let rule = chunks_but(&[&published]).on_request(move || open.open());
    rack.server.rule(rule.hold(&go_on).status(404));
    let first = rack.manager();
    let pulled = in_background(move || first.pull_model("g/m v1").map(drop));
    assert!(under_way.wait(PATIENCE));
    let recorder = Recorder::calling(move |_, _| go_on.open());
    let second = rack.manager_with(Arc::new(recorder));
    let remove = || second.remove(&address("g/m v1"), &CancelToken::new());
    assert_eq!(remove().unwrap().removed.len(), 1);
    pulled.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(rack.listed(), (vec![], vec![]));
    assert_eq!(remove().unwrap_err().code(), "NOT_INSTALLED");
}

#[test]
fn pulling_and_removing_at_random_ends_in_one_or_the_other() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    thread::scope(|scope| {
        for thread in 0..4 {
            let manager = &manager;
            scope.spawn(move || {
                for _ in 0..4 {
                    if thread % 2 == 0 {
                        manager.pull_model("g/m v1").unwrap();
                    } else if let Err(error) =
                        manager.remove(&address("g/m v1"), &CancelToken::new())
                    {
                        assert_eq!(error.code(), "NOT_INSTALLED", "{error:?}");
                    }
                    for model in manager.list(&ListOptions::default()).unwrap().models {
                        assert_eq!(model.files, 3);
                    }
                }
            });
        }
    });
    rack.pull("g/m v1").unwrap();
    rack.assert_sample_installed();
}

#[test]
fn a_transport_handed_in_opens_no_socket() {
    let rack = Rack::with_model();
    let documents: BTreeMap<String, Vec<u8>> = files_below(&rack.registry())
        .into_iter()
        .map(|(name, bytes)| (format!("https://nowhere.invalid/models/{name}"), bytes))
        .collect();
    let transport = Arc::new(InMemory {
        documents,
        ..InMemory::default()
    });
    let manager = ModelManager::builder(
        rack.bare_config()
            .registry_url("https://nowhere.invalid/models"),
    )
    .environment(rack.environment())
    .transport(transport.clone() as Arc<dyn Transport>)
    .build();
    manager.pull_model("g/m v1").unwrap();
    rack.assert_sample_installed();
    assert_eq!(transport.asked.lock().unwrap().len(), 1 + 1 + 11);
    assert_eq!(rack.server.connections(), 0);
    let error = manager.pull_model("g/m v2").unwrap_err();
    assert_eq!(error.code(), "VERSION_NOT_FOUND");
    // Offline, it is not asked either.
    let offline = PullOptions::default().offline(true).force(true);
    manager.pull(&address("g/m v1"), &offline).unwrap();
    assert_eq!(transport.asked.lock().unwrap().len(), 1 + 1 + 11 + 1);
}

#[test]
fn a_model_that_came_in_the_way_meanwhile_stays() {
    for (first, second) in [("a/b c", "a/b/c v"), ("a/b/c v", "a/b c")] {
        let rack = Rack::new();
        let published = [
            rack.publish(first, &[("first", "1")]),
            rack.publish(second, &[("second", "2")]),
        ];
        let (arrived, go_on) = (Gate::new(), Gate::new());
        let open = arrived.clone();
        let chunks = chunks_but(&[&published[0], &published[1]]).nth(1);
        rack.server
            .rule(chunks.on_request(move || open.open()).hold(&go_on));
        let manager = Arc::new(rack.manager());
        let pulled = in_background({
            let manager = manager.clone();
            move || manager.pull(&address(second), &PullOptions::default())
        });
        assert!(arrived.wait(PATIENCE));
        rack.pull(first).unwrap();
        go_on.open();
        let error = pulled.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert_eq!(error.code(), "STORAGE_ERROR", "{error}");
        assert!(
            matches!(error.kind(), ErrorKind::Collision { .. }),
            "{error}"
        );
        assert_eq!(rack.listed().0, [first]);
        rack.assert_files(first, &[("first", "1")]);
    }
}
