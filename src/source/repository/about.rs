//! What a registry says of its models beyond their files: what their publisher registered.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::catalog::Metadata;

/// The fields of an entry that tell others about the model, and what they are called for them.
const TOLD: [(&str, &str); 7] = [
    ("name", "name"),
    ("description", "description"),
    ("type", "type"),
    ("tags", "tags"),
    ("entrypoint", "entrypoint"),
    ("outputs", "outputs"),
    ("current", "version"),
];

/// Reads `[entries]`: model → what is said of it, over what its files say. It is the publisher's own table, so what has
/// another form than it should have is passed over.
pub(super) fn read(entries: Option<Value>) -> BTreeMap<String, Metadata> {
    let Some(Value::Table(entries)) = entries else {
        return BTreeMap::new();
    };
    let about = entries.into_iter().filter_map(|(model, entry)| {
        let Value::Table(mut entry) = entry else {
            return None;
        };
        let mut about = of_files(&mut entry).unwrap_or_default();
        for (key, name) in TOLD {
            if let Some(value) = entry.remove(key) {
                about.insert(name.into(), json(value));
            }
        }
        Some((model, about))
    });
    about.collect()
}

/// What the files of the current version say.
fn of_files(entry: &mut Table) -> Option<Metadata> {
    let current = entry.get("current")?.as_str()?.to_owned();
    let version = entry.get_mut("versions")?.get_mut(current)?;
    let Some(Value::Table(metadata)) = version.as_table_mut()?.remove("metadata") else {
        return None;
    };
    Some(metadata.into_iter().map(|(k, v)| (k, json(v))).collect())
}

/// A value as JSON has it; a time becomes a text.
pub(crate) fn json(value: Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Boolean(is) => is.into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Table(table) => table.into_iter().map(|(k, v)| (k, json(v))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(text: &str) -> serde_json::Value {
        let mut table: Table = text.parse().unwrap();
        serde_json::to_value(read(table.remove("entries"))).unwrap()
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
