//! A registry as its project reads it: the models with their history, the targets, and sets of targets.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::document::{self, Document, FileEntry};
use super::metadata::{json_table, metadata_bytes, toml_bytes};
use super::pieces::entry_bytes;
use super::version;
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::Result;
use crate::model::{ModelName, ModelRef};
use crate::relpath::RelPath;
use crate::sorted::SortedMap;
use crate::time::parse_rfc3339;

/// The most that is kept of a project's registry, in bytes: as much as 50,000 models need.
pub(super) const MAX_KEPT_BYTES: usize = 180 << 20;

/// What is registered in a project, as [`Project::registry`](crate::project::Project::registry) returns it.
///
/// ```
/// use modelrack::project::{AddOptions, Files, ItemKind, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let model = AddOptions::default().model_type("epidemiology").code([folder.path().join("calibration.py")]);
/// project.add(&[folder.path().join("models/sir.py")], &model)?;
/// let targets = AddOptions::default().target_set("calibration");
/// project.add(&[folder.path().join("targets")], &targets)?;
///
/// let registry = project.registry();
/// assert_eq!(registry.kind_of("sir")?, ItemKind::Model);
/// for (id, model) in &registry.entries {
///     println!("{id}: {}, {} ({:?})", model.name, model.description, model.tags);
///     println!("  {} as {:?} runs {:?}", model.path, model.format, model.entrypoint);
///     println!("  computes {:?}, needs {:?} and {:?}", model.outputs, model.data, model.code);
///     for (name, version) in model.history() {
///         println!("  {name}: {} bytes, {:?}, {:?}", version.total_bytes(), version.registered_at, version.metadata);
///     }
///     assert_eq!(model.current(), model.versions.get(&model.current));
/// }
///
/// let (entry, version) = registry.current("sir").expect("it is registered");
/// assert_eq!(entry.model_type.as_deref(), Some("epidemiology"));
/// assert!(entry.given.contains("type"), "it was given by hand");
/// let files: &Files = &version.files;
/// for (path, facts) in files {
///     println!("  {path}: {} bytes, {}", facts.size_bytes, facts.digest);
/// }
/// println!("  all of them: {}", version.digest);
///
/// for (id, target) in &registry.targets {
///     println!("{id}: {} in {} compares {}", target.entrypoint, target.path, target.model_output);
///     println!("  with {:?}: {} files, {}, {:?}", target.data, target.files.len(), target.digest, target.registered_at);
/// }
/// assert!(registry.target_sets["calibration"].contains("prevalence_mean"));
/// assert!(registry.target_weights.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProjectRegistry {
    /// The models by id, which is a name that can be pulled.
    pub entries: BTreeMap<String, ModelEntry>,
    /// The targets by id.
    pub targets: BTreeMap<String, TargetEntry>,
    /// The ids of the targets in each set, by the name of the set.
    pub target_sets: BTreeMap<String, BTreeSet<String>>,
    /// How much the targets of a set count, by the name of the set and their ids, where another program says so; may be empty.
    pub target_weights: BTreeMap<String, BTreeMap<String, f64>>,
    /// What `make` found, models without a history; its `root` is that of the whole registry.
    pub(crate) made: Document<'static>,
    /// What other programs keep in the file.
    pub(crate) others: Table,
}

