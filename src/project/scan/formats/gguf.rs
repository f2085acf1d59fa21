//! The tables at the beginning of GGUF files (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! ```text
//! "GGUF"    4 bytes
//! version   u32; 2 and 3 are the same where numbers are little endian
//! counts    u64 of tensors, u64 of keys
//! keys      each a name, the kind of its value (u32), the value
//! tensors   each a name, u32 dimensions with a u64 each, a type (u32), its place (u64) from the end of the tables
//! data      from the next multiple of `general.alignment`, 32 when there is none
//! ```
//!
//! A text is a u64 of its bytes and these. The words of a tokenizer are millions of bytes among the keys: they are gone
//! over, never kept. How many bytes a tensor has depends on its type, so that only where it begins is checked.

mod cursor;
mod table;
#[cfg(test)]
mod tests;
mod words;

use super::ModelFormat;
use super::description::{
    Description, Extent, MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, is_part, kept,
};
use super::file::ModelFile;
use crate::error::Result;

use cursor::Cursor;
use table::{Keys, Tensors};

/// How every file of the format begins.
const MAGIC: [u8; 4] = *b"GGUF";

/// Reads GGUF.
#[derive(Debug)]
pub(super) struct Gguf;

impl ModelFormat for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        if file.extension() != "gguf" && !has_magic(file)? {
            return Ok(None);
        }
        file.refuse_pointer()?;
        if !has_magic(file)? {
            return Err(file.malformed("the file does not begin with 'GGUF'"));
        }
        let mut cursor = Cursor::new(file);
        cursor.skip(MAGIC.len() as u64)?;
        let version = cursor.u32()?;
        check_version(version).map_err(|message| file.malformed(message))?;
        let (tensors, keys) = (cursor.u64()?, cursor.u64()?);
        let keys = Keys::read(&mut cursor, keys)?;
        let tensors = Tensors::read(&mut cursor, tensors, &keys)?;
        Ok(Some(describe(version, &keys, &tensors, file)))
    }
}

fn has_magic(file: &ModelFile) -> Result<bool> {
    Ok(file.head()?.starts_with(&MAGIC))
}

fn check_version(version: u32) -> std::result::Result<(), String> {
    match version {
        2 | 3 => Ok(()),
        1 => Err("the file is of version 1 of GGUF, which is no longer in use: convert it".into()),
        // No version has so many digits: it is a small one, read from the other end.
        _ if version.trailing_zeros() >= 16 && version != 0 => {
            Err("the file is of GGUF with big-endian numbers, which are not read".into())
        }
        _ => Err(format!("version {version} of GGUF is not known")),
    }
}

fn describe(version: u32, keys: &Keys, tensors: &Tensors, file: &ModelFile) -> Description {
    let text = |key: &str| kept(keys.text(key)?, MAX_NAME_CHARS);
    let architecture = text("general.architecture");
    let of_architecture = |key: &str| keys.number(&format!("{}.{key}", architecture.as_deref()?));
    let about = keys.text("general.description");
    let mut description = Description {
        name: text("general.name"),
        description: about.and_then(|about| kept(about, MAX_DESCRIPTION_CHARS)),
        version: text("general.version"),
        model_type: architecture
            .as_deref()
            .map(words::model_type)
            .map(str::to_owned),
        ..Description::default()
    };
    for tag in keys.texts("general.tags") {
        description.tag(tag);
    }
    if is_part(file.file_name()) || keys.number("split.count").is_some_and(|parts| parts > 1) {
        // What it has is not what the model has.
        description.extent = Extent::Folder;
    } else {
        description.fact("parameters", Some(tensors.elements));
        description.fact("tensors", Some(tensors.count));
    }
    description.fact("gguf_version", Some(version));
    description.fact("context_length", of_architecture("context_length"));
    description.fact("hidden_size", of_architecture("embedding_length"));
    description.fact("layers", of_architecture("block_count"));
    description.fact("architecture", architecture.clone());
    let quantization = keys
        .number("general.file_type")
        .and_then(words::quantization);
    description.fact("quantization", quantization);
    for (fact, key) in [
        ("license", "general.license"),
        ("author", "general.author"),
        ("size_label", "general.size_label"),
    ] {
        description.fact(fact, text(key));
    }
    description
}
