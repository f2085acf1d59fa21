//! Percent-encoding ([RFC 3986]).
//!
//! [RFC 3986]: https://www.rfc-editor.org/rfc/rfc3986

use std::fmt::Write as _;

/// Percent-encodes a relative path, but not its slashes.
pub(crate) fn encode_path(relative: &str) -> String {
    encode(&relative.replace('%', "%25"), b"/")
}

/// Percent-encodes one component of a path, slashes included.
pub(crate) fn encode_component(component: &str) -> String {
    encode(&component.replace('%', "%25"), b"")
}

/// Percent-encodes everything except unreserved characters and `keep`: the only form that no reader takes for something else, and
/// that a signature is the same for on both sides.
pub(crate) fn encode_strictly(bytes: &[u8], keep: &[u8]) -> String {
    escape(bytes, |byte| keep.contains(&byte))
}

/// Percent-encodes everything except the characters that mean something in some part of a URL, existing escapes, and `keep`.
pub(super) fn encode(text: &str, keep: &[u8]) -> String {
    let keeps = |byte| b"!$&'()*+,;=:@%".contains(&byte) || keep.contains(&byte);
    escape(text.as_bytes(), keeps)
}

/// Percent-encodes everything except unreserved characters and what is to be kept.
fn escape(bytes: &[u8], keeps: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keeps(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Decodes `%xx` escapes; any other `%` stays.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push((high << 4 | low) as u8);
            rest = after;
        } else {
            out.push(*byte);
            rest = after;
        }
    }
    out
}
