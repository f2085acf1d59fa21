//! The table of keys, of which a few are kept, and the list of tensors, which are counted.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::super::description::MAX_ENTRIES;
use super::cursor::Cursor;
use crate::error::Result;
use crate::relpath::shown;
use crate::text::MAX_DESCRIPTION_CHARS;

/// How many keys are read; models have fewer than a hundred.
const MAX_KEYS: u64 = 1 << 16;
/// How many tensors are read; the largest models have some thousands.
const MAX_TENSORS: u64 = 1 << 17;
/// How many dimensions a tensor may have; the format currently allows 4.
const MAX_DIMENSIONS: u64 = 8;
/// How deep lists may be nested.
const MAX_DEPTH: usize = 4;
/// The longest name of a key or tensor, in bytes: the limit of the format.
const MAX_NAME_BYTES: u64 = u16::MAX as u64;
/// How much of a text is kept, in bytes: enough for the longest description in any script.
const MAX_TEXT_BYTES: u64 = 4 * MAX_DESCRIPTION_CHARS as u64;
/// The size of the smallest key without the length of its name: its kind, and a value of one byte.
const MIN_KEY_BYTES: u64 = 5;
/// The size of the smallest tensor without the length of its name: no dimensions, its type and its offset.
const MIN_TENSOR_BYTES: u64 = 16;
/// The alignment of the data if no key states it, in bytes.
const ALIGNMENT_BYTES: u64 = 32;

/// The keys whose values are kept.
#[rustfmt::skip]
const KEPT: [&str; 15] = [
    "general.type", "general.base_model.0.name", "general.base_model.0.repo_url", "adapter.type", "general.name", "general.description", "general.architecture", "general.version", "general.license",
    "general.author", "general.size_label", "general.tags", "general.file_type", "general.alignment", "split.count",
];
/// The ends of further such keys, which start with the architecture. Their values are numbers: lists could take much memory,
/// and are skipped.
const KEPT_ENDS: [&str; 3] = [".context_length", ".embedding_length", ".block_count"];

/// The kinds of values that are not numbers.
const TEXT: u64 = 8;
const LIST: u64 = 9;
/// The kinds of whole numbers that may be negative.
const SIGNED: [u64; 4] = [1, 3, 5, 11];
/// The size of a value of each kind, in bytes; texts and lists have at least the length that they start with.
const SIZES: [u64; 13] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 8, 8, 8, 8];

/// The keys with their values; null for those that are not kept.
pub(super) type Keys = HashMap<String, Value>;

/// What the list of tensors says.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    /// How many elements they have in total.
    pub(super) parameters: u64,
    /// Type → how many elements are of it.
    pub(super) types: BTreeMap<u64, u64>,
}

pub(super) fn read_keys(cursor: &mut Cursor<'_>, count: u64) -> Result<Keys> {
    cursor.check_count(count, MIN_KEY_BYTES + cursor.length_bytes, "keys")?;
    let message = format_args!("{count} keys are more than are read");
    cursor.file.ensure(count <= MAX_KEYS, message)?;
    let mut keys = HashMap::new();
    for _ in 0..count {
        let name = read_name(cursor)?;
        let kind = cursor.number(4)?;
        let is_fact = || KEPT_ENDS.iter().any(|end| name.ends_with(end));
        let is_kept = KEPT.contains(&name.as_str()) || kind != LIST && is_fact();
        let value = match is_kept {
            true => read_value(cursor, kind)?,
            false => skip_values(cursor, kind, 1, 0)?,
        };
        let message = format_args!("the key '{}' stands twice", shown(&name));
        cursor.file.ensure(!keys.contains_key(&name), message)?;
        keys.insert(name, value);
    }
    Ok(keys)
}

