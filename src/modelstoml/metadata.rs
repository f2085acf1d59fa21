//! What a registry says about its models beyond their files: what their publisher registered.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::pieces::{Piece, Room, entry_bytes, map_bytes};
use crate::catalog::Metadata;
use crate::error::Result;

/// The fields of an entry that describe the model to others, and their names there.
const FIELDS: [(&str, &str); 8] = [
    ("name", "name"),
    ("description", "description"),
    ("type", "type"),
    ("status", "status"),
    ("tags", "tags"),
    ("entrypoint", "entrypoint"),
    ("outputs", "outputs"),
    ("current", "version"),
];

/// Reads `[entries]`. The table is the publisher's own, so values of an unexpected form are ignored.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<String, Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// Under the names that others see.
    fields: Metadata,
    current: Option<String>,
    /// What the files of each version say.
    versions: BTreeMap<String, Metadata>,
}

impl Entries {
    /// Takes what a piece says about models; `location` names the registry in errors.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) when there is not enough room.
    pub(super) fn take(
        &mut self,
        mut piece: Piece<'_>,
        room: &mut Room,
        location: &dyn Display,
    ) -> Result<()> {
        if piece.is_element {
            return Ok(());
        }
        let names: Vec<&str> = piece.table.iter().map(|name| &**name).collect();
        let all = match names.as_slice() {
            ["entries", id, below @ ..] => {
                let bytes = self.entry(id, below, piece.values);
                return room.take(bytes, location);
            }
            ["entries"] => piece.values,
            [] => match piece.values.remove("entries").map(Spanned::into_inner) {
                Some(DeValue::Table(entries)) => entries,
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        for (id, entry) in all {
            if let DeValue::Table(values) = entry.into_inner() {
                let bytes = self.entry(id.get_ref(), &[], values);
                room.take(bytes, location)?;
            }
        }
        Ok(())
    }

    /// Takes the values of a table below an entry; returns about how many bytes they need.
    fn entry(&mut self, id: &str, below: &[&str], values: DeTable<'_>) -> usize {
        let mut bytes = 0;
        if !self.0.contains_key(id) {
            self.0.insert(id.to_owned(), Entry::default());
            bytes += id.len() + entry_bytes::<String, Entry>();
        }
        let Some(entry) = self.0.get_mut(id) else {
            return bytes;
        };
        match below {
            [] => {
                for (key, value) in values {
                    let field = FIELDS.iter().find(|(field, _)| field == key.get_ref());
                    match (field, value) {
                        (Some((_, name)), value) => {
                            let Some(value) = read(value) else { continue };
                            if *name == "version" {
                                entry.current = value.as_str().map(str::to_owned);
                            }
                            bytes += kept_bytes(&value);
                            entry.fields.insert((*name).to_owned(), value);
                        }
                        (None, value) if key.get_ref() == "versions" => {
                            bytes += entry.each_version(value.into_inner());
                        }
                        _ => {}
                    }
                }
                // A map has room for eleven entries from the first.
                bytes + MAP_BYTES
            }
            ["versions"] => bytes + entry.each_version(DeValue::Table(values)),
            ["versions", version] => bytes + entry.version(version, values),
            ["versions", version, "metadata", below @ ..] => {
                bytes + entry.metadata(version, below, values)
            }
            _ => bytes,
        }
    }

    /// Model → its metadata, where fields of the entry override those from the files.
    pub(super) fn metadata(self) -> BTreeMap<String, Metadata> {
        let models = self.0.into_iter().map(|(model, mut entry)| {
            let current = entry.current.as_ref();
            let of_files = current.and_then(|current| entry.versions.remove(current));
            let mut metadata = of_files.unwrap_or_default();
            metadata.append(&mut entry.fields);
            (model, metadata)
        });
        models.collect()
    }
}

impl Entry {
    fn each_version(&mut self, versions: DeValue<'_>) -> usize {
        let DeValue::Table(versions) = versions else {
            return 0;
        };
        let versions = versions.into_iter();
        let bytes = versions.map(|(version, value)| match value.into_inner() {
            DeValue::Table(values) => self.version(version.get_ref(), values),
            _ => 0,
        });
        bytes.sum()
    }

    fn version(&mut self, version: &str, mut values: DeTable<'_>) -> usize {
        match values.remove("metadata").map(Spanned::into_inner) {
            Some(DeValue::Table(values)) => self.metadata(version, &[], values),
            _ => 0,
        }
    }

    fn metadata(&mut self, version: &str, below: &[&str], values: DeTable<'_>) -> usize {
        let mut table = self.versions.entry(version.to_owned()).or_default();
        let mut bytes = version.len() + MAP_BYTES;
        for name in below {
            bytes += name.len() + MAP_BYTES;
            let place = table.entry(*name).or_insert_with(|| Metadata::new().into());
            match place {
                serde_json::Value::Object(below) => table = below,
                _ => return bytes,
            }
        }
        for (key, value) in values {
            if let Some(value) = read(value) {
                bytes += key.get_ref().len() + kept_bytes(&value);
                table.insert(key.into_inner().into_owned(), value);
            }
        }
        bytes
    }
}

/// What the first entries of a map take.
const MAP_BYTES: usize = map_bytes::<String, serde_json::Value>(1);

/// About how many bytes metadata take.
pub(super) fn metadata_bytes(metadata: &Metadata) -> usize {
    let values = metadata
        .iter()
        .map(|(key, value)| key.len() + kept_bytes(value));
    map_bytes::<String, serde_json::Value>(metadata.len()) + values.sum::<usize>()
}

/// About how many bytes a value takes.
fn kept_bytes(value: &serde_json::Value) -> usize {
    let below = match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(values) => values.iter().map(kept_bytes).sum(),
        serde_json::Value::Object(table) => metadata_bytes(table),
        _ => 0,
    };
    below + size_of::<serde_json::Value>()
}

/// About how many bytes a table takes.
#[cfg(feature = "author")]
pub(super) fn toml_bytes(table: &Table) -> usize {
    fn bytes(value: &Value) -> usize {
        let below = match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(bytes).sum(),
            Value::Table(table) => toml_bytes(table),
            _ => 0,
        };
        below + size_of::<Value>()
    }
    let values = table.iter().map(|(key, value)| key.len() + bytes(value));
    map_bytes::<String, Value>(table.len()) + values.sum::<usize>()
}

