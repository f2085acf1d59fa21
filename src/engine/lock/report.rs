//! What became of the models of a lock.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::locked::{LockedFile, LockedModel, find};
use crate::digest::Digest;
use crate::error::Error;
use crate::model::ModelRef;

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
    /// No source offers it: [`ModelNotFound`](crate::ErrorKind::ModelNotFound) or
    /// [`VersionNotFound`](crate::ErrorKind::VersionNotFound).
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
    /// Compares the files of a locked model with those of the state with this digest, which are sorted, too. Where nothing tells
    /// whether a file is the same, the states as a whole do.
    pub(super) fn between(old: &LockedModel, digest: Digest, files: &[LockedFile]) -> Self {
        let is_same_state = old.manifest_digest == digest;
        let mut change = Self::default();
        for file in files {
            match find(&old.files, &file.path) {
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
            .filter(|file| find(files, &file.path).is_none());
        change.removed = removed.map(|file| file.path.to_string()).collect();
        change
    }

    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
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
/// let pulled = manager.pull_locked(&LockedOptions::default().file(&path))?.into_result()?;
/// assert_eq!(pulled.len(), report.entries.len());
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
