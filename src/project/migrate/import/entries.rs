//! What other programs registered, in one form.
//!
//! `registry.yaml` of modelops; `data` may be texts or tables with a path and a digest, `observation` stands for a
//! target's data in older ones:
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

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::document::Document;
use super::fields::{Digests, Fault, Fields, digest, normal};
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::modelstoml::Files;
use crate::project::change::candidate::Details;

/// Everything that another program registered.
#[derive(Debug, Default)]
pub(super) struct Imported {
    pub(super) models: Vec<(String, Result<ImportedModel, Fault>)>,
    pub(super) targets: Vec<(String, Result<ImportedTarget, Fault>)>,
    pub(super) target_sets: BTreeMap<String, BTreeSet<String>>,
    /// What could not be taken over, beside entries.
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
    /// What was current; `None` where there were no versions.
    pub(super) current: Option<String>,
    pub(super) versions: BTreeMap<String, ImportedVersion>,
    /// Facts that are of no version.
    pub(super) metadata: Metadata,
    /// The digests of its files where there were no versions; `None` for one that is not a SHA-256.
    pub(super) digests: Digests,
}

/// A version as another program registered it.
#[derive(Debug, Default)]
pub(super) struct ImportedVersion {
    pub(super) path: Option<String>,
    pub(super) registered_at: Option<SystemTime>,
    /// Of the one file at its path.
    pub(super) digest: Option<Digest>,
    /// Of the one file at its path, or of all.
    pub(super) size_bytes: Option<u64>,
    /// All its files, where they are known.
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
    pub(super) registered_at: Option<SystemTime>,
    /// Of its own file, or of something that only the other program knows; `Some(None)` when it is not a SHA-256.
    pub(super) digest: Option<Option<Digest>>,
    pub(super) files: Option<Files>,
}

/// An entry by its id.
type Member<'a> = (String, Result<&'a Value, Fault>);

impl Imported {
    /// Reads the entries of a registry.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) when the whole is malformed: its tables, not what is in them.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let document = Document::read(file)?;
        Self::of(&document).map_err(|fault| Error::registry(file.display(), fault))
    }

    fn of(document: &Document) -> Result<Self, Fault> {
        let (Document::Bundle(table) | Document::Records(table)) = document;
        let fields = Fields::over(table);
        let mut imported = Self::default();
        for (id, value) in members(fields, "models", "model_id")? {
            let model = value
                .and_then(Fields::of)
                .and_then(|fields| match document {
                    Document::Bundle(_) => bundled(fields),
                    Document::Records(_) => recorded(fields),
                });
            imported.models.push((id, model));
        }
        for (id, value) in members(fields, "targets", "target_id")? {
            let target = value.and_then(Fields::of).and_then(target);
            imported.targets.push((id, target));
        }
        if let Some(sets) = fields.table("target_sets")? {
            for (name, value) in sets.entries() {
                imported.take_set(name, value);
            }
        }
        Ok(imported)
    }

    fn take_set(&mut self, name: &str, value: &Value) {
        let texts = |value: &Value| -> Option<BTreeSet<String>> {
            let texts = value.as_array()?.iter();
            texts.map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let table = value.as_object();
        let targets = table.map_or(Some(value), |table| table.get("targets"));
        let Some(targets) = targets.and_then(texts) else {
            let remark =
                format!("the target set '{name}' is left out: it is not a list of targets");
            self.remarks.push(remark);
            return;
        };
        let more = table
            .into_iter()
            .flatten()
            .filter(|(key, value)| *key != "targets" && !value.is_null());
        let more: Vec<&str> = more.map(|(key, _)| key.as_str()).collect();
        if !more.is_empty() {
            self.remarks.push(format!(
                "of the target set '{name}', {} is left out: a set has only targets",
                more.join(", ")
            ));
        }
        self.target_sets.insert(name.to_owned(), targets);
    }
}

/// The entries of a table by their ids, or of a list whose entries have them.
fn members<'a>(fields: Fields<'a>, key: &str, id_key: &str) -> Result<Vec<Member<'a>>, Fault> {
    match fields.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Object(table)) => {
            let members = table.iter().map(|(id, value)| (id.clone(), Ok(value)));
            Ok(members.collect())
        }
        Some(Value::Array(list)) => {
            let members = list.iter().enumerate().map(|(at, value)| {
                match value.get(id_key).and_then(Value::as_str) {
                    Some(id) => (id.to_owned(), Ok(value)),
                    None => (
                        format!("{key}[{at}]"),
                        Err(format!("'{id_key}' is missing")),
                    ),
                }
            });
            Ok(members.collect())
        }
        Some(_) => Err(format!("'{key}' is neither a table nor a list")),
    }
}

