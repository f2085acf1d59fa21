//! Whether the registered files exist and are unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Category, Finding, Remedy, StatusOptions, StatusReport};
use crate::disk::walk::{Links, walk};
use crate::error::{Error, ErrorKind, IoContext, Result, chain, is_missing};
use crate::modelstoml::{FileFacts, Files};
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::project::item::{ItemId, ItemKind};
use crate::project::scan::survey::MODFLOW;
use crate::project::scan::walk::{FolderFiles, files_below, folder_of};
use crate::relpath::{RelPath, below, listed};

/// How exact the times of files are: FAT counts two seconds. A file that was written so shortly before it was registered
/// may have been written after.
const TIMES_DIFFER: Duration = Duration::from_secs(2);

/// What became of a registered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Same,
    Changed,
    Missing,
}

/// A file as it was registered, by one model or target or by several.
type Registered<'a> = (&'a RelPath, FileFacts);

/// A model or target with its files.
struct Owner<'a> {
    item: ItemId,
    files: &'a Files,
    data: BTreeSet<&'a RelPath>,
    code: BTreeSet<&'a RelPath>,
    registered_at: SystemTime,
}

impl Project {
    fn owners(&self) -> Vec<Owner<'_>> {
        let registry = self.registry();
        let models = registry.entries.iter().filter_map(|(id, entry)| {
            let current = entry.current()?;
            Some(Owner {
                item: ItemId::new(ItemKind::Model, id),
                files: &current.files,
                data: entry.data.iter().collect(),
                code: entry.code.iter().collect(),
                registered_at: current.registered_at,
            })
        });
        let targets = registry.targets.iter().map(|(id, target)| Owner {
            item: ItemId::new(ItemKind::Target, id),
            files: &target.files,
            data: target.data.iter().collect(),
            code: BTreeSet::new(),
            registered_at: target.registered_at,
        });
        models.chain(targets).collect()
    }

    /// Checks all registered files.
    pub(super) fn check_files(
        &self,
        options: &StatusOptions,
        report: &mut StatusReport,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let owners = self.owners();
        // A file that several entries have in the same state is checked once, against the earliest of their times.
        let mut since: BTreeMap<Registered<'_>, SystemTime> = BTreeMap::new();
        for owner in &owners {
            for (path, facts) in owner.files {
                let time = since.entry((path, *facts)).or_insert(owner.registered_at);
                *time = owner.registered_at.min(*time);
            }
        }
        let mut states: BTreeMap<Registered<'_>, State> = BTreeMap::new();
        let mut doubtful: Vec<Registered<'_>> = Vec::new();
        for (file, registered_at) in since {
            options.cancel.check()?;
            match self.glance(file, registered_at, options.deep)? {
                Some(state) => {
                    states.insert(file, state);
                }
                None => doubtful.push(file),
            }
        }
        let paths: BTreeSet<&RelPath> = doubtful.iter().map(|(path, _)| *path).collect();
        report.files_hashed = paths.len();
        let progress = options.progress.as_deref();
        let mut hashes = self.hash_files(paths, &options.cancel, progress)?;
        for file in doubtful {
            let state = match hashes.get(file.0) {
                Some(Ok(facts)) if file.1.match_file(facts) => State::Same,
                Some(Err(error)) if is_absence(error) => State::Missing,
                Some(Err(_)) => {
                    hashes.remove(file.0).transpose()?;
                    continue;
                }
                _ => State::Changed,
            };
            states.insert(file, state);
        }
        let distinct: BTreeSet<&RelPath> = states.keys().map(|(path, _)| *path).collect();
        report.files = distinct.len();
        for owner in &owners {
            owner.compare(&states, findings);
        }
        Ok(())
    }

    /// Returns the state of a file by its size and time; `None` if it has to be hashed.
    fn glance(
        &self,
        (path, facts): Registered<'_>,
        registered_at: SystemTime,
        deep: bool,
    ) -> Result<Option<State>> {
        let metadata = match self.metadata_of(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            // A folder or a link has taken its place.
            Ok(_) => return Ok(Some(State::Missing)),
            Err(error) if is_missing(&error) => return Ok(Some(State::Missing)),
            Err(error) => return Err(error).at("read", &self.locate(path)),
        };
        match facts.known_bytes() {
            None => return Ok(None),
            Some(bytes) if bytes != metadata.len() => return Ok(Some(State::Changed)),
            Some(_) => {}
        }
        // The time may be the last that the file system has.
        let latest = metadata.modified().ok();
        let latest = latest.and_then(|time| time.checked_add(TIMES_DIFFER));
        let is_older = latest.is_some_and(|time| time < registered_at);
        Ok((is_older && !deep).then_some(State::Same))
    }

    /// Finds unregistered files in the folders of models, and unregistered models and targets beside and below registered ones.
    pub(super) fn check_untracked(
        &self,
        cancel: &CancelToken,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let owners = self.owners();
        let known: BTreeSet<&RelPath> =
            owners.iter().flat_map(|owner| owner.files.keys()).collect();
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        for (id, entry) in &self.registry().entries {
            if !self.has_folder(&entry.path) {
                folders.insert(folder_of(&entry.path));
                continue;
            }
            let FolderFiles { files, faults, .. } = files_below(self, &entry.path)?;
            // Without what a run of it writes.
            let files = match entry.format.as_deref() {
                Some(MODFLOW) => self.folder(&entry.path, files).files,
                _ => files,
            };
            let is_new = |file: &&RelPath| !known.contains(file);
            let names: Vec<&str> = files.iter().filter(is_new).map(RelPath::as_str).collect();
            let refused: Vec<&str> = faults.iter().map(|(name, _)| name.as_str()).collect();
            for (names, what, remedy) in [
                (names, "Not registered", Remedy::Resync),
                (refused, "Cannot be registered", Remedy::ReplaceFiles),
            ] {
                if !names.is_empty() {
                    findings.push(Finding::new(
                        Category::Untracked,
                        ItemId::new(ItemKind::Model, id),
                        format!("{what} with its folder: {}", listed(&names)),
                        remedy,
                    ));
                }
            }
        }
        let targets = self.registry().targets.values();
        folders.extend(targets.map(|target| folder_of(target.path.as_str())));
        for (file, fault) in self.models_in(&folders, &known, cancel)? {
            let path = file.to_string();
            let (message, remedy) = match fault {
                None => (
                    format!("'{file}' is not registered, and looks like a model or target"),
                    Remedy::Add { path },
                ),
                Some(fault) => (
                    format!("Not registered, and cannot be: {}", chain(&fault)),
                    Remedy::CorrectFile { path: file },
                ),
            };
            findings.push(Finding::new(Category::Untracked, None, message, remedy));
        }
        Ok(())
    }

    fn has_folder(&self, path: &str) -> bool {
        self.metadata_at(path)
            .is_ok_and(|metadata| metadata.is_dir())
    }

    /// Returns the unregistered models and targets below some folders, and what is wrong with those of a known format that cannot
    /// be read. Folders that are models themselves are checked apart, and of the project's folder only what is directly in it.
    fn models_in(
        &self,
        folders: &BTreeSet<&str>,
        known: &BTreeSet<&RelPath>,
        cancel: &CancelToken,
    ) -> Result<Vec<(RelPath, Option<Error>)>> {
        let entries = self.registry().entries.values();
        let models: BTreeSet<&str> = entries.map(|entry| entry.path.as_str()).collect();
        let mut files: BTreeSet<RelPath> = BTreeSet::new();
        for folder in folders.iter().filter(|folder| self.has_folder(folder)) {
            let prefix = if *folder == "." { "" } else { folder };
            let is_left_out = |name: &str, path: &Path, is_folder: bool| match is_folder {
                true => prefix.is_empty() || models.contains(&*below(prefix, name)),
                false => self.is_own(path),
            };
            let walked = walk(
                &self.root().join(prefix),
                Links::Refuse,
                cancel,
                &is_left_out,
            )?;
            let names = walked.files.into_iter().filter(|file| file.fault.is_none());
            let paths = names.filter_map(|file| RelPath::parse(&below(prefix, &file.name)).ok());
            files.extend(paths.filter(|path| !known.contains(path)));
        }
        let read = files
            .into_par_iter()
            .filter_map(|path| match self.is_model(&path) {
                Ok(is_model) => is_model.then_some((path, None)),
                Err(error) => matches!(error.kind(), ErrorKind::Registry { .. })
                    .then_some((path, Some(error))),
            });
        Ok(read.collect())
    }
}

