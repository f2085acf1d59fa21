//! The end of a pull: what is verified becomes durable, moves into its place and is recorded.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::catalog::RemoteModel;
use crate::disk::write::replace_file;
use crate::error::{IoContext, Result};
use crate::manifest::Manifest;
use crate::platform;
use crate::store::layout::file_in;
use crate::store::partial::{Partial, find_partials, remove_partial};
use crate::store::record::{Annotation, ModelRecord};
use crate::store::{ModelLock, Store};

/// Above this many files one call that syncs the whole file system is quicker than one for each.
const SYNC_EACH: usize = 64;

/// What is recorded of a model.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    pub(crate) remote: &'a RemoteModel,
    /// What to record whatever the source says.
    pub(crate) annotation: Option<&'a Annotation>,
}

/// Installs a partial whose bytes are all verified; returns the model's folder.
pub(crate) fn commit(
    store: &Store,
    lock: &ModelLock<'_>,
    partial: &Partial,
    manifest: &Manifest,
    committed: &Committed<'_>,
) -> Result<PathBuf> {
    let remote = committed.remote;
    let files = partial.files_dir();
    sync(&files, manifest).inspect_err(|_| {
        // A system says only once that it could not write: what the journal speaks of must come again.
        let _ = partial.reset_journal(&[]);
    })?;
    replace_file(&store.layout().manifest_in(&files), manifest.json())?;
    let facts = remote.metadata.facts();
    let mut record = ModelRecord {
        manifest_hash: manifest.digest(),
        total_size: manifest.known_bytes(),
        file_count: manifest.files().len() as u64,
        installed_at: SystemTime::now(),
        source: Some(remote.source.clone()),
        model_type: facts.model_type,
        tags: facts.tags,
        metadata: remote.metadata.to_map(),
        offered_hash: Some(remote.manifest_digest).filter(|offered| *offered != manifest.digest()),
        pin: remote.pin.clone(),
        annotation: None,
    };
    let records = store.records()?;
    let before = records.get(&remote.model);
    let kept = before.and_then(|before| before.annotation.as_ref());
    for annotation in kept.into_iter().chain(committed.annotation) {
        record.annotate(annotation);
    }
    let path = store.install(lock, partial.dir(), &record)?;
    // Partials of other states of the same model have served.
    for found in find_partials(store.layout()) {
        if found.record.model_ref().as_ref() == Some(&remote.model) && found.is_idle() {
            let _ = remove_partial(&found.dir);
        }
    }
    Ok(path)
}

/// Makes the model's files durable before anything says that they are there.
fn sync(dir: &std::path::Path, manifest: &Manifest) -> Result<()> {
    if manifest.files().len() > SYNC_EACH && platform::sync_all_files(dir).at("sync", dir)? {
        return Ok(());
    }
    for file in manifest.files() {
        let path = file_in(dir, &file.path);
        // Windows syncs only what is open for writing.
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.sync_all())
            .at("sync", &path)?;
    }
    Ok(())
}
