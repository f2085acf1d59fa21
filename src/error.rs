//! The one error of this crate.
//!
//! A variant per case that a caller acts on, with the values it needs. [`Error::code`] is stable and is what machine
//! output carries; the text of `Display` is not. Every message is one line, names the thing, and leaves its cause to
//! [`std::error::Error::source`], so a chain joined with `": "` reads as a sentence.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::url::Url;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A foreign error, boxed so that its type stays out of this crate's signatures.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// Why a server refused to serve without, or with, the credentials it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthFailure {
    /// The server asks for credentials and none were sent.
    Missing,
    /// The server did not accept the credentials that were sent.
    Refused,
    /// The credentials are good, but this model asks for terms to be accepted first.
    Gated,
}

/// The error of every fallible function: what went wrong, and in which step of an operation.
///
/// `Display` shows the steps and the kind on one line, without the cause, which is the
/// [`source`](std::error::Error::source): "pull fast-whisper/tiny fp16: chunk 3/8: connection timed out (https://…)".
#[derive(Debug)]
pub struct Error(Box<Failed>);

#[derive(Debug)]
struct Failed {
    kind: ErrorKind,
    steps: Vec<String>,
}

impl Error {
    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns what went wrong, without the steps.
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the steps of the operation that failed, outermost first, such as "pull fast-whisper/tiny fp16" and
    /// "chunk 3/8"; may be empty.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0.steps
    }

    /// Returns the stable code of the kind: [`ErrorKind::as_str`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Returns how long the server asks to wait before the next request, if it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            ErrorKind::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns whether the operation was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), ErrorKind::Cancelled)
    }

    /// Adds a step of an operation in front of those that the error has.
    #[must_use]
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.0.steps.insert(0, step.into());
        self
    }

    /// Returns the HTTP status of a failed request, if the server answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.kind() {
            ErrorKind::Network { status, .. } => *status,
            _ => None,
        }
    }

    /// Changes what went wrong and keeps the steps.
    pub(crate) fn map_kind(self, change: impl FnOnce(ErrorKind) -> ErrorKind) -> Self {
        let Failed { kind, steps } = *self.0;
        let kind = change(kind);
        Self(Box::new(Failed { kind, steps }))
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::from(ErrorKind::Config {
            message: message.into(),
            source: None,
        })
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::from(ErrorKind::InvalidArgument {
            message: message.into(),
        })
    }

    pub(crate) fn registry(location: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::from(ErrorKind::Registry {
            location: location.to_string(),
            message: message.into(),
            source: None,
        })
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::from(ErrorKind::Internal {
            message: message.into(),
        })
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        let steps = Vec::new();
        Self(Box::new(Failed { kind, steps }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.steps() {
            write!(f, "{step}: ")?;
        }
        self.kind().fmt(f)
    }
}

/// Writes `code` and `message`: the form of an error inside a report.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Error", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &chain(self))?;
        fields.end()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.kind().source()
    }
}

