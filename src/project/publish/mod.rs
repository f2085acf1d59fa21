//! Writing a chunked registry that any static server or bucket serves as it is.
//!
//! The same files give the same bytes. Every file that is at least a chunk long begins a chunk of its own, so that a file
//! that grows does not shift the others; smaller files share chunks, in the order of names. Chunks that are there already
//! stay: versions share them. The index is replaced last, in one step, so that whoever pulls meanwhile sees the old state
//! or the new one.

mod inputs;
pub(crate) mod make;
mod registered;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use inputs::{Input, collect, hash, read};
use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};
pub use registered::PublishRegisteredOptions;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::Metadata;
use crate::digest::{Checksum, Digest, Hasher};
use crate::disk::write::{NewFile, replace_file};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::progress::CancelToken;
use crate::relpath::RelPath;
use crate::setters::setters;
use crate::source::chunked;
use crate::store::lock::{FileLock, RECORD_LIMIT};

/// The size of a chunk unless said otherwise: 8 MiB, large enough that requests cost little, small enough to be shared
/// and to be fetched again cheaply.
pub const DEFAULT_CHUNK_BYTES: u64 = 8 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// How to publish.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishOptions {
    /// The size of a chunk, from 1 KiB. Default: [`DEFAULT_CHUNK_BYTES`].
    pub chunk_bytes: u64,
    /// Other names for the version, such as `latest`. They move from the version they named before.
    pub aliases: Vec<String>,
    /// What the index says about the version: `description`, `type`, `tags` and whatever else.
    pub metadata: Metadata,
    /// Folders of this name, at the top of a path, are left out: where a store keeps its own files.
    pub skip: Option<String>,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: DEFAULT_CHUNK_BYTES,
            aliases: Vec::new(),
            metadata: Metadata::new(),
            skip: None,
        }
    }
}

impl PublishOptions {
    /// Adds to [`PublishOptions::aliases`].
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }
}

setters!(PublishOptions {
    chunk_bytes: u64,
    metadata: Metadata,
    skip: impl Into<Option<String>>,
});

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PublishReport {
    /// The version.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The registry's folder.
    #[serde(serialize_with = "crate::report::path")]
    pub registry: PathBuf,
    /// Other names for it that were set.
    pub aliases: Vec<String>,
    /// The digest of its manifest.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The digest of the manifest that the version had before, when it was another.
    pub replaced: Option<Digest>,
    /// The number of files.
    pub files: usize,
    /// The size of all files together.
    pub total_bytes: u64,
    /// The number of chunks.
    pub chunks: usize,
    /// How many of them were not there yet.
    pub chunks_written: usize,
    /// The bytes of those.
    pub bytes_written: u64,
}

/// Publishes files and folders as one version of a model, into a new registry or an existing one.
///
/// A folder's content lies at the model's top; a file lies there under its own name. Links to files are followed.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when nothing is to be published, two inputs have one name, or a name would be refused by
/// those who pull; [`ErrorKind::Registry`] when the registry's index is malformed; the storage errors.
pub fn publish(
    paths: &[PathBuf],
    registry: &Path,
    model: &ModelRef,
    options: &PublishOptions,
) -> Result<PublishReport> {
    check_chunk_bytes(options.chunk_bytes)?;
    publish_inputs(
        &collect(paths, registry, options)?,
        registry,
        model,
        options,
    )
}

fn check_chunk_bytes(bytes: u64) -> Result<()> {
    match bytes {
        ..1024 => Err(Error::argument(format!(
            "a chunk has {bytes} bytes, and should have 1024 or more"
        ))),
        _ => Ok(()),
    }
}

/// Publishes what was collected.
fn publish_inputs(
    inputs: &[Input],
    registry: &Path,
    model: &ModelRef,
    options: &PublishOptions,
) -> Result<PublishReport> {
    let mut written = [write_documents(inputs, registry, model, options)?];
    enter(registry, &mut written)?;
    let [written] = written;
    Ok(written.report)
}

/// A version whose documents are in a registry, and whose name is not in its index yet.
#[derive(Debug)]
struct Written {
    report: PublishReport,
    metadata: Metadata,
}

