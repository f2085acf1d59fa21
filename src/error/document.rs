//! An error in a document of `--json`: on its own, in a report, or among several.
//!
//! ```json
//! {"code": "NETWORK_ERROR", "message": "chunk 3/8: connection reset (https://…)", "causes": ["connection reset (https://…)"],
//!  "hint": "try again later", "retry_after": null}
//! ```
//!
//! What follows is there where it says something: numbers of bytes that the message rounds, and the `errors` of
//! [`ErrorKind::Several`].

use std::error::Error as _;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Error, ErrorKind, chain};

impl Error {
    /// Notes what the user of a command can do about it, and about each of several. Nothing else knows that: the library has
    /// facts, and its documents no hints.
    #[cfg(feature = "cli")]
    pub(crate) fn advise(&self, hint: &impl Fn(&Self) -> Option<String>) {
        if let Some(hint) = hint(self) {
            self.0.hint.get_or_init(|| hint);
        }
        self.several().iter().for_each(|error| error.advise(hint));
    }

    fn several(&self) -> &[Self] {
        match self.kind() {
            ErrorKind::Several { errors, .. } => errors,
            _ => &[],
        }
    }

    /// Lists what `message` joins to one line: the steps below the first, what went wrong, and its causes.
    fn causes(&self) -> Vec<String> {
        let lines = |error: &Self| [error.steps(), &[error.kind().to_string()]].concat();
        let mut causes = match self.kind() {
            ErrorKind::NotPublishable { findings } => findings.clone(),
            _ => Vec::new(),
        };
        causes.extend_from_slice(&lines(self)[1..]);
        let mut cause = self.source();
        while let Some(inner) = cause {
            match inner.downcast_ref() {
                Some(error) => causes.extend(lines(error)),
                None => causes.push(inner.to_string()),
            }
            cause = inner.source();
        }
        causes
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (exact, several) = (self.kind().exact_bytes(), self.several());
        let more = exact.len() + usize::from(!several.is_empty());
        let mut fields = serializer.serialize_struct("Error", 5 + more)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &chain(self))?;
        fields.serialize_field("causes", &self.causes())?;
        fields.serialize_field("hint", &self.0.hint.get())?;
        fields.serialize_field(
            "retry_after",
            &self.retry_after().map(|wait| wait.as_secs()),
        )?;
        for (name, bytes) in exact {
            fields.serialize_field(name, &bytes)?;
        }
        if !several.is_empty() {
            fields.serialize_field("errors", several)?;
        }
        fields.end()
    }
}
