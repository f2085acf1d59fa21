//! Tokens: which requests carry them, and what happens when a server refuses one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::warn;

use crate::env::clean;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::url::{Scheme, Url};

/// A text that a server knows its user by, and where it came from. Clones share what servers said of it.
#[derive(Debug, Clone)]
pub(crate) struct Credential(Arc<Known>);

#[derive(Debug)]
struct Known {
    /// The variable or file that holds it.
    origin: String,
    /// Or why it cannot be used.
    text: Result<Secret, String>,
    /// Whether a server refused it and served the same without it.
    is_refused: AtomicBool,
}

impl Credential {
    /// Reads the token that a variable or a file holds; `None` if it is empty.
    pub(crate) fn of(origin: impl Into<String>, text: &str) -> Option<Self> {
        let text = clean(text);
        let is_token = text.bytes().all(|c| c.is_ascii_graphic());
        let unusable = "holds a character that no token has, such as a space or a line break";
        let text = is_token.then_some(text).ok_or(unusable);
        (text != Ok("")).then(|| Self::new(origin, text))
    }

    /// Creates one that is known to be usable, or why it is not.
    pub(crate) fn new(origin: impl Into<String>, text: Result<&str, impl ToString>) -> Self {
        Self(Arc::new(Known {
            origin: origin.into(),
            text: text.map(Secret::new).map_err(|reason| reason.to_string()),
            is_refused: AtomicBool::new(false),
        }))
    }

    /// The variable or file that holds it.
    pub(super) fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Whether requests are better sent without it first.
    pub(super) fn is_refused(&self) -> bool {
        self.0.is_refused.load(Relaxed)
    }

    /// Learns that a server refused it, and served the same without it.
    pub(super) fn refused(&self, url: &Url) {
        if !self.0.is_refused.swap(true, Relaxed) {
            let (origin, host) = (self.origin(), url.authority());
            warn!(
                origin,
                host, "{host} refuses the token in {origin}, so requests go on without it"
            );
        }
    }
}

/// The credentials for one origin.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    origin: Url,
    /// The environment variable that may hold the token.
    pub(super) variable: &'static str,
    pub(super) credential: Option<Credential>,
    /// Makes the `Authorization` header of the token.
    header: fn(&str) -> String,
}

impl Token {
    pub(crate) fn new(
        origin: &Url,
        variable: &'static str,
        credential: Option<Credential>,
        header: fn(&str) -> String,
    ) -> Self {
        Self {
            origin: origin.clone(),
            variable,
            credential,
            header,
        }
    }

    /// Whether it may be sent at all: over https, or to this machine.
    pub(super) fn is_safe(&self) -> bool {
        self.origin.scheme() == Scheme::Https || self.origin.is_loopback()
    }

    pub(super) fn is_for(&self, url: &Url) -> bool {
        self.origin.is_above(url)
    }

    pub(super) fn origin(&self) -> &Url {
        &self.origin
    }

    /// The value of the `Authorization` header.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) that names where the token came from, if no header can hold it.
    pub(super) fn authorization(&self, credential: &Credential) -> Result<Secret> {
        match &credential.0.text {
            Ok(text) => Ok(Secret::new((self.header)(text.expose()))),
            Err(reason) => Err(Error::config(format!("{} {reason}", credential.origin()))),
        }
    }
}

/// The form that most interfaces take a token in.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
