//! The error of this crate.
//!
//! [`ErrorKind`] has a variant for each case that a caller handles in a different way, with the values for it.
//! [`ErrorKind::as_str`] is stable and part of machine output; the text of `Display` is not. A message is one line, names
//! the path, URL or model, and leaves its cause to [`source`](std::error::Error::source), so that a chain joined with
//! `": "` reads as a sentence.
//!
//! # Handling errors
//!
//! A program handles the kinds that it can do something about, and shows the others. What a caller can do:
//!
//! ```
//! use modelrack::error::AuthFailure;
//! use modelrack::{Error, ErrorKind};
//!
//! /// The model, or how it was named.
//! fn about_the_name(error: &Error) -> Option<String> {
//!     Some(match error.kind() {
//!         ErrorKind::InvalidRef { input, message, choices } => format!("'{input}' {message}; choose from {choices:?}"),
//!         ErrorKind::InvalidArgument { message } => format!("check the options: {message}"),
//!         ErrorKind::ModelNotFound { model, near, token_variable: None } => format!("no {model}; is it one of {near:?}?"),
//!         ErrorKind::ModelNotFound { model, token_variable: Some(name), .. } => {
//!             format!("no {model}; if it is private, set {name}")
//!         }
//!         ErrorKind::VersionNotFound { model, version, near, is_revision } => {
//!             let what = if *is_revision { "revision" } else { "version" };
//!             format!("{model} has no {what} {version}, but {near:?}")
//!         }
//!         ErrorKind::NotSynced { source_name, references } => format!("sync {source_name} {references:?} first"),
//!         ErrorKind::NotInstalled { model, near } => format!("pull {model} first; installed are {near:?}"),
//!         ErrorKind::FolderMissing { model, path } => format!("pull {model} again: {} is gone", path.display()),
//!         _ => return None,
//!     })
//! }
//!
//! /// The network and the servers.
//! fn about_the_network(error: &Error) -> Option<String> {
//!     Some(match error.kind() {
//!         ErrorKind::Offline { needed } => format!("go online: {needed} is not on this machine"),
//!         ErrorKind::RateLimited { url, retry_after, token_variable } => {
//!             format!("{url} allows more after {retry_after:?}, or with a token in {token_variable:?}")
//!         }
//!         ErrorKind::Authentication { url, failure, token_variable } => match failure {
//!             AuthFailure::Missing => format!("{url} needs a token in {token_variable:?}"),
//!             AuthFailure::Refused => format!("{url} rejects the token in {token_variable:?}"),
//!             AuthFailure::Gated => format!("accept the terms of the model at {url}"),
//!             _ => format!("{url} denies access"),
//!         },
//!         ErrorKind::IndexNotFound { url } => format!("check the URL of the source: there is no {url}"),
//!         ErrorKind::Network { url, status, message, server_code, source } => {
//!             format!("try again later: {message} ({url}, {status:?}, {server_code:?}, {source:?})")
//!         }
//!         _ => return None,
//!     })
//! }
//!
//! /// What a publisher has to correct.
//! fn about_the_registry(error: &Error) -> Option<String> {
//!     Some(match error.kind() {
//!         ErrorKind::HashMismatch { what, expected, actual } => format!("{what} is {actual} instead of {expected}"),
//!         ErrorKind::SizeMismatch { what, expected_bytes, actual_bytes } => {
//!             format!("{what} has {actual_bytes} bytes instead of {expected_bytes}")
//!         }
//!         ErrorKind::Unverifiable { files, first } => format!("{files} files, such as {first}, have no digest"),
//!         ErrorKind::Registry { location, message, source } => format!("{location}: {message} ({source:?})"),
//!         ErrorKind::DamagedCache { path, source } => format!("sync again: {} is damaged ({source:?})", path.display()),
//!         ErrorKind::OriginUnknown { source_name } => format!("pull the model from {source_name} again"),
//!         ErrorKind::NotRegistered { id, near } => format!("no {id} in the project; is it one of {near:?}?"),
//!         ErrorKind::NotPublishable { findings } => format!("correct first: {}", findings.join("; ")),
//!         ErrorKind::DamagedRegistry { path, message, source } => {
//!             format!("restore {} from version control: {message} ({source:?})", path.display())
//!         }
//!         ErrorKind::RegistryTooLarge { path, size_bytes, max_bytes } => {
//!             format!("{} would have {size_bytes} of {max_bytes} bytes", path.display())
//!         }
//!         _ => return None,
//!     })
//! }
//!
//! /// This machine.
//! fn about_this_machine(error: &Error) -> Option<String> {
//!     Some(match error.kind() {
//!         ErrorKind::NoSource => "configure a source".to_owned(),
//!         ErrorKind::Config { message, source } => format!("correct the configuration: {message} ({source:?})"),
//!         ErrorKind::InsufficientSpace { path, needed_bytes, available_bytes } => {
//!             format!("free {} bytes for {}", needed_bytes.saturating_sub(*available_bytes), path.display())
//!         }
//!         ErrorKind::Permission { action, path, source } | ErrorKind::Storage { action, path, source } => {
//!             format!("cannot {action} {}: {source}", path.display())
//!         }
//!         ErrorKind::Exists { path } => format!("{} would be overwritten", path.display()),
//!         ErrorKind::Collision { model, other } => format!("remove {other} before {model} is pulled"),
//!         ErrorKind::Locked { path, holder, waited } => {
//!             format!("{holder:?} has held {} for {waited:?}", path.display())
//!         }
//!         _ => return None,
//!     })
//! }
//!
//! fn advise(error: &Error) -> String {
//!     match error.kind() {
//!         ErrorKind::Cancelled => "pull it again to continue".to_owned(),
//!         ErrorKind::Several { message, errors } => {
//!             let all: Vec<String> = errors.iter().map(advise).collect();
//!             format!("{message}: {}", all.join("; "))
//!         }
//!         ErrorKind::Internal { message } => format!("report a bug: {message}"),
//!         _ => about_the_name(error)
//!             .or_else(|| about_the_network(error))
//!             .or_else(|| about_the_registry(error))
//!             .or_else(|| about_this_machine(error))
//!             .unwrap_or_else(|| error.to_string()),
//!     }
//! }
//!
//! let error = Error::from(ErrorKind::NotInstalled { model: "whisper/tiny".into(), near: vec!["whisper/base".into()] });
//! assert_eq!(advise(&error), "pull whisper/tiny first; installed are [\"whisper/base\"]");
//! ```

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::url::Url;

