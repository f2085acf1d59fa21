//! Importing what another program registered.
//!
//! The descriptions of models and targets are imported as they are: ids, versions, names, types, tags, times, outputs,
//! dependencies and target sets. Digests are not trusted: the files are hashed, and where they differ, the other registry was
//! stale, and the files are registered as they are. Nothing is registered that is outside of the project. Data and code that
//! are elsewhere for now are registered with the digests that the other registry has, and are missing in the status.

mod document;
mod entries;
mod fields;
mod json;
mod model;
mod target;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;
use tracing::info;

use self::entries::{Imported, ImportedModel};
use self::model::ModelImport;
use self::target::TargetImport;
use crate::disk::walk::IS_LINK;
use crate::error::{Error, IoContext, Result};
use crate::modelstoml::{FileFacts, Files, ProjectRegistry};
use crate::progress::{CancelToken, Progress};
use crate::project::change::plan::RegistryPlan;
use crate::project::change::register::Register;
use crate::project::check::is_absence;
use crate::project::home::Project;
use crate::project::item::{FailedPath, ItemId, ItemKind, RegisteredItem, in_order};
use crate::project::scan::hash::FileHashes;
use crate::relpath::RelPath;
use crate::setters::setters;

/// How to import a registry.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::CancelToken;
/// use modelrack::progress::Silent;
/// use modelrack::project::{AddOptions, ImportOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// # std::fs::write(folder.path().join("registry.yaml"), r#"
/// # models:
/// #   epi/sir:
/// #     entrypoint: models.sir:SIR
/// #     path: models/sir.py
/// #     outputs: [prevalence, incidence]
/// # targets: {}
/// # "#)?;
/// let options = ImportOptions::default().cancel(CancelToken::new()).progress(Arc::new(Silent));
/// let plan = project.plan_import(&folder.path().join("registry.yaml"), &options)?;
/// assert!(plan.report.dry_run && project.registry().entries.is_empty());
/// project.apply(&plan, &CancelToken::new())?;
/// assert!(!project.registry().entries.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives how far the hashing is; [`AddOptions`](crate::project::AddOptions) has an example.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(ImportOptions {
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What was imported, or would be.
///
/// ```
/// use modelrack::project::{ImportOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// std::fs::write(folder.path().join("registry.yaml"), r#"
/// models:
///   epi/sir:
///     entrypoint: models.sir:SIR
///     path: models/sir.py
///     outputs: [prevalence, incidence]
/// targets: {}
/// "#)?;
/// let report = project.import(&folder.path().join("registry.yaml"), &ImportOptions::default())?;
/// println!("{} of {} entries are new or have changed", report.registered.len(), report.processed);
/// println!("unchanged: {:?}", report.unchanged);
/// for failed in &report.failed {
///     println!("{}: {}", failed.path, failed.error);
/// }
/// println!("left out: {:?}", report.left_out);
/// for note in &report.notes {
///     println!("{:?}: {}", note.entity, note.message);
/// }
/// println!("target sets: {:?}", report.target_sets);
/// assert!(!report.dry_run && report.registry.is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The file of the project's registry.
    #[serde(serialize_with = "crate::report::path")]
    pub registry: PathBuf,
    /// Whether this is the report of a plan.
    pub dry_run: bool,
    /// The number of models and targets in the other registry.
    pub processed: usize,
    /// What is new or changed: models, then targets, each in the order of ids.
    pub registered: Vec<RegisteredItem>,
    /// The ids of what did not change, in order.
    pub unchanged: Vec<String>,
    /// What could not be registered, each with its error.
    pub failed: Vec<FailedPath>,
    /// The paths that were passed over, in order: a system, an editor or a download tool left them behind.
    pub left_out: Vec<String>,
    /// The target sets that are new or gained targets, in order.
    pub target_sets: Vec<String>,
    /// What the publisher should know: where the other registry was stale, what was left out, and how entries changed that
    /// were registered before.
    pub notes: Vec<ImportNote>,
}

/// Something that the publisher should know about an import; [`ImportReport`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportNote {
    /// What it is about; `None` for the registry as a whole.
    pub entity: Option<ItemId>,
    /// The note.
    pub message: String,
}

/// The entries of another registry whose files exist, ready to be registered.
struct Import<'a> {
    imported: &'a Imported,
    models: Vec<ModelImport<'a>>,
    targets: Vec<TargetImport<'a>>,
    hashes: FileHashes,
    now: SystemTime,
    /// What is known before anything is registered.
    report: ImportReport,
}

