//! Names of models.
//!
//! The canonical form is `group/model version`. A group may have several segments; the last segment of a path is the
//! model. A version is any text without control characters: a release, a quantisation, a git ref with slashes.

mod address;
mod words;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::error::Error;
use crate::relpath::{InvalidName, check_component};

pub use address::{ModelAddress, ModelPattern};
pub(crate) use address::{address_of_folder, name_of_place};
pub(crate) use words::Words;

/// The longest name of a model, in bytes: it leaves room for a version and files in the longest path of common systems.
const MAX_NAME_BYTES: usize = 250;

/// Compares, orders and hashes names by their texts: which numbers these have depends on the list that they are in.
macro_rules! compare_by_parts {
    ($name:ty) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.parts() == other.parts()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.parts().cmp(&other.parts())
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.parts().hash(state);
            }
        }
    };
}

/// The name of a model without its version: `group/model`.
///
/// ```
/// use modelrack::ModelName;
///
/// let name: ModelName = "mf6/test/test001a".parse()?;
/// assert_eq!((name.group(), name.model()), ("mf6/test", "test001a"));
/// assert_eq!(name, ModelName::new("mf6/test", "test001a")?);
/// assert_eq!(name.version("develop")?.to_string(), "mf6/test/test001a develop");
///
/// // Every part of a name is a valid folder name on every system.
/// assert!(ModelName::parse("mf6/../test").is_err());
/// # Ok::<(), modelrack::error::InvalidName>(())
/// ```
#[derive(Clone)]
pub struct ModelName {
    // Shared by the names of a list.
    words: Arc<Words>,
    group: u32,
    model: u32,
}

impl ModelName {
    /// Creates a name from a group and a model; [`ModelName`] has an example.
    ///
    /// The group may be empty or have several segments (`a/b`); the model is one segment.
    ///
    /// # Errors
    /// [`InvalidName`] if a segment is not a valid folder name on every system, or has an `@`.
    pub fn new(group: &str, model: &str) -> Result<Self, InvalidName> {
        if !group.is_empty() {
            group
                .split('/')
                .try_for_each(|segment| check_segment(segment, group))?;
        }
        if model.contains('/') {
            return Err(InvalidName::new(model, "has a slash"));
        }
        if group.len() + model.len() > MAX_NAME_BYTES {
            return Err(InvalidName::new(group, "is too long"));
        }
        check_segment(model, model)?;
        Ok(Self {
            words: joined([group, model]),
            group: 0,
            model: 1,
        })
    }

    /// Parses `group/model`; the last segment is the model. [`ModelName`] has an example.
    ///
    /// # Errors
    /// Those of [`ModelName::new`].
    pub fn parse(path: &str) -> Result<Self, InvalidName> {
        let (group, model) = path.rsplit_once('/').unwrap_or(("", path));
        if path.contains('/') && group.is_empty() {
            return Err(InvalidName::new(path, "starts with a slash"));
        }
        Self::new(group, model)
    }

    /// Returns the group, with its segments joined by `/`; empty for a model without one. [`ModelName`] has an example.
    #[must_use]
    pub fn group(&self) -> &str {
        self.words.get(self.group)
    }

    /// Returns the last segment of the name; [`ModelName`] has an example.
    #[must_use]
    pub fn model(&self) -> &str {
        self.words.get(self.model)
    }

    /// Adds a version; [`ModelName`] has an example.
    ///
    /// # Errors
    /// [`InvalidName`] if the version is empty, longer than 200 bytes, or has a control character, a backslash or an
    /// empty, `.` or `..` segment.
    pub fn version(self, version: impl Into<String>) -> Result<ModelRef, InvalidName> {
        let version = version.into();
        check_version(&version)?;
        let words = joined([self.group(), self.model(), &version]);
        Ok(ModelRef::of_words(words, [0, 1, 2]))
    }

    fn parts(&self) -> (&str, &str) {
        (self.group(), self.model())
    }
}

/// The words of one name, which are short: their lengths were checked.
fn joined<const N: usize>(texts: [&str; N]) -> Arc<Words> {
    Words::of(texts.into_iter()).unwrap_or_default().into()
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            ("", model) => f.write_str(model),
            (group, model) => write!(f, "{group}/{model}"),
        }
    }
}

impl fmt::Debug for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ModelName");
        shown.field("group", &self.group());
        shown.field("model", &self.model()).finish()
    }
}

compare_by_parts!(ModelName);

impl FromStr for ModelName {
    type Err = InvalidName;

    fn from_str(path: &str) -> Result<Self, InvalidName> {
        Self::parse(path)
    }
}