/// A registered model; [`ProjectRegistry`] has an example.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct ModelEntry {
    /// The name that people read. Default: the id.
    #[serde(default)]
    pub name: String,
    /// What it is; may be empty.
    #[serde(default)]
    pub description: String,
    /// The current version: that of the files as they were last registered. It is the highest, unless they are again as an
    /// earlier one has them.
    #[serde(rename(serialize = "version"))]
    pub current: String,
    /// Its type, such as `classification`.
    #[serde(rename = "type")]
    pub model_type: Option<String>,
    /// Where it is in its life, in a word of the publisher, such as `draft`, `stable`, `deprecated` or `archived`; `None` if
    /// nobody said so.
    pub status: Option<String>,
    /// Keywords to find it by; may be empty.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// The file or folder, relative to the project's folder and with `/` between the components; `.` for the project's
    /// folder itself.
    pub path: String,
    /// The name of the [format](crate::project::formats) that reads it; `None` if none does.
    pub format: Option<String>,
    /// What is run, such as `package.module:Class`; `None` if it is no code.
    pub entrypoint: Option<String>,
    /// The names of what it computes; may be empty.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Data files that it needs, which are pulled with it.
    #[serde(default)]
    pub data: Vec<RelPath>,
    /// Code files that it needs, which are pulled with it.
    #[serde(default)]
    pub code: Vec<RelPath>,
    /// The keys of the fields above that were set by hand. They outlast changes of the files.
    #[serde(default, skip_serializing)]
    pub given: BTreeSet<String>,
    /// Its versions by name; [`ModelEntry::history`] returns them in order.
    #[serde(default, skip_serializing)]
    pub versions: SortedMap<String, RegisteredVersion>,
    #[serde(flatten, skip_serializing)]
    pub(crate) others: Table,
}

/// One version of a registered model; [`ProjectRegistry`] has an example.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct RegisteredVersion {
    /// When it was registered; 1970-01-01 if the registry does not state it.
    #[serde(default = "long_ago", deserialize_with = "time")]
    pub registered_at: SystemTime,
    /// The digest of the paths, sizes and digests of its files.
    #[serde(default = "of_no_files", deserialize_with = "digest_or_none")]
    pub digest: Digest,
    /// Its files, including data and code.
    #[serde(default)]
    pub files: Files,
    /// What the files state about it; may be empty.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
}

/// A registered target: a function that compares an output of a model with data. [`ProjectRegistry`] has an example.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct TargetEntry {
    /// The file that defines it.
    pub path: RelPath,
    /// The function, such as `package.module:function`.
    pub entrypoint: String,
    /// The output that it compares with data.
    pub model_output: String,
    /// Data files that it needs.
    #[serde(default)]
    pub data: Vec<RelPath>,
    /// When it was registered; 1970-01-01 if the registry does not state it.
    #[serde(
        default = "long_ago",
        deserialize_with = "time",
        serialize_with = "crate::time::serialize"
    )]
    pub registered_at: SystemTime,
    /// The digest of the paths, sizes and digests of its files.
    #[serde(default = "of_no_files", deserialize_with = "digest_or_none")]
    pub digest: Digest,
    /// Its own file, and its data files.
    #[serde(default, skip_serializing)]
    pub files: Files,
    #[serde(flatten, skip_serializing)]
    pub(crate) others: Table,
}

/// Files by their paths in the project's folder; [`ProjectRegistry`] has an example.
pub type Files = SortedMap<RelPath, FileFacts>;

/// What is registered of a file; [`ProjectRegistry`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[non_exhaustive]
pub struct FileFacts {
    /// The digest of its content.
    #[serde(rename = "hash", deserialize_with = "digest")]
    pub digest: Digest,
    /// Its size, in bytes; 0 also if only the digest is known, as another program registered it and it is elsewhere for now.
    #[serde(rename = "size")]
    pub size_bytes: u64,
}

impl FileFacts {
    /// Returns the size, if it is known.
    pub(crate) fn known_bytes(&self) -> Option<u64> {
        let is_known = self.size_bytes > 0 || self.digest == Digest::of(b"");
        is_known.then_some(self.size_bytes)
    }

    /// Returns whether these are the facts of a file, of which all are known.
    pub(crate) fn match_file(&self, file: &Self) -> bool {
        let has_size = self
            .known_bytes()
            .is_none_or(|bytes| bytes == file.size_bytes);
        has_size && self.digest == file.digest
    }
}

