//! Updating the registry from the files: what changed is registered again, and what no longer exists is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;

use super::candidate::{ModelCandidate, Overrides, TargetCandidate, entrypoint_of, symbol_of};
use super::difference::{Difference, ItemChange};
use super::plan::RegistryPlan;
use super::register::Register;
use crate::error::{Error, Result};
use crate::modelstoml::{ModelEntry, ProjectRegistry, TargetEntry};
use crate::progress::{CancelToken, Progress};
use crate::project::check::is_absence;
use crate::project::home::Project;
use crate::project::item::{FailedPath, ItemKind, in_order};
use crate::project::scan::candidate::Candidate;
use crate::project::scan::hash::FileHashes;
use crate::project::scan::python::{Entrypoint, ModelClass, Module, Symbol};
use crate::relpath::RelPath;
use crate::setters::setters;

/// How to update the registry from the files.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::CancelToken;
/// use modelrack::progress::Silent;
/// use modelrack::project::{AddOptions, Project, ProjectOptions, ResyncOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// std::fs::remove_file(folder.path().join("models/peak.safetensors"))?;
///
/// let options = ResyncOptions::default().cancel(CancelToken::new()).progress(Arc::new(Silent));
/// assert!(project.resync(&options)?.needs_force, "`peak` would be dropped");
/// assert!(project.resync(&options.force(true))?.applied);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ResyncOptions {
    /// Drop models, targets and files of models that no longer exist. Default: change nothing if there are any.
    pub force: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives how far the hashing is; [`AddOptions`](crate::project::AddOptions) has an example.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(ResyncOptions {
    force: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What updating the registry changed, or would change.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions, ResyncOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// let sir = folder.path().join("models/sir.py");
/// std::fs::write(&sir, std::fs::read_to_string(&sir)?.replace("\"incidence\"]", "\"incidence\", \"deaths\"]"))?;
///
/// let report = project.preview_resync(&ResyncOptions::default())?;
/// assert!(report.dry_run && !report.applied && !report.needs_force);
/// let difference = &report.difference;
/// assert!(!difference.is_empty());
/// for item in &difference.changed {
///     println!("{} {} changes", item.kind.as_str(), item.id);
///     for field in &item.fields {
///         println!("  {}: {:?} becomes {:?}", field.field, field.from, field.to);
///     }
///     let files = [("changed", &item.files_changed), ("added", &item.files_added), ("removed", &item.files_removed)];
///     for (what, paths) in files {
///         println!("  {what}: {paths:?}");
///     }
/// }
/// for dropped in &difference.dropped {
///     println!("{} {} loses {:?}", dropped.kind.as_str(), dropped.id, dropped.files);
/// }
/// for failed in &report.failed {
///     println!("{} stays as it is: {}", failed.path, failed.error);
/// }
/// println!("left out: {:?}", report.left_out);
/// assert_eq!((difference.changed[0].id.as_str(), difference.unchanged, report.processed), ("sir", 2, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ResyncReport {
    /// The number of models and targets that are registered.
    pub processed: usize,
    /// Whether this is the report of a plan.
    pub dry_run: bool,
    /// Whether the registry was changed: `false` in a plan, if nothing differs, and if something would be dropped without
    /// [`ResyncOptions::force`](field@ResyncOptions::force).
    pub applied: bool,
    /// Whether nothing was changed because something would be dropped, which needs
    /// [`ResyncOptions::force`](field@ResyncOptions::force).
    pub needs_force: bool,
    /// How the registry differs from the files.
    #[serde(flatten)]
    pub difference: Difference,
    /// What cannot be registered as it is now, each with the error; its entry stays as it is.
    pub failed: Vec<FailedPath>,
    /// The paths that were passed over, in order: a system, an editor or a download tool left them behind.
    pub left_out: Vec<String>,
}

/// What is at a registered path.
struct Sighting {
    /// `None` if it no longer exists.
    candidate: Option<Candidate>,
    /// How many models and targets have yet to be updated from it.
    users: usize,
}

/// The registered files of a project as they are now.
struct Snapshot {
    /// Registered paths → what is there.
    sightings: BTreeMap<String, Sighting>,
    hashes: FileHashes,
    failed: Vec<FailedPath>,
    left_behind: Vec<String>,
    time: SystemTime,
    auto_version: bool,
}

impl Project {
    /// Updates the registry from the files: what has changed gets its next version. [`ResyncOptions`] has an example.
    ///
    /// If a class or function no longer exists, the one that replaced it is registered instead, provided that its module has just
    /// one that no other entry names. Otherwise a model is reported and stays as it is, and a target is dropped.
    ///
    /// # Errors
    /// Those of [`Project::add`].
    pub fn resync(&mut self, options: &ResyncOptions) -> Result<ResyncReport> {
        let snapshot = self.snapshot(options)?;
        let update = |registry: &mut ProjectRegistry| {
            let mut report = snapshot.update(registry);
            report.needs_force &= !options.force;
            report.applied = !report.needs_force && !report.difference.is_empty();
            Ok(report)
        };
        let is_wanted = |report: &ResyncReport| !report.needs_force;
        self.change_if(&options.cancel, update, is_wanted)
    }

    /// Reports what [`Project::resync`] would change, and changes nothing. Unlike [`Project::plan_resync`], it keeps no second
    /// registry in memory, and what it reports cannot be applied as it is. [`ResyncReport`] has an example.
    ///
    /// # Errors
    /// Those of [`Project::resync`].
    pub fn preview_resync(&mut self, options: &ResyncOptions) -> Result<ResyncReport> {
        let snapshot = self.snapshot(options)?;
        let report = self.rehearse(|registry| snapshot.update(registry))?;
        Ok(ResyncReport {
            dry_run: true,
            ..report
        })
    }

    /// Plans what [`Project::resync`] would change, and changes nothing; [`Project::apply`] applies the plan, even if it drops
    /// something. [`RegistryPlan`] has an example.
    ///
    /// # Errors
    /// Those of [`Project::resync`].
    pub fn plan_resync(&self, options: &ResyncOptions) -> Result<RegistryPlan<ResyncReport>> {
        let snapshot = self.snapshot(options)?;
        let mut plan = self.planned(|registry| snapshot.update(registry));
        plan.report.dry_run = true;
        Ok(plan)
    }

    /// Reads and hashes everything that is registered.
    fn snapshot(&self, options: &ResyncOptions) -> Result<Snapshot> {
        let time = crate::time::now();
        let registry = self.registry();
        let (entries, targets) = (registry.entries.values(), registry.targets.values());
        // A file may have several models and targets, and is read once.
        let paths = entries.clone().map(|entry| entry.path.as_str());
        let paths = paths.chain(targets.clone().map(|target| target.path.as_str()));
        let paths: BTreeSet<&str> = paths.collect();
        let read: Vec<_> = paths
            .into_par_iter()
            .map(|path| (path.to_owned(), self.look_again(path)))
            .collect();
        let (mut failed, mut left_behind) = (Vec::new(), Vec::new());
        let sightings = read
            .into_iter()
            .filter_map(|(path, candidate)| match candidate {
                Ok(candidate) => {
                    let users = 0;
                    Some((path, Sighting { candidate, users }))
                }
                Err(error) => {
                    failed.push(FailedPath { path, error });
                    None
                }
            });
        let mut sightings: BTreeMap<_, _> = sightings.collect();
        let mut files: BTreeSet<RelPath> = BTreeSet::new();
        let candidates = sightings.values_mut();
        for candidate in candidates.filter_map(|sighting| sighting.candidate.as_mut()) {
            left_behind.append(&mut candidate.left_behind);
            files.extend(candidate.files.iter().cloned());
            let functions = candidate.functions().iter();
            let stated = functions.flat_map(|function| &function.data);
            files.extend(stated.filter_map(|path| RelPath::parse(path).ok()));
        }
        files.extend(entries.flat_map(ModelEntry::needed).cloned());
        files.extend(targets.flat_map(|target| target.data.iter().cloned()));
        // Missing files cannot be hashed.
        files.retain(|file| self.has_file(file));
        let progress = options.progress.as_deref();
        Ok(Snapshot {
            sightings,
            hashes: self.hash_files(&files, &options.cancel, progress)?,
            failed,
            left_behind: in_order(left_behind),
            time,
            auto_version: self.options().auto_version,
        })
    }

    /// Reads what is at a registered path; `None` if it no longer exists, or is now a link or a pipe.
    fn look_again(&self, path: &str) -> Result<Option<Candidate>> {
        match self.metadata_at(path) {
            Ok(metadata) if metadata.is_file() || metadata.is_dir() => {
                let mut candidate = self.look_at(path)?;
                self.forget_metadata(std::slice::from_mut(&mut candidate));
                Ok(Some(candidate).filter(|candidate| !candidate.files.is_empty()))
            }
            Err(error) if !is_absence(&error) => Err(error),
            _ => Ok(None),
        }
    }
}

impl Snapshot {
    /// Updates a registry, and returns what differs. One model or target after the other: a registry may be too large to be in
    /// memory twice, and so may be what was read for it.
    fn update(mut self, registry: &mut ProjectRegistry) -> ResyncReport {
        let (mut difference, mut failed) = (Difference::default(), Vec::new());
        let models: Vec<String> = registry.entries.keys().cloned().collect();
        let targets: Vec<String> = registry.targets.keys().cloned().collect();
        let of_models = registry.entries.values().map(|entry| entry.path.as_str());
        let of_targets = registry.targets.values().map(|target| target.path.as_str());
        for path in of_models.chain(of_targets) {
            if let Some(sighting) = self.sightings.get_mut(path) {
                sighting.users += 1;
            }
        }
        let sightings = &mut self.sightings;
        let mut register = Register::new(registry, &self.hashes, self.time, self.auto_version);
        for id in &models {
            let Some(before) = register.registry.entries.get(id).cloned() else {
                continue;
            };
            // Without one, it could not be read, which is reported, or was added meanwhile.
            let at = sightings.get(&before.path);
            let updated = at.map(|at| {
                let at = at.candidate.as_ref();
                update_model(&mut register, id, &before, at)
            });
            leave(sightings, &before.path);
            let entries = &mut register.registry.entries;
            if let Some(Err(error)) = updated {
                // An entry that cannot be updated stays as it was.
                entries.insert(id.clone(), before.clone());
                let path = before.path.clone();
                failed.push(FailedPath { path, error });
            }
            let after = entries.get(id);
            let change = after.map(|after| ItemChange::of_model(id, &before, after));
            difference.add(ItemKind::Model, id, change);
        }
        for id in &targets {
            let Some(before) = register.registry.targets.get(id).cloned() else {
                continue;
            };
            let at = sightings.get(before.path.as_str());
            let updated = at.map(|at| {
                let at = at.candidate.as_ref();
                update_target(&mut register, id, &before, at)
            });
            leave(sightings, before.path.as_str());
            let targets = &mut register.registry.targets;
            if let Some(Err(error)) = updated {
                targets.insert(id.clone(), before.clone());
                let path = before.path.to_string();
                failed.push(FailedPath { path, error });
            }
            let after = targets.get(id);
            let change = after.map(|after| ItemChange::of_target(id, &before, after));
            difference.add(ItemKind::Target, id, change);
        }
        failed.extend(self.failed);
        ResyncReport {
            processed: models.len() + targets.len(),
            needs_force: !difference.dropped.is_empty(),
            difference,
            failed,
            left_out: self.left_behind,
            ..ResyncReport::default()
        }
    }
}

/// Drops what was read at a path after the last update from it.
fn leave(sightings: &mut BTreeMap<String, Sighting>, path: &str) {
    if let Some(sighting) = sightings.get_mut(path) {
        sighting.users = sighting.users.saturating_sub(1);
        if sighting.users == 0 {
            sightings.remove(path);
        }
    }
}

/// Registers a model as it is now, or removes it if it no longer exists.
fn update_model(
    register: &mut Register<'_>,
    id: &str,
    entry: &ModelEntry,
    at: Option<&Candidate>,
) -> Result<()> {
    let Some(at) = at else {
        register.registry.entries.remove(id);
        return Ok(());
    };
    let mut given = Overrides {
        id: Some(id.to_owned()),
        ..Overrides::default()
    };
    let hashes = register.hashes;
    if let Some(before) = register.registry.entries.get_mut(id) {
        before.data.retain(|path| hashes.contains_key(path));
        before.code.retain(|path| hashes.contains_key(path));
    }
    let named = entry.entrypoint.as_deref();
    let class = match (&at.module, named.map(|text| symbol_in(text, &at.path))) {
        (None, _) | (_, Some(None)) => None,
        (Some(_), None) => free_class(register, entry, at),
        (Some(module), Some(Some(symbol))) if module.lacks(symbol) => {
            let class = free_class(register, entry, at).ok_or_else(|| {
                Error::argument(format!(
                    "'{symbol}' of model '{id}' is gone, and no single class took its place: choose an entrypoint, or remove the model"
                ))
            })?;
            // It replaces an entrypoint given by hand, too.
            let file = at.file();
            given.details.entrypoint = file.and_then(|file| entrypoint_of(file, &class.name));
            Some(class)
        }
        (Some(_), Some(Some(symbol))) => at.class(Some(symbol)),
    };
    let model = ModelCandidate {
        at,
        class,
        is_one_of_several: true,
    };
    register.model(&model, &given)?;
    if let Some(updated) = register.registry.entries.get_mut(id) {
        updated.given.clone_from(&entry.given);
    }
    Ok(())
}

/// Registers a target as it is now, or removes it if it no longer exists and nothing took its place.
fn update_target(
    register: &mut Register<'_>,
    id: &str,
    target: &TargetEntry,
    at: Option<&Candidate>,
) -> Result<()> {
    let Some(at) = at else {
        register.registry.remove_target(id);
        return Ok(());
    };
    let Some(module) = &at.module else {
        return Ok(());
    };
    let mut given = Overrides {
        id: Some(id.to_owned()),
        ..Overrides::default()
    };
    given.details.entrypoint = Some(target.entrypoint.clone());
    // If the entrypoint is in another file, its symbol is not looked for here.
    let symbol = symbol_in(&target.entrypoint, target.path.as_str());
    let mut function = symbol.and_then(|symbol| at.function(Some(symbol)));
    if symbol.is_some_and(|symbol| module.lacks(symbol)) {
        let Some(next) = successor(register.registry, target, module) else {
            register.registry.remove_target(id);
            return Ok(());
        };
        function = at.function(Some(next));
        let not_a_module = || {
            let message = format!("'{}' is not a module", target.path);
            Error::argument(message).naming(target.path.as_str())
        };
        let entrypoint = entrypoint_of(&target.path, next).ok_or_else(not_a_module)?;
        given.details.entrypoint = Some(entrypoint);
    }
    let hashes = register.hashes;
    if let Some(before) = register.registry.targets.get_mut(id) {
        before.data.retain(|path| hashes.contains_key(path));
    }
    let path = &target.path;
    register.target(&TargetCandidate { path, function }, &given)
}

/// Returns the only class of a file that no other entry names.
fn free_class<'a>(
    register: &Register<'_>,
    entry: &ModelEntry,
    at: &'a Candidate,
) -> Option<&'a ModelClass> {
    let others = register.ids.at(&entry.path);
    let others = others.filter_map(|id| register.registry.entries.get(id));
    let others = others.filter(|other| other.path == entry.path);
    let taken = others.filter_map(|other| other.entrypoint.as_deref());
    only_free(at.classes().iter(), |class| &class.name, taken)
}

