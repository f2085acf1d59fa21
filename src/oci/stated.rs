//! What registries state of a manifest in the headers of an answer.

use super::names::read_digest;
use crate::digest::Digest;

/// The header with the digest of the document that an answer is about.
pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";

/// What the answer to HEAD says that a tag names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    Digest(Digest),
    Missing,
    /// The registry does not say.
    Unknown,
}

impl Stated {
    /// Reads the status and the value of [`CONTENT_DIGEST`].
    pub(crate) fn of(status: u16, content_digest: Option<&str>) -> Self {
        match (status, content_digest.and_then(stated_digest)) {
            (404, _) => Self::Missing,
            (200..=299, Some(digest)) => Self::Digest(digest),
            _ => Self::Unknown,
        }
    }
}

/// Reads the value of [`CONTENT_DIGEST`]; `None` if it is of a kind that cannot be compared.
pub(crate) fn stated_digest(text: &str) -> Option<Digest> {
    read_digest(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_which_manifest_it_is_or_nothing() {
        let digest = Digest::of(b"{}");
        let stated = format!(" sha256:{digest}");
        for (status, header, expected) in [
            (200, Some(&*stated), Stated::Digest(digest)),
            (404, Some(&*stated), Stated::Missing),
            (404, None, Stated::Missing),
            (307, Some(&*stated), Stated::Unknown),
            (200, Some("sha512:00"), Stated::Unknown),
            (200, None, Stated::Unknown),
        ] {
            assert_eq!(Stated::of(status, header), expected, "{status} {header:?}");
        }
    }
}
