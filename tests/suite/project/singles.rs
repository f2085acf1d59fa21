//! A project in a folder of its own, for tests of its registry.

use std::fs;
use std::path::{Path, PathBuf};

use modelrack::Error;
use modelrack::project::{AddOptions, Project};
use tempfile::TempDir;

use crate::support::disk::{names_in, write_files};

/// A project's folder with models that are single files.
pub(super) struct Folder {
    pub(super) temp: TempDir,
}

impl Folder {
    pub(super) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self { temp }
    }

    /// With `a` and `b` registered, `b` last: the backup has only `a`.
    pub(super) fn registered() -> Self {
        let folder = Self::new();
        for model in ["a", "b"] {
            folder.write(model, "1");
            folder.add(model);
        }
        folder
    }

    pub(super) fn write(&self, model: &str, text: &str) -> PathBuf {
        let name = format!("{model}.bin");
        write_files(self.temp.path(), &[(&name, text.as_bytes())]);
        self.temp.path().join(name)
    }

    pub(super) fn open(&self) -> Project {
        Project::open(self.temp.path(), &Default::default()).unwrap()
    }

    pub(super) fn add(&self, model: &str) -> Project {
        let mut project = self.open();
        self.add_to(&mut project, model).unwrap();
        project
    }

    pub(super) fn add_to(&self, project: &mut Project, model: &str) -> Result<(), Error> {
        let path = self.temp.path().join(format!("{model}.bin"));
        let report = project.add(&[path], &AddOptions::default())?;
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        Ok(())
    }

    /// Registers a model several times, each time as a new version.
    pub(super) fn add_versions(&self, model: &str, count: usize) {
        for number in 0..count {
            self.write(model, &format!("version {number}"));
            self.add(model);
        }
    }

    pub(super) fn own(&self, name: &str) -> PathBuf {
        self.temp.path().join(".registry").join(name)
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(self.own("models.toml")).unwrap()
    }

    pub(super) fn damage(&self, bytes: &[u8]) {
        fs::write(self.own("models.toml"), bytes).unwrap();
    }
}

/// The ids of the models.
pub(super) fn ids(project: &Project) -> Vec<&str> {
    project
        .registry()
        .entries
        .keys()
        .map(String::as_str)
        .collect()
}

/// The unexpected files in the folder of a registry.
pub(super) fn names(path: &Path) -> Vec<String> {
    let mut names = names_in(path);
    names.retain(|name| name != ".gitignore");
    names
}
