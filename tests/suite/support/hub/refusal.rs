//! What the Hub refuses, and the words it does so in, some of which its clients compare.

use serde_json::json;

use super::super::server::Page;

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
    Entry {
        commit: String,
    },
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
            Self::Entry { commit } => page.header("x-repo-commit", commit),
            Self::Token | Self::SignIn { .. } => page.header(
                "www-authenticate",
                "Bearer realm=\"Authentication required\", charset=\"UTF-8\"",
            ),
            _ => page,
        }
    }

    /// Status, error code and message.
    fn facts(&self) -> (u16, Option<&'static str>, String) {
        let text = str::to_owned;
        match self {
            Self::Token => (
                401,
                None,
                text("Invalid credentials in Authorization header"),
            ),
            Self::SignIn { explained } => {
                let code = explained.then_some("RepoNotFound");
                (401, code, text("Invalid username or password."))
            }
            Self::Repository => (404, Some("RepoNotFound"), text("Repository not found")),
            Self::Revision(revision) => (
                404,
                Some("RevisionNotFound"),
                format!("Invalid rev id: {revision}"),
            ),
            Self::Entry { .. } => (404, Some("EntryNotFound"), text("Entry not found")),
            Self::Gate(id) => {
                let message = format!(
                    "Access to model {id} is restricted. You must have access to it and be \
                     authenticated to access it. Please log in."
                );
                (401, Some("GatedRepo"), message)
            }
            Self::Access(id) => {
                let message = format!(
                    "Access to model {id} is restricted and you are not in the authorized list. \
                     Visit https://huggingface.co/{id} to ask for access."
                );
                (403, Some("GatedRepo"), message)
            }
            Self::Disabled => (403, None, text("Access to this resource is disabled.")),
            Self::Request(why) => (400, None, text(why)),
            Self::Address => (
                404,
                None,
                text("Sorry, we can't find the page you are looking for."),
            ),
        }
    }
}
