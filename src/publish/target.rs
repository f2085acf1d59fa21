//! Where models are published.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::RegistryWriter;
use super::archive::ArchiveWriter;
use super::bucket::BucketWriter;
use super::chunked::{
    PublishedVersion, Registry, Stream, Writing, WrittenVersion, add_to_index, write_version,
};
use super::folder::FolderWriter;
use super::oci::{ArtifactPlace, published_version, push_version};
#[cfg(feature = "author")]
use super::prune::PrunedRegistry;
#[cfg(feature = "author")]
use super::rehearsal::RehearsedRegistry;
use super::tar::{is_tar, refuse_packed};
use crate::catalog::Metadata;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::model::ModelRef;
use crate::oci::is_tag;
use crate::progress::CancelToken;
use crate::source::location::refuse_half_a_url;
use crate::url::{Scheme, Url};

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
/// | `oci://ghcr.io/acme`, `oci://ghcr.io/acme/models/` | in repositories with the names of the models below this one |
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
pub struct PublishTarget(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
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

/// What a target is opened with.
pub(crate) struct Opening<'a> {
    /// Whether several models are published, and not only one.
    pub(crate) several: bool,
    /// Opens the network, for targets that are servers.
    pub(crate) network: &'a dyn Fn() -> Result<(Call, Environment)>,
    pub(crate) cancel: &'a CancelToken,
    /// Whether to write where nothing keeps two publishers apart.
    pub(crate) force: bool,
    /// Whether nothing will be written at all.
    pub(crate) is_rehearsal: bool,
}

/// A target, opened for writing.
pub(crate) enum Destination {
    /// A chunked registry.
    Chunked(Box<dyn RegistryWriter>),
    /// Repositories for artifacts.
    Artifacts(ArtifactPlace),
}

/// What versions are written into, once what is there has been read.
pub(crate) enum Opened<'a> {
    Chunked(Registry<'a>),
    Artifacts(&'a ArtifactPlace),
}

impl Destination {
    /// The same, in which nothing is written.
    #[cfg(feature = "author")]
    pub(crate) fn rehearsed(self) -> Self {
        match self {
            Self::Chunked(writer) => Self::Chunked(Box::new(RehearsedRegistry::new(writer))),
            Self::Artifacts(place) => Self::Artifacts(place.rehearsed()),
        }
    }

    /// Reads what is there; `location` names it in errors.
    pub(crate) fn begin<'a>(
        &'a self,
        location: &'a (dyn fmt::Display + Sync),
    ) -> Result<Opened<'a>> {
        Ok(match self {
            Self::Chunked(writer) => Opened::Chunked(Registry::read(&**writer, location)?),
            Self::Artifacts(place) => Opened::Artifacts(place),
        })
    }
}

