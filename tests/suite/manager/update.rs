//! Models that changed at their source.

use std::sync::Arc;

use modelrack::installed::{Change, Freshness};
use modelrack::{Manager, ManagerExt, PullOptions, UpdateOptions};

use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::recorder::Recorder;
use crate::support::registry::{Published, digest};
use crate::support::server::Rule;
use crate::support::{address, bytes};

/// The sample with one chunk changed, one file dropped and one new.
fn next_state() -> Vec<(&'static str, Vec<u8>)> {
    let mut weights = sample().pop().unwrap().1;
    weights[4 * CHUNK + 7] ^= 1;
    vec![
        ("config.json", b"{\"layers\": 2}".to_vec()),
        ("notes/new.txt", bytes(1500, 5)),
        ("weights/model.bin", weights),
    ]
}

/// `g/m v1` installed, and published anew with other content.
fn changed() -> (Rack, Published) {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let published = rack.publish("g/m v1", &next_state());
    rack.server.reset_counts();
    (rack, published)
}

fn check(manager: &dyn Manager) -> Vec<(String, Freshness)> {
    let report = manager.check_update(&UpdateOptions::default()).unwrap();
    let entries = report.entries.into_iter();
    entries
        .inspect(|entry| assert!(entry.applied.is_none()))
        .map(|entry| (entry.model.to_string(), entry.freshness))
        .collect()
}

fn change(freshness: &Freshness) -> &Change {
    let Freshness::Changed(change) = freshness else {
        panic!("{freshness:?}");
    };
    change
}

#[test]
fn a_check_says_what_changed_and_what_it_costs() {
    let (rack, published) = changed();
    let manager = rack.manager();
    let entries = check(&manager);
    let change = change(&entries[0].1);
    assert_eq!(change.manifest_digest, published.manifest_digest);
    assert_eq!(change.added, ["notes/new.txt"]);
    assert_eq!(change.changed, ["weights/model.bin"]);
    assert_eq!(change.removed, ["labels.txt"]);
    assert_eq!(change.plan.total_bytes, published.total_bytes);
    // The chunk that changed, the new file's two, and the one that two small files shared.
    assert_eq!(rack.chunk_requests(&[&published]), Vec::<String>::new());
    rack.assert_files("g/m v1", &sample());
    let update = manager.update(&UpdateOptions::default()).unwrap();
    let applied = update.entries[0].applied.as_ref().unwrap();
    assert_eq!(applied.bytes_fetched, change.plan.bytes_to_fetch);
}

#[test]
fn an_update_fetches_what_changed_and_drops_what_is_gone() {
    let (rack, published) = changed();
    let report = rack.manager().update(&UpdateOptions::default()).unwrap();
    let applied = report.entries[0].applied.as_ref().unwrap();
    assert_eq!(
        applied.bytes_fetched + applied.bytes_reused,
        published.total_bytes
    );
    assert!(
        applied.bytes_reused >= 9 * CHUNK as u64 - 100,
        "{applied:?}"
    );
    rack.assert_files("g/m v1", &next_state());
    assert_eq!(
        rack.record()["g"]["m"]["v1"]["manifest_hash"],
        published.manifest_digest.to_string()
    );
    assert!(rack.chunk_requests(&[&published]).len() <= 4);
    assert!(rack.cache().is_empty());
    rack.server.reset_counts();
    assert!(matches!(
        check(&rack.manager())[..],
        [(_, Freshness::UpToDate)]
    ));
    assert_eq!(rack.data_requests(), Vec::<String>::new());
}

#[test]
fn a_source_is_asked_once_about_all_its_models() {
    let rack = Rack::with_model();
    rack.publish("g/m v2", &next_state());
    rack.publish("g/n v1", &sample());
    for model in ["g/m v1", "g/m v2", "g/n v1"] {
        rack.pull(model).unwrap();
    }
    rack.server.reset_counts();
    let entries = check(&rack.manager());
    assert_eq!(entries.len(), 3);
    let is_current = |(_, freshness): &_| matches!(freshness, Freshness::UpToDate);
    assert!(entries.iter().all(is_current), "{entries:?}");
    let requests = rack.server.requests().into_iter();
    let paths: Vec<String> = requests.map(|request| request.path).collect();
    assert_eq!(paths, ["/models.json"]);
}

