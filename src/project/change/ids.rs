//! The ids that are registered, by what tells one model or target from another.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::modelstoml::ProjectRegistry;

/// The ids of a registry, found by what they are the ids of.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// Ids as a system that ignores case sees them → as they are.
    names: HashMap<String, String>,
    /// Files and folders → the ids that were registered from each, including those that have moved since.
    at: HashMap<String, BTreeSet<String>>,
    /// Entrypoints of targets → their ids, including those that changed since.
    targets: HashMap<String, String>,
}

impl Ids {
    pub(crate) fn of(registry: &ProjectRegistry) -> Self {
        let mut ids = Self::default();
        for id in registry.made.models.keys() {
            ids.names.insert(id.to_lowercase(), id.clone());
        }
        for (id, entry) in &registry.entries {
            ids.add_model(id, &entry.path);
        }
        for (id, target) in &registry.targets {
            ids.add_target(id, &target.entrypoint);
        }
        ids
    }

    pub(crate) fn add_model(&mut self, id: &str, path: &str) {
        self.names.insert(id.to_lowercase(), id.to_owned());
        let at = self.at.entry(path.to_owned()).or_default();
        at.insert(id.to_owned());
    }

    pub(crate) fn add_target(&mut self, id: &str, entrypoint: &str) {
        let target = self.targets.entry(entrypoint.to_owned());
        target.or_insert_with(|| id.to_owned());
    }

    /// Returns the model whose id differs from this one at most by case.
    pub(crate) fn taken_by(&self, id: &str) -> Option<&String> {
        self.names.get(&id.to_lowercase())
    }

    /// Returns the models that were registered from a file or folder.
    pub(crate) fn at(&self, path: &str) -> impl Iterator<Item = &String> + Clone {
        self.at.get(path).into_iter().flatten()
    }

    /// Returns the target that was registered with an entrypoint.
    pub(crate) fn target(&self, entrypoint: &str) -> Option<&String> {
        self.targets.get(entrypoint)
    }

    /// Refuses an id that `make` gave, or that differs from another only by case: no reader accepts a registry with both.
    pub(crate) fn check(&self, registry: &ProjectRegistry, id: &str) -> Result<()> {
        match self.taken_by(id) {
            Some(other) if other != id => Err(Error::argument(format!(
                "the id '{id}' differs from '{other}' only in case: choose another"
            ))),
            Some(_) if !registry.entries.contains_key(id) => Err(Error::argument(format!(
                "'{id}' is a model found by 'make': choose another id"
            ))),
            _ => Ok(()),
        }
    }
}