/// Writes the chunks and the manifest of what was collected.
fn write_documents(
    inputs: &[Input],
    registry: &Path,
    model: &ModelRef,
    options: &PublishOptions,
) -> Result<Written> {
    if inputs.is_empty() {
        return Err(Error::argument("there is no file to publish"));
    }
    let data = registry.join("data");
    fs::create_dir_all(&data).at("create", &data)?;
    let ranges = cut(
        &inputs
            .iter()
            .map(|input| input.size_bytes)
            .collect::<Vec<_>>(),
        options.chunk_bytes,
    );
    let (chunks_written, bytes_written) = (AtomicUsize::new(0), AtomicU64::new(0));
    let chunks: Vec<(u64, Digest)> = ranges
        .par_iter()
        .map(|range| {
            let (digest, written) = write_chunk(inputs, range, &data)?;
            if written {
                chunks_written.fetch_add(1, Ordering::Relaxed);
                bytes_written.fetch_add(range.end - range.start, Ordering::Relaxed);
            }
            Ok((range.end - range.start, digest))
        })
        .collect::<Result<_>>()?;
    let digests: Vec<Digest> = (0..inputs.len())
        .into_par_iter()
        .map(|index| {
            let input = &inputs[index];
            let range = input.offset..input.offset + input.size_bytes;
            // A file that is a chunk of its own is hashed already.
            match ranges.binary_search_by_key(&range.start, |chunk| chunk.start) {
                Ok(chunk) if ranges[chunk] == range => Ok(chunks[chunk].1),
                _ => hash(inputs, &range),
            }
        })
        .collect::<Result<_>>()?;
    let chunk_count = chunks.len();
    let files = inputs
        .iter()
        .zip(digests)
        .map(|(input, digest)| ManifestFile {
            size_bytes: Some(input.size_bytes),
            digest: Some(Checksum::Sha256(digest)),
            ..ManifestFile::new(input.name.clone())
        });
    let manifest = Manifest::of_chunks(&files.collect::<Vec<_>>(), &chunks, options.chunk_bytes)
        .map_err(|error| Error::argument(crate::error::chain(&error)))?;
    if manifest.json().len() as u64 > MAX_MANIFEST_BYTES {
        return Err(Error::argument(format!(
            "the manifest would have {} bytes, and may have {MAX_MANIFEST_BYTES}: choose larger chunks",
            manifest.json().len()
        )));
    }
    let path = data.join(manifest.digest().to_string());
    if fs::read(&path).ok().as_deref() != Some(manifest.json()) {
        replace_file(&path, manifest.json())?;
    }
    let report = PublishReport {
        model: model.clone(),
        registry: registry.to_owned(),
        aliases: options.aliases.clone(),
        manifest_digest: manifest.digest(),
        replaced: None,
        files: inputs.len(),
        total_bytes: manifest.known_bytes(),
        chunks: chunk_count,
        chunks_written: chunks_written.into_inner(),
        bytes_written: bytes_written.into_inner(),
    };
    Ok(Written {
        report,
        metadata: options.metadata.clone(),
    })
}

/// Cuts the stream of files of these sizes into chunks.
fn cut(sizes: &[u64], chunk_bytes: u64) -> Vec<Range<u64>> {
    let mut chunks: Vec<Range<u64>> = Vec::new();
    let (mut begin, mut at) = (0, 0);
    let mut close = |begin: &mut u64, end: u64| {
        if *begin < end {
            chunks.push(*begin..end);
        }
        *begin = end;
    };
    for size in sizes {
        if *size >= chunk_bytes || at - begin + size > chunk_bytes {
            close(&mut begin, at);
        }
        at += size;
        while at - begin >= chunk_bytes {
            let end = begin + chunk_bytes;
            close(&mut begin, end);
        }
        if *size >= chunk_bytes {
            close(&mut begin, at);
        }
    }
    close(&mut begin, at);
    chunks
}

