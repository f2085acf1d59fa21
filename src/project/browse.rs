//! Finding what is registered, and dropping it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::change::sync::{drop_model, drop_target};
use super::home::Project;
use super::item::ItemKind;
use crate::error::{ErrorKind, Result};
use crate::model::nearest;
use crate::modelstoml::{ModelEntry, ProjectRegistry};
use crate::progress::CancelToken;

impl ProjectRegistry {
    /// Finds the models of which every word is somewhere in the id, name, description, tags, type or metadata, in any
    /// case; in the order of ids.
    #[must_use]
    pub fn search(&self, query: &str) -> Vec<(&str, &ModelEntry)> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let matches = |(id, entry): &(&String, &ModelEntry)| {
            let text = text_of(id, entry).to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let found = self.entries.iter().filter(matches);
        found.map(|(id, entry)| (id.as_str(), entry)).collect()
    }

    /// Finds which of the two an id is of: a model before a target.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegistered`] with the ids that come near.
    pub fn kind_of(&self, id: &str) -> Result<ItemKind> {
        if self.entries.contains_key(id) {
            return Ok(ItemKind::Model);
        }
        if self.targets.contains_key(id) {
            return Ok(ItemKind::Target);
        }
        let ids = self.entries.keys().chain(self.targets.keys());
        Err(ErrorKind::NotRegistered {
            id: id.to_owned(),
            near: nearest(id, ids.map(String::as_str)),
        }
        .into())
    }
}

impl Project {
    /// Drops models, with their history, and targets from the registry; files stay. When one of them is not registered,
    /// nothing is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::NotRegistered`]; as [`Project::add`] when the registry cannot be written.
    pub fn remove(
        &mut self,
        ids: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<(ItemKind, String)>> {
        self.change(cancel, |registry| {
            let mut removed = Vec::new();
            for id in ids.iter().collect::<BTreeSet<_>>() {
                let kind = registry.kind_of(id)?;
                match kind {
                    ItemKind::Model => drop_model(registry, id),
                    ItemKind::Target => drop_target(registry, id),
                }
                removed.push((kind, id.clone()));
            }
            Ok(removed)
        })
    }
}

/// Everything that a search looks at, a piece a line.
fn text_of(id: &str, entry: &ModelEntry) -> String {
    let mut text = format!("{id}\n{}\n{}\n", entry.name, entry.description);
    let words = entry
        .model_type
        .iter()
        .chain(&entry.tags)
        .chain(&entry.outputs);
    for word in words {
        text.push_str(word);
        text.push('\n');
    }
    for (key, value) in entry.current().iter().flat_map(|version| &version.metadata) {
        text.push_str(key);
        text.push(' ');
        push(&mut text, value);
        text.push('\n');
    }
    text
}

/// Adds the words of a value.
fn push(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => text.push_str(value),
        Value::Array(values) => values.iter().for_each(|value| {
            push(text, value);
            text.push(' ');
        }),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            text.push_str(key);
            text.push(' ');
            push(text, value);
            text.push(' ');
        }),
        other => text.push_str(&other.to_string()),
    }
}
