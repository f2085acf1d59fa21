//! Entries of a registry that cannot be offered, which the others need not suffer for.

use std::fmt;

use tracing::warn;

/// How many of the entries that are left out of a registry are said.
pub(super) const LEFT_OUT_SHOWN: usize = 5;

/// How many of them are remembered.
pub(super) const MAX_LEFT_OUT: usize = 1000;

/// Says which of `count` entries of a registry are left out, and why.
pub(super) fn warn_left_out(
    location: impl fmt::Display,
    left_out: &[impl fmt::Display],
    count: usize,
) {
    if count == 0 {
        return;
    }
    let (entries, is) = match count {
        1 => ("an entry".to_owned(), "is"),
        several => (format!("{several} entries"), "are"),
    };
    let shown = left_out.iter().take(LEFT_OUT_SHOWN);
    let mut shown: Vec<String> = shown.map(ToString::to_string).collect();
    if count > shown.len() {
        shown.push(format!("and {} more", count - shown.len()));
    }
    let reasons = shown.join("; ");
    warn!("{entries} of the registry {is} left out: {reasons} ({location})");
}
