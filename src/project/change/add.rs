//! Registering the models and targets of a project.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tracing::info;

use super::candidate::{Details, ModelCandidate, Overrides, TargetCandidate, symbol_of};
use super::ids::Ids;
use super::register::Register;
use crate::disk::leftovers::is_of_tool;
use crate::disk::walk::IS_LINK;
use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::progress::{CancelToken, Progress};
use crate::project::home::Project;
use crate::project::item::{FailedPath, RegisteredItem, in_order};
use crate::project::scan::candidate::Candidate;
use crate::project::scan::hash::FileHashes;
use crate::project::scan::survey::Survey;
use crate::relpath::RelPath;
use crate::setters::setters;

/// What to register of files, beyond what they say about themselves.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let model = AddOptions::default()
///     .id("epidemic/sir")
///     .version("2.0.0")
///     .name("SIR")
///     .description("A compartment model of an epidemic")
///     .model_type("epidemiology")
///     .status("draft")
///     .tags(["compartments", "seir"])
///     .entrypoint("models.sir:SIR")
///     .outputs(["prevalence", "incidence"])
///     .data([folder.path().join("data")])
///     .code([folder.path().join("calibration.py")]);
/// project.add(&[folder.path().join("models/sir.py")], &model)?;
///
/// let entry = &project.registry().entries["epidemic/sir"];
/// assert_eq!((entry.current.as_str(), entry.name.as_str()), ("2.0.0", "SIR"));
/// assert_eq!(entry.data[0].as_str(), "data/observed.csv");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A target, in a set of its own:
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::progress::Step;
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
/// use modelrack::{CancelToken, ModelRef, Progress, ProgressEvent};
///
/// #[derive(Debug)]
/// struct Count;
///
/// impl Progress for Count {
///     fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}
///
///     fn on_step(&self, step: &Step<'_>) {
///         eprintln!("{} {} of {} files, {} bytes", step.task.as_str(), step.done, step.total, step.bytes_done);
///     }
/// }
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let target = AddOptions::default()
///     .model_output("prevalence")
///     .entrypoint("targets.prevalence:prevalence_mean")
///     .target_set("calibration")
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Count));
/// project.add(&[folder.path().join("targets/prevalence.py")], &target)?;
/// assert!(project.registry().target_sets["calibration"].contains("prevalence_mean"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AddOptions {
    /// The id of the model or target. Default: the name of the file without its extension, or of the folder; its path if
    /// that is taken; the name of the class if a file has several; for a target, the name of the function.
    pub id: Option<String>,
    /// The version. Default: the one that the file states, else 1.0.0; if something changed, the next patch version, or the
    /// one that has these files already.
    pub version: Option<String>,
    /// The name that people read. Default: what the file states, else the id.
    pub name: Option<String>,
    /// What it is, in a sentence. Default: what the file states.
    pub description: Option<String>,
    /// Its type, such as `classification`. Default: what the file states.
    pub model_type: Option<String>,
    /// Where it is in its life, such as `draft`, `stable`, `deprecated` or `archived`. Default: what is registered.
    pub status: Option<String>,
    /// Keywords to find it by, in addition to those that are registered.
    pub tags: Vec<String>,
    /// What is run, such as `package.module:Class`. Default: what the code declares.
    pub entrypoint: Option<String>,
    /// The names of what it computes. Default: what is registered, else what the code declares.
    pub outputs: Vec<String>,
    /// Data files that it needs, or folders of such files, in place of those that are registered.
    pub data: Vec<PathBuf>,
    /// Code files that it needs, or folders of such files, in place of those that are registered.
    pub code: Vec<PathBuf>,
    /// The output that a target compares with data. It makes the file a target instead of a model.
    pub model_output: Option<String>,
    /// The set of targets that targets are added to. Default: none.
    pub target_set: Option<String>,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives how far the hashing is.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(AddOptions {
    id: Some(impl Into<String>),
    version: Some(impl Into<String>),
    name: Some(impl Into<String>),
    description: Some(impl Into<String>),
    model_type: Some(impl Into<String>),
    status: Some(impl Into<String>),
    tags: [impl Into<String>],
    entrypoint: Some(impl Into<String>),
    outputs: [impl Into<String>],
    data: [impl Into<PathBuf>],
    code: [impl Into<PathBuf>],
    model_output: Some(impl Into<String>),
    target_set: Some(impl Into<String>),
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What was registered, as [`Project::add`] returns it.
///
/// ```
/// use modelrack::project::{AddOptions, ItemKind, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// std::fs::write(folder.path().join("models/broken.safetensors"), "not tensors")?;
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let paths = [folder.path().join("models"), folder.path().join("targets")];
/// let report = project.add(&paths, &AddOptions::default())?;
/// for item in &report.registered {
///     let change = match (&item.previous, item.is_new) {
///         (_, true) => "new".to_owned(),
///         (Some(previous), false) => format!("was {previous}"),
///         (None, false) => "changed".to_owned(),
///     };
///     println!("{} {} {:?} ({change})", item.kind.as_str(), item.id, item.version);
///     println!("  {} files, {} bytes", item.files, item.total_bytes);
/// }
/// for failed in &report.failed {
///     println!("{}: {}", failed.path, failed.error);
/// }
/// println!("left out: {:?}", report.left_out);
/// assert_eq!(report.processed, report.registered.len() + report.unchanged.len() + report.failed.len());
/// assert_eq!(report.failed[0].path, "models/broken.safetensors");
/// assert!(report.registered.iter().any(|item| item.kind == ItemKind::Target));
/// assert_eq!(report.registry, project.registry_path());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AddReport {
    /// The path of the registry.
    #[serde(serialize_with = "crate::report::path")]
    pub registry: PathBuf,
    /// The number of models and targets that were found, and of paths that failed.
    pub processed: usize,
    /// What is new or has changed, in the order of ids.
    pub registered: Vec<RegisteredItem>,
    /// The ids of what did not change, in order.
    pub unchanged: Vec<String>,
    /// The paths that could not be registered, each with its error.
    pub failed: Vec<FailedPath>,
    /// The paths that were passed over, in order: a system, an editor or a download tool left them behind.
    pub left_out: Vec<String>,
}

impl Project {
    /// Registers files and folders, and reports those that cannot be registered. [`AddReport`] has an example.
    ///
    /// A file is a model. A folder is a model if its format says so, such as a `config.json` of the Hub, or if it is given an
    /// id. Any other folder is searched for models, and is a model itself if nothing in it is recognised. Code is parsed, never
    /// run; what it declares makes it a model or targets. Folders of tools, such as `.git` and the registry's own, are ignored, and so
    /// is what systems, editors and download tools leave behind, such as `.cache/huggingface`.
    /// Links are not followed; a link to a model is reported.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if options for a single model or target do not fit exactly one
    /// of the paths; [`Registry`](crate::ErrorKind::Registry), [`RegistryTooLarge`](crate::ErrorKind::RegistryTooLarge) and
    /// the storage errors if the registry cannot be read or written; [`Locked`](crate::ErrorKind::Locked);
    /// [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn add(&mut self, paths: &[PathBuf], options: &AddOptions) -> Result<AddReport> {
        let mut survey = Survey::default();
        let given = self.overrides(options, &mut survey.left_behind)?;
        for path in paths {
            if let Err(error) = self.survey_named(path, options, &mut survey) {
                survey.faults.push((path.display().to_string(), error));
            }
        }
        self.forget_metadata(&mut survey.candidates);
        let (mut models, mut targets) = (Vec::new(), Vec::new());
        for at in &survey.candidates {
            models.extend(models_of(at, &given));
            targets.extend(targets_of(at, &given)?);
        }
        let found = models.len() + targets.len();
        if (given.id.is_some() || given.version.is_some()) && found > 1 {
            return Err(Error::argument(format!(
                "an id or version is for one model, but {found} were found: choose one"
            )));
        }
        // Taken before anything is read, so that whatever changes meanwhile is newer.
        let now = crate::time::now();
        let faults = survey.faults.into_iter();
        let faults = faults.map(|(path, error)| FailedPath { path, error });
        let hashes = self.hash_candidates(&models, &targets, &given, options)?;
        let mut report = AddReport {
            registry: self.registry_path(),
            failed: faults.collect(),
            left_out: in_order(survey.left_behind),
            ..AddReport::default()
        };
        report.processed = found + report.failed.len();
        let candidates = survey.candidates;
        let auto_version = self.options().auto_version;
        self.change(&options.cancel, |registry| {
            let mut register = Register::new(registry, &hashes, now, auto_version);
            let mut check = |path: &str, outcome: Result<()>| {
                let path = path.to_owned();
                let failed = outcome.err().map(|error| FailedPath { path, error });
                report.failed.extend(failed);
            };
            // One after the other, so that none is in memory twice.
            for at in candidates {
                for model in models_of(&at, &given) {
                    check(&at.path, register.model(&model, &given));
                }
                for target in targets_of(&at, &given)? {
                    check(target.path.as_str(), register.target(&target, &given));
                }
            }
            (report.registered, report.unchanged) = register.outcome();
            Ok(())
        })?;
        for item in &report.registered {
            info!(id = item.id, "registered");
        }
        Ok(report)
    }

    /// Drops what files say about models, if that is not wanted.
    pub(crate) fn forget_metadata(&self, candidates: &mut [Candidate]) {
        if !self.options().extract_metadata {
            candidates.iter_mut().for_each(Candidate::forget_metadata);
        }
    }

    fn survey_named(&self, path: &Path, options: &AddOptions, survey: &mut Survey) -> Result<()> {
        let metadata = std::fs::symlink_metadata(path);
        if metadata.is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(Error::argument(IS_LINK));
        }
        let path = self.path_of(path)?;
        if path.split('/').any(is_of_tool) {
            let message = format!("'{path}' belongs to a tool, and is not a model");
            return Err(Error::argument(message).naming(path));
        }
        if options.id.is_some() || options.model_output.is_some() {
            return self.survey_one(&path, survey);
        }
        self.survey(&path, survey)
    }

    /// Reads the options, and adds to `left_behind` what was passed over in folders of data and code.
    fn overrides(&self, options: &AddOptions, left_behind: &mut Vec<String>) -> Result<Overrides> {
        if let Some(id) = &options.id {
            ModelName::parse(id).map_err(Error::argument_name)?;
        }
        if options.target_set.as_ref().is_some_and(String::is_empty) {
            return Err(Error::argument("the name of the target set is empty"));
        }
        let words = |words: &[String]| {
            let words = words.iter().map(|word| word.trim().to_owned());
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        let mut files_of = |paths: &[PathBuf]| {
            let paths = paths.iter().map(|path| self.path_of(path));
            self.files_at_all(paths, left_behind)
        };
        Ok(Overrides {
            id: options.id.clone(),
            version: options.version.clone(),
            details: Details {
                name: options.name.clone(),
                description: options.description.clone(),
                model_type: options.model_type.clone(),
                status: options.status.clone(),
                entrypoint: options.entrypoint.clone(),
                outputs: Some(words(&options.outputs)).filter(|outputs| !outputs.is_empty()),
            },
            tags: words(&options.tags).into_iter().collect(),
            data: files_of(&options.data)?,
            code: files_of(&options.code)?,
            model_output: options.model_output.clone(),
            target_set: options.target_set.clone(),
        })
    }

    /// Returns the files at some paths of the project, and below those that are folders; each once, in order. What is passed
    /// over there is added to `left_behind`.
    pub(crate) fn files_at_all(
        &self,
        paths: impl IntoIterator<Item = Result<String>>,
        left_behind: &mut Vec<String>,
    ) -> Result<Vec<RelPath>> {
        let mut files = BTreeSet::new();
        for path in paths {
            let found = self.files_at(&path?)?;
            files.extend(found.files);
            left_behind.extend(found.left_behind);
        }
        Ok(files.into_iter().collect())
    }

    /// Hashes the files of all candidates, each once.
    fn hash_candidates(
        &self,
        models: &[ModelCandidate<'_>],
        targets: &[TargetCandidate<'_>],
        given: &Overrides,
        options: &AddOptions,
    ) -> Result<FileHashes> {
        let registry = self.registry();
        let stated = targets.iter().flat_map(TargetCandidate::stated_data);
        let stated: Vec<RelPath> = stated.filter(|path| self.has_file(path)).collect();
        let mut files: BTreeSet<&RelPath> = given.data.iter().chain(&given.code).collect();
        files.extend(&stated);
        files.extend(models.iter().flat_map(|model| &model.at.files));
        let ids = Ids::of(registry);
        let before = models.iter();
        let before = before.filter_map(|model| model.entry(registry, &ids, given));
        files.extend(before.flat_map(|(_, entry)| entry.needed()));
        drop(ids);
        let of_targets: BTreeSet<&RelPath> = targets.iter().map(|target| target.path).collect();
        let before = registry.targets.values();
        let before = before.filter(|before| of_targets.contains(&before.path));
        files.extend(before.flat_map(|before| &before.data));
        files.extend(of_targets);
        self.hash_files(files, &options.cancel, options.progress.as_deref())
    }
}

/// Returns the models in a candidate.
fn models_of<'a>(at: &'a Candidate, given: &Overrides) -> Vec<ModelCandidate<'a>> {
    let named = given.details.entrypoint.as_deref().map(symbol_of);
    let classes = at.classes();
    let chosen = named.and_then(|name| at.class(Some(name)));
    let model = |class| ModelCandidate {
        at,
        class,
        is_one_of_several: classes.len() > 1,
    };
    match classes {
        _ if given.model_output.is_some() => Vec::new(),
        // Code that declares neither is a model, because the caller named it.
        [] if named.is_none() && !at.functions().is_empty() => Vec::new(),
        [_, _, ..] if chosen.is_none() => classes.iter().map(Some).map(model).collect(),
        _ => vec![model(chosen.or(classes.first()))],
    }
}

/// Returns the targets in a candidate: all that the code declares, or the given one.
fn targets_of<'a>(at: &'a Candidate, given: &Overrides) -> Result<Vec<TargetCandidate<'a>>> {
    let named = given.details.entrypoint.as_deref().map(symbol_of);
    let functions = match &given.model_output {
        Some(_) => vec![at.function(named)],
        None if named.is_none() => at.functions().iter().map(Some).collect(),
        None => Vec::new(),
    };
    match at.file() {
        Some(path) => {
            let targets = functions.into_iter();
            Ok(targets
                .map(|function| TargetCandidate { path, function })
                .collect())
        }
        None if given.model_output.is_some() => Err(at.is_no_target()),
        None => Ok(Vec::new()),
    }
}
