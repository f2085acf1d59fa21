//! Entering what was found into the registry: which id, which version, what of it is new. Nothing here touches a file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::model::{ModelName, ModelRef};
use crate::modelstoml::{
    FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry, digest_of,
    total_bytes, version,
};
use crate::project::change::known::Known;
use crate::project::item::{ItemKind, RegisteredItem};
use crate::project::scan::python::{Entrypoint, ModelClass, TargetFunction};
use crate::project::scan::survey::Found;
use crate::relpath::RelPath;

/// Facts of files, or why they cannot be read.
pub(in crate::project) type HashedFiles = BTreeMap<RelPath, Result<FileFacts>>;

/// What whoever registers says, beside what the files do.
#[derive(Debug, Clone, Default)]
pub(in crate::project) struct Given {
    pub(in crate::project) id: Option<String>,
    pub(in crate::project) version: Option<String>,
    pub(in crate::project) name: Option<String>,
    pub(in crate::project) description: Option<String>,
    pub(in crate::project) model_type: Option<String>,
    pub(in crate::project) tags: BTreeSet<String>,
    pub(in crate::project) entrypoint: Option<String>,
    pub(in crate::project) outputs: Vec<String>,
    pub(in crate::project) data: Vec<RelPath>,
    pub(in crate::project) code: Vec<RelPath>,
    pub(in crate::project) model_output: Option<String>,
    pub(in crate::project) target_set: Option<String>,
}

/// A model that was found.
#[derive(Debug)]
pub(in crate::project) struct FoundModel<'a> {
    pub(in crate::project) found: &'a Found,
    /// The class or function that it is, when it is code.
    pub(in crate::project) class: Option<&'a ModelClass>,
    /// Whether others are in the same file.
    pub(in crate::project) is_one_of_several: bool,
}

/// A target that was found.
#[derive(Debug)]
pub(in crate::project) struct FoundTarget<'a> {
    pub(in crate::project) path: &'a RelPath,
    pub(in crate::project) function: Option<&'a TargetFunction>,
}

/// What became of something found.
#[derive(Debug)]
pub(in crate::project) enum Entered {
    Registered(RegisteredItem),
    Unchanged(String),
}

