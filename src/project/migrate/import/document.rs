//! The file of a registry as a value, and of which kind it is.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::weight::{MAX_WEIGHT, weight_of};
use super::yaml;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::modelstoml::MAX_REGISTRY_BYTES;
use crate::relpath::shown;

/// What is accepted, for the error about anything else.
const ACCEPTED: &str = "a registry.yaml of modelops, with 'models' or 'targets', or a model_registry.json, with 'models'";

/// A registry of another program, and what wrote it.
#[derive(Debug)]
pub(super) enum Document {
    /// `registry.yaml` of modelops.
    Bundle(Map<String, Value>),
    /// `model_registry.json`.
    Records(Map<String, Value>),
}

impl Document {
    /// Reads a file: by its extension, else by how it begins.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let is_json = match extension.to_str() {
            Some("json") => true,
            Some("yaml" | "yml") => false,
            _ => text.trim_start().starts_with('{'),
        };
        let value = match is_json {
            true => json(&text),
            false => yaml::parse(&text),
        };
        let value = value.map_err(|message| {
            Error::from(ErrorKind::Registry {
                location: path.display().to_string(),
                message: format!("cannot read the file: it must be {ACCEPTED}"),
                source: Some(message.into()),
            })
        })?;
        let Value::Object(table) = value else {
            return Err(neither(path));
        };
        let has = |key: &str| table.contains_key(key);
        match is_json {
            true if has("models") => Ok(Self::Records(table)),
            false if has("models") || has("targets") => Ok(Self::Bundle(table)),
            _ => Err(neither(path)),
        }
    }
}

fn neither(path: &Path) -> Error {
    Error::registry(
        path.display(),
        format!("the file is not a registry that can be imported: it must be {ACCEPTED}"),
    )
}

fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path).at("read", path)?;
    if file.metadata().at("read", path)?.is_dir() {
        return Err(neither(path));
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read: the limit holds all the same.
    file.take(MAX_REGISTRY_BYTES + 1)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    if bytes.len() as u64 > MAX_REGISTRY_BYTES {
        let message = format!("has more than the {MAX_REGISTRY_BYTES} bytes that it may have");
        return Err(Error::registry(path.display(), message));
    }
    // Some programs begin a file with a mark that says it is UTF-8.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::registry(path.display(), "the registry is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Reads JSON in which no key occurs twice: which of the two somebody meant is not known.
fn json(text: &str) -> Result<Value, String> {
    let weight = Cell::new(0);
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Distinct { weight: &weight }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| error.to_string())
}

/// Reads a value and adds what it takes in memory.
#[derive(Clone, Copy)]
struct Distinct<'a> {
    weight: &'a Cell<usize>,
}

impl Distinct<'_> {
    fn spend<E: serde::de::Error>(self, value: Value) -> Result<Value, E> {
        self.add(weight_of(&value)).map(|()| value)
    }

    fn add<E: serde::de::Error>(self, weight: usize) -> Result<(), E> {
        let weight = self.weight.get().saturating_add(weight);
        self.weight.set(weight);
        match weight <= MAX_WEIGHT {
            true => Ok(()),
            false => Err(E::custom("it has too many values")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Distinct<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Distinct<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.spend(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.spend(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.spend(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.spend(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.spend(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.add(weight_of(&Value::Null))?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.add(weight_of(&Value::Null))?;
        let mut table = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if table.contains_key(&key) {
                let message = format!("the key '{}' occurs twice", shown(&key));
                return Err(A::Error::custom(message));
            }
            self.add(weight_of(&Value::Null) + key.len())?;
            let value = access.next_value_seed(self)?;
            table.insert(key, value);
        }
        Ok(Value::Object(table))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_as_it_is_written() {
        let value = json!({"a": [1, -2, 1.5, null, true, "x\u{1}"], "b": {"c": {}}});
        assert_eq!(json(&value.to_string()), Ok(value));
        for (bad, words) in [
            ("{\"a\": 1, \"a\": 2}", "'a' occurs twice"),
            ("{\"a\": {\"b\": 1, \"\\u0062\": 2}}", "'b' occurs twice"),
            ("{} {}", "trailing"),
            ("{", "EOF"),
            ("", "EOF"),
        ] {
            let error = json(bad).unwrap_err();
            assert!(error.contains(words), "{bad}: {error}");
        }
        assert!(json(&"[".repeat(100_000)).is_err());
        assert!(json(&format!("[{}1]", "1,".repeat(5 << 20))).is_err());
    }
}
