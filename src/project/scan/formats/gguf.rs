//! The tables at the start of GGUF files (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! ```text
//! "GGUF"    4 bytes
//! version   u32; 2 and 3 are the same if numbers are little endian
//! counts    u64 of tensors, u64 of keys
//! keys      each a name, the kind of its value (u32), the value
//! tensors   each a name, u32 dimensions with a u64 each, a type (u32), its offset (u64) from the start of the data
//! data      from the next multiple of `general.alignment`, by default 32
//! ```
//!
//! A string is its length in bytes as a u64, and these bytes. The vocabulary of a tokenizer, megabytes of values, is skipped
//! and never kept. The size of a tensor depends on its type, which is why only its offset is checked.

mod cursor;
mod table;
#[cfg(test)]
mod tests;
mod words;

use serde_json::Value;

use super::BuiltIn;
use super::description::{Description, is_part, long_text, short_text};
use super::file::ModelFile;
use crate::error::Result;

use cursor::Cursor;
use table::{Keys, read_keys, read_tensors};

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
    let version = cursor.number(4)?;
    check_version(version).map_err(|message| file.malformed(message))?;
    let (tensors, keys) = (cursor.number(8)?, cursor.number(8)?);
    let keys = read_keys(&mut cursor, keys)?;
    let parameters = read_tensors(&mut cursor, tensors, &keys)?;
    let mut description = describe(&keys);
    let is_split = keys.get("split.count").and_then(Value::as_u64) > Some(1);
    let is_part = is_split || is_part(file.file_name());
    description.tensors(is_part, tensors, parameters);
    description.fact("gguf_version", Some(version));
    Ok(Some(description))
}

fn check_version(version: u64) -> Result<(), String> {
    match version {
        2 | 3 => Ok(()),
        1 => Err("the file is of version 1 of GGUF, which is no longer in use: convert it".into()),
        // A small version number with its bytes in the other order: no version is this large.
        1.. if version.trailing_zeros() >= 16 => {
            Err("the file is of GGUF with big-endian numbers, which are not read".into())
        }
        _ => Err(format!("version {version} of GGUF is not known")),
    }
}

fn describe(keys: &Keys) -> Description {
    let text = |key: &str| short_text(keys.get(key)?.as_str()?);
    let number = |key: &str| keys.get(key)?.as_u64();
    let architecture = text("general.architecture");
    let of_architecture = |key: &str| number(&format!("{}.{key}", architecture.as_deref()?));
    let model_type = architecture.as_deref().map(words::model_type);
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
    let quantization = number("general.file_type").and_then(words::quantization);
    description.fact("context_length", of_architecture("context_length"));
    description.fact("hidden_size", of_architecture("embedding_length"));
    description.fact("layers", of_architecture("block_count"));
    description.fact("quantization", quantization);
    for fact in ["architecture", "license", "author", "size_label"] {
        description.fact(fact, text(&format!("general.{fact}")));
    }
    description
}
