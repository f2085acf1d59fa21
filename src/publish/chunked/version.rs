//! Writing the chunks and the manifest of one version.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::stream::{Part, Stream};
use super::{Writing, WrittenVersion};
use crate::catalog::Metadata;
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result, chain};
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use crate::model::ModelRef;
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
    registry: &dyn RegistryWriter,
    writing: &Writing<'_>,
) -> Result<WrittenVersion> {
    if stream.parts.is_empty() {
        return Err(Error::argument("there are no files to publish"));
    }
    let name = model.to_string();
    let chunks = write_chunks(stream, &name, registry, writing)?;
    let files = hash_files(stream, &name, &chunks, writing)?;
    let manifest = Manifest::of_chunks(&files, &chunks.facts, writing.chunk_bytes)
        .map_err(|error| Error::argument(chain(&error)))?;
    let bytes = manifest.json().len() as u64;
    if bytes > MAX_MANIFEST_BYTES {
        let [bytes, most] = sizes_apart(bytes, MAX_MANIFEST_BYTES);
        return Err(Error::argument(format!(
            "the manifest would have {bytes}, and at most {most} are allowed: choose larger chunks"
        )));
    }
    registry.put(&manifest.digest(), &manifest.json().to_vec())?;
    Ok(WrittenVersion {
        model: model.clone(),
        aliases: writing.aliases.to_vec(),
        metadata,
        manifest_digest: manifest.digest(),
        replaced: None,
        files: files.len(),
        total_bytes: manifest.known_bytes(),
        chunks: chunks.facts.len(),
        chunks_written: chunks.new.len(),
        bytes_written: chunks.new.iter().map(|(bytes, _)| bytes).sum(),
    })
}

/// Cuts a stream into chunks, and writes those that are new.
fn write_chunks(
    stream: &Stream,
    name: &str,
    registry: &dyn RegistryWriter,
    writing: &Writing<'_>,
) -> Result<Chunks> {
    let ranges = stream.chunks(writing.chunk_bytes);
    let tally = writing.begin(Step {
        total_bytes: stream.size_bytes(),
        ..Step::new(Task::Chunking, ranges.len() as u64).at(name, 0)
    });
    let write = |range: &Range<u64>| {
        let digest = stream.hash(range, &tally)?;
        let is_new = registry.put(&digest, &stream.slice(range))?;
        tally.complete();
        Ok(((range.end - range.start, digest), is_new))
    };
    let written: Vec<_> = ranges.par_iter().map(write).collect::<Result<_>>()?;
    // Two workers may write the same chunk at once.
    let new = written.iter().filter(|(_, is_new)| *is_new);
    Ok(Chunks {
        new: new.map(|(chunk, _)| *chunk).collect(),
        facts: written.iter().map(|(chunk, _)| *chunk).collect(),
        ranges,
    })
}

/// Hashes the files of a stream, without those that are a single chunk.
fn hash_files(
    stream: &Stream,
    name: &str,
    chunks: &Chunks,
    writing: &Writing<'_>,
) -> Result<Vec<ManifestFile>> {
    let others = stream.parts.iter();
    let others = others.filter(|part| chunks.digest_of(part).is_none());
    let tally = writing.begin(Step {
        total_bytes: others.clone().map(|part| part.size_bytes).sum(),
        ..Step::new(Task::Hashing, others.count() as u64).at(name, 0)
    });
    let files = stream.parts.par_iter().map(|part| {
        let digest = match chunks.digest_of(part) {
            Some(digest) => digest,
            None => {
                let digest = stream.hash(&part.range(), &tally)?;
                tally.complete();
                digest
            }
        };
        Ok(ManifestFile {
            size_bytes: Some(part.size_bytes),
            digest: Some(Checksum::Sha256(digest)),
            ..ManifestFile::new(part.name.clone())
        })
    });
    files.collect()
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
}
