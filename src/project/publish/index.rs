//! The index of a chunked registry, `models.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::{PublishReport, WrittenVersion};
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::disk::write::replace_file;
use crate::error::{Error, IoContext, Result};
use crate::progress::CancelToken;
use crate::source::chunked;
use crate::store::lock::{FileLock, RECORD_LIMIT};

/// The index: group → model → version → what is said of it.
type Index = BTreeMap<String, BTreeMap<String, BTreeMap<String, Map<String, Value>>>>;

/// Adds versions and their aliases to the index, all at once, and reports which digests they had before.
pub(super) fn add_to_index(registry: &Path, versions: &mut [WrittenVersion]) -> Result<()> {
    let path = registry.join("models.json");
    let _lock = FileLock::acquire(
        &registry.join(".models.json.lock"),
        true,
        Some(RECORD_LIMIT),
        &CancelToken::new(),
        &|_| {},
    )?;
    let mut index: Index = match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).map_err(|error| {
            Error::registry_from(path.display(), "the index is malformed", error)
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Index::new(),
        Err(error) => return Err(error).at("read", &path),
    };
    for WrittenVersion { report, metadata } in versions {
        add_version(&mut index, report, metadata)?;
    }
    let mut json =
        serde_json::to_vec(&index).map_err(|error| Error::internal(error.to_string()))?;
    json.push(b'\n');
    chunked::check_index(&json, None, path.display())?;
    replace_file(&path, &json)
}

fn add_version(index: &mut Index, report: &mut PublishReport, metadata: &Metadata) -> Result<()> {
    let model = &report.model;
    let versions = index
        .entry(model.group().to_owned())
        .or_default()
        .entry(model.model().to_owned())
        .or_default();
    let mut entry = Map::new();
    entry.insert("hash".into(), report.manifest_digest.to_string().into());
    if !metadata.is_empty() {
        entry.insert("metadata".into(), Value::Object(metadata.clone()));
    }
    let before = versions.insert(model.version().to_owned(), entry);
    for alias in report.aliases.iter().collect::<BTreeSet<_>>() {
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
    report.replaced = before.filter(|before| *before != report.manifest_digest);
    Ok(())
}
