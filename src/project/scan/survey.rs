//! Finding the models and targets among the files of a project.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::disk::walk::IS_LINK;
use crate::error::{Error, IoContext, Result};
use crate::project::home::Project;
use crate::project::scan::candidate::Candidate;
use crate::project::scan::formats::{self, ModelFile};
use crate::project::scan::groups::{Group, Groups, parts_of};
use crate::project::scan::left_out::is_output_of_run;
use crate::project::scan::python::{self, Entrypoint, Module};
use crate::project::scan::walk::{FolderFiles, files_below, folder_of, name_of};
use crate::relpath::{RelPath, below};

/// The format of models that are code.
pub(crate) const PYTHON: &str = "python";
/// The format whose folders contain the output of runs next to the model.
pub(crate) const MODFLOW: &str = "modflow";

/// What was found below the given paths.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) faults: Vec<(String, Error)>,
    /// What was passed over, as a system, an editor or a download tool left it behind.
    pub(crate) left_behind: Vec<String>,
}

impl Project {
    /// Reads a file or folder as one model, whatever it contains.
    pub(crate) fn look_at(&self, path: &str) -> Result<Candidate> {
        let FolderFiles {
            files, left_behind, ..
        } = self.files_at(path)?;
        let candidate = match files.as_slice() {
            [file] if file.as_str() == path => self.file(file)?,
            _ => self.folder(path, files),
        };
        Ok(Candidate {
            left_behind,
            ..candidate
        })
    }

    /// Reads a file as one model. One of its parts stands for all of them.
    fn file(&self, file: &RelPath) -> Result<Candidate> {
        let read = self.read_file(file)?;
        if read.part_name().is_none() {
            return Ok(read);
        }
        let (folder, all) = (folder_of(file.as_str()), parts_of(file.as_str()));
        let place = self.root().join(folder);
        let mut parts = Vec::new();
        for entry in fs::read_dir(&place).at("read", &place)? {
            let name = entry.at("read", &place)?.file_name();
            let path = name.to_str().map(|name| match folder {
                "." => name.to_owned(),
                folder => below(folder, name),
            });
            if let Some(path) = path.filter(|path| parts_of(path) == all) {
                parts.push(RelPath::parse_argument(&path)?);
            }
        }
        parts.sort_unstable();
        self.parts(parts).map_err(|(_, error)| error)
    }

    /// Returns the parts of a model as one model, or the first that cannot be read.
    fn parts(&self, files: Vec<RelPath>) -> Result<Candidate, (String, Error)> {
        let read = files.iter().map(|file| {
            let read = self.read_file(file);
            read.map_err(|error| (file.to_string(), error))
        });
        let mut read = read.collect::<Result<Vec<_>, _>>()?.into_iter();
        let mut main = read.next().unwrap_or_default();
        for other in read.filter(|other| other.format == main.format) {
            main.description.complete(other.description);
        }
        if let Some(part) = main.part_name().filter(|part| !part.stem.is_empty()) {
            let folder = &main.path[..main.path.rfind('/').map_or(0, |at| at + 1)];
            let plain = format!("{folder}{}{}", part.stem, part.ending);
            main.plain_path = without_extension(&plain).to_owned();
        }
        Ok(Candidate { files, ..main })
    }

    /// Adds a file or folder as one model, whatever it contains.
    pub(crate) fn survey_one(&self, path: &str, survey: &mut Survey) -> Result<()> {
        let mut candidate = self.look_at(path)?;
        survey.left_behind.append(&mut candidate.left_behind);
        // Each of its parts may be named.
        let is_there = |other: &Candidate| other.path == candidate.path;
        if candidate.part_name().is_none() || !survey.candidates.iter().any(is_there) {
            survey.candidates.push(candidate);
        }
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

    /// Finds the models below a path. A file that a format recognizes is a model, or one of a group of files that is, as the
    /// format says, or as its name and those of the files beside it do. If there are none, all files are one model.
    pub(crate) fn survey(&self, path: &str, survey: &mut Survey) -> Result<()> {
        if !self.metadata_at(path)?.is_dir() {
            return self.survey_one(path, survey);
        }
        let tree = files_below(self, path)?;
        survey.left_behind.extend(tree.left_behind);
        let files = tree.files.into_par_iter();
        let read: Vec<_> = files.map(|file| (self.read_file(&file), file)).collect();
        let groups = Groups::of(&read);
        // The files of each group, or why it cannot be registered.
        let mut grouped: BTreeMap<Group<'_>, Result<Vec<RelPath>, (String, Error)>> =
            BTreeMap::new();
        let (mut unknown, mut faults) = (Vec::new(), Vec::new());
        let before = (survey.candidates.len(), survey.faults.len());
        // A list that grows is copied whenever it does.
        survey.candidates.reserve(read.len());
        for (fault, error) in tree.faults {
            let Some(group) = groups.of_path(&fault) else {
                faults.push((fault, error));
                continue;
            };
            let at = match group {
                Group::Folder(folder) => folder.to_owned(),
                Group::Parts(_) => fault,
            };
            grouped.entry(group).or_insert(Err((at, error)));
        }
        for (read, file) in read {
            match (groups.of_path(file.as_str()), read) {
                // Without what describes it, the folder would be another model.
                (Some(group), Err(error))
                    if group == Group::Folder(folder_of(file.as_str()))
                        && formats::is_configuration(name_of(&file)) =>
                {
                    grouped.insert(group, Err((file.to_string(), error)));
                }
                (Some(group), _) => {
                    if let Ok(files) = grouped.entry(group).or_insert(Ok(Vec::new())) {
                        files.push(file);
                    }
                }
                (None, Ok(candidate)) if candidate.is_known() => survey.candidates.push(candidate),
                (None, Ok(_)) => unknown.push(file),
                (None, Err(error)) => survey.faults.push((file.to_string(), error)),
            }
        }
        for (group, files) in grouped {
            let candidate = files.and_then(|files| match group {
                Group::Folder(folder) => Ok(self.folder(folder, files)),
                Group::Parts(_) => self.parts(files),
            });
            match candidate {
                Ok(candidate) => survey.candidates.push(candidate),
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
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) if it is of a known format, but malformed; the storage errors.
    pub(crate) fn is_model(&self, file: &RelPath) -> Result<bool> {
        Ok(self.read_file(file)?.is_known())
    }

    /// Returns whether a path that cannot be in a registry is a model, or cannot be read because of its name.
    fn may_be_model(&self, path: &str) -> bool {
        if let Ok(link) = RelPath::parse(path) {
            // If nothing is there, its name on disk is not UTF-8.
            return fs::symlink_metadata(self.locate(&link)).is_err()
                || self.is_model(&link).unwrap_or(false);
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

/// Returns a path without the extension of its last component.
fn without_extension(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    match path[name..].rfind('.') {
        Some(at) if at > 0 => &path[..name + at],
        _ => path,
    }
}
