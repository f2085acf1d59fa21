//! What the Hub does not do, and how it says so.

use serde_json::json;

use super::Page;

/// Why a request is refused.
pub(super) enum Refusal {
    /// A token that nobody has.
    Token,
    /// Without a token: the repository is not there, or private. Whether the answer may tell so much.
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
    /// A gated repository, with the token of somebody who is not let in.
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
        let message = self.message();
        let page = if api {
            let body = json!({"error": message}).to_string();
            Page::new(self.status(), body.into_bytes())
                .header("content-type", "application/json; charset=utf-8")
        } else {
            Page::new(self.status(), message.clone().into_bytes())
                .header("content-type", "text/plain; charset=utf-8")
        };
        let page = page.header("x-error-message", &message);
        let page = match self.code() {
            Some(code) => page.header("x-error-code", code),
            None => page,
        };
        match self {
            Self::Entry { commit } => page.header("x-repo-commit", commit),
            Self::Token | Self::SignIn { .. } => page.header(
                "www-authenticate",
                "Bearer realm=\"Authentication required\", charset=\"UTF-8\"",
            ),
            _ => page,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Request(_) => 400,
            Self::Token | Self::SignIn { .. } | Self::Gate(_) => 401,
            Self::Access(_) | Self::Disabled => 403,
            Self::Repository | Self::Revision(_) | Self::Entry { .. } | Self::Address => 404,
        }
    }

    fn code(&self) -> Option<&'static str> {
        match self {
            Self::SignIn { explained: true } | Self::Repository => Some("RepoNotFound"),
            Self::Revision(_) => Some("RevisionNotFound"),
            Self::Entry { .. } => Some("EntryNotFound"),
            Self::Gate(_) | Self::Access(_) => Some("GatedRepo"),
            Self::Token
            | Self::SignIn { explained: false }
            | Self::Disabled
            | Self::Request(_)
            | Self::Address => None,
        }
    }

    /// In the Hub's words, some of which its clients compare.
    fn message(&self) -> String {
        match self {
            Self::Token => "Invalid credentials in Authorization header".to_owned(),
            Self::SignIn { .. } => "Invalid username or password.".to_owned(),
            Self::Repository => "Repository not found".to_owned(),
            Self::Revision(revision) => format!("Invalid rev id: {revision}"),
            Self::Entry { .. } => "Entry not found".to_owned(),
            Self::Gate(id) => format!(
                "Access to model {id} is restricted. You must have access to it and be \
                 authenticated to access it. Please log in."
            ),
            Self::Access(id) => format!(
                "Access to model {id} is restricted and you are not in the authorized list. \
                 Visit https://huggingface.co/{id} to ask for access."
            ),
            Self::Disabled => "Access to this resource is disabled.".to_owned(),
            Self::Request(why) => (*why).to_owned(),
            Self::Address => "Sorry, we can't find the page you are looking for.".to_owned(),
        }
    }
}
