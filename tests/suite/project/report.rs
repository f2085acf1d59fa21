//! The report for other tools: its form, and that importing it gives the same registry.

use std::fs;
use std::path::Path;

use modelrack::project::{AddOptions, ImportOptions, Project};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::chain;
use crate::support::disk::{files_below, names_in, write_files};

const GNN: &str = "# GNN Example\n\n## GNNVersionAndFlags\nGNN v1\n\n## ModelName\nActive Inference Agent\n\n## ModelAnnotation\nLooks about.\n\n## StateSpaceBlock\nA[3,3,type=float]\nB[3,3,type=float]\n\n## Connections\nA>B\n";
const CODE: &str =
    "class SIR(BaseModel):\n    \"\"\"Three compartments.\"\"\"\n    outputs = [\"incidence\"]\n";
const TARGET: &str =
    "@target(model_output=\"incidence\")\ndef incidence(paths):\n    return None\n";

fn files() -> [(&'static str, &'static [u8]); 5] {
    [
        ("models/agent.md", GNN.as_bytes()),
        ("models/sir.py", CODE.as_bytes()),
        ("targets/incidence.py", TARGET.as_bytes()),
        ("data/observed.csv", b"1,2\n"),
        ("weights/a.bin", b"weights"),
    ]
}

/// A project with models of all kinds, one with a history, and a target in a set.
fn project() -> (TempDir, Project) {
    let temp = tempfile::tempdir().unwrap();
    write_files(temp.path(), &files());
    let mut project = Project::open(temp.path(), &Default::default()).unwrap();
    let at = |name: &str| vec![temp.path().join(name)];
    let add = |project: &mut Project, name: &str, options: AddOptions| {
        let report = project.add(&at(name), &options).unwrap();
        assert_eq!(
            (report.failed.len(), report.registered.len()),
            (0, 1),
            "{report:?}"
        );
    };
    let plain = AddOptions::default;
    write_files(
        temp.path(),
        &[("models/agent.md", b"# Nothing yet\n\nat all\n")],
    );
    add(&mut project, "models/agent.md", plain().version("1.0.9"));
    write_files(temp.path(), &[("models/agent.md", GNN.as_bytes())]);
    add(&mut project, "models/agent.md", plain().model_type("other"));
    add(
        &mut project,
        "models/sir.py",
        plain().data(at("data/observed.csv")).tags(["b", "a"]),
    );
    let options = plain()
        .id("group/tiny")
        .description("A \"folder\"")
        .version("2.0");
    add(&mut project, "weights", options);
    let options = plain().data(at("data/observed.csv")).target_set("main");
    add(&mut project, "targets/incidence.py", options);
    (temp, project)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_report_has_the_files_and_fields_that_other_tools_read() {
    let (temp, project) = project();
    let output = temp.path().join("out").join("registry");
    let report = project.report(&output).unwrap();
    assert_eq!(report.path, output.join("model_registry.json"));
    assert_eq!((report.models, report.targets, report.files), (3, 1, 5));
    let names: Vec<String> = files_below(&output).into_keys().collect();
    assert_eq!(
        names,
        [
            "agent/agent_metadata.json",
            "group/tiny/tiny_metadata.json",
            "model_registry.json",
            "model_registry_summary.json",
            "sir/sir_metadata.json",
        ]
    );
    let registry = read(&report.path);
    let agent = &registry["models"]["agent"];
    let entry = project.registry().current("agent").unwrap();
    for (field, expected) in [
        ("model_id", json!("agent")),
        ("model_name", json!("Active Inference Agent")),
        ("file_path", json!("models/agent.md")),
        ("file_size_bytes", json!(GNN.len())),
        ("version", json!("1.0.10")),
        ("current_version", json!("1.0.10")),
        ("metadata", json!(entry.1.metadata)),
        ("type", json!("other")),
    ] {
        assert_eq!(agent[field], expected, "{field}");
    }
    assert!(agent["registered_at"].as_str().unwrap().ends_with('Z'));
    let versions: Vec<&String> = agent["versions"].as_object().unwrap().keys().collect();
    assert_eq!(versions, ["1.0.10", "1.0.9"]);
    let digest = modelrack::Digest::of(GNN.as_bytes()).to_string();
    assert_eq!(agent["versions"]["1.0.10"]["hash"], digest);
    let tiny = &registry["models"]["group/tiny"];
    assert_eq!(
        (&tiny["file_path"], &tiny["file_size_bytes"]),
        (&json!("weights"), &json!(7))
    );
    assert_eq!(tiny["versions"]["2.0"]["hash"], "");

    // The file of a model is its entry, with the name of the generator.
    let mut single = read(&output.join("agent").join("agent_metadata.json"));
    single.as_object_mut().unwrap().remove("generator");
    assert_eq!(&single, agent);
    let summary = read(&output.join("model_registry_summary.json"));
    for field in [
        "processed_files",
        "successful_registrations",
        "total_models",
    ] {
        assert_eq!(summary[field], 3, "{field}");
    }
    assert_eq!(summary["success"], true);
    assert_eq!(summary["registry_path"], report.path.display().to_string());
    assert_eq!(summary["total_bytes"], GNN.len() + CODE.len() + 4 + 7);
}

#[test]
fn what_is_broken_is_in_the_report_and_counted_in_its_summary() {
    let (temp, project) = project();
    let output = temp.path().join("out");
    let place = project.root().join("models").join("agent.md");
    fs::remove_file(&place).unwrap();
    let report = project.report(&output).unwrap();
    assert_eq!((report.models, report.files), (3, 5));
    let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].contains("models/agent.md"), "{failed:?}");
    let registry = read(&report.path);
    assert_eq!(registry["models"]["agent"]["model_id"], "agent");
    let summary = read(&output.join("model_registry_summary.json"));
    assert_eq!(summary["success"], false);
    assert_eq!(summary["errors"], json!(failed));
    for (field, expected) in [
        ("processed_files", 3),
        ("successful_registrations", 2),
        ("failed_registrations", 1),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
    fs::write(&place, GNN).unwrap();
    assert_eq!(project.report(&output).unwrap().failed, []);
    assert_eq!(
        read(&output.join("model_registry_summary.json"))["success"],
        true
    );
}

