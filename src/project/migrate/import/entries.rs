//! The entries of registries of other programs, in one form.
//!
//! The `registry.yaml` of modelops; `data` may have strings or tables with a path and a digest, and older versions have
//! `observation` for the data of a target:
//!
//! ```yaml
//! version: "1.0"
//! models:
//!   sir:
//!     entrypoint: models.sir:SIR
//!     path: models/sir.py
//!     class_name: SIR
//!     scenarios: [baseline]
//!     parameters: [beta]
//!     outputs: [incidence]
//!     data: [data/observed.csv]
//!     data_digests: {data/observed.csv: "sha256:…"}
//!     code: []
//!     code_digests: {}
//!     model_digest: "sha256:…"
//! targets:
//!   incidence:
//!     path: targets/incidence.py
//!     entrypoint: targets.incidence:incidence_target
//!     model_output: incidence
//!     data: [data/observed.csv]
//!     target_digest: "sha256:…"
//! target_sets:
//!   main: [incidence]                 # or a table with 'targets'
//! ```
//!
//! `model_registry.json`: `models` is a table by id or a list. An entry has the fields of a report, see
//! [`Project::report`](crate::project::Project::report), or those that other programs write: one version with `version`,
//! `file_path`, `file_size_bytes` and `registered_at`, or a table `versions` with `file_path`, `hash` and `created_at`,
//! and `current_version`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::document::{self, DocumentKind};
use super::fields::{Digests, Fault, Fields, digest, normal};
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::modelstoml::{FileFacts, Files, SortedMap};
use crate::project::change::candidate::Details;
use crate::relpath::RelPath;

/// An entry by its id.
type Entry<T> = (String, Result<T, Fault>);

/// Everything that another program registered.
#[derive(Debug, Default)]
pub(super) struct Imported {
    pub(super) models: Vec<Entry<ImportedModel>>,
    pub(super) targets: Vec<Entry<ImportedTarget>>,
    pub(super) target_sets: BTreeMap<String, BTreeSet<String>>,
    /// How much the targets of a set count.
    pub(super) target_weights: BTreeMap<String, BTreeMap<String, f64>>,
    /// What is known of the files that entries need, if they are elsewhere for now.
    pub(super) known: Files,
    /// What could not be imported, besides entries.
    pub(super) remarks: Vec<String>,
}

/// A model as another program registered it.
#[derive(Debug, Default)]
pub(super) struct ImportedModel {
    pub(super) path: String,
    pub(super) details: Details,
    pub(super) tags: BTreeSet<String>,
    pub(super) format: Option<String>,
    pub(super) class_name: Option<String>,
    pub(super) data: Vec<String>,
    pub(super) code: Vec<String>,
    pub(super) given: BTreeSet<String>,
    /// The current version; `None` if there are no versions.
    pub(super) current: Option<String>,
    pub(super) versions: SortedMap<String, ImportedVersion>,
    /// Facts that belong to no version.
    pub(super) metadata: Metadata,
    /// The digests of its files, if there are no versions.
    pub(super) digests: Digests,
}

/// A version as another program registered it.
#[derive(Debug, Default)]
pub(super) struct ImportedVersion {
    pub(super) path: Option<String>,
    pub(super) registered_at: Option<SystemTime>,
    /// Of the one file at its path.
    pub(super) digest: Option<Digest>,
    /// Of the one file at its path, or of all files.
    pub(super) size_bytes: Option<u64>,
    /// All its files, if they are known.
    pub(super) files: Option<Files>,
    pub(super) metadata: Metadata,
}

/// A target as another program registered it.
#[derive(Debug, Default)]
pub(super) struct ImportedTarget {
    pub(super) path: String,
    pub(super) entrypoint: Option<String>,
    pub(super) model_output: Option<String>,
    pub(super) data: Vec<String>,
    /// The digests of its data.
    pub(super) digests: Digests,
    pub(super) registered_at: Option<SystemTime>,
    /// Of its own file, or of something that only the other program knows; `Some(None)` if it is not a SHA-256.
    pub(super) digest: Option<Option<Digest>>,
    pub(super) files: Option<Files>,
}

