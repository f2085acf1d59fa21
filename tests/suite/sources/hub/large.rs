//! Files so large that they come in ranges, from another host than the Hub's.

use std::sync::Arc;

use modelrack::{Manager, PullOptions};

use crate::sources::hub::machine::Machine;
use crate::support::rack::Rack;
use crate::support::recorder::Recorder;
use crate::support::server::{Request, Rule};
use crate::support::{address, bytes};

/// How many ranges of 8 MiB the file has.
const RANGES: usize = 5;

/// `o/large` of one file of 33 MiB and a bit.
fn large() -> (Machine, Vec<u8>) {
    let machine = Machine::new();
    let file = bytes((33 << 20) + 5, 3);
    let repo = machine.hub.repo("o/large");
    repo.commit("main", [("model.safetensors", file.clone())]);
    (machine, file)
}

fn assert_installed(rack: &Rack, file: &[u8]) {
    rack.assert_files("hf/o/large main", &[("model.safetensors", file)]);
    assert_eq!(rack.cache(), Vec::<String>::new());
}

/// The requests to the storage, in order of arrival.
fn stored(machine: &Machine) -> Vec<Request> {
    let mut requests = machine.hub.server().requests();
    requests.retain(|request| request.path.starts_with("/cdn/"));
    requests
}

fn asked_hub(machine: &Machine) -> usize {
    machine.hub.server().count("/o/large/resolve/")
}

#[test]
fn ranges_come_from_where_the_first_was_led_and_are_of_one_state() {
    let (machine, file) = large();
    let report = machine.pull("hf/o/large").unwrap();
    assert_eq!(report.bytes_fetched, report.total_bytes);
    assert_installed(&machine.rack, &file);
    assert_eq!(asked_hub(&machine), 1, "the Hub is asked once where it is");
    let requests = stored(&machine);
    assert_eq!(requests.len(), RANGES);
    let validators: Vec<_> = requests.iter().map(|r| r.header("if-range")).collect();
    assert_eq!(validators[0], None);
    assert!(validators[1].is_some());
    assert!(validators[2..].iter().all(|other| *other == validators[1]));
    assert!(requests.iter().all(|request| request.status == 206));
}

#[test]
fn ranges_come_on_several_connections_at_once() {
    let (machine, file) = large();
    let options = PullOptions::default().concurrency(4);
    machine
        .manager()
        .pull(&address("hf/o/large"), &options)
        .unwrap();
    assert_installed(&machine.rack, &file);
    assert_eq!(stored(&machine).len(), RANGES);
    assert!(asked_hub(&machine) <= 4);
    assert!(machine.hub.server().max_in_flight() > 1);
}

#[test]
fn a_link_that_expired_is_replaced_and_nothing_is_fetched_twice() {
    for status in [403, 401, 410] {
        let (machine, file) = large();
        machine
            .hub
            .server()
            .rule(Rule::path_starts("/cdn/").nth(3).status(status));
        let recorder = Arc::new(Recorder::default());
        let options = PullOptions::default()
            .concurrency(1)
            .progress(recorder.clone());
        let report = machine
            .manager()
            .pull(&address("hf/o/large"), &options)
            .unwrap();
        assert_installed(&machine.rack, &file);
        assert_eq!(report.bytes_fetched, report.total_bytes);
        assert_eq!(asked_hub(&machine), 2);
        assert_eq!(stored(&machine).len(), RANGES + 1);
        assert_eq!(recorder.retries(), 0, "an expired link is no failure");
        let validators = stored(&machine);
        let mut validators = validators.iter().map(|r| r.header("if-range"));
        assert!(validators.nth(1).unwrap().is_some());
        assert!(
            validators.all(|other| other.is_some()),
            "the new link is of the same state"
        );
    }
}

#[test]
fn a_storage_without_ranges_sends_the_file_whole() {
    for concurrency in [1, 4] {
        let (machine, file) = large();
        machine
            .hub
            .server()
            .rule(Rule::path_starts("/cdn/").ignore_range());
        let options = PullOptions::default().concurrency(concurrency);
        machine
            .manager()
            .pull(&address("hf/o/large"), &options)
            .unwrap();
        assert_installed(&machine.rack, &file);
    }
}

#[test]
fn a_network_that_cuts_every_body_brings_a_model_all_the_same() {
    let machine = Machine::new();
    let files = [
        ("large.safetensors", bytes((33 << 20) + 5, 3)),
        ("middle.safetensors", bytes(5 << 20, 4)),
        ("tokenizer.json", bytes(5 << 20, 5)),
    ];
    machine.hub.repo("o/large").commit("main", files.clone());
    machine.hub.server().rule(Rule::any().cut_after(2 << 20));
    let report = machine.pull("hf/o/large").unwrap();
    assert_eq!(report.bytes_fetched, report.total_bytes);
    machine.rack.assert_files("hf/o/large main", &files);
    assert_eq!(machine.rack.cache(), Vec::<String>::new());
}

