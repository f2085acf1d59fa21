//! Reading JSON in which no key occurs twice: it is unknown which of the two was meant.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::document::{TABLES, TakeEntry};
use super::yaml::{MAX_WEIGHT, VALUE_WEIGHT};
use crate::project::scan::formats::json::standard;
use crate::relpath::shown;

/// Reads a text with one value. Its entries are passed on, and are not in what is returned.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn parse(text: &str, take: &mut TakeEntry<'_>) -> Result<Value, String> {
    // Each value but the first follows one of these characters.
    let values = text.bytes().filter(|byte| b"[{,:".contains(byte)).count();
    if text.len() + values * VALUE_WEIGHT > MAX_WEIGHT {
        return Err("it has too many values".into());
    }
    let text = standard(text);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let value = Place::Top(take).deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| error.to_string())
}

/// Where in the document a value is. No key of it occurs twice.
enum Place<'l, 't> {
    /// It is the document.
    Top(&'l mut TakeEntry<'t>),
    /// It is the table of entries with this name.
    Table(&'l str, &'l mut TakeEntry<'t>),
    Below,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A value in which no key occurs twice.
struct DistinctKeys(Value);

impl<'de> Deserialize<'de> for DistinctKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Place::Below.deserialize(deserializer).map(Self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        match self {
            Self::Table(name, take) => {
                while let Some(DistinctKeys(entry)) = access.next_element()? {
                    take(name, None, entry);
                }
            }
            _ => {
                while let Some(DistinctKeys(value)) = access.next_element()? {
                    list.push(value);
                }
            }
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let (mut table, mut keys) = (Map::new(), BTreeSet::new());
        while let Some(key) = access.next_key::<String>()? {
            if table.contains_key(&key) || keys.contains(&key) {
                let message = format!("the key '{}' occurs twice", shown(&key));
                return Err(A::Error::custom(message));
            }
            match &mut self {
                Self::Table(name, take) => {
                    let DistinctKeys(entry) = access.next_value()?;
                    keys.insert(key.clone());
                    take(name, Some(key), entry);
                }
                Self::Top(take) if TABLES.contains(&&*key) => {
                    let value = access.next_value_seed(Place::Table(&key, &mut **take))?;
                    table.insert(key, value);
                }
                _ => {
                    let DistinctKeys(value) = access.next_value()?;
                    table.insert(key, value);
                }
            }
        }
        Ok(Value::Object(table))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads a text whose entries are put back where they were.
    fn parse(text: &str) -> Result<Value, String> {
        let mut entries = Vec::new();
        let mut take = |table: &str, id, entry| entries.push((table.to_owned(), id, entry));
        let mut value = super::parse(text, &mut take)?;
        for (table, id, entry) in entries {
            match (&mut value[table], id) {
                (Value::Object(table), Some(id)) => _ = table.insert(id, entry),
                (Value::Array(list), None) => list.push(entry),
                (place, id) => panic!("{id:?} of {place}"),
            }
        }
        Ok(value)
    }

    #[test]
    fn entries_are_passed_on_as_they_are_read() {
        for value in [
            json!({"models": {"b": {"c": 1}, "a": null}, "targets": [{"models": {"x": 1}}, 2]}),
            json!({"models": [], "targets": {}, "other": {"models": [1]}}),
            json!({"models": "none", "targets": null}),
            json!(["models"]),
        ] {
            assert_eq!(parse(&value.to_string()), Ok(value));
        }
        let mut ids = Vec::new();
        let rest = super::parse(r#"{"models": {"b": 1, "a": 2}}"#, &mut |_, id, _| {
            ids.extend(id)
        });
        assert_eq!(
            (rest, ids),
            (Ok(json!({"models": {}})), vec!["b".into(), "a".into()])
        );
        let error = parse(r#"{"models": {"a": 1, "a": 2}}"#).unwrap_err();
        assert!(error.contains("'a' occurs twice"), "{error}");
    }

    #[test]
    fn json_is_read_and_repeated_keys_are_refused() {
        let value = json!({"a": [1, -2, 1.5, null, true, "x\u{1}"], "b": {"c": {}}});
        assert_eq!(parse(&value.to_string()), Ok(value));
        let of_python = json!({"loss": null, "text": "NaN"});
        assert_eq!(parse(r#"{"loss": NaN, "text": "NaN"}"#), Ok(of_python));
        for (bad, words) in [
            ("{\"a\": 1, \"a\": 2}", "'a' occurs twice"),
            ("{\"a\": {\"b\": 1, \"\\u0062\": 2}}", "'b' occurs twice"),
            ("{} {}", "trailing"),
            ("{", "EOF"),
            ("", "EOF"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(words), "{bad}: {error}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("[{}1]", "1,".repeat(5 << 20))).is_err());
    }
}