impl Project {
    /// Imports a registry: a `registry.yaml` of modelops, or a `model_registry.json`. [`ImportReport`] has an example.
    ///
    /// Paths in it are relative to the project's folder. Entries that cannot be registered are reported, and the others are
    /// registered. If an id is registered already and its files differ, it gets the next version, as with [`Project::add`], and
    /// what was set by hand stays; if nothing differs, it stays as it is. Versions whose digests and sizes are known become part
    /// of the history.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) if the file is neither of the two, is malformed or larger than 64 MiB,
    /// and when the project's registry cannot be read; the storage errors; [`Locked`](crate::ErrorKind::Locked);
    /// [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn import(&mut self, file: &Path, options: &ImportOptions) -> Result<ImportReport> {
        let imported = Imported::read(file)?;
        let import = self.prepare_import(file, &imported, options)?;
        let report = self.change(&options.cancel, |registry| Ok(import.register(registry)))?;
        info!(
            file = %file.display(),
            registered = report.registered.len(),
            failed = report.failed.len(),
            "registry imported"
        );
        Ok(report)
    }

    /// Plans what [`Project::import`] would register, and changes nothing; [`Project::apply`] applies the plan.
    /// [`ImportOptions`] has an example.
    ///
    /// # Errors
    /// Those of [`Project::import`].
    pub fn plan_import(
        &self,
        file: &Path,
        options: &ImportOptions,
    ) -> Result<RegistryPlan<ImportReport>> {
        let imported = Imported::read(file)?;
        let import = self.prepare_import(file, &imported, options)?;
        Ok(self.planned(|registry| ImportReport {
            dry_run: true,
            ..import.register(registry)
        }))
    }

    /// Finds the files of what another registry has, and hashes them.
    fn prepare_import<'a>(
        &self,
        file: &Path,
        imported: &'a Imported,
        options: &ImportOptions,
    ) -> Result<Import<'a>> {
        let refuse = |fault: &String| Error::registry(file.display(), fault);
        // Taken before anything is read, so that whatever changes meanwhile is newer.
        let now = crate::time::now();
        let mut report = ImportReport {
            registry: self.registry_path(),
            processed: imported.models.len() + imported.targets.len(),
            ..ImportReport::default()
        };
        for remark in &imported.remarks {
            report.note(None, remark.clone());
        }
        let find = |(id, model): &'a (String, Result<ImportedModel, _>)| {
            ModelImport::find(self, id, model.as_ref().map_err(refuse)?, &imported.known)
        };
        let found: Vec<_> = imported.models.par_iter().map(find).collect();
        let (mut models, mut targets) = (Vec::new(), Vec::new());
        let mut ids = BTreeSet::new();
        for ((id, model), found) in imported.models.iter().zip(found) {
            let path = model.as_ref().map_or(id, |model| &model.path);
            let found = distinct(&mut ids, id).and(found);
            models.extend(report.check(ItemKind::Model, id, path, found));
        }
        ids.clear();
        for (id, target) in &imported.targets {
            let path = target.as_ref().map_or(id, |target| &target.path);
            let found = target.as_ref().map_err(refuse);
            let found =
                found.and_then(|target| TargetImport::find(self, id, target, &imported.known));
            let found = distinct(&mut ids, id).and(found);
            targets.extend(report.check(ItemKind::Target, id, path, found));
        }
        let left_behind = models.iter().map(|model| &model.at.left_behind);
        let left_behind = left_behind.chain(targets.iter().map(|target| &target.at.left_behind));
        report.left_out = in_order(left_behind.flatten().cloned().collect());
        let registry = self.registry();
        let of_models = models.iter().flat_map(|model| model.needed(registry));
        let of_targets = targets.iter().flat_map(|target| target.needed(registry));
        let elsewhere = models.iter().map(|model| &model.elsewhere);
        let elsewhere = elsewhere.chain(targets.iter().map(|target| &target.elsewhere));
        let elsewhere: BTreeMap<&RelPath, FileFacts> = elsewhere
            .flatten()
            .map(|(path, facts)| (path, *facts))
            .collect();
        let files = of_models
            .chain(of_targets)
            .filter(|file| !elsewhere.contains_key(file));
        let files: BTreeSet<&RelPath> = files.collect();
        let mut hashes = self.hash_files(files, &options.cancel, options.progress.as_deref())?;
        for (path, facts) in elsewhere {
            report.note(
                None,
                format!("'{path}' is not there, and is registered with the digest that the imported registry has"),
            );
            hashes.insert(path.clone(), Ok(facts));
        }
        Ok(Import {
            hashes,
            imported,
            models,
            targets,
            now,
            report,
        })
    }

    /// Resolves a path of another registry to one in the project.
    fn imported_path(&self, path: &str) -> Result<String> {
        if path == "." {
            return Ok(path.to_owned());
        }
        let place = self.locate(&RelPath::parse_argument(path)?);
        let metadata = fs::symlink_metadata(&place).at("read", &place)?;
        match metadata.is_symlink() {
            true => Err(Error::argument(format!("'{path}' {IS_LINK}")).naming(path)),
            // A folder above it may still be a link out of the project.
            false => self.path_of(&place),
        }
    }

    /// Returns the files at paths of another registry, and below those that are folders. A file that is elsewhere for now is added
    /// to `elsewhere` as well, with what that registry knows of it, and what is passed over to `left_behind`.
    fn find_imported(
        &self,
        paths: &[String],
        known: &Files,
        elsewhere: &mut Files,
        left_behind: &mut Vec<String>,
    ) -> Result<Vec<RelPath>> {
        let (mut found, mut files) = (Vec::new(), BTreeSet::new());
        let mut absent = Vec::new();
        for path in paths {
            match (self.imported_path(path), RelPath::parse(path)) {
                (Err(error), Ok(file)) if is_absence(&error) && known.contains_key(&file) => {
                    absent.push((file.clone(), known[&file]));
                    files.insert(file);
                }
                (there, _) => found.push(there?),
            }
        }
        elsewhere.extend(absent);
        files.extend(self.files_at_all(found.into_iter().map(Ok), left_behind)?);
        Ok(files.into_iter().collect())
    }
}

