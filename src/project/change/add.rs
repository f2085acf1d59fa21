//! Registering the models and targets of a project.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tracing::info;

use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::progress::CancelToken;
use crate::project::change::enter::{Entered, FoundModel, FoundTarget, Given, HashedFiles};
use crate::project::change::known::Known;
use crate::project::home::Project;
use crate::project::item::{FailedPath, RegisteredItem};
use crate::project::scan::hash::{HashProgress, Hashing};
use crate::project::scan::survey::{Found, Survey};
use crate::project::scan::walk::{IS_LINK, is_of_tool};
use crate::relpath::RelPath;
use crate::setters::setters;

/// How to register, and what the files do not say themselves.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AddOptions {
    /// The model's id, or the target's. Default: the file's name without its extension, or the folder's; its path where that
    /// is taken; the class's name where a file has several; of a target, the function's name.
    pub id: Option<String>,
    /// The version. Default: the one that the file states, else 1.0.0; of what changed, the next patch version.
    pub version: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// What it is, in a few words.
    pub description: Option<String>,
    /// Its type, such as `classification`.
    pub model_type: Option<String>,
    /// Words to find it by, added to those that are there.
    pub tags: Vec<String>,
    /// What is run, as in `package.module:Class`.
    pub entrypoint: Option<String>,
    /// What it computes; nothing to keep what is there, or what the code says.
    pub outputs: Vec<String>,
    /// Files of data that it needs, or folders with nothing else, in place of those that are registered.
    pub data: Vec<PathBuf>,
    /// Files of code that it needs, or folders with nothing else, in place of those that are registered.
    pub code: Vec<PathBuf>,
    /// The output that a target looks at: what is named is a target then, and no model.
    pub model_output: Option<String>,
    /// The set that the targets come into.
    pub target_set: Option<String>,
    /// Stops the work when it is cancelled.
    pub cancel: CancelToken,
    /// Learns how far the hashing is.
    pub progress: Option<Arc<dyn HashProgress>>,
}

setters!(AddOptions {
    id: impl Into<Option<String>>,
    version: impl Into<Option<String>>,
    name: impl Into<Option<String>>,
    description: impl Into<Option<String>>,
    model_type: impl Into<Option<String>>,
    tags: Vec<String>,
    entrypoint: impl Into<Option<String>>,
    outputs: Vec<String>,
    data: Vec<PathBuf>,
    code: Vec<PathBuf>,
    model_output: impl Into<Option<String>>,
    target_set: impl Into<Option<String>>,
    cancel: CancelToken,
    progress: Arc<dyn HashProgress>,
});

/// What was registered.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AddReport {
    /// The registry's file.
    #[serde(serialize_with = "crate::report::path")]
    pub registry: PathBuf,
    /// How many models and targets were looked at, and how many paths that failed.
    pub processed: usize,
    /// What is new or has changed, in the order of ids.
    pub registered: Vec<RegisteredItem>,
    /// The ids of what is as it was, in order.
    pub unchanged: Vec<String>,
    /// What could not be registered.
    pub failed: Vec<FailedPath>,
}

