//! Reading the registry of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::SystemTime;

use toml::{Table, Value};

use super::write::{END, HEAD};
use super::{
    FileFacts, Files, Made, MadeFile, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry,
    digest_of,
};
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, ModelRef};
use crate::relpath::RelPath;
use crate::source::repository::about::json;
use crate::source::repository::wire::in_a_line;
use crate::time::parse_rfc3339;

/// What goes wrong in a table: its path in the file and what is the matter.
type Fault = String;

impl ProjectRegistry {
    /// Reads a registry; `location` names it in errors.
    pub(crate) fn parse(text: &str, location: &dyn Display) -> Result<Self> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            Error::from(ErrorKind::Registry {
                location: location.to_string(),
                message: "the registry is malformed".into(),
                source: Some(in_a_line(&error, text).into()),
            })
        })?;
        if is_cut_short(text) {
            return Err(Error::registry(location, "its end is missing"));
        }
        read(&mut table).map_err(|fault| Error::registry(location, fault))
    }
}

/// Whether the registry was written here, and what is there is only the beginning of it.
fn is_cut_short(text: &str) -> bool {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let first = lines.next().unwrap_or_default();
    let is_part = !first.is_empty() && HEAD.starts_with(first);
    is_part && !lines.any(|line| line.trim_end() == END)
}

fn read(table: &mut Table) -> Result<ProjectRegistry, Fault> {
    check_schema(table.remove("schema_version").as_ref())?;
    let mut others = std::mem::take(table);
    let table = &mut others;
    let mut made = Made {
        asset: text(table, "asset")?,
        files: BTreeMap::new(),
        models: lists(table, "models")?,
        examples: lists(table, "examples")?,
    };
    let root = text(table, "root")?.unwrap_or_default();
    let stated: BTreeMap<String, MadeFile> = tables(table, "files")?
        .into_iter()
        .map(|(name, mut file)| {
            let file =
                made_file(&mut file).map_err(|fault| format!("[files] '{name}': {fault}"))?;
            Ok((name, file))
        })
        .collect::<Result<_, Fault>>()?;
    let mut entries = BTreeMap::new();
    let mut listed: BTreeSet<String> = BTreeSet::new();
    for (id, mut entry) in tables(table, "entries")? {
        ModelName::parse(&id).map_err(|error| format!("[entries] {error}"))?;
        let files = made.models.remove(&id).unwrap_or_default();
        let read = entry_of(&mut entry, &id, &files, &stated);
        listed.extend(files);
        entries.insert(
            id.clone(),
            read.map_err(|fault| format!("[entries.{id}] {fault}"))?,
        );
    }
    let of_made: BTreeSet<&String> = made.models.values().flatten().collect();
    made.files = stated
        .into_iter()
        .filter(|(name, _)| !listed.contains(name) || of_made.contains(name))
        .collect();
    let targets = tables(table, "targets")?
        .into_iter()
        .map(|(id, mut target)| {
            let read = target_of(&mut target).map_err(|fault| format!("[targets.{id}] {fault}"))?;
            Ok((id, read))
        })
        .collect::<Result<_, Fault>>()?;
    let target_sets = lists(table, "target_sets")?
        .into_iter()
        .map(|(set, targets)| (set, targets.into_iter().collect()))
        .collect();
    Ok(ProjectRegistry {
        entries,
        targets,
        target_sets,
        root,
        made,
        others,
    })
}

fn check_schema(version: Option<&Value>) -> Result<(), Fault> {
    let is_known = match version {
        None => true,
        Some(Value::String(text)) => text.trim().split('.').next() == Some("1"),
        Some(Value::Integer(number)) => *number == 1,
        Some(Value::Float(number)) => (1.0..2.0).contains(number),
        Some(_) => false,
    };
    match is_known {
        true => Ok(()),
        false => Err("the registry has a schema_version that is not known here; 1 is".into()),
    }
}

fn entry_of(
    table: &mut Table,
    id: &str,
    listed: &[String],
    stated: &BTreeMap<String, MadeFile>,
) -> Result<ModelEntry, Fault> {
    let current = text(table, "current")?.ok_or("'current' is missing")?;
    let path = text(table, "path")?.ok_or("'path' is missing")?;
    if path != "." {
        rel_path(&path)?;
    }
    let mut versions = BTreeMap::new();
    for (version, mut fields) in tables(table, "versions")? {
        ModelRef::new("", "m", &version).map_err(|error| error.to_string())?;
        let read = version_of(&mut fields, version == current, listed, stated);
        let read = read.map_err(|fault| format!("version '{version}': {fault}"))?;
        versions.insert(version, read);
    }
    if !versions.contains_key(&current) {
        return Err(format!(
            "the current version '{current}' is not among its versions"
        ));
    }
    Ok(ModelEntry {
        name: text(table, "name")?.unwrap_or_else(|| id.to_owned()),
        description: text(table, "description")?.unwrap_or_default(),
        model_type: text(table, "type")?,
        tags: texts(table, "tags")?.into_iter().collect(),
        current,
        path,
        format: text(table, "format")?,
        entrypoint: text(table, "entrypoint")?,
        outputs: texts(table, "outputs")?,
        data: rel_paths(table, "data")?,
        code: rel_paths(table, "code")?,
        given: texts(table, "given")?.into_iter().collect(),
        versions,
        others: std::mem::take(table),
    })
}

