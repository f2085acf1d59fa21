//! Making the registry true to the files: what changed is registered as it is now, what is gone is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::modelstoml::{ModelEntry, ProjectRegistry, TargetEntry};
use crate::progress::CancelToken;
use crate::project::change::difference::Difference;
use crate::project::change::enter::{FoundModel, FoundTarget, Given, HashedFiles};
use crate::project::change::known::Known;
use crate::project::change::plan::RegistryPlan;
use crate::project::check::is_absence;
use crate::project::home::Project;
use crate::project::item::FailedPath;
use crate::project::scan::hash::{HashProgress, Hashing};
use crate::project::scan::python::{Entrypoint, ModelClass, Module};
use crate::project::scan::survey::Found;
use crate::relpath::RelPath;
use crate::setters::setters;

/// How to make the registry true to the files.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ResyncOptions {
    /// Drop what is gone: models, targets, and files of models. Without it nothing is changed when something is.
    pub force: bool,
    /// Stops the work when it is cancelled.
    pub cancel: CancelToken,
    /// Learns how far the hashing is.
    pub progress: Option<Arc<dyn HashProgress>>,
}

setters!(ResyncOptions {
    force: bool,
    cancel: CancelToken,
    progress: Arc<dyn HashProgress>,
});

/// What making the registry true did, or would do.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ResyncReport {
    /// Whether it is the report of a plan.
    pub dry_run: bool,
    /// Whether the registry was changed: not in a plan, not when nothing differs, and not when something would be dropped
    /// without [`ResyncOptions::force`].
    pub applied: bool,
    /// Whether nothing was changed because something would be dropped, which takes [`ResyncOptions::force`].
    pub needs_force: bool,
    /// How the registry differs from the files.
    #[serde(flatten)]
    pub difference: Difference,
    /// What cannot be registered as it is now, and stays as it is registered.
    pub failed: Vec<FailedPath>,
}

/// What the files of a project are now.
struct Now {
    /// Paths that are registered → what is there; `None` where that is gone.
    seen: BTreeMap<String, Option<Found>>,
    hashed: HashedFiles,
    failed: Vec<FailedPath>,
    time: SystemTime,
}

impl Project {
    /// Makes the registry true to the files.
    ///
    /// A class or function that is gone is followed to the one that took its place, when there is just one in its module
    /// that nothing else names. A model of which none can be followed is reported and stays as it is, a target is dropped.
    ///
    /// # Errors
    /// As [`Project::add`]; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn resync(&mut self, options: &ResyncOptions) -> Result<ResyncReport> {
        let now = self.look(options)?;
        let mut report = self.change(&options.cancel, |registry| {
            let (after, mut report) = now.compare(registry);
            report.needs_force = !(options.force || report.difference.dropped.is_empty());
            report.applied = !report.needs_force && !report.difference.is_empty();
            if report.applied {
                *registry = after;
            }
            Ok(report)
        })?;
        report.failed.extend(now.failed);
        Ok(report)
    }

    /// Plans what [`Project::resync`] would change, and changes nothing; [`Project::apply`] applies the plan, whatever it
    /// drops.
    ///
    /// # Errors
    /// As [`Project::resync`].
    pub fn plan_resync(&self, options: &ResyncOptions) -> Result<RegistryPlan<ResyncReport>> {
        let now = self.look(options)?;
        let (after, mut report) = now.compare(self.registry());
        report.dry_run = true;
        report.needs_force = !report.difference.dropped.is_empty();
        report.failed.extend(now.failed);
        Ok(RegistryPlan::new(report, self.registry(), after))
    }

    /// Reads and hashes everything that is registered.
    fn look(&self, options: &ResyncOptions) -> Result<Now> {
        let registry = self.registry();
        let (entries, targets) = (registry.entries.values(), registry.targets.values());
        let mut now = Now {
            seen: BTreeMap::new(),
            hashed: HashedFiles::new(),
            failed: Vec::new(),
            time: crate::time::now(),
        };
        let mut files: BTreeSet<RelPath> = BTreeSet::new();
        // A file may be many models and targets, and is read once.
        let paths = entries.clone().map(|entry| entry.path.as_str());
        let paths = paths.chain(targets.clone().map(|target| target.path.as_str()));
        let paths: BTreeSet<&str> = paths.collect();
        let looked: Vec<_> = paths
            .into_par_iter()
            .map(|path| (path.to_owned(), self.look_again(path)))
            .collect();
        for (path, found) in looked {
            match found {
                Ok(found) => {
                    files.extend(found.iter().flat_map(|found| found.files.iter().cloned()));
                    let module = found.as_ref().and_then(|found| found.module.as_ref());
                    let functions = module.into_iter().flat_map(|module| &module.targets);
                    let stated = functions.flat_map(|function| &function.data);
                    files.extend(stated.filter_map(|path| RelPath::parse(path).ok()));
                    now.seen.insert(path, found);
                }
                Err(error) => now.failed.push(FailedPath { path, error }),
            }
        }
        files.extend(entries.flat_map(ModelEntry::needed).cloned());
        files.extend(targets.flat_map(|target| target.data.iter().cloned()));
        // What is gone is no file to hash.
        files.retain(|file| self.has_file(file));
        let hashing = Hashing {
            project: self,
            cancel: &options.cancel,
            progress: options.progress.as_deref(),
        };
        now.hashed = hashing.by_path(&files)?;
        Ok(now)
    }

    /// Looks at something that was registered; `None` when it is gone, also where a link or a pipe took its place.
    fn look_again(&self, path: &str) -> Result<Option<Found>> {
        match self.metadata_at(path) {
            Ok(metadata) if metadata.is_file() || metadata.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        match self.look_at(path)? {
            found if found.files.is_empty() => Ok(None),
            found => Ok(Some(found)),
        }
    }
}

