//! What can be turned off, and a registry in another place.

use std::fs;
use std::path::Path;

use modelrack::project::{AddOptions, ImportOptions, Project, ProjectOptions, ResyncOptions};

use super::folder::{AGENT, Folder, SIR, ids, weights};
use crate::support::disk::names_in;

fn options() -> ProjectOptions {
    ProjectOptions::default()
}

fn open(folder: &Folder, options: &ProjectOptions) -> Project {
    Project::open(folder.root(), options).unwrap()
}

fn own_files(folder: &Path) -> Vec<String> {
    let mut names = names_in(folder);
    // Whether a lock that is free remains depends on the system.
    names.retain(|name| !name.ends_with(".lock"));
    names
}

#[test]
fn a_registry_in_another_place_is_the_only_one_and_no_part_of_a_model() {
    let folder = Folder::with(&[("models/agent.md", AGENT), ("data/x.csv", "1\n")]);
    let options = options().registry_path(folder.path("models/own.toml"));
    let mut project = open(&folder, &options);
    let add = AddOptions::default();
    project.add(&[folder.path("models")], &add).unwrap();
    project.add(&[folder.path("data")], &add).unwrap();
    assert_eq!(
        own_files(&folder.path("models")),
        ["agent.md", "own.toml", "own.toml.bak"]
    );
    assert_eq!(names_in(folder.root()), ["data", "models"]);
    // The folder as one model has none of it, nor has the whole project.
    let whole = AddOptions::default().id("whole");
    for path in ["models", "."] {
        project.add(&[folder.path(path)], &whole).unwrap();
        let entry = &project.registry().entries["whole"];
        for file in entry.current().unwrap().files.keys() {
            assert!(!file.as_str().contains("own"), "{file}");
        }
    }
    let report = project
        .add(&[folder.path("models/own.toml")], &add)
        .unwrap();
    assert!(
        report.failed[0]
            .error
            .to_string()
            .contains("the registry itself")
    );
    // It is found from anywhere, and recovered as any other.
    assert_eq!(open(&folder, &options).registry(), project.registry());
    fs::write(folder.path("models/own.toml"), "<<<<<<<").unwrap();
    assert!(open(&folder, &options).recovered().is_some());
    // A folder has the usual name in it.
    let in_folder = ProjectOptions::default().registry_path(folder.path("data"));
    assert_eq!(
        open(&folder, &in_folder)
            .registry_path()
            .file_name()
            .unwrap(),
        "models.toml"
    );
}

#[test]
fn without_a_backup_only_the_registry_is_left() {
    let folder = Folder::with(&[("a.gguf", ""), ("b.gguf", "")]);
    for backup in [false, true] {
        let mut project = open(&folder, &options().backup(backup));
        for (name, text) in [("a.bin", "1"), ("b.bin", "2"), ("a.bin", "3")] {
            folder.write(&[(name, format!("{text} {backup}"))]);
            project
                .add(&[folder.path(name)], &AddOptions::default())
                .unwrap();
        }
        assert_eq!(folder.path(".registry/models.toml.bak").exists(), backup);
    }
}

#[test]
fn without_versions_the_current_one_is_replaced_unless_another_is_stated() {
    let folder = Folder::with(&[("models/agent.md", AGENT), ("models/sir.py", SIR)]);
    let mut project = open(&folder, &options().auto_version(false));
    let paths = [folder.path("models")];
    let add = AddOptions::default();
    project.add(&paths, &add).unwrap();
    let digest = |project: &Project| project.registry().entries["sir"].versions["1.0.0"].digest;
    let first = digest(&project);
    folder.edit("models/sir.py", "recovered", "removed");
    let report = project.add(&paths, &add).unwrap();
    assert_eq!(ids(&report), ["sir"]);
    assert_eq!(report.registered[0].version.as_deref(), Some("1.0.0"));
    let second = digest(&project);
    assert_ne!(first, second);
    folder.edit("models/sir.py", "removed", "dead");
    assert!(project.resync(&ResyncOptions::default()).unwrap().applied);
    assert_ne!(digest(&project), second);
    let versions = |project: &Project, id: &str| {
        let versions = project.registry().entries[id].versions.keys();
        versions.cloned().collect::<Vec<_>>()
    };
    assert_eq!(versions(&project, "sir"), ["1.0.0"]);
    assert!(project.add(&paths, &add).unwrap().registered.is_empty());
    // One that a file or the caller states is another.
    folder.edit("models/agent.md", "1.0.0", "1.1.0");
    project.add(&paths, &add).unwrap();
    assert_eq!(versions(&project, "agent"), ["1.0.0", "1.1.0"]);
    folder.edit("models/sir.py", "dead", "gone");
    project
        .add(&[folder.path("models/sir.py")], &add.version("2.0.0"))
        .unwrap();
    assert_eq!(versions(&project, "sir"), ["1.0.0", "2.0.0"]);
}

#[test]
fn without_metadata_a_model_is_its_files() {
    let files: [(&str, &[u8]); 3] = [
        ("models/agent.md", AGENT.as_bytes()),
        ("models/sir.py", SIR.as_bytes()),
        ("models/tiny.safetensors", &weights(&[4, 2])),
    ];
    let folder = Folder::with(&files);
    let without = options().extract_metadata(false);
    let mut project = open(&folder, &without);
    let paths = [folder.path("models")];
    let report = project.add(&paths, &AddOptions::default()).unwrap();
    assert_eq!(ids(&report), ["agent", "sir", "tiny"]);
    for (id, name) in [("agent", "agent"), ("sir", "SIR"), ("tiny", "tiny")] {
        let entry = &project.registry().entries[id];
        assert_eq!((&*entry.name, &*entry.description), (name, ""), "{id}");
        assert!(entry.tags.is_empty() && entry.model_type.is_none(), "{id}");
        assert!(entry.current().unwrap().metadata.is_empty(), "{id}");
    }
    // What is needed to run it is no metadata.
    let sir = &project.registry().entries["sir"];
    assert_eq!(sir.entrypoint.as_deref(), Some("models.sir:SIR"));
    assert_eq!(sir.outputs, ["incidence", "prevalence"]);
    assert!(
        project
            .resync(&ResyncOptions::default())
            .unwrap()
            .difference
            .is_empty()
    );
    // What is given by hand, or was registered before, stays; a changed file states nothing more.
    let mut with = open(&folder, &options());
    let given = AddOptions::default().description("by hand");
    with.add(&[folder.path("models/agent.md")], &given).unwrap();
    folder.edit("models/agent.md", "A[3,3", "A[4,3");
    let mut project = open(&folder, &without);
    project.resync(&ResyncOptions::default()).unwrap();
    let agent = &project.registry().entries["agent"];
    assert_eq!(agent.description, "by hand");
    assert!(agent.current().unwrap().metadata.is_empty());
}

#[test]
fn an_import_without_metadata_has_what_the_other_registry_states() {
    let folder = Folder::with(&[("models/agent.md", AGENT)]);
    let yaml = "models:\n  agent:\n    path: models/agent.md\n    outputs: [a]\ntargets: {}\n";
    folder.write(&[("registry.yaml", yaml)]);
    let mut project = open(&folder, &options().extract_metadata(false));
    let file = folder.path("registry.yaml");
    let report = project.import(&file, &ImportOptions::default()).unwrap();
    assert_eq!(report.registered.len(), 1, "{report:?}");
    let agent = &project.registry().entries["agent"];
    assert_eq!((&*agent.name, &*agent.description), ("agent", ""));
    assert_eq!(agent.outputs, ["a"]);
}
