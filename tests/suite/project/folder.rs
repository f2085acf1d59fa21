//! A project in a temporary folder, and files to register in it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use modelrack::project::{
    AddOptions, AddReport, FailedPath, Project, ResyncOptions, ResyncReport, StatusOptions,
    StatusReport,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::disk::{files_below, write_files};

/// The example of the tree: 13 variables, 11 connections.
pub(super) const AGENT: &str =
    include_str!("../../../examples/project/models/actinf_pomdp_agent.md");

/// A model as code, with two outputs.
pub(super) const SIR: &str = r#"from modelops import BaseModel, model_output

class SIR(BaseModel):
    """Susceptible, infected, recovered."""

    @model_output("incidence")
    def incidence(self):
        pass

    @model_output("prevalence")
    def prevalence(self):
        pass
"#;

/// A target for the first of them.
pub(super) const TARGET: &str = r#"from modelops import Target, calibration_target

@calibration_target(model_output="incidence", data={"observed": "data/observed.csv"})
def incidence_target(data_paths):
    return Target(model_output="incidence")
"#;

/// The folder of a project, removed after the test.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With files, written an hour ago.
    pub(super) fn with<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        let folder = Self::new();
        folder.write_old(files);
        folder
    }

    /// With a GNN model, small weights, and a model as code with its target and data; all registered.
    pub(super) fn registered() -> Self {
        let folder = Self::with(&[
            ("models/agent.md", AGENT.as_bytes()),
            ("models/tiny.safetensors", &weights(&[4, 2])),
            ("models/sir.py", SIR.as_bytes()),
            ("targets/incidence.py", TARGET.as_bytes()),
            ("data/observed.csv", b"day,cases\n1,3\n"),
        ]);
        let report = folder.add(&["models", "targets"]);
        assert_eq!((report.registered.len(), report.failed.len()), (4, 0));
        folder
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        name.split('/')
            .fold(self.root().to_owned(), |path, part| path.join(part))
    }

    pub(super) fn write<B: AsRef<[u8]>>(&self, files: &[(&str, B)]) {
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_ref()))
            .collect();
        write_files(self.root(), &files);
    }

    /// Writes files and says that they were written an hour ago.
    pub(super) fn write_old<B: AsRef<[u8]>>(&self, files: &[(&str, B)]) {
        self.write(files);
        for (name, _) in files {
            let file = OpenOptions::new().write(true).open(self.path(name));
            let hour_ago = SystemTime::now() - Duration::from_secs(3600);
            file.unwrap().set_modified(hour_ago).unwrap();
        }
    }

    /// Replaces a text in a file; it must be there.
    pub(super) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no '{from}'");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn delete(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(super) fn project(&self) -> Project {
        Project::open(self.root(), &Default::default()).unwrap()
    }

    pub(super) fn add(&self, paths: &[&str]) -> AddReport {
        self.add_with(paths, &AddOptions::default())
    }

    pub(super) fn add_with(&self, paths: &[&str], options: &AddOptions) -> AddReport {
        self.try_add(paths, options).unwrap()
    }

    pub(super) fn try_add(
        &self,
        paths: &[&str],
        options: &AddOptions,
    ) -> modelrack::Result<AddReport> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.path(path)).collect();
        self.project().add(&paths, options)
    }

    pub(super) fn sync(&self, options: &ResyncOptions) -> ResyncReport {
        self.project().resync(options).unwrap()
    }

    pub(super) fn plan_sync(&self, options: &ResyncOptions) -> ResyncReport {
        let mut project = self.project();
        let plan = project.plan_resync(options).unwrap();
        let before = project.registry().clone();
        let report = project.preview_resync(options).unwrap();
        assert_eq!(format!("{report:?}"), format!("{:?}", plan.report));
        assert_eq!(*project.registry(), before);
        report
    }

    pub(super) fn status(&self) -> StatusReport {
        self.project().status(&StatusOptions::default()).unwrap()
    }

    /// The findings, one a line: severity, category, entity, message.
    pub(super) fn findings(&self) -> Vec<String> {
        let findings = self.status().findings.into_iter();
        let lines = findings.map(|finding| {
            let entity = finding.entity.as_ref();
            let entity = entity.map_or("-", |item| &item.id);
            let (severity, category) = (finding.severity.as_str(), finding.category.as_str());
            format!("{severity} {category} {entity}: {}", finding.message)
        });
        lines.collect()
    }

    /// The registry's text, with each time as `TIME`.
    pub(super) fn text(&self) -> String {
        let text = fs::read_to_string(self.root().join(".registry").join("models.toml")).unwrap();
        let lines = text.lines().map(|line| {
            let is_time = line.starts_with("registered_at = ");
            if is_time {
                "registered_at = TIME"
            } else {
                line
            }
        });
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Every file with its bytes and the time of its last change.
    pub(super) fn snapshot(&self) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        let files = files_below(self.root()).into_iter();
        let timed = files.map(|(name, bytes)| {
            let time = fs::metadata(self.path(&name)).unwrap().modified().unwrap();
            (name, (bytes, time))
        });
        timed.collect()
    }
}

/// The ids that were registered, in the order of the report.
pub(super) fn ids(report: &AddReport) -> Vec<&str> {
    let items = report.registered.iter();
    items.map(|item| item.id.as_str()).collect()
}

/// The files of a model's current version.
pub(super) fn files_of(project: &Project, id: &str) -> Vec<String> {
    let (_, version) = project.registry().current(id).unwrap();
    version.files.keys().map(ToString::to_string).collect()
}

/// What failed: where, and why.
pub(super) fn failures(failed: &[FailedPath]) -> Vec<(&str, String)> {
    let failed = failed.iter();
    failed
        .map(|failed| (failed.path.as_str(), crate::support::chain(&failed.error)))
        .collect()
}

/// A safetensors file with one tensor of 32-bit numbers.
pub(super) fn weights(shape: &[u64]) -> Vec<u8> {
    weights_saying(shape, json!({}))
}

/// The same, with metadata in its header.
pub(super) fn weights_saying(shape: &[u64], metadata: Value) -> Vec<u8> {
    let data = shape.iter().product::<u64>() * 4;
    let header = json!({
        "__metadata__": metadata,
        "w": {"dtype": "F32", "shape": shape, "data_offsets": [0, data]},
    });
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; data as usize]].concat()
}

/// A GGUF file with some keys and a tensor of 32 numbers.
pub(super) fn gguf(keys: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend((keys.len() as u64).to_le_bytes());
    for (key, value) in keys {
        bytes.extend(text(key));
        bytes.extend(8_u32.to_le_bytes());
        bytes.extend(text(value));
    }
    bytes.extend(text("w"));
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(32_u64.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32) + 128, 0);
    bytes
}

/// A named GNN model with two connected variables.
pub(super) fn gnn(name: &str, more: &str) -> String {
    format!("## ModelName\n{name}\n\n## StateSpaceBlock\ns[2]\no[2]\n\n## Connections\ns-o\n{more}")
}
