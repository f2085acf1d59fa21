//! Publishing in OCI registries, and in image layouts on this machine, folders or tars: each version is an artifact of [`modelpack`],
//! or the one that it is elsewhere.
//!
//! Blobs are written first, several at once, and those that are there already are not sent again; then the manifest, and its
//! tags last. Whoever pulls sees the old state of a tag or the new one.

mod layout;
mod modelpack;
#[cfg(feature = "author")]
mod rehearsal;
mod repositories;
mod tar;
mod upload;

use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::http::transport::Payload;
use crate::model::ModelRef;
use crate::oci::{MAX_DESCRIPTORS, MAX_DOCUMENT_BYTES, is_tag};
use crate::progress::{CancelToken, Step, Task};
use crate::publish::chunked::{PublishedVersion, Stream, Writing, WrittenVersion};
use crate::publish::counted::Counted;
#[cfg(feature = "author")]
use crate::publish::rehearsal::Rehearsed;
use crate::publish::tar::is_tar;
use crate::size::sizes_apart;
use crate::source::at_once;
use crate::source::verbatim::TypedDocument;

use layout::LayoutWriter;
use modelpack::{Artifact, Layer, MANIFEST, mirrored};
#[cfg(feature = "author")]
use rehearsal::RehearsedRepository;
use repositories::Repositories;
use tar::TarLayout;

/// Puts the artifacts of one repository where it is. Many threads use it at once.
pub(crate) trait ArtifactWriter: Send + Sync + fmt::Debug {
    /// The name of the repository, such as `acme/llama`; `None` if it is called like the model.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers name one model")
    )]
    fn repository(&self) -> Option<&str> {
        None
    }

    /// What one pulls to get a tag; `None` if nothing says it in one address.
    fn address(&self, tag: &str) -> Option<String>;

    /// Returns whether a blob seems to be there, for a plan: [`put_blob`](Self::put_blob) makes sure.
    fn has_blob(&self, digest: &Digest, size_bytes: u64) -> Result<bool>;

    /// Writes a blob, unless it is there; returns whether it was sent.
    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool>;

    /// Reads the manifest that a tag names; `None` when there is none.
    fn read_manifest(&self, tag: &str) -> Result<Option<Vec<u8>>>;

    /// Returns what a tag names, or the digest itself if the repository has that; `None` when there is none.
    fn digest_of(&self, reference: &str) -> Result<Option<Digest>>;

    /// Writes a manifest that another one names, and whose blobs are there.
    fn put_part(&self, manifest: &TypedDocument) -> Result<()>;

    /// Writes a manifest, of which all that it names is there, and then lets each of the tags name it. Without tags, its digest is
    /// its name.
    fn put_manifest(&self, manifest: &TypedDocument, tags: &[&str]) -> Result<()>;
}

/// Where the repositories of one or several models are.
pub(crate) struct ArtifactPlace {
    place: Place,
    /// The tag of the only model.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers name one model")
    )]
    tag: Option<String>,
    /// Whether the place is that of one model, or has one for each.
    is_repository: bool,
    /// What would have been sent, if nothing is.
    #[cfg(feature = "author")]
    rehearsal: Option<Rehearsed>,
}

enum Place {
    Layout(PathBuf),
    Tar(Arc<TarLayout>),
    Registry(Box<Repositories>),
}

impl ArtifactPlace {
    /// An image layout in a folder or a tar.
    pub(super) fn layout(path: PathBuf, cancel: &CancelToken, is_rehearsal: bool) -> Result<Self> {
        let place = match is_tar(&path) {
            true => Place::Tar(Arc::new(TarLayout::open(&path, cancel, is_rehearsal)?)),
            false => Place::Layout(path),
        };
        Ok(Self::of(place))
    }

    /// Lets others see what is hidden until the end.
    pub(super) fn finish(&self) -> Result<()> {
        #[cfg(feature = "author")]
        if self.rehearsal.is_some() {
            return Ok(());
        }
        match &self.place {
            Place::Tar(tar) => tar.finish()?,
            Place::Layout(folder) => layout::tidy(folder),
            Place::Registry(_) => {}
        }
        Ok(())
    }

    /// Whether all is written in one pass, at whose end others see it.
    pub(super) fn is_in_one_pass(&self) -> bool {
        matches!(self.place, Place::Tar(_))
    }

