//! Indexes of the registered ids.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::modelstoml::ProjectRegistry;

/// The ids of a registry, by name, path and entrypoint.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// Ids in lower case → ids.
    names: HashMap<String, String>,
    /// Files and folders → the ids that were registered from each, in order, including entries that have moved since.
    at: HashMap<String, Vec<String>>,
    /// Entrypoints of targets → their ids, including targets that have changed since.
    targets: HashMap<String, String>,
}

impl Ids {
    pub(crate) fn of(registry: &ProjectRegistry) -> Self {
        let mut ids = Self::default();
        for id in registry.made.models.keys() {
            ids.names.insert(id.to_lowercase(), id.to_string());
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
        let Some(at) = self.at.get_mut(path) else {
            // Most have one, and a list that grows begins with four.
            self.at.insert(path.to_owned(), vec![id.to_owned()]);
            return;
        };
        if let Err(place) = at.binary_search_by(|other| other.as_str().cmp(id)) {
            at.insert(place, id.to_owned());
        }
    }

    pub(crate) fn add_target(&mut self, id: &str, entrypoint: &str) {
        let target = self.targets.entry(entrypoint.to_owned());
        target.or_insert_with(|| id.to_owned());
    }

    /// Returns the id that differs from this one at most in case.
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

    /// Refuses an id of a model that `make` found, or that differs from another only in case: readers refuse such registries.
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
