//! The models of an index without shards, or of a shard.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::{Map, Value};

use super::WrittenVersion;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Group → model → its versions.
pub(super) type Models = BTreeMap<String, BTreeMap<String, Versions>>;
/// Version → what is said of it.
pub(super) type Versions = BTreeMap<String, Map<String, Value>>;

/// Reads an index without shards, or a shard.
pub(super) fn read_models(json: &[u8], location: &dyn Display) -> Result<Models> {
    serde_json::from_slice(json)
        .map_err(|error| Error::registry_from(location, "the index is malformed", error))
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
    let versions = models
        .entry(model.group().to_owned())
        .or_default()
        .entry(model.model().to_owned())
        .or_default();
    let mut entry = Map::new();
    entry.insert("hash".into(), written.manifest_digest.to_string().into());
    if !written.metadata.is_empty() {
        let metadata = Value::Object(written.metadata.clone());
        entry.insert("metadata".into(), metadata);
    }
    if let Some(source) = written.source {
        entry.insert("source_hash".into(), source.to_string().into());
    }
    let before = versions.insert(model.version().to_owned(), entry);
    for alias in written.aliases.iter().collect::<BTreeSet<_>>() {
        let is_version = |entry: &Map<_, _>| !entry.contains_key("alias_of");
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
        let entry = ("alias_of".into(), model.version().into());
        versions.insert(alias.clone(), Map::from_iter([entry]));
    }
    let before = before.and_then(|entry| entry.get("hash")?.as_str()?.parse::<Digest>().ok());
    // An index that was changed already has the version itself.
    let before = before.filter(|before| *before != written.manifest_digest);
    written.replaced = before.or(written.replaced);
    Ok(())
}
