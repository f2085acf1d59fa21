//! Where models are published.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::RegistryWriter;
use super::folder::FolderWriter;
use crate::error::{Error, Result};
use crate::url::Url;

/// Where models are published: a folder, which any static server can serve.
///
/// ```
/// use std::path::Path;
///
/// use modelrack::project::PublishTarget;
///
/// let target = PublishTarget::parse("public")?;
/// assert_eq!((target.to_string().as_str(), target.folder()), ("public", Some(Path::new("public"))));
/// assert_eq!(target, PublishTarget::from(Path::new("public")));
/// assert!(PublishTarget::parse("ftp://example.org/models").is_err());
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishTarget(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
}

impl PublishTarget {
    /// Reads what people write: the path of a folder, or a `file://` URL; [`PublishTarget`] has an example.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for other URLs.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self> {
        let path = Path::new(text.as_ref());
        let Some(text) = path.to_str().filter(|text| text.contains("://")) else {
            return Ok(path.into());
        };
        let url = Url::parse(text).ok().and_then(|url| url.to_file_path());
        let refused = || {
            let shown = Url::parse(text).map_or_else(|_| text.to_owned(), |url| url.to_string());
            let shown = shown.escape_debug();
            Error::argument(format!("cannot publish to {shown}: name a folder"))
        };
        url.map(Self::from).ok_or_else(refused)
    }

    /// Returns the folder, if it is one; [`PublishTarget`] has an example.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Folder(path) => Some(path),
        }
    }

    /// Opens it for writing a chunked registry.
    pub(crate) fn open(&self) -> Result<Box<dyn RegistryWriter>> {
        match &self.0 {
            Place::Folder(path) => Ok(Box::new(FolderWriter::new(path))),
        }
    }
}

impl From<PathBuf> for PublishTarget {
    fn from(path: PathBuf) -> Self {
        Self(Place::Folder(path))
    }
}

impl From<&PathBuf> for PublishTarget {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<&Path> for PublishTarget {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl fmt::Display for PublishTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(path) => path.display().fmt(f),
        }
    }
}

impl Serialize for PublishTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
