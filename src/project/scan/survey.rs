//! What the files of a project say about models and targets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, IoContext, Result};
use crate::project::home::Project;
use crate::project::scan::formats::{self, Description, Extent, ModelFile};
use crate::project::scan::left_out::is_output_of_run;
use crate::project::scan::python::{self, Entrypoint, ModelClass, Module, TargetFunction};
use crate::project::scan::walk::{FolderFiles, IS_LINK, files_below, folder_of};
use crate::relpath::RelPath;

/// The format of models that are code.
pub(crate) const PYTHON: &str = "python";
/// The format whose folders contain the output of runs next to the model.
pub(crate) const MODFLOW: &str = "modflow";

/// A file, or a folder with all its files, that may be a model or have targets.
#[derive(Debug, Default)]
pub(crate) struct Candidate {
    /// Its path in the project, `.` for the project's folder.
    pub(crate) path: String,
    /// The path from which an id is made: without the extension of a file; for the project's folder, its name.
    pub(crate) plain_path: String,
    /// Its files, in order.
    pub(crate) files: Vec<RelPath>,
    /// The format that recognized it.
    pub(crate) format: Option<&'static str>,
    pub(crate) description: Description,
    /// What it defines, if it is code.
    pub(crate) module: Option<Module>,
}

impl Candidate {
    /// Returns the last component of the path from which an id is made.
    pub(crate) fn stem(&self) -> &str {
        self.plain_path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the classes and functions that are models, if it is code.
    pub(crate) fn classes(&self) -> &[ModelClass] {
        self.module.as_ref().map_or(&[], |module| &module.models)
    }

    /// Returns the functions that are targets, if it is code.
    pub(crate) fn functions(&self) -> &[TargetFunction] {
        self.module.as_ref().map_or(&[], |module| &module.targets)
    }

    /// Returns the class of a name; without a name, the only class.
    pub(crate) fn class(&self, name: Option<&str>) -> Option<&ModelClass> {
        named_or_only(self.classes(), name, |class| &class.name)
    }

    /// Returns the function of a name; without a name, the only function.
    pub(crate) fn function(&self, name: Option<&str>) -> Option<&TargetFunction> {
        named_or_only(self.functions(), name, |function| &function.name)
    }

    /// Returns the file, unless it is a folder.
    pub(crate) fn file(&self) -> Option<&RelPath> {
        self.files.first().filter(|file| file.as_str() == self.path)
    }

    /// Returns the error of a folder where a target is needed.
    pub(crate) fn is_no_target(&self) -> Error {
        let message = format!("'{}' is not a file, and cannot be a target", self.path);
        Error::argument(message).naming(&self.path)
    }

    /// Returns whether it is certainly a model or has targets. Of a module, that depends on what it defines.
    fn is_known(&self) -> bool {
        let is_empty = self.classes().is_empty() && self.functions().is_empty();
        self.format.is_some() && !(self.module.is_some() && is_empty)
    }

    fn is_of_folder(&self) -> bool {
        self.description.extent == Extent::Folder
    }
}

/// What was found below the given paths.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) faults: Vec<(String, Error)>,
    /// What was passed over, as a system, an editor or a download tool left it behind.
    pub(crate) left_behind: BTreeSet<String>,
}

impl Project {
    /// Reads a file or folder as one model, whatever it contains.
    pub(crate) fn look_at(&self, path: &str) -> Result<Candidate> {
        let mut survey = Survey::default();
        self.survey_one(path, &mut survey)?;
        let candidate = survey.candidates.pop();
        candidate.ok_or_else(|| Error::internal("a path that is no candidate"))
    }

    /// Adds a file or folder as one model, whatever it contains.
    pub(crate) fn survey_one(&self, path: &str, survey: &mut Survey) -> Result<()> {
        let FolderFiles {
            files, left_behind, ..
        } = self.files_at(path)?;
        survey.left_behind.extend(left_behind);
        survey.candidates.push(match files.as_slice() {
            [file] if file.as_str() == path => self.read_file(file)?,
            _ => self.folder(path, files),
        });
        Ok(())
    }

    /// Returns the file at a path, or all files below it, which have no faults.
    pub(crate) fn files_at(&self, path: &str) -> Result<FolderFiles> {
        let refuse = |reason: &str| {
            let message = format!("'{}' {reason}", path.escape_debug());
            Error::argument(message).naming(path)
        };
        let metadata = self.metadata_at(path)?;
        if metadata.is_symlink() {
            return Err(refuse(IS_LINK));
        }
        if metadata.is_file() {
            return Ok(FolderFiles {
                files: vec![RelPath::parse_argument(path)?],
                ..FolderFiles::default()
            });
        }
        if !metadata.is_dir() {
            return Err(refuse("is neither a file nor a folder"));
        }
        let mut below = files_below(self, path)?;
        let fault = below.faults.drain(..).next();
        fault.map_or(Ok(below), |(_, error)| Err(error))
    }

