//! Models and targets that can be registered, and what is said of them.

use std::collections::BTreeSet;

use super::ids::Ids;
use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::modelstoml::{ModelEntry, ProjectRegistry, TargetEntry};
use crate::project::scan::hash::FileHashes;
use crate::project::scan::python::{Entrypoint, ModelClass, TargetFunction};
use crate::project::scan::survey::Candidate;
use crate::relpath::RelPath;

/// What describes a model: what its files say, another registry, or the caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) model_type: Option<String>,
    pub(crate) entrypoint: Option<String>,
    pub(crate) outputs: Option<Vec<String>>,
}

/// What the caller says, over what the files say.
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
    /// Whether others are in the same file.
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
            entrypoint: self.entrypoint.or(other.entrypoint),
            outputs: self.outputs.or(other.outputs),
        }
    }

    /// Returns those details that an entry does not have.
    pub(crate) fn missing_in(self, entry: &ModelEntry) -> Self {
        Self {
            name: self.name.filter(|_| entry.name.is_empty()),
            description: self.description.filter(|_| entry.description.is_empty()),
            model_type: self.model_type.filter(|_| entry.model_type.is_none()),
            entrypoint: self.entrypoint.filter(|_| entry.entrypoint.is_none()),
            outputs: self.outputs.filter(|_| entry.outputs.is_empty()),
        }
    }
}

impl ModelEntry {
    /// Sets the fields that are given, which then stay whatever the files say, and those that are stated, unless they were
    /// given before.
    pub(crate) fn describe(&mut self, given: Details, stated: Details) {
        fn choose<T>(
            by_hand: &mut BTreeSet<String>,
            field: &str,
            given: Option<T>,
            stated: Option<T>,
        ) -> Option<T> {
            if given.is_some() {
                by_hand.insert(field.to_owned());
                return given;
            }
            stated.filter(|_| !by_hand.contains(field))
        }
        let by_hand = &mut self.given;
        if let Some(name) = choose(by_hand, "name", given.name, stated.name) {
            self.name = name;
        }
        let description = choose(
            by_hand,
            "description",
            given.description,
            stated.description,
        );
        if let Some(description) = description {
            self.description = description;
        }
        if let Some(text) = choose(by_hand, "type", given.model_type, stated.model_type) {
            self.model_type = Some(text).filter(|text| !text.is_empty());
        }
        let entrypoint = choose(by_hand, "entrypoint", given.entrypoint, stated.entrypoint);
        if let Some(text) = entrypoint {
            self.entrypoint = Some(text).filter(|text| !text.is_empty());
        }
        if let Some(outputs) = choose(by_hand, "outputs", given.outputs, stated.outputs) {
            self.outputs = outputs;
        }
    }
}

impl ModelCandidate<'_> {
    /// Returns what the files say.
    pub(crate) fn details(&self) -> Details {
        let (said, class) = (&self.at.description, self.class);
        let file = RelPath::parse(&self.at.path).ok();
        let of_class = Details {
            name: class.map(|class| class.name.clone()),
            description: class.and_then(|class| class.description.clone()),
            model_type: None,
            entrypoint: file.and_then(|file| entrypoint_of(&file, &class?.name)),
            outputs: class.and_then(|class| class.outputs.clone()),
        };
        let of_file = Details {
            name: said.name.clone(),
            description: said.description.clone(),
            model_type: said.model_type.clone(),
            ..Details::default()
        };
        of_file.or(of_class)
    }

    /// Finds the entry that it is registered as.
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
        // Of several, the one that would have the id without being given any.
        let stem = self.at.stem();
        let mut of_stem = same.clone().filter(|(id, _)| *id == stem);
        of_stem.next().or_else(|| same.next())
    }

    /// Finds an id for what is not registered.
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
    /// Returns the function, as the code has it.
    pub(crate) fn entrypoint(&self) -> Option<String> {
        entrypoint_of(self.path, &self.function?.name)
    }

    /// Returns the data that it needs: what is given, else what is registered and the files of the project that the code
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