/// Reads the list of tensors.
pub(super) fn read_tensors(cursor: &mut Cursor<'_>, count: u64, keys: &Keys) -> Result<Tensors> {
    let file = cursor.file;
    cursor.check_count(count, MIN_TENSOR_BYTES + cursor.length_bytes, "tensors")?;
    let message = format_args!("{count} tensors are more than are read");
    file.ensure(count <= MAX_TENSORS, message)?;
    let mut names = HashSet::new();
    let (mut tensors, mut last_offset) = (Tensors::default(), None);
    for _ in 0..count {
        let name = read_name(cursor)?;
        let elements = read_elements(cursor)?;
        let sum = elements.and_then(|elements| tensors.parameters.checked_add(elements));
        let message = format_args!("the tensor '{}' has too many elements", shown(&name));
        tensors.parameters = file.ensure_some(sum, message)?;
        let of_type = tensors.types.entry(cursor.number(4)?).or_default();
        // No more than there are in total.
        *of_type += elements.unwrap_or_default();
        let offset = cursor.number(8)?;
        if elements != Some(0) {
            last_offset = last_offset.max(Some(offset));
        }
        let message = format_args!("the tensor '{}' stands twice", shown(&name));
        file.ensure(!names.contains(&name), message)?;
        names.insert(name);
    }
    let alignment = keys.get("general.alignment").and_then(Value::as_u64);
    let alignment = alignment.unwrap_or(ALIGNMENT_BYTES);
    let data = cursor.at.checked_next_multiple_of(alignment);
    let data = file.ensure_some(data, "the data is aligned to nothing")?;
    let begins = |offset| data.saturating_add(offset) < file.size_bytes();
    let message = "the file ends before its last tensor begins";
    file.ensure(last_offset.is_none_or(begins), message)?;
    Ok(tensors)
}

/// Reads a shape: the product of its dimensions, `None` if that exceeds 64 bits.
fn read_elements(cursor: &mut Cursor<'_>) -> Result<Option<u64>> {
    let dimensions = cursor.number(4)?;
    let message = format_args!("a tensor has {dimensions} dimensions");
    cursor.file.ensure(dimensions <= MAX_DIMENSIONS, message)?;
    let mut elements = Some(1_u64);
    for _ in 0..dimensions {
        let dimension = cursor.length()?;
        elements = elements.and_then(|elements| elements.checked_mul(dimension));
    }
    Ok(elements)
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let name = cursor.string(MAX_NAME_BYTES + 1)?;
    let is_short = name.len() as u64 <= MAX_NAME_BYTES;
    let message = "the name of a key or tensor is too long";
    cursor.file.ensure(is_short, message)?;
    Ok(name)
}

/// Reads a value that is kept: a text, the texts in a list, or a whole number; null for any other.
fn read_value(cursor: &mut Cursor<'_>, kind: u64) -> Result<Value> {
    match kind {
        TEXT => cursor.string(MAX_TEXT_BYTES).map(Value::from),
        LIST => {
            let (kind, count) = (cursor.number(4)?, cursor.length()?);
            let mut texts = Vec::new();
            if kind == TEXT {
                for _ in 0..count.min(MAX_ENTRIES as u64) {
                    texts.push(Value::from(cursor.string(MAX_TEXT_BYTES)?));
                }
            }
            skip_values(cursor, kind, count - texts.len() as u64, 1)?;
            Ok(texts.into())
        }
        0..=5 | 10 | 11 => {
            let bytes = SIZES[kind as usize];
            let number = cursor.number(bytes)?;
            let is_negative = SIGNED.contains(&kind) && number >> (8 * bytes - 1) == 1;
            Ok(Some(number).filter(|_| !is_negative).into())
        }
        _ => skip_values(cursor, kind, 1, 0),
    }
}

/// Skips `count` values of a kind inside `depth` lists, and returns null in their place.
fn skip_values(cursor: &mut Cursor<'_>, kind: u64, count: u64, depth: usize) -> Result<Value> {
    let message = format_args!("no value is of the kind {kind}");
    let bytes = *cursor.file.ensure_some(SIZES.get(kind as usize), message)?;
    let least = match kind {
        TEXT | LIST => cursor.length_bytes,
        _ => bytes,
    };
    cursor.check_count(count, least, "values")?;
    match kind {
        TEXT => {
            for _ in 0..count {
                let length = cursor.length()?;
                cursor.skip(length)?;
            }
        }
        LIST => {
            let message = format_args!("lists lie in more than {MAX_DEPTH} lists");
            cursor.file.ensure(depth < MAX_DEPTH, message)?;
            for _ in 0..count {
                let (kind, count) = (cursor.number(4)?, cursor.length()?);
                skip_values(cursor, kind, count, depth + 1)?;
            }
        }
        _ => cursor.skip(count * bytes)?,
    }
    Ok(Value::Null)
}