impl Project {
    /// Registers files and folders. What cannot be registered is reported, and the rest is.
    ///
    /// A file is a model. A folder is one when its format makes it one, as a `config.json` of the Hub does, or when
    /// it is given an id; every other folder is looked through for models, and is one when nothing in it is known. Code is
    /// parsed, and never run: it is a model or has targets by what it declares. Folders of tools, such as `.git` and the
    /// registry's own, are passed over; links are not followed, and one that leads to a model is reported.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the options fit no path or several; [`ErrorKind::Registry`](crate::ErrorKind::Registry) and the storage errors when
    /// the registry cannot be read or written, see [`Project`]; [`ErrorKind::Locked`](crate::ErrorKind::Locked); [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn add(&mut self, paths: &[PathBuf], options: &AddOptions) -> Result<AddReport> {
        let given = self.given(options)?;
        let mut survey = Survey::default();
        for path in paths {
            if let Err(error) = self.find_below(path, options, &mut survey) {
                survey.faults.push((path.display().to_string(), error));
            }
        }
        let models = models_of(&survey.found, &given);
        let targets = targets_of(&survey.found, &given)?;
        let found = models.len() + targets.len();
        if (given.id.is_some() || given.version.is_some()) && found > 1 {
            return Err(Error::argument(format!(
                "an id or version is that of one model, and {found} are found: name one"
            )));
        }
        // Before anything is read: what changes while it is read is newer.
        let now = crate::time::now();
        let mut report = AddReport {
            registry: self.registry_path(),
            ..AddReport::default()
        };
        for (path, error) in survey.faults {
            report.failed.push(FailedPath { path, error });
        }
        let hashed = self.hash_found(&models, &targets, &given, options)?;
        let entered = self.change(&options.cancel, |registry| {
            let mut all: Vec<(String, Result<Entered>)> = Vec::new();
            let mut known = Known::of(registry);
            for model in &models {
                let entered = model.enter(registry, &mut known, &given, &hashed, now);
                all.push((model.found.path.clone(), entered));
            }
            for target in &targets {
                let entered = target.enter(registry, &mut known, &given, &hashed, now);
                all.push((target.path.to_string(), entered));
            }
            Ok(all)
        })?;
        report.processed = entered.len() + report.failed.len();
        for (path, entered) in entered {
            match entered {
                Ok(Entered::Registered(item)) => {
                    info!(id = item.id, "registered");
                    report.registered.push(item);
                }
                Ok(Entered::Unchanged(id)) => report.unchanged.push(id),
                Err(error) => report.failed.push(FailedPath { path, error }),
            }
        }
        report
            .registered
            .sort_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
        report.unchanged.sort_unstable();
        Ok(report)
    }

    fn find_below(&self, path: &PathBuf, options: &AddOptions, survey: &mut Survey) -> Result<()> {
        let metadata = std::fs::symlink_metadata(path);
        if metadata.is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(Error::argument(IS_LINK));
        }
        let path = self.path_of(path)?;
        if path.split('/').any(is_of_tool) {
            return Err(Error::argument(format!(
                "'{path}' belongs to a tool, and is no model"
            )));
        }
        if options.id.is_some() || options.model_output.is_some() {
            survey.found.push(self.look_at(&path)?);
            return Ok(());
        }
        self.survey(&path, survey)
    }

    fn given(&self, options: &AddOptions) -> Result<Given> {
        if let Some(id) = &options.id {
            ModelName::parse(id).map_err(|error| Error::argument(error.to_string()))?;
        }
        if options.target_set.as_ref().is_some_and(String::is_empty) {
            return Err(Error::argument("the name of a target set is empty"));
        }
        let words = |words: &[String]| {
            let words = words.iter().map(|word| word.trim().to_owned());
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        Ok(Given {
            id: options.id.clone(),
            version: options.version.clone(),
            name: options.name.clone(),
            description: options.description.clone(),
            model_type: options.model_type.clone(),
            tags: words(&options.tags).into_iter().collect(),
            entrypoint: options.entrypoint.clone(),
            outputs: words(&options.outputs),
            data: self.files_of(&options.data)?,
            code: self.files_of(&options.code)?,
            model_output: options.model_output.clone(),
            target_set: options.target_set.clone(),
        })
    }

    /// The files that paths name: themselves, or those below them.
    fn files_of(&self, paths: &[PathBuf]) -> Result<Vec<RelPath>> {
        let mut files = BTreeSet::new();
        for path in paths {
            let path = self.path_of(path)?;
            files.extend(self.files_at(&path)?);
        }
        Ok(files.into_iter().collect())
    }

    /// Hashes every file of what was found, each once.
    fn hash_found(
        &self,
        models: &[FoundModel<'_>],
        targets: &[FoundTarget<'_>],
        given: &Given,
        options: &AddOptions,
    ) -> Result<HashedFiles> {
        let registry = self.registry();
        let stated = targets.iter().flat_map(FoundTarget::stated_data);
        let stated: Vec<RelPath> = stated.filter(|path| self.has_file(path)).collect();
        let mut files: BTreeSet<&RelPath> = given.data.iter().chain(&given.code).collect();
        files.extend(&stated);
        let known = Known::of(registry);
        for model in models {
            files.extend(&model.found.files);
            let before = model.entry(registry, &known, given).into_iter();
            files.extend(before.flat_map(|(_, entry)| entry.data.iter().chain(&entry.code)));
        }
        let of_targets: BTreeSet<&RelPath> = targets.iter().map(|target| target.path).collect();
        let before = registry.targets.values();
        let before = before.filter(|before| of_targets.contains(&before.path));
        files.extend(before.flat_map(|before| &before.data));
        files.extend(of_targets);
        let hashing = Hashing {
            project: self,
            cancel: &options.cancel,
            progress: options.progress.as_deref(),
        };
        hashing.by_path(files)
    }
}

/// The models among what was found.
fn models_of<'a>(found: &'a [Found], given: &Given) -> Vec<FoundModel<'a>> {
    let mut models = Vec::new();
    if given.model_output.is_some() {
        return models;
    }
    for found in found {
        let classes = found
            .module
            .as_ref()
            .map_or(&[][..], |module| &module.models);
        let has_targets = found
            .module
            .as_ref()
            .is_some_and(|module| !module.targets.is_empty());
        let named = given
            .entrypoint
            .as_deref()
            .and_then(|text| text.rsplit(':').next());
        let named = classes
            .iter()
            .find(|class| Some(class.name.as_str()) == named);
        match classes {
            // Code that declares neither is a model all the same: somebody named it.
            [] if has_targets && given.entrypoint.is_none() => {}
            [_, _, ..] if named.is_none() => {
                models.extend(classes.iter().map(|class| FoundModel {
                    found,
                    class: Some(class),
                    is_one_of_several: true,
                }))
            }
            _ => models.push(FoundModel {
                found,
                class: named.or(classes.first()),
                is_one_of_several: classes.len() > 1,
            }),
        }
    }
    models
}

/// The targets among what was found: all that the code declares, or the one that is given.
fn targets_of<'a>(found: &'a [Found], given: &Given) -> Result<Vec<FoundTarget<'a>>> {
    let mut targets = Vec::new();
    for found in found {
        let functions = found
            .module
            .as_ref()
            .map_or(&[][..], |module| &module.targets);
        let own = found
            .files
            .first()
            .filter(|file| file.as_str() == found.path);
        let Some(path) = own else {
            if given.model_output.is_some() {
                return Err(Error::argument(format!(
                    "'{}' is no file, and a target is one",
                    found.path
                )));
            }
            continue;
        };
        let named = given
            .entrypoint
            .as_deref()
            .and_then(|text| text.rsplit(':').next());
        if given.model_output.is_some() {
            let function = match named {
                Some(name) => functions.iter().find(|function| function.name == name),
                None => functions.first().filter(|_| functions.len() == 1),
            };
            targets.push(FoundTarget { path, function });
        } else if given.entrypoint.is_none() {
            targets.extend(functions.iter().map(|function| FoundTarget {
                path,
                function: Some(function),
            }));
        }
    }
    Ok(targets)
}
