//! The headers of safetensors (<https://github.com/huggingface/safetensors#format>).
//!
//! ```text
//! 8 bytes   length of the header, little endian
//! header    {"__metadata__": {"format": "pt"}, "weight": {"dtype": "F32", "shape": [10, 64], "data_offsets": [0, 2560]}}
//! the rest  the tensors, each at its offsets from here
//! ```
//!
//! As the format demands, no key stands twice, and the tensors cover the rest of the file: none reaches into another, and
//! no byte is left over. A type of number that this crate does not know is taken at its word.

mod header;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ModelFormat;
use super::description::{
    Description, Extent, MAX_DESCRIPTION_CHARS, MAX_ENTRIES, MAX_NAME_CHARS, is_part, kept,
};
use super::file::ModelFile;
use crate::error::Result;

use header::{Header, Tensor};

/// The largest header that is read, in bytes: 100,000 tensors at 150 bytes each, where the largest models have 10,000 a
/// file. The format itself would allow 100 MB, which is a lot to hold for a few facts.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// How much precedes the header: its length.
const LENGTH_BYTES: u64 = 8;

/// Reads headers of safetensors.
#[derive(Debug)]
pub(super) struct Safetensors;

impl ModelFormat for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        if file.extension() != "safetensors" {
            return Ok(None);
        }
        file.refuse_pointer()?;
        let bytes = header_bytes(file)?;
        let header: Header = serde_json::from_slice(&bytes).map_err(|error| {
            file.unreadable(
                "the header is not of the form that safetensors asks for",
                error,
            )
        })?;
        let data_bytes = file.size_bytes() - LENGTH_BYTES - bytes.len() as u64;
        check_cover(&header.tensors, data_bytes).map_err(|message| file.malformed(message))?;
        Ok(Some(describe(header, file)?))
    }
}

/// Reads the header, once it is known to be in the file.
fn header_bytes(file: &ModelFile) -> Result<Vec<u8>> {
    let Some(room) = file.size_bytes().checked_sub(LENGTH_BYTES) else {
        return Err(file.malformed("the file is shorter than the length of a header"));
    };
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > room {
        return Err(file.malformed(format!(
            "the header would have {length} bytes, of which the file has {room}"
        )));
    }
    if length > MAX_HEADER_BYTES {
        return Err(file.malformed(format!(
            "the header has {length} bytes, and more than {MAX_HEADER_BYTES} are not read"
        )));
    }
    let length = usize::try_from(length).map_err(|_| file.malformed("the header is too large"))?;
    let mut bytes = vec![0; length];
    file.read_at(LENGTH_BYTES, &mut bytes)?;
    Ok(bytes)
}

/// Checks that the tensors lie one behind the other and fill what follows the header.
fn check_cover(tensors: &[Tensor], data_bytes: u64) -> Result<(), String> {
    let mut ranges: Vec<(u64, u64)> = tensors.iter().map(|tensor| tensor.range).collect();
    ranges.sort_unstable();
    let mut end = 0;
    for (from, to) in ranges {
        if from < end {
            return Err(format!("two tensors share the byte {from} of the data"));
        }
        if from > end {
            return Err(format!("no tensor has the byte {end} of the data"));
        }
        end = to;
    }
    if end != data_bytes {
        return Err(format!(
            "the tensors have {end} bytes, and {data_bytes} follow the header"
        ));
    }
    Ok(())
}

fn describe(header: Header, file: &ModelFile) -> Result<Description> {
    let Header { tensors, metadata } = header;
    let mut description = Description::default();
    if is_part(file.file_name()) {
        // What it has is not what the model has.
        description.extent = Extent::Folder;
    } else {
        let mut parameters = 0_u64;
        for tensor in &tensors {
            let sum = parameters.checked_add(tensor.elements);
            parameters = sum.ok_or_else(|| file.malformed("the tensors have too many elements"))?;
        }
        description.fact("parameters", Some(parameters));
        description.fact("tensors", Some(tensors.len()));
    }
    let mut dtypes: Vec<String> = tensors.into_iter().map(|tensor| tensor.dtype).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    dtypes.truncate(MAX_ENTRIES);
    description.fact("dtypes", Some(dtypes));
    state(metadata, &mut description);
    Ok(description)
}

/// Takes over what the file states freely: what the model specification has a key for
/// (<https://github.com/Stability-AI/ModelSpec>), with or without its prefix, as that; the rest as it is.
fn state(mut stated: BTreeMap<String, String>, description: &mut Description) {
    let mut take = |key: &str, max_chars| {
        let plain = stated.remove(key);
        let value = stated.remove(&format!("modelspec.{key}")).or(plain);
        value.and_then(|value| kept(&value, max_chars))
    };
    let title = take("title", MAX_NAME_CHARS);
    description.name = title.or_else(|| take("name", MAX_NAME_CHARS));
    description.description = take("description", MAX_DESCRIPTION_CHARS);
    description.version = take("version", MAX_NAME_CHARS);
    for key in ["architecture", "author", "date", "license"] {
        description.fact(key, take(key, MAX_NAME_CHARS));
    }
    if let Some(tags) = take("tags", MAX_DESCRIPTION_CHARS) {
        description.tag_all(&tags);
    }
    let architecture = description.metadata.get("architecture");
    let architecture = architecture.and_then(Value::as_str).unwrap_or_default();
    if ["stable-diffusion", "flux"]
        .iter()
        .any(|known| architecture.to_lowercase().starts_with(known))
    {
        description.model_type = Some("text-to-image".into());
    }
    let rest = stated.into_iter().take(MAX_ENTRIES);
    let rest: Map<String, Value> = rest.map(|(key, value)| (key, value.into())).collect();
    description.fact("safetensors", Some(rest).filter(|rest| !rest.is_empty()));
}
