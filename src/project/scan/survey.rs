//! What the files of a project say about models and targets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, IoContext, Result};
use crate::project::home::Project;
use crate::project::publish::make::is_output_of_run;
use crate::project::scan::formats::{self, Description, Extent, ModelFile};
use crate::project::scan::python::{self, Entrypoint, ModelClass, Module, TargetFunction};
use crate::project::scan::walk::{FolderFiles, IS_LINK, files_below, folder_of};
use crate::relpath::RelPath;

/// The format of models that are code.
pub(crate) const PYTHON: &str = "python";
/// The format whose folders have the outputs of runs beside the model.
pub(crate) const MODFLOW: &str = "modflow";

/// A file, or a folder with all that is in it, that is a model or has targets.
#[derive(Debug, Default)]
pub(crate) struct Candidate {
    /// Its path from the project's folder, `.` for that itself.
    pub(crate) path: String,
    /// The path that an id is made of: of a file without its extension, of the project's folder its name.
    pub(crate) plain_path: String,
    /// Its files, in order.
    pub(crate) files: Vec<RelPath>,
    /// The format that read it, and what it says.
    pub(crate) format: Option<&'static str>,
    pub(crate) description: Description,
    /// What it defines, when it is code.
    pub(crate) module: Option<Module>,
}

impl Candidate {
    /// The last component of the path that an id is made of.
    pub(crate) fn stem(&self) -> &str {
        self.plain_path.rsplit('/').next().unwrap_or_default()
    }

    /// The classes and functions that are models, when it is code.
    pub(crate) fn classes(&self) -> &[ModelClass] {
        self.module.as_ref().map_or(&[], |module| &module.models)
    }

    /// The functions that are targets, when it is code.
    pub(crate) fn functions(&self) -> &[TargetFunction] {
        self.module.as_ref().map_or(&[], |module| &module.targets)
    }

