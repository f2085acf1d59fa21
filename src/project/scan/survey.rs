//! What the files of a project say about its models and targets now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, IoContext, Result};
use crate::project::home::Project;
use crate::project::publish::make::is_output_of_run;
use crate::project::scan::formats::{self, Description, Extent, ModelFile};
use crate::project::scan::python::{self, Entrypoint, Module};
use crate::project::scan::walk::{FolderFiles, IS_LINK, files_below, folder_of};
use crate::relpath::RelPath;

/// The format of models that are code.
pub(in crate::project) const PYTHON: &str = "python";
/// The format whose folders have what a run wrote beside the model.
pub(in crate::project) const MODFLOW: &str = "modflow";

/// Something that is a model, or that has targets: a file, or a folder with all that is in it.
#[derive(Debug, Default)]
pub(in crate::project) struct Found {
    /// Where it is: from the project's folder, `.` for that itself.
    pub(in crate::project) path: String,
    /// The same as an id could be: of a file without its extension, of the project's folder its name.
    pub(in crate::project) plain_path: String,
    /// Its files, in order.
    pub(in crate::project) files: Vec<RelPath>,
    /// What read it, and what it says.
    pub(in crate::project) format: Option<&'static str>,
    pub(in crate::project) description: Description,
    /// What it defines, when it is code.
    pub(in crate::project) module: Option<Module>,
}

impl Found {
    /// The last component of what an id could be.
    pub(in crate::project) fn stem(&self) -> &str {
        self.plain_path.rsplit('/').next().unwrap_or_default()
    }
}

/// What was found below the paths that somebody named.
#[derive(Debug, Default)]
pub(in crate::project) struct Survey {
    pub(in crate::project) found: Vec<Found>,
    pub(in crate::project) faults: Vec<(String, Error)>,
}

/// What a file says.
#[derive(Debug, Default)]
struct Read {
    format: Option<&'static str>,
    description: Description,
    module: Option<Module>,
}

impl Read {
    /// Whether the file is known to be a model, or to have targets.
    fn is_known(&self) -> bool {
        let declares = |module: &Module| !module.models.is_empty() || !module.targets.is_empty();
        self.format.is_some() && self.module.as_ref().is_none_or(declares)
    }

