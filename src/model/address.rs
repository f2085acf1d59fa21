//! Models as a person types them.

use std::borrow::Cow;
use std::fmt;
use std::path::{self, Path};
use std::str::FromStr;

use super::{ModelName, ModelRef, check_version};
use crate::error::{Error, Result};
use crate::glob::Glob;
use crate::url::{Url, percent_decode, without_login};

/// A model as a person types it: `group/model`, `group/model@version` or `source@ref/subpath`.
///
/// The text before an `@` is a source if a configured source has that name, which only a [`Manager`](crate::Manager)
/// can tell. An address without a version means the only version there is, or the default of the source.
///
/// The version may also follow a colon, as people write it for OCI registries: `group/model:version`. An address with a
/// scheme, such as `oci://ghcr.io/acme/llama:q4`, names a model at a place that no source needs to be configured for. The
/// folder or tar of `oci-layout:./llama:q4` is one of the current folder.
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
    /// The scheme and the host of an address that has them, such as `oci://ghcr.io`.
    pub(crate) origin: Option<String>,
    /// The text before the first `@`, or the whole text, without a tag. With an origin, it is the name that a model from there
    /// is stored by, which begins with the host.
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
        check_no_login(text)?;
        let address = Self::split(text, version).with_tag_apart();
        ModelName::parse(&address.head)
            .map_err(|error| Error::invalid_ref(text, error.reason()))?;
        if address.origin.is_some() && !address.head.contains('/') {
            let reason = "has no model after the host: expected SCHEME://HOST/MODEL";
            return Err(Error::invalid_ref(text, reason));
        }
        let mut versions = address.tail.iter().chain(&address.version);
        versions.try_for_each(|version| check_version_of(text, version))?;
        Ok(address)
    }

    fn split(text: &str, version: Option<&str>) -> Self {
        let text = with_whole_path(text);
        let (head, tail) = match text.split_once('@') {
            Some((head, tail)) => (head, Some(tail.to_owned())),
            None => (&*text, None),
        };
        let (origin, head) = split_origin(head);
        Self {
            origin: origin.map(str::to_owned),
            head: head.into_owned(),
            tail,
            version: version.map(str::to_owned),
        }
    }

    /// Takes `:tag` from the end of the name, which has no colon itself. Beside a digest, a tag only tells people which
    /// version it was once.
    fn with_tag_apart(mut self) -> Self {
        let begin = self.head.rfind('/').map_or(0, |slash| slash + 1);
        let Some((_, tag)) = self.head[begin..].split_once(':') else {
            return self;
        };
        let (tag, length) = (tag.to_owned(), self.head.len() - tag.len() - 1);
        match (&self.tail, &self.version) {
            (None, None) => self.tail = Some(tag),
            (Some(digest), None) | (None, Some(digest)) if digest.contains(':') => {}
            // The name is refused for its colon.
            _ => return self,
        }
        self.head.truncate(length);
        self
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

/// The scheme of places that are folders or tars on this machine: `oci-layout:///media/llama:q4`.
const FOLDER_SCHEME: &str = "oci-layout";

/// Writes the path of a folder or tar whole that is told from the current folder, as those are that are published to.
fn with_whole_path(text: &str) -> Cow<'_, str> {
    let place = text.strip_prefix(FOLDER_SCHEME);
    let place = place.and_then(|place| place.strip_prefix(':'));
    let Some(place) = place.filter(|place| !place.starts_with("//")) else {
        return text.into();
    };
    let last = place.rfind(path::is_separator).map_or(0, |at| at + 1);
    let end = place[last..].find([':', '@']);
    let (path, version) = place.split_at(end.map_or(place.len(), |end| last + end));
    match address_of_folder(Path::new(path)) {
        Some(address) => format!("{address}{version}").into(),
        None => text.into(),
    }
}

/// What people type for the models in a folder or tar, up to the version; `None` if there is nothing that they could.
pub(crate) fn address_of_folder(path: &Path) -> Option<String> {
    let url = Url::from_path(&path::absolute(path).ok()?).ok()?;
    // Addresses are typed as they are, without encoding.
    let path = String::from_utf8(percent_decode(url.path())).ok()?;
    (!path.contains('%')).then(|| format!("{FOLDER_SCHEME}://{path}"))
}

/// Splits `SCHEME://HOST` off, and puts the host in front of the name of the model: `ghcr.io/acme/llama`. The colon before a
/// port becomes a character that no host has, as names have no colon. A model in a folder or tar is called like that.
fn split_origin(text: &str) -> (Option<&str>, Cow<'_, str>) {
    let at = text.find("://").filter(|at| {
        let scheme = &text.as_bytes()[..*at];
        !scheme.is_empty()
            && scheme
                .iter()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-')
    });
    let Some(at) = at else {
        return (None, text.into());
    };
    let begin = at + 3;
    if &text[..at] == FOLDER_SCHEME && text[begin..].starts_with('/') {
        let last = text.rfind('/').map_or(begin, |slash| slash + 1);
        let end = text[last..].find(':').map_or(text.len(), |end| last + end);
        let name = name_of_place(&text[last..end]);
        let name = format!("{FOLDER_SCHEME}/{name}{}", &text[end..]);
        return (Some(&text[..end]), name.into());
    }
    let end = text[begin..]
        .find('/')
        .map_or(text.len(), |end| begin + end);
    let name = text[begin..end].to_ascii_lowercase().replace(':', "_") + &text[end..];
    (Some(&text[..end]), name.into())
}

