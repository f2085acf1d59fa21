//! What may be the name of a repository, a tag, or a digest ([specification]).
//!
//! [specification]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests

use crate::digest::Digest;
use crate::relpath::shown;

/// The longest name of a repository that every registry takes, in bytes: it shares 255 with the host.
const MAX_REPOSITORY_BYTES: usize = 200;

/// Whether a text is the name of a repository: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` for each component.
pub(crate) fn is_repository(name: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_component = |component: &str| {
        let bytes = component.as_bytes();
        let mut between = bytes.split(|c| is_word(*c)).filter(|it| !it.is_empty());
        bytes.first().is_some_and(|c| is_word(*c))
            && bytes.last().is_some_and(|c| is_word(*c))
            && between.all(|it| matches!(it, b"." | b"_" | b"__") || it.iter().all(|c| *c == b'-'))
    };
    name.len() <= MAX_REPOSITORY_BYTES && name.split('/').all(is_component)
}

/// Whether a text is a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|c| is_word(*c))
        && bytes.iter().all(|c| is_word(*c) || b".-".contains(c))
}

/// Reads a digest with the name of its algorithm in front.
pub(crate) fn read_digest(text: &str) -> Result<Digest, String> {
    let malformed = || format!("'{}' is no digest", shown(text));
    let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
    match algorithm {
        "sha256" => hex.parse().map_err(|_| malformed()),
        "" => Err(malformed()),
        other => {
            let other = shown(other);
            Err(format!(
                "a digest is of the algorithm '{other}', and only sha256 is read"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_other_texts() {
        assert!(["latest", "q4", "_x", "1.0-rc_1"].into_iter().all(is_tag));
        assert!(is_tag(&"t".repeat(128)));
        for bad in ["", "-a", ".a", "a/b", "a:b", &"t".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}
