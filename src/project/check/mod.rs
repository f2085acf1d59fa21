//! Checking a project for what is stale or broken. Nothing is changed, and no code is run.

mod code;
mod files;
mod finding;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

pub(crate) use self::files::is_absence;
pub use self::finding::{Category, Finding, Remedy, Severity};
use crate::error::Result;
use crate::modelstoml::ProjectRegistry;
use crate::progress::{CancelToken, Progress};
use crate::project::home::Project;
use crate::project::item::{ItemId, ItemKind};
use crate::project::work_tree::path_in_work_tree;
use crate::setters::setters;

/// How to check a project.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::CancelToken;
/// use modelrack::progress::Silent;
/// use modelrack::project::{AddOptions, Project, ProjectOptions, StatusOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// let options = StatusOptions::default().deep(true).cancel(CancelToken::new()).progress(Arc::new(Silent));
/// let report = project.status(&options)?;
/// assert_eq!(report.files_hashed, report.files);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StatusOptions {
    /// Hash every file. Default: only files whose size or modification time suggests a change.
    pub deep: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives how far the hashing is; [`AddOptions`](crate::project::AddOptions) has an example.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(StatusOptions {
    deep: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// The state of a project, as [`Project::status`] returns it.
///
/// ```
/// use modelrack::project::{AddOptions, Category, Project, ProjectOptions, Remedy, Severity, StatusOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let paths = [folder.path().join("models"), folder.path().join("targets")];
/// project.add(&paths, &AddOptions::default())?;
/// std::fs::remove_file(folder.path().join("models/sir.py"))?;
///
/// let report = project.status(&StatusOptions::default())?;
/// println!("{} models and {} targets have {} files", report.models, report.targets, report.files);
/// println!("{} of these were hashed", report.files_hashed);
/// println!("{} errors, {} warnings", report.errors, report.warnings);
/// for finding in &report.findings {
///     let about = finding.entity.as_ref().map_or("the project".to_owned(), ToString::to_string);
///     println!("{} ({}): {about}: {}", finding.severity.as_str(), finding.category.as_str(), finding.message);
///     match &finding.remedy {
///         Some(Remedy::Add { path }) => println!("  register {path}"),
///         Some(Remedy::StateOutputs { path }) => println!("  say what {path} computes"),
///         Some(Remedy::Resync) => println!("  register what is there now"),
///         Some(Remedy::ChooseFunction { target, path, module, model_output }) => {
///             println!("  say which function of {path} is {target} now: {module}:… comparing {model_output}");
///         }
///         Some(Remedy::RestoreOrDrop) => println!("  restore the files, or drop them from the registry"),
///         Some(Remedy::ReplaceFiles) => println!("  replace links, and files with such names"),
///         Some(Remedy::CorrectEntrypoint) => println!("  write it as package.module:Name"),
///         Some(Remedy::CreateModule { candidates }) => println!("  create one of {candidates:?}"),
///         Some(Remedy::CorrectFile { path }) => println!("  correct {path}"),
///         Some(Remedy::ProvideOutput { output, available }) => println!("  no {output}, but {available:?}"),
///         _ => {}
///     }
/// }
/// let worst = &report.findings[0];
/// assert_eq!((worst.severity, worst.category), (Severity::Error, Category::MissingFile));
/// assert_eq!(worst.remedy, Some(Remedy::RestoreOrDrop));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatusReport {
    /// The number of registered models.
    pub models: usize,
    /// The number of registered targets.
    pub targets: usize,
    /// The number of their files, each of which is counted once.
    pub files: usize,
    /// The number of files that were hashed.
    pub files_hashed: usize,
    /// The number of findings that are errors.
    pub errors: usize,
    /// The number of findings that are warnings.
    pub warnings: usize,
    /// What was found: errors first, then by model and target.
    pub findings: Vec<Finding>,
}

impl Project {
    /// Finds what is stale or broken, and changes nothing. [`StatusReport`] has an example.
    ///
    /// # Errors
    /// The storage errors if something cannot be read; [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn status(&self, options: &StatusOptions) -> Result<StatusReport> {
        let registry = self.registry();
        let mut report = StatusReport {
            models: registry.entries.len(),
            targets: registry.targets.len(),
            ..StatusReport::default()
        };
        let mut findings = Vec::from_iter(self.check_root()?);
        self.check_files(options, &mut report, &mut findings)?;
        self.check_code(&mut findings);
        self.check_untracked(&options.cancel, &mut findings)?;
        check_outputs(registry, &mut findings);
        let key = |f: &Finding| (f.severity, f.entity.clone(), f.category, f.message.clone());
        findings.sort_by_cached_key(key);
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        (report.errors, report.warnings) = (count(Severity::Error), count(Severity::Warning));
        report.findings = findings;
        Ok(report)
    }

    /// Checks that the root in the registry is where the project is in its repository.
    fn check_root(&self) -> Result<Option<Finding>> {
        let root = self.registry().root();
        let now = path_in_work_tree(self.root())?;
        let moved = now.filter(|now| now != root && !self.registry().entries.is_empty());
        let shown = |path: &str| match path {
            "" => "the top of its repository".to_owned(),
            path => format!("'{path}' in its repository"),
        };
        Ok(moved.map(|now| {
            let message = format!("Registered at {}, now at {}", shown(root), shown(&now));
            Finding::new(Category::Stale, None, message, Remedy::Resync)
        }))
    }
}

/// Checks that the outputs of models and those that targets use fit together.
fn check_outputs(registry: &ProjectRegistry, findings: &mut Vec<Finding>) {
    let outputs = registry.entries.values().flat_map(|entry| &entry.outputs);
    let available: BTreeSet<&String> = outputs.collect();
    for (id, target) in &registry.targets {
        let output = &target.model_output;
        if !available.contains(output) {
            findings.push(Finding::new(
                Category::OutputPairing,
                ItemId::new(ItemKind::Target, id),
                format!("Target expects model output '{output}' but no model provides it"),
                Remedy::ProvideOutput {
                    output: output.clone(),
                    available: available.iter().map(|output| (*output).clone()).collect(),
                },
            ));
        }
    }
    let targets = registry.targets.values();
    let used: BTreeSet<&String> = targets.map(|target| &target.model_output).collect();
    for (id, entry) in &registry.entries {
        let entity = ItemId::new(ItemKind::Model, id);
        if entry.entrypoint.is_some() && entry.outputs.is_empty() {
            findings.push(Finding::new(
                Category::EmptyOutputs,
                entity.clone(),
                "Model has an entrypoint but no outputs",
                Remedy::StateOutputs {
                    path: entry.path.clone(),
                },
            ));
        }
        let is_unused = |output: &&String| !used.is_empty() && !used.contains(output);
        for output in entry.outputs.iter().filter(is_unused) {
            let message = format!("No target uses output '{output}'");
            let entity = entity.clone();
            findings.push(Finding::new(Category::UnusedOutput, entity, message, None));
        }
    }
}
