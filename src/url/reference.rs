//! References to other documents ([RFC 3986], section 5).
//!
//! [RFC 3986]: https://www.rfc-editor.org/rfc/rfc3986

use super::percent::encode;
use super::{InvalidUrl, Url};

impl Url {
    /// Resolves a reference in the document of this URL, as section 5.2 says. Fragment and credentials are dropped.
    pub(crate) fn resolve(&self, reference: &str) -> Result<Self, InvalidUrl> {
        let reference = reference.trim().split('#').next().unwrap_or_default();
        let target = if has_scheme(reference) {
            Self::parse(reference)?
        } else if reference.starts_with("//") {
            Self::parse(&format!("{}:{reference}", self.scheme.as_str()))?
        } else {
            let (path, query) = match reference.split_once('?') {
                Some((path, query)) => (path, Some(encode(query, b"/?"))),
                None => (reference, None),
            };
            let folder = &self.path[..=self.path.rfind('/').unwrap_or(0)];
            let (path, query) = match path {
                "" => (self.path.clone(), query.or_else(|| self.query.clone())),
                path if path.starts_with('/') => (encode(path, b"/"), query),
                path => (format!("{folder}{}", encode(path, b"/")), query),
            };
            Self {
                path,
                query,
                ..self.clone()
            }
        };
        Ok(Self {
            path: without_dots(&target.path),
            credentials: None,
            ..target
        })
    }
}

/// Returns whether a reference begins with a scheme, such as `https:`.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']);
    let scheme = end.and_then(|end| {
        reference[end..]
            .strip_prefix(':')
            .map(|_| &reference[..end])
    });
    scheme.is_some_and(|scheme| {
        let mut bytes = scheme.bytes();
        bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// Removes the segments `.` and `..` from a path that starts with a slash (section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept = vec![""];
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => kept.truncate((kept.len() - 1).max(1)),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    kept.join("/")
}
