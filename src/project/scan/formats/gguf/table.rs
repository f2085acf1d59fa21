//! The table of keys, of which a few are kept, and the list of tensors, which are counted.

use std::collections::{HashMap, HashSet};

use super::super::description::{MAX_DESCRIPTION_CHARS, MAX_ENTRIES};
use super::cursor::Cursor;
use crate::error::Result;
use crate::relpath::shown;

/// How many keys are read; models have fewer than a hundred.
const MAX_KEYS: u64 = 1 << 16;
/// How many tensors are read; the largest models have some thousands.
const MAX_TENSORS: u64 = 1 << 17;
/// How many dimensions a tensor may have; the format's own limit is 4 for now.
const MAX_DIMENSIONS: u32 = 8;
/// How deep lists may lie in lists.
const MAX_DEPTH: usize = 4;
/// The longest name of a key or tensor, in bytes: the format's own limit.
const MAX_NAME_BYTES: u64 = u16::MAX as u64;
/// How much of a text is kept, in bytes: whatever its script, as much as a description may have.
const MAX_TEXT_BYTES: u64 = 4 * MAX_DESCRIPTION_CHARS as u64;
/// The least that a key and a tensor have, in bytes: their lengths, kinds and places.
const LEAST_KEY_BYTES: u64 = 13;
const LEAST_TENSOR_BYTES: u64 = 24;
/// What data is aligned to where no key says it, in bytes.
const ALIGNMENT_BYTES: u64 = 32;

/// The kinds of values that are told apart; numbers have their sizes.
const SIGNED: [u32; 4] = [1, 3, 5, 11];
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// The keys whose values are kept, when they are texts, lists of texts, or unsigned numbers.
const KEPT: [&str; 11] = [
    "general.name",
    "general.description",
    "general.architecture",
    "general.version",
    "general.license",
    "general.author",
    "general.size_label",
    "general.tags",
    "general.file_type",
    "general.alignment",
    "split.count",
];
/// The ends of more such keys, in front of which stands the architecture.
const KEPT_ENDS: [&str; 3] = [".context_length", ".embedding_length", ".block_count"];

/// What the keys say, as far as somebody may ask for it.
#[derive(Debug)]
pub(super) struct Keys(HashMap<String, Value>);

#[derive(Debug)]
enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
    /// Of another kind, or of a key that nobody asks for.
    Passed,
}