/// One version of a model, shown as `group/model version`.
///
/// ```
/// use modelrack::ModelRef;
///
/// let model: ModelRef = "fast-whisper/tiny fp16".parse()?;
/// assert_eq!((model.group(), model.model(), model.version()), ("fast-whisper", "tiny", "fp16"));
/// assert_eq!(model.name().to_string(), "fast-whisper/tiny");
/// assert_eq!(model, "fast-whisper/tiny@fp16".parse()?);
/// assert_eq!(model, ModelRef::new("fast-whisper", "tiny", "fp16")?);
/// # Ok::<(), modelrack::error::InvalidName>(())
/// ```
///
/// It serializes as the three fields that every report on a model has:
///
/// ```
/// # use modelrack::ModelRef;
/// # let model: ModelRef = "fast-whisper/tiny fp16".parse()?;
/// let json = serde_json::to_string(&model)?;
/// assert_eq!(json, r#"{"group":"fast-whisper","model":"tiny","version":"fp16"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ModelRef {
    name: ModelName,
    // Among the words of the name.
    version: u32,
}

impl ModelRef {
    /// Creates a reference from a group, a model and a version; [`ModelRef`] has an example.
    ///
    /// # Errors
    /// Those of [`ModelName::new`] and [`ModelName::version`].
    pub fn new(group: &str, model: &str, version: &str) -> Result<Self, InvalidName> {
        ModelName::new(group, model)?.version(version)
    }

    /// Makes a name of the words with the numbers of its group, model and version. They were checked before they were written.
    pub(crate) fn of_words(words: Arc<Words>, [group, model, version]: [u32; 3]) -> Self {
        let name = ModelName {
            words,
            group,
            model,
        };
        Self { name, version }
    }

    /// Returns the name without the version; [`ModelRef`] has an example.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// Returns the group; empty for a model without one. [`ModelRef`] has an example.
    #[must_use]
    pub fn group(&self) -> &str {
        self.name.group()
    }

    /// Returns the last segment of the name; [`ModelRef`] has an example.
    #[must_use]
    pub fn model(&self) -> &str {
        self.name.model()
    }

    /// Returns the version; [`ModelRef`] has an example.
    #[must_use]
    pub fn version(&self) -> &str {
        self.name.words.get(self.version)
    }

    fn parts(&self) -> (&str, &str, &str) {
        (self.group(), self.model(), self.version())
    }
}

impl fmt::Debug for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ModelRef");
        shown.field("name", &self.name);
        shown.field("version", &self.version()).finish()
    }
}

compare_by_parts!(ModelRef);

/// Serializes as `group`, `model` and `version`.
impl Serialize for ModelRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ModelRef", 3)?;
        fields.serialize_field("group", self.group())?;
        fields.serialize_field("model", self.model())?;
        fields.serialize_field("version", self.version())?;
        fields.end()
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version())
    }
}

/// Reads `group/model version` or `group/model@version`.
impl FromStr for ModelRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (name, version) = text
            .split_once([' ', '@'])
            .ok_or_else(|| InvalidName::new(text, "has no version"))?;
        ModelName::parse(name)?.version(version)
    }
}

fn check_segment(segment: &str, whole: &str) -> Result<(), InvalidName> {
    check_component(segment, whole)?;
    if segment.contains('@') {
        return Err(InvalidName::new(whole, "has an '@'"));
    }
    if segment.contains([':', '*', '?', '"', '<', '>', '|']) {
        return Err(InvalidName::new(whole, "has one of : * ? \" < > |"));
    }
    Ok(())
}

/// Refuses what cannot be a ref.
pub(crate) fn check_reference(reference: &str) -> Result<(), Error> {
    check_version(reference).map_err(|error| {
        Error::invalid_ref(reference, format!("is not a ref: it {}", error.reason()))
    })
}

pub(crate) fn check_version(version: &str) -> Result<(), InvalidName> {
    if version.len() > 200 {
        return Err(InvalidName::new(version, "is longer than 200 bytes"));
    }
    version
        .split('/')
        .try_for_each(|segment| check_component(segment, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_is_the_model() {
        let name = ModelName::parse("mf6/test/test001a").unwrap();
        assert_eq!((name.group(), name.model()), ("mf6/test", "test001a"));
        assert_eq!(ModelName::parse("gpt2").unwrap().group(), "");
        assert_eq!(
            ModelRef::new("g", "m", "feature/x").unwrap().to_string(),
            "g/m feature/x"
        );
        for bad in [
            "", "/a", "a/", "a//b", "../a", "a/..", "a\\b", "a@b", "C:/a", "con/a", "a/b\u{7}",
            "a.", "a:b",
        ] {
            assert!(ModelName::parse(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "..",
            "a/../b",
            "/a",
            "a/",
            "a\nb",
            "a\\b",
            &"v".repeat(201),
        ] {
            assert!(ModelRef::new("g", "m", bad).is_err(), "{bad:?}");
        }
    }
}
