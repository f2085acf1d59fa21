//! The file of a registry as values, and which program's registry it is.

use std::fs::File;
use std::io::Read;
use std::mem;
use std::path::Path;

use serde_json::{Map, Value};

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

/// The tables, or lists, of entries.
pub(super) const TABLES: [&str; 2] = ["models", "targets"];

/// Takes the entries of [`TABLES`] one by one, since values take many times what is kept of them: the table, the key if it
/// is no list, and the entry.
pub(super) type TakeEntry<'t> = dyn FnMut(&str, Option<String>, Value) + 't;

/// The same, and which program's registry it is.
type TakeEntryOf<'t> = dyn FnMut(DocumentKind, &str, Option<String>, Value) + 't;

/// Reads a file by its extension, else by how it begins; returns the value, which is a table, without the entries that were
/// passed on.
pub(super) fn read(path: &Path, take: &mut TakeEntryOf<'_>) -> Result<Value> {
    let text = read_text(path)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let kind = match extension.to_str() {
        Some("json") => DocumentKind::Records,
        Some("yaml" | "yml") => DocumentKind::Bundle,
        _ if text.trim_start().starts_with('{') => DocumentKind::Records,
        _ => DocumentKind::Bundle,
    };
    let take: &mut TakeEntry<'_> = &mut |table, id, entry| take(kind, table, id, entry);
    let (value, tables): (_, &[&str]) = match kind {
        DocumentKind::Records => (json::parse(&text, take), &["models"]),
        DocumentKind::Bundle => (yaml::parse(&text).map(|it| pass_on(it, take)), &TABLES),
    };
    let value = value.map_err(|message| {
        let refusal = format!("cannot read the file: it must be {ACCEPTED}");
        Error::registry_from(path.display(), refusal, message)
    })?;
    let has = |table: &&str| value.get(table).is_some_and(|value| !value.is_null());
    match tables.iter().any(has) {
        true => Ok(value),
        false => Err(neither(path)),
    }
}

/// Passes the entries of a document on.
fn pass_on(mut document: Value, take: &mut TakeEntry<'_>) -> Value {
    for table in TABLES {
        let Some(place) = document.get_mut(table) else {
            continue;
        };
        *place = match mem::take(place) {
            Value::Object(entries) => {
                let entries = entries.into_iter();
                entries.for_each(|(id, entry)| take(table, Some(id), entry));
                Value::Object(Map::new())
            }
            Value::Array(entries) => {
                let entries = entries.into_iter();
                entries.for_each(|entry| take(table, None, entry));
                Value::Array(Vec::new())
            }
            other => other,
        };
    }
    document
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
