//! What is known of a model from its files, and how much of their text is kept.

use serde_json::Value;

use crate::catalog::Metadata;

/// The longest name, author or other short text that is kept, in characters.
pub(super) const MAX_NAME_CHARS: usize = 200;
/// The longest description that is kept, in characters: some files carry a whole page.
pub(super) const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// How many tags are kept, and how many entries of any other list or table that a file states.
pub(super) const MAX_ENTRIES: usize = 100;

/// What a file says about its model. Texts are as the file has them, but for control characters and beyond a cap.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// What people call it.
    pub name: Option<String>,
    /// What it is, in a few sentences.
    pub description: Option<String>,
    /// The model's own version, not that of the format.
    pub version: Option<String>,
    /// What it does: `text-generation`, `text-to-image`, `image-to-text`, `audio-to-text`, `text-to-audio`, `embedding`,
    /// `classification` or `other`; `None` when the file does not say it.
    pub model_type: Option<String>,
    /// Words to find it by, in the file's order; may be empty.
    pub tags: Vec<String>,
    /// Further facts, such as `parameters` and `architecture`; may be empty.
    pub metadata: Metadata,
    /// What of the folder is the model.
    pub extent: Extent,
}

/// Whether a file is a model by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// The file is the model.
    #[default]
    File,
    /// The folder that it lies in is the model.
    Folder,
}

impl Description {
    /// Adds a fact, if there is one and TOML, in which registries are written, can represent it.
    pub(super) fn fact(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value.map(Into::into)
            && value
                .as_u64()
                .is_none_or(|number| i64::try_from(number).is_ok())
        {
            self.metadata.insert(key.to_owned(), value);
        }
    }

    /// Adds a tag, unless it is empty, there already or one too many.
    pub(super) fn tag(&mut self, tag: &str) {
        if let Some(tag) = kept(tag, MAX_NAME_CHARS)
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

/// A text on one line, without control characters and cut at a number of characters; `None` when nothing is left.
pub(super) fn kept(text: &str, max_chars: usize) -> Option<String> {
    let words = text.split_whitespace();
    let mut kept = String::new();
    let mut room = max_chars;
    for c in words.flat_map(|word| word.chars().chain([' '])) {
        if room == 0 {
            break;
        }
        if !c.is_control() {
            kept.push(c);
            room -= 1;
        }
    }
    kept.truncate(kept.trim_end().len());
    (!kept.is_empty()).then_some(kept)
}

/// Whether a file is one of several that a model was split into, as `model-00001-of-00003.safetensors` is.
pub(super) fn is_part(file_name: &str) -> bool {
    let stem = file_name
        .rsplit_once('.')
        .map_or(file_name, |(stem, _)| stem);
    let mut words = stem.rsplit('-');
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(words.next()) && words.next() == Some("of") && is_number(words.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_without_control_characters_and_no_longer_than_its_cap() {
        assert_eq!(kept("  a\r\n\tb  c\u{7} ", 9).as_deref(), Some("a b c"));
        assert_eq!(kept("ππππ", 3).as_deref(), Some("πππ"));
        assert_eq!(kept("ab cd", 3).as_deref(), Some("ab"));
        assert_eq!(kept(" \u{1b} \n", 9), None);
        assert_eq!(kept("", 9), None);
    }

    #[test]
    fn tags_are_read_from_lists_once_each() {
        let mut description = Description::default();
        description.tag_all("[\"a\", 'b']; #c, ,a");
        assert_eq!(description.tags, ["a", "b", "c"]);
        let many: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        description.tag_all(&many.join(","));
        assert_eq!(description.tags.len(), MAX_ENTRIES);
    }

    #[test]
    fn facts_are_what_a_registry_can_hold() {
        let mut description = Description::default();
        description.fact("none", None::<u64>);
        description.fact("beyond", Some(u64::MAX));
        description.fact("most", Some(i64::MAX));
        assert_eq!(description.metadata.keys().collect::<Vec<_>>(), ["most"]);
    }

    #[test]
    fn parts_are_told_by_their_names() {
        assert!(is_part("model-00001-of-00003.safetensors"));
        assert!(is_part("big-q4-00002-of-00002.gguf"));
        for name in [
            "model.gguf",
            "00001-of-00003",
            "a-1-of-3.gguf",
            "of.gguf",
            "",
        ] {
            assert_eq!(is_part(name), name == "00001-of-00003", "{name}");
        }
    }
}
