//! Importing what another program registered: descriptions are kept, digests are compared with the files.

mod hostile;
mod records;

use std::fs;
use std::path::PathBuf;

use modelrack::project::{
    ImportNote, ImportOptions, ImportReport, ItemKind, Project, ResyncOptions, StatusOptions,
};
use modelrack::{Digest, Result};
use tempfile::TempDir;

use crate::support::chain;
use crate::support::disk::{files_below, write_files};

pub(super) const MODEL: &str = "from modelops import BaseModel\n\nclass SIR(BaseModel):\n    \"\"\"Susceptible, infected, recovered.\"\"\"\n    outputs = [\"incidence\", \"prevalence\"]\n";
const TARGET: &str = "@target(model_output=\"incidence\", data={\"x\": \"data/observed.csv\"})\ndef incidence_target(paths):\n    return None\n";
const DATA: &str = "day,cases\n1,4\n";

/// A project's folder, with the registry of another program beside its files.
pub(super) struct Place {
    pub(super) temp: TempDir,
}

impl Place {
    /// With a model, a target and the data of both.
    pub(super) fn new() -> Self {
        let place = Self::empty();
        place.write("models/sir.py", MODEL);
        place.write("targets/incidence.py", TARGET);
        place.write("data/observed.csv", DATA);
        place
    }

    pub(super) fn empty() -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        write_files(self.temp.path(), &[(name, text.as_bytes())]);
        self.temp.path().join(name)
    }

    pub(super) fn project(&self) -> Project {
        Project::open(self.temp.path(), &Default::default()).unwrap()
    }

    /// Imports a registry of this text.
    pub(super) fn import(&self, name: &str, text: &str) -> Result<ImportReport> {
        let file = self.write(name, text);
        self.project().import(&file, &ImportOptions::default())
    }

    #[track_caller]
    pub(super) fn refusal(&self, name: &str, text: &str) -> String {
        let error = self.import(name, text).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{error}");
        assert!(!self.temp.path().join(".registry").exists());
        chain(&error)
    }

    /// The text of the project's registry.
    pub(super) fn registry(&self) -> String {
        fs::read_to_string(self.project().registry_path()).unwrap()
    }
}

pub(super) fn digest(text: &str) -> String {
    format!("sha256:{}", Digest::of(text.as_bytes()))
}

/// The registry of the project as modelops writes it.
pub(super) fn bundle() -> String {
    format!(
        r#"version: '1.0'
models:
  sir:
    entrypoint: models.sir:SIR
    path: models/sir.py
    class_name: SIR
    scenarios: [baseline, lockdown]
    parameters:
    - beta
    - gamma
    outputs: &id001
    - incidence
    - prevalence
    data:
    - data/observed.csv
    data_digests:
      data/observed.csv: {data}
    code: []
    code_digests: {{}}
    model_digest: {model}
targets:
  incidence:
    path: targets/incidence.py
    entrypoint: targets.incidence:incidence_target
    model_output: incidence
    data:
    - data/observed.csv
    target_digest: {target}
target_sets:
  main:
  - incidence
  weighted:
    targets: [incidence]
    weights: {{incidence: 2.0}}
"#,
        data = digest(DATA),
        model = digest(MODEL),
        target = digest(TARGET),
    )
}

pub(super) fn ids(report: &ImportReport) -> Vec<(&str, Option<&str>)> {
    let items = report.registered.iter();
    items
        .map(|item| (item.id.as_str(), item.version.as_deref()))
        .collect()
}

pub(super) fn notes(report: &ImportReport) -> Vec<&str> {
    report.notes.iter().map(|n| n.message.as_str()).collect()
}

pub(super) fn failures(report: &ImportReport) -> Vec<(String, String)> {
    let failed = report.failed.iter();
    failed
        .map(|failed| (failed.path.clone(), chain(&failed.error)))
        .collect()
}

