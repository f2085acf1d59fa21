//! Writing the chunks and the manifest of one version.

use std::collections::BTreeSet;
use std::ops::Range;
use std::thread;

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
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

/// Where a stream is cut.
struct Planned {
    ranges: Vec<Range<u64>>,
    /// The digests of the chunks, if they are known before these are written.
    digests: Option<Vec<Digest>>,
}

/// The chunks of a stream.
struct Chunks {
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
    let (mut planned, digests) = match (writing.chunking, &previous) {
        (Chunking::Content, _) => {
            let tally = writing.hashing(stream.parts.iter(), &name);
            let cuts = stream.cut_by_content(writing.chunk_bytes, &tally)?;
            let planned = Planned {
                ranges: cuts.chunks,
                digests: Some(cuts.chunk_digests),
            };
            (planned, Some(cuts.file_digests))
        }
        // Whether they are the same must be known before they are cut.
        (Chunking::Fixed, Some(_)) => {
            let tally = writing.hashing(stream.parts.iter(), &name);
            let hash = |part: &Part| hash_file(stream, part, &tally);
            let digests = stream.parts.par_iter().map(hash);
            let digests = digests.collect::<Result<_>>()?;
            (
                Planned::at(stream.chunks(writing.chunk_bytes)),
                Some(digests),
            )
        }
        (Chunking::Fixed, None) => (Planned::at(stream.chunks(writing.chunk_bytes)), None),
    };
    let previous = previous.filter(|it| digests.as_ref().is_some_and(|all| has_digests(it, all)));
    if let Some(previous) = &previous {
        let ranges = previous.parts().iter().map(manifest::Part::range);
        let ranges: Vec<_> = ranges.collect();
        if planned.ranges != ranges {
            planned = Planned::at(ranges);
        }
    }
    let write = || write_chunks(stream, &planned, &name, registry.writer, writing);
    let (chunks, digests) = match digests {
        Some(digests) => (write()?, digests),
        None => hash_meanwhile(stream, &planned.ranges, &name, writing, write)?,
    };
    let known = writing.known;
    let files = files(stream, &digests);
    let files = known.map_or(Ok(files.clone()), |known| known.confirm(files))?;
    let is_same = |previous: &Manifest| {
        let archives = |it: &[ManifestFile]| it.iter().map(|file| file.archive).collect::<Vec<_>>();
        chunks.are_of(previous) && archives(previous.files()) == archives(&files)
    };
    let manifest = match previous.filter(is_same) {
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
        there: chunks.there(),
    })
}

impl Planned {
    fn at(ranges: Vec<Range<u64>>) -> Self {
        Self {
            ranges,
            digests: None,
        }
    }
}

impl Chunks {
    /// How many the registry had, and their total size.
    fn there(&self) -> (usize, u64) {
        let distinct: BTreeSet<_> = self.facts.iter().collect();
        let there = distinct.into_iter().filter(|it| !self.new.contains(it));
        there.fold((0, 0), |(count, sum), (bytes, _)| (count + 1, sum + bytes))
    }
}

/// Writes those chunks of a stream that are new.
fn write_chunks(
    stream: &Stream,
    planned: &Planned,
    name: &str,
    registry: &dyn RegistryWriter,
    writing: &Writing<'_>,
) -> Result<Chunks> {
    let tally = writing.begin(Step {
        total_bytes: stream.size_bytes(),
        ..Step::new(Task::Chunking, planned.ranges.len() as u64).at(name, 0)
    });
    // The subscriber of the calling thread is unknown to the workers.
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let write_one = |index: usize, range: &Range<u64>| {
        let bytes = range.end - range.start;
        let known = planned.digests.as_ref().map(|digests| digests[index]);
        let digest = known.map_or_else(|| stream.hash(range, &tally), Ok)?;
        let is_new = registry.put(&digest, &stream.slice(range))?;
        if known.is_some() {
            tally.advance(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        tally.complete();
        Ok(((bytes, digest), is_new))
    };
    let write =
        |(index, range)| tracing::dispatcher::with_default(&dispatch, || write_one(index, range));
    let ranges = planned.ranges.par_iter().enumerate();
    let write_all = || ranges.map(write).collect::<Result<Vec<_>>>();
    let written = match workers(registry)? {
        Some(workers) => workers.install(write_all)?,
        None => write_all()?,
    };
    // Two workers may write the same chunk at once.
    let new = written.iter().filter(|(_, is_new)| *is_new);
    Ok(Chunks {
        new: new.map(|(chunk, _)| *chunk).collect(),
        facts: written.iter().map(|(chunk, _)| *chunk).collect(),
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

/// Writes chunks and returns the digests of the files, too. Those that are no single chunk are hashed meanwhile: that takes
/// about as long as hashing the chunks, and of one large file no two processors can do it.
fn hash_meanwhile(
    stream: &Stream,
    ranges: &[Range<u64>],
    name: &str,
    writing: &Writing<'_>,
    write: impl FnOnce() -> Result<Chunks>,
) -> Result<(Chunks, Vec<Digest>)> {
    let is_chunk = |part: &&Part| position(ranges, part).is_some();
    let others: Vec<&Part> = stream.parts.iter().filter(|part| !is_chunk(part)).collect();
    let stop = writing.cancel.child();
    let step = hashing(others.iter().copied(), name);
    let tally = Tally::beside(step, writing.progress, &stop);
    let hash = || {
        let digests = others
            .par_iter()
            .map(|part| hash_file(stream, part, &tally));
        digests.collect::<Result<Vec<_>>>()
    };
    let (chunks, digests) = thread::scope(|scope| {
        let hashing = scope.spawn(hash);
        let chunks = write();
        match &chunks {
            Ok(_) if !others.is_empty() => tally.show(),
            Ok(_) => {}
            Err(_) => stop.cancel(),
        }
        (chunks, hashing.join())
    });
    let chunks = chunks?;
    let panicked = |_| Error::internal("a thread that hashes files panicked");
    let digests = digests.map_err(panicked)??;
    let mut digests = digests.into_iter();
    let of_part = |part: &Part| match position(ranges, part) {
        Some(chunk) => Some(chunks.facts[chunk].1),
        None => digests.next(),
    };
    let digests = stream.parts.iter().map_while(of_part).collect();
    Ok((chunks, digests))
}

/// Which chunk is this very file, if one is.
fn position(chunks: &[Range<u64>], part: &Part) -> Option<usize> {
    let range = part.range();
    let found = chunks.binary_search_by_key(&range.start, |chunk| chunk.start);
    found.ok().filter(|chunk| chunks[*chunk] == range)
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
        self.begin(hashing(parts, name))
    }
}

/// The step of hashing these files.
fn hashing<'a>(parts: impl Iterator<Item = &'a Part> + Clone, name: &'a str) -> Step<'a> {
    Step {
        total_bytes: parts.clone().map(|part| part.size_bytes).sum(),
        ..Step::new(Task::Hashing, parts.count() as u64).at(name, 0)
    }
}

impl Chunks {
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