#[test]
fn nodes_with_tags_of_their_own_bring_a_cut_file_all_the_same() {
    // Each answers a tag of another with the whole file, of which what is here is passed over.
    let machine = Machine::new();
    let file = bytes(5 << 20, 4);
    let repo = machine.hub.repo("o/m");
    repo.commit("main", [("model.safetensors", file.clone())]);
    for node in 0..6 {
        let mut rule = Rule::path_starts("/cdn/").nth(1);
        rule = rule.header("etag", &format!("\"node {node}\""));
        if node < 5 {
            rule = rule.cut_after(2 << 20);
        }
        machine.hub.server().rule(rule);
    }
    machine.pull("hf/o/m").unwrap();
    machine
        .rack
        .assert_files("hf/o/m main", &[("model.safetensors", file)]);
}

#[test]
fn a_small_file_that_failed_goes_on_where_it_was() {
    let machine = Machine::new();
    let files = [
        ("config.json", bytes(90_000, 4)),
        ("model.safetensors", bytes(90_000, 5)),
    ];
    machine.hub.repo("o/m").commit("main", files.clone());
    let server = machine.hub.server();
    server.rule(Rule::path_ends("config.json").nth(1).cut_after(70_000));
    server.rule(Rule::path_ends("config.json").status(404));
    machine.pull("hf/o/m").unwrap_err();
    server.clear_rules();
    server.rule(Rule::path_starts("/cdn/").nth(1).cut_after(40_000));
    server.rule(Rule::path_starts("/cdn/").status(404));
    machine.pull("hf/o/m").unwrap_err();
    server.clear_rules();
    let report = machine.pull("hf/o/m").unwrap();
    assert_eq!(
        (report.bytes_resumed, report.bytes_fetched),
        (130_000, 50_000)
    );
    machine.rack.assert_files("hf/o/m main", &files);
}

#[test]
fn a_page_or_another_file_for_a_range_is_no_part_of_the_model() {
    type Spoil = fn(Rule) -> Rule;
    let spoils: [(&str, Spoil); 4] = [
        ("a page", Rule::html),
        ("another file", |rule| rule.body(vec![7; (33 << 20) + 5])),
        ("another range", |rule| {
            rule.wrong_content_range("bytes 0-8388607/34603013")
        }),
        ("a wrong byte", |rule| rule.flip(100)),
    ];
    for (what, spoil) in spoils {
        let (machine, file) = large();
        machine
            .hub
            .server()
            .rule(spoil(Rule::path_starts("/cdn/")).nth(3));
        machine
            .pull("hf/o/large")
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_installed(&machine.rack, &file);
    }
    for (spoil, code) in [
        (spoils[0].1, "AUTHENTICATION_ERROR"),
        (spoils[1].1, "HASH_MISMATCH"),
    ] {
        let (machine, _) = large();
        let at_third = spoil(
            Rule::path_starts("/cdn/")
                .and(|request| request.header("range") != Some("bytes=0-8388607")),
        );
        machine.hub.server().rule(at_third);
        let error = machine.pull("hf/o/large").unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(machine.installed().is_empty());
    }
}

#[test]
fn a_restart_fetches_the_missing_ranges_with_a_link_of_its_own() {
    let (machine, file) = large();
    let failing = Rule::path_starts("/cdn/")
        .and(|request| request.header("range") == Some("bytes=16777216-25165823"));
    machine.hub.server().rule(failing.status(404));
    machine.pull("hf/o/large").unwrap_err();
    assert_eq!(machine.rack.listed().1, ["hf/o/large main"]);
    machine.hub.server().clear_rules();
    machine.hub.server().reset_counts();
    let report = machine.pull("hf/o/large").unwrap();
    assert_eq!(report.bytes_resumed, 16 << 20);
    assert_eq!(report.bytes_fetched, (17 << 20) + 5);
    let mut ranges: Vec<String> = stored(&machine)
        .iter()
        .map(|request| request.header("range").unwrap_or("whole").to_owned())
        .collect();
    ranges.sort();
    assert_eq!(
        ranges,
        [
            "bytes=16777216-25165823",
            "bytes=25165824-33554431",
            "bytes=33554432-34603012"
        ]
    );
    assert_installed(&machine.rack, &file);
}

#[test]
fn a_new_state_of_the_branch_leaves_what_a_pull_of_the_old_one_left() {
    let (machine, _) = large();
    let failing = Rule::path_starts("/cdn/")
        .and(|request| request.header("range") == Some("bytes=16777216-25165823"));
    machine.hub.server().rule(failing.status(404));
    machine.pull("hf/o/large").unwrap_err();
    machine.hub.server().clear_rules();
    machine.hub.server().reset_counts();
    let other = bytes((33 << 20) + 5, 4);
    let repo = machine.hub.repo("o/large");
    repo.commit("main", [("model.safetensors", other.clone())]);
    let report = machine.pull("hf/o/large").unwrap();
    assert_eq!(
        (report.bytes_resumed, report.bytes_fetched),
        (0, report.total_bytes)
    );
    assert_installed(&machine.rack, &other);
}