#[test]
fn a_plain_pull_brings_in_a_new_state_too() {
    let (rack, _) = changed();
    let report = rack.pull("g/m v1").unwrap();
    assert!(report.bytes_reused > 0);
    rack.assert_files("g/m v1", &next_state());
}

#[test]
fn a_file_that_moved_or_belongs_to_another_model_is_not_fetched() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let weights = sample().pop().unwrap().1;
    let published = rack.publish(
        "other/n v9",
        &[("deep/er/w.bin", weights.as_slice()), ("x", b"x")],
    );
    rack.server.reset_counts();
    let report = rack.pull("other/n v9").unwrap();
    assert_eq!(report.bytes_fetched, 1);
    assert_eq!(rack.chunk_requests(&[&published]).len(), 1);
    rack.assert_files(
        "other/n v9",
        &[("deep/er/w.bin", weights.as_slice()), ("x", b"x")],
    );
}

#[test]
fn bytes_of_another_model_that_are_damaged_are_fetched() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let file = rack.dir_of("g/m v1").join("weights").join("model.bin");
    crate::support::disk::flip(&file, 3 * CHUNK);
    let published = rack.publish("g/m v2", &sample());
    rack.server.reset_counts();
    rack.pull("g/m v2").unwrap();
    rack.assert_files("g/m v2", &sample());
    assert_eq!(rack.chunk_requests(&[&published]).len(), 1);
}

#[test]
fn many_models_are_told_apart() {
    let (rack, _) = changed();
    for model in ["g/gone v1", "g/same v1", "h/unversioned v1"] {
        rack.publish(model, &[("a", model)]);
        rack.pull(model).unwrap();
    }
    let mut index = rack.index();
    index["g"].as_object_mut().unwrap().remove("gone");
    index["h"]["unversioned"] = serde_json::json!({"v2": index["h"]["unversioned"]["v1"]});
    rack.server.put("/models.json", index.to_string());
    let found = check(&rack.manager());
    let words: Vec<(&str, &str)> = found
        .iter()
        .map(|(model, freshness)| {
            let word = match freshness {
                Freshness::UpToDate => "up to date",
                Freshness::Changed(_) => "changed",
                Freshness::Gone(_) => "gone",
                other => panic!("{other:?}"),
            };
            (model.as_str(), word)
        })
        .collect();
    assert_eq!(
        words,
        [
            ("g/gone v1", "gone"),
            ("g/m v1", "changed"),
            ("g/same v1", "up to date"),
            ("h/unversioned v1", "gone")
        ]
    );
    // Applying leaves what is gone at the source.
    rack.manager().update(&UpdateOptions::default()).unwrap();
    assert_eq!(rack.listed().0.len(), 4);
    rack.assert_files("g/gone v1", &[("a", "g/gone v1")]);
    for (wanted, code) in [("g/gone v2", "NOT_INSTALLED"), ("nothing", "NOT_INSTALLED")] {
        let options = UpdateOptions::default().model(address(wanted));
        assert_eq!(
            rack.manager().check_update(&options).unwrap_err().code(),
            code
        );
    }
}

