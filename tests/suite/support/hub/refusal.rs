//! What the Hub refuses, and the words it does so in, some of which its clients compare.

use serde_json::json;

use super::super::server::Page;

const SIGN_IN: &str = "Invalid username or password.";

/// Why a request is refused.
pub(super) enum Refusal {
    /// A token that nobody has.
    Token,
    /// Without a token: the repository is missing, or private. Whether the answer may say so.
    SignIn {
        explained: bool,
    },
    /// With one: the same.
    Repository,
    Revision(String),
    /// No such file, or folder, at this commit.
    Entry(String),
    /// A gated repository, without a token.
    Gate(String),
    /// A gated repository, with the token of somebody without access.
    Access(String),
    Disabled,
    /// A request that makes no sense.
    Request(&'static str),
    /// An address where nothing is.
    Address,
}

impl Refusal {
    /// The answer: as JSON from the API, else as text.
    pub(super) fn page(&self, api: bool) -> Page {
        let (status, code, message) = self.facts();
        let (body, kind) = match api {
            true => (json!({"error": message}).to_string(), "application/json"),
            false => (message.clone(), "text/plain"),
        };
        let mut page = Page::new(status, body.into_bytes())
            .header("content-type", &format!("{kind}; charset=utf-8"))
            .header("x-error-message", &message);
        if let Some(code) = code {
            page = page.header("x-error-code", code);
        }
        match self {
            Self::Entry(commit) => page.header("x-repo-commit", commit),
            Self::Token | Self::SignIn { .. } => page.header(
                "www-authenticate",
                "Bearer realm=\"Authentication required\", charset=\"UTF-8\"",
            ),
            _ => page,
        }
    }

    /// Status, error code and message.
    fn facts(&self) -> (u16, Option<&'static str>, String) {
        let (status, code, message) = match self {
            Self::Token => (401, "", "Invalid credentials in Authorization header"),
            Self::SignIn { explained: true } => (401, "RepoNotFound", SIGN_IN),
            Self::SignIn { .. } => (401, "", SIGN_IN),
            Self::Repository => (404, "RepoNotFound", "Repository not found"),
            Self::Revision(_) => (404, "RevisionNotFound", "Invalid rev id: {}"),
            Self::Entry(_) => (404, "EntryNotFound", "Entry not found"),
            Self::Gate(_) => (401, "GatedRepo", "Access to model {} is restricted."),
            Self::Access(_) => (403, "GatedRepo", "You have no access to model {}."),
            Self::Disabled => (403, "", "Access to this resource is disabled."),
            Self::Request(why) => (400, "", *why),
            Self::Address => (
                404,
                "",
                "Sorry, we can't find the page you are looking for.",
            ),
        };
        let message = match self {
            Self::Revision(name) | Self::Gate(name) | Self::Access(name) => {
                message.replace("{}", name)
            }
            _ => message.to_owned(),
        };
        (status, Some(code).filter(|code| !code.is_empty()), message)
    }
}
