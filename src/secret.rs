//! Text that must not be shown.

use std::fmt;

/// A credential: neither `Display` nor `Debug` shows it.
///
/// ```
/// use modelrack::transport::Secret;
///
/// let token = Secret::new("hf_abc");
/// assert_eq!(format!("{token} {token:?}"), "… Secret(…)");
/// assert_eq!(token.expose(), "hf_abc");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential; [`Secret`] has an example.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the credential itself, for a request and nothing else; [`Secret`] has an example.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
