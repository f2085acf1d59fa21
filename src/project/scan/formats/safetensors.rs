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

use super::BuiltIn;
use super::description::{Description, MAX_ENTRIES};
use super::file::ModelFile;
use super::json::UniqueKeys;
use super::part::PartName;
use crate::error::Result;
use crate::text::{MAX_DESCRIPTION_CHARS, long_text, short_text};

use header::HeaderWire;

/// The largest header that is read, in bytes: 100,000 tensors at 150 bytes each, while the largest models have 10,000 in
/// a file. The format itself allows 100 MB, which is a lot of memory for a few facts.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// The size of the length that precedes the header, in bytes.
const LENGTH_BYTES: u64 = 8;
/// The longest value of the metadata that is kept, in bytes: images and training statistics are longer.
const MAX_VALUE_BYTES: usize = 4 * MAX_DESCRIPTION_CHARS;

pub(super) const FORMAT: BuiltIn = BuiltIn("safetensors", read);

fn read(file: &ModelFile) -> Result<Option<Description>> {
    const OTHER_FORM: &str = "the header is not of the form that safetensors asks for";
    if file.extension() != "safetensors" {
        return Ok(None);
    }
    file.refuse_pointer()?;
    let bytes = header_bytes(file)?;
    let header = serde_json::from_slice::<HeaderWire>(&bytes);
    let header = header.map_err(|error| file.unreadable(OTHER_FORM, error))?;
    let data_bytes = file.size_bytes() - LENGTH_BYTES - bytes.len() as u64;
    check_cover(file, &header, data_bytes)?;
    let mut elements = header.tensors.values().map(|tensor| tensor.elements);
    let parameters = elements.try_fold(0_u64, u64::checked_add);
    let parameters = file.ensure_some(parameters, "the tensors have too many elements")?;
    let dtypes = header
        .tensors
        .values()
        .filter_map(|tensor| short_text(&tensor.dtype));
    let dtypes: BTreeSet<String> = dtypes.collect();
    let dtypes: Vec<String> = dtypes.into_iter().take(MAX_ENTRIES).collect();
    let is_part = PartName::of(file.file_name()).is_some();
    let mut description = Description::default();
    description.tensors(is_part, header.tensors.len() as u64, parameters);
    description.fact("dtypes", Some(dtypes));
    if let Some(UniqueKeys(metadata)) = header.metadata {
        describe_metadata(metadata, &mut description);
    }
    Ok(Some(description))
}

/// Reads the header, after checking that the file contains it.
fn header_bytes(file: &ModelFile) -> Result<Vec<u8>> {
    let room = file.size_bytes().checked_sub(LENGTH_BYTES);
    let room = file.ensure_some(room, "the file is shorter than the length of a header")?;
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    let message =
        format_args!("the header would have {length} bytes, of which the file has {room}");
    file.ensure(length <= room, message)?;
    let message = format_args!(
        "the header has {length} bytes, and more than {MAX_HEADER_BYTES} are not read"
    );
    file.ensure(length <= MAX_HEADER_BYTES, message)?;
    let mut bytes = vec![0; length as usize];
    file.read_at(LENGTH_BYTES, &mut bytes)?;
    Ok(bytes)
}

/// Checks that the tensors cover what follows the header without gaps or overlaps.
fn check_cover(file: &ModelFile, header: &HeaderWire, data_bytes: u64) -> Result<()> {
    let ranges = header.tensors.values().map(|tensor| tensor.data_offsets);
    let mut ranges: Vec<(u64, u64)> = ranges.collect();
    ranges.sort_unstable();
    let mut end = 0;
    for (from, to) in ranges {
        let message = format_args!("two tensors share the byte {from} of the data");
        file.ensure(from >= end, message)?;
        let message = format_args!("no tensor has the byte {end} of the data");
        file.ensure(from == end, message)?;
        end = to;
    }
    let message = format_args!("the tensors have {end} bytes, and {data_bytes} follow the header");
    file.ensure(end == data_bytes, message)
}

/// Adds the metadata: keys of the model specification (<https://github.com/Stability-AI/ModelSpec>), with or without its
/// prefix, by their meaning; all others as they are.
fn describe_metadata(mut metadata: BTreeMap<String, String>, description: &mut Description) {
    metadata.retain(|_, value| value.len() <= MAX_VALUE_BYTES);
    let mut take = |key: &str, keep: fn(&str) -> Option<String>| {
        let plain = metadata.remove(key);
        let specified = metadata.remove(&format!("modelspec.{key}"));
        let mut values = specified.into_iter().chain(plain);
        values.find_map(|value| keep(&value))
    };
    let title = take("title", short_text);
    description.name = title.or_else(|| take("name", short_text));
    description.description = take("description", long_text);
    description.version = take("version", short_text);
    for key in ["author", "date", "license"] {
        description.fact(key, take(key, short_text));
    }
    if let Some(tags) = take("tags", long_text) {
        description.tag_all(&tags);
    }
    let architecture = take("architecture", short_text);
    let lower = architecture.as_deref().unwrap_or_default().to_lowercase();
    if lower.starts_with("stable-diffusion") || lower.starts_with("flux") {
        description.model_type = Some("text-to-image".into());
    }
    description.fact("architecture", architecture);
    let rest = metadata
        .iter()
        .filter_map(|(key, value)| Some((short_text(key)?, long_text(value)?.into())));
    let rest: Map<String, Value> = rest.take(MAX_ENTRIES).collect();
    description.fact("safetensors", Some(rest).filter(|rest| !rest.is_empty()));
}
