//! What the store says of each model, going by what is true of it.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use modelrack::installed::{Listing, Status};
use modelrack::pull::PullOutcome;
use modelrack::{
    CopyOptions, ListOptions, Manager, ManagerExt, ModelManager, ProgressEvent, PullOptions,
};

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::recorder::Recorder;
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, address, in_background};

fn list(manager: &impl Manager, status: impl Into<Option<Status>>) -> Listing {
    manager
        .list(&ListOptions::default().status(status))
        .unwrap()
}

/// A manager that pulls one model at a time; the receiver learns of each pull that has to wait for that.
fn one_at_a_time(machine: &Machine) -> (Arc<ModelManager>, Receiver<()>) {
    let (sender, pending) = channel();
    let recorder = Recorder::calling(move |_, event| {
        if matches!(event, ProgressEvent::Pending) {
            sender.send(()).unwrap();
        }
    });
    let manager = ModelManager::builder(machine.config().max_pulls(1))
        .environment(machine.rack.environment())
        .progress(Arc::new(recorder))
        .build();
    (Arc::new(manager), pending)
}

/// Holds `config.json` back: the first gate opens when it was asked for, and the second lets it go.
fn hold_config(machine: &Machine) -> (Gate, Gate) {
    let (arrived, go_on) = (Gate::new(), Gate::new());
    let open = arrived.clone();
    let rule = Rule::path_contains("config.json").on_request(move || open.open());
    machine.hub.server().rule(rule.hold(&go_on));
    (arrived, go_on)
}

/// The names of partials, and what is said of each.
fn partials(listing: &Listing) -> Vec<(String, Status)> {
    let partials = listing.partials.iter();
    partials
        .map(|partial| (partial.model.to_string(), partial.status))
        .collect()
}

#[test]
fn a_model_that_waits_for_its_turn_is_pending_and_may_be_cancelled() {
    let (machine, _, _) = Machine::with_whisper();
    let second = machine.hub.repo("o/second");
    second.commit("main", [("a.txt", "a")]);
    let (arrived, go_on) = hold_config(&machine);
    let (manager, pending) = one_at_a_time(&machine);
    let pull = |model: &'static str| {
        let manager = manager.clone();
        let mut options = PullOptions::default();
        options.model_type = (model == WHISPER).then(|| "speech".to_owned());
        in_background(move || manager.pull(&address(model), &options))
    };
    let first = pull(WHISPER);
    assert!(arrived.wait(PATIENCE));
    let waiting = pull("hf/o/second");
    pending.recv_timeout(PATIENCE).unwrap();
    assert_eq!(manager.downloads().len(), 2);
    let expected = [
        ("hf/o/second main".to_owned(), Status::Pending),
        (
            "hf/openai/whisper-tiny main".to_owned(),
            Status::Downloading,
        ),
    ];
    assert_eq!(partials(&list(&*manager, None)), expected);
    assert_eq!(partials(&list(&*manager, Status::Pending)), expected[..1]);
    assert_eq!(
        partials(&list(&*manager, Status::Downloading)),
        expected[1..]
    );
    // Which source and type it is of is known before its turn has come, and how much it is.
    for (source, model_type, found) in [
        (Some("hf"), None, &expected[..]),
        (None, Some("speech"), &expected[1..]),
        (Some("hf"), Some("speech"), &expected[1..]),
        (Some("hf"), Some("text"), &[]),
    ] {
        let mut options = ListOptions::default();
        options.source = source.map(str::to_owned);
        options.model_type = model_type.map(str::to_owned);
        assert_eq!(partials(&manager.list(&options).unwrap()), found);
    }
    let waits = list(&*manager, Status::Pending).partials.remove(0);
    assert_eq!((waits.bytes_done, waits.total_bytes), (0, Some(1)));
    assert_eq!(waits.files, Some(1));
    assert_eq!(machine.hub.server().count("/o/second/"), 0);
    // Another process sees that somebody is at the first; of the second there is nothing to see.
    assert_eq!(partials(&list(&machine.manager(), None)), expected[1..]);

    assert_eq!(manager.cancel(&address("hf/o/second")), 1);
    let error = waiting.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    let again = pull("hf/o/second");
    pending.recv_timeout(PATIENCE).unwrap();
    go_on.open();
    first.recv_timeout(PATIENCE).unwrap().unwrap();
    again.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(machine.rack.listed().0.len(), 2);
    assert!(manager.downloads().is_empty());
}

#[test]
fn a_failed_pull_that_waits_to_go_on_is_pending() {
    let (machine, _, _) = Machine::with_whisper();
    let second = machine.hub.repo("o/second");
    second.commit("main", [("a.txt", "a")]);
    let failing = Rule::path_contains("/o/second/resolve/")
        .times(1)
        .status(404);
    machine.hub.server().rule(failing);
    machine.pull("hf/o/second").unwrap_err();
    let (arrived, go_on) = hold_config(&machine);
    let (manager, pending) = one_at_a_time(&machine);
    assert_eq!(list(&*manager, Status::Error).partials.len(), 1);
    let pull = |model: &'static str| {
        let manager = manager.clone();
        in_background(move || manager.pull(&address(model), &PullOptions::default()))
    };
    let first = pull(WHISPER);
    assert!(arrived.wait(PATIENCE));
    let waiting = pull("hf/o/second");
    pending.recv_timeout(PATIENCE).unwrap();
    assert_eq!(list(&*manager, Status::Error).partials, []);
    let pending = list(&*manager, Status::Pending);
    assert_eq!(
        partials(&pending),
        [("hf/o/second main".to_owned(), Status::Pending)]
    );
    go_on.open();
    first.recv_timeout(PATIENCE).unwrap().unwrap();
    waiting.recv_timeout(PATIENCE).unwrap().unwrap();
}

