//! The index of a chunked registry, `models.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::{Map, Value};

use super::WrittenVersion;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::publish::RegistryWriter;
use crate::source::chunked;

/// The index: group → model → version → what is said of it.
type Index = BTreeMap<String, BTreeMap<String, BTreeMap<String, Map<String, Value>>>>;

/// Adds versions and their aliases to the index, all at once, and learns which digests they had before.
pub(crate) fn add_to_index(
    registry: &dyn RegistryWriter,
    location: &dyn Display,
    versions: &mut [WrittenVersion],
) -> Result<()> {
    registry.change_index(&mut |before| {
        let mut index: Index = match before {
            Some(json) => serde_json::from_slice(json)
                .map_err(|error| Error::registry_from(location, "the index is malformed", error))?,
            None => Index::new(),
        };
        for version in &mut *versions {
            add_version(&mut index, version)?;
        }
        let mut json =
            serde_json::to_vec(&index).map_err(|error| Error::internal(error.to_string()))?;
        json.push(b'\n');
        chunked::check_index(&json, None, location)?;
        Ok(json)
    })
}

fn add_version(index: &mut Index, written: &mut WrittenVersion) -> Result<()> {
    let model = &written.model;
    let versions = index
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
    written.replaced = before.filter(|before| *before != written.manifest_digest);
    Ok(())
}
