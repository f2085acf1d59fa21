//! Names of models.
//!
//! The canonical form is `group/model version`. A group may have several segments; the last segment of a path is the
//! model. A version is any text without control characters: a release, a quantisation, a git ref with slashes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::glob::Glob;
use crate::relpath::{InvalidName, check_component};

/// The longest name of a model, in bytes: it leaves room for a version and files in the longest path of common systems.
const MAX_NAME_BYTES: usize = 250;

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName {
    // Shared by the versions of a model.
    group: Arc<str>,
    model: Arc<str>,
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
            group: group.into(),
            model: model.into(),
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
        &self.group
    }

    /// Returns the last segment of the name; [`ModelName`] has an example.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Adds a version; [`ModelName`] has an example.
    ///
    /// # Errors
    /// [`InvalidName`] if the version is empty, longer than 200 bytes, or has a control character, a backslash or an
    /// empty, `.` or `..` segment.
    pub fn version(self, version: impl Into<String>) -> Result<ModelRef, InvalidName> {
        let version = version.into();
        check_version(&version)?;
        Ok(ModelRef {
            name: self,
            version,
        })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.model)
        } else {
            write!(f, "{}/{}", self.group, self.model)
        }
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelRef {
    name: ModelName,
    version: String,
}

impl ModelRef {
    /// Creates a reference from a group, a model and a version; [`ModelRef`] has an example.
    ///
    /// # Errors
    /// Those of [`ModelName::new`] and [`ModelName::version`].
    pub fn new(group: &str, model: &str, version: &str) -> Result<Self, InvalidName> {
        ModelName::new(group, model)?.version(version)
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
        &self.version
    }
}

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
        write!(f, "{} {}", self.name, self.version)
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

pub(crate) fn check_version(version: &str) -> Result<(), InvalidName> {
    if version.len() > 200 {
        return Err(InvalidName::new(version, "is longer than 200 bytes"));
    }
    version
        .split('/')
        .try_for_each(|segment| check_component(segment, version))
}

/// A model as a person types it: `group/model`, `group/model@version` or `source@ref/subpath`.
///
/// The text before an `@` is a source if a configured source has that name, which only a [`Manager`](crate::Manager)
/// can tell. An address without a version means the only version there is, or the default of the source.
///
/// ```
/// use modelrack::{ModelAddress, ModelName, ModelRef};
///
/// let typed: ModelAddress = "fast-whisper/tiny fp16".parse()?;
/// assert_eq!(typed, ModelAddress::parse("fast-whisper/tiny", Some("fp16"))?);
/// assert_eq!(typed, ModelAddress::try_from("fast-whisper/tiny fp16")?);
///
/// // From names that have been checked, it cannot fail.
/// assert_eq!(typed, ModelAddress::from(ModelRef::new("fast-whisper", "tiny", "fp16")?));
/// let any_version = ModelAddress::from(ModelName::new("fast-whisper", "tiny")?);
/// assert_eq!(any_version.to_string(), "fast-whisper/tiny");
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAddress {
    /// The text before the first `@`, or the whole text.
    pub(crate) head: String,
    /// The text after the first `@`.
    pub(crate) tail: Option<String>,
    /// The version given separately.
    pub(crate) version: Option<String>,
}

impl ModelAddress {
    /// Parses an address; the version may be given separately. [`ModelAddress`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRef`] if a part is not a valid name.
    pub fn parse(text: &str, version: Option<&str>) -> Result<Self> {
        let invalid = |message: String| {
            Error::from(ErrorKind::InvalidRef {
                input: text.to_owned(),
                message,
                choices: Vec::new(),
            })
        };
        let (head, tail) = match text.split_once('@') {
            Some((head, tail)) => (head, Some(tail)),
            None => (text, None),
        };
        let name = |error: InvalidName| invalid(error.reason().to_owned());
        ModelName::parse(head).map_err(name)?;
        for version in tail.into_iter().chain(version) {
            check_version(version)
                .map_err(|error| invalid(format!("has a version that {}", error.reason())))?;
        }
        Ok(Self {
            head: head.to_owned(),
            tail: tail.map(str::to_owned),
            version: version.map(str::to_owned),
        })
    }

    /// Interprets the address as `group/model` with an optional version, if the text before `@` is not a source.
    pub(crate) fn as_model(&self) -> Result<(ModelName, Option<&str>)> {
        let invalid = |message: &str| {
            Error::from(ErrorKind::InvalidRef {
                input: self.to_string(),
                message: message.to_owned(),
                choices: Vec::new(),
            })
        };
        let name = ModelName::parse(&self.head).map_err(|error| invalid(error.reason()))?;
        match (self.tail.as_deref(), self.version.as_deref()) {
            (Some(_), Some(_)) => Err(invalid("has a version, and another one is given")),
            (tail, version) => Ok((name, tail.or(version))),
        }
    }
}

impl fmt::Display for ModelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        if let Some(tail) = &self.tail {
            write!(f, "@{tail}")?;
        }
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        Ok(())
    }
}

