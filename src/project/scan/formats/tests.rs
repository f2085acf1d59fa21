//! Tests for all formats together, and the folder in which the tests of each put their files.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::relpath::RelPath;

/// A folder of files that may be models.
pub(super) struct ModelFolder(TempDir);

impl ModelFolder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and opens it.
    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> ModelFile {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        ModelFile::open(&path, RelPath::parse(name).unwrap()).unwrap()
    }

    /// What a format says about such a file.
    pub(super) fn read(
        &self,
        format: &dyn ModelFormat,
        name: &str,
        bytes: &[u8],
    ) -> Result<Option<Description>> {
        format.read(&self.file(name, bytes))
    }

    /// What a format says about a file that it knows.
    pub(super) fn model(&self, format: &dyn ModelFormat, name: &str, bytes: &[u8]) -> Description {
        self.read(format, name, bytes).unwrap().unwrap()
    }

    /// Why a format refuses a file: its error and the causes.
    pub(super) fn refusal(&self, format: &dyn ModelFormat, name: &str, bytes: &[u8]) -> String {
        let error = self.read(format, name, bytes).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{error:?}");
        assert!(
            error.to_string().ends_with(&format!(" ({name})")),
            "{error}"
        );
        crate::error::chain(&error)
    }

    /// Reads a file with each byte changed, and cut off at each byte: a format may refuse it, but must not panic.
    pub(super) fn damage(&self, format: &dyn ModelFormat, name: &str, bytes: &[u8]) {
        let name = self.file(name, bytes).name().clone();
        let path = self.path().join(name.as_str());
        let read = || {
            let file = ModelFile::open(&path, name.clone()).unwrap();
            let _ = format.read(&file);
        };
        let mut damaged = OpenOptions::new().write(true).open(&path).unwrap();
        for (at, whole) in bytes.iter().enumerate() {
            for other in [0xff, b'"', whole ^ 1, *whole] {
                damaged.seek(SeekFrom::Start(at as u64)).unwrap();
                damaged.write_all(&[other]).unwrap();
                read();
            }
        }
        for end in (0..bytes.len()).rev() {
            damaged.set_len(end as u64).unwrap();
            read();
        }
    }
}

#[test]
fn formats_have_distinct_names_and_ignore_other_files() {
    let folder = ModelFolder::new();
    let formats = builtin();
    let mut names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["gguf", "gnn", "hub", "modflow", "safetensors"]);
    let others: [(&str, &[u8]); 8] = [
        ("README.md", b"# A project\n\n## Connections\n\nNone.\n"),
        ("empty.md", b""),
        ("latin.md", b"caf\xe9"),
        ("config.json", b"{\"debug\": true}"),
        ("broken/config.json", b"{"),
        ("hosts.nam", b"not of MODFLOW\n"),
        ("data.bin", &[0; 100]),
        ("train.py", b"import json\n"),
    ];
    for (name, bytes) in others {
        let found = read(&formats, &folder.file(name, bytes)).unwrap();
        assert_eq!(found, None, "{name}");
    }
}

#[test]
fn the_first_format_that_recognizes_a_file_reads_it() {
    let folder = ModelFolder::new();
    let name_file = folder.file("m/mfsim.nam", b"begin models\ngwf6 a.nam a\nend models\n");
    let (format, description) = read(&builtin(), &name_file).unwrap().unwrap();
    assert_eq!((format, description.extent), ("modflow", Extent::Folder));
    let damaged = folder.file("a.gguf", b"GGUF");
    assert!(read(&builtin(), &damaged).is_err());
}
