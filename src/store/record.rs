//! `registry.json`: what is installed. [`crate::installed`] shows its format.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Metadata, Pin};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::setters::setters;

/// What is recorded of an installed model version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub(crate) manifest_hash: Digest,
    pub(crate) total_size: u64,
    pub(crate) file_count: u64,
    #[serde(with = "crate::time")]
    pub(crate) installed_at: SystemTime,
    /// The key of the source it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) model_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) metadata: Map<String, Value>,
    /// The digest that the source offered it under, if that is not the manifest's: sizes were measured later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offered_hash: Option<Digest>,
    /// Where its files came from, for sources that identify them by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<Pin>,
    /// What takes precedence over whatever its source states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotation: Option<Annotation>,
    /// The boot under which it was installed, as long as its files are not known to be on the disk; see `durability`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsettled: Option<String>,
}

/// Changes to the record of an installed model. What is left out stays as it is.
///
/// The changes outlast updates and further pulls of the model.
///
/// ```
/// use modelrack::installed::Annotation;
/// use modelrack::remote::Metadata;
/// use modelrack::{Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let metadata = Metadata::from_iter([
///     ("reviewed_by".to_owned(), "Ada".into()),
///     ("description".to_owned(), serde_json::Value::Null),
/// ]);
/// let annotation = Annotation::default().model_type("image-classification").tags(["reviewed"]).metadata(metadata);
/// let model = manager.annotate(&"digits/logistic v1".parse()?, &annotation)?;
/// assert_eq!(model.model_type.as_deref(), Some("image-classification"));
/// assert_eq!(model.metadata["reviewed_by"], "Ada");
/// assert_eq!(model.description(), None, "`null` has removed it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Annotation {
    /// The type, such as `text-generation`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// The tags, in place of those that are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Metadata to add or replace; a key whose value is `null` is removed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Metadata,
}

setters!(Annotation {
    model_type: Some(impl Into<String>),
    tags: Some([impl Into<String>]),
    metadata: Metadata,
});

/// The fields that an annotation changes.
const ANNOTATED: [&str; 4] = ["type", "tags", "metadata", "annotation"];

impl ModelRecord {
    /// Creates the record of a model of which only the manifest is known.
    pub(crate) fn new(manifest: &Manifest, installed_at: SystemTime) -> Self {
        Self {
            manifest_hash: manifest.digest(),
            total_size: manifest.known_bytes(),
            file_count: manifest.files().len() as u64,
            installed_at,
            source: None,
            model_type: None,
            tags: Vec::new(),
            metadata: Map::new(),
            offered_hash: None,
            pin: None,
            annotation: None,
            unsettled: None,
        }
    }

    /// Changes what is recorded, and keeps the annotation.
    pub(crate) fn annotate(&mut self, new: &Annotation) {
        let kept = self.annotation.get_or_insert_default();
        if let Some(model_type) = &new.model_type {
            self.model_type = Some(model_type.clone());
            kept.model_type = Some(model_type.clone());
        }
        if let Some(tags) = &new.tags {
            self.tags.clone_from(tags);
            kept.tags = Some(tags.clone());
        }
        for (key, value) in &new.metadata {
            if value.is_null() {
                self.metadata.remove(key);
            } else {
                self.metadata.insert(key.clone(), value.clone());
            }
            kept.metadata.insert(key.clone(), value.clone());
        }
    }

    /// Returns an entry with an annotation. What this version does not know stays as it was. `None` if the entry is
    /// malformed.
    pub(crate) fn annotated(entry: &Value, annotation: &Annotation) -> Option<Value> {
        Self::changed(entry, &ANNOTATED, |record| {
            record.annotate(annotation);
            true
        })
    }

    /// Returns an entry that keeps the annotation of the one it replaces, which its own takes precedence over; `None` if
    /// there is none to keep.
    pub(crate) fn inheriting(entry: &Value, before: &Value) -> Option<Value> {
        let kept = Self::deserialize(before).ok()?.annotation?;
        Self::changed(entry, &ANNOTATED, |record| {
            let own = record.annotation.take().unwrap_or_default();
            record.annotate(&kept);
            record.annotate(&own);
            true
        })
    }

