//! How two states of a registry differ.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::modelstoml::{Files, ModelEntry, TargetEntry};
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

    /// Adds how a model or target changed; `None` if it no longer exists.
    pub(crate) fn add(&mut self, kind: ItemKind, id: &str, change: Option<ItemChange>) {
        let files = change.as_ref().map(|change| change.files_removed.clone());
        if files.as_ref().is_none_or(|files| !files.is_empty()) {
            let (id, files) = (id.to_owned(), files.unwrap_or_default());
            self.dropped.push(Dropped { kind, id, files });
        }
        match change {
            Some(change) if change.is_empty() => self.unchanged += 1,
            change => self.changed.extend(change),
        }
    }
}

/// The fields of models and targets that are compared, by their keys in machine output.
const FIELDS: [&str; 13] = [
    "version",
    "path",
    "name",
    "description",
    "type",
    "status",
    "tags",
    "format",
    "entrypoint",
    "model_output",
    "outputs",
    "data",
    "code",
];

impl ItemChange {
    pub(crate) fn of_model(id: &str, old: &ModelEntry, new: &ModelEntry) -> Self {
        let none = Files::new();
        let files = [old, new].map(|entry| entry.current().map_or(&none, |of| &of.files));
        Self::new(ItemKind::Model, id, [old, new], files)
    }

    pub(crate) fn of_target(id: &str, old: &TargetEntry, new: &TargetEntry) -> Self {
        let files = [old, new].map(|target| &target.files);
        Self::new(ItemKind::Target, id, [old, new], files)
    }

    fn new(
        kind: ItemKind,
        id: &str,
        entries: [impl Serialize; 2],
        [before, after]: [&Files; 2],
    ) -> Self {
        let [old, new] = entries.map(|entry| serde_json::to_value(entry).unwrap_or_default());
        let fields = FIELDS.into_iter().map(|field| FieldChange {
            field,
            from: text_of(&old[field]),
            to: text_of(&new[field]),
        });
        let changed = after.iter().filter(|(path, facts)| {
            let old = before.get(*path);
            old.is_some_and(|old| !old.match_file(facts))
        });
        let only_in = |files: &Files, other: &Files| {
            let files = files.keys().filter(|path| !other.contains_key(*path));
            files.cloned().collect()
        };
        Self {
            kind,
            id: id.to_owned(),
            fields: fields.filter(|field| field.from != field.to).collect(),
            files_changed: changed.map(|(path, _)| path.clone()).collect(),
            files_added: only_in(after, before),
            files_removed: only_in(before, after),
        }
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.files_changed.is_empty()
            && self.files_added.is_empty()
            && self.files_removed.is_empty()
    }

    /// Returns what changed in the fields, except for the version, a line each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let fields = self.fields.iter();
        let fields = fields.filter(|change| change.field != "version");
        fields.map(ToString::to_string)
    }
}

/// Returns the value of a field as text: lists in a row, nothing as an empty text.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            texts.join(", ")
        }
        _ => String::new(),
    }
}
