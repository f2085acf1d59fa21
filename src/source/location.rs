//! Where a registry is that is read.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::error::{Error, IoContext, Result};
use crate::url::{Url, percent_decode, without_login};

/// Where a registry is that is to be verified.
///
/// | written as | the registry is |
/// |---|---|
/// | `weights` | that of the source that is configured with this key or name |
/// | `public`, `models.tar`, `file:///srv/public` | in a folder or a tar |
/// | `https://models.example.org`, `s3://bucket/prefix` | at a web server, or in a bucket |
/// | `oci-layout:layout`, `oci://ghcr.io` | one of artifacts: in an image layout, or a whole OCI registry |
///
/// ```
/// use modelrack::mirror::RegistryLocation;
///
/// let place = RegistryLocation::parse("https://models.example.org")?;
/// assert_eq!(place.to_string(), "https://models.example.org/");
/// // What a variable of the environment says, or a path that is known to be one:
/// let place = RegistryLocation::parse(std::ffi::OsString::from("s3://models-bucket/prefix"))?;
/// let folder = RegistryLocation::from(std::path::PathBuf::from("public"));
/// assert!(RegistryLocation::parse("ftp://example.org").is_err());
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLocation(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A configured source if one is called so, else a folder or a tar.
    Named(String),
    File(PathBuf),
    Url(Url),
    /// As addresses of models begin.
    Artifacts(String),
}

impl RegistryLocation {
    /// Reads what people write; [`RegistryLocation`] has an example.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for other URLs.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self> {
        let path = Path::new(text.as_ref());
        let Some(text) = path.to_str() else {
            return Ok(path.into());
        };
        if let Some(layout) = text.strip_prefix("oci-layout:") {
            let path = layout.strip_prefix("//").unwrap_or(layout);
            if path.is_empty() {
                return Err(Error::argument("the image layout has no folder"));
            }
            let url = url_of(Path::new(path))?;
            // Addresses are typed as they are, without encoding.
            let path = percent_decode(url.path());
            let path = String::from_utf8_lossy(&path);
            return Ok(Self(Place::Artifacts(format!("oci-layout://{path}"))));
        }
        if text.is_empty() {
            return Err(Error::argument("the place of the registry is empty"));
        }
        if let Some(registry) = text.strip_prefix("oci://") {
            return match registry.trim_end_matches('/') {
                "" => Err(Error::argument("the registry has no host")),
                registry => Ok(Self(Place::Artifacts(format!("oci://{registry}")))),
            };
        }
        if text.contains("://") {
            let refused = |error| {
                let shown = without_login(text).unwrap_or_else(|| text.to_owned());
                let message = format!(
                    "'{}' is no place of a registry: {error}",
                    shown.escape_debug()
                );
                Error::argument(message)
            };
            let url = Url::parse(text).map_err(refused)?;
            return Ok(Self(Place::Url(url)));
        }
        refuse_half_a_url(text)?;
        Ok(Self(Place::Named(text.to_owned())))
    }

    /// What a configured source may be called.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.0 {
            Place::Named(name) => Some(name),
            _ => None,
        }
    }

    /// A place of artifacts, as addresses of models begin.
    pub(crate) fn artifacts(&self) -> Option<&str> {
        match &self.0 {
            Place::Artifacts(origin) => Some(origin),
            _ => None,
        }
    }

    /// The address of a registry in chunks.
    pub(crate) fn url(&self) -> Result<Url> {
        match &self.0 {
            Place::Url(url) => Ok(url.clone()),
            Place::Named(path) | Place::Artifacts(path) => url_of(Path::new(path)),
            Place::File(path) => url_of(path),
        }
    }
}

/// Refuses a URL that lacks a slash, which would be taken for a path.
pub(crate) fn refuse_half_a_url(text: &str) -> Result<()> {
    let mut schemes = ["s3", "oci", "file", "http", "https"].into_iter();
    let scheme = schemes.find(|scheme| {
        let rest = text.strip_prefix(scheme);
        rest.is_some_and(|rest| rest.starts_with(':'))
    });
    match scheme {
        Some(scheme) => Err(Error::argument(format!(
            "'{}' is no URL, which begins with {scheme}://; a folder that is called so is written with ./ in front",
            text.escape_debug()
        ))),
        None => Ok(()),
    }
}

fn url_of(path: &Path) -> Result<Url> {
    let path = std::path::absolute(path).at("read", path)?;
    Url::from_path(&path).map_err(|error| Error::argument(error.to_string()))
}

impl From<&Path> for RegistryLocation {
    fn from(path: &Path) -> Self {
        Self(Place::File(path.to_owned()))
    }
}

impl From<PathBuf> for RegistryLocation {
    fn from(path: PathBuf) -> Self {
        Self(Place::File(path))
    }
}

impl From<&PathBuf> for RegistryLocation {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<Url> for RegistryLocation {
    fn from(url: Url) -> Self {
        Self(Place::Url(url))
    }
}

impl fmt::Display for RegistryLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Named(text) | Place::Artifacts(text) => f.write_str(text),
            Place::File(path) => path.display().fmt(f),
            Place::Url(url) => url.fmt(f),
        }
    }
}

impl Serialize for RegistryLocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