impl From<&ModelRef> for ModelAddress {
    fn from(model: &ModelRef) -> Self {
        Self {
            version: Some(model.version().to_owned()),
            ..Self::from(model.name())
        }
    }
}

impl From<&ModelName> for ModelAddress {
    fn from(name: &ModelName) -> Self {
        Self {
            head: name.to_string(),
            tail: None,
            version: None,
        }
    }
}

impl From<ModelRef> for ModelAddress {
    fn from(model: ModelRef) -> Self {
        Self::from(&model)
    }
}

impl From<ModelName> for ModelAddress {
    fn from(name: ModelName) -> Self {
        Self::from(&name)
    }
}

impl From<&Self> for ModelAddress {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

/// Reads an address, with the version after a space or an `@`.
impl FromStr for ModelAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (text, version) = split_version(text);
        Self::parse(text, version)
    }
}

/// Splits a version off that follows a space.
fn split_version(text: &str) -> (&str, Option<&str>) {
    match text.split_once(' ') {
        Some((text, version)) => (text, Some(version)),
        None => (text, None),
    }
}

/// Several models as a person types them, with `*`, `?` or `[…]` in the name: `mf6/test@develop/*`, `whisper/*@fp16`.
///
/// ```
/// use modelrack::ModelPattern;
///
/// let pattern: ModelPattern = "whisper/* fp16".parse()?;
/// assert_eq!(pattern, ModelPattern::parse("whisper/*", Some("fp16"))?);
/// assert!(ModelPattern::is_pattern("whisper/*") && !ModelPattern::is_pattern("whisper/tiny"));
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern {
    pub(crate) head: String,
    pub(crate) tail: Option<String>,
    pub(crate) version: Option<String>,
}

impl ModelPattern {
    /// Returns whether a text is a pattern rather than the address of one model; [`ModelPattern`] has an example.
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        Glob::is_pattern(text)
    }

    /// Parses a pattern; the version may be given separately. [`ModelPattern`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRef`] if it is empty, or the version is invalid.
    pub fn parse(text: &str, version: Option<&str>) -> Result<Self> {
        let invalid = |message: String| {
            Error::from(ErrorKind::InvalidRef {
                input: text.to_owned(),
                message,
                choices: Vec::new(),
            })
        };
        if text.is_empty() {
            return Err(invalid("is empty".into()));
        }
        if let Some(version) = version {
            check_version(version)
                .map_err(|error| invalid(format!("has a version that {}", error.reason())))?;
        }
        let (head, tail) = match text.split_once('@') {
            Some((head, tail)) => (head, Some(tail)),
            None => (text, None),
        };
        Ok(Self {
            head: head.to_owned(),
            tail: tail.map(str::to_owned),
            version: version.map(str::to_owned),
        })
    }

    /// Returns whether the text before `@` is this source.
    pub(crate) fn is_of(&self, source: &str) -> bool {
        self.tail.is_some() && !source.is_empty() && self.head == source
    }
}

/// Reads a pattern, with the version after a space or an `@`.
impl FromStr for ModelPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (text, version) = split_version(text);
        Self::parse(text, version)
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        if let Some(tail) = &self.tail {
            write!(f, "@{tail}")?;
        }
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        Ok(())
    }
}

/// Returns up to three candidates that resemble a mistyped name, most similar first.
pub(crate) fn nearest<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let contained = !lower.is_empty() && (other.contains(&lower) || lower.contains(&other));
            let distance = if contained {
                1
            } else {
                edit_distance(&lower, &other)
            };
            (distance <= 1 + wanted.chars().count() / 5).then_some((distance, candidate))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored
        .into_iter()
        .take(3)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// Returns the number of insertions, deletions and replacements between two texts, or the maximum if their lengths differ
/// by more than 8.
fn edit_distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 8 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
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

    #[test]
    fn equal_ways_to_name_a_version() {
        let expected = (ModelName::parse("fast-whisper/tiny").unwrap(), Some("fp16"));
        for (text, version) in [
            ("fast-whisper/tiny", Some("fp16")),
            ("fast-whisper/tiny@fp16", None),
        ] {
            let address = ModelAddress::parse(text, version).unwrap();
            assert_eq!(address.as_model().unwrap(), expected);
        }
        assert!(
            ModelAddress::parse("a/b@1", Some("2"))
                .unwrap()
                .as_model()
                .is_err()
        );
        assert!(ModelAddress::parse("a/b@", None).is_err());
        assert!(ModelAddress::parse("@1", None).is_err());
        assert_eq!(
            "a/b v1".parse::<ModelAddress>().unwrap().version.as_deref(),
            Some("v1")
        );
    }

    #[test]
    fn near_names() {
        let names = ["digits/logistic", "digits/forest", "whisper/tiny"];
        assert_eq!(nearest("digits/logistc", names), ["digits/logistic"]);
        assert_eq!(nearest("tiny", names), ["whisper/tiny"]);
        assert!(nearest("unrelated", names).is_empty());
    }
}