fn read(value: Spanned<DeValue<'_>>) -> Option<serde_json::Value> {
    let value = Value::deserialize(ValueDeserializer::from(value));
    value.ok().map(json)
}

pub(super) fn json_table(table: Table) -> Metadata {
    let values = table.into_iter().map(|(key, value)| (key, json(value)));
    values.collect()
}

/// Converts a value to JSON; a time becomes a string.
fn json(value: Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Boolean(is) => is.into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Table(table) => json_table(table).into(),
    }
}

#[cfg(feature = "author")]
pub(super) fn toml_table(metadata: &Metadata) -> Table {
    let values = metadata.iter();
    values
        .filter_map(|(key, value)| Some((key.clone(), toml(value)?)))
        .collect()
}

/// Converts a value to TOML, which has no `null` and no integers beyond 63 bits.
#[cfg(feature = "author")]
fn toml(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(is) => Value::Boolean(*is),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(values) => Value::Array(values.iter().filter_map(toml).collect()),
        serde_json::Value::Object(table) => Value::Table(toml_table(table)),
    })
}

/// Returns metadata as it is read again once it was written.
#[cfg(feature = "author")]
pub(crate) fn storable(metadata: &Metadata) -> Metadata {
    json_table(toml_table(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modelstoml::pieces::each_piece;

    fn about(text: &str) -> serde_json::Value {
        let (mut entries, mut room) = (Entries::default(), Room::default());
        each_piece(text, &"here", |piece| {
            entries.take(piece, &mut room, &"here")
        })
        .unwrap();
        serde_json::to_value(entries.metadata()).unwrap()
    }

    #[test]
    fn what_is_registered_of_a_model_is_told_with_what_its_files_say() {
        let told = about(
            "[entries.\"a/b\"]\nname = \"A\"\ntype = \"other\"\ntags = [\"x\"]\ncurrent = \"1.1.0\"\npath = \"a\"\n\
             [entries.\"a/b\".versions.\"1.0.0\".metadata]\nn = 1\n\
             [entries.\"a/b\".versions.\"1.1.0\".metadata]\nn = 2\nname = \"a\"\nat = 2026-01-31T12:00:00Z\n",
        );
        let expected = serde_json::json!({ "a/b": {
            "name": "A", "type": "other", "tags": ["x"], "version": "1.1.0", "n": 2, "at": "2026-01-31T12:00:00Z",
        } });
        assert_eq!(told, expected);
    }

    #[test]
    fn what_has_another_form_is_passed_over() {
        for (text, expected) in [
            ("", "{}"),
            ("entries = 3\n", "{}"),
            ("[entries]\na = []\n", "{}"),
            ("[entries.a]\n", r#"{"a":{}}"#),
            (
                "[entries.a]\ncurrent = 1\nversions = 2\n",
                r#"{"a":{"version":1}}"#,
            ),
            (
                "[entries.a]\ncurrent = \"1\"\nversions.1 = { metadata = 3 }\n",
                r#"{"a":{"version":"1"}}"#,
            ),
        ] {
            assert_eq!(about(text).to_string(), expected, "{text}");
        }
    }
}
