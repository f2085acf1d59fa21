//! A target that is opened: to write models into it, or to remove what none needs.

use std::fmt;
use std::path::Path;

use super::RegistryWriter;
use super::archive::ArchiveWriter;
use super::bucket::BucketWriter;
use super::chunked::{PublishedVersion, Registry, Stream, Writing, WrittenVersion, add_to_index};
use super::folder::FolderWriter;
use super::oci::{ArtifactPlace, published_version, push_version};
#[cfg(feature = "author")]
use super::prune::PrunedRegistry;
#[cfg(feature = "author")]
use super::rehearsal::RehearsedRegistry;
use super::tar::{is_tar, refuse_packed};
use super::target::{Place, PublishTarget};
use crate::catalog::Metadata;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::model::ModelRef;
use crate::progress::CancelToken;

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
            Self::Chunked(registry) => registry.write_version(stream, model, metadata, writing),
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