#[test]
fn the_history_is_written_oldest_first() {
    let (temp, project) = project();
    let report = project.report(&temp.path().join("out")).unwrap();
    let text = fs::read_to_string(report.path).unwrap();
    assert!(text.find("\"1.0.9\": {").unwrap() < text.find("\"1.0.10\": {").unwrap());
}

#[test]
fn importing_a_report_gives_the_same_registry() {
    let (temp, project) = project();
    let output = temp.path().join("out");
    let report = project.report(&output).unwrap();
    let other = tempfile::tempdir().unwrap();
    write_files(other.path(), &files());
    let mut copy = Project::open(other.path(), &Default::default()).unwrap();
    let imported = copy
        .import(&report.path, &ImportOptions::default())
        .unwrap();
    assert_eq!((imported.registered.len(), imported.failed.len()), (4, 0));
    assert_eq!(imported.notes, []);
    let text = |project: &Project| fs::read_to_string(project.registry_path()).unwrap();
    assert_eq!(text(&copy), text(&project));
    // Importing it into its own project changes nothing.
    let mut project = project;
    let imported = project
        .import(&report.path, &ImportOptions::default())
        .unwrap();
    assert_eq!(
        imported.unchanged,
        ["agent", "group/tiny", "incidence", "sir"]
    );
}

#[test]
fn a_report_is_reproducible_and_removes_dropped_models() {
    let (temp, mut project) = project();
    let output = temp.path().join("out");
    project.report(&output).unwrap();
    let before = files_below(&output);
    let again = project.report(&output).unwrap();
    assert_eq!(files_below(&output), before);
    assert_eq!(again.removed, Vec::<std::path::PathBuf>::new());

    // Files of others stay, and so do their folders.
    write_files(&output, &[("sir/notes.txt", b"mine")]);
    project
        .remove(&["group/tiny", "sir"], &Default::default())
        .unwrap();
    let report = project.report(&output).unwrap();
    assert_eq!(report.models, 1);
    assert_eq!(
        report.removed,
        [
            output.join("group").join("tiny").join("tiny_metadata.json"),
            output.join("sir").join("sir_metadata.json"),
        ]
    );
    assert_eq!(
        names_in(&output),
        [
            "agent",
            "model_registry.json",
            "model_registry_summary.json",
            "sir"
        ]
    );
    assert_eq!(names_in(&output.join("sir")), ["notes.txt"]);
}

#[test]
fn files_of_other_programs_are_never_replaced() {
    let (temp, project) = project();
    let theirs =
        json!({"version": "1.0.0", "models": {"theirs": {"version": "1.0.0"}}}).to_string();
    for (name, text) in [
        ("model_registry.json", theirs.as_str()),
        ("model_registry.json", "no JSON"),
        ("model_registry_summary.json", "{}"),
        ("agent/agent_metadata.json", "{\"generator\": \"other\"}"),
    ] {
        let output = tempfile::tempdir_in(&temp).unwrap();
        write_files(output.path(), &[(name, text.as_bytes())]);
        let before = files_below(output.path());
        let error = project.report(output.path()).unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT", "{}", chain(&error));
        let last = name.rsplit('/').next().unwrap();
        assert!(error.to_string().contains(last), "{error}");
        assert_eq!(files_below(output.path()), before, "{name}");
    }
}

#[test]
fn nothing_outside_of_the_folder_is_removed() {
    let (temp, project) = project();
    let output = temp.path().join("out");
    let path = project.report(&output).unwrap().path;
    let mark = "{\"generator\": \"modelrack\"}";
    write_files(temp.path(), &[("x/x_metadata.json", mark.as_bytes())]);
    let mut registry = read(&path);
    for id in ["../x", "/x", "..\\x", "gone"] {
        registry["models"][id] = json!({});
    }
    fs::write(&path, registry.to_string()).unwrap();
    let report = project.report(&output).unwrap();
    assert_eq!(report.removed, Vec::<std::path::PathBuf>::new());
    assert!(temp.path().join("x").join("x_metadata.json").exists());
}

#[test]
fn colliding_file_names_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    write_files(temp.path(), &[("a.bin", b"1"), ("b.bin", b"2")]);
    let mut project = Project::open(temp.path(), &Default::default()).unwrap();
    for (file, id) in [("a.bin", "a"), ("b.bin", "a/a_metadata.json")] {
        let options = AddOptions::default().id(id);
        project.add(&[temp.path().join(file)], &options).unwrap();
    }
    let output = temp.path().join("out");
    let error = project.report(&output).unwrap_err();
    assert!(error.to_string().contains("a_metadata.json"), "{error}");
    assert!(!output.exists());
}

#[test]
fn an_empty_project_has_an_empty_report() {
    let temp = tempfile::tempdir().unwrap();
    let project = Project::open(temp.path(), &Default::default()).unwrap();
    let report = project.report(&temp.path().join("out")).unwrap();
    assert_eq!(read(&report.path)["models"], json!({}));
    assert!(!temp.path().join(".registry").exists());
}
