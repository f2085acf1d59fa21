//! Moving models into their places, and out of them.
//!
//! That takes several steps. Before the first, an *intent* is written beside what is moved. After a crash, the next process
//! that opens the store, or takes the lock of the model, finds the intent and finishes what was begun.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{debug, info, warn};

use crate::error::{Error, ErrorKind, IoContext, Result, chain};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::platform;

use super::durability::sync_files;
use super::partial::remove_partial;
use super::record::{Entry, ModelRecord};
use super::records::Patience;
use super::staging;
use super::{ModelLock, Store};
use crate::disk::write::{remove_tree, rename, replace_file};

/// What is going to happen to a model's folder.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    group: String,
    model: String,
    version: String,
    /// The entry to record once the files are in place; `None` to remove the model.
    record: Option<Value>,
}

impl Intent {
    fn model_ref(&self) -> Option<ModelRef> {
        ModelRef::new(&self.group, &self.model, &self.version).ok()
    }

    fn is_readable(&self) -> bool {
        self.record.as_ref().is_none_or(ModelRecord::is_readable)
    }
}

impl Store {
    /// Moves a verified partial into its place and records it. The lock proves that nobody else is changing it.
    pub(crate) fn install(
        &self,
        lock: &ModelLock<'_>,
        partial_dir: &Path,
        record: &ModelRecord,
    ) -> Result<PathBuf> {
        let model = &lock.model;
        self.check_folders(model)?;
        let entry = record.to_entry()?;
        let files = staging::bulk(partial_dir).join("files");
        let own = self.layout.record_in(&files);
        replace_file(&own, entry.to_string().as_bytes())?;
        self.write_intent(partial_dir, model, Some(entry.clone()))?;
        // Moved even if the files seem to have arrived: the record of what they replace may be the same to the second.
        let installed = self
            .put_in_place(partial_dir, model)
            .and_then(|()| self.finish_install(partial_dir, model, &entry, Patience::Long));
        if let Err(error) = installed {
            // Once the new files are in their place there is no way back: the next to open the store records them.
            if !self.has_arrived(model, &entry) {
                let _ = fs::remove_file(partial_dir.join("intent.json"));
            }
            return Err(error);
        }
        info!(%model, "installed");
        Ok(self.layout.model_dir(model))
    }

    /// Records a model whose files somebody put into its place. The lock proves that nobody else is changing it.
    pub(crate) fn adopt(
        &self,
        lock: &ModelLock<'_>,
        manifest: &Manifest,
        mut record: ModelRecord,
    ) -> Result<()> {
        let model = &lock.model;
        self.check_folders(model)?;
        let dir = self.layout.model_dir(model);
        record.unsettled = self.boot_in(&dir).map(str::to_owned);
        if record.unsettled.is_none() {
            sync_files(&dir, manifest)?;
        }
        let entry = record.to_entry()?;
        replace_file(&self.layout.manifest_in(&dir), manifest.json())?;
        replace_file(&self.layout.record_in(&dir), entry.to_string().as_bytes())?;
        self.update_records(Patience::Long, |entries| {
            entries.insert(model, entry.into());
            Some(())
        })?;
        info!(%model, "recorded");
        Ok(())
    }

    /// Refuses to move a model into the folder of another, or over those of others, that were installed since it was
    /// checked against the records.
    fn check_folders(&self, model: &ModelRef) -> Result<()> {
        let target = self.layout.model_dir(model);
        let is_model = |dir: &Path| self.layout.manifest_in(dir).exists();
        let above = target.ancestors().skip(1);
        let mut above = above.take_while(|dir| *dir != self.layout.root());
        let above = above.find(|dir| is_model(dir));
        let other = match above.and_then(|dir| self.layout.model_of(dir)) {
            None if !is_model(&target) => self.scan(&target).pop().map(|(other, _)| other),
            other => other,
        };
        match other {
            Some(other) => Err(Self::collision(model, &other)),
            None => Ok(()),
        }
    }

