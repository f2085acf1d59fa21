//! Copying an artifact as it is into another place of artifacts: its manifests and blobs keep their bytes, and so their digests.

use super::chosen::{Chosen, Comparison, There};
use super::parts::Parts;
use super::{MirroredVersion, Mirroring};
use crate::digest::Digest;
use crate::engine::pull::selection::Selection;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::publish::{ArtifactWriter, WrittenVersion};
use crate::source::verbatim::Verbatim;

impl Mirroring<'_> {
    /// Returns the digest that names a version at its source, if the mirror is to have what that names as it is.
    fn artifact_digest(&self, chosen: &Chosen) -> Option<Digest> {
        self.opened.artifacts()?;
        let remote = &chosen.offer.remote;
        let pin = remote.pin.as_deref()?;
        // Some of the files are another artifact, which has no other bytes; but a tar is whole or not at all.
        let mut archives = remote.contents.iter().flat_map(|it| it.archives());
        let is_whole = Selection::pinned(pin).is_everything() || archives.next().is_some();
        pin.state.digest().filter(|_| is_whole)
    }

    /// Returns the documents of a version that the mirror is to have as they are; `None` if it is to have its files.
    pub(super) fn verbatim(&self, chosen: &Chosen) -> Result<Option<Verbatim>> {
        let offer = &chosen.offer;
        match self.artifact_digest(chosen) {
            Some(_) => offer
                .source
                .verbatim(&offer.call(&self.call), &offer.remote),
            None => Ok(None),
        }
    }

    /// Returns what the mirror has of a version that it is to have as it is; `None` if it is to have its files.
    pub(super) fn compare_artifact(&self, chosen: &Chosen) -> Result<Option<Comparison>> {
        let model = &chosen.offer.remote.model;
        let (Some(offered), Some(place)) = (self.artifact_digest(chosen), self.opened.artifacts())
        else {
            return Ok(None);
        };
        let writer = place.of_model(&model.name().to_string())?;
        let Some(there) = writer.digest_of(model.version())? else {
            return Ok(Some(Comparison::New));
        };
        // Of some, not all that the digest names can be had.
        let is_there =
            |verbatim: Option<Verbatim>| verbatim.is_some_and(|it| it.root.digest == there);
        Ok(Some(
            match there == offered || is_there(self.verbatim(chosen)?) {
                true => Comparison::Unchanged(Box::new(There {
                    manifest_digest: there,
                    relabelled: None,
                })),
                false => Comparison::Changed,
            },
        ))
    }

    /// Copies what an artifact names and the mirror lacks, and then its manifest; returns how much was fetched, too.
    pub(super) fn copy_artifact(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
        writer: &dyn ArtifactWriter,
        verbatim: &Verbatim,
    ) -> Result<(WrittenVersion, u64)> {
        let remote = &chosen.offer.remote;
        let copied = self.copy_parts(&Parts {
            chosen,
            manifest: &verbatim.blobs,
            noun: "the blob",
            put: &|digest, blob| writer.put_blob(digest, blob),
            // Where another model goes may take what this place does not.
            is_refused: None,
        })?;
        for (digest, blob) in &verbatim.known {
            writer.put_blob(digest, blob)?;
        }
        for part in &verbatim.parts {
            writer.put_part(part)?;
        }
        // Where the version is a digest, that is the name already.
        let version = remote.model.version();
        let tags: &[&str] = match version.contains(':') {
            true => &[],
            false => &[version],
        };
        writer.put_manifest(&verbatim.root, tags)?;
        let version = WrittenVersion {
            files: manifest.files().len(),
            total_bytes: manifest.known_bytes(),
            chunks: copied.count,
            chunks_written: copied.written,
            bytes_written: copied.bytes_written,
            ..WrittenVersion::new(
                remote.model.clone(),
                &remote.metadata.to_map(),
                verbatim.root.digest,
            )
        };
        Ok((version, copied.bytes_fetched))
    }

    /// Says what copying an artifact would take.
    pub(super) fn estimate_artifact(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
        writer: &dyn ArtifactWriter,
        verbatim: &Verbatim,
    ) -> Result<MirroredVersion> {
        let has = |digest: &Digest, size_bytes| writer.has_blob(digest, size_bytes);
        let estimate = self.estimate_parts(chosen, &verbatim.blobs, &has)?;
        Ok(MirroredVersion {
            files: manifest.files().len(),
            total_bytes: manifest.known_bytes(),
            chunks: estimate.count,
            chunks_written: estimate.written,
            bytes_written: estimate.bytes_written,
            bytes_fetched: estimate.bytes_fetched,
            ..MirroredVersion::of(chosen, chosen.state, verbatim.root.digest)
        })
    }
}
