//! Registering candidates: which id and version they get, and what is new. Nothing here reads a file.

use std::time::SystemTime;

use toml::Table;

use super::candidate::{ModelCandidate, Overrides, TargetCandidate};
use super::ids::Ids;
use crate::catalog::Metadata;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::model::ModelRef;
use crate::modelstoml::{
    Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry, digest_of, total_bytes,
    version,
};
use crate::project::item::{ItemKind, RegisteredItem};
use crate::project::scan::hash::FileHashes;
use crate::relpath::{RelPath, check_distinct};

/// A registry in which models and targets are registered.
#[derive(Debug)]
pub(crate) struct Register<'a> {
    pub(crate) registry: &'a mut ProjectRegistry,
    pub(crate) ids: Ids,
    pub(crate) hashes: &'a FileHashes,
    /// A time just before the files were hashed.
    now: SystemTime,
    registered: Vec<RegisteredItem>,
    /// The ids of what did not change.
    unchanged: Vec<String>,
}

impl<'a> Register<'a> {
    pub(crate) fn new(
        registry: &'a mut ProjectRegistry,
        hashes: &'a FileHashes,
        now: SystemTime,
    ) -> Self {
        Self {
            ids: Ids::of(registry),
            registry,
            hashes,
            now,
            registered: Vec::new(),
            unchanged: Vec::new(),
        }
    }

    /// Returns what was registered, models before targets, and the ids of what did not change, each in the order of ids.
    pub(crate) fn outcome(mut self) -> (Vec<RegisteredItem>, Vec<String>) {
        self.registered
            .sort_by_cached_key(|item| (item.kind, item.id.clone()));
        self.unchanged.sort_unstable();
        (self.registered, self.unchanged)
    }

    /// Registers a model as it is now.
    pub(crate) fn model(
        &mut self,
        candidate: &ModelCandidate<'_>,
        given: &Overrides,
    ) -> Result<()> {
        let registered = candidate.entry(self.registry, &self.ids, given);
        let before = registered.map(|(_, entry)| entry);
        let id = match registered {
            Some((id, _)) => id.clone(),
            None => candidate.new_id(self.registry, &self.ids, given)?,
        };
        let said = &candidate.at.description;
        let mut entry = before.cloned().unwrap_or_default();
        entry.path.clone_from(&candidate.at.path);
        entry.format = candidate.at.format.map(str::to_owned);
        entry.describe(given.details.clone(), candidate.details());
        entry
            .tags
            .extend(given.tags.iter().chain(&said.tags).cloned());
        entry.replace_needed(&given.data, &given.code);
        if entry.name.is_empty() {
            id.clone_into(&mut entry.name);
        }
        let files = candidate.at.files.iter().chain(entry.needed());
        let now = self.version(files, said.metadata.clone())?;
        let stated = said.version.as_deref();
        if let Some(version) = next_version(before, &now, given.version.as_deref(), stated)? {
            entry.versions.insert(version.clone(), now);
            entry.current = version;
        }
        self.put_model(id, entry);
        Ok(())
    }

