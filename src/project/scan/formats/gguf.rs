//! The tables at the start of GGUF files (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! ```text
//! "GGUF"    4 bytes
//! version   u32: 2 and 3 are the same; in 1, counts and lengths are u32
//! counts    u64 of tensors, u64 of keys
//! keys      each a name, the kind of its value (u32), the value
//! tensors   each a name, u32 dimensions with a u64 each, a type (u32), its offset (u64) from the start of the data
//! data      from the next multiple of `general.alignment`, by default 32
//! ```
//!
//! A string is its length in bytes as a u64, and these bytes. Numbers are little endian, or all of them are big endian, as the
//! version tells: no version is so high that its lower half is 0. The vocabulary of a tokenizer, megabytes of values, is skipped
//! and never kept. The size of a tensor depends on its type, which is why only its offset is checked.

mod cursor;
mod table;
#[cfg(test)]
mod tests;
mod words;

use serde_json::Value;

use super::BuiltIn;
use super::description::Description;
use super::file::ModelFile;
use super::part::PartName;
use crate::error::Result;
use crate::text::{long_text, short_text};

use cursor::Cursor;
use table::{Keys, Tensors, read_keys, read_tensors};

/// The first bytes of every file of the format.
const MAGIC: [u8; 4] = *b"GGUF";

pub(super) const FORMAT: BuiltIn = BuiltIn("gguf", read);

fn read(file: &ModelFile) -> Result<Option<Description>> {
    let has_magic = file.head()?.starts_with(&MAGIC);
    if file.extension() != "gguf" && !has_magic {
        return Ok(None);
    }
    file.refuse_pointer()?;
    file.ensure(has_magic, "the file does not begin with 'GGUF'")?;
    let mut cursor = Cursor::new(file)?;
    cursor.skip(MAGIC.len() as u64)?;
    let version = read_version(&mut cursor)?;
    let (count, keys) = (cursor.length()?, cursor.length()?);
    let keys = read_keys(&mut cursor, keys)?;
    let tensors = read_tensors(&mut cursor, count, &keys)?;
    let mut description = describe(&keys, &tensors);
    let is_split = keys.get("split.count").and_then(Value::as_u64) > Some(1);
    let is_part = is_split || PartName::of(file.file_name()).is_some();
    description.tensors(is_part, count, tensors.parameters);
    description.fact("gguf_version", Some(version));
    Ok(Some(description))
}

/// Reads the version, and with it how all other numbers are written.
fn read_version(cursor: &mut Cursor<'_>) -> Result<u64> {
    let version = cursor.number(4)? as u32;
    cursor.is_big_endian = version != 0 && version.trailing_zeros() >= 16;
    let version = match cursor.is_big_endian {
        true => version.swap_bytes(),
        false => version,
    };
    let message = format_args!("version {version} of GGUF is not known");
    cursor.file.ensure((1..=3).contains(&version), message)?;
    if version == 1 {
        cursor.length_bytes = 4;
    }
    Ok(version.into())
}

/// Returns what a file is that is no model by itself; `None` if it is one.
fn kind(keys: &Keys, architecture: Option<&str>, tensors: &Tensors) -> Option<&'static str> {
    let stated = keys.get("general.type").and_then(Value::as_str);
    match (stated.unwrap_or_default(), architecture) {
        ("adapter", _) => Some("adapter"),
        ("imatrix", _) | (_, Some("imatrix")) => Some("imatrix"),
        ("mmproj", _) | (_, Some("clip")) => Some("mmproj"),
        _ if keys.contains_key("adapter.type") => Some("adapter"),
        _ if tensors.types.is_empty() && keys.contains_key("tokenizer.ggml.tokens") => {
            Some("vocabulary")
        }
        _ => None,
    }
}

fn describe(keys: &Keys, tensors: &Tensors) -> Description {
    let text = |key: &str| short_text(keys.get(key)?.as_str()?);
    let number = |key: &str| keys.get(key)?.as_u64();
    let architecture = text("general.architecture");
    let of_architecture = |key: &str| number(&format!("{}.{key}", architecture.as_deref()?));
    let kind = kind(keys, architecture.as_deref(), tensors);
    let model_type = match kind {
        Some("imatrix" | "vocabulary") => Some("other"),
        _ => architecture.as_deref().map(words::model_type),
    };
    let about = keys.get("general.description").and_then(Value::as_str);
    let tags = keys.get("general.tags").and_then(Value::as_array);
    let mut description = Description {
        name: text("general.name"),
        description: about.and_then(long_text),
        version: text("general.version"),
        model_type: model_type.map(str::to_owned),
        ..Description::default()
    };
    for tag in tags.into_iter().flatten() {
        description.tag(tag.as_str().unwrap_or_default());
    }
    description.tag(kind.unwrap_or_default());
    description.fact("gguf_type", kind);
    description.fact("adapter", text("adapter.type"));
    let base = text("general.base_model.0.repo_url").or_else(|| text("general.base_model.0.name"));
    description.fact("base_model", base.map(words::without_hub));
    let of_file = number("general.file_type").and_then(words::quantization);
    let quantization = of_file.or_else(|| words::quantization_of(&tensors.types));
    description.fact("context_length", of_architecture("context_length"));
    description.fact("hidden_size", of_architecture("embedding_length"));
    description.fact("layers", of_architecture("block_count"));
    description.fact("quantization", quantization);
    for fact in ["architecture", "license", "author", "size_label"] {
        description.fact(fact, text(&format!("general.{fact}")));
    }
    description
}
