//! Locks: an exact set of models in a file, what the sources have of it now, and pulling exactly that.

pub(crate) mod document;
pub(crate) mod locked;
pub(crate) mod pull;
mod resolve;
mod wire;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::catalog::{Metadata, RemoteModel};
use crate::digest::Digest;
use crate::disk::write::replace_file;
use crate::engine::Engine;
use crate::engine::lookup::reading::read_pattern;
use crate::engine::pull::PullOptions;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::model::{ModelAddress, ModelPattern, ModelRef};
use crate::progress::{CancelToken, Progress};
use crate::relpath::RelPath;
use crate::setters::setters;
use crate::store::record::Records;

use document::Lock;
use locked::{LockedFile, LockedModel};
use resolve::Wanted;

/// The name that a lock has if no other is given.
///
/// ```
/// use modelrack::lock::{DEFAULT_FILE, LockOptions};
///
/// assert_eq!(LockOptions::default().file, std::path::Path::new(DEFAULT_FILE));
/// ```
pub const DEFAULT_FILE: &str = "models.lock";

/// What to lock. [`LockReport`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LockOptions {
    /// The file. Default: [`DEFAULT_FILE`] in the current folder.
    pub file: PathBuf,
    /// Only these models; the others of the lock stay as they are, and no source is asked about them. Default: all models of
    /// the lock or, if there is no lock, all that are installed.
    pub models: Vec<ModelAddress>,
    /// All models that match one of these patterns: of the lock and, unless that is only checked or updated, of what the sources
    /// offer.
    pub patterns: Vec<ModelPattern>,
    /// Take what the sources have now of the models named, even where what is locked still holds: the commit, above all. They
    /// must be in the lock.
    pub update: bool,
    /// Only files that match one of these patterns, of models that are new in the lock. Default: as they are installed, or
    /// else all files.
    pub include: Vec<String>,
    /// No file that matches one of these patterns, of models that are new in the lock.
    pub exclude: Vec<String>,
    /// Open no socket. Default: as configured.
    pub offline: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives steps. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self {
            file: DEFAULT_FILE.into(),
            models: Vec::new(),
            patterns: Vec::new(),
            update: false,
            include: Vec::new(),
            exclude: Vec::new(),
            offline: false,
            cancel: CancelToken::default(),
            progress: None,
        }
    }
}

setters!(LockOptions {
    file: impl Into<PathBuf>,
    models: [ModelAddress],
    patterns: [ModelPattern],
    update: bool,
    include: [impl Into<String>],
    exclude: [impl Into<String>],
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// How a locked model compares to what its source offers. [`LockReport`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockState {
    /// It was not in the lock.
    Added,
    /// The source offers exactly what is locked.
    Held,
    /// The source offers something else.
    Moved(LockChange),
    /// No source offers it: [`ErrorKind::ModelNotFound`] or [`ErrorKind::VersionNotFound`].
    Gone(Error),
    /// The source could not be reached, or what it says could not be read.
    Unknown(Error),
    /// It was made by hand, so that nobody could pull it elsewhere.
    NoSource,
}

/// The files in which a locked model differs from what its source offers; may all be empty if only the place of the files is
/// another one. [`LockReport`] has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockChange {
    /// Paths of new files, sorted.
    pub added: Vec<String>,
    /// Paths of files whose bytes differ or may differ, sorted.
    pub changed: Vec<String>,
    /// Paths of files that are gone, sorted.
    pub removed: Vec<String>,
}