impl FoundModel<'_> {
    /// What is run, by what the code declares.
    pub(in crate::project) fn entrypoint(&self) -> Option<String> {
        let file = RelPath::parse(&self.found.path).ok()?;
        Some(format!(
            "{}:{}",
            Entrypoint::module_of(&file)?,
            self.class?.name
        ))
    }

    /// Finds the entry that it is registered as.
    pub(in crate::project) fn entry<'r>(
        &self,
        registry: &'r ProjectRegistry,
        known: &Known,
        given: &Given,
    ) -> Option<(&'r String, &'r ModelEntry)> {
        if let Some(id) = &given.id {
            return registry.entries.get_key_value(id);
        }
        let entrypoint = self.entrypoint();
        let is_same = |entry: &ModelEntry| {
            entry.path == self.found.path
                && (!self.is_one_of_several || entry.entrypoint == entrypoint)
        };
        let ids = known.at.get(&self.found.path).into_iter().flatten();
        let same = ids.filter_map(|id| registry.entries.get_key_value(id));
        let mut same = same.filter(|(_, entry)| is_same(entry));
        // Of several, the one that would have the id without being given any.
        let stem = self.found.stem();
        same.clone()
            .find(|(id, _)| *id == stem)
            .or_else(|| same.next())
    }

    /// Finds an id for what is not registered.
    fn new_id(&self, registry: &ProjectRegistry, known: &Known, given: &Given) -> Result<String> {
        if let Some(id) = &given.id {
            known.check_id(registry, id)?;
            return Ok(id.clone());
        }
        let (whole, stem) = (self.found.plain_path.as_str(), self.found.stem());
        let class = self.class.filter(|_| self.is_one_of_several);
        let choices = match class {
            Some(class) => [class.name.clone(), format!("{whole}/{}", class.name)],
            None => [stem.to_owned(), whole.to_owned()],
        };
        let is_free = |id: &&String| {
            ModelName::parse(id).is_ok() && !known.ids.contains_key(&id.to_lowercase())
        };
        choices.iter().find(is_free).cloned().ok_or_else(|| {
            let (first, second) = (choices[0].escape_debug(), choices[1].escape_debug());
            let taken = known.ids.get(&choices[0].to_lowercase());
            Error::argument(match (choices[0] == choices[1], taken) {
                (true, Some(other)) => {
                    format!(
                        "'{first}' cannot be its id beside '{other}', which is registered: name one"
                    )
                }
                (true, None) => format!("'{first}' cannot be its id: name one"),
                (false, _) => format!("neither '{first}' nor '{second}' can be its id: name one"),
            })
        })
    }

    /// Enters it, as it is now.
    pub(in crate::project) fn enter(
        &self,
        registry: &mut ProjectRegistry,
        known: &mut Known,
        given: &Given,
        hashed: &HashedFiles,
        now: SystemTime,
    ) -> Result<Entered> {
        let registered = self.entry(registry, known, given);
        let before = registered.map(|(_, entry)| entry);
        let id = match registered {
            Some((id, _)) => id.clone(),
            None => self.new_id(registry, known, given)?,
        };
        let mut entry = self.describe(&id, before, given);
        let needed = entry.data.iter().chain(&entry.code);
        let files = facts_of(self.found.files.iter().chain(needed), hashed)?;
        let registered = RegisteredVersion {
            registered_at: now,
            digest: digest_of(&files),
            files,
            metadata: self.found.description.metadata.clone(),
        };
        let previous = before.map(|entry| entry.current.clone());
        let stated = self.found.description.version.as_deref();
        let next = next_version(before, &registered, given.version.as_deref(), stated)?;
        if let Some(version) = next {
            entry.versions.insert(version.clone(), registered);
            entry.current = version;
        } else if before == Some(&entry) {
            return Ok(Entered::Unchanged(id));
        }
        let item = RegisteredItem {
            id: id.clone(),
            kind: ItemKind::Model,
            version: Some(entry.current.clone()),
            is_new: previous.is_none(),
            previous,
            files: entry.current().map_or(0, |version| version.files.len()),
            total_bytes: entry.current().map_or(0, RegisteredVersion::total_bytes),
        };
        known.enter(&id, &entry.path);
        registry.entries.insert(id, entry);
        Ok(Entered::Registered(item))
    }

    /// The entry with what is known of it now: what was given, now or before, over what the files say.
    fn describe(&self, id: &str, before: Option<&ModelEntry>, given: &Given) -> ModelEntry {
        let Found {
            path,
            format,
            description: said,
            ..
        } = self.found;
        let mut entry = before.cloned().unwrap_or_default();
        let of_class = self.class.and_then(|class| class.description.clone());
        entry.path.clone_from(path);
        entry.format = format.map(str::to_owned);
        let name = said
            .name
            .clone()
            .or(self.class.map(|class| class.name.clone()));
        entry.settle("name", given.name.clone(), name, |entry, name| {
            entry.name = name
        });
        let description = said.description.clone().or(of_class);
        entry.settle(
            "description",
            given.description.clone(),
            description,
            |entry, text| {
                entry.description = text;
            },
        );
        entry.settle(
            "type",
            given.model_type.clone(),
            said.model_type.clone(),
            |entry, of| {
                entry.model_type = Some(of).filter(|of| !of.is_empty());
            },
        );
        entry.settle(
            "entrypoint",
            given.entrypoint.clone(),
            self.entrypoint(),
            |entry, text| {
                entry.entrypoint = Some(text).filter(|text| !text.is_empty());
            },
        );
        let outputs = Some(given.outputs.clone()).filter(|outputs| !outputs.is_empty());
        let of_code = self.class.and_then(|class| class.outputs.clone());
        entry.settle("outputs", outputs, of_code, |entry, outputs| {
            entry.outputs = outputs
        });
        entry
            .tags
            .extend(given.tags.iter().chain(&said.tags).cloned());
        if !given.data.is_empty() {
            entry.data.clone_from(&given.data);
        }
        if !given.code.is_empty() {
            entry.code.clone_from(&given.code);
        }
        if entry.name.is_empty() {
            id.clone_into(&mut entry.name);
        }
        entry
    }
}

