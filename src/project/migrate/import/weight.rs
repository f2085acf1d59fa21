//! What values take in memory, which is bounded whatever a file says.

use serde_json::Value;

/// How much the values of a registry may take in memory, in bytes, as [`weight_of`] counts them.
pub(super) const MAX_WEIGHT: usize = 256 << 20;

/// What a value takes in memory, about.
pub(super) fn weight_of(value: &Value) -> usize {
    const EACH: usize = 64;
    EACH + match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(weight_of).sum(),
        Value::Object(table) => table
            .iter()
            .map(|(key, value)| EACH + key.len() + weight_of(value))
            .sum(),
        _ => 0,
    }
}
