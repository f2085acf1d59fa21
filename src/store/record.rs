//! `registry.json`: what is installed. [`crate::installed`] shows its format.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::catalog::{Metadata, Pin, RawMetadata};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::model::{ModelName, ModelRef};
use crate::setters::setters;
use crate::sorted::SortedMap;

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
    /// Whether somebody made its files by hand: no source has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) made_by_hand: bool,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) model_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(default, skip_serializing_if = "RawMetadata::is_empty")]
    pub(crate) metadata: RawMetadata,
    /// The digest that the source offered it under, if that is not the manifest's: sizes were measured later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offered_hash: Option<Digest>,
    /// Where its files came from, for sources that identify them by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<Box<Pin>>,
    /// What takes precedence over whatever its source states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotation: Option<Box<Annotation>>,
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
/// let annotation = Annotation::default()
///     .model_type("image-classification")
///     .add_tags(["reviewed"])
///     .remove_tags(["images"])
///     .metadata(metadata);
/// let model = manager.annotate(&"digits/logistic v1".parse()?, &annotation)?;
/// assert_eq!(model.model_type.as_deref(), Some("image-classification"));
/// assert_eq!(model.tags, ["digits", "reviewed"]);
/// assert_eq!(model.metadata.to_map()["reviewed_by"], "Ada");
/// assert_eq!(model.description(), None, "`null` has removed it");
///
/// let only = Annotation::default().tags(["mine"]);
/// assert_eq!(manager.annotate(&"digits/logistic v1".parse()?, &only)?.tags, ["mine"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Annotation {
    /// The type, such as `text-generation`; an empty one removes the type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// The tags, in place of those that are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Tags to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_tags: Vec<String>,
    /// Tags to remove, unless they are added as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_tags: Vec<String>,
    /// Metadata to add or replace; a key whose value is `null` is removed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Metadata,
}

setters!(Annotation {
    model_type: Some(impl Into<String>),
    tags: Some([impl Into<String>]),
    add_tags: [impl Into<String>],
    remove_tags: [impl Into<String>],
    metadata: Metadata,
});

impl Annotation {
    /// Returns what becomes of the tags that are recorded.
    fn tagged(&self, recorded: &[String]) -> Vec<String> {
        let mut tags = self.tags.as_deref().unwrap_or(recorded).to_vec();
        tags.retain(|tag| !self.remove_tags.contains(tag));
        add_missing(&mut tags, &self.add_tags);
        tags
    }

    /// Adds a later annotation, which takes precedence.
    fn extend(&mut self, later: &Self) {
        if later.model_type.is_some() {
            self.model_type.clone_from(&later.model_type);
        }
        if later.tags.is_some() {
            self.tags.clone_from(&later.tags);
            self.add_tags.clear();
            self.remove_tags.clear();
        }
        self.add_tags.retain(|tag| !later.remove_tags.contains(tag));
        self.remove_tags.retain(|tag| !later.add_tags.contains(tag));
        add_missing(&mut self.add_tags, &later.add_tags);
        add_missing(&mut self.remove_tags, &later.remove_tags);
        self.metadata.extend(later.metadata.clone());
    }
}

/// Sets a key of the metadata; `null` removes it.
fn state(metadata: &mut Metadata, key: &str, value: Value) {
    match value {
        Value::Null => metadata.remove(key),
        value => metadata.insert(key.to_owned(), value),
    };
}

fn add_missing(tags: &mut Vec<String>, more: &[String]) {
    for tag in more {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
}

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
            made_by_hand: false,
            model_type: None,
            tags: Vec::new(),
            metadata: RawMetadata::default(),
            offered_hash: None,
            pin: None,
            annotation: None,
            unsettled: None,
        }
    }

    /// Changes what is recorded, and keeps the annotation. The metadata, too, state the type and the tags.
    pub(crate) fn annotate(&mut self, new: &Annotation) {
        let mut metadata = self.metadata.to_map();
        for (key, value) in &new.metadata {
            state(&mut metadata, key, value.clone());
        }
        if let Some(model_type) = &new.model_type {
            self.model_type = (!model_type.is_empty()).then(|| model_type.clone());
            state(&mut metadata, "type", self.model_type.clone().into());
        }
        let tags = new.tagged(&self.tags);
        if tags != self.tags {
            let stated = (!tags.is_empty()).then(|| tags.clone());
            state(&mut metadata, "tags", stated.into());
            self.tags = tags;
        }
        self.metadata = (&metadata).into();
        self.annotation.get_or_insert_default().extend(new);
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
            record.pin = Some(pin.clone().into());
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
pub(crate) struct Records<R = ModelRecord>(Named<Named<Named<R>>>);

/// Most models have one version.
type Named<T> = SortedMap<String, T>;

/// The file with everything in it, including what this version does not know.
pub(crate) type Entries = Records<Entry>;

/// An entry of the file. Of thousands, one is changed at a time: the others are written as they were read.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    Read(Box<RawValue>),
    Changed(Value),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self::Read)
    }
}

