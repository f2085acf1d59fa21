//! The file of a registry as a value, and which program's registry it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::{json, yaml};
use crate::error::{Error, IoContext, Result};
use crate::modelstoml::MAX_REGISTRY_BYTES;
use crate::project::scan::formats::decode;
use crate::size::size;

/// What is accepted, for the error about anything else.
const ACCEPTED: &str = "a registry.yaml of modelops, with 'models' or 'targets', or a model_registry.json, with 'models'";

/// Which program's registry a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentKind {
    /// `registry.yaml` of modelops.
    Bundle,
    /// `model_registry.json`.
    Records,
}

/// Reads a file by its extension, else by how it begins. The value is a table.
pub(super) fn read(path: &Path) -> Result<(DocumentKind, Value)> {
    let text = read_text(path)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let kind = match extension.to_str() {
        Some("json") => DocumentKind::Records,
        Some("yaml" | "yml") => DocumentKind::Bundle,
        _ if text.trim_start().starts_with('{') => DocumentKind::Records,
        _ => DocumentKind::Bundle,
    };
    let (value, tables): (_, &[&str]) = match kind {
        DocumentKind::Records => (json::parse(&text), &["models"]),
        DocumentKind::Bundle => (yaml::parse(&text), &["models", "targets"]),
    };
    let value = value.map_err(|message| {
        let refusal = format!("cannot read the file: it must be {ACCEPTED}");
        Error::registry_from(path.display(), refusal, message)
    })?;
    let has = |table: &&str| value.get(table).is_some_and(|value| !value.is_null());
    match tables.iter().any(has) {
        true => Ok((kind, value)),
        false => Err(neither(path)),
    }
}

fn neither(path: &Path) -> Error {
    let message = format!("the file is not a registry that can be imported: it must be {ACCEPTED}");
    Error::registry(path.display(), message)
}

fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path).at("read", path)?;
    if file.metadata().at("read", path)?.is_dir() {
        return Err(neither(path));
    }
    let mut bytes = Vec::new();
    // The limit holds even if the file grows while it is read.
    file.take(MAX_REGISTRY_BYTES + 1)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    if bytes.len() as u64 > MAX_REGISTRY_BYTES {
        let most = size(MAX_REGISTRY_BYTES);
        let message = format!("has more than the {most} that it may have");
        return Err(Error::registry(path.display(), message));
    }
    decode(&bytes).map_err(|_| Error::registry(path.display(), "the registry is not UTF-8"))
}