impl Imported {
    /// Reads the entries of a registry.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) when the registry as a whole is malformed; what is wrong with an entry is
    /// kept in its place.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let mut imported = Self::default();
        let document = document::read(file, &mut |kind, table, id, entry| {
            let model = match kind {
                DocumentKind::Bundle => bundled,
                DocumentKind::Records => recorded,
            };
            match table {
                "models" => add_entry(&mut imported.models, (table, "model_id"), id, &entry, model),
                _ => add_entry(
                    &mut imported.targets,
                    (table, "target_id"),
                    id,
                    &entry,
                    target,
                ),
            }
        })?;
        let read = Fields::read(&document, |fields| imported.complete(fields));
        read.map_err(|fault| Error::registry(file.display(), fault))?;
        Ok(imported)
    }

    /// Takes what a document has beside its entries.
    fn complete(&mut self, fields: &Fields<'_>) {
        for key in document::TABLES {
            match fields.get(key) {
                // A table has no order.
                Some(Value::Object(_)) if key == "models" => self.models.sort_by(by_id),
                Some(Value::Object(_)) => self.targets.sort_by(by_id),
                None | Some(Value::Array(_)) => {}
                Some(_) => fields.require(None, &format!("'{key}' is neither a table nor a list")),
            }
        }
        for (name, value) in fields.members("target_sets") {
            self.add_set(name, value);
        }
        self.known = self.known_files();
    }

    /// Returns what the entries say about files: about each the first that does.
    fn known_files(&self) -> Files {
        let models = || {
            self.models
                .iter()
                .filter_map(|(_, model)| model.as_ref().ok())
        };
        let targets = || {
            self.targets
                .iter()
                .filter_map(|(_, target)| target.as_ref().ok())
        };
        let current = models().filter_map(|model| model.versions.get(model.current.as_ref()?));
        let listed = current.filter_map(|version| version.files.as_ref());
        let listed = listed.chain(targets().filter_map(|target| target.files.as_ref()));
        let digests = models().map(|model| &model.digests);
        let digests = digests
            .chain(targets().map(|target| &target.digests))
            .flatten();
        let stated = digests.filter_map(|(path, digest)| {
            let facts = FileFacts {
                digest: (*digest)?,
                size_bytes: 0,
            };
            Some((RelPath::parse(path).ok()?, facts))
        });
        let mut known: Files = stated.collect();
        known.extend(listed.flatten().map(|(path, facts)| (path.clone(), *facts)));
        known
    }

    fn add_set(&mut self, name: &str, value: &Value) {
        let table = value.as_object();
        let targets = table.map_or(Some(value), |table| table.get("targets"));
        let Some(targets) = targets.and_then(|targets| BTreeSet::deserialize(targets).ok()) else {
            let remark =
                format!("the target set '{name}' is left out: it is not a list of targets");
            self.remarks.push(remark);
            return;
        };
        let weights = table.and_then(|table| BTreeMap::deserialize(table.get("weights")?).ok());
        let is_kept = |key: &str| key == "targets" || key == "weights" && weights.is_some();
        let others = table.into_iter().flatten();
        let others = others.filter(|(key, value)| !is_kept(key) && !value.is_null());
        let others: Vec<&str> = others.map(|(key, _)| key.as_str()).collect();
        if !others.is_empty() {
            self.remarks.push(format!(
                "of the target set '{name}', {} is left out: a set has only targets and weights",
                others.join(", ")
            ));
        }
        if let Some(weights) = weights {
            self.target_weights.insert(name.to_owned(), weights);
        }
        self.target_sets.insert(name.to_owned(), targets);
    }
}

fn by_id<T>((one, _): &Entry<T>, (other, _): &Entry<T>) -> Ordering {
    one.cmp(other)
}

