//! Reading JSON in which no key occurs twice: it is unknown which of the two was meant.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::yaml::{MAX_WEIGHT, VALUE_WEIGHT};
use crate::project::scan::formats::json::standard;
use crate::relpath::shown;

/// Reads a text with one value.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    // Each value but the first follows one of these characters.
    let values = text.bytes().filter(|byte| b"[{,:".contains(byte)).count();
    if text.len() + values * VALUE_WEIGHT > MAX_WEIGHT {
        return Err("it has too many values".into());
    }
    let value = serde_json::from_str(&standard(text));
    value
        .map(|DistinctKeys(value)| value)
        .map_err(|error| error.to_string())
}

/// A value in which no key occurs twice.
struct DistinctKeys(Value);

impl<'de> Deserialize<'de> for DistinctKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
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
        while let Some(DistinctKeys(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut table = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if table.contains_key(&key) {
                let message = format!("the key '{}' occurs twice", shown(&key));
                return Err(A::Error::custom(message));
            }
            let DistinctKeys(value) = access.next_value()?;
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
