//! The headers of safetensors (<https://github.com/huggingface/safetensors#format>).
//!
//! ```text
//! 8 bytes   length of the header, little endian
//! header    {"__metadata__": {"format": "pt"}, "weight": {"dtype": "F32", "shape": [10, 64], "data_offsets": [0, 2560]}}
//! the rest  the data of the tensors; offsets count from here
//! ```
//!
//! As the format requires, no key is repeated, and the tensors cover the rest of the file without gaps or overlaps. The
//! size of an element is not checked for types that this crate does not know.

mod header;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::ModelFormat;
use super::description::{
    Description, MAX_DESCRIPTION_CHARS, MAX_ENTRIES, is_part, long_text, short_text,
};
use super::file::ModelFile;
use crate::error::Result;

use header::HeaderWire;

/// The largest header that is read, in bytes: 100,000 tensors at 150 bytes each, while the largest models have 10,000 in
/// a file. The format itself allows 100 MB, which is a lot of memory for a few facts.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// The size of the length that precedes the header, in bytes.
const LENGTH_BYTES: u64 = 8;
/// The longest value of the metadata that is kept, in bytes: images and training statistics are longer.
const MAX_VALUE_BYTES: usize = 4 * MAX_DESCRIPTION_CHARS;

/// Reads the headers of safetensors.
#[derive(Debug)]
pub(super) struct Safetensors;

impl ModelFormat for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        const OTHER_FORM: &str = "the header is not of the form that safetensors asks for";
        if file.extension() != "safetensors" {
            return Ok(None);
        }
        file.refuse_pointer()?;
        let bytes = header_bytes(file)?;
        let header: HeaderWire =
            serde_json::from_slice(&bytes).map_err(|error| file.unreadable(OTHER_FORM, error))?;
        let mut parameters = Some(0_u64);
        for (name, tensor) in &header.tensors {
            let elements = tensor.elements(name);
            let elements = elements.map_err(|error| file.unreadable(OTHER_FORM, error))?;
            parameters = parameters.and_then(|sum| sum.checked_add(elements));
        }
        let ranges = header.tensors.values().map(|tensor| tensor.data_offsets);
        let data_bytes = file.size_bytes() - LENGTH_BYTES - bytes.len() as u64;
        check_cover(ranges.collect(), data_bytes).map_err(|message| file.malformed(message))?;
        let parameters =
            parameters.ok_or_else(|| file.malformed("the tensors have too many elements"))?;
        Ok(Some(describe(
            header,
            parameters,
            is_part(file.file_name()),
        )))
    }
}

/// Reads the header, after checking that the file contains it.
fn header_bytes(file: &ModelFile) -> Result<Vec<u8>> {
    let Some(room) = file.size_bytes().checked_sub(LENGTH_BYTES) else {
        return file.refuse("the file is shorter than the length of a header");
    };
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > room {
        return file.refuse(format!(
            "the header would have {length} bytes, of which the file has {room}"
        ));
    }
    if length > MAX_HEADER_BYTES {
        return file.refuse(format!(
            "the header has {length} bytes, and more than {MAX_HEADER_BYTES} are not read"
        ));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(LENGTH_BYTES, &mut bytes)?;
    Ok(bytes)
}

/// Checks that the tensors cover what follows the header without gaps or overlaps.
fn check_cover(mut ranges: Vec<(u64, u64)>, data_bytes: u64) -> Result<(), String> {
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

fn describe(header: HeaderWire, parameters: u64, is_part: bool) -> Description {
    let mut description = Description::default();
    description.tensors(is_part, header.tensors.len() as u64, parameters);
    let dtypes = header
        .tensors
        .values()
        .map(|tensor| short_text(&tensor.dtype).unwrap_or_default());
    let dtypes: BTreeSet<String> = dtypes.collect();
    let dtypes: Vec<String> = dtypes.into_iter().take(MAX_ENTRIES).collect();
    description.fact("dtypes", Some(dtypes));
    let metadata = header.metadata.unwrap_or_default().0;
    let short = metadata
        .iter()
        .filter(|(_, value)| value.len() <= MAX_VALUE_BYTES);
    let kept = short.filter_map(|(key, value)| Some((short_text(key)?, long_text(value)?)));
    describe_metadata(kept.collect(), &mut description);
    description
}

/// Adds the metadata: keys of the model specification (<https://github.com/Stability-AI/ModelSpec>), with or without its
/// prefix, by their meaning; all others as they are.
fn describe_metadata(mut metadata: BTreeMap<String, String>, description: &mut Description) {
    let mut take = |key: &str| {
        let plain = metadata.remove(key);
        metadata.remove(&format!("modelspec.{key}")).or(plain)
    };
    let mut take_short = |key: &str| take(key).and_then(|value| short_text(&value));
    let title = take_short("title");
    description.name = title.or_else(|| take_short("name"));
    description.version = take_short("version");
    for key in ["architecture", "author", "date", "license"] {
        description.fact(key, take_short(key));
    }
    description.description = take("description");
    if let Some(tags) = take("tags") {
        description.tag_all(&tags);
    }
    let architecture = description.metadata.get("architecture");
    let architecture = architecture.and_then(Value::as_str).unwrap_or_default();
    let architecture = architecture.to_lowercase();
    if ["stable-diffusion", "flux"]
        .iter()
        .any(|prefix| architecture.starts_with(prefix))
    {
        description.model_type = Some("text-to-image".into());
    }
    let rest = metadata.into_iter().take(MAX_ENTRIES);
    let rest: Map<String, Value> = rest.map(|(key, value)| (key, value.into())).collect();
    description.fact("safetensors", Some(rest).filter(|rest| !rest.is_empty()));
}
