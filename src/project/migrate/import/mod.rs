//! Taking over what another program registered.
//!
//! What is taken over is what is said of models and targets: ids, versions, names, descriptions, types, tags, times, outputs,
//! what they need and the sets they are in. What is said of bytes is held against the files: they are hashed, and where they
//! are others than the registry says, it was stale, and what is registered is what is there. Nothing is registered that is
//! not there, and no path leads out of the project.

mod document;
mod entries;
mod fields;
mod model;
mod target;
mod weight;
mod yaml;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;
use tracing::info;

use self::entries::Imported;
use self::model::ModelImport;
use self::target::TargetImport;
use crate::error::{Error, IoContext, Result};
use crate::modelstoml::{ModelEntry, ProjectRegistry};
use crate::progress::CancelToken;
use crate::project::change::plan::RegistryPlan;
use crate::project::change::register::{Outcome, Register};
use crate::project::home::Project;
use crate::project::item::{FailedPath, ItemId, ItemKind, RegisteredItem};
use crate::project::scan::hash::{FileHashes, HashProgress};
use crate::project::scan::walk::IS_LINK;
use crate::relpath::RelPath;
use crate::setters::setters;

/// How to take over a registry.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Stops the work when it is cancelled.
    pub cancel: CancelToken,
    /// Learns how far the hashing is.
    pub progress: Option<Arc<dyn HashProgress>>,
}

setters!(ImportOptions {
    cancel: CancelToken,
    progress: Some(Arc<dyn HashProgress>),
});

/// What was taken over, or would be.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The project's registry.
    #[serde(serialize_with = "crate::report::path")]
    pub registry: PathBuf,
    /// Whether it is the report of a plan.
    pub dry_run: bool,
    /// How many models and targets the other registry has.
    pub processed: usize,
    /// What is new or has changed, models before targets, in the order of ids.
    pub registered: Vec<RegisteredItem>,
    /// The ids of what is registered just so, in order.
    pub unchanged: Vec<String>,
    /// What could not be registered.
    pub failed: Vec<FailedPath>,
    /// The sets that are new or have more targets, in order.
    pub target_sets: Vec<String>,
    /// What is to be known beside it: where the other registry was stale, what was left out, what changed of what was
    /// registered before.
    pub notes: Vec<ImportNote>,
}

/// Something to be known about what was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportNote {
    /// What it is about; `None` for the registry as a whole.
    pub entity: Option<ItemId>,
    /// What it is, in a few words.
    pub message: String,
}

