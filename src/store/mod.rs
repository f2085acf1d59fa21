//! One app's models on this machine: the only owner of what is on disk.
//!
//! Readers take no lock: every file is replaced in one step. Writers hold the lock of the model they change, and for
//! the moment in which the record changes the record's lock too.
//!
//! A model moves into or out of its place in several steps, see `change`; what the record lists is always complete.

mod change;
pub(crate) mod clone;
pub(crate) mod files;
mod flush;
mod journal;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod partial;
pub(crate) mod record;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use tracing::{debug, warn};

use crate::catalog::Pin;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::mutex::Mutex;
use crate::progress::CancelToken;

use crate::disk::write::{rename, replace_file};
use layout::Layout;
use lock::{FileLock, RECORD_LIMIT};
use partial::remove_partial;
use record::{Annotation, Entries, ModelRecord, Records};

/// The store of one app.
#[derive(Debug)]
pub(crate) struct Store {
    layout: Layout,
    /// Serialises writers of this process, also where the file system has no locks.
    writing: Mutex<()>,
    /// The models that threads of this process pull or remove.
    busy: Mutex<HashSet<ModelRef>>,
}

/// The right to change one model's files; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct ModelLock<'a> {
    store: &'a Store,
    model: ModelRef,
    file: Option<FileLock>,
}

impl Drop for ModelLock<'_> {
    fn drop(&mut self) {
        drop(self.file.take());
        self.store.busy.lock().remove(&self.model);
    }
}