impl Now {
    /// Makes a registry true to the files, and compares it with what it was.
    fn compare(&self, before: &ProjectRegistry) -> (ProjectRegistry, ResyncReport) {
        let mut after = before.clone();
        let mut report = ResyncReport::default();
        self.enter(&mut after, &mut report.failed);
        report.difference = Difference::between(before, &after);
        (after, report)
    }

    fn enter(&self, registry: &mut ProjectRegistry, failed: &mut Vec<FailedPath>) {
        let mut known = Known::of(registry);
        for (id, entry) in registry.entries.clone() {
            let entered = match self.seen.get(&entry.path) {
                // It cannot be read, which is said, or came meanwhile.
                None => continue,
                Some(None) => {
                    registry.entries.remove(&id);
                    continue;
                }
                Some(Some(found)) => self.enter_model(registry, &mut known, (&id, &entry), found),
            };
            if let Err(error) = entered {
                // What cannot be registered as it is now stays whole.
                let path = entry.path.clone();
                registry.entries.insert(id, entry);
                failed.push(FailedPath { path, error });
            }
        }
        for (id, target) in registry.targets.clone() {
            let Some(found) = self.seen.get(target.path.as_str()) else {
                continue;
            };
            let entered = match found {
                None => Ok(false),
                Some(found) => self.enter_target(registry, &mut known, (&id, &target), found),
            };
            match entered {
                Ok(true) => {}
                Ok(false) => registry.remove_target(&id),
                Err(error) => {
                    let path = target.path.to_string();
                    registry.targets.insert(id, target);
                    failed.push(FailedPath { path, error });
                }
            }
        }
    }