pub use crate::digest::InvalidDigest;
pub use crate::relpath::InvalidName;
pub use crate::url::InvalidUrl;

/// The result of every fallible function of this crate.
///
/// ```
/// use modelrack::{Manager, ManagerExt, Result};
///
/// fn size(manager: &dyn Manager, model: &str) -> Result<u64> {
///     Ok(manager.pull_model(model)?.total_bytes)
/// }
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// assert!(size(&manager, "digits/logistic v1")? > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A boxed error of another crate, so that its type is not part of this crate's API. [`TransportError`] has an example.
///
/// [`TransportError`]: crate::transport::TransportError
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// Why a server denied access. The [module documentation](self) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthFailure {
    /// The server requires credentials, and none were sent.
    Missing,
    /// The server rejected the credentials, or denies access with them.
    Refused,
    /// The terms of the model have to be accepted first.
    Gated,
}

/// What went wrong, and in which step of an operation.
///
/// `Display` shows the steps and the kind, such as "pull fast-whisper/tiny fp16: chunk 3/8: connection timed out
/// (https://…)", but not the cause, which is the [`source`](std::error::Error::source).
///
/// ```
/// use modelrack::{Error, ErrorKind};
///
/// let error = Error::from(ErrorKind::Cancelled).step("pull g/m v1");
/// assert_eq!(error.to_string(), "pull g/m v1: cancelled");
/// assert!(matches!(error.kind(), ErrorKind::Cancelled));
/// assert_eq!((error.code(), error.steps()), ("CANCELLED", &["pull g/m v1".to_owned()][..]));
/// ```
///
/// A program that may be limited by a server, or cancelled by its user:
///
/// ```
/// use modelrack::{ErrorKind, Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// match manager.pull_model("digits/logistic v1") {
///     Ok(report) => println!("{}", report.path.display()),
///     Err(error) if error.is_cancelled() => println!("stopped; the next pull resumes"),
///     Err(error) => {
///         if let Some(wait) = error.retry_after() {
///             println!("try again in {} s", wait.as_secs());
///         }
///         // Without the steps, for an error of the program's own:
///         let kind: ErrorKind = error.into_kind();
///         return Err(kind.to_string().into());
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Error(Box<Failed>);

