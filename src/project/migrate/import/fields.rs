//! The fields of an entry. One that is missing or `null` is `None`; so is one that is malformed, which makes the whole
//! entry a fault.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::modelstoml::{FileFacts, Files, storable};
use crate::relpath::{RelPath, check_distinct};
use crate::time::parse_any;

/// How deep the metadata of a model may be nested: the TOML that keeps it is read to a depth of 80.
const MAX_METADATA_DEPTH: usize = 32;

/// What is wrong with an entry.
pub(super) type Fault = String;

/// Digests by the paths of their files; `None` for one that is not a SHA-256.
pub(super) type Digests = BTreeMap<String, Option<Digest>>;

/// The fields of an entry.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    table: &'a Map<String, Value>,
    /// The first fault that was found.
    fault: RefCell<Option<Fault>>,
}

impl<'a> Fields<'a> {
    /// Reads an entry.
    ///
    /// # Errors
    /// The first fault in it.
    pub(super) fn read<T>(value: &'a Value, read: impl FnOnce(&Self) -> T) -> Result<T, Fault> {
        let fields = Self {
            table: value.as_object().ok_or("it is not a table")?,
            fault: RefCell::default(),
        };
        let read = read(&fields);
        match fields.fault.into_inner() {
            None => Ok(read),
            Some(fault) => Err(fault),
        }
    }

    /// Returns what was read, and records why it could not be.
    pub(super) fn check<T>(&self, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| {
            self.fault.borrow_mut().get_or_insert(fault);
        })
        .ok()
    }

    /// Returns a value, or its default, which is a fault.
    pub(super) fn require<T: Default>(&self, value: Option<T>, fault: &str) -> T {
        let value = self.check(value.ok_or_else(|| fault.to_owned()));
        value.unwrap_or_default()
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key).filter(|value| !value.is_null())
    }

    /// Returns a value of the kind that `read` accepts; anything else is a fault.
    pub(super) fn typed<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.get(key)?);
        self.check(value.ok_or_else(|| format!("'{key}' is not a {kind}")))
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.typed(key, "string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.typed(key, "list of strings", |value| Vec::deserialize(value).ok())
    }

    /// Returns the members of a table; none if it is missing.
    pub(super) fn members(&self, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let table = self.typed(key, "table", Value::as_object);
        table.into_iter().flatten()
    }

    /// Returns a size that TOML has a number for.
    pub(super) fn size(&self, key: &str) -> Option<u64> {
        self.typed(key, "number of bytes", |value| {
            u64::try_from(value.as_i64()?).ok()
        })
    }

    /// Returns a time in microseconds, as the project's registry keeps it.
    pub(super) fn time(&self, key: &str) -> Option<SystemTime> {
        self.typed(key, "time such as 2026-01-31T12:00:00Z", |value| {
            let time = parse_any(value.as_str()?)?;
            let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let micros = u64::try_from(since.as_micros()).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
        })
    }

    /// Returns a path in the form that the project uses.
    pub(super) fn path(&self, key: &str) -> Option<String> {
        self.text(key).map(|path| normal(&path))
    }

    /// Returns a digest; `None` also if it is not a SHA-256.
    pub(super) fn digest(&self, key: &str) -> Option<Digest> {
        digest(&self.text(key)?)
    }

    /// Returns files with their digests and sizes, as reports of this crate have them.
    pub(super) fn files(&self, key: &str) -> Option<Files> {
        self.get(key)?;
        let files = self.members(key).map(|(path, value)| file(path, value));
        let files: Files = self.check(files.collect())?;
        let distinct = check_distinct(files.keys()).map_err(|error| error.to_string());
        self.check(distinct.map(|()| files))
    }

    /// Returns free-form facts, without what TOML has no form for.
    pub(super) fn metadata(&self, key: &str) -> Metadata {
        let metadata = self.typed(key, "table", Value::as_object).map(|table| {
            let is_too_deep = |value| depth_of(value) > MAX_METADATA_DEPTH;
            match table.values().any(is_too_deep) {
                true => Err(format!("'{key}' is nested too deeply")),
                false => Ok(storable(table)),
            }
        });
        metadata
            .and_then(|read| self.check(read))
            .unwrap_or_default()
    }
}

fn file(path: &str, value: &Value) -> Result<(RelPath, FileFacts), Fault> {
    let path = RelPath::parse(&normal(path)).map_err(|error| error.to_string())?;
    let facts = Fields::read(value, |fields| {
        fields.digest("sha256").zip(fields.size("size_bytes"))
    });
    let (digest, size_bytes) =
        facts?.ok_or_else(|| format!("file '{path}' has no sha256 or no size_bytes"))?;
    Ok((path, FileFacts { digest, size_bytes }))
}

fn depth_of(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(list) => list.iter().map(depth_of).max(),
        Value::Object(table) => table.values().map(depth_of).max(),
        _ => None,
    };
    1 + deepest.unwrap_or(0)
}

/// Returns a path with `/` between its components, whatever system it was written on, and without a `./` in front.
pub(super) fn normal(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut rest = path.as_str();
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter.trim_start_matches('/');
    }
    match rest {
        "" if !path.is_empty() => ".".into(),
        rest => rest.to_owned(),
    }
}

/// Reads a digest; `None` if it is not a SHA-256.
pub(super) fn digest(text: &str) -> Option<Digest> {
    Digest::read(text).ok()?
}
