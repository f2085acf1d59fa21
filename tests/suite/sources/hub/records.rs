//! What is recorded of a model, and changing it.

use std::fs;

use modelrack::installed::{Annotation, InstalledModel};
use modelrack::{ListOptions, Manager, PullOptions, UpdateOptions, VerifyOptions};
use serde_json::{Value, json};

use crate::sources::hub::machine::{Machine, WHISPER};
use crate::support::address;
use crate::support::disk::flip;

fn annotation(metadata: Value) -> Annotation {
    let Value::Object(metadata) = metadata else {
        panic!("an object");
    };
    Annotation::default().metadata(metadata)
}

/// The one installed model.
fn model(machine: &Machine) -> InstalledModel {
    let [model] = machine.installed().try_into().unwrap();
    model
}

#[test]
fn the_type_follows_from_what_the_hub_says_the_model_is_for() {
    for (task, expected) in [
        (Some("text-generation"), Some("text-generation")),
        (Some("text-to-image"), Some("text-to-image")),
        (Some("image-text-to-text"), Some("image-to-text")),
        (Some("automatic-speech-recognition"), Some("audio-to-text")),
        (Some("text-to-speech"), Some("text-to-audio")),
        (Some("sentence-similarity"), Some("embedding")),
        (Some("token-classification"), Some("classification")),
        (Some("reinforcement-learning"), Some("other")),
        (None, None),
    ] {
        let machine = Machine::new();
        let repo = machine.hub.repo("o/n");
        repo.commit("main", [("config.json", "{}")]);
        if let Some(task) = task {
            repo.describe(|facts| facts.pipeline_tag = Some(task.to_owned()));
        }
        machine.pull("hf/o/n").unwrap();
        assert_eq!(model(&machine).model_type.as_deref(), expected, "{task:?}");
        let of_type = |wanted: &str| {
            let options = ListOptions::default().model_type(wanted);
            machine.manager().list(&options).unwrap().models.len()
        };
        if let Some(expected) = expected {
            assert_eq!(of_type(expected), 1);
        }
        assert_eq!(of_type("no-type"), 0);
    }
}

#[test]
fn the_type_that_is_asked_for_stays() {
    let (machine, repo, _) = Machine::with_whisper();
    let options = PullOptions::default().model_type("embedding");
    let manager = machine.manager();
    manager.pull(&address(WHISPER), &options).unwrap();
    assert_eq!(model(&machine).model_type.as_deref(), Some("embedding"));
    repo.commit_with("main", [("config.json", "{}")]);
    manager.update(&UpdateOptions::default()).unwrap();
    assert_eq!(model(&machine).model_type.as_deref(), Some("embedding"));
    flip(&model(&machine).path.join("config.json"), 0);
    manager
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    assert_eq!(model(&machine).model_type.as_deref(), Some("embedding"));
    // Of what is installed, too.
    let options = PullOptions::default().model_type("other");
    machine.hub.server().reset_counts();
    manager.pull(&address(WHISPER), &options).unwrap();
    assert_eq!(model(&machine).model_type.as_deref(), Some("other"));
    assert_eq!(machine.requests().len(), 1);
}

#[test]
fn facts_are_added_replaced_and_removed() {
    let (machine, _, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    let manager = machine.manager();
    let facts = annotation(json!({"accuracy": 0.5, "description": "Ears", "likes": null}))
        .model_type("audio-to-text")
        .tags(["mine"]);
    let annotated = manager.annotate(&address(WHISPER), &facts).unwrap();
    assert_eq!(annotated, model(&machine));
    assert_eq!(annotated.metadata.to_map()["accuracy"], 0.5);
    assert_eq!(annotated.description().as_deref(), Some("Ears"));
    assert_eq!(annotated.tags, ["mine"]);
    assert!(!annotated.metadata.to_map().contains_key("likes"));
    assert_eq!(
        annotated.metadata.to_map()["pipeline_tag"],
        "automatic-speech-recognition"
    );
    let found = manager.search("ears mine", &modelrack::SearchOptions::default());
    assert_eq!(found.unwrap().installed.len(), 1);
    let fewer = annotation(json!({"accuracy": null, "never": null}));
    let annotated = manager.annotate(&address(WHISPER), &fewer).unwrap();
    assert!(!annotated.metadata.to_map().contains_key("accuracy"));
    assert_eq!(annotated.tags, ["mine"]);
    assert_eq!(annotated.model_type.as_deref(), Some("audio-to-text"));
    assert!(
        manager.verify(&VerifyOptions::default()).unwrap().models[0]
            .damaged
            .is_empty()
    );
}

#[test]
fn facts_outlive_the_loss_of_the_record() {
    let (machine, _, commit) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    let facts = annotation(json!({"note": "kept"})).model_type("other");
    let before = machine
        .manager()
        .annotate(&address(WHISPER), &facts)
        .unwrap();
    let record = machine.rack.store().join("registry.json");
    fs::write(&record, "{").unwrap();
    fs::remove_file(machine.rack.store().join("registry.json.bak")).unwrap();
    assert_eq!(model(&machine), before);
    assert_eq!(before.commit, Some(commit));
}

#[test]
fn facts_outlive_updates_repairs_and_new_copies() {
    let (machine, repo, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    let manager = machine.manager();
    let facts = annotation(json!({"note": "mine", "likes": null}))
        .model_type("other")
        .tags(["mine"]);
    manager.annotate(&address(WHISPER), &facts).unwrap();
    let assert_kept = |what: &str| {
        let model = model(&machine);
        assert_eq!(model.metadata.to_map()["note"], "mine", "{what}");
        assert!(!model.metadata.to_map().contains_key("likes"), "{what}");
        assert_eq!(model.model_type.as_deref(), Some("other"), "{what}");
        assert_eq!(model.tags, ["mine"], "{what}");
    };
    repo.describe(|facts| (facts.downloads, facts.likes) = (77, 7));
    repo.commit_with("main", [("config.json", "{}")]);
    manager.update(&UpdateOptions::default()).unwrap();
    assert_kept("an update");
    assert_eq!(
        model(&machine).metadata.to_map()["downloads"],
        77,
        "the Hub's word is new"
    );
    flip(&model(&machine).path.join("config.json"), 0);
    manager
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    assert_kept("a repair");
    let force = PullOptions::default().force(true);
    manager.pull(&address(WHISPER), &force).unwrap();
    assert_kept("a new copy");
}

#[test]
fn a_model_whose_folder_is_gone_does_not_come_back_by_being_annotated() {
    let (machine, _, _) = Machine::with_whisper();
    let path = machine.pull(WHISPER).unwrap().path;
    fs::remove_dir_all(&path).unwrap();
    let facts = annotation(json!({"note": "gone"}));
    let annotated = machine
        .manager()
        .annotate(&address(WHISPER), &facts)
        .unwrap();
    assert_eq!(annotated.status, modelrack::installed::Status::Deleted);
    assert!(!path.exists());
    let error = machine
        .manager()
        .annotate(&address("hf/gpt2"), &facts)
        .unwrap_err();
    assert_eq!(error.code(), "NOT_INSTALLED");
}
