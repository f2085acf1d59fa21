//! What the disk has after a power cut, and why nothing wrong is taken for installed.
//!
//! What a process wrote is safe when it ends, however it ends: the system has the bytes. When the system stops without
//! warning, what it had not yet written to the disk is lost: a file is missing, too short, or has zeros in place of its
//! bytes, and its name, size and record may be right.
//!
//! A model's files are by far the most to write, and a pull does not wait for them where this holds: the system names each
//! of its boots; the file system is one that loses writes only with the system; no installed copy is replaced, which would
//! be gone by then; and [`Config::durable`](crate::Config::durable) does not ask for it. The record then says under which
//! boot the model was installed (`unsettled`). Under that boot, the system's memory is as good as the disk. Under another
//! one, the model counts as unverified: whoever is to get its files has them verified first. Everywhere else, the files are
//! synced before they move into their place, as are those that hold everything together, always. In this order:
//!
//! | step | synced | after a power cut behind it |
//! |---|---|---|
//! | `partial.json`, `manifest.json` of the partial | no | what cannot be read is written anew; the partial may be of any boot |
//! | the journal, the files | no | the journal may list bytes that are gone: what a digest covers is hashed again before it is used; under another boot, the rest counts as missing |
//! | the files, unless the record is to say `unsettled` | yes | the partial is whole, and is hashed again |
//! | `.<app>/manifest.json`, `.<app>/record.json` | yes | the same; both move with the files |
//! | `intent.json` | yes | the next process moves the files and records them, as `unsettled` if they are |
//! | the move, the folder above | yes | the next process records them |
//! | `registry.json`, then its backup | yes | the model is listed: as available if it was synced, else as unverified |
//! | the partial is removed | no | what is left of it is removed later |
//!
//! A model is *settled* when its files are synced and the record says so no longer; only `registry.json` changes. That
//! happens when it is verified, and to what was installed a minute ago or longer, which the system has written since, so
//! that nobody waits: when it is pulled or copied again, and, for a few models, when any other is pulled. Where it cannot be
//! done (a store that cannot be written, somebody else has the lock), it is left for later. If the sync fails, the model
//! counts as unverified at once, and what the system still shows of it is read from the disk again.
//!
//! A system reports only once that it could not write. What syncs sees that, and a pull that syncs ends with it; one that
//! does not can only learn of a full disk as it writes. A disk that fails behind it shows when the model is settled or
//! verified.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tracing::{debug, warn};

use super::Store;
use super::layout::file_in;
use super::record::{Entry, ModelRecord, Records};
use super::records::Patience;
use crate::error::{IoContext, Result, chain};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::platform;

/// Linux begins to write what has waited for 30 s, and looks every 5 s: `dirty_expire_centisecs`,
/// `dirty_writeback_centisecs`.
const WRITTEN_BY_THEN: Duration = Duration::from_secs(60);
/// How many models are settled along with another operation.
const AT_ONCE: usize = 16;
/// In place of a boot, of files that could not be written to the disk.
const LOST: &str = "lost";
/// Above this number of files, one call that syncs the whole file system is quicker than one for each.
const SYNC_EACH: usize = 64;

/// What a store knows about power cuts.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    /// What names this run of the system; `None` if nothing does.
    pub(crate) boot: Option<String>,
    /// Whether a pull always waits for the disk.
    pub(crate) always_syncs: bool,
}

impl Store {
    /// Returns what names this run of the system.
    pub(crate) fn boot(&self) -> Option<&str> {
        self.durability.boot.as_deref()
    }

    /// Returns the boot under which a model may be installed without waiting for the disk, as far as that does not depend on
    /// the file system.
    pub(crate) fn boot_to_mark(&self, model: &ModelRef) -> Option<&str> {
        let replaces = self.layout.model_dir(model).exists();
        self.boot()
            .filter(|_| !self.durability.always_syncs && !replaces)
    }

    /// Returns the boot under which files count as written that somebody put into a folder of the store; `None` if they are to
    /// be synced.
    pub(super) fn boot_in(&self, dir: &Path) -> Option<&str> {
        let is_fixed = || File::open(dir).is_ok_and(|folder| platform::is_fixed(&folder));
        self.boot()
            .filter(|_| !self.durability.always_syncs && is_fixed())
    }