impl Opened<'_> {
    /// The registry, if it is one of chunks.
    pub(crate) fn registry(&self) -> Option<&Registry<'_>> {
        match self {
            Self::Chunked(registry) => Some(registry),
            Self::Artifacts(_) => None,
        }
    }

    /// The place of artifacts, if it is one.
    pub(crate) fn artifacts(&self) -> Option<&ArtifactPlace> {
        match self {
            Self::Chunked(_) => None,
            Self::Artifacts(place) => Some(place),
        }
    }

    /// Returns what is there of a version, with those of these aliases that are its; `None` if there is nothing that could be
    /// compared with what it would be.
    pub(crate) fn version(
        &self,
        model: &ModelRef,
        aliases: &[String],
    ) -> Result<Option<PublishedVersion>> {
        match self {
            Self::Chunked(registry) => registry.version(model),
            Self::Artifacts(place) => {
                let repository = place.of_model(&model.name().to_string())?;
                published_version(&*repository, model.version(), aliases)
            }
        }
    }

    /// Whether all is written in one pass, so that [`Self::finish`] should come once.
    pub(crate) fn is_in_one_pass(&self) -> bool {
        match self {
            Self::Chunked(registry) => registry.is_in_one_pass(),
            Self::Artifacts(place) => place.is_in_one_pass(),
        }
    }

    /// Writes the files of a stream as a version of one of several models.
    pub(crate) fn write(
        &self,
        stream: &Stream,
        model: &ModelRef,
        metadata: &Metadata,
        writing: &Writing<'_>,
    ) -> Result<WrittenVersion> {
        match self {
            Self::Chunked(registry) => write_version(stream, model, metadata, registry, writing),
            Self::Artifacts(place) => {
                let repository = place.of_model(&model.name().to_string())?;
                push_version(stream, model, metadata, &*repository, writing)
            }
        }
    }

    /// Whether others see each version as soon as it is written, and not only at the end.
    #[cfg(feature = "author")]
    pub(crate) fn shows_at_once(&self) -> bool {
        match self {
            Self::Chunked(_) => false,
            Self::Artifacts(place) => !place.is_in_one_pass(),
        }
    }

    /// Lets others see what was written; an artifact in a registry or folder can be seen since it was.
    pub(crate) fn finish(&self, shards: bool, versions: &mut [WrittenVersion]) -> Result<()> {
        match self {
            Self::Chunked(registry) => add_to_index(registry, shards, versions),
            Self::Artifacts(place) => place.finish(),
        }
    }
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
            return Ok(Self(Place::Bucket(url.clone())));
        }
        let url = url.and_then(|url| url.to_file_path());
        let refused = || {
            let shown = Url::parse(text).map_or_else(|_| text.to_owned(), |url| url.to_string());
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

    /// Opens a chunked registry to remove what no version names.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a place of artifacts.
    #[cfg(feature = "author")]
    pub(crate) fn open_to_prune(
        &self,
        network: &dyn Fn() -> Result<(Call, Environment)>,
    ) -> Result<Box<dyn PrunedRegistry>> {
        let instead = match &self.0 {
            Place::Folder(path) if !is_tar(path) => {
                return Ok(Box::new(FolderWriter::new(path)));
            }
            Place::Folder(_) => "a tar is written in one pass: write what is needed into a new one",
            Place::Bucket(url) => {
                let (call, environment) = network()?;
                let writer = BucketWriter::new(url, &call, &environment, true);
                return Ok(Box::new(writer));
            }
            Place::Registry { .. } => {
                "a registry of artifacts collects what no tag names itself: delete tags there, with its own interface"
            }
            Place::Layout { .. } => {
                "other tools may name what is in an image layout in ways of their own: publish what is needed into a \
                 new one"
            }
        };
        Err(Error::argument(format!("cannot prune {self}: {instead}")))
    }

    /// Opens it for writing.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if it is a place for one model, and there are several.
    pub(crate) fn open(&self, opening: &Opening<'_>) -> Result<Destination> {
        let Opening {
            several,
            network,
            cancel,
            force,
            is_rehearsal,
        } = *opening;
        if let Some(path) = self.folder() {
            check_place(path)?;
        }
        if let Some(tag) = self.tag().filter(|_| several) {
            return Err(Error::argument(format!(
                "the tag '{tag}' is for one model: several have versions of their own"
            )));
        }
        let place = match &self.0 {
            Place::Folder(path) => {
                refuse_packed(path)?;
                let writer: Box<dyn RegistryWriter> = match is_tar(path) {
                    true => {
                        let writer = ArchiveWriter::open(path, cancel, is_rehearsal);
                        Box::new(writer.map_err(|error| no_tar(path, error))?)
                    }
                    false => Box::new(FolderWriter::new(path)),
                };
                return Ok(Destination::Chunked(writer));
            }
            Place::Bucket(url) => {
                let (call, environment) = network()?;
                let writer = BucketWriter::new(url, &call, &environment, force);
                return Ok(Destination::Chunked(Box::new(writer)));
            }
            Place::Layout { folder, .. } => {
                refuse_packed(folder)?;
                let place = ArtifactPlace::layout(folder.clone(), cancel, is_rehearsal);
                let place = place.map_err(|error| no_tar(folder, error))?;
                place.of_several(several)
            }
            Place::Registry {
                host,
                path,
                is_repository,
                ..
            } => {
                let (call, environment) = network()?;
                ArtifactPlace::registry(host, path, &call, &environment)?
                    .of_several(several || !is_repository)
            }
        };
        Ok(Destination::Artifacts(place.with_tag(self.tag())))
    }
}

/// Refuses a place below a file.
fn check_place(path: &Path) -> Result<()> {
    let mut above = path.ancestors().skip(1);
    match above.find(|it| it.exists()) {
        Some(file) if file.is_file() => Err(Error::argument(format!(
            "cannot write to {}: {} is a file, and no folder",
            path.display(),
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Says what would be done with a file that is not called like a tar, and is none.
fn no_tar(path: &Path, error: Error) -> Error {
    let is_called_so = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("tar"));
    match error.kind() {
        ErrorKind::Registry { .. } if !is_called_so => Error::registry_from(
            path.display(),
            "a file is there, and no tar that could be added to: name a folder, or a file that ends with .tar",
            error,
        ),
        _ => error,
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
            ("oci:ghcr.io/acme", "begins with oci://"),
            ("http:/h/x", "begins with http://"),
            ("file:", "begins with file://"),
            ("file://", "cannot publish to file://"),
            ("https://h/x", "cannot publish to https://h/x"),
            ("oci-layout:", "has no folder"),
        ] {
            let error = PublishTarget::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
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