impl From<Value> for Entry {
    fn from(entry: Value) -> Self {
        Self::Changed(entry)
    }
}

impl Entry {
    /// Returns the entry as a value; `null` if it has a number that none can be.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Read(json) => serde_json::from_str(json.get()).unwrap_or_default(),
            Self::Changed(entry) => entry.clone(),
        }
    }

    /// Returns what the entry says; `None` if it is malformed.
    pub(crate) fn record(&self) -> Option<ModelRecord> {
        match self {
            Self::Read(json) => serde_json::from_str(json.get()).ok(),
            Self::Changed(entry) => ModelRecord::deserialize(entry).ok(),
        }
    }
}

impl<R> Default for Records<R> {
    fn default() -> Self {
        Self(SortedMap::new())
    }
}

impl<R> Records<R> {
    pub(crate) fn get(&self, model: &ModelRef) -> Option<&R> {
        self.0
            .get(model.group())?
            .get(model.model())?
            .get(model.version())
    }

    /// Returns the versions of a model, in order.
    pub(crate) fn versions_of(&self, name: &ModelName) -> impl Iterator<Item = ModelRef> {
        let models = self.0.get(name.group());
        let versions = models.and_then(|models| models.get(name.model()));
        let versions = versions.into_iter().flat_map(SortedMap::keys);
        versions.filter_map(|version| entry_of(name.group(), name.model(), version))
    }

    pub(crate) fn insert(&mut self, model: &ModelRef, record: R) {
        let models = self.0.get_or_default(model.group().to_owned());
        let versions = models.get_or_default(model.model().to_owned());
        versions.insert(model.version().to_owned(), record);
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
        let models = self.0.values().flat_map(SortedMap::values);
        models.flat_map(SortedMap::values)
    }

    /// Returns everything in the order of names. An entry whose name could not be a folder is left out with a warning.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModelRef, &R)> {
        self.0.iter().flat_map(|(group, models)| {
            models.iter().flat_map(move |(model, versions)| {
                versions.iter().filter_map(move |(version, record)| {
                    Some((entry_of(group, model, version)?, record))
                })
            })
        })
    }

    /// Returns the same as [`Records::iter`], by value.
    pub(crate) fn into_models(self) -> impl Iterator<Item = (ModelRef, R)> {
        self.0.into_iter().flat_map(|(group, models)| {
            models.into_iter().flat_map(move |(model, versions)| {
                let group = group.clone();
                versions.into_iter().filter_map(move |(version, record)| {
                    Some((entry_of(&group, &model, &version)?, record))
                })
            })
        })
    }
}

/// Returns the name of an entry, if it could be that of a folder.
fn entry_of(group: &str, model: &str, version: &str) -> Option<ModelRef> {
    let named = ModelRef::new(group, model, version);
    named
        .inspect_err(|error| tracing::warn!(%error, "an entry of registry.json is left out"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written_anew() {
        let kept = r#"{ "later":1.50,"manifest_hash" : "x" }"#;
        let json = format!(
            r#"{{"g": {{"n": {{"v1": {kept}}}, "m": {{"v": {{}}}}}}, "../g": {{"m": {{"v": 1}}}}}}"#
        );
        let mut entries: Entries = serde_json::from_str(&json).unwrap();
        let name = |model: &str, version| ModelRef::new("g", model, version).unwrap();
        entries.insert(&name("n", "v2"), serde_json::json!({"a": 1}).into());
        assert!(entries.remove(&name("m", "v")).is_some());
        assert_eq!(
            serde_json::to_string(&entries).unwrap(),
            format!(r#"{{"../g":{{"m":{{"v":1}}}},"g":{{"n":{{"v1":{kept},"v2":{{"a":1}}}}}}}}"#)
        );
        let [first, second, gone] = [("n", "v1"), ("n", "v2"), ("m", "v")].map(|(m, v)| name(m, v));
        assert_eq!(entries.versions_of(gone.name()).count(), 0);
        assert!(
            entries
                .versions_of(first.name())
                .eq([first.clone(), second])
        );
    }
}
