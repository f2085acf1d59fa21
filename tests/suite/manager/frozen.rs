//! Pulling what a lock says without asking anybody what is there.

use std::collections::BTreeSet;
use std::fs;

use modelrack::pull::PullOutcome;
use modelrack::{Config, Manager, ModelManager, PullOptions};

use super::locks::{assert_pulled, elsewhere, frozen, lock, locked};
use crate::support::disk::files_below;
use crate::support::rack::{CHUNK, Rack, sample};
use crate::support::registry::Publication;
use crate::support::server::{Rule, Server};
use crate::support::{bytes, chain};

#[test]
fn what_moved_can_still_be_pulled_frozen() {
    let rack = Rack::with_model();
    lock(&rack, &["g/m v1"]).unwrap();
    rack.publish("g/m v1", &[("new.bin", bytes(CHUNK, 9))]);
    rack.server.reset_counts();
    let report = rack.manager().pull_locked(&frozen(&rack)).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    rack.assert_files("g/m v1", &sample());
    assert_eq!(
        rack.server.count("/models.json"),
        0,
        "no source is asked what it offers"
    );
    // It is what the lock says, so nothing is left to do, with a source or without.
    rack.server.reset_counts();
    let report = rack.manager().pull_locked(&frozen(&rack)).unwrap();
    assert_pulled(&report, PullOutcome::AlreadyInstalled);
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn frozen_needs_no_server_for_what_the_machine_has() {
    let rack = Rack::with_model();
    // The same files under another name, in other chunks.
    let how = Publication {
        chunk_bytes: 700,
        ..Publication::default()
    };
    rack.publish_as("h/same v9", &sample(), &how);
    lock(&rack, &["g/m v1", "h/same v9"]).unwrap();
    rack.pull("g/m v1").unwrap();
    rack.server.rule(Rule::any().close());
    rack.server.reset_counts();
    let report = rack.manager().pull_locked(&frozen(&rack)).unwrap();
    let outcomes: Vec<_> = report.pulled.iter().map(|pulled| pulled.outcome).collect();
    assert_eq!(
        outcomes,
        [PullOutcome::AlreadyInstalled, PullOutcome::Installed]
    );
    assert_eq!(rack.server.connections(), 0);
    rack.assert_files("h/same v9", &sample());
    // It counts as the state that is locked: with the source again, there is nothing to do.
    rack.server.clear_rules();
    let report = rack.manager().pull_locked(&locked(&rack)).unwrap();
    assert_pulled(&report, PullOutcome::AlreadyInstalled);
    assert_eq!(rack.chunk_requests(&[]).len(), 0);
}

#[test]
fn frozen_opens_no_socket_for_a_hundred_installed_models() {
    let rack = Rack::new();
    let names: Vec<String> = (0..100).map(|number| format!("g/m{number} v1")).collect();
    for name in &names {
        rack.publish(name, &[("name.txt", name.as_bytes().to_vec())]);
    }
    let report = rack
        .manager()
        .pull_matching(&"g/*".parse().unwrap(), &PullOptions::default())
        .unwrap();
    assert_eq!(report.pulled.len(), 100);
    lock(&rack, &[]).unwrap();
    rack.server.reset_counts();
    let report = rack.manager().pull_locked(&frozen(&rack)).unwrap();
    assert_eq!(report.pulled.len(), 100);
    assert_pulled(&report, PullOutcome::AlreadyInstalled);
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn a_lock_holds_where_the_source_moved() {
    let rack = Rack::with_model();
    lock(&rack, &["g/m v1"]).unwrap();
    // A copy of the registry as another source, and nothing where the lock says.
    let other = elsewhere(&rack);
    let copy = other.temp.path().join("copy");
    for (name, bytes) in files_below(&rack.registry()) {
        if name != "models.json" {
            let path = copy.join(&name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    let gone = Rack::new();
    gone.server.rule(Rule::any().status(404));
    let url = modelrack::transport::Url::from_path(&copy).unwrap();
    let config: Config = other
        .bare_config()
        .registry_url(gone.server.url())
        .bootstrap(format!(
            "[sources.copy]\nurl = \"{}\"\nname = \"copies\"\n",
            url.expose()
        ));
    let manager = other.manager_of(config);
    let report = manager.pull_locked(&frozen(&other)).unwrap();
    assert_pulled(&report, PullOutcome::Installed);
    other.assert_files("g/m v1", &sample());
    // Without the index there, only by digests.
    let error = manager.pull_locked(&locked(&other)).unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR", "{error}");
}

/// More than are planned at once.
const MANY: usize = 40;

/// A lock of many models, and a machine whose source is the one of the lock, which answers nobody any more, beside one that has a
/// copy of its registry at `copy`.
fn cut_off(rack: &Rack, copy: &str) -> (Rack, ModelManager) {
    let names: Vec<String> = (0..MANY).map(|number| format!("g/m{number} v1")).collect();
    for name in &names {
        rack.publish(name, &[("name.txt", name.as_bytes().to_vec())]);
    }
    lock(rack, &names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    rack.server.rule(Rule::any().close());
    rack.server.reset_counts();
    let other = elsewhere(rack);
    let config = other
        .bare_config()
        .registry_url(rack.server.url())
        .bootstrap(format!("[sources.copy]\nurl = \"{copy}\"\n"));
    let manager = other.manager_of(config);
    (other, manager)
}

#[test]
fn frozen_asks_no_server_for_what_a_mirror_on_this_machine_has() {
    let rack = Rack::new();
    let url = modelrack::transport::Url::from_path(&rack.registry()).unwrap();
    let (other, manager) = cut_off(&rack, &url.expose());
    let report = manager.pull_locked(&frozen(&other)).unwrap();
    assert_eq!(report.pulled.len(), MANY);
    assert_pulled(&report, PullOutcome::Installed);
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn a_source_that_cannot_be_reached_is_not_waited_for_with_each_model() {
    let rack = Rack::new();
    let copy = Server::start().folder(rack.registry());
    let (other, manager) = cut_off(&rack, &copy.url());
    let report = manager.pull_locked(&frozen(&other)).unwrap();
    assert_eq!(report.pulled.len(), MANY);
    assert_pulled(&report, PullOutcome::Installed);
    let requests = rack.server.requests();
    let asked: BTreeSet<&str> = requests.iter().map(|request| &*request.path).collect();
    assert!((1..MANY / 2).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn frozen_says_what_is_missing_where_nobody_can_serve_it() {
    let rack = Rack::with_model();
    lock(&rack, &["g/m v1"]).unwrap();
    let other = elsewhere(&rack);
    let manager = other.manager_of(other.bare_config());
    let error = manager.pull_locked(&frozen(&other)).unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(
        chain(&error).contains("no configured source can serve 'g/m v1'"),
        "{error}"
    );
    let offline = frozen(&other).pull(PullOptions::default().offline(true));
    let error = other.manager().pull_locked(&offline).unwrap_err();
    assert_eq!(error.code(), "OFFLINE", "{error}");
    let narrowed = frozen(&other).pull(PullOptions::default().include(["*.json"]));
    let error = manager.pull_locked(&narrowed).unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT", "{error}");
}
