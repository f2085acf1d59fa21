//! Publishing in OCI registries, and in image layouts on this machine, folders or tars: each version is an artifact of [`modelpack`],
//! or the one that it is elsewhere.
//!
//! Blobs are written first, several at once, and those that are there already are not sent again; then the manifest, and its
//! tags last. Whoever pulls sees the old state of a tag or the new one.

mod layout;
mod modelpack;
mod place;
#[cfg(feature = "author")]
mod rehearsal;
mod repositories;
mod tar;
mod upload;

use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::at_once::at_once;
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http::transport::Payload;
use crate::model::ModelRef;
use crate::oci::{MAX_DESCRIPTORS, MAX_DOCUMENT_BYTES, is_tag};
use crate::progress::{Step, Task};
use crate::publish::chunked::{PublishedVersion, Stream, Writing, WrittenVersion};
use crate::publish::counted::Counted;
use crate::size::sizes_apart;
use crate::source::verbatim::TypedDocument;

pub(crate) use place::ArtifactPlace;

use modelpack::{Artifact, Layer, MANIFEST, mirrored};

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
    /// its name. Returns which other one the first tag named before, if any.
    fn put_manifest(&self, manifest: &TypedDocument, tags: &[&str]) -> Result<Option<Digest>>;
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
    metadata: &Metadata,
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
    if let Some(alias) = tags[1..].iter().find(|alias| **alias == tags[0]) {
        return Err(Error::argument(format!(
            "the alias '{alias}' of {} is the version itself",
            model.name()
        )));
    }
    let writer = LayerWriter {
        stream,
        name: &name,
        repository,
        writing,
    };
    let layers = writer.hash()?;
    let artifact = Artifact::new(&layers, metadata, writing.source.as_ref())?;
    check_size(&artifact.manifest)?;
    let sent = writer.send(&layers)?;
    let config = artifact.config;
    repository.put_blob(&Digest::of(&config), &config)?;
    let manifest_digest = Digest::of(&artifact.manifest);
    let manifest = TypedDocument {
        digest: manifest_digest,
        media_type: MANIFEST,
        json: artifact.manifest,
    };
    let replaced = repository.put_manifest(&manifest, &tags)?;
    Ok(WrittenVersion {
        address: repository.address(model.version()),
        model: model.clone(),
        aliases: writing.aliases.to_vec(),
        metadata: metadata.into(),
        manifest_digest,
        source: writing.source,
        replaced,
        files: layers.len(),
        total_bytes: stream.size_bytes(),
        chunks: sent.new.0 + sent.there.0,
        chunks_written: sent.new.0,
        bytes_written: sent.new.1,
        there: sent.there,
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

/// Sends the files of a stream as the layers of an artifact.
struct LayerWriter<'a> {
    stream: &'a Stream,
    /// What is shown of the model.
    name: &'a str,
    repository: &'a dyn ArtifactWriter,
    writing: &'a Writing<'a>,
}

/// How many blobs the layers are, and their total size: equal files are one.
#[derive(Default)]
struct Sent {
    new: (usize, u64),
    there: (usize, u64),
}

impl LayerWriter<'_> {
    fn hash(&self) -> Result<Vec<Layer>> {
        let parts = &self.stream.parts;
        let tally = self.writing.begin(Step {
            total_bytes: self.stream.size_bytes(),
            ..Step::new(Task::Hashing, parts.len() as u64).at(self.name, 0)
        });
        let layers = parts.par_iter().map(|part| {
            let digest = self.stream.hash(&part.range(), &tally)?;
            tally.complete();
            Ok(Layer {
                name: part.name.clone(),
                digest,
                size_bytes: part.size_bytes,
            })
        });
        layers.collect()
    }

    /// Sends the layers that the repository does not have.
    fn send(&self, layers: &[Layer]) -> Result<Sent> {
        let mut blobs: Vec<_> = layers.iter().zip(&self.stream.parts).collect();
        blobs.sort_by_key(|(layer, _)| layer.digest);
        blobs.dedup_by_key(|(layer, _)| layer.digest);
        let tally = self.writing.begin(Step {
            total_bytes: blobs.iter().map(|(layer, _)| layer.size_bytes).sum(),
            ..Step::new(Task::Uploading, blobs.len() as u64).at(self.name, 0)
        });
        // A registry that refuses one file refuses all of them.
        let has_failed = AtomicBool::new(false);
        let sent = at_once(&blobs, |(layer, part)| {
            if has_failed.load(Relaxed) {
                return Ok::<_, Error>(false);
            }
            let slice = self.stream.slice(&part.range());
            let counted = Counted::new(&slice, &tally);
            let is_new = self
                .repository
                .put_blob(&layer.digest, &counted)
                .inspect_err(|_| has_failed.store(true, Relaxed))
                .map_err(|error| error.step(layer.name.to_string()))?;
            counted.finish()?;
            tally.complete();
            Ok(is_new)
        });
        let mut sums = Sent::default();
        for ((layer, _), is_new) in blobs.into_iter().zip(sent) {
            let sum = match is_new? {
                true => &mut sums.new,
                false => &mut sums.there,
            };
            sum.0 += 1;
            sum.1 += layer.size_bytes;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
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
}
