//! The file: an exact set of models, each with its digests, as text that merges well.
//!
//! Every model is a table of its own with a header that no other model has, and every file is a line of its own. So adding a
//! model adds lines, a change shows in the lines of what changed, and two branches that add the same model differently
//! conflict, rather than both being right.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::locked::LockedModel;
use super::wire::{LockWire, line_of, merge_marker, reason};
use crate::error::{Error, ErrorKind, IoContext, LockProblem, Result, is_missing};
use crate::model::ModelRef;
use crate::size::sizes_apart;

/// The version of the format. Later ones that only add to it keep the number.
const VERSION: i64 = 1;

/// The largest lock that is read, in bytes: about half a million files.
const MAX_LOCK_BYTES: u64 = 64 << 20;

/// The first lines of a lock.
const HEAD: &str = "# An exact set of models. It is written by `lock`, and read by `pull --locked` and `pull --frozen`.\n\
                    # To remove a model, remove its table.\n";

/// An exact set of models, each with its digests: the content of `models.lock`.
///
/// ```
/// use modelrack::lock::{Lock, LockOptions};
/// use modelrack::{Manager, ManagerExt};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let path = folder.path().join("models.lock");
/// manager.lock(&LockOptions::default().models(["digits/logistic v1".parse()?]).file(&path))?;
///
/// let lock = Lock::read(&path)?;
/// let model = lock.get(&"digits/logistic v1".parse()?).expect("it was locked");
/// println!("{} bytes of {} in {} files", model.total_bytes.unwrap_or(0), model.source, model.files.len());
/// assert!(model.files.iter().all(|file| file.sha256.is_some()));
/// assert_eq!(Lock::parse(&lock.to_toml(), "a copy")?, lock);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lock {
    pub(super) models: BTreeMap<ModelRef, LockedModel>,
}

fn unusable(location: impl Display, problem: LockProblem, message: String) -> Error {
    Error::from(ErrorKind::UnusableLock {
        location: location.to_string(),
        problem,
        message,
    })
}

impl Lock {
    /// Reads a lock; [`Lock`] has an example.
    ///
    /// # Errors
    /// [`UnusableLock`](ErrorKind::UnusableLock) if there is none; those of [`Lock::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_if_there(path)?.ok_or_else(|| {
            let message = "there is no lock".into();
            unusable(path.display(), LockProblem::Missing, message).naming(path)
        })
    }

    /// Reads a lock; `None` if there is none.
    pub(super) fn read_if_there(path: &Path) -> Result<Option<Self>> {
        let file = match fs::metadata(path) {
            Err(error) if is_missing(&error) => return Ok(None),
            metadata => metadata.at("read", path)?,
        };
        if !file.is_file() {
            // Opening a pipe waits for somebody who writes to it.
            let message = "the lock is not a file".into();
            return Err(unusable(path.display(), LockProblem::Malformed, message).naming(path));
        }
        let file = File::open(path).at("read", path)?;
        let mut bytes = Vec::new();
        let mut limited = file.take(MAX_LOCK_BYTES + 1);
        limited.read_to_end(&mut bytes).at("read", path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let message = format!("the lock is malformed: {error}");
            unusable(path.display(), LockProblem::Malformed, message)
        })?;
        Self::parse(&text, path.display()).map(Some)
    }

    /// Parses a lock; `location` names it in errors. Keys that are unknown here are ignored. [`Lock`] has an example.
    ///
    /// # Errors
    /// [`UnusableLock`](ErrorKind::UnusableLock) if it is malformed, of a later version, or names a file that no system can
    /// have.
    pub fn parse(text: &str, location: impl Display) -> Result<Self> {
        #[derive(Deserialize)]
        struct VersionWire {
            version: Option<i64>,
        }
        let refuse = |message: String| unusable(&location, LockProblem::Malformed, message);
        if text.len() as u64 > MAX_LOCK_BYTES {
            let [_, most] = sizes_apart(text.len() as u64, MAX_LOCK_BYTES);
            return Err(refuse(format!("the lock has more than {most}")));
        }
        let malformed = |error: &toml::de::Error| match merge_marker(text) {
            Some((line, marker)) => {
                let message = format!(
                    "line {line}: a merge is unfinished here, '{marker}' stands where its conflict was not resolved"
                );
                unusable(&location, LockProblem::Unmerged, message)
            }
            None => refuse(format!("the lock is malformed: {}", reason(error, text))),
        };
        let head: VersionWire = toml::from_str(text).map_err(|error| malformed(&error))?;
        match head.version {
            Some(VERSION) => {}
            None => return Err(refuse("the lock has no version".into())),
            Some(other) => {
                let message =
                    format!("the lock has version {other}, and only version {VERSION} can be read");
                let problem = match other > VERSION {
                    true => LockProblem::LaterVersion,
                    false => LockProblem::Malformed,
                };
                return Err(unusable(&location, problem, message));
            }
        }
        let wire: LockWire = toml::from_str(text).map_err(|error| malformed(&error))?;
        let mut models = BTreeMap::new();
        for (name, table) in wire.models {
            let at = table.span().start;
            // Lines are only counted for who reads of one: a lock may have very many.
            let refuse = |message: String| refuse(format!("line {}: {message}", line_of(text, at)));
            let model: ModelRef = name.parse().map_err(|error| refuse(format!("{error}")))?;
            let locked = table.into_inner().read(model.clone());
            let locked = locked.map_err(|message| refuse(format!("in '{model}', {message}")))?;
            match models.entry(model) {
                Entry::Vacant(entry) => entry.insert(locked),
                Entry::Occupied(entry) => {
                    return Err(refuse(format!("'{}' is locked twice", entry.key())));
                }
            };
        }
        Ok(Self { models })
    }

    /// Returns the models in the order of their names. [`Lock`] has an example of a single one.
    pub fn models(&self) -> impl Iterator<Item = &LockedModel> {
        self.models.values()
    }

    /// Returns a model; `None` if the lock does not have it. [`Lock`] has an example.
    #[must_use]
    pub fn get(&self, model: &ModelRef) -> Option<&LockedModel> {
        self.models.get(model)
    }

    /// Returns the text of the file: the same models as the same text. [`Lock`] has an example.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!("{HEAD}version = {VERSION}\n");
        for model in self.models.values() {
            super::wire::write(model, &mut text);
        }
        text
    }
}