/// What went wrong, with the facts that a caller acts on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is unusable; the message names the file and the key.
    Config {
        /// What is wrong and where.
        message: String,
        /// The parser's or the system's own words, when there are any.
        source: Option<BoxError>,
    },
    /// No source is configured.
    NoSource,
    /// A registry serves something malformed, inconsistent, oversized or hostile.
    Registry {
        /// The URL or path of the offending document.
        location: String,
        /// What is wrong with it.
        message: String,
        /// The parser's own words, when there are any.
        source: Option<BoxError>,
    },
    /// A project's own registry is damaged, and so is its backup.
    DamagedRegistry {
        /// The registry.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
        /// The parser's own words, when there are any.
        source: Option<BoxError>,
    },
    /// A project's registry would be larger than its limit allows.
    RegistryTooLarge {
        /// The registry.
        path: PathBuf,
        /// How large it would be.
        size_bytes: u64,
        /// How large it may be.
        max_bytes: u64,
    },
    /// A model reference that cannot be read, or that names several models.
    InvalidRef {
        /// The reference as given.
        input: String,
        /// What is wrong with it.
        message: String,
        /// What it could mean, when it is ambiguous; empty otherwise.
        choices: Vec<String>,
    },
    /// An option's value is out of its range, or options contradict each other.
    InvalidArgument {
        /// What is wrong.
        message: String,
    },
    /// No source offers the model.
    ModelNotFound {
        /// `group/model` as asked for.
        model: String,
        /// Names that come near, nearest first; may be empty.
        near: Vec<String>,
    },
    /// The model is there, the version is not.
    VersionNotFound {
        /// `group/model` as asked for.
        model: String,
        /// The version as asked for.
        version: String,
        /// Versions that come near, or all when they are few; may be empty.
        near: Vec<String>,
    },
    /// A project has registered no model or target of that id.
    NotRegistered {
        /// The id as asked for.
        id: String,
        /// Ids that come near, nearest first; may be empty.
        near: Vec<String>,
    },
    /// The registry that may list the model is not cached: it was never synced here.
    NotSynced {
        /// What people call the source.
        source_name: String,
        /// The refs whose registries are missing; empty for that of the default branch.
        references: Vec<String>,
    },
    /// The model, or that version of it, is not in the store.
    NotInstalled {
        /// The model as asked for.
        model: String,
        /// Installed models that come near, nearest first; may be empty.
        near: Vec<String>,
    },
    /// The model is recorded as installed, and its folder is missing: it was removed by hand, or its disk is not mounted.
    FolderMissing {
        /// The model, such as `group/model version`.
        model: String,
        /// Where its folder belongs.
        path: PathBuf,
    },
    /// The network or a server failed.
    Network {
        /// Where the request went; its `Display` shows no credentials.
        url: Box<Url>,
        /// The HTTP status, when the server answered.
        status: Option<u16>,
        /// What happened, in a few words.
        message: String,
        /// The server's own word for it, when it has one, as in `RepoNotFound`.
        server_code: Option<String>,
        /// The transport's own words, when there are any.
        source: Option<BoxError>,
    },
    /// Something is needed from the network while offline.
    Offline {
        /// What is needed.
        needed: String,
    },
    /// The server asks to slow down, for longer than this crate waits by itself.
    RateLimited {
        /// Where the request went.
        url: Box<Url>,
        /// How long the server asks to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// Bytes differ from what their digest promises, after every retry.
    HashMismatch {
        /// The chunk, file or manifest.
        what: String,
        /// The digest promised, in hexadecimal.
        expected: String,
        /// The digest of what came, in hexadecimal.
        actual: String,
    },
    /// More or fewer bytes came than are promised, after every retry.
    SizeMismatch {
        /// The chunk, file or URL.
        what: String,
        /// The number of bytes promised.
        expected_bytes: u64,
        /// The number of bytes announced or received; at least so many.
        actual_bytes: u64,
    },
    /// Files have no digest to check them by, and the caller asked for digests.
    Unverifiable {
        /// How many files have none.
        files: usize,
        /// The first of them.
        first: String,
    },
    /// A project is not in a state to be published: something in it is broken, or changed since it was registered.
    NotPublishable {
        /// What stands in the way, each in a sentence; never empty.
        findings: Vec<String>,
    },
    /// The file system failed.
    Storage {
        /// What was tried, as in "write".
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A file with other bytes is where one should be written.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A name could not be stored without mixing two models.
    Collision {
        /// What was to be stored.
        model: String,
        /// What is in the way.
        other: String,
    },
    /// Less space is free than the missing bytes need, or the disk filled up.
    InsufficientSpace {
        /// A path on the file system in question.
        path: PathBuf,
        /// Bytes needed; zero when the system refused a write without saying.
        needed_bytes: u64,
        /// Bytes available.
        available_bytes: u64,
    },
    /// The file system refuses this user.
    Permission {
        /// What was tried, as in "write".
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Another process kept a lock for longer than the limit.
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as written there; `None` when unknown.
        holder: Option<String>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server refuses to serve this user.
    Authentication {
        /// Where the request went.
        url: Box<Url>,
        /// Why.
        failure: AuthFailure,
    },
    /// The caller cancelled the operation.
    Cancelled,
    /// An operation went on past failures; these are all of them, never empty.
    Several {
        /// What could not be done, as in "2 of 3 models were not removed".
        message: String,
        /// The failures, in order.
        errors: Vec<Error>,
    },
    /// An invariant of this crate does not hold; a defect here, not in what was asked.
    Internal {
        /// Which one.
        message: String,
    },
}

impl ErrorKind {
    /// Returns the stable code, in capitals and underscores.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Config { .. } | Self::NoSource => "CONFIG_ERROR",
            Self::Registry { .. }
            | Self::DamagedRegistry { .. }
            | Self::RegistryTooLarge { .. }
            | Self::Unverifiable { .. } => "REGISTRY_ERROR",
            Self::NotPublishable { .. } => "NOT_PUBLISHABLE",
            Self::InvalidRef { .. } => "INVALID_REF",
            Self::InvalidArgument { .. } => "INVALID_ARGUMENT",
            Self::ModelNotFound { .. } | Self::NotRegistered { .. } => "MODEL_NOT_FOUND",
            Self::VersionNotFound { .. } => "VERSION_NOT_FOUND",
            Self::NotSynced { .. } => "NOT_SYNCED",
            Self::NotInstalled { .. } => "NOT_INSTALLED",
            Self::Network { .. } => "NETWORK_ERROR",
            Self::Offline { .. } => "OFFLINE",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::HashMismatch { .. } | Self::SizeMismatch { .. } => "HASH_MISMATCH",
            Self::FolderMissing { .. }
            | Self::Storage { .. }
            | Self::Exists { .. }
            | Self::Collision { .. } => "STORAGE_ERROR",
            Self::InsufficientSpace { .. } => "INSUFFICIENT_SPACE",
            Self::Permission { .. } => "PERMISSION_ERROR",
            Self::Locked { .. } => "LOCKED",
            Self::Authentication { .. } => "AUTHENTICATION_ERROR",
            Self::Cancelled => "CANCELLED",
            Self::Several { errors, .. } => errors.first().map_or("INTERNAL_ERROR", Error::code),
            Self::Internal { .. } => "INTERNAL_ERROR",
        }
    }

    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config { source, .. }
            | Self::Registry { source, .. }
            | Self::DamagedRegistry { source, .. }
            | Self::Network { source, .. } => source.as_deref().map(|source| source as _),
            Self::Storage { source, .. } | Self::Permission { source, .. } => Some(source),
            Self::Several { errors, .. } => errors.first().map(|error| error as _),
            _ => None,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { message, .. } | Self::InvalidArgument { message } => {
                f.write_str(message)
            }
            Self::Registry {
                location, message, ..
            } => write!(f, "{message} ({location})"),
            Self::NoSource => f.write_str("no source is configured"),
            Self::DamagedRegistry { path, message, .. } => {
                write!(f, "{message} ({})", path.display())
            }
            Self::RegistryTooLarge {
                path,
                size_bytes,
                max_bytes,
            } => write!(
                f,
                "the registry would have {size_bytes} bytes, more than the limit of {max_bytes} ({})",
                path.display()
            ),
            Self::InvalidRef { input, message, .. } => write!(f, "'{input}' {message}"),
            Self::ModelNotFound { model, .. } => write!(f, "no source offers the model '{model}'"),
            Self::VersionNotFound { model, version, .. } => {
                write!(f, "model '{model}' has no version '{version}'")
            }
            Self::NotSynced {
                source_name,
                references,
            } => match references.as_slice() {
                [] => write!(f, "the registry of '{source_name}' is not synced"),
                refs => write!(
                    f,
                    "the registry of '{source_name}' at {} is not synced",
                    refs.join(", ")
                ),
            },
            Self::NotInstalled { model, .. } => write!(f, "model '{model}' is not installed"),
            Self::FolderMissing { model, path } => {
                write!(f, "the folder of '{model}' is missing: {}", path.display())
            }
            Self::Network { url, message, .. } => write!(f, "{message} ({url})"),
            Self::Offline { needed } => write!(f, "{needed} is needed, and this is offline mode"),
            Self::RateLimited {
                url,
                retry_after: Some(wait),
            } => {
                write!(
                    f,
                    "the server asks to wait {} s before the next request ({url})",
                    wait.as_secs()
                )
            }
            Self::RateLimited {
                url,
                retry_after: None,
            } => write!(f, "the server refuses more requests for now ({url})"),
            Self::HashMismatch {
                what,
                expected,
                actual,
            } => {
                write!(f, "{what} has digest {actual}, not {expected}")
            }
            Self::SizeMismatch {
                what,
                expected_bytes,
                actual_bytes,
            } => {
                write!(f, "{what} has {actual_bytes} bytes, not {expected_bytes}")
            }
            Self::Unverifiable { files, first } => write!(
                f,
                "{files} files have no digest, '{first}' the first of them"
            ),
            Self::NotRegistered { id, .. } => {
                write!(f, "'{}' is not registered", id.escape_debug())
            }
            Self::NotPublishable { findings } => match findings.as_slice() {
                [only] => write!(f, "the project cannot be published: {only}"),
                several => write!(
                    f,
                    "the project cannot be published for {} reasons: {}",
                    several.len(),
                    several.join("; ")
                ),
            },
            Self::Storage { action, path, .. } => write!(f, "cannot {action} {}", path.display()),
            Self::Permission { action, path, .. } => {
                write!(f, "no permission to {action} {}", path.display())
            }
            Self::Exists { path } => {
                write!(f, "{} is there already, with other bytes", path.display())
            }
            Self::Collision { model, other } => {
                write!(f, "'{model}' cannot be stored beside {other}")
            }
            Self::InsufficientSpace {
                path,
                needed_bytes: 0,
                ..
            } => write!(f, "the disk of {} is full", path.display()),
            Self::InsufficientSpace {
                path,
                needed_bytes,
                available_bytes,
            } => write!(
                f,
                "{needed_bytes} bytes are needed and {available_bytes} are free on the disk of {}",
                path.display()
            ),
            Self::Locked {
                path,
                holder,
                waited,
            } => {
                let holder = holder.as_deref().unwrap_or("another process");
                write!(
                    f,
                    "{} is locked by {holder}, waited {} s",
                    path.display(),
                    waited.as_secs()
                )
            }
            Self::Authentication { url, failure } => match failure {
                AuthFailure::Missing => write!(f, "the server asks for credentials ({url})"),
                AuthFailure::Refused => write!(f, "the server refuses access ({url})"),
                AuthFailure::Gated => write!(f, "the model's terms must be accepted first ({url})"),
            },
            Self::Cancelled => f.write_str("cancelled"),
            Self::Several { message, .. } => f.write_str(message),
            Self::Internal { message } => write!(f, "internal error: {message}"),
        }
    }
}

