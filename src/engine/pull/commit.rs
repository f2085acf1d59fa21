//! The end of a pull: what is verified becomes durable, unless that is left to the system, moves into its place and is
//! recorded.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::catalog::RemoteModel;
use crate::disk::write::replace_file;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::store::ModelLock;
use crate::store::durability::sync_files;
use crate::store::partial::{PartialWriter, find_partials, remove_partial};
use crate::store::record::{Annotation, ModelRecord};

/// Installs a partial whose bytes are all verified; returns the model's folder.
pub(crate) fn commit(
    lock: &ModelLock<'_>,
    partial: &PartialWriter,
    manifest: &Manifest,
    remote: &RemoteModel,
    annotation: Option<&Annotation>,
) -> Result<PathBuf> {
    let store = lock.store();
    let files = partial.files_dir();
    if partial.unsettled().is_none() {
        sync_files(&files, manifest).inspect_err(|_| {
            // A system reports only once that it could not write: what the journal lists must come again.
            let _ = partial.forget(&(0..u64::MAX));
        })?;
    }
    replace_file(&store.layout().manifest_in(&files), manifest.json())?;
    let facts = remote.metadata.facts();
    let mut record = ModelRecord {
        source: remote.source_key(),
        made_by_hand: remote.is_made_by_hand,
        model_type: facts.model_type,
        tags: facts.tags,
        // What is recorded can be read, whatever a registry has.
        metadata: (&remote.metadata.to_map()).into(),
        offered_hash: Some(remote.manifest_digest).filter(|offered| *offered != manifest.digest()),
        pin: remote.pin.clone(),
        unsettled: partial.unsettled().map(str::to_owned),
        ..ModelRecord::new(manifest, SystemTime::now())
    };
    if let Some(annotation) = annotation {
        record.annotate(annotation);
    }
    partial.close();
    let path = store.install(lock, partial.dir(), &record)?;
    // Partials of other states of the same model are of no more use.
    for partial in find_partials(store.layout()) {
        let is_of_model = partial.record.model_ref().as_ref() == Some(&remote.model);
        if is_of_model && (lock.is_real() || partial.is_idle()) {
            let _ = remove_partial(&partial.dir);
        }
    }
    Ok(path)
}
