//! Archives that a pull need not fetch, as what was in them is installed.

use std::fs;
use std::path::Path;

use tracing::debug;

use super::selection::Selection;
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::transfer::local_copies::{LocalCopies, by_kinship};
use crate::manifest::{Manifest, ManifestFile};
use crate::store::layout::file_in;
use crate::store::record::Records;

impl Engine {
    /// Makes the manifest in which archives are replaced by the files that a pull got out of them before; `None` if there are
    /// no such archives. The files are taken from where they are, and verified like any other.
    pub(super) fn with_unpacked(
        &self,
        records: &Records,
        offer: &Offer,
        manifest: &Manifest,
    ) -> Option<Manifest> {
        let mut missing: Vec<(usize, &ManifestFile)> = manifest
            .archives()
            .map(|(index, archive, _)| (index, archive))
            .collect();
        if missing.is_empty() || !manifest.is_measured() {
            return None;
        }
        let pin = offer.remote.pin.as_deref();
        let wanted = pin.map(Selection::pinned).unwrap_or_default();
        let mut contents = Vec::new();
        for (other, record) in by_kinship(records, &offer.remote.model) {
            let has = Selection::recorded(record);
            if missing.is_empty() {
                break;
            }
            if !has.is_everything() && has != wanted {
                continue;
            }
            let Ok(installed) = self.store.manifest(&other, record.manifest_hash) else {
                continue;
            };
            let dir = self.store.layout().model_dir(&other);
            missing.retain(|(index, archive)| {
                let Some(mut files) = installed.unpacked_from(archive) else {
                    return true;
                };
                files.retain(|file| wanted.wants(file.path.as_str()));
                if !files.iter().all(|file| is_there(&dir, file)) {
                    return true;
                }
                debug!(%archive.path, %other, "what is in it is installed");
                contents.push((*index, files));
                false
            });
        }
        if contents.is_empty() {
            return None;
        }
        // What cannot stand beside it, and that nothing is selected, shows when the archive is unpacked, too.
        let made = manifest.unpacked(contents, offer.source.label()).ok();
        let made = made.filter(|made| !made.files().is_empty())?;
        // What comes in chunks does not come as files.
        match manifest.chunk_bytes().is_none() || self.has_all(records, offer, &made) {
            true => Some(made),
            false => None,
        }
    }

    /// Whether this store has all bytes of a version.
    fn has_all(&self, records: &Records, offer: &Offer, manifest: &Manifest) -> bool {
        let model = &offer.remote.model;
        let copies = LocalCopies::find(&self.store, records, model, manifest, &[]);
        (0..manifest.parts().len()).all(|part| copies.of_part(manifest, part).is_some())
    }
}

/// Whether a file is where it was installed, as far as its size tells.
fn is_there(dir: &Path, file: &ManifestFile) -> bool {
    let found = fs::symlink_metadata(file_in(dir, &file.path));
    file.digest.is_some()
        && found.is_ok_and(|found| found.is_file() && Some(found.len()) == file.size_bytes)
}