    /// Finds the models below a path. A file that a format recognizes is a model, or its folder is, as the format says, or as
    /// its name and those of the files beside it do. If there are none, all files are one model.
    pub(crate) fn survey(&self, path: &str, survey: &mut Survey) -> Result<()> {
        if !self.metadata_at(path)?.is_dir() {
            return self.survey_one(path, survey);
        }
        let tree = files_below(self, path)?;
        survey.left_behind.extend(tree.left_behind);
        let files = tree.files.into_par_iter();
        let read: Vec<_> = files.map(|file| (self.read_file(&file), file)).collect();
        let with_company = with_company(&read);
        let folders = outermost(read.iter().filter_map(|(read, file)| {
            let folder = folder_of(file.as_str());
            let is_of_folder = match read {
                Ok(read) => read.is_of_folder() || with_company.contains(folder),
                Err(_) => formats::is_configuration(name_of(file)),
            };
            is_of_folder.then_some(folder)
        }));
        // The files of each folder, or why it cannot be registered.
        let mut of_folders: BTreeMap<&str, Result<Vec<RelPath>, (String, Error)>> = BTreeMap::new();
        let (mut unknown, mut faults) = (Vec::new(), Vec::new());
        let before = (survey.candidates.len(), survey.faults.len());
        for (fault, error) in tree.faults {
            match above(&folders, &fault) {
                Some(folder) => {
                    let fault = (folder.to_owned(), error);
                    of_folders.entry(folder).or_insert(Err(fault));
                }
                None => faults.push((fault, error)),
            }
        }
        for (read, file) in read {
            match (above(&folders, file.as_str()), read) {
                // Without what describes it, the folder would be another model.
                (Some(folder), Err(error))
                    if folder == folder_of(file.as_str())
                        && formats::is_configuration(name_of(&file)) =>
                {
                    of_folders.insert(folder, Err((file.to_string(), error)));
                }
                (Some(folder), _) => {
                    if let Ok(files) = of_folders.entry(folder).or_insert(Ok(Vec::new())) {
                        files.push(file);
                    }
                }
                (None, Ok(candidate)) if candidate.is_known() => survey.candidates.push(candidate),
                (None, Ok(_)) => unknown.push(file),
                (None, Err(error)) => survey.faults.push((file.to_string(), error)),
            }
        }
        for (folder, files) in of_folders {
            match files {
                Ok(files) => survey.candidates.push(self.folder(folder, files)),
                Err(fault) => survey.faults.push(fault),
            }
        }
        if before != (survey.candidates.len(), survey.faults.len()) {
            // Next to models, other files are ignored, including those that cannot be registered.
            faults.retain(|(fault, _)| self.may_be_model(fault));
            survey.faults.extend(faults);
        } else if let Some(fault) = faults.into_iter().next() {
            survey.faults.push(fault);
        } else if unknown.is_empty() {
            let message = format!("there are no files below '{path}'");
            return Err(Error::argument(message).naming(path));
        } else {
            survey.candidates.push(self.folder(path, unknown));
        }
        Ok(())
    }

    /// Returns a folder as one model. The files at its top that describe the whole folder tell what it is, else the first file
    /// that is a model.
    pub(crate) fn folder(&self, path: &str, mut files: Vec<RelPath>) -> Candidate {
        let at_top = files.iter().filter(|file| folder_of(file.as_str()) == path);
        let read = at_top.filter_map(|file| self.read_file(file).ok());
        // Code in the folder of a model is part of the model.
        let known = read.filter(|read| read.is_known() && read.module.is_none());
        let mut known: Vec<Candidate> = known.collect();
        known.sort_by_key(|read| read.description.precedence());
        let mut known = known.into_iter();
        let mut main = known.next().unwrap_or_default();
        for other in known.filter(|other| other.is_of_folder() && other.format == main.format) {
            main.description.complete(other.description);
        }
        if main.format == Some(MODFLOW) {
            let outputs = formats::outputs_of_run(&main.path, self.root());
            let is_output =
                |file: &str| is_output_of_run(file) || outputs.contains(&file.to_lowercase());
            files.retain(|file| !is_output(file.as_str()));
        }
        let own_name = self.root().file_name().unwrap_or_default();
        let plain_path = match path {
            "." => own_name.to_string_lossy(),
            path => path.into(),
        };
        Candidate {
            plain_path: plain_path.into_owned(),
            path: path.to_owned(),
            files,
            ..main
        }
    }

    /// Returns the metadata of a path in the project, `.` for the project's folder. Links are not followed.
    pub(crate) fn metadata_at(&self, path: &str) -> Result<fs::Metadata> {
        if path == "." {
            return fs::metadata(self.root()).at("read", self.root());
        }
        let path = RelPath::parse_argument(path)?;
        self.metadata_of(&path).at("read", &self.locate(&path))
    }

