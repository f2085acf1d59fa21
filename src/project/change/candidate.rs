//! Models and targets that can be registered, and their descriptions.

use std::collections::BTreeSet;

use super::ids::Ids;
use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::modelstoml::{ModelEntry, ProjectRegistry, TargetEntry};
use crate::project::scan::candidate::Candidate;
use crate::project::scan::hash::FileHashes;
use crate::project::scan::python::{Entrypoint, ModelClass, TargetFunction};
use crate::relpath::RelPath;

/// The description of a model, as its files, another registry or the caller state it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) model_type: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) entrypoint: Option<String>,
    pub(crate) outputs: Option<Vec<String>>,
}

/// What the caller states; it takes precedence over the files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) id: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) details: Details,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) data: Vec<RelPath>,
    pub(crate) code: Vec<RelPath>,
    pub(crate) model_output: Option<String>,
    pub(crate) target_set: Option<String>,
}

/// A file or folder as a model.
#[derive(Debug)]
pub(crate) struct ModelCandidate<'a> {
    pub(crate) at: &'a Candidate,
    /// The class or function that it is, when it is code.
    pub(crate) class: Option<&'a ModelClass>,
    /// Whether the file has other models.
    pub(crate) is_one_of_several: bool,
}

/// A function as a target.
#[derive(Debug)]
pub(crate) struct TargetCandidate<'a> {
    pub(crate) path: &'a RelPath,
    pub(crate) function: Option<&'a TargetFunction>,
}

/// Returns the name that the module of an entrypoint must define.
pub(crate) fn symbol_of(entrypoint: &str) -> &str {
    let symbol = entrypoint.rsplit(':').next().unwrap_or_default();
    symbol.split('.').next().unwrap_or_default()
}

/// Returns the entrypoint of something that a file defines.
pub(crate) fn entrypoint_of(file: &RelPath, symbol: &str) -> Option<String> {
    Some(format!("{}:{symbol}", Entrypoint::module_of(file)?))
}

impl Details {
    /// Returns these details, completed by others.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            description: self.description.or(other.description),
            model_type: self.model_type.or(other.model_type),
            status: self.status.or(other.status),
            entrypoint: self.entrypoint.or(other.entrypoint),
            outputs: self.outputs.or(other.outputs),
        }
    }

    /// Returns the details of an entry.
    pub(crate) fn of(entry: &ModelEntry) -> Self {
        let stated = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            name: stated(&entry.name),
            description: stated(&entry.description),
            model_type: entry.model_type.clone(),
            status: entry.status.clone(),
            entrypoint: entry.entrypoint.clone(),
            outputs: Some(entry.outputs.clone()).filter(|outputs| !outputs.is_empty()),
        }
    }

    /// Returns the details without those with some keys.
    fn without(self, keys: &BTreeSet<String>) -> Self {
        Self {
            name: self.name.filter(|_| !keys.contains("name")),
            description: self.description.filter(|_| !keys.contains("description")),
            model_type: self.model_type.filter(|_| !keys.contains("type")),
            status: self.status.filter(|_| !keys.contains("status")),
            entrypoint: self.entrypoint.filter(|_| !keys.contains("entrypoint")),
            outputs: self.outputs.filter(|_| !keys.contains("outputs")),
        }
    }

    /// Returns the keys of the details that are present.
    fn keys(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            self.name.is_some().then_some("name"),
            self.description.is_some().then_some("description"),
            self.model_type.is_some().then_some("type"),
            self.status.is_some().then_some("status"),
            self.entrypoint.is_some().then_some("entrypoint"),
            self.outputs.is_some().then_some("outputs"),
        ];
        keys.into_iter().flatten()
    }
}

impl ModelEntry {
    /// Sets the details that are given, which the files do not change any more, and those that are stated, unless they were
    /// given before.
    pub(crate) fn describe(&mut self, given: Details, stated: Details) {
        let stated = stated.without(&self.given);
        self.given.extend(given.keys().map(str::to_owned));
        let details = given.or(stated).or(Details::of(self));
        self.name = details.name.unwrap_or_default();
        self.description = details.description.unwrap_or_default();
        self.model_type = details.model_type.filter(|text| !text.is_empty());
        self.status = details.status.filter(|text| !text.is_empty());
        self.entrypoint = details.entrypoint.filter(|text| !text.is_empty());
        self.outputs = details.outputs.unwrap_or_default();
    }

    /// Replaces its data and code by those that are given.
    pub(crate) fn replace_needed(&mut self, data: &[RelPath], code: &[RelPath]) {
        for (needed, given) in [(&mut self.data, data), (&mut self.code, code)] {
            if !given.is_empty() {
                *needed = given.to_vec();
            }
        }
    }
}