impl ProjectRegistry {
    /// Takes over what the tables for all readers say: about registered models into their entries.
    pub(super) fn join(&mut self, document: Document<'_>) -> Result<(), String> {
        let Document {
            mut files,
            mut models,
            ..
        } = document;
        let mut listed = BTreeSet::new();
        for (id, entry) in &mut self.entries {
            let of_entry = models.remove(id.as_str()).unwrap_or_default();
            let joined = entry.join(id, &of_entry, &files);
            joined.map_err(|fault| format!("[entries.{id}] {fault}"))?;
            listed.extend(of_entry);
        }
        let of_made: BTreeSet<&Cow<'_, str>> = models.values().flatten().collect();
        files.retain(|name, _| !listed.contains(name) || of_made.contains(name));
        self.made = Document {
            files,
            models,
            ..document
        }
        .into_owned();
        for target in self.targets.values_mut() {
            settle_digest(&mut target.digest, &target.files);
        }
        Ok(())
    }

    /// About how many bytes of memory the models and targets take.
    pub(super) fn kept_bytes(&self) -> usize {
        let entries = self.entries.iter();
        let entries = entries.map(|(id, entry)| id.len() + entry.kept_bytes());
        let targets = self.targets.iter();
        let targets = targets.map(|(id, target)| id.len() + target.kept_bytes());
        entries.chain(targets).sum()
    }

    /// Returns a model and its current version, if it is registered; [`ProjectRegistry`] has an example.
    #[must_use]
    pub fn current(&self, id: &str) -> Option<(&ModelEntry, &RegisteredVersion)> {
        let entry = self.entries.get(id)?;
        Some((entry, entry.current()?))
    }

    /// Returns the folder of the project in the repository that will serve it; empty for its top.
    pub(crate) fn root(&self) -> &str {
        self.made.root.as_deref().unwrap_or_default()
    }

    /// Returns whether models or targets are registered.
    pub(crate) fn has_entries(&self) -> bool {
        !(self.entries.is_empty() && self.targets.is_empty())
    }

    /// Returns the tables for all readers: the current versions, of two that differ on a file the later one, and what
    /// `make` found.
    pub(super) fn document(&self) -> Cow<'_, Document<'_>> {
        if self.entries.is_empty() {
            return Cow::Borrowed(&self.made);
        }
        let mut document = self.made.borrowed();
        let entries = self.entries.iter();
        let mut current: Vec<_> = entries
            .filter_map(|(id, entry)| Some((id, entry.current()?)))
            .collect();
        current.sort_by_key(|(_, version)| version.registered_at);
        let files = current.iter().flat_map(|(_, version)| &version.files);
        let files = files.map(|(path, facts)| {
            // What `make` found says more.
            let mut entry = document
                .files
                .get(path.as_str())
                .cloned()
                .unwrap_or_default();
            (entry.digest, entry.size_bytes) = (Some(facts.digest), facts.known_bytes());
            (Cow::from(path.as_str()), entry)
        });
        let files: Vec<_> = files.collect();
        document.files.extend(files);
        for (id, version) in current {
            let names = version.files.keys().map(|path| path.as_str().into());
            document.models.insert(id.into(), names.collect());
        }
        Cow::Owned(document)
    }
}

impl FileEntry {
    /// Returns what a project registers of a file; `None` without its digest.
    pub(super) fn facts(&self) -> Option<FileFacts> {
        Some(FileFacts {
            digest: self.digest?,
            size_bytes: self.size_bytes.unwrap_or_default(),
        })
    }
}

