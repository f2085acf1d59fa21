//! What a registry says about its models beyond their files: what their publisher registered.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::catalog::Metadata;

/// The fields of an entry that describe the model to others, and their names there.
const FIELDS: [(&str, &str); 7] = [
    ("name", "name"),
    ("description", "description"),
    ("type", "type"),
    ("tags", "tags"),
    ("entrypoint", "entrypoint"),
    ("outputs", "outputs"),
    ("current", "version"),
];

/// Reads `[entries]`: model → its metadata, where fields of the entry override those from the files. The table is the
/// publisher's own, so values of an unexpected form are ignored.
pub(super) fn of_entries(entries: Value) -> BTreeMap<String, Metadata> {
    let Value::Table(entries) = entries else {
        return BTreeMap::new();
    };
    let models = entries.into_iter().filter_map(|(model, entry)| {
        let Value::Table(mut entry) = entry else {
            return None;
        };
        let mut metadata = of_files(&mut entry).unwrap_or_default();
        for (key, name) in FIELDS {
            let value = entry.remove(key);
            metadata.extend(value.map(|value| (name.to_owned(), json(value))));
        }
        Some((model, metadata))
    });
    models.collect()
}

/// What the files of the current version say.
fn of_files(entry: &mut Table) -> Option<Metadata> {
    let current = entry.get("current")?.as_str()?.to_owned();
    let version = entry.get_mut("versions")?.get_mut(current)?;
    match version.as_table_mut()?.remove("metadata") {
        Some(Value::Table(metadata)) => Some(json_table(metadata)),
        _ => None,
    }
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

    fn about(text: &str) -> serde_json::Value {
        let mut table: Table = text.parse().unwrap();
        let entries = table.remove("entries").unwrap_or(Value::Integer(0));
        serde_json::to_value(of_entries(entries)).unwrap()
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