#[derive(Debug)]
struct Failed {
    kind: ErrorKind,
    steps: Vec<String>,
}

impl Error {
    /// Returns what went wrong; [`Error`] has an example.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns what went wrong, without the steps; [`Error`] has an example.
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the steps of the operation that failed, outermost first, such as "pull fast-whisper/tiny fp16" and
    /// "chunk 3/8"; may be empty. [`Error`] has an example.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0.steps
    }

    /// Returns the stable code of the kind, as [`ErrorKind::as_str`] does; [`Error`] has an example.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind().as_str()
    }

    /// Returns how long the server asks to wait before the next request, if it does; [`Error`] has an example.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            ErrorKind::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns whether the operation was cancelled; [`Error`] has an example.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), ErrorKind::Cancelled)
    }

    /// Adds the outermost step of an operation that failed; [`Error`] has an example.
    #[must_use]
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.0.steps.insert(0, step.into());
        self
    }

    /// Returns the HTTP status of a failed request, if there was a response.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.kind() {
            ErrorKind::IndexNotFound { .. } => Some(404),
            ErrorKind::Network { status, .. } => *status,
            _ => None,
        }
    }

    /// Changes the kind and keeps the steps.
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

    /// A configuration that cannot be used, with what the parser says.
    pub(crate) fn config_from(message: String, source: impl Into<BoxError>) -> Self {
        ErrorKind::Config {
            message,
            source: Some(source.into()),
        }
        .into()
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::from(ErrorKind::InvalidArgument {
            message: message.into(),
        })
    }

    /// Creates the error of an invalid name in an argument.
    #[cfg(feature = "author")]
    #[allow(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
    pub(crate) fn argument_name(name: InvalidName) -> Self {
        Self::argument(name.to_string())
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

/// Makes [`ManagerExt`](crate::ManagerExt) accept what converts without an error.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
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

/// What went wrong. The [module documentation](self) has an example for every kind.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is invalid.
    Config {
        /// The problem, with the file and the key.
        message: String,
        /// The error of the parser or the system, if any.
        source: Option<BoxError>,
    },
    /// No source is configured.
    NoSource,
    /// A document of a registry is malformed, inconsistent, too large or hostile.
    Registry {
        /// The URL or path of the document.
        location: String,
        /// The problem.
        message: String,
        /// The error of the parser, if any.
        source: Option<BoxError>,
    },
    /// A project's own registry is damaged, and so is its backup.
    DamagedRegistry {
        /// The path of the registry.
        path: PathBuf,
        /// The problem.
        message: String,
        /// The error of the parser, if any.
        source: Option<BoxError>,
    },
    /// A project's registry would be larger than its limit allows.
    RegistryTooLarge {
        /// The path of the registry.
        path: PathBuf,
        /// The size that it would have.
        size_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// A model reference is invalid or ambiguous.
    InvalidRef {
        /// The reference as given.
        input: String,
        /// The problem, as the predicate of a sentence about `input`: "has several versions".
        message: String,
        /// The possible meanings of an ambiguous reference; empty otherwise.
        choices: Vec<String>,
    },
    /// An option has an invalid value, or options contradict each other.
    InvalidArgument {
        /// The problem.
        message: String,
    },
    /// No source offers the model.
    ModelNotFound {
        /// The requested `group/model`.
        model: String,
        /// Similar names, most similar first; may be empty.
        near: Vec<String>,
        /// The environment variable whose token may reveal the model, if the source hides private models.
        token_variable: Option<&'static str>,
    },
    /// A source offers the model, but not this version of it.
    VersionNotFound {
        /// The requested `group/model`.
        model: String,
        /// The requested version.
        version: String,
        /// Similar versions, or all if there are few; may be empty.
        near: Vec<String>,
        /// Whether the versions of the model are git revisions: branches, tags, commits and pull requests.
        is_revision: bool,
    },
    /// A project has no model or target with this id.
    NotRegistered {
        /// The requested id.
        id: String,
        /// Similar ids, most similar first; may be empty.
        near: Vec<String>,
    },
    /// A registry that is needed has not been synced.
    NotSynced {
        /// The name of the source, or where it is.
        source_name: String,
        /// The refs whose registries are missing; empty for the default branch.
        references: Vec<String>,
    },
    /// The model, or this version of it, is not installed.
    NotInstalled {
        /// The requested model.
        model: String,
        /// Similar installed models, most similar first; may be empty.
        near: Vec<String>,
    },
    /// The folder of an installed model is missing: it was deleted, or its disk is not mounted.
    FolderMissing {
        /// The model, as `group/model version`.
        model: String,
        /// The path of the folder.
        path: PathBuf,
    },
    /// The index of a registry does not exist: the URL of the source may be wrong.
    IndexNotFound {
        /// The URL of the index.
        url: Box<Url>,
    },
    /// The record of an installed model does not say where its files came from.
    OriginUnknown {
        /// The name of the source, or where it is.
        source_name: String,
    },
    /// A cached registry is damaged; syncing replaces it.
    DamagedCache {
        /// The path of the cached registry.
        path: PathBuf,
        /// The error of the parser, if any.
        source: Option<BoxError>,
    },
    /// A request failed.
    Network {
        /// The URL of the request; its `Display` shows no credentials.
        url: Box<Url>,
        /// The HTTP status, if there was a response.
        status: Option<u16>,
        /// The problem, in a few words.
        message: String,
        /// The server's own code for it, if it sent one, such as `RepoNotFound`.
        server_code: Option<String>,
        /// The error of the transport, if any.
        source: Option<BoxError>,
    },
    /// The operation needs the network, and offline mode is on.
    Offline {
        /// What would have to be fetched, such as a URL or "the index of https://…".
        needed: String,
    },
    /// The server limits the rate of requests, for longer than [`RetryPolicy`](crate::config::RetryPolicy) allows to wait.
    RateLimited {
        /// The URL of the request.
        url: Box<Url>,
        /// How long the server asks to wait, if it does.
        retry_after: Option<Duration>,
        /// The environment variable whose token raises the limit, if none was sent.
        token_variable: Option<&'static str>,
    },
    /// Bytes do not have the expected digest, after all retries.
    HashMismatch {
        /// The chunk, file or manifest.
        what: String,
        /// The expected digest, in hexadecimal.
        expected: String,
        /// The actual digest, in hexadecimal.
        actual: String,
    },
    /// A body or file does not have the expected size, after all retries.
    SizeMismatch {
        /// The chunk, file or URL.
        what: String,
        /// The expected size.
        expected_bytes: u64,
        /// The size announced, or received so far.
        actual_bytes: u64,
    },
    /// The registry has no digests for some files, and the caller requires them.
    Unverifiable {
        /// The number of files without a digest.
        files: usize,
        /// The name of the first one.
        first: String,
    },
    /// A project cannot be published: something in it is broken, or has changed since it was registered.
    NotPublishable {
        /// The problems, each as a sentence; never empty.
        findings: Vec<String>,
    },
    /// An operation of the file system failed.
    Storage {
        /// The operation, such as "write".
        action: &'static str,
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file exists already, with different content.
    Exists {
        /// The path of the file.
        path: PathBuf,
    },
    /// The folders of two models would overlap.
    Collision {
        /// The model that cannot be stored.
        model: String,
        /// What is in its way.
        other: String,
    },
    /// There is not enough disk space.
    InsufficientSpace {
        /// A path on the full file system.
        path: PathBuf,
        /// The space needed; zero if a write failed because the disk is full.
        needed_bytes: u64,
        /// The space available.
        available_bytes: u64,
    },
    /// The file system denies access.
    Permission {
        /// The operation, such as "write".
        action: &'static str,
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process held a lock for longer than the limit.
    Locked {
        /// The path of the lock file.
        path: PathBuf,
        /// The holder as it identified itself, if it did.
        holder: Option<String>,
        /// How long this process waited.
        waited: Duration,
    },
    /// The server denies access.
    Authentication {
        /// The URL of the request.
        url: Box<Url>,
        /// The reason.
        failure: AuthFailure,
        /// The environment variable whose token the server accepts; `None` if credentials belong in the source's URL.
        token_variable: Option<&'static str>,
    },
    /// The caller cancelled the operation.
    Cancelled,
    /// An operation on several things failed for some of them.
    Several {
        /// What could not be done, such as "2 of 3 models were not removed".
        message: String,
        /// The failures, in order; never empty.
        errors: Vec<Error>,
    },
    /// An invariant of this crate does not hold: a bug in it.
    Internal {
        /// The invariant.
        message: String,
    },
}

impl ErrorKind {
    /// Returns the stable code that `--json` has, such as `NOT_INSTALLED`. Kinds that most callers handle alike share a code.
    ///
    /// ```
    /// use modelrack::ErrorKind;
    ///
    /// let kind = ErrorKind::Offline { needed: "https://models.example.org/models.json".into() };
    /// assert_eq!(kind.as_str(), "OFFLINE");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Config { .. } | Self::NoSource => "CONFIG_ERROR",
            Self::Registry { .. }
            | Self::DamagedRegistry { .. }
            | Self::RegistryTooLarge { .. }
            | Self::DamagedCache { .. }
            | Self::OriginUnknown { .. }
            | Self::Unverifiable { .. } => "REGISTRY_ERROR",
            Self::NotPublishable { .. } => "NOT_PUBLISHABLE",
            Self::InvalidRef { .. } => "INVALID_REF",
            Self::InvalidArgument { .. } => "INVALID_ARGUMENT",
            Self::ModelNotFound { .. } | Self::NotRegistered { .. } => "MODEL_NOT_FOUND",
            Self::VersionNotFound { .. } => "VERSION_NOT_FOUND",
            Self::NotSynced { .. } => "NOT_SYNCED",
            Self::NotInstalled { .. } => "NOT_INSTALLED",
            Self::Network { .. } | Self::IndexNotFound { .. } => "NETWORK_ERROR",
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
            | Self::DamagedCache { source, .. }
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
            Self::Config { message, .. }
            | Self::InvalidArgument { message }
            | Self::Several { message, .. } => f.write_str(message),
            Self::NoSource => f.write_str("no source is configured"),
            Self::Registry {
                location, message, ..
            } => write!(f, "{message} ({location})"),
            Self::DamagedRegistry { path, message, .. } => {
                write!(f, "{message} ({})", path.display())
            }
            Self::RegistryTooLarge {
                path,
                size_bytes,
                max_bytes,
            } => {
                write!(f, "the registry would have {size_bytes} bytes, more than ")?;
                write!(f, "the limit of {max_bytes} ({})", path.display())
            }
            Self::InvalidRef { input, message, .. } => write!(f, "'{input}' {message}"),
            Self::ModelNotFound { model, .. } => write!(f, "no source offers the model '{model}'"),
            Self::VersionNotFound { model, version, .. } => {
                write!(f, "model '{model}' has no version '{version}'")
            }
            Self::NotRegistered { id, .. } => {
                write!(f, "'{}' is not registered", id.escape_debug())
            }
            Self::NotSynced {
                source_name,
                references,
            } => {
                write!(f, "the registry of '{source_name}'")?;
                if !references.is_empty() {
                    write!(f, " at {}", references.join(", "))?;
                }
                f.write_str(" has not been synced")
            }
            Self::NotInstalled { model, .. } => write!(f, "model '{model}' is not installed"),
            Self::FolderMissing { model, path } => {
                write!(f, "the folder of '{model}' is missing: {}", path.display())
            }
            Self::IndexNotFound { url } => write!(f, "not found ({url})"),
            Self::OriginUnknown { source_name } => write!(
                f,
                "the record of the model does not say where its files came from ({source_name})"
            ),
            Self::DamagedCache { path, .. } => {
                write!(f, "the cached registry is damaged ({})", path.display())
            }
            Self::Network { url, message, .. } => write!(f, "{message} ({url})"),
            Self::Offline { needed } => write!(f, "cannot fetch {needed} in offline mode"),
            Self::RateLimited {
                url, retry_after, ..
            } => {
                f.write_str("rate limit exceeded")?;
                if let Some(wait) = retry_after {
                    write!(f, ": the server asks to wait {} s", wait.as_secs())?;
                }
                write!(f, " ({url})")
            }
            Self::HashMismatch {
                what,
                expected,
                actual,
            } => write!(f, "{what} has digest {actual}, expected {expected}"),
            Self::SizeMismatch {
                what,
                expected_bytes,
                actual_bytes,
            } => write!(
                f,
                "{what} has {actual_bytes} bytes, expected {expected_bytes}"
            ),
            Self::Unverifiable { files: 1, first } => write!(f, "no digest for '{first}'"),
            Self::Unverifiable { files, first } => {
                write!(f, "no digests for {files} files, such as '{first}'")
            }
            Self::NotPublishable { findings } => {
                write!(f, "cannot publish the project: {}", findings.join("; "))
            }
            Self::Storage { action, path, .. } => write!(f, "cannot {action} {}", path.display()),
            Self::Permission { action, path, .. } => {
                write!(f, "no permission to {action} {}", path.display())
            }
            Self::Exists { path } => {
                write!(
                    f,
                    "{} already exists with different content",
                    path.display()
                )
            }
            Self::Collision { model, other } => {
                write!(f, "cannot store '{model}' beside {other}")
            }
            Self::InsufficientSpace {
                path,
                needed_bytes,
                available_bytes,
            } => match needed_bytes {
                0 => write!(f, "no space left on the disk of {}", path.display()),
                _ => {
                    write!(f, "not enough space on the disk of {}: ", path.display())?;
                    write!(
                        f,
                        "{needed_bytes} bytes needed, {available_bytes} available"
                    )
                }
            },
            Self::Locked {
                path,
                holder,
                waited,
            } => {
                let holder = holder.as_deref().unwrap_or("another process");
                write!(f, "{} is locked by {holder} ", path.display())?;
                write!(f, "(waited {} s)", waited.as_secs())
            }
            Self::Authentication { url, failure, .. } => match failure {
                AuthFailure::Missing => write!(f, "the server requires credentials ({url})"),
                AuthFailure::Refused => write!(f, "the server denies access ({url})"),
                AuthFailure::Gated => {
                    write!(f, "the terms of the model have not been accepted ({url})")
                }
            },
            Self::Cancelled => f.write_str("cancelled"),
            Self::Internal { message } => write!(f, "internal error: {message}"),
        }
    }
}

/// Joins an error and its causes into one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Returns whether an operation of the file system failed because nothing exists at the path.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Adds the path to errors of the file system.
pub(crate) trait IoContext<T> {
    /// Adds the operation ("read", "write", …) and the path to an error.
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