/// Adds an entry of a table by its id, or of a list by the id that it states.
fn add_entry<T>(
    entries: &mut Vec<Entry<T>>,
    (table, id_key): (&str, &str),
    id: Option<String>,
    entry: &Value,
    read: fn(&Fields<'_>) -> T,
) {
    let id = id.or_else(|| entry[id_key].as_str().map(str::to_owned));
    entries.push(match id {
        Some(id) => (id, Fields::read(entry, read)),
        None => {
            let fault = format!("'{id_key}' is missing");
            (format!("{table}[{}]", entries.len()), Err(fault))
        }
    });
}

/// Reads a model of `registry.yaml`.
fn bundled(fields: &Fields<'_>) -> ImportedModel {
    let mut digests = Digests::new();
    let path = fields.require(fields.path("path"), "'path' is missing");
    let data = dependencies(fields, "data", &mut digests);
    let code = dependencies(fields, "code", &mut digests);
    for key in ["data_digests", "code_digests"] {
        for (path, value) in fields.members(key) {
            digests.insert(normal(path), value.as_str().and_then(digest));
        }
    }
    if let Some(text) = fields.text("model_digest") {
        digests.insert(path.clone(), digest(&text));
    }
    let mut metadata = fields.metadata("metadata");
    for key in ["scenarios", "parameters"] {
        let texts = fields.texts(key).filter(|texts| !texts.is_empty());
        metadata.extend(texts.map(|texts| (key.to_owned(), texts.into())));
    }
    ImportedModel {
        path,
        class_name: fields.text("class_name"),
        data,
        code,
        digests,
        metadata,
        ..described(fields)
    }
}

/// Reads a model of `model_registry.json`.
fn recorded(fields: &Fields<'_>) -> ImportedModel {
    let metadata = fields.metadata("metadata");
    let current = fields
        .text("current_version")
        .or_else(|| fields.text("version"));
    let mut versions = SortedMap::new();
    for (name, value) in fields.members("versions") {
        let read = Fields::read(value, version);
        let read = fields.check(read.map_err(|fault| format!("version '{name}': {fault}")));
        versions.extend(read.map(|version| (name.clone(), version)));
    }
    let mut of_current = None;
    if let Some(current) = &current {
        if fields.get("versions").is_none() {
            versions.insert(current.clone(), version(fields));
        }
        of_current = versions.get_mut(current);
    }
    if let Some(of_current) = &mut of_current {
        // What is said about the model is said about its current version.
        for (key, value) in metadata.clone() {
            of_current.metadata.entry(key).or_insert(value);
        }
    }
    let path = fields.path("path").or_else(|| fields.path("file_path"));
    let path = path.or_else(|| of_current?.path.clone());
    ImportedModel {
        path: fields.require(path, "it has neither 'file_path' nor 'path'"),
        data: dependencies(fields, "data", &mut Digests::new()),
        code: dependencies(fields, "code", &mut Digests::new()),
        current,
        versions,
        metadata,
        ..described(fields)
    }
}

/// Reads the fields that have the same names in both formats.
fn described(fields: &Fields<'_>) -> ImportedModel {
    let text = |key| fields.text(key).filter(|text| !text.is_empty());
    let texts = |key| fields.texts(key).unwrap_or_default();
    let name = fields.text("name").or_else(|| fields.text("model_name"));
    ImportedModel {
        details: Details {
            name: name.filter(|name| !name.is_empty()),
            description: text("description"),
            model_type: text("type"),
            status: text("status"),
            entrypoint: text("entrypoint"),
            outputs: fields.texts("outputs"),
        },
        tags: texts("tags").into_iter().collect(),
        format: fields.text("format"),
        given: texts("given").into_iter().collect(),
        ..ImportedModel::default()
    }
}

fn version(fields: &Fields<'_>) -> ImportedVersion {
    let registered_at = fields.time("registered_at");
    ImportedVersion {
        path: fields.path("file_path"),
        registered_at: registered_at.or_else(|| fields.time("created_at")),
        digest: fields.digest("hash"),
        size_bytes: fields.size("file_size_bytes"),
        files: fields.files("files"),
        metadata: fields.metadata("metadata"),
    }
}

fn target(fields: &Fields<'_>) -> ImportedTarget {
    let mut digests = Digests::new();
    let mut data = dependencies(fields, "data", &mut digests);
    data.extend(fields.path("observation"));
    ImportedTarget {
        path: fields.require(fields.path("path"), "'path' is missing"),
        entrypoint: fields.text("entrypoint"),
        model_output: fields.text("model_output"),
        data,
        digests,
        registered_at: fields.time("registered_at"),
        digest: fields.text("target_digest").map(|text| digest(&text)),
        files: fields.files("files"),
    }
}

/// Reads the paths of files that an entry needs: texts, or tables with a path and a digest.
fn dependencies(fields: &Fields<'_>, key: &str, digests: &mut Digests) -> Vec<String> {
    let paths = fields.typed(key, "list of paths", |value| {
        let paths = value.as_array()?.iter().map(|value| {
            let path = value.as_str().or_else(|| value.get("path")?.as_str());
            let path = normal(path?);
            if let Some(stated) = value.get("digest").or_else(|| value.get("sha256")) {
                digests.insert(path.clone(), stated.as_str().and_then(digest));
            }
            Some(path)
        });
        paths.collect()
    });
    paths.unwrap_or_default()
}