/// Joins an error and its causes to one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Returns whether a call of the file system failed because its path leads nowhere.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Says which path a failed call of the file system was about.
pub(crate) trait IoContext<T> {
    /// Names the action ("read", "write", …) and the path in the error.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| {
            let path = path.to_owned();
            Error::from(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    ErrorKind::InsufficientSpace {
                        path,
                        needed_bytes: 0,
                        available_bytes: 0,
                    }
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    ErrorKind::Permission {
                        action,
                        path,
                        source,
                    }
                }
                _ => ErrorKind::Storage {
                    action,
                    path,
                    source,
                },
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_as_one_sentence() {
        let url = Url::parse("https://user:secret@models.example.org/data/ab?sig=1").unwrap();
        let error = Error::from(ErrorKind::Network {
            url: url.into(),
            status: None,
            message: "connection timed out".into(),
            server_code: None,
            source: None,
        })
        .step("chunk 3/8")
        .step("pull fast-whisper/tiny fp16");
        assert_eq!(
            chain(&error),
            "pull fast-whisper/tiny fp16: chunk 3/8: connection timed out (https://models.example.org/data/ab?…)"
        );
        assert_eq!(error.code(), "NETWORK_ERROR");
    }

    #[test]
    fn the_system_s_refusals_become_their_own_cases() {
        let fail = |kind: io::ErrorKind| {
            Err::<(), _>(io::Error::from(kind))
                .at("write", Path::new("x"))
                .unwrap_err()
        };
        assert_eq!(
            fail(io::ErrorKind::StorageFull).code(),
            "INSUFFICIENT_SPACE"
        );
        assert_eq!(
            fail(io::ErrorKind::ReadOnlyFilesystem).code(),
            "PERMISSION_ERROR"
        );
        assert_eq!(fail(io::ErrorKind::NotADirectory).code(), "STORAGE_ERROR");
    }

    #[test]
    fn an_error_stays_small() {
        assert!(
            size_of::<Error>() <= size_of::<usize>(),
            "{}",
            size_of::<Error>()
        );
    }
}
