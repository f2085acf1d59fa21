//! Locks: an exact set of models in a file, what the sources have of it now, and pulling exactly that.

pub(crate) mod document;
pub(crate) mod locked;
pub(crate) mod pull;
pub(crate) mod report;
mod resolve;
mod wire;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Metadata, RemoteModel};
use crate::disk::write::replace_file;
use crate::engine::Engine;
use crate::engine::lookup::reading::read_pattern;
use crate::engine::pull::PullOptions;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::model::{ModelAddress, ModelPattern};
use crate::near::nearest;
use crate::progress::{CancelToken, Progress};
use crate::setters::setters;
use crate::store::lock::{FileLock, RECORD_LIMIT};
use crate::store::record::Records;

use document::Lock;
use locked::LockedModel;
use report::{LockChange, LockEntry, LockReport, LockState};
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
        let before = known.unwrap_or_default();
        let mut lock = before.clone();
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
            untouched: before.models.len().saturating_sub(asked),
            entries,
        };
        if is_writing && !(lock.models.is_empty() && before.models.is_empty()) {
            report.is_written = lock.write(&options.file, &before, &options.cancel)?;
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
                    true => return Err(not_locked(address, lock, &options.file)),
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
            true => Err(not_locked(pattern, lock, file)),
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

fn not_locked(address: &impl Display, lock: &Lock, file: &Path) -> Error {
    let names: Vec<String> = lock
        .models()
        .map(|it| it.model.name().to_string())
        .collect();
    let typed = address.to_string();
    let typed = typed.split([' ', '@']).next().unwrap_or_default();
    let near = match &nearest(typed, names.iter().map(String::as_str))[..] {
        [] => String::new(),
        near => format!(", unlike {}", near.join(" and ")),
    };
    let message = format!("'{address}' is not in the lock{near}: {}", file.display());
    Error::argument(message).naming(file)
}

impl Lock {
    /// Writes what is not as it was before into the file, in which somebody else may have written meanwhile; returns whether
    /// that changes the file.
    fn write(mut self, file: &Path, before: &Self, cancel: &CancelToken) -> Result<bool> {
        let is_same =
            |lock: &Self| std::fs::read(file).is_ok_and(|old| old == lock.to_toml().as_bytes());
        if is_same(&self) {
            return Ok(false);
        }
        let mut name = OsString::from(".");
        name.push(file.file_name().unwrap_or_default());
        name.push(".lock");
        let held = file.with_file_name(name);
        let _held = FileLock::acquire(&held, true, Some(RECORD_LIMIT), cancel, &|_| {})?;
        let latest = Self::read_if_there(file)?.unwrap_or_default();
        if latest != *before {
            self.models
                .retain(|model, locked| before.models.get(model) != Some(locked));
            let mut merged = latest;
            merged.models.append(&mut self.models);
            self = merged;
        }
        if is_same(&self) {
            return Ok(false);
        }
        replace_file(file, self.to_toml().as_bytes())?;
        Ok(true)
    }

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
                let change = LockChange::between(old, new.manifest_digest, &new.files);
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
        commit: locked.commit().map(Arc::from),
        total_bytes: locked.total_bytes,
        files: Some(locked.files.len() as u64),
        alias_of: locked.alias_of.as_deref().map(Arc::from),
        pin: locked.pin.clone().map(Box::new),
        ..RemoteModel::new(
            locked.model.clone(),
            &*locked.source,
            locked.manifest_digest,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock of models without files, each with the digest that this digit makes.
    fn lock(models: &[(&str, char)]) -> Lock {
        let tables = models.iter().map(|(model, digit)| {
            let digest = digit.to_string().repeat(64);
            format!(
                "[models.\"{model}\"]\nsource = \"s\"\nkind = \"chunked\"\nlocation = \"here\"\nmanifest = \"{digest}\"\nsize = 0\nfiles = []\n"
            )
        });
        let text = format!("version = 1\n{}", tables.collect::<String>());
        Lock::parse(&text, "here").unwrap()
    }

    #[test]
    fn what_another_has_locked_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("models.lock");
        let write = |new: Lock, before: &Lock| {
            let is_written = new.write(&file, before, &CancelToken::new());
            (is_written.unwrap(), Lock::read(&file).unwrap())
        };
        let before = lock(&[("g/a v1", 'a'), ("g/b v1", 'a')]);
        assert_eq!(
            write(before.clone(), &Lock::default()),
            (true, before.clone())
        );
        assert_eq!(write(before.clone(), &before), (false, before.clone()));
        let one = lock(&[("g/a v1", 'c'), ("g/b v1", 'a')]);
        write(one, &before);
        // Another began before that was written.
        let other = lock(&[("g/a v1", 'a'), ("g/b v1", 'b'), ("g/c v1", 'a')]);
        let both = lock(&[("g/a v1", 'c'), ("g/b v1", 'b'), ("g/c v1", 'a')]);
        assert_eq!(write(other, &before), (true, both));
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
