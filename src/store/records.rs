//! `registry.json`: read by everybody, changed under its locks, and rebuilt when it is damaged.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::MutexGuard;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{debug, warn};

use super::Store;
use super::lock::{FileLock, RECORD_LIMIT};
use super::record::{Annotation, Entries, Entry, ModelRecord, Records};
use crate::catalog::Pin;
use crate::digest::Digest;
use crate::disk::write::replace_file;
use crate::error::{Error, ErrorKind, IoContext, Result, chain, is_missing};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::progress::CancelToken;

/// How long to wait for the locks of the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// As long as another change may take.
    Long,
    /// Not at all.
    None,
}

impl Store {
    /// Reads what is installed, after finishing what a crash interrupted, unless somebody holds the locks for that: a reader
    /// waits for nobody.
    pub(crate) fn records(&self) -> Result<Records> {
        self.finish_intents();
        let reason = match self.read()? {
            Ok(records) => return Ok(records),
            Err(reason) => reason,
        };
        let lock = self.lock_records(Patience::None);
        // Another process may have restored it meanwhile.
        if let Ok(records) = self.read()? {
            return Ok(records);
        }
        let entries = self.rebuild();
        let replaced = lock.and_then(|_lock| self.replace_damaged(&entries, &reason));
        if let Err(error) = replaced {
            let (path, models) = (self.layout.record(), count(&entries));
            let (path, error) = (path.display(), chain(&error));
            warn!(
                reason,
                %error,
                "{path} is damaged; using what is known of it ({models}), as it cannot be restored now"
            );
        }
        serde_json::from_slice(&to_json(&entries)?)
            .map_err(|error| Error::internal(error.to_string()))
    }

    /// Reads the file. The inner error is the reason why it has to be restored.
    fn read<R: DeserializeOwned>(&self) -> Result<Result<Records<R>, String>> {
        let path = self.layout.record();
        match fs::read(&path) {
            Ok(json) => {
                debug!(path = %path.display(), bytes = json.len(), "parsing registry.json");
                Ok(serde_json::from_slice(&json).map_err(|error| error.to_string()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_lost = self.layout.record_backup().exists();
                Ok(if is_lost {
                    Err("it is missing".into())
                } else {
                    Ok(Records::default())
                })
            }
            Err(error) => Err(error).at("read", &path),
        }
    }

    /// Learns from the backup of a damaged file, and from the manifests on disk, what it has to say.
    fn rebuild(&self) -> Entries {
        let backup = fs::read(self.layout.record_backup()).ok();
        let backup: Option<Entries> = backup.and_then(|json| serde_json::from_slice(&json).ok());
        let mut entries = Entries::default();
        for (model, entry) in backup.unwrap_or_default().iter() {
            if self.layout.model_dir(&model).is_dir() && entry.record().is_some() {
                entries.insert(&model, entry.clone());
            }
        }
        for (model, entry) in self.scan(self.layout.root()) {
            let known = entries.get(&model).map(Entry::value);
            if known.is_none_or(|known| known["manifest_hash"] != entry["manifest_hash"]) {
                entries.insert(&model, entry.into());
            }
        }
        entries
    }

    /// Keeps a damaged file aside, and writes it anew.
    fn replace_damaged(&self, entries: &Entries, reason: &str) -> Result<()> {
        let path = self.layout.record();
        let mut aside = (1..).map(|number| self.layout.record_damaged(number));
        let aside = aside.find(|path| !path.exists()).unwrap_or_default();
        // Copied: the file may be a link, and is there for readers meanwhile.
        let copied = fs::copy(&path, &aside);
        let is_missing = copied.as_ref().is_err_and(is_missing);
        if !is_missing {
            copied.at("set aside", &path).inspect_err(|_| {
                let _ = fs::remove_file(&aside);
            })?;
        }
        self.write(entries)?;
        let (path, models) = (path.display(), count(entries));
        let aside = aside.file_name().unwrap_or_default().display();
        match is_missing {
            true => warn!("{path} was missing and is restored ({models})"),
            false => warn!(
                reason,
                "{path} was damaged and is restored ({models}); the damaged one is kept as {aside}"
            ),
        }
        Ok(())
    }

    /// Finds every folder, from this one on, that has a manifest of ours. Links are followed last, as those of groups to
    /// other disks, and no folder is walked twice: they could lead in a circle.
    pub(super) fn scan(&self, folder: &Path) -> Vec<(ModelRef, Value)> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        let mut links = Vec::new();
        let root = fs::canonicalize(self.layout.root()).unwrap_or_default();
        let mut walked = vec![root.clone()];
        loop {
            let Some(folder) = folders.pop() else {
                let Some(link) = links.pop() else {
                    return found;
                };
                let leads_to = fs::canonicalize(&link).ok().filter(|to| {
                    to.is_dir()
                        && !root.starts_with(to)
                        && !walked.iter().any(|it| to.starts_with(it))
                });
                walked.extend(leads_to.inspect(|_| folders.push(link)));
                continue;
            };
            if let Some(entry) = self.scan_model(&folder) {
                found.push(entry);
                continue;
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, kind) = (entry.path(), entry.file_type());
                let is_own = path == self.layout.cache()
                    || entry.file_name().as_encoded_bytes().starts_with(b".");
                match kind {
                    Ok(kind) if kind.is_dir() && !is_own => folders.push(path),
                    Ok(kind) if kind.is_symlink() && !is_own => links.push(path),
                    _ => {}
                }
            }
        }
    }