#[test]
fn a_pull_that_failed_is_an_error_with_its_reason_until_it_goes_on() {
    let (machine, _, _) = Machine::with_whisper();
    machine
        .hub
        .server()
        .rule(Rule::path_starts("/cdn/").status(404));
    machine.pull(WHISPER).unwrap_err();
    let listing = list(&machine.manager(), None);
    assert!(listing.models.is_empty());
    let [partial] = listing.partials.as_slice() else {
        panic!("{listing:?}");
    };
    assert_eq!(partial.status, Status::Error);
    assert_eq!(partial.source.as_deref(), Some("hf"));
    assert!(partial.last_error.as_ref().unwrap().contains("not found"));
    assert_eq!(
        list(&machine.manager(), Status::Available),
        Listing::default()
    );
    machine.hub.server().clear_rules();
    machine.pull(WHISPER).unwrap();
    assert!(list(&machine.manager(), Status::Error).partials.is_empty());
    assert_eq!(list(&machine.manager(), Status::Available).models.len(), 1);
}

#[test]
fn a_folder_that_is_gone_is_told_and_a_pull_brings_it_back() {
    let (machine, _, _) = Machine::with_whisper();
    let path = machine.pull(WHISPER).unwrap().path;
    fs::remove_dir_all(&path).unwrap();
    let manager = machine.manager();
    let [model] = list(&manager, Status::Deleted).models.try_into().unwrap();
    assert_eq!(model.status, Status::Deleted);
    assert!(list(&manager, Status::Available).models.is_empty());
    assert_eq!(
        manager.path(&address(WHISPER)).unwrap_err().code(),
        "STORAGE_ERROR"
    );
    let plan = manager
        .plan_pull(&address(WHISPER), &PullOptions::default())
        .unwrap();
    assert!(!plan.installed);
    assert!(plan.bytes_to_fetch > 0);
    let report = manager
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap();
    assert_eq!(report.outcome, PullOutcome::Installed);
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    assert!(list(&manager, Status::Deleted).models.is_empty());
}

#[test]
fn a_deleted_model_can_be_removed_for_good_and_others_are_not_touched() {
    let (machine, _, _) = Machine::with_whisper();
    machine
        .hub
        .repo("gpt2")
        .commit("main", [("config.json", "{}")]);
    machine.pull("hf/gpt2").unwrap();
    let path = machine.pull(WHISPER).unwrap().path;
    fs::remove_dir_all(&path).unwrap();
    let manager = machine.manager();
    manager
        .remove(&address(WHISPER), &modelrack::CancelToken::new())
        .unwrap();
    assert_eq!(machine.rack.listed().0, ["hf/gpt2 main"]);
}

#[test]
fn a_copy_brings_back_a_folder_that_is_gone() {
    let (machine, _, _) = Machine::with_whisper();
    let path = machine.pull(WHISPER).unwrap().path;
    fs::remove_dir_all(&path).unwrap();
    let destination = machine.rack.temp.path().join("copied");
    machine
        .manager()
        .copy(&address(WHISPER), &destination, &CopyOptions::default())
        .unwrap();
    let copied = crate::support::disk::files_below(&destination);
    assert_eq!(copied.len(), whisper().len());
    let (manager, _) = one_at_a_time(&machine);
    fs::remove_dir_all(&path).unwrap();
    let folder = manager.ensure(format!("{WHISPER} main")).unwrap();
    assert!(folder.join("config.json").is_file());
}

#[test]
fn a_pull_that_the_hub_has_not_answered_is_cancelled_by_the_version_it_means() {
    let (machine, _, _) = Machine::with_whisper();
    let arrived = Gate::new();
    let open = arrived.clone();
    machine.hub.server().rule(
        Rule::path_contains("/api/models/")
            .on_request(move || open.open())
            .stall(),
    );
    let manager = Arc::new(machine.manager());
    let pulled = in_background({
        let manager = manager.clone();
        move || manager.pull(&address(WHISPER), &PullOptions::default())
    });
    assert!(arrived.wait(PATIENCE));
    assert_eq!(manager.downloads()[0].address, address(WHISPER));
    assert_eq!(list(&*manager, None).partials, []);
    assert_eq!(manager.cancel(&address("hf/openai/whisper-tiny dev")), 0);
    assert_eq!(manager.cancel(&address("hf/openai/whisper-tiny main")), 1);
    let error = pulled.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(error.unwrap_err().code(), "CANCELLED");
    assert!(manager.downloads().is_empty());
}