#[test]
fn what_is_not_installed_is_compared_with_nothing() {
    let (rack, published) = changed();
    rack.publish("g/n v1", &[("n", "n")]);
    for (wanted, expected) in [("g/n", "g/n v1"), ("g/n v1", "g/n v1")] {
        let options = UpdateOptions::default().model(address(wanted));
        let [entry] = rack
            .manager()
            .check_update(&options)
            .unwrap()
            .entries
            .try_into()
            .unwrap();
        assert_eq!(entry.model.to_string(), expected);
        assert_eq!(entry.installed_digest, None);
        let json = serde_json::to_value(&entry).unwrap();
        let Freshness::Absent(offered) = entry.freshness else {
            panic!("{:?}", entry.freshness);
        };
        assert_ne!(offered, published.manifest_digest);
        assert_eq!(
            (&json["state"], &json["installed_hash"]),
            (&"not_installed".into(), &serde_json::Value::Null)
        );
        assert_eq!(json["remote_hash"], offered.to_string());
        let error = rack.manager().update(&options).unwrap_err();
        assert_eq!(error.code(), "NOT_INSTALLED");
        let error = rack.manager().check_update(&options.offline(true));
        assert!(error.is_ok(), "the index is cached");
    }
    assert_eq!(rack.listed().0, ["g/m v1"]);
}

#[test]
fn one_model_that_fails_does_not_stop_the_others() {
    let (rack, published) = changed();
    rack.publish("a/a v1", &[("a", "1")]);
    rack.pull("a/a v1").unwrap();
    let new = rack.publish("a/a v1", &[("a", "2")]);
    rack.server.rule(
        chunks_but(&[&published, &new])
            .and({
                let first = digest(b"2");
                move |request| request.path.ends_with(&first)
            })
            .status(404),
    );
    let report = rack.manager().update(&UpdateOptions::default()).unwrap();
    let Freshness::Unknown(error) = &report.entries[0].freshness else {
        panic!("{report:?}");
    };
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(report.entries[1].applied.is_some());
    rack.assert_files("a/a v1", &[("a", "1")]);
    rack.assert_files("g/m v1", &next_state());
    // Alone, its error is the answer.
    let one = UpdateOptions::default().model(address("a/a"));
    assert_eq!(
        rack.manager().update(&one).unwrap_err().code(),
        "NETWORK_ERROR"
    );
}

#[test]
fn a_failed_force_keeps_the_copy_that_is_there() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    rack.pull("g/m v1").unwrap();
    let file = rack.dir_of("g/m v1").join("labels.txt");
    std::fs::write(&file, "edited").unwrap();
    rack.server.rule(chunks_but(&[&published]).status(500));
    let options = PullOptions::default().force(true);
    rack.manager()
        .pull(&address("g/m v1"), &options)
        .unwrap_err();
    assert_eq!(std::fs::read(&file).unwrap(), b"edited");
    assert_eq!(
        rack.listed(),
        (vec!["g/m v1".into()], vec!["g/m v1".into()])
    );
    rack.server.clear_rules();
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
    rack.assert_sample_installed();
}

#[test]
fn an_update_tells_its_progress_and_can_be_cancelled() {
    let (rack, published) = changed();
    let cancel = modelrack::CancelToken::new();
    let at_chunk = cancel.clone();
    rack.server
        .rule(chunks_but(&[&published]).on_request(move || at_chunk.cancel()));
    let recorder = Arc::new(Recorder::default());
    let options = UpdateOptions::default()
        .cancel(cancel)
        .progress(recorder.clone());
    assert_eq!(
        rack.manager().update(&options).unwrap_err().code(),
        "CANCELLED"
    );
    assert!(recorder.story().contains(&"phase chunks".to_owned()));
    rack.assert_files("g/m v1", &sample());
}

#[test]
fn an_update_of_what_is_offline_says_so() {
    let (rack, _) = changed();
    let offline = UpdateOptions::default().offline(true);
    // The index that is cached is the one from before.
    let report = rack.manager().check_update(&offline).unwrap();
    assert!(matches!(report.entries[0].freshness, Freshness::UpToDate));
    assert_eq!(rack.server.connections(), 0);
    rack.manager()
        .list_remote(&modelrack::RemoteOptions::default())
        .unwrap();
    let error = rack.manager().check_update(&offline).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    rack.server.rule(Rule::any().status(500));
    assert!(rack.manager().ensure("g/m v1").is_ok());
}
