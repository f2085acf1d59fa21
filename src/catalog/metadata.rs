//! What is stated about a version, beside its files.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// What a registry states about a version: `description`, `type`, `tags` and anything else, as a JSON object.
///
/// ```
/// use modelrack::remote::Metadata;
///
/// let metadata = Metadata::from_iter([("licence".to_owned(), "MIT".into()), ("layers".to_owned(), 4.into())]);
/// assert_eq!(metadata["licence"], "MIT");
/// ```
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// What is stated about a version: a JSON object that is kept as text and parsed when it is read.
///
/// An index may list 100,000 versions, and a store may have 10,000; most programs read the metadata of a few.
///
/// ```
/// use modelrack::{Manager, RemoteOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let offer = manager.get_remote(&"digits/logistic v1".parse()?, &RemoteOptions::default())?;
/// let facts = offer.metadata.facts();
/// assert_eq!(facts.model_type.as_deref(), Some("classification"));
/// assert_eq!(facts.tags, ["digits", "images"]);
/// assert_eq!(offer.metadata.to_map()["description"].as_str(), facts.description.as_deref());
/// assert!(offer.metadata.json().starts_with('{'));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct RawMetadata(Option<Arc<RawValue>>);

/// The keys of [`RawMetadata`] that have a fixed meaning; it has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The `type`, such as `text-generation`.
    pub model_type: Option<String>,
    /// The `description`.
    pub description: Option<String>,
    /// The `tags`; may be empty.
    pub tags: Vec<String>,
}

impl RawMetadata {
    /// Keeps a value that is an object; `None` for another.
    pub(crate) fn of_json(json: Box<RawValue>) -> Option<Self> {
        let is_object = json.get().trim_start().starts_with('{');
        is_object.then(|| Self(Some(json.into())))
    }

    /// Returns the object as it is written; `{}` if there is none. [`RawMetadata`] has an example.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.as_ref().map_or("{}", |json| json.get())
    }

    /// Returns whether it has no fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.json() == "{}"
    }

    /// Parses the whole object; empty if it cannot be parsed. [`RawMetadata`] has an example.
    #[must_use]
    pub fn to_map(&self) -> Metadata {
        serde_json::from_str(self.json()).unwrap_or_default()
    }

    /// Parses `type`, `description` and `tags`, and ignores a value that is not a string, or a list of strings.
    /// [`RawMetadata`] has an example.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let raw = self.raw_facts();
        let text = |json: Option<&RawValue>| serde_json::from_str(json?.get()).ok();
        let tags = raw.tags.map(|json| serde_json::from_str(json.get()));
        Facts {
            model_type: text(raw.model_type),
            description: text(raw.description),
            tags: tags.and_then(Result::ok).unwrap_or_default(),
        }
    }

    /// Returns what every tool understands, as it is written: strings and a list, to be passed on.
    pub(crate) fn raw_facts(&self) -> RawFacts<'_> {
        let raw: RawFacts<'_> = serde_json::from_str(self.json()).unwrap_or_default();
        RawFacts {
            model_type: raw.model_type.filter(|json| json.get().starts_with('"')),
            description: raw.description.filter(|json| json.get().starts_with('"')),
            tags: raw.tags.filter(|json| json.get().starts_with('[')),
        }
    }
}

/// [`Facts`], as they are written.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RawFacts<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) model_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) tags: Option<&'a RawValue>,
}

/// Without the line breaks and indents of the document that it is read from.
impl<'de> Deserialize<'de> for RawMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let json = match json.get().contains('\n') {
            true => RawValue::from_string(compact(json.get())).map_err(D::Error::custom)?,
            false => json,
        };
        Self::of_json(json).ok_or_else(|| D::Error::custom("the metadata are no object"))
    }
}

/// Drops the spaces between the values of a JSON document.
fn compact(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = is_text && *c == '\\' && !is_escaped;
        is_text ^= is_end;
        is_text || !matches!(c, ' ' | '\n' | '\r' | '\t')
    };
    json.chars().filter(is_kept).collect()
}

impl From<&Metadata> for RawMetadata {
    fn from(metadata: &Metadata) -> Self {
        let json = serde_json::value::to_raw_value(metadata).ok();
        json.and_then(Self::of_json).unwrap_or_default()
    }
}

impl Serialize for RawMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(json) => json.serialize(serializer),
            None => Metadata::new().serialize(serializer),
        }
    }
}

impl PartialEq for RawMetadata {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

impl fmt::Debug for RawMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_breaks_of_a_document_are_no_part_of_metadata() {
        let pretty = "{\n  \"a b\": [1,\r\n\t2.50],\n  \"q\": \"x \\\" \\\\\", \"e\": \" \"\n}";
        let metadata: RawMetadata = serde_json::from_str(pretty).unwrap();
        assert_eq!(metadata.json(), r#"{"a b":[1,2.50],"q":"x \" \\","e":" "}"#);
        let line = r#"{"a": 1}"#;
        let metadata: RawMetadata = serde_json::from_str(line).unwrap();
        assert_eq!(metadata.json(), line);
        assert!(serde_json::from_str::<RawMetadata>("[1]").is_err());
    }
}
