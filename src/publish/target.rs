//! Where models are published.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::oci::{RegistryPlace, is_tag};
use crate::source::location::refuse_half_a_url;
use crate::url::{Scheme, Url, without_login};

/// Where models are published: in a folder, which any static server can serve, or a tar of one, in a bucket, in an image
/// layout, or in an OCI registry.
///
/// | written as | models are published |
/// |---|---|
/// | `public`, `file:///srv/public` | in a chunked registry in a folder |
/// | `models.tar` | in one in a tar; one that exists is replaced by one that has more |
/// | `s3://bucket/prefix` | in a chunked registry in a bucket of an object store |
/// | `oci://ghcr.io/acme/tiny:v1` | as artifacts of an OCI registry: in this repository, with this tag |
/// | `oci://ghcr.io/acme/tiny` | in this repository; the tag is the model's version |
/// | `oci://ghcr.io/acme`, `oci://ghcr.io/acme/models/` | in repositories below this one with the names of the models: their groups, where somebody named one, too |
/// | `oci-layout:layout`, `oci-layout:///srv/layout:v1` | in an image layout in a folder |
/// | `oci-layout:tiny.tar:v1` | in one in a tar; one that exists is replaced by one that has more |
///
/// ```
/// use std::path::Path;
///
/// use modelrack::project::PublishTarget;
///
/// let target = PublishTarget::parse("public")?;
/// assert_eq!((target.to_string().as_str(), target.folder()), ("public", Some(Path::new("public"))));
/// assert_eq!(target, PublishTarget::from(Path::new("public")));
///
/// let registry = PublishTarget::parse("oci://ghcr.io/acme/tiny:v1")?;
/// assert_eq!((registry.to_string().as_str(), registry.folder()), ("oci://ghcr.io/acme/tiny:v1", None));
/// assert!(PublishTarget::parse("ftp://example.org/models").is_err());
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishTarget(pub(super) Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Or a tar.
    Folder(PathBuf),
    Layout {
        folder: PathBuf,
        tag: Option<String>,
    },
    /// `s3://bucket/prefix`.
    Bucket(Url),
    Registry {
        host: String,
        /// A repository, or the beginning of the names of repositories; may be empty.
        path: String,
        /// Whether the path is one repository.
        is_repository: bool,
        tag: Option<String>,
    },
}

impl PublishTarget {
    /// Reads what people write: the path of a folder, or a URL; [`PublishTarget`] has an example.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for other URLs.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self> {
        let path = Path::new(text.as_ref());
        let Some(text) = path.to_str() else {
            return Ok(path.into());
        };
        if let Some(layout) = text.strip_prefix("oci-layout:") {
            let layout = layout.strip_prefix("//").unwrap_or(layout);
            let (folder, tag) = split_tag(layout)?;
            return match folder {
                "" => Err(Error::argument("the image layout has no folder")),
                folder => Ok(Self(Place::Layout {
                    folder: folder.into(),
                    tag,
                })),
            };
        }
        if let Some(registry) = text.strip_prefix("oci://") {
            let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
            if host.is_empty() {
                return Err(Error::argument("the registry has no host"));
            }
            RegistryPlace::of_host(host).map_err(|error| Error::argument(error.to_string()))?;
            if path.contains('@') {
                let message = "a digest follows from what is published: name a tag";
                return Err(Error::argument(message));
            }
            let (path, tag) = split_tag(path)?;
            let is_open = path.is_empty() || path.ends_with('/');
            let path = path.trim_end_matches('/');
            return Ok(Self(Place::Registry {
                host: host.to_owned(),
                path: path.to_owned(),
                is_repository: !is_open && (tag.is_some() || path.contains('/')),
                tag,
            }));
        }
        if text.is_empty() {
            return Err(Error::argument("the place to write to is empty"));
        }
        if !text.contains("://") {
            refuse_half_a_url(text)?;
            return Ok(path.into());
        }
        let url = Url::parse(text).ok().filter(|_| text != "file://");
        if let Some(url) = url.as_ref().filter(|url| url.scheme() == Scheme::S3) {
            if text.contains(['?', '#']) {
                let message = format!("{url}: a place in a bucket has no '?' and no '#'");
                return Err(Error::argument(message));
            }
            return Ok(Self(Place::Bucket(url.clone())));
        }
        let url = url.and_then(|url| url.to_file_path());
        let refused = || {
            let shown = Url::parse(text).map_or_else(
                |_| without_login(text).unwrap_or_else(|| text.to_owned()),
                |url| url.to_string(),
            );
            let shown = shown.escape_debug();
            Error::argument(format!(
                "cannot publish to {shown}: name a folder, a bucket (s3://…), or a place of artifacts (oci://…, \
                 oci-layout:…)"
            ))
        };
        url.map(Self::from).ok_or_else(refused)
    }

    /// Returns the folder or the tar, if it is one; [`PublishTarget`] has an example.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Folder(folder) | Place::Layout { folder, .. } => Some(folder),
            Place::Bucket(_) | Place::Registry { .. } => None,
        }
    }

    /// Whether it is a chunked registry, and not a place of artifacts.
    #[cfg(feature = "cli")]
    pub(crate) fn is_chunked(&self) -> bool {
        matches!(self.0, Place::Folder(_) | Place::Bucket(_))
    }

    /// Whether it is a registry in a bucket.
    #[cfg(all(feature = "author", feature = "cli"))]
    pub(crate) fn is_bucket(&self) -> bool {
        matches!(self.0, Place::Bucket(_))
    }

    /// The tag that it states, which is the version of the one model that is published there.
    pub(crate) fn tag(&self) -> Option<&str> {
        match &self.0 {
            Place::Folder(_) | Place::Bucket(_) => None,
            Place::Layout { tag, .. } | Place::Registry { tag, .. } => tag.as_deref(),
        }
    }
}

