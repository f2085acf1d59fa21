//! The models of an index without shards, or of a shard.
//!
//! Of an index of tens of thousands of versions, few are looked into. The others are texts, which take a tenth of what values
//! take, and are written as they are: what a later version of this crate says of a version stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::WrittenVersion;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// The name of the index.
pub(super) const INDEX: &str = "models.json";

/// Group → model → its versions.
pub(super) type Models = BTreeMap<String, BTreeMap<String, ModelText>>;
/// Version → what is said of it.
pub(super) type Versions = BTreeMap<String, VersionText>;

/// The versions of a model, as they are written: without spaces, and with keys in order.
#[derive(Debug, Serialize)]
pub(super) struct ModelText(Box<RawValue>);

/// What is said of a version: each value is a text, of which few are read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct VersionText(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for ModelText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let versions = BTreeMap::<String, Map<String, Value>>::deserialize(deserializer)?;
        let text = to_raw_value(&versions).map_err(serde::de::Error::custom)?;
        Ok(Self(text))
    }
}

impl ModelText {
    pub(super) fn versions(&self) -> Result<Versions> {
        serde_json::from_str(self.0.get()).map_err(|error| Error::internal(error.to_string()))
    }
}

impl VersionText {
    /// Returns whether something is said by this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns what is said by a key, if that can be read so.
    pub(super) fn get<'v, T: Deserialize<'v>>(&'v self, key: &str) -> Option<T> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    /// Returns the digest by a key.
    pub(super) fn digest(&self, key: &str) -> Option<Digest> {
        self.get::<String>(key)?.parse().ok()
    }

    fn set(&mut self, key: &str, value: &impl Serialize) -> Result<()> {
        self.0.insert(key.to_owned(), text_of(value)?);
        Ok(())
    }
}

fn text_of(value: &impl Serialize) -> Result<Box<RawValue>> {
    to_raw_value(value).map_err(|error| Error::internal(error.to_string()))
}

/// Reads an index without shards, or a shard: the document with this name in the registry at the location.
pub(super) fn read_models<T: DeserializeOwned>(
    json: &[u8],
    (location, name): (&dyn Display, &str),
) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        Error::damaged_target(format_args!("{location}/{name}"), Some(error.into()))
    })
}

/// Writes an index without shards, or a shard.
pub(super) fn document(models: &Models) -> Result<Vec<u8>> {
    let mut json =
        serde_json::to_vec(models).map_err(|error| Error::internal(error.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

/// Adds a version to models.
pub(super) fn add_version(models: &mut Models, written: &mut WrittenVersion) -> Result<()> {
    let model = &written.model;
    let of_group = models.entry(model.group().to_owned()).or_default();
    let known = of_group.get(model.model());
    let mut versions = known.map_or(Ok(Versions::new()), ModelText::versions)?;
    let mut entry = VersionText::default();
    entry.set("hash", &written.manifest_digest)?;
    if written.metadata.json() != "{}" {
        entry.set("metadata", &written.metadata)?;
    }
    if let Some(source) = &written.source {
        entry.set("source_hash", source)?;
    }
    let before = versions.insert(model.version().to_owned(), entry);
    for alias in written.aliases.iter().collect::<BTreeSet<_>>() {
        let is_version = |entry: &VersionText| !entry.has("alias_of");
        let fault = if let Err(error) = crate::model::check_version(alias) {
            Some(error.reason())
        } else if alias == model.version() {
            Some("is the version itself")
        } else {
            versions
                .get(alias)
                .is_some_and(is_version)
                .then_some("is a version")
        };
        if let Some(fault) = fault {
            return Err(Error::argument(format!(
                "the alias '{}' of {}/{} {fault}",
                alias.escape_debug(),
                model.group(),
                model.model()
            )));
        }
        let mut entry = VersionText::default();
        entry.set("alias_of", &model.version())?;
        versions.insert(alias.clone(), entry);
    }
    let text = ModelText(text_of(&versions)?);
    of_group.insert(model.model().to_owned(), text);
    let before = before.and_then(|entry| entry.digest("hash"));
    // An index that was changed already has the version itself.
    let before = before.filter(|before| *before != written.manifest_digest);
    written.replaced = before.or(written.replaced);
    Ok(())
}