    fn scan_model(&self, dir: &Path) -> Option<(ModelRef, Value)> {
        let path = self.layout.manifest_in(dir);
        let json = fs::read(&path).ok()?;
        let model = self.layout.model_of(dir)?;
        let manifest = Manifest::parse(json, path.display()).ok()?;
        if !manifest.is_measured() {
            return None;
        }
        let own: Option<Value> = fs::read(self.layout.record_in(dir))
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(entry) = own.filter(ModelRecord::is_readable) {
            return Some((model, entry));
        }
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let record = ModelRecord::new(&manifest, modified.unwrap_or(SystemTime::UNIX_EPOCH));
        Some((model, record.to_entry().ok()?))
    }

    /// Keeps the other threads and processes off the file.
    fn lock_records(&self, patience: Patience) -> Result<(Option<MutexGuard<'_, ()>>, FileLock)> {
        let path = self.layout.record_lock();
        let (writing, limit) = match patience {
            Patience::Long => (Some(self.writing.lock()), RECORD_LIMIT),
            Patience::None => (self.writing.try_lock(), Duration::ZERO),
        };
        if writing.is_none() {
            let holder = Some(format!("process {}", std::process::id()));
            let waited = Duration::ZERO;
            return Err(ErrorKind::Locked {
                path,
                holder,
                waited,
            }
            .into());
        }
        let lock = FileLock::acquire(&path, false, Some(limit), &CancelToken::new(), &|_| {})?;
        Ok((writing, lock))
    }

    /// Annotates a model; returns its record, or `None` if it is not installed.
    pub(crate) fn annotate(
        &self,
        model: &ModelRef,
        annotation: &Annotation,
    ) -> Result<Option<ModelRecord>> {
        self.change_entry(model, |entry| ModelRecord::annotated(entry, annotation))
    }

    /// Records another place that the same files come from, if the model is still in the state that a source offers under
    /// this digest.
    pub(crate) fn repin(&self, model: &ModelRef, offered: Digest, pin: &Pin) -> Result<()> {
        self.change_entry(model, |entry| ModelRecord::repinned(entry, offered, pin))?;
        Ok(())
    }

    /// Changes what is recorded of a model, in the file and beside the model's own files, which it is rebuilt from.
    fn change_entry(
        &self,
        model: &ModelRef,
        change: impl FnOnce(&Value) -> Option<Value>,
    ) -> Result<Option<ModelRecord>> {
        let changed = self.update_records(Patience::Long, |entries| {
            let changed = change(&entries.get(model)?.value())?;
            entries.insert(model, changed.clone().into());
            Some(changed)
        })?;
        let Some(entry) = changed else {
            return Ok(None);
        };
        let dir = self.layout.model_dir(model);
        // A folder that is gone must not come back without its files.
        if dir.is_dir() {
            replace_file(&self.layout.record_in(&dir), entry.to_string().as_bytes())?;
        }
        Ok(ModelRecord::deserialize(&entry).ok())
    }

    /// Changes the file under its locks, if `change` returns something.
    pub(super) fn update_records<T>(
        &self,
        patience: Patience,
        change: impl FnOnce(&mut Entries) -> Option<T>,
    ) -> Result<Option<T>> {
        let _locks = self.lock_records(patience)?;
        let is_readable = |entries: &Entries| entries.values().all(|it| it.record().is_some());
        let mut entries = match self.read()? {
            Ok(entries) if is_readable(&entries) => entries,
            read => {
                let reason = read
                    .err()
                    .unwrap_or_else(|| "an entry is malformed".to_owned());
                let entries = self.rebuild();
                self.replace_damaged(&entries, &reason)?;
                entries
            }
        };
        let changed = change(&mut entries);
        if changed.is_some() {
            self.write(&entries)?;
        }
        Ok(changed)
    }

    fn write(&self, entries: &Entries) -> Result<()> {
        let json = to_json(entries)?;
        replace_file(&self.layout.record(), &json)?;
        replace_file(&self.layout.record_backup(), &json)
    }
}

/// Says how many models there are.
fn count(entries: &Entries) -> String {
    match entries.iter().count() {
        1 => "1 model".to_owned(),
        several => format!("{several} models"),
    }
}

fn to_json(entries: &Entries) -> Result<Vec<u8>> {
    let json = serde_json::to_vec_pretty(entries);
    let mut json = json.map_err(|error| Error::internal(error.to_string()))?;
    json.push(b'\n');
    Ok(json)
}