impl LockChange {
    /// Compares the files of two states of a model. Where nothing tells whether a file is the same, the states as a whole do.
    fn between(old: &LockedModel, new: &LockedModel) -> Self {
        let is_same_state = old.manifest_digest == new.manifest_digest;
        let mut change = Self::default();
        for file in &new.files {
            match old.file(&file.path) {
                None => change.added.push(file.path.to_string()),
                Some(before) if !before.agrees(file).unwrap_or(is_same_state) => {
                    change.changed.push(file.path.to_string());
                }
                Some(_) => {}
            }
        }
        let removed = old
            .files
            .iter()
            .filter(|file| new.file(&file.path).is_none());
        change.removed = removed.map(|file| file.path.to_string()).collect();
        change
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl LockedModel {
    fn file(&self, path: &RelPath) -> Option<&LockedFile> {
        let place = self.files.binary_search_by(|file| file.path.cmp(path));
        place.ok().map(|place| &self.files[place])
    }

    /// Takes over what another lock of the same files knows and this one does not.
    fn learn(&mut self, other: &Self) {
        for file in &mut self.files {
            let known = other.file(&file.path);
            let Some(known) = known.filter(|known| known.agrees(file) != Some(false)) else {
                continue;
            };
            file.size_bytes = file.size_bytes.or(known.size_bytes);
            file.sha256 = file.sha256.or(known.sha256);
            file.git_blob = file.git_blob.or(known.git_blob);
        }
        if self.model_type.is_none() {
            self.model_type.clone_from(&other.model_type);
        }
        if self.tags.is_empty() {
            self.tags.clone_from(&other.tags);
        }
        self.total_bytes = self.files.iter().map(|file| file.size_bytes).sum();
    }
}

impl LockedFile {
    /// Returns whether two files of one path are the same, as far as their sizes and checksums tell.
    fn agrees(&self, other: &Self) -> Option<bool> {
        let sizes = self.size_bytes.zip(other.size_bytes);
        if self.archive != other.archive || sizes.is_some_and(|(one, other)| one != other) {
            return Some(false);
        }
        let sha256 = self
            .sha256
            .zip(other.sha256)
            .map(|(one, other)| one == other);
        let git_blob = self.git_blob.zip(other.git_blob);
        sha256.or(git_blob.map(|(one, other)| one == other))
    }
}

/// A model of a lock, and what became of it. [`LockReport`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct LockEntry {
    /// The model.
    pub model: ModelRef,
    /// How it compares to its source.
    pub state: LockState,
    /// The state in the lock; `None` if it was not there.
    pub locked_digest: Option<Digest>,
    /// The state that its source offers; `None` if that is not known.
    pub offered_digest: Option<Digest>,
}

impl LockEntry {
    /// Creates the entry of a model that is locked as its source offers it; for [implementations of
    /// `Manager`](crate::Manager#managers-of-your-own).
    #[must_use]
    pub fn new(model: ModelRef, state: LockState) -> Self {
        Self {
            model,
            state,
            locked_digest: None,
            offered_digest: None,
        }
    }
}

impl Serialize for LockEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(flatten)]
            model: &'a ModelRef,
            state: &'static str,
            locked_hash: Option<Digest>,
            remote_hash: Option<Digest>,
            added: &'a [String],
            changed: &'a [String],
            removed: &'a [String],
            error: Option<&'a Error>,
        }
        let (state, change, error) = match &self.state {
            LockState::Added => ("added", None, None),
            LockState::Held => ("held", None, None),
            LockState::Moved(change) => ("moved", Some(change), None),
            LockState::Gone(error) => ("gone", None, Some(error)),
            LockState::Unknown(error) => ("unknown", None, Some(error)),
            LockState::NoSource => ("no_source", None, None),
        };
        let fields = Fields {
            model: &self.model,
            state,
            locked_hash: self.locked_digest,
            remote_hash: self.offered_digest,
            added: change.map_or(&[], |change| &change.added),
            changed: change.map_or(&[], |change| &change.changed),
            removed: change.map_or(&[], |change| &change.removed),
            error,
        };
        fields.serialize(serializer)
    }
}

/// What locking did, or would do.
///
/// ```
/// use modelrack::lock::{LockOptions, LockState, LockedOptions};
/// use modelrack::{Manager, ManagerExt};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let path = folder.path().join("models.lock");
/// manager.pull_model("digits/logistic v1")?;
/// let options = LockOptions::default().file(&path);
/// let report = manager.lock(&options)?;
/// println!("{} models in {}", report.entries.len(), report.file.display());
/// assert!(report.is_written);
///
/// // In a check of every change, and on every other machine:
/// let report = manager.check_lock(&options)?;
/// for entry in &report.entries {
///     match &entry.state {
///         LockState::Held => {}
///         LockState::Moved(change) => println!("{}: {:?} changed", entry.model, change.changed),
///         LockState::Gone(error) | LockState::Unknown(error) => println!("{}: {error}", entry.model),
///         _ => println!("{}", entry.model),
///     }
/// }
/// assert!(!report.is_stale());
/// manager.pull_locked(&LockedOptions::default().file(&path))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LockReport {
    /// The file.
    #[serde(serialize_with = "crate::report::path")]
    pub file: PathBuf,
    /// Whether the file was written; it is not if nothing in it changes.
    #[serde(rename = "written")]
    pub is_written: bool,
    /// How many models of the lock were not asked about, and stay as they are.
    pub untouched: usize,
    /// One entry for each model that was asked about, in the order of names.
    #[serde(rename = "models")]
    pub entries: Vec<LockEntry>,
}