#[test]
fn a_modelops_registry_is_imported_completely() {
    let place = Place::new();
    let report = place.import("registry.yaml", &bundle()).unwrap();
    assert_eq!(ids(&report), [("sir", Some("1.0.0")), ("incidence", None)]);
    assert_eq!((report.processed, report.failed.len()), (2, 0));
    assert_eq!(report.target_sets, ["main", "weighted"]);
    assert_eq!(notes(&report), [""; 0]);

    let project = place.project();
    let registry = project.registry();
    let (entry, version) = registry.current("sir").unwrap();
    assert_eq!(entry.name, "SIR");
    assert_eq!(entry.description, "Susceptible, infected, recovered.");
    assert_eq!(entry.entrypoint.as_deref(), Some("models.sir:SIR"));
    assert_eq!(entry.outputs, ["incidence", "prevalence"]);
    assert_eq!(entry.data[0].as_str(), "data/observed.csv");
    assert!(entry.given.is_empty(), "code may change all of it");
    assert_eq!(
        serde_json::to_string(&version.metadata).unwrap(),
        r#"{"parameters":["beta","gamma"],"scenarios":["baseline","lockdown"]}"#
    );
    assert_eq!(version.files.len(), 2);
    let target = &registry.targets["incidence"];
    assert_eq!(target.entrypoint, "targets.incidence:incidence_target");
    assert_eq!(
        (target.model_output.as_str(), target.data.len()),
        ("incidence", 1)
    );
    assert!(registry.target_sets["main"].contains("incidence"));
    assert!(registry.target_sets["weighted"].contains("incidence"));
    assert_eq!(registry.target_weights["weighted"]["incidence"], 2.0);
}

#[test]
fn a_registry_in_utf_16_is_imported() {
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let place = Place::new();
        let text = format!("\u{feff}{}", bundle());
        let wide: Vec<u8> = text.encode_utf16().flat_map(order).collect();
        let file = place.temp.path().join("registry.yaml");
        fs::write(&file, wide).unwrap();
        let report = place
            .project()
            .import(&file, &ImportOptions::default())
            .unwrap();
        assert_eq!(ids(&report).len(), 2);
    }
}

#[test]
fn an_entry_whose_data_is_elsewhere_is_kept_with_the_digest_that_is_known() {
    let place = Place::new();
    let path = place.project().root().join("data/observed.csv");
    let data = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let report = place.import("registry.yaml", &bundle()).unwrap();
    assert_eq!(failures(&report), []);
    assert_eq!(ids(&report).len(), 2);
    assert!(notes(&report)[0].starts_with("'data/observed.csv' is not there"));
    let status = |project: &Project| {
        let status = project.status(&StatusOptions::default()).unwrap();
        let findings = status.findings.iter().map(ToString::to_string);
        findings.collect::<Vec<_>>()
    };
    let missing = [
        "model sir: Data file not found: data/observed.csv",
        "target incidence: Data file not found: data/observed.csv",
    ];
    assert_eq!(status(&place.project())[..2], missing);
    let (_, version) = place
        .project()
        .registry()
        .current("sir")
        .map(|(e, v)| (e.clone(), v.clone()))
        .unwrap();
    let facts = version
        .files
        .iter()
        .find(|(path, _)| path.as_str() == "data/observed.csv")
        .unwrap()
        .1;
    assert_eq!(format!("sha256:{}", facts.digest), digest(DATA));
    fs::write(&path, b"other").unwrap();
    assert!(status(&place.project())[0].contains("changed since it was registered"));
    fs::write(&path, &data).unwrap();
    assert_eq!(
        status(&place.project()),
        ["model sir: No target uses output 'prevalence'"]
    );
    // It is the same version as before, of which more is known.
    let before = |project: &Project| {
        let (entry, version) = project.registry().current("sir").unwrap();
        let target = &project.registry().targets["incidence"];
        (
            entry.versions.len(),
            version.registered_at,
            target.registered_at,
        )
    };
    let known = before(&place.project());
    let report = place.project().resync(&ResyncOptions::default()).unwrap();
    assert!(report.difference.is_empty() && !report.applied);
    assert_eq!(before(&place.project()), known);
    let bytes = |project: &Project| {
        let (_, version) = project.registry().current("sir").unwrap();
        version.total_bytes()
    };
    assert_eq!(bytes(&place.project()), (MODEL.len() + DATA.len()) as u64);
    // It goes elsewhere once more, and the other registry still knows only its digest.
    fs::remove_file(&path).unwrap();
    let report = place.import("registry.yaml", &bundle()).unwrap();
    assert_eq!(report.unchanged, ["incidence", "sir"]);
    assert_eq!(bytes(&place.project()), (MODEL.len() + DATA.len()) as u64);
}

