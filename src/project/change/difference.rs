//! How two states of a registry differ.

use std::fmt;

use serde::Serialize;

use crate::modelstoml::{Files, ModelEntry, ProjectRegistry, TargetEntry};
use crate::project::item::ItemKind;
use crate::relpath::RelPath;

/// What differs between two states of a registry; [`ResyncReport`](crate::project::ResyncReport) has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Models and targets that changed, in the order of ids.
    pub changed: Vec<ItemChange>,
    /// What no longer exists: models, targets, and files of models.
    pub dropped: Vec<Dropped>,
    /// The number of models and targets that did not change.
    pub unchanged: usize,
}

/// How a model or target changed; [`ResyncReport`](crate::project::ResyncReport) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ItemChange {
    /// Whether it is a model or a target.
    pub kind: ItemKind,
    /// Its id.
    pub id: String,
    /// The fields that changed, including the version.
    pub fields: Vec<FieldChange>,
    /// Files whose content changed, in order.
    pub files_changed: Vec<RelPath>,
    /// Files that are new, in order.
    pub files_added: Vec<RelPath>,
    /// Files that no longer exist, in order.
    pub files_removed: Vec<RelPath>,
}

/// How a field changed, shown as `version: 1.0.0 → 1.0.1`; [`ResyncReport`](crate::project::ResyncReport) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// Its key in the registry.
    pub field: &'static str,
    /// Its old value; empty if it had none.
    pub from: String,
    /// Its new value; empty if it has none.
    pub to: String,
}

/// What no longer exists; [`ResyncReport`](crate::project::ResyncReport) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Whether it is a model or a target that no longer exists, or that lost files.
    pub kind: ItemKind,
    /// Its id.
    pub id: String,
    /// The files that it lost; empty if it no longer exists itself.
    pub files: Vec<RelPath>,
}

/// The field, its old and its new value, with `(none)` for an empty one.
impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [&self.from, &self.to].map(|text| match text.as_str() {
            "" => "(none)",
            text => text,
        });
        write!(f, "{}: {from} -> {to}", self.field)
    }
}

impl Difference {
    /// Returns whether nothing differs; [`ResyncReport`](crate::project::ResyncReport) has an example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.dropped.is_empty()
    }

    pub(crate) fn between(before: &ProjectRegistry, after: &ProjectRegistry) -> Self {
        let mut difference = Self::default();
        for (id, old) in &before.entries {
            let new = after.entries.get(id);
            let change = new.map(|new| ItemChange::of_model(id, old, new));
            difference.add(ItemKind::Model, id, change);
        }
        for (id, old) in &before.targets {
            let new = after.targets.get(id);
            let change = new.map(|new| ItemChange::of_target(id, old, new));
            difference.add(ItemKind::Target, id, change);
        }
        difference
    }

    fn add(&mut self, kind: ItemKind, id: &str, change: Option<ItemChange>) {
        let mut drop = |files| {
            let id = id.to_owned();
            self.dropped.push(Dropped { kind, id, files });
        };
        match change {
            None => drop(Vec::new()),
            Some(change) if change.is_empty() => self.unchanged += 1,
            Some(change) => {
                if !change.files_removed.is_empty() {
                    drop(change.files_removed.clone());
                }
                self.changed.push(change);
            }
        }
    }
}

impl ItemChange {
    pub(crate) fn of_model(id: &str, old: &ModelEntry, new: &ModelEntry) -> Self {
        let mut change = Self::new(ItemKind::Model, id);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let [before, after] = [old, new].map(|entry| {
            [
                ("version", entry.current.clone()),
                ("path", entry.path.clone()),
                ("name", entry.name.clone()),
                ("description", entry.description.clone()),
                ("type", text(&entry.model_type)),
                ("tags", joined(&entry.tags)),
                ("format", text(&entry.format)),
                ("entrypoint", text(&entry.entrypoint)),
                ("outputs", joined(&entry.outputs)),
                ("data", joined(&entry.data)),
                ("code", joined(&entry.code)),
            ]
        });
        change.fields(before, after);
        let none = Files::new();
        let [before, after] = [old, new].map(|entry| entry.current().map_or(&none, |v| &v.files));
        change.files(before, after);
        change
    }

    pub(crate) fn of_target(id: &str, old: &TargetEntry, new: &TargetEntry) -> Self {
        let mut change = Self::new(ItemKind::Target, id);
        let [before, after] = [old, new].map(|target| {
            [
                ("path", target.path.to_string()),
                ("entrypoint", target.entrypoint.clone()),
                ("model_output", target.model_output.clone()),
                ("data", joined(&target.data)),
            ]
        });
        change.fields(before, after);
        change.files(&old.files, &new.files);
        change
    }

    /// Returns what changed in the fields, except for the version, a line each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let fields = self
            .fields
            .iter()
            .filter(|change| change.field != "version");
        fields.map(ToString::to_string)
    }

    fn new(kind: ItemKind, id: &str) -> Self {
        Self {
            kind,
            id: id.to_owned(),
            fields: Vec::new(),
            files_changed: Vec::new(),
            files_added: Vec::new(),
            files_removed: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.files_changed.is_empty()
            && self.files_added.is_empty()
            && self.files_removed.is_empty()
    }

    fn fields<const N: usize>(
        &mut self,
        before: [(&'static str, String); N],
        after: [(&'static str, String); N],
    ) {
        for ((field, from), (_, to)) in before.into_iter().zip(after) {
            if from != to {
                self.fields.push(FieldChange { field, from, to });
            }
        }
    }

    fn files(&mut self, before: &Files, after: &Files) {
        for (path, facts) in after {
            match before.get(path) {
                None => self.files_added.push(path.clone()),
                Some(old) if old != facts => self.files_changed.push(path.clone()),
                Some(_) => {}
            }
        }
        let is_gone = |path: &&RelPath| !after.contains_key(*path);
        self.files_removed
            .extend(before.keys().filter(is_gone).cloned());
    }
}

/// Lists texts in a row.
pub(crate) fn joined<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(text.as_ref());
    }
    joined
}
