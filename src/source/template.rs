//! URLs with parts to fill in.

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::url::{InvalidUrl, Url, encode_path};

/// A URL with `{repo}`, `{ref}` and `{path}` in it; `Debug` does not show it, as it may carry a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlTemplate(Secret);

impl UrlTemplate {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    /// Reads a template, which must be a URL once it is filled in.
    ///
    /// # Errors
    /// [`InvalidUrl`] as [`Url::parse`], and for a name in braces that is not known.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let template = Self::new(text.trim());
        let filled = template.text("o/n", "main", "file");
        if filled.contains(['{', '}']) {
            return Err(InvalidUrl::new(
                "a template may contain only {repo}, {ref} and {path}",
            ));
        }
        Url::parse(&filled).map(|_| template)
    }

    /// Returns whether it has a part that is filled in.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.0.expose().contains(part)
    }

    fn text(&self, repo: &str, reference: &str, path: &str) -> String {
        let parts = [("{repo}", repo), ("{ref}", reference), ("{path}", path)];
        let text = self.0.expose().to_owned();
        parts.iter().fold(text, |text, (part, value)| {
            text.replace(part, &encode_path(value))
        })
    }

    pub(crate) fn fill(&self, repo: &str, reference: &str, path: &str) -> Result<Url> {
        let text = self.text(repo, reference, path);
        Url::parse(&text).map_err(|error| {
            let message = format!("the URL template does not fit '{repo}' at '{reference}'");
            Error::config_from(message, error)
        })
    }
}

/// A URL with its credentials, to be continued with a path.
pub(super) fn base(url: &Url) -> String {
    let url = url.with_credentials();
    url.expose().trim_end_matches('/').to_owned()
}
