//! The fields of what another program registered, read one by one: what is missing or `null` is nothing, what is of
//! another type is a fault of its entry.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::modelstoml::{FileFacts, Files};
use crate::relpath::RelPath;
use crate::time::parse_any;

/// How deep the metadata of a model may be nested: TOML, in which it is kept, is read to a depth of 80.
const MAX_METADATA_DEPTH: usize = 32;

/// What is the matter with an entry.
pub(super) type Fault = String;

/// The fields of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Self, Fault> {
        value
            .as_object()
            .map(Self)
            .ok_or("it is not a table".into())
    }

    pub(super) fn over(table: &'a Map<String, Value>) -> Self {
        Self(table)
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, key: &str) -> Result<Option<String>, Fault> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.read(key, "string", text)
    }

    pub(super) fn texts(self, key: &str) -> Result<Option<Vec<String>>, Fault> {
        self.read(key, "list of strings", |value| {
            let texts = value.as_array()?.iter();
            texts.map(|text| text.as_str().map(str::to_owned)).collect()
        })
    }

    pub(super) fn table(self, key: &str) -> Result<Option<Fields<'a>>, Fault> {
        self.read(key, "table", |value| value.as_object().map(Self))
    }

    pub(super) fn entries(self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.0.iter()
    }

    /// A size that TOML has a number for.
    pub(super) fn size(self, key: &str) -> Result<Option<u64>, Fault> {
        self.read(key, "number of bytes", |value| {
            value.as_i64().and_then(|size| u64::try_from(size).ok())
        })
    }

    /// A time, to the second.
    pub(super) fn time(self, key: &str) -> Result<Option<SystemTime>, Fault> {
        self.read(key, "time such as 2026-01-31T12:00:00Z", |value| {
            let time = parse_any(value.as_str()?)?;
            let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            let micros = u64::try_from(since.as_micros()).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
        })
    }

    /// A path as the project has it.
    pub(super) fn path(self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.text(key)?.map(|path| normal(&path)))
    }

    /// A digest; `None` also when it is not a SHA-256.
    pub(super) fn digest(self, key: &str) -> Result<Option<Digest>, Fault> {
        Ok(self.text(key)?.and_then(|text| digest(&text)))
    }

    /// Files with their digests and sizes, as reports of this crate have them.
    pub(super) fn files(self, key: &str) -> Result<Option<Files>, Fault> {
        let Some(table) = self.table(key)? else {
            return Ok(None);
        };
        let mut files = Files::new();
        for (path, value) in table.entries() {
            let fields = Self::of(value)?;
            let path = RelPath::parse(&normal(path)).map_err(|error| error.to_string())?;
            let facts = fields.digest("sha256")?.zip(fields.size("size_bytes")?);
            let (digest, size_bytes) =
                facts.ok_or_else(|| format!("file '{path}' has no sha256 or no size_bytes"))?;
            files.insert(path, FileFacts { digest, size_bytes });
        }
        crate::relpath::check_distinct(files.keys()).map_err(|error| error.to_string())?;
        Ok(Some(files))
    }

    /// Free-form facts, without what TOML has nothing for.
    pub(super) fn metadata(self, key: &str) -> Result<Metadata, Fault> {
        let Some(table) = self.table(key)? else {
            return Ok(Metadata::new());
        };
        let mut metadata = Metadata::new();
        for (name, value) in table.entries() {
            let value = storable(value, MAX_METADATA_DEPTH);
            let value = value.map_err(|TooDeep| format!("'{key}' is nested too deeply"))?;
            metadata.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(metadata)
    }

    fn read<T>(
        self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let read = read(value).ok_or_else(|| format!("'{key}' is not a {kind}"));
        read.map(Some)
    }
}

/// Digests by the paths of their files.
pub(super) type Digests = BTreeMap<String, Option<Digest>>;

/// A path with `/` between its components, whatever system it was written on, and without a `./` in front.
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

/// Reads a digest; `None` when there is none to read.
pub(super) fn digest(text: &str) -> Option<Digest> {
    Digest::read(text).ok()?
}

struct TooDeep;

/// What TOML can keep of a value, as it will be read again; `None` for nothing.
fn storable(value: &Value, depth: usize) -> Result<Option<Value>, TooDeep> {
    let depth = depth.checked_sub(1).ok_or(TooDeep)?;
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Number(number) if number.as_i64().is_none() => number.as_f64().into(),
        Value::Array(list) => {
            let kept = list.iter().map(|value| storable(value, depth));
            Value::Array(
                kept.filter_map(Result::transpose)
                    .collect::<Result<_, _>>()?,
            )
        }
        Value::Object(table) => {
            let mut kept = Map::new();
            for (key, value) in table {
                let value = storable(value, depth)?;
                kept.extend(value.map(|value| (key.clone(), value)));
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }))
}