impl Store {
    /// Makes a handle; nothing is read or written.
    pub(crate) fn new(layout: Layout) -> Self {
        Self {
            layout,
            writing: Mutex::new(()),
            busy: Mutex::default(),
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads what is installed, finishing first what a crash left half done.
    pub(crate) fn records(&self) -> Result<Records> {
        self.finish_intents();
        self.read_records()
    }

    fn read_records(&self) -> Result<Records> {
        let path = self.layout.record();
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(records) => Ok(records),
                Err(error) => self.restore(&error.to_string()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.layout.record_backup().exists() {
                    self.restore("it is missing")
                } else {
                    Ok(Records::default())
                }
            }
            Err(error) => Err(error).at("read", &path),
        }
    }

    /// Rebuilds a damaged record from its backup and from the manifests on disk, keeping the damaged one aside.
    fn restore(&self, reason: &str) -> Result<Records> {
        let _writing = self.writing.lock();
        let lock = self.record_lock();
        // Another process may have restored it meanwhile.
        if lock.is_ok()
            && let Ok(bytes) = fs::read(self.layout.record())
            && let Ok(records) = serde_json::from_slice(&bytes)
        {
            return Ok(records);
        }
        let backup = fs::read(self.layout.record_backup()).ok();
        let backup = backup
            .and_then(|bytes| serde_json::from_slice::<Entries>(&bytes).ok())
            .unwrap_or_default();
        let mut entries = Entries::default();
        for (model, entry) in backup.iter() {
            if self.layout.model_dir(&model).is_dir() && ModelRecord::is_readable(entry) {
                entries.insert(&model, entry.clone());
            }
        }
        for (model, entry) in self.scan() {
            if entries
                .get(&model)
                .is_none_or(|known| known["manifest_hash"] != entry["manifest_hash"])
            {
                entries.insert(&model, entry);
            }
        }
        let json = to_json(&entries)?;
        let aside = (1..)
            .map(|number| self.layout.record_damaged(number))
            .find(|path| !path.exists());
        let restored = entries.iter().count();
        warn!(path = %self.layout.record().display(), reason, restored, "registry.json was damaged, and is restored");
        if lock.is_ok() {
            if let Some(aside) = aside
                && let Err(error) = rename(&self.layout.record(), &aside)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error).at("keep aside", &self.layout.record());
            }
            self.write_record(&json)?;
        }
        serde_json::from_slice(&json).map_err(|error| Error::internal(error.to_string()))
    }

    /// Finds every folder that holds one of our manifests.
    fn scan(&self) -> Vec<(ModelRef, Value)> {
        let mut found = Vec::new();
        let mut folders = vec![self.layout.root().to_owned()];
        while let Some(folder) = folders.pop() {
            if let Some(entry) = self.scan_model(&folder) {
                found.push(entry);
                continue;
            }
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            // A link is not followed: it could lead anywhere, or in a circle.
            let below = entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path());
            folders.extend(below.filter(|path| *path != self.layout.cache()));
        }
        found
    }

    fn scan_model(&self, dir: &Path) -> Option<(ModelRef, Value)> {
        let path = self.layout.manifest_in(dir);
        let json = fs::read(&path).ok()?;
        let model = self.layout.model_of(dir)?;
        let manifest = Manifest::parse(json, path.display()).ok()?;
        let own: Option<Value> = fs::read(self.layout.record_in(dir))
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(entry) = own.filter(ModelRecord::is_readable) {
            return Some((model, entry));
        }
        let record = ModelRecord {
            manifest_hash: manifest.digest(),
            total_size: manifest.total_bytes()?,
            file_count: manifest.files().len() as u64,
            installed_at: fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH),
            source: None,
            model_type: None,
            tags: Vec::new(),
            metadata: Map::new(),
            offered_hash: None,
            pin: None,
            annotation: None,
        };
        Some((model, record.to_entry().ok()?))
    }

    fn record_lock(&self) -> Result<FileLock> {
        FileLock::acquire(
            &self.layout.record_lock(),
            false,
            Some(RECORD_LIMIT),
            &CancelToken::new(),
            &|_| {},
        )
    }

    /// Changes what is recorded of a model, in its folder too, from where the record is rebuilt when it is lost.
    pub(crate) fn annotate(&self, model: &ModelRef, annotation: &Annotation) -> Result<()> {
        self.change_entry(model, |entry| ModelRecord::annotated(entry, annotation))
    }

    /// Records another place of the same files. The lock is the proof that nobody else is at them.
    pub(crate) fn repin(&self, lock: &ModelLock<'_>, pin: &Pin) -> Result<()> {
        self.change_entry(&lock.model, |entry| ModelRecord::repinned(entry, pin))
    }

    /// Changes what is recorded of a model: in the record, and beside its files.
    fn change_entry(
        &self,
        model: &ModelRef,
        change: impl FnOnce(&Value) -> Option<Value>,
    ) -> Result<()> {
        let mut changed = None;
        self.update_records(|entries| {
            changed = entries.get(model).and_then(change);
            if let Some(entry) = &changed {
                entries.insert(model, entry.clone());
            }
        })?;
        let dir = self.layout.model_dir(model);
        match changed {
            // A folder that is gone must not come back without its files.
            Some(entry) if dir.is_dir() => {
                replace_file(&self.layout.record_in(&dir), entry.to_string().as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Changes the record under its locks.
    fn update_records(&self, change: impl FnOnce(&mut Entries)) -> Result<()> {
        // What cannot be read is restored first, which takes the same locks.
        self.read_records()?;
        let _writing = self.writing.lock();
        let _lock = self.record_lock()?;
        let path = self.layout.record();
        let mut entries = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::from(ErrorKind::Storage {
                    action: "read",
                    path: path.clone(),
                    source: io::Error::new(io::ErrorKind::InvalidData, error),
                })
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::default(),
            Err(error) => return Err(error).at("read", &path),
        };
        change(&mut entries);
        self.write_record(&to_json(&entries)?)
    }

    fn write_record(&self, json: &[u8]) -> Result<()> {
        replace_file(&self.layout.record(), json)?;
        replace_file(&self.layout.record_backup(), json)
    }

    /// Waits for the right to change a model's files. `waiting` is called once, with the holder when known, if another
    /// thread or process has it.
    pub(crate) fn lock_model(
        &self,
        model: &ModelRef,
        cancel: &CancelToken,
        waiting: &dyn Fn(Option<String>),
    ) -> Result<ModelLock<'_>> {
        let mut told = false;
        while !self.busy.lock().insert(model.clone()) {
            if !std::mem::replace(&mut told, true) {
                waiting(Some(format!("process {}", std::process::id())));
            }
            if cancel.wait(Duration::from_millis(20)) {
                return Err(ErrorKind::Cancelled.into());
            }
        }
        let mut lock = ModelLock {
            store: self,
            model: model.clone(),
            file: None,
        };
        lock.file = Some(FileLock::acquire(
            &self.layout.model_lock(model),
            true,
            None,
            cancel,
            waiting,
        )?);
        Ok(lock)
    }

    /// Takes the right to change a model's files if nobody has it.
    pub(crate) fn try_lock_model(&self, model: &ModelRef) -> Result<Option<ModelLock<'_>>> {
        if !self.busy.lock().insert(model.clone()) {
            return Ok(None);
        }
        let mut lock = ModelLock {
            store: self,
            model: model.clone(),
            file: None,
        };
        lock.file = FileLock::try_acquire(&self.layout.model_lock(model), true)?;
        Ok(lock.file.is_some().then_some(lock))
    }

    /// Whether a thread or process pulls or removes a model just now.
    pub(crate) fn is_busy(&self, model: &ModelRef) -> bool {
        if self.busy.lock().contains(model) {
            return true;
        }
        // Where there is no lock file nobody has the lock; where there is one, it may be left over from a crash.
        self.layout.model_lock(model).exists()
            && self.try_lock_model(model).is_ok_and(|lock| lock.is_none())
    }

    /// Whether somebody holds the lock of the model that a folder of the cache is of, going by its name.
    pub(crate) fn is_locked(&self, dir: &Path) -> bool {
        let lock = self.layout.lock_of(dir);
        lock.exists() && FileLock::try_acquire(&lock, true).is_ok_and(|lock| lock.is_none())
    }

    /// Says what an installed model is in the way of, before anything is fetched.
    pub(crate) fn check_place(&self, records: &Records, model: &ModelRef) -> Result<()> {
        match records
            .iter()
            .map(|(other, _)| other)
            .find(|other| self.layout.collide(model, other))
        {
            Some(other) => Err(ErrorKind::Collision {
                model: model.to_string(),
                other: format!("the installed '{other}'"),
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Removes partials that nobody touched for this long, except those of a model that is being pulled or is `keep`.
    pub(crate) fn expire_partials(&self, age: Duration, keep: &ModelRef) {
        for found in partial::find_partials(&self.layout) {
            let old = found
                .touched_at
                .elapsed()
                .is_ok_and(|elapsed| elapsed > age);
            let Some(model) = found
                .record
                .model_ref()
                .filter(|model| old && model != keep)
            else {
                continue;
            };
            if let Ok(Some(_lock)) = self.try_lock_model(&model)
                && let Err(error) = remove_partial(&found.dir)
            {
                debug!(path = %found.dir.display(), %error, "an old partial stays");
            }
        }
    }

    /// Reads the manifest of an installed model and checks it against the record.
    pub(crate) fn manifest(&self, model: &ModelRef, expected: Digest) -> Result<Manifest> {
        let path = self.layout.manifest_in(&self.layout.model_dir(model));
        let json = fs::read(&path).at("read", &path)?;
        let actual = Digest::of(&json);
        if actual != expected {
            return Err(ErrorKind::HashMismatch {
                what: path.display().to_string(),
                expected: expected.to_string(),
                actual: actual.to_string(),
            }
            .into());
        }
        Manifest::parse(json, path.display())
    }
}

/// Returns the text of `registry.json`.
fn to_json(entries: &Entries) -> Result<Vec<u8>> {
    let mut json =
        serde_json::to_vec_pretty(entries).map_err(|error| Error::internal(error.to_string()))?;
    json.push(b'\n');
    Ok(json)
}