    /// A place at a host: the repository with this path, until [`Self::of_several`] says otherwise.
    pub(super) fn registry(
        host: &str,
        path: &str,
        call: &Call,
        environment: &Environment,
    ) -> Result<Self> {
        let repositories = Repositories::open(host, path, call, environment)?;
        Ok(Self::of(Place::Registry(Box::new(repositories))))
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            tag: None,
            is_repository: true,
            #[cfg(feature = "author")]
            rehearsal: None,
        }
    }

    /// The same place, with repositories for several models if that is so.
    pub(super) fn of_several(self, several: bool) -> Self {
        Self {
            is_repository: !several,
            ..self
        }
    }

    /// The same place, whose only model gets this tag if there is one.
    pub(super) fn with_tag(self, tag: Option<&str>) -> Self {
        Self {
            tag: tag.map(str::to_owned),
            ..self
        }
    }

    /// A model as it will be called: like its repository, in the version that its tag is.
    #[cfg(feature = "author")]
    pub(crate) fn named(
        &self,
        model: &ModelRef,
        repository: &dyn ArtifactWriter,
    ) -> Result<ModelRef> {
        let version = self.tag.as_deref().unwrap_or(model.version());
        let (group, name) = match repository.repository() {
            Some(repository) => repository.rsplit_once('/').unwrap_or(("", repository)),
            None => (model.group(), model.model()),
        };
        ModelRef::new(group, name, version).map_err(Error::argument_name)
    }

    /// The same place, in which nothing is written.
    #[cfg(feature = "author")]
    pub(super) fn rehearsed(self) -> Self {
        Self {
            rehearsal: Some(Rehearsed::default()),
            ..self
        }
    }

    /// The place of a model.
    pub(crate) fn of_model(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        let writer = self.writer_of(name)?;
        #[cfg(feature = "author")]
        if let Some(rehearsed) = &self.rehearsal {
            return Ok(Box::new(RehearsedRepository::new(writer, rehearsed)));
        }
        Ok(writer)
    }

    fn writer_of(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        let own = (!self.is_repository).then_some(name);
        Ok(match &self.place {
            Place::Layout(folder) => Box::new(LayoutWriter::new(folder, own)),
            Place::Tar(tar) => Box::new(tar.writer(own)),
            Place::Registry(repositories) => Box::new(repositories.writer(own)?),
        })
    }
}

/// Returns what is there of a version of a mirror, with those of the aliases that are its; `None` if it is no mirror's.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the version or an alias cannot be a tag.
pub(crate) fn published_version(
    repository: &dyn ArtifactWriter,
    version: &str,
    aliases: &[String],
) -> Result<Option<PublishedVersion>> {
    let tags = iter::once(version).chain(aliases.iter().map(String::as_str));
    check_tags(&tags.collect::<Vec<_>>())?;
    let Some(manifest) = repository.read_manifest(version)? else {
        return Ok(None);
    };
    let Some((source, metadata)) = mirrored(&manifest) else {
        return Ok(None);
    };
    let digest = Digest::of(&manifest);
    let mut published = PublishedVersion {
        manifest: digest,
        source: Some(source),
        metadata,
        aliases: BTreeSet::new(),
    };
    for alias in aliases {
        if repository.digest_of(alias)? == Some(digest) {
            published.aliases.insert(alias.clone());
        }
    }
    Ok(Some(published))
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
    check_layers(stream.parts.len())?;
    let tags = iter::once(model.version());
    let tags: Vec<&str> = tags
        .chain(writing.aliases.iter().map(String::as_str))
        .collect();
    check_tags(&tags)?;
    let name = model.to_string();
    let layers = hash_layers(stream, &name, writing)?;
    let artifact = Artifact::new(&layers, &metadata, writing.source.as_ref())?;
    check_size(&artifact.manifest)?;
    let tally = writing.begin(Step {
        total_bytes: stream.size_bytes(),
        ..Step::new(Task::Uploading, layers.len() as u64).at(&name, 0)
    });
    // Equal files are one blob.
    let mut blobs: Vec<usize> = (0..layers.len()).collect();
    blobs.sort_by_key(|index| layers[*index].digest);
    blobs.dedup_by_key(|index| layers[*index].digest);
    // A registry that refuses one file refuses all of them.
    let has_failed = AtomicBool::new(false);
    let sent = at_once(&blobs, |index| {
        if has_failed.load(Relaxed) {
            return Ok(None);
        }
        let slice = stream.slice(&stream.parts[*index].range());
        let counted = Counted::new(&slice, &tally);
        let layer = &layers[*index];
        let is_sent = repository
            .put_blob(&layer.digest, &counted)
            .inspect_err(|_| has_failed.store(true, Relaxed))
            .map_err(|error| error.step(layer.name.to_string()))?;
        counted.finish()?;
        tally.complete();
        Ok(is_sent.then_some(layer.size_bytes))
    });
    let sent = sent.into_iter().collect::<Result<Vec<_>>>()?;
    let config = artifact.config;
    repository.put_blob(&Digest::of(&config), &config)?;
    let manifest_digest = Digest::of(&artifact.manifest);
    let manifest = TypedDocument {
        digest: manifest_digest,
        media_type: MANIFEST,
        json: artifact.manifest,
    };
    repository.put_manifest(&manifest, &tags)?;
    let distinct: u64 = blobs.iter().map(|index| layers[*index].size_bytes).sum();
    let (new, bytes_written) = (
        sent.iter().flatten().count(),
        sent.iter().flatten().sum::<u64>(),
    );
    Ok(WrittenVersion {
        address: repository.address(model.version()),
        model: model.clone(),
        aliases: writing.aliases.to_vec(),
        metadata,
        manifest_digest,
        source: writing.source,
        replaced: None,
        files: layers.len(),
        total_bytes: stream.size_bytes(),
        chunks: blobs.len(),
        chunks_written: new,
        bytes_written,
        there: (blobs.len() - new, distinct - bytes_written),
    })
}