    fn finish_install(
        &self,
        dir: &Path,
        model: &ModelRef,
        entry: &Value,
        patience: Patience,
    ) -> Result<()> {
        let changed = self.update_records(patience, |entries| {
            let before = entries.get(model).map(Entry::value);
            let changed = before.and_then(|before| ModelRecord::inheriting(entry, &before));
            entries.insert(model, changed.as_ref().unwrap_or(entry).clone().into());
            Some(changed)
        })?;
        if let Some(entry) = changed.flatten() {
            let own = self.layout.record_in(&self.layout.model_dir(model));
            replace_file(&own, entry.to_string().as_bytes())?;
        }
        end_intent(dir)
    }

    /// Returns whether the files of exactly this installation are in the model's place, judging by what was installed and
    /// when. Other fields may differ even so: not every number survives being written and read.
    fn has_arrived(&self, model: &ModelRef, entry: &Value) -> bool {
        let there = fs::read(self.layout.record_in(&self.layout.model_dir(model)));
        let there: Option<Value> = there
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        there.is_some_and(|there| {
            ["manifest_hash", "installed_at"]
                .iter()
                .all(|field| there[field] == entry[field])
        })
    }

    /// Moves the files of a partial to the model's place, and what is there aside; in one step where the system can.
    fn put_in_place(&self, dir: &Path, model: &ModelRef) -> Result<()> {
        let bulk = staging::bulk(dir);
        let (staged, aside) = (&bulk.join("files"), &bulk.join("old"));
        let target = &self.layout.model_dir(model);
        let parent = target.parent().unwrap_or(self.layout.root());
        for _ in 0..3 {
            fs::create_dir_all(parent).at("create", parent)?;
            let moved = if target.exists() {
                if platform::swap(staged, target).at("replace", target)? {
                    Ok(())
                } else {
                    remove_tree(aside)?;
                    rename(target, aside).at("replace", target)?;
                    rename(staged, target).inspect_err(|_| {
                        // Nothing must be lost.
                        let _ = rename(aside, target);
                    })
                }
            } else {
                rename(staged, target)
            };
            match moved {
                // The folder above was empty, and somebody has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && staged.is_dir() => {}
                result => {
                    result.at("move to", target)?;
                    debug!(path = %target.display(), "moved into place");
                    return platform::sync_folder(parent).at("sync", parent);
                }
            }
        }
        Err(Error::internal(format!(
            "{} keeps being removed",
            parent.display()
        )))
    }

    /// Removes an installed model; returns what was recorded of it, or `None` if it is not installed. The lock proves
    /// that nobody else is changing it.
    pub(crate) fn remove(&self, lock: &ModelLock<'_>) -> Result<Option<ModelRecord>> {
        let model = &lock.model;
        let dir = self.layout.removal(model);
        let begun = staging::create(&self.layout, model, &dir)
            .and_then(|_| self.write_intent(&dir, model, None));
        let removed = match begun {
            Err(error) if matches!(error.kind(), ErrorKind::InsufficientSpace { .. }) => {
                self.remove_first(&dir, model)
            }
            begun => begun.and_then(|()| self.finish_removal(&dir, model, Patience::Long)),
        };
        let removed = removed.inspect_err(|_| {
            if self.layout.model_dir(model).is_dir() {
                let _ = staging::remove(&dir);
            }
        })?;
        info!(%model, "removed");
        Ok(removed.and_then(|entry| entry.record()))
    }

    fn finish_removal(
        &self,
        dir: &Path,
        model: &ModelRef,
        patience: Patience,
    ) -> Result<Option<Entry>> {
        let target = self.layout.model_dir(model);
        if target.exists() {
            let aside = staging::bulk(dir).join("old");
            remove_tree(&aside)?;
            rename(&target, &aside).at("remove", &target)?;
        }
        let removed = self.update_records(patience, |entries| entries.remove(model))?;
        end_intent(dir)?;
        self.remove_empty_above(&target);
        Ok(removed)
    }

    /// Removes a model from a full disk: its own bytes make the room that is needed to record anything. If this is
    /// interrupted, the model is listed without its folder, and can be removed again.
    fn remove_first(&self, dir: &Path, model: &ModelRef) -> Result<Option<Entry>> {
        let target = self.layout.model_dir(model);
        staging::remove(dir)?;
        if target.exists() {
            let beside = staging::beside(&self.layout, model, dir);
            remove_tree(&beside)?;
            let aside = rename(&target, dir).map(|()| dir);
            let aside = aside.or_else(|_| rename(&target, &beside).map(|()| &*beside));
            remove_tree(aside.at("remove", &target)?)?;
        }
        let removed = self.update_records(Patience::Long, |entries| entries.remove(model))?;
        self.remove_empty_above(&target);
        Ok(removed)
    }