impl LockReport {
    /// Returns whether a source offers something else than the lock has, or no longer offers it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let is_stale =
            |entry: &LockEntry| matches!(entry.state, LockState::Moved(_) | LockState::Gone(_));
        self.entries.iter().any(is_stale)
    }
}

impl Engine {
    /// Compares a lock with what the sources offer, and writes what they offer into it if `is_writing` says so.
    pub(crate) fn lock(&self, options: &LockOptions, is_writing: bool) -> Result<LockReport> {
        let known = match is_writing && !options.update {
            true => Lock::read_if_there(&options.file)?,
            false => Some(Lock::read(&options.file)?),
        };
        let records = self.records()?;
        let call = self.call(options.offline, &options.cancel.child());
        let call = call.with_progress(options.progress.as_ref()).remembering();
        let (wanted, mut entries) = match options.names_models() {
            false => wanted_of_all(known.as_ref(), &records),
            true => {
                let wanted =
                    self.wanted_of(options, known.as_ref(), &records, is_writing, &call)?;
                (wanted, Vec::new())
            }
        };
        let mut lock = known.unwrap_or_default();
        let before = lock.models.len();
        let resolved = self.resolve_all(&records, &wanted, &call)?;
        let asked = wanted
            .iter()
            .filter(|wanted| wanted.locked.is_some())
            .count();
        for (wanted, resolved) in wanted.into_iter().zip(resolved) {
            entries.push(lock.take_in(wanted, resolved, options.update)?);
        }
        entries.sort_by(|a, b| a.model.cmp(&b.model));
        // Two addresses may mean one model.
        entries.dedup_by(|a, b| a.model == b.model);
        let mut report = LockReport {
            file: options.file.clone(),
            is_written: false,
            untouched: before - asked.min(before),
            entries,
        };
        if is_writing {
            let text = lock.to_toml();
            let is_same = std::fs::read(&options.file).is_ok_and(|old| old == text.as_bytes());
            if !is_same && (!lock.models.is_empty() || before > 0) {
                replace_file(&options.file, text.as_bytes())?;
                report.is_written = true;
            }
        }
        Ok(report)
    }

    /// Returns the models to ask about of those that are named.
    fn wanted_of(
        &self,
        options: &LockOptions,
        lock: Option<&Lock>,
        records: &Records,
        is_writing: bool,
        call: &Call,
    ) -> Result<Vec<Wanted>> {
        let must_be_locked = options.update || !is_writing;
        let selection = Selection {
            include: options.include.clone(),
            exclude: options.exclude.clone(),
        };
        let empty = Lock::default();
        let lock = lock.unwrap_or(&empty);
        let (mut wanted, mut seen) = (Vec::new(), BTreeSet::new());
        for address in &options.models {
            let reading = self.reading(address)?;
            let before = wanted.len();
            let named = lock.models().filter(|locked| reading.is_of(&locked.model));
            wanted.extend(named.map(Wanted::of_locked));
            if wanted.len() == before {
                match must_be_locked {
                    true => return Err(not_locked(address, &options.file)),
                    false => wanted.push(Wanted::of_address(address, &selection, records)),
                }
            }
        }
        for pattern in &options.patterns {
            if must_be_locked {
                let matching = self.locked_matching(lock, pattern, &options.file)?;
                wanted.extend(matching.into_iter().map(Wanted::of_locked));
                continue;
            }
            for offer in self.find_matching(pattern, &PullOptions::default(), call)? {
                wanted.push(match lock.get(&offer.remote.model) {
                    Some(locked) => Wanted::of_locked(locked),
                    None => {
                        let address = ModelAddress::from(&offer.remote.model);
                        Wanted::of_address(&address, &selection, records)
                    }
                });
            }
        }
        wanted.retain(|wanted| seen.insert(wanted.address.to_string()));
        Ok(wanted)
    }

