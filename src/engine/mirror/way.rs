//! In which way a version goes over.

use super::chosen::Chosen;
use super::{MirroredVersion, Mirroring, Missing};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::publish::{ArtifactWriter, Registry, WrittenVersion};
use crate::source::verbatim::Verbatim;

/// How a version is copied.
pub(super) enum Way<'m> {
    /// Chunk by chunk, as it is at its source, into this registry.
    Chunks(&'m Registry<'m>),
    /// As the artifact that it is, with these documents and blobs, through this writer.
    Artifact(Box<dyn ArtifactWriter>, Box<Verbatim>),
    /// File by file.
    Files,
}

impl Mirroring<'_> {
    /// Returns the way of a version: as it is, if that is possible.
    pub(super) fn way(&self, missing: &Missing) -> Result<Way<'_>> {
        let Missing { chosen, manifest } = missing;
        if let Some(registry) = self.opened.registry()
            && is_in_chunks(chosen, manifest)
        {
            return Ok(Way::Chunks(registry));
        }
        if let Some(place) = self.opened.artifacts()
            && let Some(verbatim) = self.verbatim(chosen)?
        {
            let name = chosen.offer.remote.model.name().to_string();
            return Ok(Way::Artifact(place.of_model(&name)?, verbatim.into()));
        }
        Ok(Way::Files)
    }

    /// Copies a version; returns how much was fetched, too.
    pub(super) fn go(&self, way: Way<'_>, missing: &Missing) -> Result<(WrittenVersion, u64)> {
        let Missing { chosen, manifest } = missing;
        match way {
            Way::Chunks(registry) => self.copy_chunks(chosen, manifest, registry),
            Way::Artifact(writer, verbatim) => {
                self.copy_artifact(chosen, manifest, &*writer, &verbatim)
            }
            Way::Files => self.copy_files(chosen, manifest),
        }
    }

    /// Says what copying a version would take.
    pub(super) fn estimate(&self, way: Way<'_>, missing: &Missing) -> Result<MirroredVersion> {
        let Missing { chosen, manifest } = missing;
        match way {
            Way::Chunks(registry) => self.estimate_chunks(chosen, manifest, registry),
            Way::Artifact(writer, verbatim) => {
                self.estimate_artifact(chosen, manifest, &*writer, &verbatim)
            }
            Way::Files => Ok(self.estimate_files(chosen, manifest)),
        }
    }
}

/// Whether a version can go over chunk by chunk: it is what its source has under the same digest.
fn is_in_chunks(chosen: &Chosen, manifest: &Manifest) -> bool {
    manifest.chunk_bytes().is_some()
        && manifest.has_sha256()
        && manifest.digest() == chosen.offer.remote.manifest_digest
}
