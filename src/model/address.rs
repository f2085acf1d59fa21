//! Models as a person types them.

use std::fmt;
use std::str::FromStr;

use super::{ModelName, ModelRef, check_version};
use crate::error::{Error, Result};
use crate::glob::Glob;

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
    /// [`InvalidRef`](crate::ErrorKind::InvalidRef) if a part is not a valid name.
    pub fn parse(text: &str, version: Option<&str>) -> Result<Self> {
        let address = Self::split(text, version);
        ModelName::parse(&address.head)
            .map_err(|error| Error::invalid_ref(text, error.reason()))?;
        let mut versions = address.tail.iter().chain(&address.version);
        versions.try_for_each(|version| check_version_of(text, version))?;
        Ok(address)
    }

    fn split(text: &str, version: Option<&str>) -> Self {
        let (head, tail) = match text.split_once('@') {
            Some((head, tail)) => (head, Some(tail.to_owned())),
            None => (text, None),
        };
        Self {
            head: head.to_owned(),
            tail,
            version: version.map(str::to_owned),
        }
    }

    /// Interprets the address as `group/model` with an optional version, if the text before `@` is not a source.
    pub(crate) fn as_model(&self) -> Result<(ModelName, Option<&str>)> {
        let invalid = |message| Error::invalid_ref(self, message);
        let name = ModelName::parse(&self.head).map_err(|error| invalid(error.reason()))?;
        match (self.tail.as_deref(), self.version.as_deref()) {
            (Some(_), Some(_)) => Err(invalid("has a version, and another one is given")),
            (tail, version) => Ok((name, tail.or(version))),
        }
    }

    /// Returns whether the text before `@` is this source.
    pub(crate) fn is_of(&self, source: &str) -> bool {
        self.tail.is_some() && !source.is_empty() && self.head == source
    }
}

fn check_version_of(text: &str, version: &str) -> Result<()> {
    check_version(version)
        .map_err(|error| Error::invalid_ref(text, format!("has a version that {}", error.reason())))
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
    /// Its name and the text after `@` may have wildcards.
    pub(crate) address: ModelAddress,
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
    /// [`InvalidRef`](crate::ErrorKind::InvalidRef) if it is empty, or the version is invalid.
    pub fn parse(text: &str, version: Option<&str>) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid_ref(text, "is empty"));
        }
        version.map_or(Ok(()), |version| check_version_of(text, version))?;
        let address = ModelAddress::split(text, version);
        Ok(Self { address })
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
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