/// Everything that another registry has and that is there, ready to be registered.
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
    /// Imports a registry: a `registry.yaml` of modelops, or a `model_registry.json`.
    ///
    /// Paths in it are relative to the project's folder. An entry that cannot be registered is reported, and the rest is
    /// registered. What is already registered under the same id stays as it is if nothing differs; if the files differ it
    /// gets the next version, as with [`Project::add`], and what was set by hand stays. Versions whose digests and sizes
    /// are known become part of the history.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) when the file is neither of the two, is malformed or larger than 64 MiB,
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
    ///
    /// # Errors
    /// As [`Project::import`].
    pub fn plan_import(
        &self,
        file: &Path,
        options: &ImportOptions,
    ) -> Result<RegistryPlan<ImportReport>> {
        let imported = Imported::read(file)?;
        let mut after = self.registry().clone();
        let import = self.prepare_import(file, &imported, options)?;
        let mut report = import.register(&mut after);
        report.dry_run = true;
        Ok(RegistryPlan::new(report, self.registry(), after))
    }

    /// Finds the files of what another registry has, and hashes them.
    fn prepare_import<'a>(
        &self,
        file: &Path,
        imported: &'a Imported,
        options: &ImportOptions,
    ) -> Result<Import<'a>> {
        let refuse = |fault: &str| Error::registry(file.display(), fault);
        // Before anything is read: what changes while it is read is newer.
        let now = crate::time::now();
        let remark = |message: &String| ImportNote {
            entity: None,
            message: message.clone(),
        };
        let mut report = ImportReport {
            registry: self.registry_path(),
            processed: imported.models.len() + imported.targets.len(),
            notes: imported.remarks.iter().map(remark).collect(),
            ..ImportReport::default()
        };
        let (mut models, mut targets) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let mut is_first = |kind: ItemKind, id: &str| match seen.insert((kind, id.to_owned())) {
            true => Ok(()),
            false => Err(Error::argument("the id occurs twice")),
        };
        let found: Vec<_> = imported
            .models
            .par_iter()
            .map(|(id, model)| {
                let model = model.as_ref().map_err(|fault| refuse(fault))?;
                ModelImport::find(self, id, model)
            })
            .collect();
        for ((id, model), found) in imported.models.iter().zip(found) {
            let path = model.as_ref().map_or(id, |model| &model.path);
            match is_first(ItemKind::Model, id).and(found) {
                Ok(there) => models.push(there),
                Err(error) => report.fail(ItemKind::Model, id, path, error),
            }
        }
        for (id, target) in &imported.targets {
            let path = target.as_ref().map_or(id, |target| &target.path);
            let found = target.as_ref().map_err(|fault| refuse(fault));
            let found = found.and_then(|target| TargetImport::find(self, id, target));
            match is_first(ItemKind::Target, id).and(found) {
                Ok(there) => targets.push(there),
                Err(error) => report.fail(ItemKind::Target, id, path, error),
            }
        }
        Ok(Import {
            hashes: self.hash_imports(&models, &targets, options)?,
            imported,
            models,
            targets,
            now,
            report,
        })
    }

    /// Hashes the files of all that is imported, each once.
    fn hash_imports(
        &self,
        models: &[ModelImport<'_>],
        targets: &[TargetImport<'_>],
        options: &ImportOptions,
    ) -> Result<FileHashes> {
        let registry = self.registry();
        let mut files: BTreeSet<&RelPath> = BTreeSet::new();
        for model in models {
            files.extend(model.needed());
            let before = registry.entries.get(model.id);
            files.extend(before.into_iter().flat_map(ModelEntry::needed));
        }
        for target in targets {
            files.extend(target.needed());
            let before = registry.targets.get(target.id);
            files.extend(before.into_iter().flat_map(|target| &target.data));
        }
        self.hash_files(files, &options.cancel, options.progress.as_deref())
    }

    /// Finds what a path of another registry leads to in the project.
    fn find_imported(&self, path: &str) -> Result<String> {
        if path == "." {
            return Ok(path.to_owned());
        }
        let path = RelPath::parse(path).map_err(Error::argument_name)?;
        let place = self.locate(&path);
        if fs::symlink_metadata(&place)
            .at("read", &place)?
            .is_symlink()
        {
            return Err(Error::argument(format!("'{path}' {IS_LINK}")));
        }
        // A folder above it may be a link out of the project.
        self.path_of(&place)
    }

    /// The files that paths of another registry name: themselves, or those below them.
    fn find_all_imported(&self, paths: &[String]) -> Result<Vec<RelPath>> {
        let mut files = BTreeSet::new();
        for path in paths {
            let path = self.find_imported(path)?;
            files.extend(self.files_at(&path)?);
        }
        Ok(files.into_iter().collect())
    }
}

impl Import<'_> {
    fn register(self, registry: &mut ProjectRegistry) -> ImportReport {
        let mut report = self.report;
        let mut register = Register::new(registry, &self.hashes, self.now);
        for model in &self.models {
            let outcome = model.register(&mut register);
            report.add(ItemKind::Model, model.id, &model.at.path, outcome);
        }
        for target in &self.targets {
            let outcome = target.register(&mut register);
            report.add(ItemKind::Target, target.id, target.path.as_str(), outcome);
        }
        report.add_sets(registry, self.imported);
        let registered = &mut report.registered;
        registered.sort_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
        report.unchanged.sort_unstable();
        report
    }
}

impl ImportReport {
    fn fail(&mut self, kind: ItemKind, id: &str, path: &str, error: Error) {
        self.failed.push(FailedPath {
            path: path.to_owned(),
            error: error.step(format!("{} '{}'", kind.as_str(), id.escape_debug())),
        });
    }

    fn note(&mut self, entity: Option<ItemId>, message: String) {
        self.notes.push(ImportNote { entity, message });
    }

    fn add(
        &mut self,
        kind: ItemKind,
        id: &str,
        path: &str,
        outcome: Result<(Outcome, Vec<String>)>,
    ) {
        let (outcome, notes) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(kind, id, path, error),
        };
        match outcome {
            Outcome::Registered(item) => self.registered.push(item),
            Outcome::Unchanged(id) => self.unchanged.push(id),
        }
        for message in notes {
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
            let before = set.len();
            set.extend(there.into_iter().cloned());
            if set.len() > before {
                self.target_sets.push(name.clone());
            }
        }
    }
}