/// Refuses what could be sent, but not read.
fn check_layers(files: usize) -> Result<()> {
    match files <= MAX_DESCRIPTORS {
        true => Ok(()),
        false => Err(Error::argument(format!(
            "{files} files are too many for an artifact, which has a layer for each and can have {MAX_DESCRIPTORS}: \
             publish them in a chunked registry"
        ))),
    }
}

/// The same of a manifest as a whole: registries take no larger ones either.
fn check_size(manifest: &[u8]) -> Result<()> {
    let bytes = manifest.len() as u64;
    match bytes <= MAX_DOCUMENT_BYTES {
        true => Ok(()),
        false => {
            let [size, most] = sizes_apart(bytes, MAX_DOCUMENT_BYTES);
            Err(Error::argument(format!(
                "the manifest of the artifact would have {size}, and can have {most}: publish fewer files, or in a \
                 chunked registry"
            )))
        }
    }
}

/// Refuses what cannot be a tag before anything is sent.
fn check_tags(tags: &[&str]) -> Result<()> {
    let Some(other) = tags.iter().find(|tag| !is_tag(tag)) else {
        return Ok(());
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let near = other.replace(|c| !plain(c), "-");
    let near = match is_tag(&near) {
        true => format!(", such as {near}"),
        false => String::new(),
    };
    Err(Error::argument(format!(
        "'{}' cannot be a tag, which has at most 128 letters, digits, '_', '.' and '-': name one{near}",
        other.escape_debug()
    )))
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

#[cfg(test)]
mod tests {
    use super::layout::{Tagging, empty_index};
    use super::*;

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        assert!(check_layers(MAX_DESCRIPTORS).is_ok());
        assert!(check_layers(MAX_DESCRIPTORS + 1).is_err());
        let mut manifest = vec![b' '; MAX_DOCUMENT_BYTES as usize];
        assert!(check_size(&manifest).is_ok());
        manifest.push(b' ');
        let error = check_size(&manifest).unwrap_err().to_string();
        assert!(
            error.contains("would have 4194305 B, and can have 4194304 B"),
            "{error}"
        );
    }

    #[test]
    fn a_layout_has_no_more_tags_than_can_be_read() {
        let manifest = TypedDocument {
            digest: Digest::of(b"{}"),
            media_type: MANIFEST,
            json: b"{}".to_vec(),
        };
        let tags: Vec<String> = (0..=MAX_DESCRIPTORS).map(|tag| tag.to_string()).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let apply = |tags| {
            let location = std::path::Path::new("l/index.json");
            let tagging = Tagging {
                name: None,
                tags,
                location,
            };
            tagging.apply(empty_index(), &manifest)
        };
        assert!(apply(&tags[1..]).is_ok());
        assert!(
            apply(&tags)
                .unwrap_err()
                .to_string()
                .contains("l/index.json is full")
        );
    }
}
