//! Copying a version chunk by chunk.

use super::chosen::Chosen;
use super::parts::Parts;
use super::{MirroredVersion, Mirroring};
use crate::digest::Digest;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::publish::{Registry, WrittenVersion};

impl Mirroring<'_> {
    /// Copies the chunks of a version that the mirror lacks, and then its manifest; returns how much was fetched, too.
    pub(super) fn copy_chunks(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
        registry: &Registry<'_>,
    ) -> Result<(WrittenVersion, u64)> {
        let remote = &chosen.offer.remote;
        let copied = self.copy_parts(&Parts {
            chosen,
            manifest,
            noun: "chunk",
            put: &|digest, chunk| registry.put(digest, chunk),
            is_refused: Some(&self.is_refused),
        })?;
        registry.put(&manifest.digest(), &manifest.json().to_vec())?;
        let version = WrittenVersion {
            aliases: chosen.aliases.clone(),
            files: manifest.files().len(),
            total_bytes: manifest.known_bytes(),
            chunks: manifest.parts().len(),
            chunks_written: copied.written,
            bytes_written: copied.bytes_written,
            ..WrittenVersion::new(
                remote.model.clone(),
                &remote.metadata.to_map(),
                manifest.digest(),
            )
        };
        Ok((version, copied.bytes_fetched))
    }

    /// Says what copying the chunks of a version would take.
    pub(super) fn estimate_chunks(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
        registry: &Registry<'_>,
    ) -> Result<MirroredVersion> {
        let has = |digest: &Digest, size_bytes| registry.has(digest, size_bytes);
        let estimate = self.estimate_parts(chosen, manifest, &has)?;
        Ok(MirroredVersion {
            files: manifest.files().len(),
            total_bytes: manifest.known_bytes(),
            chunks: manifest.parts().len(),
            chunks_written: estimate.written,
            bytes_written: estimate.bytes_written,
            bytes_fetched: estimate.bytes_fetched,
            ..MirroredVersion::of(chosen, chosen.state, manifest.digest())
        })
    }
}
