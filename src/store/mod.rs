//! One app's models on this machine: the only owner of what is on disk.
//!
//! Readers take no lock, because every file is replaced in one step. Writers hold the lock of the model that they change
//! and, while `registry.json` changes, the lock of that file too.
//!
//! A model moves into or out of its place in several steps, see `change`; what `registry.json` lists is always complete, and
//! says so where a power cut may have changed that, see `durability`.

mod change;
pub(crate) mod clone;
pub(crate) mod durability;
pub(crate) mod files;
mod flush;
pub(crate) mod journal;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod partial;
pub(crate) mod raw_members;
pub(crate) mod record;
mod records;
pub(crate) mod staging;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::digest::{Digest, check_digest};
use crate::error::{Error, ErrorKind, IoContext, Result, chain};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use durability::Durability;
use layout::Layout;
use lock::FileLock;
use partial::{find_partials, remove_partial};
use record::Records;

/// The store of one app.
#[derive(Debug)]
pub(crate) struct Store {
    layout: Layout,
    durability: Durability,
    /// The installations that were verified although their records say they are unsettled.
    verified: Mutex<HashSet<(ModelRef, SystemTime)>>,
    /// Serialises the writers of this process, also where the file system has no locks.
    writing: Mutex<()>,
    /// The models that threads of this process are pulling or removing.
    busy: Mutex<HashSet<ModelRef>>,
}

/// The right to change one model's files, until it is dropped.
#[derive(Debug)]
pub(crate) struct ModelLock<'a> {
    store: &'a Store,
    model: ModelRef,
    file: Option<FileLock>,
}

impl<'a> ModelLock<'a> {
    /// Returns whether no other process of any machine has it. Nobody knows without locks in the file system, or if they may
    /// not reach other machines.
    pub(crate) fn is_real(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_real)
    }

    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }
}

impl Drop for ModelLock<'_> {
    fn drop(&mut self) {
        drop(self.file.take());
        self.store.busy.lock().remove(&self.model);
    }
}

impl Store {
    /// Makes a handle; nothing is read or written.
    pub(crate) fn new(layout: Layout, durability: Durability) -> Self {
        Self {
            layout,
            durability,
            verified: Mutex::default(),
            writing: Mutex::new(()),
            busy: Mutex::default(),
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Waits for the right to change a model's files. If another thread or process has it, `waiting` is called once, with
    /// the holder if that is known.
    ///
    /// What a crash interrupted of this model is finished first: nobody who holds the lock meets files in their place that
    /// are not recorded. If it cannot be finished, the model cannot be changed either.
    pub(crate) fn lock_model(
        &self,
        model: &ModelRef,
        cancel: &CancelToken,
        waiting: &dyn Fn(Option<String>),
    ) -> Result<ModelLock<'_>> {
        let mut has_told = false;
        let mut lock = loop {
            match self.claim_in_process(model) {
                Some(lock) => break lock,
                None if cancel.wait(Duration::from_millis(20)) => {
                    return Err(ErrorKind::Cancelled.into());
                }
                None if !has_told => {
                    has_told = true;
                    waiting(Some(format!("process {}", std::process::id())));
                }
                None => {}
            }
        };
        let path = self.layout.model_lock(model);
        lock.file = Some(FileLock::acquire(&path, true, None, cancel, waiting)?);
        self.finish_intents_of(&lock)?;
        Ok(lock)
    }

    /// Takes the right to change a model's files, if nobody has it.
    pub(crate) fn try_lock_model(&self, model: &ModelRef) -> Result<Option<ModelLock<'_>>> {
        let Some(mut lock) = self.claim_in_process(model) else {
            return Ok(None);
        };
        lock.file = FileLock::try_acquire(&self.layout.model_lock(model), true)?;
        Ok(lock.file.is_some().then_some(lock))
    }

    /// Keeps the other threads of this process off a model.
    fn claim_in_process(&self, model: &ModelRef) -> Option<ModelLock<'_>> {
        let is_free = self.busy.lock().insert(model.clone());
        is_free.then(|| ModelLock {
            store: self,
            model: model.clone(),
            file: None,
        })
    }

    /// Returns whether a thread or process is pulling or removing a model.
    pub(crate) fn is_busy(&self, model: &ModelRef) -> bool {
        // Without a lock file nobody has the lock; with one, it may be left over from a crash.
        self.busy.lock().contains(model)
            || (self.layout.model_lock(model).exists()
                && self.try_lock_model(model).is_ok_and(|lock| lock.is_none()))
    }

    /// Returns whether somebody holds the lock of the model that a folder of the cache belongs to, judging by its name.
    pub(crate) fn is_locked(&self, dir: &Path) -> bool {
        let lock = self.layout.lock_of(dir);
        lock.exists() && FileLock::try_acquire(&lock, true).is_ok_and(|lock| lock.is_none())
    }

    /// Refuses a model whose folder would lie inside an installed model's, or the other way round.
    pub(crate) fn check_place(&self, records: &Records, model: &ModelRef) -> Result<()> {
        let mut others = records.iter().map(|(other, _)| other);
        match others.find(|other| self.layout.collide(model, other)) {
            Some(other) => Err(Self::collision(model, &other)),
            None => Ok(()),
        }
    }

    fn collision(model: &ModelRef, other: &ModelRef) -> Error {
        ErrorKind::Collision {
            model: model.to_string(),
            other: format!("the installed '{other}'"),
        }
        .into()
    }

    /// Removes partials that nobody has touched for this long, except those of `keep` and of models being pulled.
    pub(crate) fn expire_partials(&self, age: Duration, keep: &ModelRef) {
        for partial in find_partials(&self.layout) {
            let is_old = partial
                .touched_at
                .elapsed()
                .is_ok_and(|elapsed| elapsed > age);
            let model = partial.record.model_ref();
            if let Some(model) = model.filter(|model| is_old && model != keep)
                && let Ok(Some(_lock)) = self.try_lock_model(&model)
                && let Err(error) = remove_partial(&partial.dir)
            {
                warn!(error = %chain(&error), "what an old pull of {model} left cannot be removed");
            }
        }
    }

    /// Reads the manifest of an installed model and checks it against the record.
    pub(crate) fn manifest(&self, model: &ModelRef, expected: Digest) -> Result<Manifest> {
        let path = self.layout.manifest_in(&self.layout.model_dir(model));
        let json = fs::read(&path).at("read", &path)?;
        let what = || path.display().to_string();
        check_digest(what, &expected, &Digest::of(&json))?;
        Manifest::parse(json, path.display())
    }
}
