//! Removing models and targets from the registry.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::modelstoml::ProjectRegistry;
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::project::item::{ItemId, ItemKind};

impl Project {
    /// Removes models, with their history, and targets from the registry; their files stay. If one of them is not
    /// registered, nothing is removed.
    ///
    /// ```
    /// use modelrack::CancelToken;
    /// use modelrack::project::{AddOptions, ItemKind, Project, ProjectOptions};
    ///
    /// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
    /// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
    /// project.add(&[folder.path().join("models")], &AddOptions::default())?;
    /// let removed = project.remove(&["peak"], &CancelToken::new())?;
    /// assert_eq!((removed[0].kind, removed[0].id.as_str()), (ItemKind::Model, "peak"));
    /// assert_eq!(removed[0].to_string(), "model peak");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NotRegistered`](crate::ErrorKind::NotRegistered); those of [`Project::add`] if the registry
    /// cannot be written.
    pub fn remove(&mut self, ids: &[&str], cancel: &CancelToken) -> Result<Vec<ItemId>> {
        self.change(cancel, |registry| {
            let mut removed = Vec::new();
            for id in BTreeSet::from_iter(ids.iter().copied()) {
                let kind = registry.kind_of(id)?;
                match kind {
                    ItemKind::Model => drop(registry.entries.remove(id)),
                    ItemKind::Target => registry.remove_target(id),
                }
                removed.push(ItemId::new(kind, id));
            }
            Ok(removed)
        })
    }
}

impl ProjectRegistry {
    /// Removes a target, from its sets too.
    pub(super) fn remove_target(&mut self, id: &str) {
        self.targets.remove(id);
        for targets in self.target_sets.values_mut() {
            targets.remove(id);
        }
        self.target_sets.retain(|_, targets| !targets.is_empty());
        for weights in self.target_weights.values_mut() {
            weights.remove(id);
        }
        self.target_weights.retain(|_, weights| !weights.is_empty());
    }
}
