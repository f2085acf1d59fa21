//! Searching for registered models, and removing them.

use std::fs;

use modelrack::project::{AddOptions, ItemKind, Project, SelectOptions};
use modelrack::{CancelToken, ErrorKind};
use serde_json::json;

use super::folder::{Folder, weights_saying};

fn folder() -> Folder {
    let folder = Folder::registered();
    let said = json!({"title": "Tiny Llama", "status": "draft", "architecture": "Llama"});
    folder.write_old(&[("models/b.safetensors", weights_saying(&[2], said))]);
    let options = AddOptions::default()
        .id("team/b")
        .model_type("text-generation")
        .tags(["Small"]);
    folder.add_with(&["models/b.safetensors"], &options);
    folder
}

fn found(project: &Project, query: &str) -> Vec<String> {
    let found = project.search(query).into_iter();
    found.map(|model| model.id.to_owned()).collect()
}

#[test]
fn search_looks_at_all_fields_and_metadata() {
    let folder = folder();
    let project = folder.project();
    for (query, expected) in [
        ("agent", &["agent"][..]),
        // By name, description, tags and type.
        ("Active Inference POMDP", &["agent"]),
        ("SUSCEPTIBLE, infected", &["sir"]),
        ("small", &["team/b"]),
        ("text-generation", &["team/b"]),
        // By outputs and metadata, keys and values, nested ones too.
        ("prevalence", &["sir"]),
        ("cc0-1.0", &["agent"]),
        ("num_hidden_states", &["agent"]),
        ("status draft", &["team/b"]),
        ("f32", &["team/b", "tiny"]),
        // Every word, wherever it is.
        ("llama team", &["team/b"]),
        ("llama agent", &[]),
        ("", &["agent", "sir", "team/b", "tiny"]),
        ("nothing of this", &[]),
    ] {
        assert_eq!(found(&project, query), expected, "{query}");
    }
}

#[test]
fn removing_a_model_or_target_keeps_its_files() {
    let folder = folder();
    let sets = AddOptions::default().target_set("main");
    folder.add_with(&["targets"], &sets);
    let ids = ["sir", "incidence_target"];
    let removed = folder.project().remove(&ids, &CancelToken::new()).unwrap();
    let kinds: Vec<ItemKind> = removed.iter().map(|item| item.kind).collect();
    assert_eq!(kinds, [ItemKind::Target, ItemKind::Model]);
    let project = folder.project();
    let registry = project.registry();
    assert_eq!(
        registry.entries.keys().collect::<Vec<_>>(),
        ["agent", "team/b", "tiny"]
    );
    assert!(registry.targets.is_empty() && registry.target_sets.is_empty());
    assert!(folder.path("models/sir.py").exists());
    let text = folder.text();
    assert!(
        !text.contains("sir") && !text.contains("incidence"),
        "{text}"
    );
    // Registered again, it starts with its first version.
    assert!(folder.add(&["models/sir.py"]).registered[0].is_new);
}

#[test]
fn an_unknown_id_is_reported_with_similar_ones() {
    let folder = folder();
    let before = fs::read(folder.project().registry_path()).unwrap();
    for (id, expected) in [("agnet", "agent"), ("incidence_targt", "incidence_target")] {
        let ids = ["sir", id];
        let error = folder
            .project()
            .remove(&ids, &CancelToken::new())
            .unwrap_err();
        assert_eq!(error.code(), "MODEL_NOT_FOUND");
        assert!(error.to_string().contains(id), "{error}");
        let ErrorKind::NotRegistered { near, .. } = error.kind() else {
            unreachable!("{error:?}");
        };
        assert_eq!(near[0], expected);
    }
    // If one id is unknown, the other entry stays as well.
    assert_eq!(fs::read(folder.project().registry_path()).unwrap(), before);
}

#[test]
fn models_are_selected_by_where_they_are_in_their_lives() {
    let folder = Folder::registered();
    let status = |status: &str| AddOptions::default().status(status);
    folder.add_with(&["models/agent.md"], &status("draft"));
    folder.add_with(&["models/tiny.safetensors"], &status("deprecated"));
    let listed = |select: SelectOptions| {
        let project = folder.project();
        let models = project.list(&select).models.into_iter();
        models.map(|model| model.id.to_owned()).collect::<Vec<_>>()
    };
    let select = SelectOptions::default;
    assert_eq!(listed(select().status("draft")), ["agent"]);
    assert_eq!(listed(select().status("stable")), [""; 0]);
    assert_eq!(listed(select().status("draft").model_type("x")), [""; 0]);
    // It is found, it stays when the files change, and it changes by hand.
    assert_eq!(folder.project().search("deprecated")[0].id, "tiny");
    folder.edit("models/agent.md", "s-B", "");
    let change = &folder.sync(&Default::default()).difference.changed[0];
    assert_eq!(change.fields.len(), 1, "{change:?}");
    assert_eq!(listed(select().status("draft")), ["agent"]);
    folder.add_with(&["models/agent.md"], &status("stable"));
    assert_eq!(listed(select().status("stable")), ["agent"]);
}