impl ModelEntry {
    /// Sets a field: to what is given now, which then holds whatever the files say; else to what they say, unless
    /// something was given before.
    pub(in crate::project) fn settle<T>(
        &mut self,
        field: &str,
        given: Option<T>,
        said: Option<T>,
        set: impl FnOnce(&mut Self, T),
    ) {
        if let Some(value) = given {
            self.given.insert(field.to_owned());
            set(self, value);
        } else if let Some(value) = said.filter(|_| !self.given.contains(field)) {
            set(self, value);
        }
    }
}

impl FoundTarget<'_> {
    /// The function, by what the code declares.
    fn entrypoint(&self) -> Option<String> {
        Some(format!(
            "{}:{}",
            Entrypoint::module_of(self.path)?,
            self.function?.name
        ))
    }

    /// Enters it, as it is now.
    pub(in crate::project) fn enter(
        &self,
        registry: &mut ProjectRegistry,
        known: &mut Known,
        given: &Given,
        hashed: &HashedFiles,
        now: SystemTime,
    ) -> Result<Entered> {
        let entrypoint = given
            .entrypoint
            .clone()
            .or_else(|| self.entrypoint())
            .ok_or_else(|| {
                Error::argument(
                    "no function of it is a target by its code: name one with an entrypoint",
                )
            })?;
        let id = self.id(registry, known, given, &entrypoint)?;
        let before = registry.targets.get(&id);
        let stated = self
            .function
            .and_then(|function| function.model_output.clone());
        let model_output = given.model_output.clone().or(stated);
        let model_output = model_output
            .or_else(|| before.map(|target| target.model_output.clone()))
            .ok_or_else(|| {
                Error::argument("its code does not say which model output it looks at")
            })?;
        if entrypoint.is_empty() || model_output.is_empty() {
            return Err(Error::argument(
                "a target has an entrypoint and a model output, and neither is empty",
            ));
        }
        let data = self.data(before, given, hashed);
        let files = facts_of(data.iter().chain([self.path]), hashed)?;
        let mut target = TargetEntry {
            path: self.path.clone(),
            entrypoint,
            model_output,
            data,
            registered_at: now,
            digest: digest_of(&files),
            files,
            others: before
                .map(|target| target.others.clone())
                .unwrap_or_default(),
        };
        if let Some(before) = before.filter(|before| before.digest == target.digest) {
            target.registered_at = before.registered_at;
        }
        let is_in_set = given.target_set.as_ref().is_none_or(|set| {
            let targets = registry.target_sets.get(set);
            targets.is_some_and(|targets| targets.contains(&id))
        });
        if before == Some(&target) && is_in_set {
            return Ok(Entered::Unchanged(id));
        }
        let item = RegisteredItem {
            id: id.clone(),
            kind: ItemKind::Target,
            version: None,
            previous: None,
            is_new: before.is_none(),
            files: target.files.len(),
            total_bytes: total_bytes(&target.files),
        };
        if let Some(set) = &given.target_set {
            registry
                .target_sets
                .entry(set.clone())
                .or_default()
                .insert(id.clone());
        }
        known.enter_target(&id, &target.entrypoint);
        registry.targets.insert(id, target);
        Ok(Entered::Registered(item))
    }

    /// What it needs: what is given, else what is registered and the files of the project that the code names.
    fn data(
        &self,
        before: Option<&TargetEntry>,
        given: &Given,
        hashed: &HashedFiles,
    ) -> Vec<RelPath> {
        if !given.data.is_empty() {
            return given.data.clone();
        }
        let mut data: BTreeSet<RelPath> = before
            .iter()
            .flat_map(|target| target.data.clone())
            .collect();
        data.extend(
            self.stated_data()
                .filter(|path| matches!(hashed.get(path), Some(Ok(_)))),
        );
        data.into_iter().collect()
    }

    /// The paths that the code names as its data.
    pub(in crate::project) fn stated_data(&self) -> impl Iterator<Item = RelPath> {
        let stated = self
            .function
            .into_iter()
            .flat_map(|function| &function.data);
        stated.filter_map(|path| RelPath::parse(path).ok())
    }

    fn id(
        &self,
        registry: &ProjectRegistry,
        known: &Known,
        given: &Given,
        entrypoint: &str,
    ) -> Result<String> {
        if let Some(id) = &given.id {
            return Ok(id.clone());
        }
        let registered = known.targets.get(entrypoint);
        let is_it = |id: &&String| {
            let target = registry.targets.get(*id);
            target.is_some_and(|target| target.entrypoint == entrypoint)
        };
        if let Some(id) = registered.filter(is_it) {
            return Ok(id.clone());
        }
        let (module, function) = entrypoint
            .split_once(':')
            .unwrap_or((entrypoint, entrypoint));
        let choices = [function.to_owned(), format!("{module}.{function}")];
        let is_free = |id: &&String| !registry.targets.contains_key(*id);
        choices.iter().find(is_free).cloned().ok_or_else(|| {
            Error::argument(format!(
                "'{}' is the id of another target: name one",
                choices[0]
            ))
        })
    }
}