/// Returns the function that took the place of a target's, which is gone: the only one of the module that no other target
/// names. Where some functions declare that they are targets, the others are not meant.
pub(crate) fn successor<'a>(
    registry: &ProjectRegistry,
    target: &TargetEntry,
    module: &'a Module,
) -> Option<&'a str> {
    let others = registry.targets.values();
    let others = others.filter(|other| other.path == target.path);
    let taken = others.map(|other| other.entrypoint.as_str());
    if module.targets.is_empty() {
        let symbols = module.symbols.iter();
        let functions = symbols.filter(|(_, symbol)| **symbol == Symbol::Function);
        let names = functions.map(|(name, _)| name.as_str());
        return only_free(names, |name| name, taken);
    }
    let declared = only_free(module.targets.iter(), |function| &function.name, taken);
    declared.map(|function| function.name.as_str())
}

/// Returns the only one of some symbols that none of the entrypoints names.
fn only_free<'a, 'e, T>(
    symbols: impl Iterator<Item = T>,
    name: fn(&T) -> &str,
    entrypoints: impl Iterator<Item = &'e str>,
) -> Option<T> {
    let taken: BTreeSet<&str> = entrypoints.map(symbol_of).collect();
    let mut free = symbols.filter(|symbol| !taken.contains(name(symbol)));
    free.next().filter(|_| free.next().is_none())
}

/// Returns the name that a file itself must define for an entrypoint; `None` when that is of another file.
fn symbol_in<'a>(entrypoint: &'a str, path: &str) -> Option<&'a str> {
    let candidates = Entrypoint::parse(entrypoint)?.candidates();
    let is_here = candidates.iter().any(|file| file.as_str() == path);
    Some(symbol_of(entrypoint)).filter(|_| is_here)
}
