//! The file `sizes` of a partial: what was learned about files whose sizes the registry does not state.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What a pull learned about a file whose size the registry does not state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MeasuredFile {
    pub(crate) size_bytes: u64,
    /// Whether its bytes are in the partial.
    pub(crate) is_here: bool,
}

impl MeasuredFile {
    /// A file of which only the size is known.
    pub(crate) fn missing(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            is_here: false,
        }
    }
}

/// Reads the measured files.
pub(super) fn read_sizes(dir: &Path) -> Vec<(usize, MeasuredFile)> {
    let lines = read_numbers(dir).into_iter();
    let measured = lines.filter_map(|line| match line[..] {
        [index, size_bytes, is_here] => Some((
            usize::try_from(index).ok()?,
            MeasuredFile {
                size_bytes,
                is_here: is_here == 1,
            },
        )),
        _ => None,
    });
    measured.collect()
}

/// Reads how much has come of files that are being measured; a later line wins.
pub(super) fn read_begun(dir: &Path) -> HashMap<usize, u64> {
    let lines = read_numbers(dir).into_iter();
    let begun = lines.filter_map(|line| match line[..] {
        [index, bytes] => Some((usize::try_from(index).ok()?, bytes)),
        _ => None,
    });
    begun.collect()
}

/// Reads the lines about sizes; malformed ones are skipped.
fn read_numbers(dir: &Path) -> Vec<Vec<u64>> {
    let text = fs::read_to_string(dir.join("sizes")).unwrap_or_default();
    let numbers = |line: &str| {
        let words = line.strip_suffix('.')?.split(' ');
        words.map(|word| word.parse().ok()).collect()
    };
    text.lines().filter_map(numbers).collect()
}
