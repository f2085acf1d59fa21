//! What may be a model or have targets, with what its files say about it.

use std::mem;

use crate::error::Error;
use crate::project::scan::formats::{Description, Extent, PartName};
use crate::project::scan::python::{ModelClass, Module, TargetFunction};
use crate::relpath::RelPath;

/// A file, a folder with all its files, or the parts of a model, that may be a model or have targets.
#[derive(Debug, Default)]
pub(crate) struct Candidate {
    /// Its path in the project, `.` for the project's folder; of parts, that of the first.
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
    /// What was passed over below it, as a system, an editor or a download tool left it behind.
    pub(crate) left_behind: Vec<String>,
}

impl Candidate {
    /// Drops what it says about itself, except for its version and what is needed to run it.
    pub(crate) fn forget_metadata(&mut self) {
        let said = mem::take(&mut self.description);
        self.description.version = said.version;
        self.description.extent = said.extent;
        if let Some(module) = &mut self.module {
            module
                .models
                .iter_mut()
                .for_each(|class| class.description = None);
        }
    }

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
    pub(super) fn is_known(&self) -> bool {
        let is_empty = self.classes().is_empty() && self.functions().is_empty();
        self.format.is_some() && !(self.module.is_some() && is_empty)
    }

    /// Returns whether it describes the folder that it is in.
    pub(super) fn is_of_folder(&self) -> bool {
        self.description.extent == Extent::Folder
    }

    /// Returns whether it is a model that needs no other files.
    pub(super) fn is_whole(&self) -> bool {
        let is_for_others = self.description.metadata.contains_key("gguf_type");
        self.is_known() && self.module.is_none() && !self.is_of_folder() && !is_for_others
    }

    /// Returns whether it consists of tensors.
    pub(super) fn is_weights(&self) -> bool {
        matches!(self.format, Some("safetensors" | "gguf"))
    }

    /// Returns the name of its first file, if the weights are split into parts.
    pub(super) fn part_name(&self) -> Option<PartName<'_>> {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        PartName::of(name).filter(|_| self.is_of_folder() && self.is_weights())
    }
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