    fn found(self, file: RelPath) -> Found {
        Found {
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
    /// Looks at a file or folder as one model, whatever it has in it.
    pub(in crate::project) fn look_at(&self, path: &str) -> Result<Found> {
        let metadata = self.metadata_at(path)?;
        if metadata.is_symlink() {
            return Err(is_link(path));
        }
        if !metadata.is_dir() {
            let file = RelPath::parse(path).map_err(|error| Error::argument(error.to_string()))?;
            return Ok(self.read_file(&file)?.found(file));
        }
        let FolderFiles { files, mut faults } = files_below(self, path)?;
        if !faults.is_empty() {
            return Err(faults.swap_remove(0).1);
        }
        self.folder(path, files)
    }

    /// The file at a path, or all below it.
    pub(in crate::project) fn files_at(&self, path: &str) -> Result<Vec<RelPath>> {
        let metadata = self.metadata_at(path)?;
        if metadata.is_symlink() {
            return Err(is_link(path));
        }
        if metadata.is_file() {
            let file = RelPath::parse(path).map_err(|error| Error::argument(error.to_string()))?;
            return Ok(vec![file]);
        }
        if !metadata.is_dir() {
            let path = path.escape_debug();
            return Err(Error::argument(format!(
                "'{path}' is neither a file nor a folder"
            )));
        }
        let FolderFiles { files, mut faults } = files_below(self, path)?;
        match faults.is_empty() {
            true => Ok(files),
            false => Err(faults.swap_remove(0).1),
        }
    }

    /// Finds the models below a path: a file is one, and so is a folder that its format makes one; other folders are
    /// looked through, and are one model when nothing in them is known.
    pub(in crate::project) fn survey(&self, path: &str, survey: &mut Survey) -> Result<()> {
        if !self.metadata_at(path)?.is_dir() {
            survey.found.push(self.look_at(path)?);
            return Ok(());
        }
        let tree = files_below(self, path)?;
        let read: Vec<_> = tree
            .files
            .into_par_iter()
            .map(|file| {
                let read = self.read_file(&file);
                (file, read)
            })
            .collect();
        let folders = outermost(read.iter().filter_map(|(file, read)| match read {
            Ok(read) if read.description.extent == Extent::Folder => Some(folder_of(file.as_str())),
            _ => None,
        }));
        let mut of_folders: BTreeMap<&str, Vec<RelPath>> = BTreeMap::new();
        let mut unknown = Vec::new();
        let before = (survey.found.len(), survey.faults.len());
        for (file, read) in read {
            match (above(&folders, file.as_str()), read) {
                (Some(folder), _) => of_folders.entry(folder).or_default().push(file),
                (None, Ok(read)) if read.is_known() => survey.found.push(read.found(file)),
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
                None => self.folder(folder, files),
            };
            match found {
                Ok(found) => survey.found.push(found),
                Err(error) => survey.faults.push((folder.to_owned(), error)),
            }
        }
        if before != (survey.found.len(), survey.faults.len()) {
            // What else is there stays aside, as other files do; what may be a model is said.
            let may_be_one = |(fault, _): &(String, Error)| self.may_be_model(fault);
            survey.faults.extend(others.into_iter().filter(may_be_one));
        } else if let Some(fault) = others.into_iter().next() {
            survey.faults.push(fault);
        } else if unknown.is_empty() {
            return Err(Error::argument(format!("there is no file below '{path}'")));
        } else {
            survey.found.push(self.folder(path, unknown)?);
        }
        Ok(())
    }

    /// A folder as one model. What it says is read from the first file of its top that says it is of the whole folder, else
    /// from the first that says anything.
    fn folder(&self, path: &str, mut files: Vec<RelPath>) -> Result<Found> {
        let mut best: Option<Read> = None;
        for file in files.iter().filter(|file| folder_of(file.as_str()) == path) {
            // Code in a folder of something else is part of it.
            let Some(read) = self
                .read_file(file)
                .ok()
                .filter(|read| read.is_known() && read.module.is_none())
            else {
                continue;
            };
            let is_of_folder = read.description.extent == Extent::Folder;
            if is_of_folder || best.is_none() {
                best = Some(read);
            }
            if is_of_folder {
                break;
            }
        }
        let Read {
            format,
            description,
            ..
        } = best.unwrap_or_default();
        if format == Some(MODFLOW) {
            files.retain(|file| !is_output_of_run(file));
        }
        let own_name = || {
            self.root()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
        };
        Ok(Found {
            plain_path: match path {
                "." => own_name().into_owned(),
                path => path.to_owned(),
            },
            path: path.to_owned(),
            files,
            format,
            description,
            module: None,
        })
    }

    /// Looks at something by its path as a registry has it, `.` for the project's folder; links are not followed.
    pub(in crate::project) fn metadata_at(&self, path: &str) -> Result<fs::Metadata> {
        if path == "." {
            return fs::metadata(self.root()).at("read", self.root());
        }
        let path = RelPath::parse(path).map_err(|error| Error::argument(error.to_string()))?;
        self.metadata_of(&path).at("read", &self.locate(&path))
    }

    fn read_file(&self, file: &RelPath) -> Result<Read> {
        self.read_at(&self.locate(file), file)
    }

    fn read_at(&self, place: &Path, name: &RelPath) -> Result<Read> {
        let file = ModelFile::open(place, name.clone())?;
        if name.as_str().ends_with(".py") {
            return Ok(Read {
                format: Some(PYTHON),
                module: Some(module_of(&file)?),
                ..Read::default()
            });
        }
        let (format, description) = formats::read(&self.formats, &file)?.unzip();
        Ok(Read {
            format,
            description: description.unwrap_or_default(),
            module: None,
        })
    }

    /// Whether a file is known to be a model, or to have targets.
    pub(in crate::project) fn is_model(&self, file: &RelPath) -> bool {
        self.read_file(file).is_ok_and(|read| read.is_known())
    }

    /// Whether something that can be in no registry would be known, or cannot be looked at for its name.
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
    pub(in crate::project) fn read_module(&self, file: &RelPath) -> Result<Module> {
        module_of(&ModelFile::open(&self.locate(file), file.clone())?)
    }

    /// Finds the file that an entrypoint's module is.
    pub(in crate::project) fn module_file(&self, entrypoint: &Entrypoint) -> Option<RelPath> {
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

fn is_link(path: &str) -> Error {
    let path = path.escape_debug();
    Error::argument(format!("'{path}' {IS_LINK}"))
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