/// Returns what models in a folder or tar are called.
pub(crate) fn name_of_place(file_name: &str) -> &str {
    let name = file_name.strip_suffix(".tar");
    name.filter(|name| !name.is_empty()).unwrap_or(file_name)
}

/// Refuses a password before it is in a message or a record.
fn check_no_login(text: &str) -> Result<()> {
    let reason =
        "was given with a user or a password: log in with 'docker login' or 'podman login' instead";
    match without_login(text) {
        Some(shown) => Err(Error::invalid_ref(shown, reason)),
        None => Ok(()),
    }
}

fn check_version_of(text: &str, version: &str) -> Result<()> {
    check_version(version)
        .map_err(|error| Error::invalid_ref(text, format!("has a version that {}", error.reason())))
}

impl fmt::Display for ModelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) if origin.starts_with(FOLDER_SCHEME) => f.write_str(origin)?,
            Some(origin) => {
                let path = self.head.find('/').map_or("", |end| &self.head[end..]);
                write!(f, "{origin}{path}")?;
            }
            None => f.write_str(&self.head)?,
        }
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
            origin: None,
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
        check_no_login(text)?;
        version.map_or(Ok(()), |version| check_version_of(text, version))?;
        // A colon within brackets is one of the characters that they stand for.
        let address = ModelAddress::split(text, version);
        let address = match text.contains('[') {
            true => address,
            false => address.with_tag_apart(),
        };
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
    fn the_tags_and_digests_of_registries() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let read = |text: &str| {
            let address = ModelAddress::parse(text, None)?;
            let (name, version) = address.as_model()?;
            Ok::<_, Error>((
                address.origin.clone(),
                name.to_string(),
                version.map(str::to_owned),
            ))
        };
        let row = |origin: Option<&str>, name: &str, version: Option<&str>| {
            let version = version.map(str::to_owned);
            (origin.map(str::to_owned), name.to_owned(), version)
        };
        for (text, expected) in [
            ("ghcr/llama:q4", row(None, "ghcr/llama", Some("q4"))),
            (
                &format!("ghcr/llama@{digest}"),
                row(None, "ghcr/llama", Some(&digest)),
            ),
            (
                &format!("ghcr/llama:q4@{digest}"),
                row(None, "ghcr/llama", Some(&digest)),
            ),
            (
                "oci://ghcr.io/acme/llama:q4",
                row(Some("oci://ghcr.io"), "ghcr.io/acme/llama", Some("q4")),
            ),
            (
                "oci://localhost:5000/llama",
                row(Some("oci://localhost:5000"), "localhost_5000/llama", None),
            ),
            (
                "oci-layout:///media/a b/llama:q4",
                row(
                    Some("oci-layout:///media/a b/llama"),
                    "oci-layout/llama",
                    Some("q4"),
                ),
            ),
            (
                "oci-layout:///media/llama.tar:q4",
                row(
                    Some("oci-layout:///media/llama.tar"),
                    "oci-layout/llama",
                    Some("q4"),
                ),
            ),
            (
                &format!("oci://GHCR.io/a/b:q4@{digest}"),
                row(Some("oci://GHCR.io"), "ghcr.io/a/b", Some(&digest)),
            ),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "C:/models",
            "a/b:",
            "a/b:c@d",
            "oci:///a/b",
            "oci://",
            "oci://ghcr.io",
            "://a/b",
            "a:b/c",
            "a/b:c/d",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let shown = ModelAddress::parse("oci://localhost:5000/a/b:q4", None).unwrap();
        assert_eq!(shown.to_string(), "oci://localhost:5000/a/b@q4");
        let shown = ModelAddress::parse("oci-layout:///media/llama:q4", None).unwrap();
        assert_eq!(shown.to_string(), "oci-layout:///media/llama@q4");
        let pattern: ModelPattern = "ghcr/*:q4".parse().unwrap();
        assert_eq!(pattern, "ghcr/*@q4".parse().unwrap());
        // The version may be given apart, too, but not twice.
        assert!(ModelAddress::parse("a/b:c", Some("d")).is_err());
    }

    #[test]
    fn a_folder_is_told_from_the_current_one() {
        let here = address_of_folder(Path::new(".")).unwrap();
        for text in [
            "oci-layout:./llama:q4",
            "oci-layout:llama@q4",
            "oci-layout:././llama.tar:q4",
        ] {
            let address = ModelAddress::parse(text, None).unwrap();
            assert_eq!(address.head, "oci-layout/llama", "{text}");
            assert_eq!(address.tail.as_deref(), Some("q4"), "{text}");
            let (folder, _) = address.origin.as_deref().unwrap().rsplit_once('/').unwrap();
            assert_eq!(folder, here, "{text}");
        }
        let whole = ModelAddress::parse("oci-layout:/media/llama", None).unwrap();
        assert!(whole.origin.unwrap().ends_with("/media/llama"));
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
}