impl Keys {
    pub(super) fn read(cursor: &mut Cursor<'_>, count: u64) -> Result<Self> {
        cursor.check_count(count, LEAST_KEY_BYTES, "keys")?;
        if count > MAX_KEYS {
            return Err(cursor.malformed(format!("{count} keys are more than are read")));
        }
        let mut keys = HashMap::new();
        for _ in 0..count {
            let name = read_name(cursor)?;
            let kind = cursor.u32()?;
            let is_kept =
                KEPT.contains(&name.as_str()) || KEPT_ENDS.iter().any(|end| name.ends_with(end));
            let value = if is_kept {
                read_value(cursor, kind)?
            } else {
                skip_values(cursor, kind, 1, 0)?;
                Value::Passed
            };
            if keys.contains_key(&name) {
                let name = shown(&name);
                return Err(cursor.malformed(format!("the key '{name}' stands twice")));
            }
            keys.insert(name, value);
        }
        Ok(Self(keys))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn texts(&self, key: &str) -> &[String] {
        match self.0.get(key) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// How many tensors there are, and how many elements they have together.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) count: u64,
    pub(super) elements: u64,
}

impl Tensors {
    pub(super) fn read(cursor: &mut Cursor<'_>, count: u64, keys: &Keys) -> Result<Self> {
        cursor.check_count(count, LEAST_TENSOR_BYTES, "tensors")?;
        if count > MAX_TENSORS {
            return Err(cursor.malformed(format!("{count} tensors are more than are read")));
        }
        let alignment = keys.number("general.alignment").unwrap_or(ALIGNMENT_BYTES);
        let (mut elements, mut farthest) = (0_u64, None);
        let mut names = HashSet::new();
        for _ in 0..count {
            let name = read_name(cursor)?;
            let own = read_elements(cursor)?;
            let sum = own.and_then(|own| elements.checked_add(own));
            elements = sum.ok_or_else(|| {
                let name = shown(&name);
                cursor.malformed(format!("the tensor '{name}' has too many elements"))
            })?;
            // Its type.
            cursor.skip(4)?;
            let offset = cursor.u64()?;
            if own != Some(0) {
                farthest = farthest.max(Some(offset));
            }
            if let Some(name) = names.replace(name) {
                let name = shown(&name);
                return Err(cursor.malformed(format!("the tensor '{name}' stands twice")));
            }
        }
        let data = cursor.at().checked_next_multiple_of(alignment);
        let data = data.ok_or_else(|| cursor.malformed("the data is aligned to nothing"))?;
        if let Some(farthest) = farthest
            && data
                .checked_add(farthest)
                .is_none_or(|at| at >= cursor.size_bytes())
        {
            return Err(cursor.malformed("the file ends before its last tensor begins"));
        }
        Ok(Self { count, elements })
    }
}

/// Reads a shape: the product of its dimensions, `None` when no number has room for it.
fn read_elements(cursor: &mut Cursor<'_>) -> Result<Option<u64>> {
    let dimensions = cursor.u32()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(cursor.malformed(format!("a tensor has {dimensions} dimensions")));
    }
    let mut elements = Some(1_u64);
    for _ in 0..dimensions {
        let dimension = cursor.u64()?;
        elements = elements.and_then(|elements| elements.checked_mul(dimension));
    }
    Ok(elements)
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let name = cursor.text(MAX_NAME_BYTES + 1)?;
    if name.len() as u64 > MAX_NAME_BYTES {
        return Err(cursor.malformed("the name of a key or tensor is too long"));
    }
    Ok(name)
}

/// Reads a value that is kept, unless it is of a kind that nobody asks for.
fn read_value(cursor: &mut Cursor<'_>, kind: u32) -> Result<Value> {
    match (kind, size(kind)) {
        (TEXT, _) => cursor.text(MAX_TEXT_BYTES).map(Value::Text),
        (LIST, _) => {
            let (kind, count) = (cursor.u32()?, cursor.u64()?);
            let kept = if kind == TEXT {
                count.min(MAX_ENTRIES as u64)
            } else {
                0
            };
            let texts = (0..kept)
                .map(|_| cursor.text(MAX_TEXT_BYTES))
                .collect::<Result<_>>()?;
            skip_values(cursor, kind, count - kept, 1)?;
            Ok(Value::Texts(texts))
        }
        // Decimals, and yes or no.
        (6 | 7 | 12, _) | (_, None) => skip_values(cursor, kind, 1, 0).map(|()| Value::Passed),
        (_, Some(size)) => {
            let number = cursor.unsigned(size)?;
            let is_negative = SIGNED.contains(&kind) && number >> (8 * size - 1) != 0;
            Ok(if is_negative {
                Value::Passed
            } else {
                Value::Number(number)
            })
        }
    }
}

/// Goes behind so many values of a kind, which lie so deep in lists.
fn skip_values(cursor: &mut Cursor<'_>, kind: u32, count: u64, depth: usize) -> Result<()> {
    if let Some(size) = size(kind) {
        cursor.check_count(count, size, "values")?;
        return cursor.skip(count * size);
    }
    // Each text and each list has at least a length: no more of them are gone over than the file has room for.
    cursor.check_count(count, 8, "values")?;
    match kind {
        TEXT => (0..count).try_for_each(|_| cursor.skip_text()),
        LIST if depth < MAX_DEPTH => (0..count).try_for_each(|_| {
            let (kind, count) = (cursor.u32()?, cursor.u64()?);
            skip_values(cursor, kind, count, depth + 1)
        }),
        LIST => Err(cursor.malformed(format!("lists lie in more than {MAX_DEPTH} lists"))),
        _ => Err(cursor.malformed(format!("no value is of the kind {kind}"))),
    }
}

/// How many bytes a number of a kind has, or yes or no; `None` for other kinds.
fn size(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}