#[test]
fn importing_twice_changes_nothing() {
    let place = Place::new();
    place.import("registry.yaml", &bundle()).unwrap();
    let before = files_below(&place.temp.path().join(".registry"));
    let report = place.import("registry.yaml", &bundle()).unwrap();
    assert_eq!(ids(&report), []);
    assert_eq!(report.unchanged, ["incidence", "sir"]);
    assert!(report.target_sets.is_empty());
    assert_eq!(files_below(&place.temp.path().join(".registry")), before);
}

#[test]
fn a_dry_run_reports_the_same_and_writes_nothing() {
    let place = Place::new();
    let file = place.write("registry.yaml", &bundle());
    let plan = place
        .project()
        .plan_import(&file, &ImportOptions::default());
    let plan = plan.unwrap();
    let dry = &plan.report;
    assert!(dry.dry_run && !place.temp.path().join(".registry").exists());
    let wet = place.import("registry.yaml", &bundle()).unwrap();
    assert_eq!(dry.registered, wet.registered);
    assert_eq!(dry.notes, wet.notes);
    assert_eq!(dry.target_sets, wet.target_sets);
}

#[test]
fn stale_digests_are_noted_and_the_actual_files_registered() {
    let place = Place::new();
    let data = "day,cases\n1,5\n";
    place.write("data/observed.csv", data);
    let text = bundle()
        .replace("models.sir:SIR", "models.sir:Renamed")
        .replace(&digest(TARGET), "sha256:old_digest");
    let report = place.import("registry.yaml", &text).unwrap();
    let about = |id: &str| -> Vec<&ImportNote> {
        let is_about = |note: &&ImportNote| note.entity.as_ref().is_some_and(|item| item.id == id);
        report.notes.iter().filter(is_about).collect()
    };
    assert_eq!(about("sir").len(), 1, "{:?}", report.notes);
    assert!(about("sir")[0].message.contains("stale"));
    assert!(about("sir")[0].message.contains("'data/observed.csv'"));
    assert_eq!(about("incidence").len(), 1);
    assert!(about("incidence")[0].message.contains("not a SHA-256"));
    assert_eq!(
        about("incidence")[0].entity.as_ref().unwrap().kind,
        ItemKind::Target
    );

    let mut project = place.project();
    let (entry, version) = project.registry().current("sir").unwrap();
    let observed = version
        .files
        .iter()
        .find(|(path, _)| path.as_str() == "data/observed.csv");
    assert_eq!(observed.unwrap().1.digest, Digest::of(data.as_bytes()));
    // That the code differs is reported by `status` and corrected by `resync`.
    assert_eq!(entry.entrypoint.as_deref(), Some("models.sir:Renamed"));
    let status = project.status(&Default::default()).unwrap();
    assert!(
        status
            .findings
            .iter()
            .any(|finding| finding.message.contains("Renamed"))
    );
    project.resync(&Default::default()).unwrap();
    let (entry, _) = project.registry().current("sir").unwrap();
    assert_eq!(entry.entrypoint.as_deref(), Some("models.sir:SIR"));
}

#[test]
fn a_target_digest_that_matches_no_file_is_noted() {
    let place = Place::new();
    let text = bundle().replace(&digest(TARGET), &digest("another text"));
    let report = place.import("registry.yaml", &text).unwrap();
    assert_eq!(report.registered.len(), 2);
    assert!(
        notes(&report)
            .iter()
            .any(|note| note.contains("none of its files"))
    );
}

