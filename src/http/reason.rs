//! What is known of a refusal beyond its status.

use std::fmt;

/// How much of a refusal is read to learn its reason.
pub(crate) const MAX_REASON_BYTES: u64 = 64 << 10;

/// What is known of a refusal beyond its status.
#[derive(Debug, Default)]
pub(crate) struct Explanation {
    pub(crate) reason: Option<Reason>,
    /// The OCI registry that refuses, by the name that logging in takes.
    pub(crate) registry: Option<String>,
    /// Where credentials were looked for.
    pub(crate) looked_at: Vec<String>,
}

/// Why a server refused a request, in its own words.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    /// The server's code, such as `NoSuchBucket`.
    pub(crate) code: String,
    /// Its message, which may be empty.
    pub(crate) message: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", words) | (words, "") => f.write_str(words),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}
