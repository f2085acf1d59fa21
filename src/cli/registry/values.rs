//! Values of options: sizes and metadata.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::IoContext;
use crate::{Error, Metadata, Result};

/// Parses `8MiB`, `500KB` or `4096`: units with an `i` are binary, others decimal.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let invalid = || "expected a number of bytes, such as 8MiB or 500KB".to_owned();
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
}

/// Parses `KEY=VALUE`, and `@FILE` with a JSON object.
pub(super) fn metadata(given: &[String]) -> Result<Metadata> {
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
    fn sizes_have_units() {
        for (text, expected) in [
            ("8MiB", Some(8 << 20)),
            ("500KB", Some(500_000)),
            ("4096", Some(4096)),
            ("1 GiB", Some(1 << 30)),
            ("x", None),
            ("8Q", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn metadata_is_text_unless_it_is_a_list_or_an_object() {
        let given = [
            "type=classification",
            "tags=[\"a\"]",
            "accuracy=0.97",
            "note=a=b",
        ]
        .map(str::to_owned);
        let metadata = metadata(&given).unwrap();
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            r#"{"accuracy":"0.97","note":"a=b","tags":["a"],"type":"classification"}"#
        );
        assert!(super::metadata(&["novalue".to_owned()]).is_err());
    }
}