    /// Returns whether the system stopped before it is known to have written a model's files, and nobody has verified them.
    pub(crate) fn is_unverified(&self, model: &ModelRef, record: &ModelRecord) -> bool {
        let boot = record.unsettled.as_deref();
        boot.is_some_and(|boot| Some(boot) != self.boot())
            && !self.verified.lock().contains(&key(model, record))
    }

    /// Learns that a model's files are right.
    pub(crate) fn trust(&self, model: &ModelRef, record: &ModelRecord) {
        if record.unsettled.is_some() {
            self.verified.lock().insert(key(model, record));
            self.settle([(model.clone(), record)]);
        }
    }

    /// Settles a model if the system has had the time to write its files.
    pub(crate) fn settle_if_due(&self, model: &ModelRef, record: &ModelRecord) {
        if self.is_due(record) {
            self.settle([(model.clone(), record)]);
        }
    }

    /// Settles some of the models whose files the system has had the time to write.
    pub(crate) fn settle_some(&self, records: &Records) {
        let due = records.iter().filter(|(_, record)| self.is_due(record));
        self.settle(due.take(AT_ONCE));
    }

    fn is_due(&self, record: &ModelRecord) -> bool {
        record.unsettled.is_some()
            && record.unsettled.as_deref() == self.boot()
            && record
                .installed_at
                .elapsed()
                .is_ok_and(|age| age >= WRITTEN_BY_THEN)
    }

    /// Syncs the files of models, and records that. What cannot be done now is left for later.
    fn settle<'a>(&self, models: impl IntoIterator<Item = (ModelRef, &'a ModelRecord)>) {
        let models = models.into_iter();
        let synced = models.filter_map(|(model, record)| {
            let boot = match self.sync_model(&model, record)? {
                true => None,
                false => Some(LOST),
            };
            Some((model, record, boot))
        });
        let synced: Vec<_> = synced.collect();
        if synced.is_empty() {
            return;
        }
        let settled = self.update_records(Patience::None, |entries| {
            let mut any = None;
            for (model, record, boot) in &synced {
                let entry = entries.get(model).map(Entry::value);
                let changed = entry.and_then(|entry| ModelRecord::marked(&entry, record, *boot));
                if let Some(entry) = changed {
                    entries.insert(model, entry.into());
                    any = Some(());
                }
            }
            any
        });
        if let Err(error) = settled {
            debug!(error = %chain(&error), "cannot record now that files are on the disk");
        }
    }

    /// Syncs a model's files, and returns whether that worked; `None` if it cannot be tried from here.
    fn sync_model(&self, model: &ModelRef, record: &ModelRecord) -> Option<bool> {
        let dir = self.layout.model_dir(model);
        let manifest = self.manifest(model, record.manifest_hash).ok()?;
        // The machine that has the disk may be another one, and the bytes in its memory.
        let is_shared = File::open(&dir).is_ok_and(|folder| platform::is_shared(&folder));
        let is_writable = manifest.files().first().is_none_or(|file| {
            let opened = OpenOptions::new()
                .write(true)
                .open(file_in(&dir, &file.path));
            opened.is_ok()
        });
        if is_shared || !is_writable {
            return None;
        }
        let Err(error) = sync_files(&dir, &manifest) else {
            return Some(true);
        };
        self.verified.lock().remove(&key(model, record));
        warn!(error = %chain(&error), "the files of {model} cannot be synced to the disk, and have to be verified");
        for file in manifest.files() {
            if let Ok(file) = File::open(file_in(&dir, &file.path)) {
                platform::forget_cached(&file);
            }
        }
        Some(false)
    }
}

/// What is remembered of a model whose record cannot be changed.
fn key(model: &ModelRef, record: &ModelRecord) -> (ModelRef, SystemTime) {
    (model.clone(), record.installed_at)
}

/// Makes a model's files durable.
pub(crate) fn sync_files(dir: &Path, manifest: &Manifest) -> Result<()> {
    if manifest.files().len() > SYNC_EACH && platform::sync_all_files(dir).at("sync", dir)? {
        return Ok(());
    }
    for file in manifest.files() {
        let path = file_in(dir, &file.path);
        // Windows syncs only what is open for writing.
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| platform::sync_file(&file))
            .at("sync", &path)?;
    }
    Ok(())
}