    /// Returns a version with the files as they are now.
    pub(crate) fn version<'f>(
        &self,
        files: impl Iterator<Item = &'f RelPath>,
        metadata: Metadata,
    ) -> Result<RegisteredVersion> {
        let files = self.facts(files)?;
        Ok(RegisteredVersion {
            registered_at: self.now,
            digest: digest_of(&files),
            files,
            metadata,
        })
    }

    /// Adds or replaces an entry.
    pub(crate) fn put_model(&mut self, id: String, entry: ModelEntry) {
        let before = self.registry.entries.get(&id);
        if before == Some(&entry) {
            return self.unchanged.push(id);
        }
        let current = entry.current();
        self.registered.push(RegisteredItem {
            id: id.clone(),
            kind: ItemKind::Model,
            version: Some(entry.current.clone()),
            previous: before.map(|before| before.current.clone()),
            is_new: before.is_none(),
            files: current.map_or(0, |version| version.files.len()),
            total_bytes: current.map_or(0, RegisteredVersion::total_bytes),
        });
        self.ids.add_model(&id, &entry.path);
        self.registry.entries.insert(id, entry);
    }

    /// Registers a target as it is now.
    pub(crate) fn target(
        &mut self,
        candidate: &TargetCandidate<'_>,
        given: &Overrides,
    ) -> Result<()> {
        let entrypoint = given.details.entrypoint.clone();
        let entrypoint = entrypoint.or_else(|| candidate.entrypoint());
        let entrypoint = entrypoint.ok_or_else(|| {
            Error::argument("the code declares no function of it a target: choose an entrypoint")
        })?;
        let id = candidate.id(self.registry, &self.ids, given, &entrypoint)?;
        let before = self.registry.targets.get(&id);
        let function = candidate.function;
        let stated = function.and_then(|function| function.model_output.clone());
        let registered = before.map(|target| target.model_output.clone());
        let model_output = given.model_output.clone().or(stated).or(registered);
        let model_output = model_output
            .ok_or_else(|| Error::argument("the code does not say which model output it uses"))?;
        if entrypoint.is_empty() || model_output.is_empty() {
            let message = "a target needs an entrypoint and a model output that are not empty";
            return Err(Error::argument(message));
        }
        let data = candidate.data(before, given, self.hashes);
        let files = self.facts(data.iter().chain([candidate.path]))?;
        let digest = digest_of(&files);
        let same = before.filter(|before| before.digest == digest);
        let target = TargetEntry {
            path: candidate.path.clone(),
            entrypoint,
            model_output,
            data,
            registered_at: same.map_or(self.now, |before| before.registered_at),
            digest,
            files,
            others: before.map_or_else(Table::new, |before| before.others.clone()),
        };
        let is_new = before.is_none();
        let is_changed = before != Some(&target);
        let mut is_added = false;
        if let Some(set) = &given.target_set {
            let set = self.registry.target_sets.entry(set.clone()).or_default();
            is_added = set.insert(id.clone());
        }
        if !is_changed && !is_added {
            self.unchanged.push(id);
            return Ok(());
        }
        self.registered.push(RegisteredItem {
            id: id.clone(),
            kind: ItemKind::Target,
            version: None,
            previous: None,
            is_new,
            files: target.files.len(),
            total_bytes: total_bytes(&target.files),
        });
        self.ids.add_target(&id, &target.entrypoint);
        self.registry.targets.insert(id, target);
        Ok(())
    }

    fn facts<'f>(&self, files: impl Iterator<Item = &'f RelPath>) -> Result<Files> {
        let mut facts = Files::new();
        for file in files {
            let hashed = self.hashes.get(file).ok_or_else(|| {
                format!(
                    "'{file}' was added or removed meanwhile, on disk or in the registry: try again"
                )
            });
            if let Ok(Err(error)) = &hashed
                && let ErrorKind::Registry {
                    location, message, ..
                } = error.kind()
            {
                return Err(Error::registry(location, message).naming(file.as_str()));
            }
            let hashed = hashed.and_then(|hashed| hashed.as_ref().map_err(|error| chain(error)));
            let of_file = hashed.map_err(|fault| Error::argument(fault).naming(file.as_str()))?;
            facts.insert(file.clone(), *of_file);
        }
        check_distinct(facts.keys()).map_err(Error::argument_name)?;
        Ok(facts)
    }
}

/// Returns the version that a model gets; `None` if it keeps the current one.
pub(crate) fn next_version(
    before: Option<&ModelEntry>,
    now: &RegisteredVersion,
    given: Option<&str>,
    stated: Option<&str>,
) -> Result<Option<String>> {
    if let Some(version) = given.or(stated) {
        ModelRef::new("", "m", version).map_err(Error::argument_name)?;
    }
    let Some(before) = before else {
        return Ok(Some(given.or(stated).unwrap_or(version::FIRST).to_owned()));
    };
    let current = before.current.as_str();
    let is_same = before
        .current()
        .is_some_and(|before| before.digest == now.digest);
    // A version that the file states only counts if it is new: else it does not distinguish the new state from the old.
    let wanted = given.or(stated.filter(|stated| !before.versions.contains_key(*stated)));
    match wanted {
        None if is_same => Ok(None),
        None => Ok(Some(version::next_patch(current))),
        Some(wanted) if wanted == current && is_same => Ok(None),
        Some(wanted) if before.versions.contains_key(wanted) => Err(Error::argument(format!(
            "version '{wanted}' is already registered: choose one above {current}"
        ))),
        Some(wanted) if version::compare(wanted, current).is_lt() => Err(Error::argument(format!(
            "version '{wanted}' is below the current {current}: choose a higher one"
        ))),
        Some(wanted) => Ok(Some(wanted.to_owned())),
    }
}
