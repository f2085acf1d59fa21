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
    /// Whether a model that changed gets the next version.
    auto_version: bool,
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
        auto_version: bool,
    ) -> Self {
        Self {
            ids: Ids::of(registry),
            registry,
            hashes,
            auto_version,
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
        let wanted = [given.version.as_deref(), stated];
        let mut next = next_version(before, &now, wanted[0], wanted[1])?;
        let is_wanted = |next: &String| before.is_none() || wanted.contains(&Some(next));
        if !self.auto_version && !next.as_ref().is_none_or(is_wanted) {
            // Another state of the current version, in place of the one that is registered.
            entry.versions.remove(&entry.current);
            next = None;
        }
        entry.put_current(next, now);
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
        let mut files = self.facts(data.iter().chain([candidate.path]))?;
        let same = before.filter(|before| are_same(&before.files, &files));
        if let Some(before) = same {
            complete(&mut files, &before.files);
        }
        let digest = digest_of(&files);
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
        let mut facts = Vec::with_capacity(files.size_hint().0);
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
            facts.push((file.clone(), *of_file));
        }
        let facts: Files = facts.into_iter().collect();
        check_distinct(facts.keys()).map_err(Error::argument_name)?;
        Ok(facts)
    }
}

impl ModelEntry {
    /// Makes a state the current version, which is new or has these files already; without a name, it is that which is
    /// current. A version that is registered stays as it is, but for sizes that were unknown.
    pub(crate) fn put_current(&mut self, name: Option<String>, now: RegisteredVersion) {
        self.current = name.unwrap_or_else(|| self.current.clone());
        let Some(registered) = self.versions.get_mut(&self.current) else {
            self.versions.insert(self.current.clone(), now);
            return;
        };
        let mut files = now.files;
        complete(&mut files, &registered.files);
        registered.files = files;
        registered.digest = digest_of(&registered.files);
    }

    /// Returns the highest version that is the same as a state.
    fn version_of(&self, now: &RegisteredVersion) -> Option<&str> {
        let mut history = self.history().into_iter().rev();
        let known = history.find(|(_, version)| version.is_same(now));
        known.map(|(name, _)| name)
    }
}

impl RegisteredVersion {
    /// Returns whether a state has the same files, where the sizes of some may be unknown.
    pub(crate) fn is_same(&self, now: &Self) -> bool {
        self.digest == now.digest || are_same(&self.files, &now.files)
    }
}

/// Returns whether files are the same, where the sizes of some may be unknown.
fn are_same(one: &Files, other: &Files) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs.all(|((path, facts), (other_path, other))| {
            path == other_path && (facts.match_file(other) || other.match_file(facts))
        })
}

/// Adds sizes that are unknown, of the same files.
fn complete(files: &mut Files, others: &Files) {
    let unknown = files
        .iter_mut()
        .filter(|(_, facts)| facts.known_bytes().is_none());
    for (path, facts) in unknown {
        *facts = others.get(path).copied().unwrap_or(*facts);
    }
}

/// Returns the version that a model gets, which is one that it had if its files are those of that; `None` if it keeps the
/// current one.
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
    let is_of = |name: &str| {
        let version = before.versions.get(name);
        version.is_some_and(|version| version.is_same(now))
    };
    let history = before.history();
    let highest = history.last().map_or(&*before.current, |(name, _)| *name);
    let is_current = is_of(&before.current);
    // A version that the file states only counts if it is new: else it does not distinguish the new state from the old.
    let wanted = given.or(stated.filter(|stated| !before.versions.contains_key(*stated)));
    match wanted {
        None if is_current => Ok(None),
        None => {
            let known = before.version_of(now).map(str::to_owned);
            Ok(known.or_else(|| Some(version::next_patch(highest))))
        }
        Some(wanted) if is_of(wanted) && (wanted == before.current || !is_current) => {
            Ok(Some(wanted.to_owned()))
        }
        Some(wanted) if before.versions.contains_key(wanted) => Err(Error::argument(format!(
            "version '{wanted}' is already registered: choose one above {highest}"
        ))),
        Some(wanted) if version::compare(wanted, highest).is_lt() => Err(Error::argument(format!(
            "version '{wanted}' is below the highest, {highest}: choose a higher one"
        ))),
        Some(wanted) => Ok(Some(wanted.to_owned())),
    }
}