    fn enter_model(
        &self,
        registry: &mut ProjectRegistry,
        known: &mut Known,
        (id, entry): (&str, &ModelEntry),
        found: &Found,
    ) -> Result<()> {
        let is_there = |path: &&RelPath| self.hashed.contains_key(*path);
        let mut given = Given {
            id: Some(id.to_owned()),
            ..Given::default()
        };
        let (data, code): (Vec<RelPath>, Vec<RelPath>) = (
            entry.data.iter().filter(is_there).cloned().collect(),
            entry.code.iter().filter(is_there).cloned().collect(),
        );
        if let Some(before) = registry.entries.get_mut(id) {
            (before.data, before.code) = (data, code);
        }
        let named = entry.entrypoint.as_deref();
        let module = found.module.as_ref();
        let class = match (module, named.map(|text| symbol_in(text, &found.path))) {
            (None, _) | (_, Some(None)) => None,
            (Some(module), None) => successor(entry, module, registry, known),
            (Some(module), Some(Some(symbol))) if module.lacks(symbol) => {
                let class = successor(entry, module, registry, known).ok_or_else(|| {
                    Error::argument(format!(
                        "'{symbol}' of model '{id}' is gone, and no class alone took its place: name one with an entrypoint, or remove the model"
                    ))
                })?;
                // It takes the place of what was given by hand, too.
                let file = RelPath::parse(&found.path).ok();
                let module = file.as_ref().and_then(Entrypoint::module_of);
                given.entrypoint = module.map(|module| format!("{module}:{}", class.name));
                Some(class)
            }
            (Some(module), Some(Some(symbol))) => {
                let mut classes = module.models.iter();
                classes.find(|class| class.name == symbol)
            }
        };
        let model = FoundModel {
            found,
            class,
            is_one_of_several: true,
        };
        let by_hand = entry.given.clone();
        model.enter(registry, known, &given, &self.hashed, self.time)?;
        if let Some(entered) = registry.entries.get_mut(id) {
            entered.given = by_hand;
        }
        Ok(())
    }

    /// Enters a target as it is now; false when its function is gone and none took its place.
    fn enter_target(
        &self,
        registry: &mut ProjectRegistry,
        known: &mut Known,
        (id, target): (&str, &TargetEntry),
        found: &Found,
    ) -> Result<bool> {
        let Some(module) = &found.module else {
            return Ok(true);
        };
        // What is elsewhere by its entrypoint is not looked for here.
        let symbol = symbol_in(&target.entrypoint, target.path.as_str());
        let function = module
            .targets
            .iter()
            .find(|function| Some(function.name.as_str()) == symbol);
        let mut given = Given {
            id: Some(id.to_owned()),
            entrypoint: Some(target.entrypoint.clone()),
            ..Given::default()
        };
        let function = if symbol.is_none_or(|symbol| !module.lacks(symbol)) {
            function
        } else {
            let taken: BTreeSet<&str> = registry
                .targets
                .values()
                .filter(|other| other.path == target.path)
                .filter_map(|other| symbol_of(Some(&other.entrypoint)))
                .collect();
            let free = module
                .targets
                .iter()
                .filter(|function| !taken.contains(function.name.as_str()));
            let Some(next) = only(free) else {
                return Ok(false);
            };
            let module = Entrypoint::module_of(&target.path)
                .ok_or_else(|| Error::argument(format!("'{}' is no module", target.path)))?;
            given.entrypoint = Some(format!("{module}:{}", next.name));
            Some(next)
        };
        if let Some(before) = registry.targets.get_mut(id) {
            before.data.retain(|path| self.hashed.contains_key(path));
        }
        let found = FoundTarget {
            path: &target.path,
            function,
        };
        found.enter(registry, known, &given, &self.hashed, self.time)?;
        Ok(true)
    }
}

/// The class that took the place of one that is gone, or of none: the only one that no other entry names.
fn successor<'a>(
    entry: &ModelEntry,
    module: &'a Module,
    registry: &ProjectRegistry,
    known: &Known,
) -> Option<&'a ModelClass> {
    let others = known.at.get(&entry.path).into_iter().flatten();
    let taken: BTreeSet<&str> = others
        .filter_map(|id| registry.entries.get(id))
        .filter(|other| other.path == entry.path)
        .filter_map(|other| symbol_of(other.entrypoint.as_deref()))
        .collect();
    only(
        module
            .models
            .iter()
            .filter(|class| !taken.contains(class.name.as_str())),
    )
}

/// The name that a file itself must define for an entrypoint; `None` when that is of another file.
fn symbol_in<'a>(entrypoint: &'a str, path: &str) -> Option<&'a str> {
    let candidates = Entrypoint::parse(entrypoint)?.candidates();
    let is_here = candidates.iter().any(|file| file.as_str() == path);
    symbol_of(Some(entrypoint)).filter(|_| is_here)
}

fn symbol_of(entrypoint: Option<&str>) -> Option<&str> {
    let (_, symbol) = entrypoint?.rsplit_once(':')?;
    symbol.split('.').next()
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}
