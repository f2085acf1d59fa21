//! Listing, showing and searching what is registered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::home::Project;
use super::item::ItemKind;
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::modelstoml::{Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
use crate::near::nearest;
use crate::relpath::RelPath;
use crate::setters::setters;

/// Which registered models to list. Default: all.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions, SelectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let options = AddOptions::default().model_type("epidemiology").status("draft").tags(["compartments"]);
/// project.add(&[folder.path().join("models/sir.py")], &options)?;
/// let select = SelectOptions::default().model_type("epidemiology").status("draft").tag("compartments");
/// assert_eq!(project.list(&select).models[0].id, "sir");
/// assert!(select.selects(&project.registry().entries["sir"]));
/// assert!(project.list(&select.tag("other")).models.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SelectOptions {
    /// Only models of this type.
    pub model_type: Option<String>,
    /// Only models with this status.
    pub status: Option<String>,
    /// Only models with this tag.
    pub tag: Option<String>,
}

setters!(SelectOptions {
    model_type: Some(impl Into<String>),
    status: Some(impl Into<String>),
    tag: Some(impl Into<String>),
});

impl SelectOptions {
    /// Returns whether a model is among those to list. [`SelectOptions`] has an example.
    #[must_use]
    pub fn selects(&self, model: &ModelEntry) -> bool {
        let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        is(&self.model_type, &model.model_type)
            && is(&self.status, &model.status)
            && self.tag.as_ref().is_none_or(|tag| model.tags.contains(tag))
    }
}

/// What is registered, in the order of ids, as [`Project::list`] returns it.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions, SelectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let paths = [folder.path().join("models"), folder.path().join("targets")];
/// project.add(&paths, &AddOptions::default().target_set("calibration"))?;
///
/// let listing = project.list(&SelectOptions::default());
/// for model in &listing.models {
///     println!("{} {}: {} files, {} bytes", model.id, model.entry.current, model.files, model.total_bytes);
///     println!("  registered {:?} as {:?}", model.registered_at, model.digest);
/// }
/// for target in &listing.targets {
///     println!("{} compares {} with data", target.id, target.entry.model_output);
/// }
/// assert_eq!((listing.models.len(), listing.targets.len(), listing.target_sets.len()), (3, 1, 1));
///
/// let found = project.search("incidence");
/// assert_eq!(found[0].id, "sir");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RegistryListing<'a> {
    /// The selected models, in their current versions.
    pub models: Vec<ModelSummary<'a>>,
    /// All targets.
    pub targets: Vec<TargetSummary<'a>>,
    /// The ids of the targets in each set, by the name of the set.
    pub target_sets: &'a BTreeMap<String, BTreeSet<String>>,
}

/// A registered model in its current version; [`RegistryListing`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ModelSummary<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its entry in the registry.
    #[serde(flatten)]
    pub entry: &'a ModelEntry,
    /// The number of its files.
    pub files: usize,
    /// The total size of its files.
    pub total_bytes: u64,
    /// When the current version was registered; `None` if the registry lacks it.
    #[serde(serialize_with = "crate::report::time_or_null")]
    pub registered_at: Option<SystemTime>,
    /// The digest of the paths, sizes and digests of the current version's files; `None` if the registry lacks it.
    pub digest: Option<Digest>,
}

/// A registered target; [`RegistryListing`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TargetSummary<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its entry in the registry.
    #[serde(flatten)]
    pub entry: &'a TargetEntry,
}

/// A registered model or target in detail, as [`Project::show`] returns it.
///
/// ```
/// use modelrack::project::{AddOptions, ItemDetail, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let paths = [folder.path().join("models"), folder.path().join("targets")];
/// project.add(&paths, &AddOptions::default())?;
/// match project.show("sir")? {
///     ItemDetail::Model { summary, kind, metadata, contents, versions, .. } => {
///         println!("{} {}: {:?}", kind.as_str(), summary.id, metadata);
///         for file in contents {
///             println!("  {}: {} bytes, {}", file.path, file.size_bytes, file.digest);
///         }
///         for of in versions {
///             println!("  {}: {} files, {}, registered {:?}", of.version, of.files, of.digest, of.registered_at);
///         }
///     }
///     ItemDetail::Target { summary, kind, contents, sets, .. } => {
///         println!("{} {} in {sets:?}: {} files", kind.as_str(), summary.id, contents.len());
///     }
///     _ => {}
/// }
/// let error = project.show("sri").unwrap_err();
/// assert_eq!(error.to_string(), "'sri' is not registered");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ItemDetail<'a> {
    /// A model.
    #[non_exhaustive]
    Model {
        /// Its entry, as in a list.
        #[serde(flatten)]
        summary: ModelSummary<'a>,
        /// [`ItemKind::Model`].
        kind: ItemKind,
        /// What the files of the current version state; `None` if the registry lacks that version.
        metadata: Option<&'a Metadata>,
        /// The files of the current version, in order.
        contents: Vec<FileSummary<'a>>,
        /// All versions, the lowest first.
        versions: Vec<VersionSummary<'a>>,
    },
    /// A target.
    #[non_exhaustive]
    Target {
        /// Its entry, as in a list.
        #[serde(flatten)]
        summary: TargetSummary<'a>,
        /// [`ItemKind::Target`].
        kind: ItemKind,
        /// Its files, in order.
        contents: Vec<FileSummary<'a>>,
        /// The names of the sets that it is in.
        #[serde(skip)]
        sets: Vec<&'a str>,
    },
}

/// A registered file; [`ItemDetail`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FileSummary<'a> {
    /// Its path in the project's folder.
    pub path: &'a RelPath,
    /// Its size, in bytes.
    #[serde(flatten, serialize_with = "size")]
    pub size_bytes: u64,
    /// The digest of its content.
    #[serde(rename = "sha256")]
    pub digest: Digest,
}

