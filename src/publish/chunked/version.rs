//! Writing the chunks and the manifest of one version.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::stream::{Part, Stream};
use super::{Chunking, Registry, Writing, WrittenVersion};
use crate::catalog::Metadata;
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result, chain};
use crate::manifest::{self, MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::progress::tally::Tally;
use crate::progress::{Step, Task};
use crate::publish::RegistryWriter;
use crate::size::sizes_apart;

/// The chunks of a stream.
struct Chunks {
    ranges: Vec<Range<u64>>,
    /// The size and digest of each.
    facts: Vec<(u64, Digest)>,
    /// Those that the registry did not have.
    new: BTreeSet<(u64, Digest)>,
}

/// Writes the chunks and the manifest of a version.
pub(crate) fn write_version(
    stream: &Stream,
    model: &ModelRef,
    metadata: Metadata,
    registry: &Registry<'_>,
    writing: &Writing<'_>,
) -> Result<WrittenVersion> {
    if stream.parts.is_empty() {
        return Err(Error::argument("there are no files to publish"));
    }
    let name = model.to_string();
    let previous = registry.published.manifest(model, registry)?;
    let previous = previous.filter(|previous| has_names_and_sizes(previous, stream));
    let (mut ranges, digests) = match (writing.chunking, &previous) {
        (Chunking::Content, _) => {
            let tally = writing.hashing(stream.parts.iter(), &name);
            let (ranges, digests) = stream.chunks_by_content(writing.chunk_bytes, &tally)?;
            (ranges, Some(digests))
        }
        // Whether they are the same must be known before they are cut.
        (Chunking::Fixed, Some(_)) => {
            let tally = writing.hashing(stream.parts.iter(), &name);
            let hash = |part: &Part| hash_file(stream, part, &tally);
            let digests = stream.parts.par_iter().map(hash);
            let digests = digests.collect::<Result<_>>()?;
            (stream.chunks(writing.chunk_bytes), Some(digests))
        }
        (Chunking::Fixed, None) => (stream.chunks(writing.chunk_bytes), None),
    };
    let previous = previous.filter(|it| digests.as_ref().is_some_and(|all| has_digests(it, all)));
    if let Some(previous) = &previous {
        ranges = previous.parts().iter().map(manifest::Part::range).collect();
    }
    let chunks = write_chunks(stream, ranges, &name, registry.writer, writing)?;
    let digests = match digests {
        Some(digests) => digests,
        None => hash_files(stream, &name, &chunks, writing)?,
    };
    let known = writing.known;
    let files = files(stream, &digests);
    let files = known.map_or(Ok(files.clone()), |known| known.confirm(files))?;
    let manifest = match previous.filter(|previous| chunks.are_of(previous)) {
        Some(previous) => previous,
        None => Manifest::of_chunks(&files, &chunks.facts, writing.chunk_bytes)
            .map_err(|error| Error::argument(chain(&error)))?,
    };
    let bytes = manifest.json().len() as u64;
    if bytes > MAX_MANIFEST_BYTES {
        let [bytes, most] = sizes_apart(bytes, MAX_MANIFEST_BYTES);
        return Err(Error::argument(format!(
            "the manifest would have {bytes}, and at most {most} are allowed: choose larger chunks"
        )));
    }
    registry
        .writer
        .put(&manifest.digest(), &manifest.json().to_vec())?;
    Ok(WrittenVersion {
        address: None,
        model: model.clone(),
        aliases: writing.aliases.to_vec(),
        metadata,
        manifest_digest: manifest.digest(),
        source: writing.source.filter(|it| *it != manifest.digest()),
        replaced: None,
        files: stream.parts.len(),
        total_bytes: manifest.known_bytes(),
        chunks: chunks.facts.len(),
        chunks_written: chunks.new.len(),
        bytes_written: chunks.new.iter().map(|(bytes, _)| bytes).sum(),
    })
}

/// Writes those chunks of a stream that are new.
fn write_chunks(
    stream: &Stream,
    ranges: Vec<Range<u64>>,
    name: &str,
    registry: &dyn RegistryWriter,
    writing: &Writing<'_>,
) -> Result<Chunks> {
    let tally = writing.begin(Step {
        total_bytes: stream.size_bytes(),
        ..Step::new(Task::Chunking, ranges.len() as u64).at(name, 0)
    });
    // The subscriber of the calling thread is unknown to the workers.
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let write_one = |range: &Range<u64>| {
        let digest = stream.hash(range, &tally)?;
        let is_new = registry.put(&digest, &stream.slice(range))?;
        tally.complete();
        Ok(((range.end - range.start, digest), is_new))
    };
    let write = |range| tracing::dispatcher::with_default(&dispatch, || write_one(range));
    let write_all = || ranges.par_iter().map(write).collect::<Result<Vec<_>>>();
    let written = match workers(registry)? {
        Some(workers) => workers.install(write_all)?,
        None => write_all()?,
    };
    // Two workers may write the same chunk at once.
    let new = written.iter().filter(|(_, is_new)| *is_new);
    Ok(Chunks {
        new: new.map(|(chunk, _)| *chunk).collect(),
        facts: written.iter().map(|(chunk, _)| *chunk).collect(),
        ranges,
    })
}

/// Threads that wait for a network, if the registry is behind one.
fn workers(registry: &dyn RegistryWriter) -> Result<Option<ThreadPool>> {
    if registry.workers() == 0 {
        return Ok(None);
    }
    let builder = ThreadPoolBuilder::new()
        .num_threads(registry.workers())
        .thread_name(|index| format!("modelrack-publish-{index}"));
    let failed = |error: ThreadPoolBuildError| Error::internal(error.to_string());
    builder.build().map(Some).map_err(failed)
}

/// Returns the digests of the files of a stream; those that are a single chunk are not hashed again.
fn hash_files(
    stream: &Stream,
    name: &str,
    chunks: &Chunks,
    writing: &Writing<'_>,
) -> Result<Vec<Digest>> {
    let others = stream.parts.iter();
    let tally = writing.hashing(others.filter(|part| chunks.digest_of(part).is_none()), name);
    let hash = |part: &Part| match chunks.digest_of(part) {
        Some(digest) => Ok(digest),
        None => hash_file(stream, part, &tally),
    };
    stream.parts.par_iter().map(hash).collect()
}

fn hash_file(stream: &Stream, part: &Part, tally: &Tally<'_>) -> Result<Digest> {
    let digest = stream.hash(&part.range(), tally)?;
    tally.complete();
    Ok(digest)
}

fn files(stream: &Stream, digests: &[Digest]) -> Vec<ManifestFile> {
    let files = stream.parts.iter().zip(digests);
    let files = files.map(|(part, digest)| ManifestFile {
        size_bytes: Some(part.size_bytes),
        digest: Some(Checksum::Sha256(*digest)),
        ..ManifestFile::new(part.name.clone())
    });
    files.collect()
}

fn has_names_and_sizes(manifest: &Manifest, stream: &Stream) -> bool {
    let before = manifest.files().iter();
    let now = stream.parts.iter();
    before
        .map(|file| (&file.path, file.size_bytes))
        .eq(now.map(|part| (&part.name, Some(part.size_bytes))))
}

fn has_digests(manifest: &Manifest, digests: &[Digest]) -> bool {
    let before = manifest.files().iter().map(|file| file.digest);
    before.eq(digests.iter().map(|digest| Some(Checksum::Sha256(*digest))))
}

impl Writing<'_> {
    /// Begins to hash these files.
    fn hashing<'s>(
        &'s self,
        parts: impl Iterator<Item = &'s Part> + Clone,
        name: &'s str,
    ) -> Tally<'s> {
        self.begin(Step {
            total_bytes: parts.clone().map(|part| part.size_bytes).sum(),
            ..Step::new(Task::Hashing, parts.count() as u64).at(name, 0)
        })
    }
}

impl Chunks {
    /// Returns the digest of a file that is a single chunk.
    fn digest_of(&self, part: &Part) -> Option<Digest> {
        let range = part.range();
        let found = self
            .ranges
            .binary_search_by_key(&range.start, |chunk| chunk.start);
        let chunk = found.ok().filter(|chunk| self.ranges[*chunk] == range)?;
        Some(self.facts[chunk].1)
    }

    /// Whether they are those that a manifest lists.
    fn are_of(&self, manifest: &Manifest) -> bool {
        let listed = manifest
            .parts()
            .iter()
            .map(|part| (part.size_bytes, part.digest));
        let facts = self.facts.iter();
        listed.eq(facts.map(|(bytes, digest)| (*bytes, Some(Checksum::Sha256(*digest)))))
    }
}
