//! Importing registries that other programs wrote, from `tests/suite/data/modelops`.

use modelrack::project::{ImportOptions, Project, Severity, StatusOptions};
use tempfile::TempDir;

use crate::support::disk::{files_below, write_files};
use crate::support::root;

/// A project with the files that both registries list.
fn project() -> (TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let data = root()
        .join("tests")
        .join("suite")
        .join("data")
        .join("modelops");
    let files = files_below(&data);
    let named: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (&**name, &**bytes))
        .collect();
    write_files(folder.path(), &named);
    let project = Project::open(folder.path(), &Default::default()).unwrap();
    (folder, project)
}

#[test]
fn the_registry_of_a_modelops_bundle_is_imported() {
    let (folder, mut project) = project();
    let file = folder.path().join("registry.yaml");
    let report = project.import(&file, &ImportOptions::default()).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let registry = project.registry();
    let (sir, version) = registry.current("sir").unwrap();
    assert_eq!(sir.entrypoint.as_deref(), Some("models.sir:SIR"));
    assert_eq!(sir.outputs, ["incidence", "prevalence"]);
    let files: Vec<String> = version.files.keys().map(ToString::to_string).collect();
    assert_eq!(files, ["data/observed.csv", "models/sir.py"]);
    assert_eq!(registry.targets.keys().collect::<Vec<_>>(), ["incidence"]);
    // Its digests match the files.
    let status = project.status(&StatusOptions::default().deep(true));
    let findings = status.unwrap().findings;
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{findings:?}");
}

#[test]
fn the_registry_of_a_pipeline_is_imported_with_versions_and_metadata() {
    let (folder, mut project) = project();
    let file = folder.path().join("model_registry.json");
    let report = project.import(&file, &ImportOptions::default()).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let (agent, version) = project.registry().current("agent").unwrap();
    assert_eq!((&*agent.name, &*agent.current), ("Agent", "1.2.0"));
    assert_eq!(version.metadata["formats_generated"], 23);
}
