//! Why a request failed, and whether to try again.

use std::path::Path;

use super::GetOptions;
use super::retry::Fault;
use crate::error::{AuthFailure, BoxError, Error, ErrorKind};
use crate::url::Url;

/// A failed request: the error, and whether to try again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) fault: Fault,
    /// Whether the request that failed carried a token.
    pub(super) had_token: bool,
}

impl Failure {
    pub(crate) fn last(error: impl Into<Error>) -> Self {
        Self {
            error: error.into(),
            fault: Fault::Final,
            had_token: false,
        }
    }

    pub(crate) fn transient(error: impl Into<Error>) -> Self {
        Self {
            error: error.into(),
            fault: Fault::Transient,
            had_token: false,
        }
    }

    /// The same of a place that a redirect led to. Such an address may be good for minutes only, and whoever redirected knows
    /// the next one.
    pub(super) fn behind_redirect(self) -> Self {
        match self.error.kind() {
            ErrorKind::Authentication { .. } => Self {
                fault: Fault::Transient,
                ..self
            },
            _ => self,
        }
    }

    /// Whether the server lets nobody in who comes with these credentials, or none; some say that there is nothing.
    pub(super) fn is_denial(&self) -> bool {
        match self.error.kind() {
            ErrorKind::Authentication { .. } => true,
            _ => self.error.status() == Some(404),
        }
    }

    /// Whether a token is the likely cause of a denial.
    pub(super) fn blames_token(&self, options: &GetOptions) -> bool {
        match self.error.kind() {
            _ if !self.had_token => false,
            ErrorKind::Authentication { failure, .. } => *failure != AuthFailure::Gated,
            // A server with codes of its own says what it means.
            ErrorKind::Network {
                status: Some(404),
                server_code: None,
                ..
            } => !options.may_be_missing,
            _ => false,
        }
    }

    /// Of a request that failed with a token and without it, the failure that tells more: this one, with the token,
    /// unless the other may pass or is an answer.
    pub(super) fn or(self, without: Self, options: &GetOptions) -> Self {
        let is_answer = options.may_be_missing && without.error.status() == Some(404);
        match without.is_denial() && !is_answer {
            true => self,
            false => without,
        }
    }
}

/// Returns whether another mirror may do better than this one, rather than that this machine cannot keep what comes.
pub(super) fn is_of_the_mirror(url: &Url, error: &Error) -> bool {
    let is_of_the_file = |path: &Path| {
        let file = url.to_file_path();
        file.is_some_and(|file| file.starts_with(path))
    };
    match error.kind() {
        // A file that is read from below a `file://` URL, or the tar that it is in.
        ErrorKind::Permission { path, .. } | ErrorKind::Storage { path, .. } => {
            is_of_the_file(path)
        }
        ErrorKind::Network { .. }
        | ErrorKind::RateLimited { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::Certificate { .. }
        | ErrorKind::Tls { .. }
        | ErrorKind::Proxy { .. }
        | ErrorKind::HashMismatch { .. }
        | ErrorKind::SizeMismatch { .. }
        | ErrorKind::Registry { .. }
        | ErrorKind::WebPage { .. } => true,
        _ => false,
    }
}

pub(crate) fn network(
    url: &Url,
    status: Option<u16>,
    message: &str,
    source: Option<BoxError>,
) -> Error {
    Error::from(ErrorKind::Network {
        url: Box::new(url.clone()),
        status,
        message: message.to_owned(),
        server_code: None,
        source,
    })
}
