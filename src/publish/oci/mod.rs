//! Publishing in OCI registries, and in image layouts on this machine, folders or tars: each version is an artifact of [`modelpack`].
//!
//! Blobs are written first, several at once, and those that are there already are not sent again; then the manifest, and its
//! tags last. Whoever pulls sees the old state of a tag or the new one.

mod layout;
mod modelpack;
mod tar;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::http::transport::Payload;
use crate::model::ModelRef;
use crate::progress::{CancelToken, Step, Task};
use crate::publish::chunked::{Stream, Writing, WrittenVersion};
use crate::publish::counted::Counted;
use crate::relpath::below;
use crate::source::at_once;
use crate::source::oci::PushRegistry;

use layout::LayoutWriter;
use modelpack::{Artifact, Layer};
use tar::TarLayout;
use upload::{Pushed, RepositoryWriter};

/// Puts the artifacts of one repository where it is. Many threads use it at once.
pub(crate) trait ArtifactWriter: Send + Sync + fmt::Debug {
    /// Writes a blob, unless it is there; returns whether it was sent.
    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool>;

    /// Writes a manifest, whose blobs are there, and then lets each of the tags name it.
    fn put_manifest(&self, digest: &Digest, manifest: &[u8], tags: &[&str]) -> Result<()>;
}

/// Where the repositories of several models are.
pub(crate) struct ArtifactPlace(Place);

enum Place {
    Layout(PathBuf),
    Tar(Arc<TarLayout>),
    Registry(Box<Repositories>),
}

struct Repositories {
    registry: PushRegistry,
    /// A repository, or what the names of all begin with.
    path: String,
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only a publisher names one")
    )]
    is_repository: bool,
    /// Authorized for the registry.
    call: Call,
    pushed: Arc<Pushed>,
}

impl ArtifactPlace {
    /// An image layout: a tar if there is a file, or nothing yet and the name ends so.
    pub(super) fn layout(path: PathBuf, cancel: &CancelToken) -> Result<Self> {
        let ends_so = path.extension().is_some_and(|extension| extension == "tar");
        let is_tar = path.is_file() || ends_so && !path.is_dir();
        Ok(Self(match is_tar {
            true => Place::Tar(Arc::new(TarLayout::open(&path, cancel)?)),
            false => Place::Layout(path),
        }))
    }

    /// Lets others see what is hidden until the end.
    pub(super) fn finish(&self) -> Result<()> {
        match &self.0 {
            Place::Tar(tar) => tar.finish(),
            Place::Layout(_) | Place::Registry(_) => Ok(()),
        }
    }

    pub(super) fn registry(
        host: &str,
        path: &str,
        is_repository: bool,
        call: &Call,
        environment: &Environment,
    ) -> Result<Self> {
        let registry = PushRegistry::open(host, environment)?;
        let repositories = Repositories {
            call: call.authorized(Some(registry.authority())),
            registry,
            path: path.to_owned(),
            is_repository,
            pushed: Arc::default(),
        };
        Ok(Self(Place::Registry(repositories.into())))
    }

    #[cfg(feature = "author")]
    /// The place of the only model that is published.
    pub(crate) fn of_only(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        match &self.0 {
            Place::Layout(folder) => Ok(Box::new(LayoutWriter::new(folder, None))),
            Place::Tar(tar) => Ok(Box::new(tar.writer(None))),
            Place::Registry(at) if at.is_repository => at.repository(&at.path),
            Place::Registry(_) => self.of_model(name),
        }
    }

    /// The place of one of several models.
    pub(crate) fn of_model(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        match &self.0 {
            Place::Layout(folder) => Ok(Box::new(LayoutWriter::new(folder, Some(name)))),
            Place::Tar(tar) => Ok(Box::new(tar.writer(Some(name)))),
            Place::Registry(at) => at.repository(&below(&at.path, name)),
        }
    }
}

impl Repositories {
    fn repository(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        let (name, base) = self.registry.repository(name)?;
        let writer = RepositoryWriter::new(base, &name, self.call.clone(), &self.pushed);
        Ok(Box::new(writer))
    }
}

/// Publishes the files of a stream as one version, whose name is its tag.
pub(crate) fn push_version(
    stream: &Stream,
    model: &ModelRef,
    metadata: Metadata,
    repository: &dyn ArtifactWriter,
    writing: &Writing<'_>,
) -> Result<WrittenVersion> {
    if stream.parts.is_empty() {
        return Err(Error::argument("there are no files to publish"));
    }
    let name = model.to_string();
    let layers = hash_layers(stream, &name, writing)?;
    let artifact = Artifact::new(&layers, &metadata)?;
    let tally = writing.begin(Step {
        total_bytes: stream.size_bytes(),
        ..Step::new(Task::Uploading, layers.len() as u64).at(&name, 0)
    });
    // Equal files are one blob.
    let mut blobs: Vec<usize> = (0..layers.len()).collect();
    blobs.sort_by_key(|index| layers[*index].digest);
    blobs.dedup_by_key(|index| layers[*index].digest);
    let sent = at_once(&blobs, |index| {
        let slice = stream.slice(&stream.parts[*index].range());
        let counted = Counted::new(&slice, &tally);
        let layer = &layers[*index];
        let is_sent = repository
            .put_blob(&layer.digest, &counted)
            .map_err(|error| error.step(layer.name.to_string()))?;
        counted.finish()?;
        tally.complete();
        Ok(is_sent.then_some(layer.size_bytes))
    });
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;
    let config = artifact.config;
    repository.put_blob(&Digest::of(&config), &config)?;
    let manifest_digest = Digest::of(&artifact.manifest);
    let tags = std::iter::once(model.version());
    let tags: Vec<&str> = tags
        .chain(writing.aliases.iter().map(String::as_str))
        .collect();
    repository.put_manifest(&manifest_digest, &artifact.manifest, &tags)?;
    Ok(WrittenVersion {
        model: model.clone(),
        aliases: writing.aliases.to_vec(),
        metadata,
        manifest_digest,
        source: None,
        replaced: None,
        files: layers.len(),
        total_bytes: stream.size_bytes(),
        chunks: blobs.len(),
        chunks_written: sent.iter().flatten().count(),
        bytes_written: sent.iter().flatten().sum(),
    })
}

fn hash_layers(stream: &Stream, name: &str, writing: &Writing<'_>) -> Result<Vec<Layer>> {
    let tally = writing.begin(Step {
        total_bytes: stream.size_bytes(),
        ..Step::new(Task::Hashing, stream.parts.len() as u64).at(name, 0)
    });
    let layers = stream.parts.par_iter().map(|part| {
        let digest = stream.hash(&part.range(), &tally)?;
        tally.complete();
        Ok(Layer {
            name: part.name.clone(),
            digest,
            size_bytes: part.size_bytes,
        })
    });
    layers.collect()
}
