//! What a file says about its model, with limits on how much of it is kept.

use serde_json::Value;

use crate::catalog::Metadata;
use crate::text::short_text;

/// How many tags are kept, and how many entries of any other list or table in a file.
pub(super) const MAX_ENTRIES: usize = 100;

/// What a file states about its model. Formats of this crate drop control characters, and cut long texts. The [module
/// documentation](crate::project::formats) has an example.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The name that people read.
    pub name: Option<String>,
    /// What the model is, in a few sentences.
    pub description: Option<String>,
    /// The version of the model, not of the format.
    pub version: Option<String>,
    /// What it does: `text-generation`, `text-to-image`, `image-to-text`, `audio-to-text`, `text-to-audio`, `embedding`,
    /// `classification` or `other`; `None` if the file does not state it.
    pub model_type: Option<String>,
    /// Keywords to find it by, in the order of the file; may be empty.
    pub tags: Vec<String>,
    /// Further facts, such as `parameters` and `architecture`; may be empty.
    pub metadata: Metadata,
    /// Whether the file alone is the model. Default: it is.
    pub extent: Extent,
    /// Of several files that describe one folder, the one with the lowest rank is the first to be believed.
    pub(super) rank: u8,
}

/// Whether a file is a model by itself.
///
/// ```
/// use modelrack::project::formats::{Description, Extent};
///
/// // What a format says of the `config.json` beside some weights:
/// let mut description = Description::default();
/// assert_eq!(description.extent, Extent::File);
/// description.extent = Extent::Folder;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// The file is the model.
    #[default]
    File,
    /// The model is the folder that contains the file.
    Folder,
}

impl Description {
    /// Adds a fact, if there is a value and TOML, the format of registries, can represent it.
    pub(super) fn fact(&mut self, key: &str, value: Option<impl Into<Value>>) {
        let value = value.map(Into::into);
        let is_too_large = |value: &Value| value.is_u64() && !value.is_i64();
        if let Some(value) = value.filter(|value| !is_too_large(value)) {
            self.metadata.insert(key.to_owned(), value);
        }
    }

    /// Adds the numbers of tensors and parameters. Those of one part of a split model say nothing about the model, which is
    /// the folder.
    pub(super) fn tensors(&mut self, is_part: bool, tensors: u64, parameters: u64) {
        if is_part {
            self.extent = Extent::Folder;
        } else {
            self.fact("tensors", Some(tensors));
            self.fact("parameters", Some(parameters));
        }
    }

    /// Returns how far down it is among the descriptions of one folder: those of the whole folder first.
    pub(crate) fn precedence(&self) -> (bool, u8) {
        (self.extent == Extent::File, self.rank)
    }

    /// Adds what only another description of the same model says.
    pub(crate) fn complete(&mut self, other: Self) {
        self.name = self.name.take().or(other.name);
        self.description = self.description.take().or(other.description);
        self.version = self.version.take().or(other.version);
        self.model_type = self.model_type.take().or(other.model_type);
        other.tags.iter().for_each(|tag| self.tag(tag));
        for (key, value) in other.metadata {
            self.metadata.entry(key).or_insert(value);
        }
    }

    /// Adds a tag, unless it is empty, a duplicate, or there are [`MAX_ENTRIES`] already.
    pub(super) fn tag(&mut self, tag: &str) {
        if let Some(tag) = short_text(tag)
            && self.tags.len() < MAX_ENTRIES
            && !self.tags.contains(&tag)
        {
            self.tags.push(tag);
        }
    }

    /// Adds the tags of a list such as `a, b` or `["a", "b"]`.
    pub(super) fn tag_all(&mut self, list: &str) {
        for tag in list.split([',', ';']) {
            self.tag(tag.trim_matches(|c: char| c.is_whitespace() || "[]\"'`#".contains(c)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_is_split_without_duplicates() {
        let mut description = Description::default();
        description.tag_all("[\"a\", 'b']; #c, ,a");
        assert_eq!(description.tags, ["a", "b", "c"]);
        let many: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        description.tag_all(&many.join(","));
        assert_eq!(description.tags.len(), MAX_ENTRIES);
    }

    #[test]
    fn facts_that_a_registry_cannot_represent_are_omitted() {
        let mut description = Description::default();
        description.fact("none", None::<u64>);
        description.fact("beyond", Some(u64::MAX));
        description.fact("most", Some(i64::MAX));
        assert_eq!(description.metadata.keys().collect::<Vec<_>>(), ["most"]);
    }
}
