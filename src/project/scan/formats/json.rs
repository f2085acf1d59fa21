//! JSON as programs write it, and objects in which no key may be repeated.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::relpath::shown;

/// The entries of an object. A repeated key is an error; with the maps of `std`, its last value would win.
#[derive(Debug, Default)]
pub(super) struct UniqueKeys<V>(pub(super) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueKeys<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for ObjectVisitor<V> {
    type Value = UniqueKeys<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            match entries.entry(key) {
                Entry::Vacant(entry) => entry.insert(value),
                Entry::Occupied(entry) => return Err(repeated(entry.key())),
            };
        }
        Ok(UniqueKeys(entries))
    }
}

/// Returns the error of a repeated key.
pub(super) fn repeated<E: Error>(key: &str) -> E {
    E::custom(format!("the key '{}' stands twice", shown(key)))
}

/// The numbers that Python and JavaScript libraries write, and that JSON does not have.
const NO_JSON: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Returns a text in which these numbers are null.
pub(crate) fn standard(text: &str) -> Cow<'_, str> {
    let mut standard = String::new();
    let (mut copied, mut at, mut is_in_string) = (0, 0, false);
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        let number = || {
            NO_JSON
                .iter()
                .find(|number| bytes[at..].starts_with(number.as_bytes()))
        };
        at += match byte {
            b'\\' if is_in_string => 2,
            b'"' => {
                is_in_string = !is_in_string;
                1
            }
            b'N' | b'I' | b'-' if !is_in_string && let Some(number) = number() => {
                standard.push_str(&text[copied..at]);
                standard.push_str("null");
                copied = at + number.len();
                number.len()
            }
            _ => 1,
        };
    }
    match copied {
        0 => text.into(),
        _ => (standard + &text[copied..]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        for (text, expected) in [
            ("[NaN, Infinity,-Infinity, -1]", "[null, null,null, -1]"),
            (
                r#"{"NaN": "Infinity \" NaN", "a\\":NaN}"#,
                r#"{"NaN": "Infinity \" NaN", "a\\":null}"#,
            ),
            ("NaN", "null"),
            ("[\"π\\", "[\"π\\"),
            ("[NaNs]", "[nulls]"),
            ("", ""),
        ] {
            assert_eq!(standard(text), expected);
        }
        assert!(matches!(standard("[1]"), Cow::Borrowed(_)));
    }
}
