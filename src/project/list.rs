//! What is registered: listed, shown in detail, and searched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::home::Project;
use super::item::ItemKind;
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::nearest;
use crate::modelstoml::{Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
use crate::relpath::RelPath;
use crate::setters::setters;

/// Which registered models to list. Default: all.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SelectOptions {
    /// Only models of this type.
    pub model_type: Option<String>,
    /// Only models with this tag.
    pub tag: Option<String>,
}

setters!(SelectOptions {
    model_type: Some(impl Into<String>),
    tag: Some(impl Into<String>),
});

/// What is registered, in the order of ids.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RegistryListing<'a> {
    /// The models that were selected, in their current versions.
    pub models: Vec<ModelSummary<'a>>,
    /// All targets.
    pub targets: Vec<TargetSummary<'a>>,
    /// Sets of targets: name → ids of targets.
    pub target_sets: &'a BTreeMap<String, BTreeSet<String>>,
}

/// A registered model in its current version.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ModelSummary<'a> {
    /// Its id.
    pub id: &'a str,
    /// What is registered of it.
    #[serde(flatten)]
    pub entry: &'a ModelEntry,
    /// The number of its files.
    pub files: usize,
    /// The size of all its files together.
    pub total_bytes: u64,
    /// When the current version was registered.
    #[serde(serialize_with = "crate::report::time_or_null")]
    pub registered_at: Option<SystemTime>,
    /// The digest of the current version.
    pub digest: Option<Digest>,
}

/// A registered target.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TargetSummary<'a> {
    /// Its id.
    pub id: &'a str,
    /// What is registered of it.
    #[serde(flatten)]
    pub entry: &'a TargetEntry,
}

/// A registered model or target in detail.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ItemDetail<'a> {
    /// A model.
    #[non_exhaustive]
    Model {
        /// What a list says of it.
        #[serde(flatten)]
        summary: ModelSummary<'a>,
        /// [`ItemKind::Model`].
        kind: ItemKind,
        /// What the files say of the current version.
        metadata: Option<&'a Metadata>,
        /// The files of the current version, in order.
        contents: Vec<FileSummary<'a>>,
        /// All versions, the oldest first.
        versions: Vec<VersionSummary<'a>>,
    },
    /// A target.
    #[non_exhaustive]
    Target {
        /// What a list says of it.
        #[serde(flatten)]
        summary: TargetSummary<'a>,
        /// [`ItemKind::Target`].
        kind: ItemKind,
        /// Its files, in order.
        contents: Vec<FileSummary<'a>>,
        /// The sets that it is in.
        #[serde(skip)]
        sets: Vec<&'a str>,
    },
}

/// A registered file.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FileSummary<'a> {
    /// Its path from the project's folder.
    pub path: &'a RelPath,
    /// Its size.
    #[serde(rename = "size")]
    pub size_bytes: u64,
    /// The digest of its bytes.
    #[serde(rename = "sha256")]
    pub digest: Digest,
}

/// A version of a registered model.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct VersionSummary<'a> {
    /// Its name.
    pub version: &'a str,
    /// When it was registered.
    #[serde(serialize_with = "crate::time::serialize")]
    pub registered_at: SystemTime,
    /// The digest of its files.
    pub digest: Digest,
    /// The number of its files.
    pub files: usize,
}

impl Project {
    /// Lists what is registered.
    #[must_use]
    pub fn list(&self, options: &SelectOptions) -> RegistryListing<'_> {
        let SelectOptions { model_type, tag } = options;
        let is_selected = |entry: &ModelEntry| {
            (model_type.is_none() || entry.model_type == *model_type)
                && tag.as_ref().is_none_or(|tag| entry.tags.contains(tag))
        };
        let registry = self.registry();
        let models = registry
            .entries
            .iter()
            .filter(|(_, entry)| is_selected(entry));
        let targets = registry.targets.iter();
        RegistryListing {
            models: models
                .map(|(id, entry)| ModelSummary::new(id, entry))
                .collect(),
            targets: targets
                .map(|(id, entry)| TargetSummary { id, entry })
                .collect(),
            target_sets: &registry.target_sets,
        }
    }

    /// Returns the models that have each word of a query somewhere in their id, name, description, tags, type, outputs or
    /// metadata, in any case; in the order of ids.
    #[must_use]
    pub fn search(&self, query: &str) -> Vec<ModelSummary<'_>> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let matches = |(id, entry): &(&String, &ModelEntry)| {
            let text = text_of(id, entry).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let found = self.registry().entries.iter().filter(matches);
        found
            .map(|(id, entry)| ModelSummary::new(id, entry))
            .collect()
    }

    /// Returns a registered model or target in detail: a model before a target of the same id.
    ///
    /// # Errors
    /// [`NotRegistered`](ErrorKind::NotRegistered) with the ids that come near.
    pub fn show(&self, id: &str) -> Result<ItemDetail<'_>> {
        let registry = self.registry();
        if let Some((id, entry)) = registry.entries.get_key_value(id) {
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
                summary: ModelSummary::new(id, entry),
                kind: ItemKind::Model,
                metadata: current.map(|version| &version.metadata),
                contents: current.map_or(Vec::new(), |version| contents(&version.files)),
                versions: versions.collect(),
            });
        }
        let Some((id, entry)) = registry.targets.get_key_value(id) else {
            return Err(registry.not_registered(id));
        };
        let sets = registry.target_sets.iter();
        let sets = sets.filter(|(_, targets)| targets.contains(id));
        Ok(ItemDetail::Target {
            summary: TargetSummary { id, entry },
            kind: ItemKind::Target,
            contents: contents(&entry.files),
            sets: sets.map(|(set, _)| set.as_str()).collect(),
        })
    }
}

impl ProjectRegistry {
    /// Returns whether an id is that of a model or of a target: a model before a target.
    ///
    /// # Errors
    /// [`NotRegistered`](ErrorKind::NotRegistered) with the ids that come near.
    pub fn kind_of(&self, id: &str) -> Result<ItemKind> {
        match () {
            () if self.entries.contains_key(id) => Ok(ItemKind::Model),
            () if self.targets.contains_key(id) => Ok(ItemKind::Target),
            () => Err(self.not_registered(id)),
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
    fn new(id: &'a str, entry: &'a ModelEntry) -> Self {
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

fn contents(files: &Files) -> Vec<FileSummary<'_>> {
    let files = files.iter().map(|(path, facts)| FileSummary {
        path,
        size_bytes: facts.size_bytes,
        digest: facts.digest,
    });
    files.collect()
}

/// Returns everything that a search looks at, a piece a line.
fn text_of(id: &str, entry: &ModelEntry) -> String {
    let mut text = format!("{id}\n{}\n{}\n", entry.name, entry.description);
    let words = entry
        .model_type
        .iter()
        .chain(&entry.tags)
        .chain(&entry.outputs);
    for word in words {
        text.push_str(word);
        text.push('\n');
    }
    if let Some(version) = entry.current() {
        push_table(&mut text, &version.metadata);
    }
    text
}

/// Adds the words of a value.
fn push(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => text.push_str(value),
        Value::Array(values) => values.iter().for_each(|value| {
            push(text, value);
            text.push(' ');
        }),
        Value::Object(table) => push_table(text, table),
        other => text.push_str(&other.to_string()),
    }
}

fn push_table(text: &mut String, table: &Metadata) {
    for (key, value) in table {
        text.push_str(key);
        text.push(' ');
        push(text, value);
        text.push('\n');
    }
}
