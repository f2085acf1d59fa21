//! Metadata as a person types them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::IoContext;
use crate::{Error, Metadata, Result};

/// Parses `KEY=VALUE`, and `@FILE` with a JSON object.
pub(super) fn parse(given: &[String]) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    for text in given {
        if let Some(file) = text.strip_prefix('@') {
            let path = Path::new(file);
            let read = fs::read(path).at("read", path)?;
            let more: Metadata = serde_json::from_slice(&read).map_err(|error| {
                Error::argument(format!("{file} is not a JSON object: {error}"))
            })?;
            metadata.extend(more);
            continue;
        }
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                Error::argument(format!(
                    "the metadata '{}' does not have the form key=value",
                    text.escape_debug()
                ))
            })?;
        // Only JSON lists and objects are read as JSON; everything else is text, numbers included.
        let parsed = serde_json::from_str::<Value>(value)
            .ok()
            .filter(|value| value.is_array() || value.is_object());
        metadata.insert(key.to_owned(), parsed.unwrap_or_else(|| value.into()));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_text_unless_it_is_a_list_or_an_object() {
        let given = [
            "type=classification",
            "tags=[\"a\"]",
            "accuracy=0.97",
            "note=a=b",
        ]
        .map(str::to_owned);
        let metadata = parse(&given).unwrap();
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            r#"{"accuracy":"0.97","note":"a=b","tags":["a"],"type":"classification"}"#
        );
        assert!(parse(&["novalue".to_owned()]).is_err());
    }
}