/// Reads a model of `registry.yaml`.
fn bundled(fields: Fields<'_>) -> Result<ImportedModel, Fault> {
    let mut digests = Digests::new();
    let mut model = ImportedModel {
        path: fields.path("path")?.ok_or("'path' is missing")?,
        class_name: fields.text("class_name")?,
        data: dependencies(fields, "data", &mut digests)?,
        code: dependencies(fields, "code", &mut digests)?,
        ..described(fields)?
    };
    for key in ["data_digests", "code_digests"] {
        for (path, value) in fields.table(key)?.into_iter().flat_map(Fields::entries) {
            digests.insert(normal(path), value.as_str().and_then(digest));
        }
    }
    if let Some(text) = fields.text("model_digest")? {
        digests.insert(model.path.clone(), digest(&text));
    }
    model.digests = digests;
    model.metadata = fields.metadata("metadata")?;
    for key in ["scenarios", "parameters"] {
        let texts = fields.texts(key)?.filter(|texts| !texts.is_empty());
        if let Some(texts) = texts {
            model.metadata.insert(key.to_owned(), texts.into());
        }
    }
    Ok(model)
}

/// Reads a model of `model_registry.json`.
fn recorded(fields: Fields<'_>) -> Result<ImportedModel, Fault> {
    let either = |one: &str, other: &str| match fields.text(one)? {
        Some(text) => Ok(Some(text)),
        None => fields.text(other),
    };
    let mut ignored = Digests::new();
    let mut model = ImportedModel {
        data: dependencies(fields, "data", &mut ignored)?,
        code: dependencies(fields, "code", &mut ignored)?,
        current: either("current_version", "version")?,
        ..described(fields)?
    };
    let metadata = fields.metadata("metadata")?;
    let versions = fields.table("versions")?;
    for (name, value) in versions.into_iter().flat_map(Fields::entries) {
        let read = Fields::of(value).and_then(version);
        let read = read.map_err(|fault| format!("version '{name}': {fault}"))?;
        model.versions.insert(name.clone(), read);
    }
    let path = match fields.path("path")? {
        Some(path) => Some(path),
        None => fields.path("file_path")?,
    };
    if let Some(current) = &model.current {
        if versions.is_none() {
            let only = version(fields)?;
            model.versions.insert(current.clone(), only);
        } else if let Some(of_current) = model.versions.get_mut(current) {
            // What is said of the model is said of what it is now.
            for (key, value) in metadata.clone() {
                of_current.metadata.entry(key).or_insert(value);
            }
        }
    }
    let of_version = || {
        let current = model.versions.get(model.current.as_ref()?);
        current?.path.clone()
    };
    model.path = path
        .or_else(of_version)
        .ok_or("it has neither 'file_path' nor 'path'")?;
    model.metadata = metadata;
    Ok(model)
}

/// The fields that both kinds call the same.
fn described(fields: Fields<'_>) -> Result<ImportedModel, Fault> {
    let text = |key| Ok::<_, Fault>(fields.text(key)?.filter(|text| !text.is_empty()));
    let name = match fields.text("name")? {
        Some(name) => Some(name).filter(|name| !name.is_empty()),
        None => text("model_name")?,
    };
    let set = |texts: Option<Vec<String>>| texts.into_iter().flatten().collect();
    Ok(ImportedModel {
        details: Details {
            name,
            description: text("description")?,
            model_type: text("type")?,
            entrypoint: text("entrypoint")?,
            outputs: fields.texts("outputs")?,
        },
        tags: set(fields.texts("tags")?),
        format: fields.text("format")?,
        given: set(fields.texts("given")?),
        ..ImportedModel::default()
    })
}

fn version(fields: Fields<'_>) -> Result<ImportedVersion, Fault> {
    let registered_at = match fields.time("registered_at")? {
        Some(time) => Some(time),
        None => fields.time("created_at")?,
    };
    Ok(ImportedVersion {
        path: fields.path("file_path")?,
        registered_at,
        digest: fields.digest("hash")?,
        size_bytes: fields.size("file_size_bytes")?,
        files: fields.files("files")?,
        metadata: fields.metadata("metadata")?,
    })
}

fn target(fields: Fields<'_>) -> Result<ImportedTarget, Fault> {
    let mut ignored = Digests::new();
    let mut data = dependencies(fields, "data", &mut ignored)?;
    data.extend(fields.path("observation")?);
    Ok(ImportedTarget {
        path: fields.path("path")?.ok_or("'path' is missing")?,
        entrypoint: fields.text("entrypoint")?,
        model_output: fields.text("model_output")?,
        data,
        registered_at: fields.time("registered_at")?,
        digest: fields.text("target_digest")?.map(|text| digest(&text)),
        files: fields.files("files")?,
    })
}

/// Paths of files that are needed: texts, or tables with a path and a digest.
fn dependencies(
    fields: Fields<'_>,
    key: &str,
    digests: &mut Digests,
) -> Result<Vec<String>, Fault> {
    let Some(value) = fields.get(key) else {
        return Ok(Vec::new());
    };
    let not_paths = || format!("'{key}' is not a list of paths");
    let mut paths = Vec::new();
    for value in value.as_array().ok_or_else(not_paths)? {
        let stated: Option<&Map<String, Value>> = value.as_object();
        let path = stated.map_or(Some(value), |table| table.get("path"));
        let path = normal(path.and_then(Value::as_str).ok_or_else(not_paths)?);
        let of_path = stated.and_then(|table| table.get("digest").or_else(|| table.get("sha256")));
        if let Some(text) = of_path {
            digests.insert(path.clone(), text.as_str().and_then(digest));
        }
        paths.push(path);
    }
    Ok(paths)
}
