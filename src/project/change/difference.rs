//! What differs between two states of a registry, as a person would want to read it.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::modelstoml::{Files, ModelEntry, ProjectRegistry, TargetEntry};
use crate::project::item::ItemKind;
use crate::relpath::RelPath;

/// What differs between two states of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Models and targets that changed, in the order of ids.
    pub changed: Vec<ItemChange>,
    /// What is there no more: models, targets, and files that models had.
    pub dropped: Vec<Dropped>,
    /// How many models and targets are as they were.
    pub unchanged: usize,
}

/// How a model or target changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ItemChange {
    /// Which of the two it is.
    pub kind: ItemKind,
    /// Its id.
    pub id: String,
    /// The fields that changed, the version among them.
    pub fields: Vec<FieldChange>,
    /// Files whose bytes changed.
    pub files_changed: Vec<RelPath>,
    /// Files that are new.
    pub files_added: Vec<RelPath>,
    /// Files that are gone.
    pub files_removed: Vec<RelPath>,
}

/// How a field changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// Its key in the registry.
    pub field: &'static str,
    /// What it was; empty for nothing.
    pub from: String,
    /// What it is; empty for nothing.
    pub to: String,
}

/// What is there no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Whether it is a model or a target, or of which of the two it was a part.
    pub kind: ItemKind,
    /// The id.
    pub id: String,
    /// The files that it lost; empty when it is gone itself.
    pub files: Vec<RelPath>,
}

/// As people read it: the field, what it was and what it is, with `(none)` for nothing.
impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn or_nothing(text: &str) -> &str {
            match text {
                "" => "(none)",
                text => text,
            }
        }
        let (from, to) = (or_nothing(&self.from), or_nothing(&self.to));
        write!(f, "{}: {from} -> {to}", self.field)
    }
}

impl Difference {
    /// Says whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.dropped.is_empty()
    }

    pub(in crate::project) fn between(before: &ProjectRegistry, after: &ProjectRegistry) -> Self {
        let mut difference = Self::default();
        for (id, old) in &before.entries {
            let change = after.entries.get(id).map(|new| of_model(id, old, new));
            difference.enter(ItemKind::Model, id, change);
        }
        for (id, old) in &before.targets {
            let change = after.targets.get(id).map(|new| of_target(id, old, new));
            difference.enter(ItemKind::Target, id, change);
        }
        difference
    }

    /// What changed of the fields, but for the version, in a line each.
    pub(in crate::project) fn words(&self) -> Vec<String> {
        let fields = self.changed.iter().flat_map(|change| &change.fields);
        let fields = fields.filter(|change| change.field != "version");
        fields.map(ToString::to_string).collect()
    }

    fn enter(&mut self, kind: ItemKind, id: &str, change: Option<ItemChange>) {
        let Some(change) = change else {
            self.dropped.push(Dropped {
                kind,
                id: id.to_owned(),
                files: Vec::new(),
            });
            return;
        };
        if change.is_empty() {
            self.unchanged += 1;
            return;
        }
        if !change.files_removed.is_empty() {
            self.dropped.push(Dropped {
                kind,
                id: id.to_owned(),
                files: change.files_removed.clone(),
            });
        }
        self.changed.push(change);
    }
}

impl ItemChange {
    fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.files_changed.is_empty()
            && self.files_added.is_empty()
            && self.files_removed.is_empty()
    }

    fn field(&mut self, field: &'static str, from: String, to: String) {
        if from != to {
            self.fields.push(FieldChange { field, from, to });
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

fn of_model(id: &str, old: &ModelEntry, new: &ModelEntry) -> ItemChange {
    let mut change = empty(ItemKind::Model, id);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    change.field("version", old.current.clone(), new.current.clone());
    change.field("path", old.path.clone(), new.path.clone());
    change.field("name", old.name.clone(), new.name.clone());
    change.field(
        "description",
        old.description.clone(),
        new.description.clone(),
    );
    change.field("type", text(&old.model_type), text(&new.model_type));
    change.field("tags", listed(&old.tags), listed(&new.tags));
    change.field("format", text(&old.format), text(&new.format));
    change.field("entrypoint", text(&old.entrypoint), text(&new.entrypoint));
    change.field("outputs", old.outputs.join(", "), new.outputs.join(", "));
    change.field("data", paths(&old.data), paths(&new.data));
    change.field("code", paths(&old.code), paths(&new.code));
    let nothing = Files::new();
    let [before, after] = [old, new].map(|entry| entry.current().map_or(&nothing, |of| &of.files));
    change.files(before, after);
    change
}

fn of_target(id: &str, old: &TargetEntry, new: &TargetEntry) -> ItemChange {
    let mut change = empty(ItemKind::Target, id);
    change.field("path", old.path.to_string(), new.path.to_string());
    change.field("entrypoint", old.entrypoint.clone(), new.entrypoint.clone());
    change.field(
        "model_output",
        old.model_output.clone(),
        new.model_output.clone(),
    );
    change.field("data", paths(&old.data), paths(&new.data));
    change.files(&old.files, &new.files);
    change
}

fn empty(kind: ItemKind, id: &str) -> ItemChange {
    ItemChange {
        kind,
        id: id.to_owned(),
        fields: Vec::new(),
        files_changed: Vec::new(),
        files_added: Vec::new(),
        files_removed: Vec::new(),
    }
}

fn listed(texts: &BTreeSet<String>) -> String {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.join(", ")
}

fn paths(paths: &[RelPath]) -> String {
    let paths: Vec<&str> = paths.iter().map(RelPath::as_str).collect();
    paths.join(", ")
}