    /// Removes the folders above a model's, as far as they are empty.
    fn remove_empty_above(&self, target: &Path) {
        let mut parent = target.parent();
        while let Some(folder) = parent.filter(|folder| *folder != self.layout.root()) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
            parent = folder.parent();
        }
    }

    fn write_intent(&self, dir: &Path, model: &ModelRef, record: Option<Value>) -> Result<()> {
        let intent = Intent {
            group: model.group().to_owned(),
            model: model.model().to_owned(),
            version: model.version().to_owned(),
            record,
        };
        let json =
            serde_json::to_vec(&intent).map_err(|error| Error::internal(error.to_string()))?;
        replace_file(&dir.join("intent.json"), &json)
    }

    /// Finishes what crashed processes began. What cannot be finished now is left for later: nobody is waited for.
    pub(super) fn finish_intents(&self) {
        for (dir, intent, model) in self.intents() {
            let finished = match self.try_lock_model(&model) {
                Ok(Some(lock)) => self.finish_intent(&lock, &dir, intent, Patience::None),
                busy => busy.map(|_| ()),
            };
            let finished = finished.or_else(|error| match error.kind() {
                ErrorKind::Locked { .. } => Ok(()),
                _ => Err(error),
            });
            if let Err(error) = finished {
                let error = chain(&error);
                warn!(%error, "the interrupted change in {} cannot be finished yet", dir.display());
            }
        }
    }

    /// Finishes what crashed processes began with a model.
    pub(super) fn finish_intents_of(&self, lock: &ModelLock<'_>) -> Result<()> {
        let intents = self.intents().into_iter();
        intents
            .filter(|(_, _, model)| *model == lock.model)
            .try_for_each(|(dir, intent, _)| self.finish_intent(lock, &dir, intent, Patience::Long))
    }

    /// Returns what is about to happen, in which folders of the cache, and to which models.
    fn intents(&self) -> Vec<(PathBuf, Intent, ModelRef)> {
        let entries = fs::read_dir(self.layout.cache());
        let entries = entries.into_iter().flatten().flatten();
        let read = |dir: PathBuf| {
            let json = fs::read(dir.join("intent.json")).ok()?;
            if !staging::bulk(&dir).is_dir() {
                // Its disk is away.
                return None;
            }
            let intent: Option<Intent> = serde_json::from_slice(&json).ok();
            let intent = intent.filter(Intent::is_readable);
            let Some((model, intent)) = intent.and_then(|it| Some((it.model_ref()?, it))) else {
                let path = dir.display();
                warn!(
                    "the interrupted change in {path} cannot be read, and is dropped; its model is unchanged"
                );
                let _ = fs::remove_file(dir.join("intent.json"));
                return None;
            };
            Some((dir, intent, model))
        };
        entries.filter_map(|entry| read(entry.path())).collect()
    }

    fn finish_intent(
        &self,
        lock: &ModelLock<'_>,
        dir: &Path,
        intent: Intent,
        patience: Patience,
    ) -> Result<()> {
        let model = &lock.model;
        if !dir.join("intent.json").exists() {
            return Ok(());
        }
        info!(%model, "finishing an interrupted change");
        let Some(entry) = intent.record else {
            let removed = self.finish_removal(dir, model, patience);
            return removed.map(|_| ());
        };
        if !self.has_arrived(model, &entry) && staging::bulk(dir).join("files").is_dir() {
            self.put_in_place(dir, model)?;
        }
        self.finish_install(dir, model, &entry, patience)
    }
}

/// Ends an intent. Its file is removed first: the rest of the folder must never be taken for something to finish.
fn end_intent(dir: &Path) -> Result<()> {
    let intent = dir.join("intent.json");
    fs::remove_file(&intent).at("remove", &intent)?;
    if let Err(error) = remove_partial(dir) {
        warn!(error = %chain(&error), "what a change left in the cache cannot be removed");
    }
    Ok(())
}