impl Owner<'_> {
    /// Reports missing and changed files, in one finding each for its own files, data and code.
    fn compare(&self, states: &BTreeMap<Registered<'_>, State>, findings: &mut Vec<Finding>) {
        for role in [self.own_role(), "Data", "Code"] {
            for (state, category, what, remedy) in [
                (
                    State::Missing,
                    Category::MissingFile,
                    "file not found",
                    Remedy::RestoreOrDrop,
                ),
                (
                    State::Changed,
                    Category::Stale,
                    "changed since it was registered",
                    Remedy::Resync,
                ),
            ] {
                let files = self.files.iter().filter(|(path, facts)| {
                    self.role(path) == role && states.get(&(*path, **facts)) == Some(&state)
                });
                let names: Vec<&str> = files.map(|(path, _)| path.as_str()).collect();
                if !names.is_empty() {
                    let message = format!("{role} {what}: {}", listed(&names));
                    findings.push(Finding::new(category, self.item.clone(), message, remedy));
                }
            }
        }
    }

    /// Returns the name of a file's role in messages.
    fn role(&self, path: &RelPath) -> &'static str {
        if self.data.contains(path) {
            "Data"
        } else if self.code.contains(path) {
            "Code"
        } else {
            self.own_role()
        }
    }

    fn own_role(&self) -> &'static str {
        match self.item.kind {
            ItemKind::Model => "Model",
            ItemKind::Target => "Target",
        }
    }
}

/// Whether something failed because a file is gone.
pub(crate) fn is_absence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Storage { source, .. } if is_missing(source))
}