impl ModelEntry {
    /// Checks the entry, and adds to its current version the files that `[files]` states.
    fn join(
        &mut self,
        id: &str,
        listed: &[Cow<'_, str>],
        stated: &SortedMap<Cow<'_, str>, FileEntry>,
    ) -> Result<(), String> {
        ModelName::parse(id).map_err(|error| error.to_string())?;
        if self.path != "." {
            RelPath::parse(&self.path).map_err(|error| error.to_string())?;
        }
        if self.name.is_empty() {
            id.clone_into(&mut self.name);
        }
        for version in self.versions.keys() {
            ModelRef::new("", "m", version).map_err(|error| error.to_string())?;
        }
        let current = self.versions.get_mut(&self.current);
        let current = current.ok_or_else(|| format!("it has no version '{}'", self.current))?;
        let mut others = Vec::new();
        for name in listed {
            let path = RelPath::parse(name).map_err(|error| error.to_string())?;
            if current.files.contains_key(&path) {
                continue;
            }
            let facts = stated.get(name).and_then(FileEntry::facts);
            let missing = || format!("[files] lacks the hash of '{name}'");
            others.push((path, facts.ok_or_else(missing)?));
        }
        current.files.extend(others);
        for version in self.versions.values_mut() {
            settle_digest(&mut version.digest, &version.files);
        }
        Ok(())
    }

    /// About how many bytes of memory it takes.
    pub(super) fn kept_bytes(&self) -> usize {
        let versions = self.versions.iter().map(|(name, version)| {
            name.len() + files_bytes(&version.files) + metadata_bytes(&version.metadata)
        });
        entry_bytes::<String, Self>()
            + size_of::<(String, RegisteredVersion)>() * self.versions.len()
            + versions.sum::<usize>()
            + toml_bytes(&self.others)
            + self.description.len()
    }

    /// Returns the current version, which others can pull; [`ProjectRegistry`] has an example.
    #[must_use]
    pub fn current(&self) -> Option<&RegisteredVersion> {
        self.versions.get(&self.current)
    }

    /// Returns the data and code files that it needs.
    pub(crate) fn needed(&self) -> impl Iterator<Item = &RelPath> {
        self.data.iter().chain(&self.code)
    }

    /// Returns all versions, the lowest first; [`ProjectRegistry`] has an example.
    #[must_use]
    pub fn history(&self) -> Vec<(&str, &RegisteredVersion)> {
        let versions = self.versions.iter();
        let mut history: Vec<_> = versions.map(|(name, v)| (name.as_str(), v)).collect();
        history.sort_by(|(one, _), (other, _)| version::compare(one, other));
        history
    }
}

impl TargetEntry {
    /// About how many bytes of memory it takes.
    pub(super) fn kept_bytes(&self) -> usize {
        entry_bytes::<String, Self>() + files_bytes(&self.files) + toml_bytes(&self.others)
    }
}

impl RegisteredVersion {
    /// Returns the total size of its files; [`ProjectRegistry`] has an example.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        total_bytes(&self.files)
    }
}

/// The size of files together. A registry may state any sizes, so the sum saturates.
pub(crate) fn total_bytes(files: &Files) -> u64 {
    let sizes = files.values().map(|facts| facts.size_bytes);
    sizes.fold(0, u64::saturating_add)
}

fn files_bytes(files: &Files) -> usize {
    let names = files.keys().map(|path| path.as_str().len());
    size_of::<(RelPath, FileFacts)>() * files.len() + names.sum::<usize>()
}

/// The digest of files: of their names, sizes and digests, in the order of names.
pub(crate) fn digest_of(files: &Files) -> Digest {
    let lines = files.iter().map(|(path, facts)| {
        let FileFacts { digest, size_bytes } = facts;
        format!("{digest} {size_bytes} {path}\n")
    });
    Digest::of(lines.collect::<String>().as_bytes())
}

/// What stands for a digest that the registry does not state, until all files are known.
fn of_no_files() -> Digest {
    digest_of(&Files::new())
}

fn settle_digest(digest: &mut Digest, files: &Files) {
    if *digest == of_no_files() {
        *digest = digest_of(files);
    }
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let digest = document::digest(deserializer)?;
    digest.ok_or_else(|| D::Error::custom("no SHA-256 digest is stated"))
}

fn digest_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    Ok(document::digest(deserializer)?.unwrap_or_else(of_no_files))
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
    Table::deserialize(deserializer).map(json_table)
}

/// When something was registered that does not say so.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

/// Deserializes a time, as TOML has it or as a string.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Datetime(time) => time.to_string(),
        Value::String(text) => text,
        _ => String::new(),
    };
    let time = parse_rfc3339(&text);
    time.ok_or_else(|| D::Error::custom("expected a time such as 2026-01-31T12:00:00Z"))
}