fn version_of(
    table: &mut Table,
    is_current: bool,
    listed: &[String],
    stated: &BTreeMap<String, MadeFile>,
) -> Result<RegisteredVersion, Fault> {
    let mut files = files_of(table)?;
    if is_current {
        for name in listed {
            let path = rel_path(name)?;
            if files.contains_key(&path) {
                continue;
            }
            let facts = stated.get(name).and_then(|file| {
                Some(FileFacts {
                    digest: file.digest?,
                    size_bytes: file.size_bytes?,
                })
            });
            let facts = facts.ok_or_else(|| format!("[files] has no hash and size of '{name}'"))?;
            files.insert(path, facts);
        }
    }
    let metadata = match table.remove("metadata") {
        None => Metadata::new(),
        Some(Value::Table(table)) => table.into_iter().map(|(k, v)| (k, json(v))).collect(),
        Some(_) => return Err("'metadata' is no table".into()),
    };
    Ok(RegisteredVersion {
        registered_at: time(table)?,
        digest: digest(table, "digest")?.unwrap_or_else(|| digest_of(&files)),
        files,
        metadata,
    })
}

fn target_of(table: &mut Table) -> Result<TargetEntry, Fault> {
    let files = files_of(table)?;
    Ok(TargetEntry {
        path: rel_path(&text(table, "path")?.ok_or("'path' is missing")?)?,
        entrypoint: text(table, "entrypoint")?.ok_or("'entrypoint' is missing")?,
        model_output: text(table, "model_output")?.ok_or("'model_output' is missing")?,
        data: rel_paths(table, "data")?,
        registered_at: time(table)?,
        digest: digest(table, "digest")?.unwrap_or_else(|| digest_of(&files)),
        files,
        others: std::mem::take(table),
    })
}

fn files_of(table: &mut Table) -> Result<Files, Fault> {
    let mut files = Files::new();
    for (name, mut file) in tables(table, "files")? {
        let file = made_file(&mut file).map_err(|fault| format!("file '{name}': {fault}"))?;
        let (Some(digest), Some(size_bytes)) = (file.digest, file.size_bytes) else {
            return Err(format!("file '{name}' has no hash or no size"));
        };
        files.insert(rel_path(&name)?, FileFacts { digest, size_bytes });
    }
    Ok(files)
}

fn made_file(table: &mut Table) -> Result<MadeFile, Fault> {
    let size_bytes = match table.remove("size") {
        None => None,
        Some(Value::Integer(size)) => {
            Some(u64::try_from(size).map_err(|_| "its size is negative")?)
        }
        Some(_) => return Err("its size is no number".into()),
    };
    Ok(MadeFile {
        digest: digest(table, "hash")?,
        size_bytes,
        url: text(table, "url")?,
    })
}

/// Takes a digest; `None` when it is missing or of another algorithm.
fn digest(table: &mut Table, key: &str) -> Result<Option<Digest>, Fault> {
    let text = text(table, key)?.unwrap_or_default();
    Digest::read(&text).map_err(|_| format!("'{key}' is no digest"))
}

/// Takes when something was registered; what does not say it was long ago.
fn time(table: &mut Table) -> Result<SystemTime, Fault> {
    let text = match table.remove("registered_at") {
        None => return Ok(SystemTime::UNIX_EPOCH),
        Some(Value::Datetime(time)) => time.to_string(),
        Some(Value::String(text)) => text,
        Some(_) => String::new(),
    };
    parse_rfc3339(&text)
        .ok_or_else(|| "'registered_at' is no time as in 2026-01-31T12:00:00Z".into())
}

fn text(table: &mut Table, key: &str) -> Result<Option<String>, Fault> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("'{key}' is no text")),
    }
}

fn texts(table: &mut Table, key: &str) -> Result<Vec<String>, Fault> {
    match table.remove(key) {
        None => Ok(Vec::new()),
        Some(value) => list(value).ok_or_else(|| format!("'{key}' is no list of texts")),
    }
}

fn list(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else {
        return None;
    };
    let texts = values.into_iter().map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

fn rel_path(text: &str) -> Result<RelPath, Fault> {
    RelPath::parse(text).map_err(|error| error.to_string())
}

fn rel_paths(table: &mut Table, key: &str) -> Result<Vec<RelPath>, Fault> {
    let texts = texts(table, key)?;
    texts.iter().map(|text| rel_path(text)).collect()
}

fn tables(table: &mut Table, key: &str) -> Result<Vec<(String, Table)>, Fault> {
    let not_tables = || format!("[{key}] is no table of tables");
    let Some(value) = table.remove(key) else {
        return Ok(Vec::new());
    };
    let Value::Table(table) = value else {
        return Err(not_tables());
    };
    let tables = table.into_iter().map(|(name, value)| match value {
        Value::Table(table) => Ok((name, table)),
        _ => Err(not_tables()),
    });
    tables.collect()
}

fn lists(table: &mut Table, key: &str) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let not_lists = || format!("[{key}] is no table of lists");
    match table.remove(key) {
        None => Ok(BTreeMap::new()),
        Some(Value::Table(table)) => table
            .into_iter()
            .map(|(name, value)| Ok((name, list(value).ok_or_else(not_lists)?)))
            .collect(),
        Some(_) => Err(not_lists()),
    }
}