    fn read_file(&self, file: &RelPath) -> Result<Candidate> {
        self.read_at(&self.locate(file), file)
    }

    fn read_at(&self, place: &Path, name: &RelPath) -> Result<Candidate> {
        let file = ModelFile::open(place, name.clone())?;
        let mut candidate = Candidate {
            path: name.to_string(),
            plain_path: without_extension(name.as_str()).to_owned(),
            files: vec![name.clone()],
            ..Candidate::default()
        };
        if name.as_str().ends_with(".py") {
            let module = python::parse(&python::text(&file)?);
            candidate.format = Some(PYTHON);
            candidate.module = Some(module.map_err(|fault| {
                file.malformed(format!("line {}: {}", fault.line, fault.message))
            })?);
        } else if let Some((format, description)) = formats::read(&self.formats, &file)? {
            candidate.format = Some(format);
            candidate.description = description;
        }
        Ok(candidate)
    }

    /// Returns whether a file is certainly a model or has targets.
    pub(crate) fn is_model(&self, file: &RelPath) -> bool {
        self.read_file(file).is_ok_and(|read| read.is_known())
    }

    /// Returns whether a path that cannot be in a registry is a model, or cannot be read because of its name.
    fn may_be_model(&self, path: &str) -> bool {
        if let Ok(link) = RelPath::parse(path) {
            // If nothing is there, its name on disk is not UTF-8.
            return fs::symlink_metadata(self.locate(&link)).is_err() || self.is_model(&link);
        }
        let extension = path.rsplit('.').next().unwrap_or_default();
        let name = RelPath::parse(&format!("model.{extension}"));
        let Ok(name) = name.or_else(|_| RelPath::parse("model")) else {
            return true;
        };
        let read = self.read_at(&self.root().join(path), &name);
        read.map_or(true, |read| read.is_known())
    }

    /// Reads what a Python file defines.
    pub(crate) fn read_module(&self, file: &RelPath) -> Result<Module> {
        Ok(self.read_file(file)?.module.unwrap_or_default())
    }

    /// Finds the file of an entrypoint's module.
    pub(crate) fn module_file(&self, entrypoint: &Entrypoint) -> Option<RelPath> {
        let mut candidates = entrypoint.candidates().into_iter();
        candidates.find(|file| self.has_file(file))
    }
}

/// Returns the folders that are models by what is in them, whatever library wrote it: beside something that libraries keep
/// beside weights, the only weights, or weights with a name that libraries give to those of any model.
fn with_company(read: &[(Result<Candidate>, RelPath)]) -> BTreeSet<&str> {
    let mut weights: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut accompanied = BTreeSet::new();
    for (read, file) in read {
        let (folder, name) = (folder_of(file.as_str()), name_of(file));
        if formats::is_companion(name) {
            accompanied.insert(folder);
        }
        let format = read.as_ref().ok().and_then(|read| read.format);
        if matches!(format, Some("safetensors" | "gguf")) {
            weights.entry(folder).or_default().push(name);
        }
    }
    weights.retain(|folder, names| {
        // A project has files of its own at its top.
        let is_only = names.len() == 1 && *folder != ".";
        let is_of_any = || names.iter().any(|name| formats::is_weights(name));
        accompanied.contains(folder) && (is_only || is_of_any())
    });
    weights.into_keys().collect()
}

fn name_of(file: &RelPath) -> &str {
    file.components().last().unwrap_or_default()
}

/// Returns the item of a name; without a name, the only item.
fn named_or_only<'a, T>(
    items: &'a [T],
    name: Option<&str>,
    name_of: fn(&T) -> &str,
) -> Option<&'a T> {
    match (name, items) {
        (Some(name), _) => items.iter().find(|item| name_of(item) == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// Returns a path without the extension of its last component.
fn without_extension(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    match path[name..].rfind('.') {
        Some(at) if at > 0 => &path[..name + at],
        _ => path,
    }
}

/// Returns the folder among `folders` in which a path lies, however deep.
fn above<'f, 'p>(folders: &'f BTreeSet<String>, path: &'p str) -> Option<&'f str> {
    let parent = |folder: &&'p str| (*folder != ".").then_some(folder_of(folder));
    let mut parents = iter::successors(parent(&path), parent);
    parents
        .find_map(|folder| folders.get(folder))
        .map(String::as_str)
}

/// Returns the folders that do not lie in any of the others.
fn outermost<'a>(folders: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let all: BTreeSet<String> = folders.map(str::to_owned).collect();
    let outer = all.iter().filter(|folder| above(&all, folder).is_none());
    outer.cloned().collect()
}