#[test]
fn older_modelops_registries_are_read() {
    let place = Place::new();
    let text = format!(
        "models:\n  sir:\n    path: ./models\\sir.py\n    class_name: SIR\n    data:\n    - {{path: data/observed.csv, digest: '{}'}}\n    description: Written down\n    tags: [a, b]\n    type: other\ntargets:\n  t:\n    path: targets/incidence.py\n    model_output: incidence\n    observation: data/observed.csv\n    target_digest: null\n",
        digest("older data")
    );
    let report = place.import("registry.yml", &text).unwrap();
    assert_eq!(report.registered.len(), 2, "{report:?}");
    assert_eq!(
        notes(&report),
        ["the imported registry was stale: 'data/observed.csv' has changed"]
    );
    let project = place.project();
    let entry = &project.registry().entries["sir"];
    assert_eq!(entry.path, "models/sir.py");
    assert_eq!(entry.entrypoint.as_deref(), Some("models.sir:SIR"));
    assert_eq!(entry.description, "Written down");
    assert_eq!(entry.model_type.as_deref(), Some("other"));
    assert_eq!(entry.tags.iter().collect::<Vec<_>>(), ["a", "b"]);
    let target = &project.registry().targets["t"];
    assert_eq!(target.entrypoint, "targets.incidence:incidence_target");
    assert_eq!(target.data[0].as_str(), "data/observed.csv");
}

#[test]
fn missing_files_are_reported_and_the_rest_is_imported() {
    let place = Place::new();
    fs::remove_file(place.temp.path().join("models").join("sir.py")).unwrap();
    let report = place.import("registry.yaml", &bundle()).unwrap();
    assert_eq!(ids(&report), [("incidence", None)]);
    let failures = failures(&report);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, "models/sir.py");
    assert!(failures[0].1.starts_with("model 'sir': "), "{failures:?}");
    assert!(!place.registry().contains("[entries"));

    // So is missing data of which no digest is known, and sets only get targets that are registered.
    let place = Place::new();
    fs::remove_file(place.temp.path().join("data").join("observed.csv")).unwrap();
    let unknown = bundle().replace("data_digests", "other_digests");
    let report = place.import("registry.yaml", &unknown).unwrap();
    assert_eq!((report.registered.len(), report.failed.len()), (0, 2));
    assert!(report.target_sets.is_empty());
    assert!(
        notes(&report)
            .contains(&"the target set 'main' lacks targets that are not registered: incidence")
    );
}

#[test]
fn fields_set_by_hand_win_and_other_changes_are_noted() {
    let place = Place::new();
    let mut project = place.project();
    let options = modelrack::project::AddOptions::default()
        .description("By hand")
        .version("3.0.0")
        .tags(["mine"]);
    let paths = [place.temp.path().join("models").join("sir.py")];
    project.add(&paths, &options).unwrap();
    let text = bundle().replace(
        "    class_name: SIR\n",
        "    class_name: SIR\n    description: Imported\n    name: Called so\n    tags: [theirs]\n",
    );
    let report = place.import("registry.yaml", &text).unwrap();
    // The data changes its files, which makes a new version.
    assert_eq!(report.registered[0].version.as_deref(), Some("3.0.1"));
    assert_eq!(report.registered[0].previous.as_deref(), Some("3.0.0"));
    assert!(
        notes(&report).contains(&"name: SIR -> Called so"),
        "{:?}",
        report.notes
    );
    let project = place.project();
    let entry = &project.registry().entries["sir"];
    assert_eq!(
        (entry.description.as_str(), entry.name.as_str()),
        ("By hand", "Called so")
    );
    assert_eq!(entry.tags.iter().collect::<Vec<_>>(), ["mine", "theirs"]);
    assert_eq!(entry.versions.len(), 2);
}

#[test]
fn an_import_keeps_what_another_program_added_meanwhile() {
    let place = Place::new();
    place.write("other.py", "class Other(BaseModel):\n    outputs = []\n");
    let mut early = place.project();
    let file = place.write("registry.yaml", &bundle());
    place
        .project()
        .add(&[place.temp.path().join("other.py")], &Default::default())
        .unwrap();
    early.import(&file, &ImportOptions::default()).unwrap();
    let ids: Vec<String> = place.project().registry().entries.keys().cloned().collect();
    assert_eq!(ids, ["other", "sir"]);
}
