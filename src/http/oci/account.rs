//! What a registry knows its user by.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// Credentials, and where they came from.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) login: Login,
    /// The file, the program or the setting, for messages.
    pub(super) origin: String,
}

/// The forms of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// The value of an `Authorization` header with a user and a password.
    Basic(Secret),
    /// A token that only a token service takes, and gives others for.
    Identity(Secret),
}

impl Login {
    pub(super) fn password(user: &str, password: &str) -> Self {
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        Self::Basic(Secret::new(format!("Basic {encoded}")))
    }

    pub(super) fn identity(token: &str) -> Self {
        Self::Identity(Secret::new(token))
    }
}