    /// Returns an entry whose files come from another place, if they are those that are offered under this digest.
    pub(crate) fn repinned(entry: &Value, offered: Digest, pin: &Pin) -> Option<Value> {
        Self::changed(entry, &["pin"], |record| {
            record.pin = Some(pin.clone());
            record.offered() == offered
        })
    }

    /// Returns an entry with another boot under which it is unsettled, if it is still of this installation.
    pub(crate) fn marked(entry: &Value, of: &Self, boot: Option<&str>) -> Option<Value> {
        Self::changed(entry, &["unsettled"], |record| {
            let is_same = record.manifest_hash == of.manifest_hash
                && record.installed_at == of.installed_at
                && record.unsettled == of.unsettled;
            record.unsettled = boot.map(str::to_owned);
            is_same
        })
    }

    fn changed(
        entry: &Value,
        fields: &[&str],
        change: impl FnOnce(&mut Self) -> bool,
    ) -> Option<Value> {
        let mut record = Self::deserialize(entry).ok()?;
        if !change(&mut record) {
            return None;
        }
        let changed = record.to_entry().ok()?;
        let mut entry = entry.as_object()?.clone();
        for field in fields.iter().copied() {
            match changed.get(field) {
                Some(value) => entry.insert(field.to_owned(), value.clone()),
                None => entry.remove(field),
            };
        }
        Some(entry.into())
    }

    /// Returns the digest that a source offers this state under.
    pub(crate) fn offered(&self) -> Digest {
        self.offered_hash.unwrap_or(self.manifest_hash)
    }

    /// Returns the commit of its files, if its source has commits.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.pin.as_ref()?.state.commit()
    }

    /// Returns the entry for the file.
    pub(crate) fn to_entry(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// Returns whether an entry of the file can be read.
    pub(crate) fn is_readable(entry: &Value) -> bool {
        Self::deserialize(entry).is_ok()
    }
}

/// Everything that is installed, group → model → version; [`Entries`] is the form in which it is changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Records<R = ModelRecord>(BTreeMap<String, BTreeMap<String, BTreeMap<String, R>>>);

/// The file with everything in it, including what this version does not know.
pub(crate) type Entries = Records<Value>;

impl<R> Default for Records<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R> Records<R> {
    pub(crate) fn get(&self, model: &ModelRef) -> Option<&R> {
        self.0
            .get(model.group())?
            .get(model.model())?
            .get(model.version())
    }

    pub(crate) fn insert(&mut self, model: &ModelRef, record: R) {
        let models = self.0.entry(model.group().to_owned()).or_default();
        models
            .entry(model.model().to_owned())
            .or_default()
            .insert(model.version().to_owned(), record);
    }

    pub(crate) fn remove(&mut self, model: &ModelRef) -> Option<R> {
        let models = self.0.get_mut(model.group())?;
        let versions = models.get_mut(model.model())?;
        let record = versions.remove(model.version())?;
        if versions.is_empty() {
            models.remove(model.model());
        }
        if models.is_empty() {
            self.0.remove(model.group());
        }
        Some(record)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &R> {
        let models = self.0.values().flat_map(BTreeMap::values);
        models.flat_map(BTreeMap::values)
    }

    /// Returns everything in the order of names. An entry whose name could not be a folder is left out with a warning.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModelRef, &R)> {
        self.0.iter().flat_map(|(group, models)| {
            models.iter().flat_map(move |(model, versions)| {
                versions.iter().filter_map(move |(version, record)| {
                    match ModelRef::new(group, model, version) {
                        Ok(model) => Some((model, record)),
                        Err(error) => {
                            tracing::warn!(%error, "an entry of registry.json is left out");
                            None
                        }
                    }
                })
            })
        })
    }
}
