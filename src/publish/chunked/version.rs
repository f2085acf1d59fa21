//! Writing the chunks and the manifest of one version.

use super::chunks::{ChunkWriter, Chunks};
use super::cuts::Cuts;
use super::stream::Stream;
use super::{Registry, Writing, WrittenVersion};
use crate::catalog::Metadata;
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result, chain};
use crate::manifest::{self, MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::size::sizes_apart;

impl Registry<'_> {
    /// Writes the chunks and the manifest of a version.
    pub(crate) fn write_version(
        &self,
        stream: &Stream,
        model: &ModelRef,
        metadata: &Metadata,
        writing: &Writing<'_>,
    ) -> Result<WrittenVersion> {
        if stream.parts.is_empty() {
            return Err(Error::argument("there are no files to publish"));
        }
        let name = model.to_string();
        let versions = self.versions(model)?.unwrap_or_default();
        let current = self.manifest(&versions, model.version())?;
        let chunk_bytes = writing.chunk_bytes;
        let chunking = writing.chunking.map_or_else(
            || self.chunking_as_before(current.as_ref(), &versions, chunk_bytes),
            Ok,
        )?;
        let writer = ChunkWriter {
            stream,
            name: &name,
            registry: self.writer,
            writing,
        };
        let cuts = Cuts::new(stream, chunking, chunk_bytes);
        let current = current.filter(|current| has_names_and_sizes(current, stream));
        let (chunks, digests, same) = write_chunks(&writer, &cuts, current)?;
        let mut files = files(stream, &digests);
        if let Some(known) = writing.known {
            files = known.confirm(files)?;
        }
        let is_same = |same: &Manifest| chunks.are_of(same) && has_archives(same, &files);
        let manifest = match same.filter(is_same) {
            Some(same) => same,
            None => Manifest::of_chunks(&files, &chunks.facts, chunk_bytes)
                .map_err(|error| Error::argument(chain(&error)))?,
        };
        check_size(&manifest)?;
        self.writer
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
}

/// Writes the chunks of a version, whose manifest so far is given if it has files of the same names and sizes. Returns the digests
/// of the files, too, and that manifest if these are the same: then the chunks are where it has them.
fn write_chunks(
    writer: &ChunkWriter<'_>,
    cuts: &Cuts,
    current: Option<Manifest>,
) -> Result<(Chunks, Vec<Digest>, Option<Manifest>)> {
    let Some(current) = current else {
        let (chunks, digests) = writer.cut_and_write(cuts)?;
        return Ok((chunks, digests, None));
    };
    // Whether they are the same must be known before the first chunk is written.
    let (mut planned, digests) = writer.plan(cuts)?;
    let same = Some(current).filter(|current| has_digests(current, &digests));
    if let Some(same) = &same {
        planned = planned.or_at(same.parts().iter().map(manifest::Part::range));
    }
    Ok((writer.write(&planned)?, digests, same))
}

/// Refuses a manifest that nobody would read.
fn check_size(manifest: &Manifest) -> Result<()> {
    let bytes = manifest.json().len() as u64;
    match bytes <= MAX_MANIFEST_BYTES {
        true => Ok(()),
        false => {
            let [bytes, most] = sizes_apart(bytes, MAX_MANIFEST_BYTES);
            Err(Error::argument(format!(
                "the manifest would have {bytes}, and at most {most} are allowed: choose larger chunks"
            )))
        }
    }
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

fn has_archives(manifest: &Manifest, files: &[ManifestFile]) -> bool {
    let before = manifest.files().iter().map(|file| file.archive);
    before.eq(files.iter().map(|file| file.archive))
}