/// Writes a chunk unless it is there; says whether it was written.
fn write_chunk(inputs: &[Input], range: &Range<u64>, data: &Path) -> Result<(Digest, bool)> {
    let digest = hash(inputs, range)?;
    let path = data.join(digest.to_string());
    if is_intact(&path, digest, range.end - range.start) {
        return Ok((digest, false));
    }
    let mut file = NewFile::create(&path)?;
    let mut hasher = Hasher::default();
    read(inputs, range, &mut |piece| {
        hasher.update(piece);
        file.write(piece)
    })?;
    if hasher.finish() != digest {
        return Err(Error::argument("a file changed while it was published"));
    }
    file.commit()?;
    Ok((digest, true))
}

fn is_intact(path: &Path, digest: Digest, size_bytes: u64) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return false;
    };
    let whole = [Input {
        name: match RelPath::parse("chunk") {
            Ok(name) => name,
            Err(_) => return false,
        },
        path: path.to_owned(),
        size_bytes,
        offset: 0,
    }];
    metadata.is_file()
        && metadata.len() == size_bytes
        && hash(&whole, &(0..size_bytes)).is_ok_and(|there| there == digest)
}

/// The index: group → model → version → what is said of it.
type Index = BTreeMap<String, BTreeMap<String, BTreeMap<String, Map<String, Value>>>>;

/// Enters versions and their aliases into the index, all at once, and says of each which digest it had before.
fn enter(registry: &Path, written: &mut [Written]) -> Result<()> {
    let path = registry.join("models.json");
    let _lock = FileLock::acquire(
        &registry.join(".models.json.lock"),
        true,
        Some(RECORD_LIMIT),
        &CancelToken::new(),
        &|_| {},
    )?;
    let mut index: Index = match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).map_err(|error| {
            Error::from(ErrorKind::Registry {
                location: path.display().to_string(),
                message: "the index is malformed".into(),
                source: Some(error.into()),
            })
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Index::new(),
        Err(error) => return Err(error).at("read", &path),
    };
    for Written { report, metadata } in written {
        enter_one(&mut index, report, metadata)?;
    }
    let mut json =
        serde_json::to_vec(&index).map_err(|error| Error::internal(error.to_string()))?;
    json.push(b'\n');
    chunked::check_index(&json).map_err(|message| Error::registry(path.display(), message))?;
    replace_file(&path, &json)
}

fn enter_one(index: &mut Index, report: &mut PublishReport, metadata: &Metadata) -> Result<()> {
    let model = &report.model;
    let versions = index
        .entry(model.group().to_owned())
        .or_default()
        .entry(model.model().to_owned())
        .or_default();
    let mut entry = Map::new();
    entry.insert("hash".into(), report.manifest_digest.to_string().into());
    if !metadata.is_empty() {
        entry.insert("metadata".into(), Value::Object(metadata.clone()));
    }
    let before = versions.insert(model.version().to_owned(), entry);
    for alias in report.aliases.iter().collect::<BTreeSet<_>>() {
        let refuse = |reason: String| {
            Err(Error::argument(format!(
                "the alias '{}' of {}/{} {reason}",
                alias.escape_debug(),
                model.group(),
                model.model()
            )))
        };
        if let Err(error) = crate::model::check_version(alias) {
            return refuse(error.reason().to_owned());
        }
        if alias == model.version() {
            return refuse("is the version itself".into());
        }
        if versions
            .get(alias)
            .is_some_and(|entry| !entry.contains_key("alias_of"))
        {
            return refuse("is a version".into());
        }
        let mut entry = Map::new();
        entry.insert("alias_of".into(), model.version().into());
        versions.insert(alias.clone(), entry);
    }
    let before = before.and_then(|entry| entry.get("hash")?.as_str()?.parse::<Digest>().ok());
    report.replaced = before.filter(|before| *before != report.manifest_digest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_begin_chunks_and_small_ones_share_them() {
        assert_eq!(
            cut(&[3, 3, 3, 25, 4, 0, 10, 1], 10),
            [0..9, 9..19, 19..29, 29..34, 34..38, 38..48, 48..49]
        );
        assert_eq!(cut(&[0, 0], 10), []);
        assert_eq!(cut(&[20], 10), [0..10, 10..20]);
        assert_eq!(cut(&[], 10), []);
    }
}