/// Takes a tag from the end of a path; a drive of Windows is none.
fn split_tag(text: &str) -> Result<(&str, Option<String>)> {
    let last = text.rfind(['/', '\\']).map_or(0, |at| at + 1);
    let Some((name, tag)) = text[last..].split_once(':') else {
        return Ok((text, None));
    };
    match is_tag(tag) {
        true => Ok((&text[..last + name.len()], Some(tag.to_owned()))),
        false => Err(Error::argument(format!(
            "'{}' is no tag",
            tag.escape_debug()
        ))),
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
        let tag = |f: &mut fmt::Formatter<'_>, tag: &Option<String>| match tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        };
        match &self.0 {
            Place::Folder(path) => path.display().fmt(f),
            Place::Bucket(url) => url.fmt(f),
            Place::Layout { folder, tag: at } => {
                write!(f, "oci-layout:{}", folder.display())?;
                tag(f, at)
            }
            Place::Registry {
                host,
                path,
                is_repository,
                tag: at,
            } => {
                write!(f, "oci://{host}/{path}")?;
                if !is_repository && path.contains('/') {
                    f.write_str("/")?;
                }
                tag(f, at)
            }
        }
    }
}

impl Serialize for PublishTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_means_by_a_folder_is_refused() {
        for (text, expected) in [
            ("", "is empty"),
            ("s3:/bucket/prefix", "begins with s3://"),
            ("s3:bucket", "begins with s3://"),
            ("s3://bucket/a?b", "has no '?'"),
            ("s3://bucket/a#b", "has no '?'"),
            ("oci:ghcr.io/acme", "begins with oci://"),
            ("http:/h/x", "begins with http://"),
            ("file:", "begins with file://"),
            ("file://", "cannot publish to file://"),
            ("https://h/x", "cannot publish to https://h/x"),
            ("oci-layout:", "has no folder"),
            ("oci://localhost:99999/a", "port of the URL is not a number"),
        ] {
            let error = PublishTarget::parse(text).unwrap_err();
            assert_eq!(error.code(), "INVALID_ARGUMENT", "{text}");
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
        for text in [
            "./s3:/bucket",
            "s3",
            "s3x:y",
            "a b/ü",
            "file:///srv/a",
            "C:\\models",
        ] {
            assert!(PublishTarget::parse(text).is_ok(), "{text}");
        }
    }
}