    /// Returns the models of a lock that match a pattern; at least one.
    fn locked_matching<'l>(
        &self,
        lock: &'l Lock,
        pattern: &ModelPattern,
        file: &Path,
    ) -> Result<Vec<&'l LockedModel>> {
        let readings = read_pattern(&self.sources.all(), pattern)?;
        let is_match = |locked: &&LockedModel| {
            let (name, version) = (locked.model.name().to_string(), locked.model.version());
            readings.iter().any(|(glob, wanted)| {
                glob.matches(&name) && wanted.as_deref().is_none_or(|wanted| wanted == version)
            })
        };
        let matching: Vec<_> = lock.models().filter(is_match).collect();
        match matching.is_empty() {
            true => Err(not_locked(pattern, file)),
            false => Ok(matching),
        }
    }
}

impl LockOptions {
    fn names_models(&self) -> bool {
        !self.models.is_empty() || !self.patterns.is_empty()
    }
}

/// Returns all models of the lock or, if there is none, all that are installed, and the entries of those that have no source.
fn wanted_of_all(lock: Option<&Lock>, records: &Records) -> (Vec<Wanted>, Vec<LockEntry>) {
    let (mut wanted, mut without_source) = (Vec::new(), Vec::new());
    if let Some(lock) = lock {
        wanted.extend(lock.models().map(Wanted::of_locked));
        return (wanted, without_source);
    }
    for (model, record) in records.iter() {
        match record.made_by_hand {
            true => without_source.push(LockEntry::new(model, LockState::NoSource)),
            false => wanted.push(Wanted::of_installed(&model, record)),
        }
    }
    (wanted, without_source)
}

fn not_locked(address: &impl Display, file: &Path) -> Error {
    let message = format!("'{address}' is not in the lock: {}", file.display());
    Error::argument(message).naming(file)
}

impl Lock {
    /// Takes in what a source offers, and says what that changes.
    fn take_in(
        &mut self,
        wanted: Wanted,
        resolved: Result<LockedModel>,
        is_update: bool,
    ) -> Result<LockEntry> {
        let old = wanted.locked;
        let locked_digest = old.as_ref().map(|old| old.manifest_digest);
        let mut new = match resolved {
            Ok(new) => new,
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => {
                let Some(model) = wanted.model else {
                    return Err(error);
                };
                let is_gone = matches!(
                    error.kind(),
                    ErrorKind::ModelNotFound { .. } | ErrorKind::VersionNotFound { .. }
                );
                let state = match is_gone {
                    true => LockState::Gone(error),
                    false => LockState::Unknown(error),
                };
                return Ok(LockEntry {
                    locked_digest,
                    ..LockEntry::new(model, state)
                });
            }
        };
        let (model, offered_digest) = (new.model.clone(), Some(new.manifest_digest));
        let old = old.or_else(|| self.models.get(&model).cloned());
        let state = match &old {
            None => LockState::Added,
            Some(old) => {
                let change = LockChange::between(old, &new);
                match change.is_empty() {
                    true => LockState::Held,
                    false => LockState::Moved(change),
                }
            }
        };
        if let Some(mut old) = old {
            if matches!(state, LockState::Held) && !is_update {
                // What holds stays as it is, but for what has become known.
                old.learn(&new);
                new = old;
            } else {
                new.learn(&old);
            }
        }
        self.models.insert(model.clone(), new);
        Ok(LockEntry {
            model,
            state,
            locked_digest,
            offered_digest,
        })
    }
}

/// What a lock has of a version, in the form of an offer.
fn remote_of(locked: &LockedModel) -> RemoteModel {
    let mut metadata = Metadata::new();
    if let Some(model_type) = &locked.model_type {
        metadata.insert("type".into(), model_type.clone().into());
    }
    if !locked.tags.is_empty() {
        metadata.insert("tags".into(), locked.tags.clone().into());
    }
    RemoteModel {
        metadata: (&metadata).into(),
        commit: locked.commit().map(str::to_owned),
        total_bytes: locked.total_bytes,
        files: Some(locked.files.len() as u64),
        alias_of: locked.alias_of.clone(),
        pin: locked.pin.clone().map(Box::new),
        ..RemoteModel::new(
            locked.model.clone(),
            &*locked.source,
            locked.manifest_digest,
        )
    }
}
