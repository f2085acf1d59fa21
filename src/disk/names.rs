//! Names that every file system takes.

use std::fmt::Write as _;

use crate::relpath::is_device_name;

/// Percent-encodes a name into one that every file system takes; [`percent_decode`](crate::url::percent_decode) is its inverse.
pub(crate) fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() || r#"/\:*?"<>|%"#.contains(c) {
            let mut utf8 = [0_u8; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(encoded, "%{byte:02X}");
            }
        } else {
            encoded.push(c);
        }
    }
    if let Some(last @ ('.' | ' ')) = encoded.chars().last() {
        encoded.pop();
        let _ = write!(encoded, "%{:02X}", u32::from(last));
    }
    // Our own folder in a model's folder begins with a dot; so does what people hide.
    if is_device_name(&encoded) || encoded.starts_with('.') {
        escape_first(&encoded)
    } else {
        encoded
    }
}

pub(crate) fn escape_first(name: &str) -> String {
    let mut rest = name.chars();
    match rest.next() {
        Some(first) if first.is_ascii() => format!("%{:02X}{}", u32::from(first), rest.as_str()),
        _ => name.to_owned(),
    }
}
