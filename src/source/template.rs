//! URLs with parts to fill in.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::url::{InvalidUrl, Url, encode_path};

/// A URL with `{repo}`, `{ref}` and `{path}` in it; `Debug` does not show it, as it may carry a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlTemplate {
    text: Secret,
    /// The setting that has the password.
    setting: Option<Arc<str>>,
}

impl UrlTemplate {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: Secret::new(text),
            setting: None,
        }
    }

    /// Continues a URL, with its user and password.
    pub(super) fn below(url: &Url, path: &str) -> Self {
        let base = url.with_credentials();
        Self {
            setting: url.setting().cloned(),
            ..Self::new(format!("{}/{path}", base.expose().trim_end_matches('/')))
        }
    }

    /// Notes which setting it is.
    pub(super) fn set_in(self, setting: &str) -> Self {
        Self {
            setting: Some(setting.into()),
            ..self
        }
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
        self.text.expose().contains(part)
    }

    fn text(&self, repo: &str, reference: &str, path: &str) -> String {
        let parts = [("{repo}", repo), ("{ref}", reference), ("{path}", path)];
        let text = self.text.expose().to_owned();
        parts.iter().fold(text, |text, (part, value)| {
            text.replace(part, &encode_path(value))
        })
    }

    pub(crate) fn fill(&self, repo: &str, reference: &str, path: &str) -> Result<Url> {
        let text = self.text(repo, reference, path);
        let url = Url::parse(&text).map_err(|error| {
            let message = format!("the URL template does not fit '{repo}' at '{reference}'");
            Error::config_from(message, error)
        })?;
        Ok(match &self.setting {
            Some(setting) => url.set_in(setting.clone()),
            None => url,
        })
    }
}