/// Refuses an id that occurred before.
fn distinct<'a>(ids: &mut BTreeSet<&'a str>, id: &'a str) -> Result<()> {
    match ids.insert(id) {
        true => Ok(()),
        false => Err(Error::argument("the id occurs twice")),
    }
}

impl Import<'_> {
    fn register(self, registry: &mut ProjectRegistry) -> ImportReport {
        let mut report = self.report;
        let mut register = Register::new(registry, &self.hashes, self.now, true);
        for model in self.models {
            let notes = model.register(&mut register);
            report.add_notes(ItemKind::Model, model.id, &model.at.path, notes);
        }
        for target in self.targets {
            let notes = target.register(&mut register);
            report.add_notes(ItemKind::Target, target.id, target.path.as_str(), notes);
        }
        (report.registered, report.unchanged) = register.outcome();
        report.add_sets(registry, self.imported);
        report
    }
}

impl ImportReport {
    fn note(&mut self, entity: Option<ItemId>, message: String) {
        self.notes.push(ImportNote { entity, message });
    }

    /// Returns the outcome for an entry, or reports its error.
    fn check<T>(&mut self, kind: ItemKind, id: &str, path: &str, outcome: Result<T>) -> Option<T> {
        let failed = |error: Error| FailedPath {
            path: path.to_owned(),
            error: error.step(format!("{} '{}'", kind.as_str(), id.escape_debug())),
        };
        outcome
            .map_err(|error| self.failed.push(failed(error)))
            .ok()
    }

    fn add_notes(&mut self, kind: ItemKind, id: &str, path: &str, notes: Result<Vec<String>>) {
        let notes = self.check(kind, id, path, notes);
        for message in notes.into_iter().flatten() {
            self.note(Some(ItemId::new(kind, id)), message);
        }
    }

    /// Adds the targets that are registered to their sets.
    fn add_sets(&mut self, registry: &mut ProjectRegistry, imported: &Imported) {
        for (name, ids) in &imported.target_sets {
            let is_there = |id: &&String| registry.targets.contains_key(*id);
            let (there, missing): (Vec<&String>, Vec<&String>) = ids.iter().partition(is_there);
            if !missing.is_empty() {
                let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
                let missing = missing.join(", ");
                let message = format!(
                    "the target set '{name}' lacks targets that are not registered: {missing}"
                );
                self.note(None, message);
            }
            if there.is_empty() || name.is_empty() {
                continue;
            }
            let set = registry.target_sets.entry(name.clone()).or_default();
            if let Some(weights) = imported.target_weights.get(name) {
                registry
                    .target_weights
                    .insert(name.clone(), weights.clone());
            }
            let before = set.len();
            set.extend(there.into_iter().cloned());
            if set.len() > before {
                self.target_sets.push(name.clone());
            }
        }
    }
}
