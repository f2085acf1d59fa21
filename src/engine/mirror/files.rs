//! Mirroring the files of a version, from this store or through a partial.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use tracing::warn;

use super::chosen::Chosen;
use super::{MirroredVersion, Mirroring};
use crate::engine::pull::HandOver;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::publish::{Stream, Writing, WrittenVersion};
use crate::store::layout::file_in;
use crate::store::record::ModelRecord;

impl Mirroring<'_> {
    /// Cuts the files of a version, and puts it into the mirror; returns how much was fetched, too.
    pub(super) fn copy_files(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
    ) -> Result<(WrittenVersion, u64)> {
        let (offer, store) = (&chosen.offer, &self.engine.store);
        let model = &offer.remote.model;
        let is_packed = self.keeps_archives(manifest);
        if let Some(record) = self.installed(chosen, manifest) {
            let dir = store.layout().model_dir(model);
            let installed = store.manifest(model, record.manifest_hash);
            match installed.and_then(|manifest| self.write(chosen, &manifest, &dir)) {
                Ok(written) => return Ok((written, 0)),
                Err(error) if error.is_cancelled() || self.takes_no_more(&error) => {
                    return Err(error);
                }
                Err(error) => {
                    warn!(error = %chain(&error), "{model} is mirrored from its source, because it cannot be from the store");
                }
            }
        }
        let written = Mutex::new(None);
        let take = |manifest: &Manifest, files: &Path| {
            *written.lock() = Some(self.write(chosen, manifest, files)?);
            Ok(())
        };
        let offer = offer.clone().with_contents(manifest.clone());
        let report = self.engine.pull_into(
            &offer,
            &self.pull,
            HandOver {
                take: &take,
                is_packed,
            },
        )?;
        let written = written.into_inner();
        let written = written.ok_or_else(|| Error::internal("a pull handed over nothing"))?;
        Ok((written, report.bytes_fetched))
    }

    /// Says what copying the files of a version would take, at most.
    pub(super) fn estimate_files(&self, chosen: &Chosen, manifest: &Manifest) -> MirroredVersion {
        let total_bytes = manifest.known_bytes();
        let is_here = self.installed(chosen, manifest).is_some();
        MirroredVersion {
            files: manifest.files().len(),
            total_bytes,
            bytes_written: total_bytes,
            bytes_fetched: if is_here { 0 } else { total_bytes },
            ..MirroredVersion::of(chosen, chosen.state, chosen.offer.remote.manifest_digest)
        }
    }

    /// Whether the mirror has archives that a pull unpacks. Where they are not, as in artifacts, it has what is in them.
    fn keeps_archives(&self, manifest: &Manifest) -> bool {
        self.opened.registry().is_some() && manifest.archives().next().is_some()
    }

    /// Returns the record of a version whose files are in the store as the mirror is to have them.
    fn installed(&self, chosen: &Chosen, manifest: &Manifest) -> Option<&ModelRecord> {
        if self.keeps_archives(manifest) {
            return None;
        }
        let remote = &chosen.offer.remote;
        let record = self.records.get(&remote.model)?;
        let cancel = &self.call.cancel;
        let is_same = record.offered() == remote.manifest_digest && !record.made_by_hand;
        (is_same && self.engine.is_usable(&remote.model, record, cancel)).then_some(record)
    }

    /// Puts files into the mirror that are below a folder.
    fn write(&self, chosen: &Chosen, manifest: &Manifest, dir: &Path) -> Result<WrittenVersion> {
        let remote = &chosen.offer.remote;
        let files = manifest.files().iter();
        let files = files.map(|file| (file.path.clone(), file_in(dir, &file.path)));
        let stream = Stream::of(files.collect::<BTreeMap<_, _>>())?;
        let writing = Writing {
            chunk_bytes: self.options.chunk_bytes,
            chunking: self.options.chunking,
            aliases: &chosen.aliases,
            known: Some(manifest),
            source: Some(remote.manifest_digest),
            cancel: &self.call.cancel,
            progress: Some(&*self.call.progress),
        };
        let metadata = remote.metadata.to_map();
        let model = &remote.model;
        let written = self.opened.write(&stream, model, &metadata, &writing);
        written.inspect_err(|error| {
            if self.opened.registry().is_some() && is_of_server(error) {
                self.is_refused.store(true, Relaxed);
            }
        })
    }

    /// Whether the mirror is full, or its server took nothing.
    fn takes_no_more(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::InsufficientSpace { .. }) || self.is_refused.load(Relaxed)
    }
}

/// Whether an error is what a server said, or that it said nothing.
fn is_of_server(error: &Error) -> bool {
    use ErrorKind::{Authentication, Network, RateLimited};
    matches!(
        error.kind(),
        Authentication { .. } | Network { .. } | RateLimited { .. }
    )
}