    /// The class of a name, else the only one.
    pub(crate) fn class(&self, name: Option<&str>) -> Option<&ModelClass> {
        match (name, self.classes()) {
            (Some(name), classes) => classes.iter().find(|class| class.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The function of a name, else the only one.
    pub(crate) fn function(&self, name: Option<&str>) -> Option<&TargetFunction> {
        match (name, self.functions()) {
            (Some(name), functions) => functions.iter().find(|function| function.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The file that it is, unless it is a folder.
    pub(crate) fn file(&self) -> Option<&RelPath> {
        let first = self.files.first();
        first.filter(|file| file.as_str() == self.path)
    }

    /// The error of a folder that should be a target.
    pub(crate) fn is_no_target(&self) -> Error {
        let message = format!("'{}' is not a file, and cannot be a target", self.path);
        Error::argument(message)
    }
}

/// What was found below the paths that were named.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) faults: Vec<(String, Error)>,
}

/// What a file says.
#[derive(Debug, Default)]
struct Content {
    format: Option<&'static str>,
    description: Description,
    module: Option<Module>,
}

impl Content {
    /// Returns whether the file is known to be a model, or to have targets.
    fn is_known(&self) -> bool {
        let declares = |module: &Module| !module.models.is_empty() || !module.targets.is_empty();
        self.format.is_some() && self.module.as_ref().is_none_or(declares)
    }

    fn into_candidate(self, file: RelPath) -> Candidate {
        Candidate {
            plain_path: without_extension(file.as_str()).to_owned(),
            path: file.to_string(),
            files: vec![file],
            format: self.format,
            description: self.description,
            module: self.module,
        }
    }
}

impl Project {
    /// Reads a file or folder as one model, whatever it has in it.
    pub(crate) fn look_at(&self, path: &str) -> Result<Candidate> {
        let files = self.files_at(path)?;
        match files.as_slice() {
            [file] if file.as_str() == path => {
                Ok(self.read_file(file)?.into_candidate(file.clone()))
            }
            _ => Ok(self.folder(path, files)),
        }
    }

    /// Returns the file at a path, or all files below it.
    pub(crate) fn files_at(&self, path: &str) -> Result<Vec<RelPath>> {
        let refuse = |reason: &str| Error::argument(format!("'{}' {reason}", path.escape_debug()));
        let metadata = self.metadata_at(path)?;
        if metadata.is_symlink() {
            return Err(refuse(IS_LINK));
        }
        if metadata.is_file() {
            return Ok(vec![RelPath::parse(path).map_err(Error::argument_name)?]);
        }
        if !metadata.is_dir() {
            return Err(refuse("is neither a file nor a folder"));
        }
        let FolderFiles { files, faults } = files_below(self, path)?;
        match faults.into_iter().next() {
            None => Ok(files),
            Some((_, error)) => Err(error),
        }
    }

    /// Finds the models below a path: a file is one, and so is a folder that its format makes one; other folders are
    /// searched, and are one model when nothing in them is known.
    pub(crate) fn survey(&self, path: &str, survey: &mut Survey) -> Result<()> {
        if !self.metadata_at(path)?.is_dir() {
            survey.candidates.push(self.look_at(path)?);
            return Ok(());
        }
        let tree = files_below(self, path)?;
        let files = tree.files.into_par_iter();
        let read: Vec<_> = files.map(|file| (self.read_file(&file), file)).collect();
        let folders = outermost(read.iter().filter_map(|(read, file)| match read {
            Ok(read) if read.description.extent == Extent::Folder => Some(folder_of(file.as_str())),
            _ => None,
        }));
        let mut of_folders: BTreeMap<&str, Vec<RelPath>> = BTreeMap::new();
        let mut unknown = Vec::new();
        let before = (survey.candidates.len(), survey.faults.len());
        for (read, file) in read {
            match (above(&folders, file.as_str()), read) {
                (Some(folder), _) => of_folders.entry(folder).or_default().push(file),
                (None, Ok(read)) if read.is_known() => {
                    survey.candidates.push(read.into_candidate(file))
                }
                (None, Ok(_)) => unknown.push(file),
                (None, Err(error)) => survey.faults.push((file.to_string(), error)),
            }
        }
        let (mut blocked, mut others) = (BTreeMap::new(), Vec::new());
        for (fault, error) in tree.faults {
            match above(&folders, &fault) {
                Some(folder) => {
                    blocked.entry(folder).or_insert(error);
                }
                None => others.push((fault, error)),
            }
        }
        for (folder, files) in of_folders {
            let found = match blocked.remove(folder) {
                Some(error) => Err(error),
                None => Ok(self.folder(folder, files)),
            };
            match found {
                Ok(found) => survey.candidates.push(found),
                Err(error) => survey.faults.push((folder.to_owned(), error)),
            }
        }
        if before != (survey.candidates.len(), survey.faults.len()) {
            // What else is there is ignored, as other files are; what may be a model is reported.
            let may_be_one = |(fault, _): &(String, Error)| self.may_be_model(fault);
            survey.faults.extend(others.into_iter().filter(may_be_one));
        } else if let Some(fault) = others.into_iter().next() {
            survey.faults.push(fault);
        } else if unknown.is_empty() {
            return Err(Error::argument(format!(
                "there are no files below '{path}'"
            )));
        } else {
            survey.candidates.push(self.folder(path, unknown));
        }
        Ok(())
    }

    /// Returns a folder as one model. What it says is read from the first file at its top that describes the whole folder,
    /// else from the first that says anything.
    fn folder(&self, path: &str, mut files: Vec<RelPath>) -> Candidate {
        let mut best: Option<Content> = None;
        for file in files.iter().filter(|file| folder_of(file.as_str()) == path) {
            let content = self.read_file(file).ok();
            // Code in a folder of something else is part of it.
            let content = content.filter(|read| read.is_known() && read.module.is_none());
            let is_of_folder = |read: &Content| read.description.extent == Extent::Folder;
            if content.as_ref().is_some_and(is_of_folder) {
                best = content;
                break;
            }
            best = best.or(content);
        }
        let Content {
            format,
            description,
            ..
        } = best.unwrap_or_default();
        if format == Some(MODFLOW) {
            files.retain(|file| !is_output_of_run(file.as_str()));
        }
        let own_name = || {
            self.root()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
        };
        Candidate {
            plain_path: match path {
                "." => own_name().into_owned(),
                path => path.to_owned(),
            },
            path: path.to_owned(),
            files,
            format,
            description,
            module: None,
        }
    }

    /// Returns the metadata of a path as a registry has it, `.` for the project's folder; links are not followed.
    pub(crate) fn metadata_at(&self, path: &str) -> Result<fs::Metadata> {
        if path == "." {
            return fs::metadata(self.root()).at("read", self.root());
        }
        let path = RelPath::parse(path).map_err(Error::argument_name)?;
        self.metadata_of(&path).at("read", &self.locate(&path))
    }

    fn read_file(&self, file: &RelPath) -> Result<Content> {
        self.read_at(&self.locate(file), file)
    }

    fn read_at(&self, place: &Path, name: &RelPath) -> Result<Content> {
        let file = ModelFile::open(place, name.clone())?;
        if name.as_str().ends_with(".py") {
            return Ok(Content {
                format: Some(PYTHON),
                module: Some(module_of(&file)?),
                ..Content::default()
            });
        }
        let (format, description) = formats::read(&self.formats, &file)?.unzip();
        Ok(Content {
            format,
            description: description.unwrap_or_default(),
            module: None,
        })
    }

    /// Returns whether a file is known to be a model, or to have targets.
    pub(crate) fn is_model(&self, file: &RelPath) -> bool {
        self.read_file(file).is_ok_and(|read| read.is_known())
    }

    /// Returns whether something that cannot be in a registry would be known, or cannot be read because of its name.
    fn may_be_model(&self, path: &str) -> bool {
        if let Ok(link) = RelPath::parse(path) {
            // The name of what is not there is another than it has on disk.
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

    /// Reads what a file of code defines.
    pub(crate) fn read_module(&self, file: &RelPath) -> Result<Module> {
        module_of(&ModelFile::open(&self.locate(file), file.clone())?)
    }

    /// Finds the file that an entrypoint's module is.
    pub(crate) fn module_file(&self, entrypoint: &Entrypoint) -> Option<RelPath> {
        let mut candidates = entrypoint.candidates().into_iter();
        candidates.find(|file| self.has_file(file))
    }
}

fn module_of(file: &ModelFile) -> Result<Module> {
    let text = file.text(python::MAX_BYTES as u64)?;
    python::parse(&text).map_err(|fault| {
        let message = format!("line {}: {}", fault.line, fault.message);
        file.malformed(message)
    })
}

/// A path without the extension of its last component.
fn without_extension(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    match path[name..].rfind('.') {
        Some(at) if at > 0 => &path[..name + at],
        _ => path,
    }
}

/// The one of some folders that a path lies in, however deep.
fn above<'f>(folders: &'f BTreeSet<String>, path: &str) -> Option<&'f str> {
    let mut folder = path;
    while folder != "." {
        folder = folder_of(folder);
        if let Some(found) = folders.get(folder) {
            return Some(found);
        }
    }
    None
}

/// The folders that lie in none of the others.
fn outermost<'a>(folders: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let all: BTreeSet<String> = folders.map(str::to_owned).collect();
    let outer = all.iter().filter(|folder| above(&all, folder).is_none());
    outer.cloned().collect()
}
