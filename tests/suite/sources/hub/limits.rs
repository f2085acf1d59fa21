//! A Hub that is not asked, or asks to wait.

use std::time::Duration;

use modelrack::pull::PullOutcome;
use modelrack::{ErrorKind, Manager, PullOptions, RemoteOptions, SearchOptions, UpdateOptions};

use crate::sources::hub::machine::{Machine, WHISPER, WHISPER_BYTES, whisper};
use crate::support::address;
use crate::support::server::Rule;

#[test]
fn a_hub_that_is_offline_is_not_asked_and_other_sources_are() {
    let (machine, _, _) = Machine::with_whisper();
    machine
        .rack
        .publish("g/m v1", &crate::support::rack::sample());
    let toml = format!(
        "[sources.hf]\nhub = \"{}\"\n[sources.w]\nurl = \"{}\"\n",
        machine.hub.url(),
        machine.rack.server.url()
    );
    let manager = modelrack::ModelManager::builder(machine.rack.bare_config().bootstrap(toml))
        .environment(machine.rack.environment().variable("HF_HUB_OFFLINE", "1"))
        .build();
    let options = PullOptions::default();
    let error = manager.pull(&address(WHISPER), &options).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    let search = SearchOptions::default().remote(true).source("hf");
    assert_eq!(manager.search("x", &search).unwrap_err().code(), "OFFLINE");
    manager.pull(&address("w/g/m v1"), &options).unwrap();
    assert_eq!(machine.hub.server().connections(), 0);
    let error = machine
        .manager()
        .pull(&address(WHISPER), &PullOptions::default().offline(true))
        .unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    assert_eq!(machine.hub.server().connections(), 0);
}

#[test]
fn what_is_installed_is_used_without_the_hub() {
    let (machine, _, _) = Machine::with_whisper();
    let installed = machine.pull(WHISPER).unwrap().path;
    machine.hub.server().reset_counts();
    let offline = machine.rack.environment().variable("HF_HUB_OFFLINE", "1");
    let manager = machine.manager_in(offline);
    assert_eq!(manager.path(&address(WHISPER)).unwrap(), installed);
    let error = manager.check_update(&UpdateOptions::default()).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    assert_eq!(machine.hub.server().connections(), 0);
}

#[test]
fn pulling_what_is_installed_needs_no_hub() {
    let (machine, _, commit) = Machine::with_whisper();
    let path = machine.pull(WHISPER).unwrap().path;
    let pinned = format!("{WHISPER} {commit}");
    machine.pull(&pinned).unwrap();
    machine.hub.server().reset_counts();
    let offline = PullOptions::default().offline(true);
    for (typed, options) in [
        (WHISPER, &offline),
        ("hf/openai/whisper-tiny main", &offline),
        ("hf@main/openai/whisper-tiny", &offline),
        (&pinned, &offline),
        // A commit is what it is, whoever can be asked.
        (&pinned, &PullOptions::default()),
    ] {
        let plan = machine.manager().plan_pull(&address(typed), options);
        assert!(plan.unwrap().installed, "{typed}");
        let report = machine.manager().pull(&address(typed), options).unwrap();
        assert_eq!(report.outcome, PullOutcome::AlreadyInstalled, "{typed}");
        assert_eq!((report.files, report.total_bytes), (4, WHISPER_BYTES));
        assert_eq!(report.source, "hf");
    }
    assert_eq!(machine.hub.server().connections(), 0);
    for (typed, options) in [
        (WHISPER, offline.clone().force(true)),
        (WHISPER, offline.clone().include(["*.json"])),
        ("hf/openai/whisper-tiny dev", offline.clone()),
        ("hf/openai/whisper", offline.clone()),
        (&pinned, offline.clone().force(true)),
    ] {
        let error = machine.manager().pull(&address(typed), &options);
        assert_eq!(error.unwrap_err().code(), "OFFLINE", "{typed}");
    }
    assert_eq!(machine.hub.server().connections(), 0);
    // Its folder is gone: then it is no longer there.
    std::fs::remove_dir_all(path).unwrap();
    let error = machine.manager().pull(&address(WHISPER), &offline);
    assert_eq!(error.unwrap_err().code(), "OFFLINE");
    let forced = PullOptions::default().force(true);
    machine.manager().pull(&address(&pinned), &forced).unwrap();
    assert_eq!(machine.hub.api_requests(), 1);
}

#[test]
fn a_choice_of_files_that_is_installed_is_told_by_the_same_choice() {
    let (machine, _, _) = Machine::with_whisper();
    let chosen = PullOptions::default().include(["*.json"]);
    let manager = machine.manager();
    manager.pull(&address(WHISPER), &chosen).unwrap();
    let report = manager.pull(&address(WHISPER), &chosen.offline(true));
    assert_eq!(report.unwrap().outcome, PullOutcome::AlreadyInstalled);
    let all = PullOptions::default().offline(true);
    let error = manager.pull(&address(WHISPER), &all).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
}

#[test]
fn being_limited_is_waited_out_when_it_is_short() {
    let (machine, _, _) = Machine::with_whisper();
    machine.hub.limit(2, 0);
    machine.pull(WHISPER).unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    assert_eq!(machine.hub.server().count("/api/models/"), 1 + 2);
    // Of files, too.
    let (machine, _, _) = Machine::with_whisper();
    let limited = Rule::path_contains("/resolve/").times(2).status(429);
    machine
        .hub
        .server()
        .rule(limited.header("ratelimit", "\"resolvers\";r=0;t=0"));
    machine.pull(WHISPER).unwrap();
}

#[test]
fn being_limited_for_long_says_for_how_long() {
    for (header, value, expected) in [
        ("retry-after", "300", Some(300)),
        ("ratelimit", "\"api\";r=0;t=55", Some(55)),
        ("ratelimit", "\"api\";r=3;t=55", None),
        ("x-other", "1", None),
    ] {
        let (machine, _, _) = Machine::with_whisper();
        machine
            .hub
            .server()
            .rule(Rule::any().status(429).header(header, value));
        let error = machine.pull(WHISPER).unwrap_err();
        assert_eq!(error.code(), "RATE_LIMITED");
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs));
        let requests = if expected.is_some() { 1 } else { 4 };
        assert_eq!(machine.requests().len(), requests, "{header}: {value}");
    }
    let (machine, _, _) = Machine::with_whisper();
    machine.hub.limit(1000, 120);
    let error = machine
        .manager()
        .remote_detail(&address(WHISPER), &RemoteOptions::default())
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
}

#[test]
fn the_last_request_of_a_window_may_be_refused_for_another_reason() {
    let (machine, _, _) = Machine::with_whisper();
    machine.hub.server().rule(
        Rule::path_contains("/resolve/")
            .status(403)
            .header("x-error-code", "GatedRepo")
            .header("ratelimit", "\"resolvers\";r=0;t=200"),
    );
    let error = machine.pull(WHISPER).unwrap_err();
    let ErrorKind::Authentication { failure, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*failure, modelrack::error::AuthFailure::Gated);
}

#[test]
fn a_hub_that_fails_now_and_then_is_asked_again() {
    let (machine, _, _) = Machine::with_whisper();
    machine
        .hub
        .server()
        .rule(Rule::path_starts("/api/").times(2).status(502));
    machine
        .hub
        .server()
        .rule(Rule::path_starts("/cdn/").times(1).reset());
    machine
        .hub
        .server()
        .rule(Rule::path_contains("/resolve/").times(1).close());
    machine.pull(WHISPER).unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
}
