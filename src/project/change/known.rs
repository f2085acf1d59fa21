//! What is registered already, found by what tells one model or target from another.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::modelstoml::ProjectRegistry;

/// What is registered, by what tells one model from another.
#[derive(Debug, Default)]
pub(in crate::project) struct Known {
    /// Ids as a system that ignores case sees them → as they are.
    pub(in crate::project) ids: HashMap<String, String>,
    /// Files and folders → the ids that were registered from each; those that have moved since, too.
    pub(in crate::project) at: HashMap<String, BTreeSet<String>>,
    /// Entrypoints of targets → their ids; of those that changed since, the one before, too.
    pub(in crate::project) targets: HashMap<String, String>,
}

impl Known {
    pub(in crate::project) fn of(registry: &ProjectRegistry) -> Self {
        let mut known = Self::default();
        for id in registry.made.models.keys() {
            known.ids.insert(id.to_lowercase(), id.clone());
        }
        for (id, entry) in &registry.entries {
            known.enter(id, &entry.path);
        }
        for (id, target) in &registry.targets {
            known.enter_target(id, &target.entrypoint);
        }
        known
    }

    pub(in crate::project) fn enter(&mut self, id: &str, path: &str) {
        self.ids.insert(id.to_lowercase(), id.to_owned());
        self.at
            .entry(path.to_owned())
            .or_default()
            .insert(id.to_owned());
    }

    pub(in crate::project) fn enter_target(&mut self, id: &str, entrypoint: &str) {
        self.targets
            .entry(entrypoint.to_owned())
            .or_insert_with(|| id.to_owned());
    }

    /// Refuses an id that `make` gave, or that differs from another only in case: a registry with both is one that nobody
    /// reads.
    pub(in crate::project) fn check_id(&self, registry: &ProjectRegistry, id: &str) -> Result<()> {
        match self.ids.get(&id.to_lowercase()) {
            Some(other) if other != id => Err(Error::argument(format!(
                "the id '{id}' differs from '{other}' only in case: choose another"
            ))),
            Some(_) if !registry.entries.contains_key(id) => Err(Error::argument(format!(
                "'{id}' is a model that 'make' found: choose another id"
            ))),
            _ => Ok(()),
        }
    }
}
