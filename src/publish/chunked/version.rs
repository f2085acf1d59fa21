//! Writing the chunks and the manifest of one version.

use super::chunks::ChunkWriter;
use super::cuts::Cuts;
use super::stream::Stream;
use super::{Registry, Writing, WrittenVersion};
use crate::catalog::Metadata;
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result, chain};
use crate::manifest::{self, MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::size::sizes_apart;

/// Writes the chunks and the manifest of a version.
pub(crate) fn write_version(
    stream: &Stream,
    model: &ModelRef,
    metadata: &Metadata,
    registry: &Registry<'_>,
    writing: &Writing<'_>,
) -> Result<WrittenVersion> {
    if stream.parts.is_empty() {
        return Err(Error::argument("there are no files to publish"));
    }
    let name = model.to_string();
    let versions = registry.versions(model)?.unwrap_or_default();
    let current = registry.manifest(&versions, model.version())?;
    let chunk_bytes = writing.chunk_bytes;
    let chunking = writing.chunking.map_or_else(
        || registry.chunking_as_before(current.as_ref(), &versions, chunk_bytes),
        Ok,
    )?;
    let writer = ChunkWriter {
        stream,
        name: &name,
        registry: registry.writer,
        writing,
    };
    let cuts = Cuts::new(stream, chunking, chunk_bytes);
    let mut previous = current.filter(|current| has_names_and_sizes(current, stream));
    // Whether they are the same must be known before the first chunk is written.
    let planned = previous.is_some().then(|| writer.plan(&cuts));
    let (chunks, digests) = match planned.transpose()? {
        None => writer.cut_and_write(&cuts)?,
        Some((mut planned, digests)) => {
            previous = previous.filter(|previous| has_digests(previous, &digests));
            if let Some(previous) = &previous {
                planned = planned.or_at(previous.parts().iter().map(manifest::Part::range));
            }
            (writer.write(&planned)?, digests)
        }
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
        metadata: metadata.into(),
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