impl ModelCandidate<'_> {
    /// Returns what the files state.
    pub(crate) fn details(&self) -> Details {
        let (said, file) = (&self.at.description, self.at.file());
        let of_class = self.class.map(|class| Details {
            name: Some(class.name.clone()),
            description: class.description.clone(),
            model_type: None,
            status: None,
            entrypoint: file.and_then(|file| entrypoint_of(file, &class.name)),
            outputs: class.outputs.clone(),
        });
        let of_file = Details {
            name: said.name.clone(),
            description: said.description.clone(),
            model_type: said.model_type.clone(),
            ..Details::default()
        };
        of_file.or(of_class.unwrap_or_default())
    }

    /// Finds its entry, if it is registered.
    pub(crate) fn entry<'r>(
        &self,
        registry: &'r ProjectRegistry,
        ids: &Ids,
        given: &Overrides,
    ) -> Option<(&'r String, &'r ModelEntry)> {
        if let Some(id) = &given.id {
            return registry.entries.get_key_value(id);
        }
        let entrypoint = self.details().entrypoint;
        let is_same = |entry: &ModelEntry| {
            entry.path == self.at.path
                && (!self.is_one_of_several || entry.entrypoint == entrypoint)
        };
        let same = ids.at(&self.at.path);
        let same = same.filter_map(|id| registry.entries.get_key_value(id));
        let mut same = same.filter(|(_, entry)| is_same(entry));
        // Of several, the one with the default id.
        let stem = self.at.stem();
        let mut of_stem = same.clone().filter(|(id, _)| *id == stem);
        of_stem.next().or_else(|| same.next())
    }

    /// Finds an id for a model that is not registered.
    pub(crate) fn new_id(
        &self,
        registry: &ProjectRegistry,
        ids: &Ids,
        given: &Overrides,
    ) -> Result<String> {
        if let Some(id) = &given.id {
            ids.check(registry, id)?;
            return Ok(id.clone());
        }
        let (whole, stem) = (self.at.plain_path.as_str(), self.at.stem());
        let class = self.class.filter(|_| self.is_one_of_several);
        let choices = match class {
            Some(class) => [class.name.clone(), format!("{whole}/{}", class.name)],
            None => [stem.to_owned(), whole.to_owned()],
        };
        let is_free = |id: &&String| ModelName::parse(id).is_ok() && ids.taken_by(id).is_none();
        choices.iter().find(is_free).cloned().ok_or_else(|| {
            let (first, second) = (choices[0].escape_debug(), choices[1].escape_debug());
            Error::argument(
                match (choices[0] == choices[1], ids.taken_by(&choices[0])) {
                    (true, Some(other)) => {
                        format!("'{first}' cannot be its id: '{other}' is registered; choose an id")
                    }
                    (true, None) => format!("'{first}' cannot be its id: choose an id"),
                    (false, _) => {
                        format!("neither '{first}' nor '{second}' can be its id: choose an id")
                    }
                },
            )
        })
    }
}

impl TargetCandidate<'_> {
    /// Returns the entrypoint of the function.
    pub(crate) fn entrypoint(&self) -> Option<String> {
        entrypoint_of(self.path, &self.function?.name)
    }

    /// Returns its data: what is given, else what is registered and the files of the project that the code
    /// names.
    pub(crate) fn data(
        &self,
        before: Option<&TargetEntry>,
        given: &Overrides,
        hashes: &FileHashes,
    ) -> Vec<RelPath> {
        if !given.data.is_empty() {
            return given.data.clone();
        }
        let registered = before.into_iter().flat_map(|target| target.data.clone());
        let stated = self.stated_data();
        let stated = stated.filter(|path| matches!(hashes.get(path), Some(Ok(_))));
        let data: BTreeSet<RelPath> = registered.chain(stated).collect();
        data.into_iter().collect()
    }

    /// Returns the paths that the code names as its data.
    pub(crate) fn stated_data(&self) -> impl Iterator<Item = RelPath> {
        let stated = self
            .function
            .into_iter()
            .flat_map(|function| &function.data);
        stated.filter_map(|path| RelPath::parse(path).ok())
    }

    /// Finds its id: the one that is registered, or a new one.
    pub(crate) fn id(
        &self,
        registry: &ProjectRegistry,
        ids: &Ids,
        given: &Overrides,
        entrypoint: &str,
    ) -> Result<String> {
        if let Some(id) = &given.id {
            return Ok(id.clone());
        }
        let is_it = |id: &&String| {
            let target = registry.targets.get(*id);
            target.is_some_and(|target| target.entrypoint == entrypoint)
        };
        if let Some(id) = ids.target(entrypoint).filter(is_it) {
            return Ok(id.clone());
        }
        let (module, function) = entrypoint
            .split_once(':')
            .unwrap_or((entrypoint, entrypoint));
        let choices = [function.to_owned(), format!("{module}.{function}")];
        let is_free = |id: &&String| !registry.targets.contains_key(*id);
        choices.iter().find(is_free).cloned().ok_or_else(|| {
            Error::argument(format!(
                "'{}' is the id of another target: choose an id",
                choices[0]
            ))
        })
    }
}
