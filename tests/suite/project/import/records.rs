//! Importing `model_registry.json`.

use modelrack::Digest;
use serde_json::{Value, json};

use super::{Place, failures, ids, notes};

const OLD: &str = "# Agent\n\nthe first text\n";
const NEW: &str = "# Agent\n\nthe second text, which is longer\n";
const FILE: &str = "input/gnn_files/agent.md";

fn hash(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

/// A version as the programs of this format write it: without the size of its file.
fn version(name: &str, text: &str, time: &str) -> Value {
    json!({
        "version": name, "file_path": FILE, "created_at": time, "hash": hash(text),
        "metadata": {"author": "somebody", "of": name},
    })
}

fn registry(current: &str, versions: Value) -> String {
    let model = json!({
        "model_id": "agent", "name": "Active Inference Agent", "description": "Looks about",
        "created_at": "2025-09-29T12:00:00.123456", "updated_at": "2025-09-30T12:00:00",
        "versions": versions, "tags": ["pomdp", "agent"],
        "metadata": {"author": "somebody", "license": "MIT", "none": null},
        "current_version": current,
    });
    json!({"version": "1.0.0", "updated_at": "2025-09-30T12:00:00", "models": {"agent": model}})
        .to_string()
}

fn place(text: &str) -> Place {
    let place = Place::empty();
    place.write(FILE, text);
    place
}

#[test]
fn an_entry_with_a_single_version_is_imported() {
    let place = place(NEW);
    let text = json!({"models": {"actinf_pomdp_agent": {
        "model_id": "actinf_pomdp_agent",
        "model_name": "Active Inference POMDP Agent",
        "file_path": FILE,
        "file_size_bytes": NEW.len(),
        "registered_at": "2025-09-29T12:00:00",
        "version": "1.2.0",
        "metadata": {"variables": 13, "connections": 11, "formats_generated": 23},
    }}});
    let report = place
        .import("model_registry.json", &text.to_string())
        .unwrap();
    assert_eq!(ids(&report), [("actinf_pomdp_agent", Some("1.2.0"))]);
    assert_eq!(notes(&report), Vec::<&str>::new());
    let project = place.project();
    let (entry, version) = project.registry().current("actinf_pomdp_agent").unwrap();
    assert_eq!(entry.name, "Active Inference POMDP Agent");
    assert_eq!(version.metadata["variables"], 13);
    assert_eq!(version.metadata["formats_generated"], 23);
    assert!(
        place
            .registry()
            .contains("registered_at = 2025-09-29T12:00:00Z")
    );
}

#[test]
fn a_list_of_entries_is_read_like_a_table() {
    let place = place(NEW);
    let entry = json!({"model_id": "agent", "file_path": FILE, "version": "2.0"});
    let text = json!({"models": [entry, entry, {"file_path": FILE}]});
    let report = place
        .import("model_registry.json", &text.to_string())
        .unwrap();
    assert_eq!(ids(&report), [("agent", Some("2.0"))]);
    let failures = failures(&report);
    assert_eq!(failures[0].1, "model 'agent': the id occurs twice");
    assert!(
        failures[1]
            .1
            .starts_with("model 'models[2]': 'model_id' is missing"),
        "{failures:?}"
    );
}

#[test]
fn versions_whose_files_are_known_are_imported() {
    let place = place(NEW);
    let mut with_size = version("1.0.0", OLD, "2025-09-28T12:00:00");
    with_size["file_size_bytes"] = OLD.len().into();
    let versions = json!({
        "0.9.0": version("0.9.0", "another text", "2025-09-27T12:00:00"),
        "1.0.0": with_size,
        "1.0.1": version("1.0.1", NEW, "2025-09-29T12:00:00.5"),
    });
    let report = place
        .import("model_registry.json", &registry("1.0.1", versions))
        .unwrap();
    assert_eq!(ids(&report), [("agent", Some("1.0.1"))]);
    assert_eq!(
        notes(&report),
        ["version 0.9.0 is left out: the digest or size of its file is unknown"]
    );
    let project = place.project();
    let (entry, current) = project.registry().current("agent").unwrap();
    assert_eq!(entry.name, "Active Inference Agent");
    assert_eq!(entry.description, "Looks about");
    assert_eq!(entry.tags.iter().collect::<Vec<_>>(), ["agent", "pomdp"]);
    let history: Vec<&str> = entry.history().iter().map(|(name, _)| *name).collect();
    assert_eq!(history, ["1.0.0", "1.0.1"]);
    let old = entry.versions["1.0.0"].files.values().next().unwrap();
    assert_eq!(old.digest, Digest::of(OLD.as_bytes()));
    assert_eq!(old.size_bytes, OLD.len() as u64);
    // The metadata of the model belongs to its current version.
    assert_eq!(current.metadata["license"], "MIT");
    assert_eq!(current.metadata["of"], "1.0.1");
    assert!(!current.metadata.contains_key("none"));
    for time in ["2025-09-28T12:00:00Z", "2025-09-29T12:00:00.5Z"] {
        assert!(
            place
                .registry()
                .contains(&format!("registered_at = {time}")),
            "{time}"
        );
    }
}

#[test]
fn a_changed_file_becomes_the_next_version() {
    // Its old size is unknown, so the old version cannot be kept.
    let place = place(NEW);
    let versions = json!({"1.0.3": version("1.0.3", OLD, "2025-09-29T12:00:00")});
    let text = registry("1.0.3", versions.clone());
    let report = place.import("model_registry.json", &text).unwrap();
    assert_eq!(ids(&report), [("agent", Some("1.0.4"))]);
    assert_eq!(
        notes(&report),
        [
            "the imported registry was stale: 'input/gnn_files/agent.md' has changed since version 1.0.3"
        ]
    );
    assert_eq!(
        place.project().registry().entries["agent"].versions.len(),
        1
    );
    // Importing it again changes nothing.
    let again = place.import("model_registry.json", &text).unwrap();
    assert_eq!(again.unchanged, ["agent"], "{again:?}");

    // With its size, the old version is kept.
    let place = self::place(NEW);
    let mut versions = versions;
    versions["1.0.3"]["file_size_bytes"] = OLD.len().into();
    let text = registry("1.0.3", versions);
    let report = place.import("model_registry.json", &text).unwrap();
    assert_eq!(ids(&report), [("agent", Some("1.0.4"))]);
    let project = place.project();
    let entry = &project.registry().entries["agent"];
    assert_eq!(
        entry.versions.keys().collect::<Vec<_>>(),
        ["1.0.3", "1.0.4"]
    );
    assert_eq!(
        place
            .import("model_registry.json", &text)
            .unwrap()
            .unchanged,
        ["agent"]
    );

    // A different size alone shows the change, too.
    let place = self::place(NEW);
    let entry = json!({"file_path": FILE, "file_size_bytes": 3, "version": "1.0.0"});
    let text = json!({"models": {"agent": entry}}).to_string();
    let report = place.import("model_registry.json", &text).unwrap();
    assert_eq!(ids(&report), [("agent", Some("1.0.1"))]);
}

#[test]
fn a_registered_version_is_not_overwritten() {
    let place = place(OLD);
    let entry = json!({"file_path": FILE, "version": "1.0.0"});
    let text = json!({"models": {"agent": entry}}).to_string();
    place.import("model_registry.json", &text).unwrap();
    let before = place.project().registry().entries["agent"].versions["1.0.0"].clone();
    place.write(FILE, NEW);
    let mut other = version("1.0.0", "another text", "2025-09-29T12:00:00");
    other["file_size_bytes"] = 12.into();
    let versions = json!({"1.0.0": other, "1.0.1": version("1.0.1", NEW, "2025-09-30T12:00:00")});
    let report = place
        .import("model_registry.json", &registry("1.0.1", versions))
        .unwrap();
    assert_eq!(ids(&report), [("agent", Some("1.0.1"))]);
    assert_eq!(report.registered[0].previous.as_deref(), Some("1.0.0"));
    assert!(
        notes(&report)
            .iter()
            .any(|note| note.starts_with("version 1.0.0 stays")),
        "{:?}",
        report.notes
    );
    assert_eq!(
        place.project().registry().entries["agent"].versions["1.0.0"],
        before
    );
}