/// Writes a size under the key that all reports have for one, and under the one that this report had first.
fn size<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Size", 2)?;
    fields.serialize_field("bytes", bytes)?;
    fields.serialize_field("size", bytes)?;
    fields.end()
}

/// A version of a registered model; [`ItemDetail`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct VersionSummary<'a> {
    /// Its name.
    pub version: &'a str,
    /// When it was registered.
    #[serde(serialize_with = "crate::time::serialize")]
    pub registered_at: SystemTime,
    /// The digest of the paths, sizes and digests of its files.
    pub digest: Digest,
    /// The number of its files.
    pub files: usize,
}

impl Project {
    /// Lists what is registered; [`RegistryListing`] has an example.
    #[must_use]
    pub fn list(&self, options: &SelectOptions) -> RegistryListing<'_> {
        let registry = self.registry();
        let models = registry.entries.iter();
        let models = models.filter(|(_, entry)| options.selects(entry));
        RegistryListing {
            models: models.map(ModelSummary::new).collect(),
            targets: registry.targets.iter().map(TargetSummary::new).collect(),
            target_sets: &registry.target_sets,
        }
    }

    /// Returns the models that have every word of a query in their id, name, description, tags, type, status, outputs or
    /// metadata, in either case, in the order of ids. [`RegistryListing`] has an example.
    #[must_use]
    pub fn search(&self, query: &str) -> Vec<ModelSummary<'_>> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let matches = |(id, entry): &(&String, &ModelEntry)| {
            let text = text_of(id, entry).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let found = self.registry().entries.iter().filter(matches);
        found.map(ModelSummary::new).collect()
    }

    /// Returns a registered model or target in detail; the model, if both have the same id. [`ItemDetail`] has an example.
    ///
    /// # Errors
    /// [`NotRegistered`](ErrorKind::NotRegistered) with similar ids.
    pub fn show(&self, id: &str) -> Result<ItemDetail<'_>> {
        let registry = self.registry();
        if let Some(model) = registry.entries.get_key_value(id) {
            let (_, entry) = model;
            let current = entry.current();
            let versions = entry
                .history()
                .into_iter()
                .map(|(version, of)| VersionSummary {
                    version,
                    registered_at: of.registered_at,
                    digest: of.digest,
                    files: of.files.len(),
                });
            return Ok(ItemDetail::Model {
                summary: ModelSummary::new(model),
                kind: ItemKind::Model,
                metadata: current.map(|version| &version.metadata),
                contents: current.map_or(Vec::new(), |version| contents(&version.files)),
                versions: versions.collect(),
            });
        }
        let Some(target) = registry.targets.get_key_value(id) else {
            return Err(registry.not_registered(id));
        };
        let sets = registry.target_sets.iter();
        let sets = sets.filter(|(_, targets)| targets.contains(target.0));
        Ok(ItemDetail::Target {
            summary: TargetSummary::new(target),
            kind: ItemKind::Target,
            contents: contents(&target.1.files),
            sets: sets.map(|(set, _)| set.as_str()).collect(),
        })
    }
}

impl ProjectRegistry {
    /// Returns whether an id is that of a model or of a target; of a model, if both have it. [`ProjectRegistry`] has an
    /// example.
    ///
    /// # Errors
    /// [`NotRegistered`](ErrorKind::NotRegistered) with similar ids.
    pub fn kind_of(&self, id: &str) -> Result<ItemKind> {
        if self.entries.contains_key(id) {
            Ok(ItemKind::Model)
        } else if self.targets.contains_key(id) {
            Ok(ItemKind::Target)
        } else {
            Err(self.not_registered(id))
        }
    }

    fn not_registered(&self, id: &str) -> Error {
        let ids = self.entries.keys().chain(self.targets.keys());
        Error::from(ErrorKind::NotRegistered {
            id: id.to_owned(),
            near: nearest(id, ids.map(String::as_str)),
        })
    }
}

impl<'a> ModelSummary<'a> {
    fn new((id, entry): (&'a String, &'a ModelEntry)) -> Self {
        let current = entry.current();
        Self {
            id,
            entry,
            files: current.map_or(0, |version| version.files.len()),
            total_bytes: current.map_or(0, RegisteredVersion::total_bytes),
            registered_at: current.map(|version| version.registered_at),
            digest: current.map(|version| version.digest),
        }
    }
}

impl<'a> TargetSummary<'a> {
    fn new((id, entry): (&'a String, &'a TargetEntry)) -> Self {
        Self { id, entry }
    }
}

fn contents(files: &Files) -> Vec<FileSummary<'_>> {
    let files = files.iter().map(|(path, facts)| FileSummary {
        path,
        size_bytes: facts.size_bytes,
        digest: facts.digest,
    });
    files.collect()
}

/// Returns everything that a search looks at, one text a line.
fn text_of(id: &str, entry: &ModelEntry) -> String {
    let metadata = entry.current().map(|version| &version.metadata);
    let (name, description, model_type) = (&entry.name, &entry.description, &entry.model_type);
    let (status, tags, outputs) = (&entry.status, &entry.tags, &entry.outputs);
    let mut text = String::new();
    let all = json!([
        id,
        name,
        description,
        model_type,
        status,
        tags,
        outputs,
        metadata
    ]);
    push_text(&mut text, &all);
    text
}

fn push_text(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(value) => *text += &format!("{value}\n"),
        Value::Array(values) => values.iter().for_each(|value| push_text(text, value)),
        Value::Object(table) => table.iter().for_each(|(key, value)| {
            *text += &format!("{key}\n");
            push_text(text, value);
        }),
        other => *text += &format!("{other}\n"),
    }
}