/// Which version something becomes; `None` when it is the one that is current.
pub(in crate::project) fn next_version(
    before: Option<&ModelEntry>,
    registered: &RegisteredVersion,
    given: Option<&str>,
    stated: Option<&str>,
) -> Result<Option<String>> {
    if let Some(version) = given.or(stated) {
        ModelRef::new("", "m", version).map_err(|error| Error::argument(error.to_string()))?;
    }
    let Some(before) = before else {
        return Ok(Some(given.or(stated).unwrap_or(version::FIRST).to_owned()));
    };
    let current = before.current.as_str();
    let is_same = before
        .current()
        .is_some_and(|now| now.digest == registered.digest);
    // A version that the file states anew counts; one that it kept does not tell the new state from the old.
    let wanted = given.or(stated.filter(|stated| !before.versions.contains_key(*stated)));
    match wanted {
        None if is_same => Ok(None),
        None => Ok(Some(version::next_patch(current))),
        Some(wanted) if wanted == current && is_same => Ok(None),
        Some(wanted) if before.versions.contains_key(wanted) => Err(Error::argument(format!(
            "version '{wanted}' is registered already: choose a higher one than {current}"
        ))),
        Some(wanted) if version::compare(wanted, current).is_lt() => Err(Error::argument(format!(
            "version '{wanted}' is below the current {current}: choose a higher one"
        ))),
        Some(wanted) => Ok(Some(wanted.to_owned())),
    }
}

pub(in crate::project) fn facts_of<'a>(
    files: impl Iterator<Item = &'a RelPath>,
    hashed: &HashedFiles,
) -> Result<Files> {
    let mut facts = Files::new();
    for file in files {
        match hashed.get(file) {
            Some(Ok(of_file)) => {
                facts.insert(file.clone(), *of_file);
            }
            Some(Err(error)) => return Err(Error::argument(crate::error::chain(error))),
            None => {
                return Err(Error::argument(format!(
                    "'{file}' came or went just now, on disk or in the registry: do it again"
                )));
            }
        }
    }
    crate::relpath::check_distinct(facts.keys())
        .map_err(|error| Error::argument(error.to_string()))?;
    Ok(facts)
}
