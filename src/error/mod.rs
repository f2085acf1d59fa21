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
//! use modelrack::error::{AuthFailure, CertificateProblem, LockProblem, TlsProblem};
//! use modelrack::{Error, ErrorKind};
//!
//! /// The model, or how it was named.
//! fn about_the_name(error: &Error) -> Option<String> {
//!     Some(match error.kind() {
//!         ErrorKind::InvalidRef { input, message, choices } => format!("'{input}' {message}; choose from {choices:?}"),
//!         ErrorKind::InvalidArgument { message } => format!("check the options: {message}"),
//!         ErrorKind::ModelNotFound { model, near, sources, token_variable: None, registry: None } => {
//!             format!("no {model}; is it one of {near:?}, or one of the models of {sources:?}?")
//!         }
//!         ErrorKind::ModelNotFound { model, registry: Some(registry), .. } => {
//!             format!("no {model}; if it is private, log in to {registry}")
//!         }
//!         ErrorKind::ModelNotFound { model, token_variable: Some(name), .. } => {
//!             format!("no {model}; if it is private, set {name}")
//!         }
//!         ErrorKind::VersionNotFound { model, version, near, is_revision } => {
//!             let what = if *is_revision { "revision" } else { "version" };
//!             format!("{model} has no {what} {version}, but {near:?}")
//!         }
//!         ErrorKind::NotSynced { source_name, references, .. } => format!("sync {source_name} {references:?} first"),
//!         ErrorKind::NotInstalled { model, near } => format!("pull {model} first; installed are {near:?}"),
//!         ErrorKind::FolderMissing { model, path } => format!("pull {model} again: {} is gone", path.display()),
//!         ErrorKind::Damaged { model, files, first } => format!("repair {model}: {files} files, such as {first}"),
//!         _ => return None,
//!     })
//! }
//!
//! /// The network and the servers.
//! fn about_the_network(error: &Error) -> Option<String> {
//!     Some(match error.kind() {
//!         ErrorKind::Offline { needed, variable } => {
//!             format!("go online: {needed} is not on this machine, and offline mode is on ({variable:?})")
//!         }
//!         ErrorKind::RateLimited { url, retry_after, token_variable, registry, reason } => {
//!             let how = format!("a token in {token_variable:?} or a login at {registry:?}");
//!             format!("{url} allows more after {retry_after:?}, or with {how} ({reason:?})")
//!         }
//!         ErrorKind::Authentication { url, failure, token_variable, token_origin, registry, reason, looked_at } => match failure {
//!             AuthFailure::Missing if registry.is_some() => format!("log in to {registry:?} ({reason:?}, {looked_at:?})"),
//!             AuthFailure::Missing => format!("{url} needs a token in {token_variable:?} ({reason:?})"),
//!             AuthFailure::Refused => format!("{url} rejects the token in {token_origin:?}"),
//!             AuthFailure::WrongSecret => format!("{url} is not signed with the secret key in {token_origin:?}"),
//!             AuthFailure::Forbidden => format!("{url} does not exist, or needs a token in {token_variable:?}"),
//!             AuthFailure::Gated => format!("accept the terms of the model at {url}"),
//!             AuthFailure::UnsafeTokenService => format!("{registry:?} hands out tokens at {reason:?}, which is not safe"),
//!             _ => format!("{url} denies access"),
//!         },
//!         ErrorKind::Certificate { url, problem: CertificateProblem::Untrusted, .. } => {
//!             format!("trust the authority of {url}, or do not use it")
//!         }
//!         ErrorKind::Certificate { url, message, .. } => format!("{url} needs another certificate: {message}"),
//!         ErrorKind::Tls { url, problem: TlsProblem::NotTls, .. } => format!("is it http instead of https? {url}"),
//!         ErrorKind::Tls { url, message, .. } => format!("ask the operator of {url}: {message}"),
//!         ErrorKind::Proxy { proxy, status: 407, authorized: false, variable, .. } => {
//!             format!("{proxy} needs a user and password in {variable:?}")
//!         }
//!         ErrorKind::Proxy { url, proxy, status, .. } => format!("{proxy} refuses {url} with status {status}"),
//!         ErrorKind::WebPage { url, requested, token_variable } => {
//!             format!("{requested} leads to {url}: set {token_variable:?}, or see in a browser whether to sign in")
//!         }
//!         ErrorKind::IndexNotFound { url, origin: Some(origin) } => format!("check the URL in {origin}: there is no {url}"),
//!         ErrorKind::IndexNotFound { url, origin: None } => format!("there is no registry: {url}"),
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
//!         ErrorKind::UnusableFiles { model, files, reason, can_exclude } => {
//!             format!("{files:?} of {model} cannot be installed ({reason}); exclude them: {can_exclude}")
//!         }
//!         ErrorKind::DamagedCache { path, source } => format!("sync again: {} is damaged ({source:?})", path.display()),
//!         ErrorKind::OriginUnknown { source_name } => format!("pull the model from {source_name} again"),
//!         ErrorKind::NotRegistered { id, near } => format!("no {id} in the project; is it one of {near:?}?"),
//!         ErrorKind::LockStale { path, models } => format!("lock {models:?} again in {}", path.display()),
//!         ErrorKind::UnusableLock { location, problem: LockProblem::Missing, .. } => format!("lock something into {location}"),
//!         ErrorKind::UnusableLock { location, message, .. } => format!("correct {location}: {message}"),
//!         ErrorKind::NotPublishable { findings } => format!("correct first: {}", findings.join("; ")),
//!         ErrorKind::DamagedRegistry { path, message, source } => {
//!             format!("restore {} from version control: {message} ({source:?})", path.display())
//!         }
//!         ErrorKind::DamagedTarget { location, source } => format!("restore {location} from a copy ({source:?})"),
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
//!         ErrorKind::Unsupported { method } => format!("implement Manager::{method}"),
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

mod code;
mod document;
mod io;
mod kind;
mod problem;
mod words;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) use io::{IoContext, is_missing};
pub use kind::ErrorKind;
pub use problem::{AuthFailure, CertificateProblem, LockProblem, TlsProblem};

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
    /// What the message names, if no field of the kind has it.
    path: Option<PathBuf>,
    /// What the user of a command can do about it, where one prints it.
    hint: OnceLock<String>,
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

    /// Returns the path that the message is about and names, if there is one.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use modelrack::{Error, ErrorKind};
    ///
    /// let error = Error::from(ErrorKind::Exists { path: "tiny/config.json".into() });
    /// assert_eq!(error.path(), Some(Path::new("tiny/config.json")));
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.kind().path().or(self.0.path.as_deref())
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

    /// Whether what came has other bytes than it should, and is not only missing or too little.
    pub(crate) fn is_of_content(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::HashMismatch { .. }
                | ErrorKind::SizeMismatch { .. }
                | ErrorKind::Registry { .. }
        )
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

    /// Returns whether the server has no such document, as far as it says: some deny access to what does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        match self.kind() {
            ErrorKind::Authentication { failure, .. } => *failure == AuthFailure::Forbidden,
            _ => matches!(self.status(), Some(404 | 410)),
        }
    }

    /// Changes the kind and keeps the steps.
    pub(crate) fn map_kind(self, change: impl FnOnce(ErrorKind) -> ErrorKind) -> Self {
        let kind = change(self.0.kind);
        Self(Box::new(Failed { kind, ..*self.0 }))
    }

    /// States the path that the message names.
    pub(crate) fn naming(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path = Some(path.as_ref().to_owned());
        self
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        let (message, source) = (message.into(), None);
        ErrorKind::Config { message, source }.into()
    }

    /// Creates the error of a configuration that cannot be used, with what the parser says.
    pub(crate) fn config_from(message: String, source: impl Into<BoxError>) -> Self {
        let source = Some(source.into());
        ErrorKind::Config { message, source }.into()
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        let message = message.into();
        ErrorKind::InvalidArgument { message }.into()
    }

    /// Creates the error of an invalid name in an argument.
    #[allow(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
    pub(crate) fn argument_name(name: InvalidName) -> Self {
        Self::argument(name.to_string())
    }

    /// Creates the error of a model reference that has no meaning. The message is the predicate of a sentence about it.
    pub(crate) fn invalid_ref(input: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::from(ErrorKind::InvalidRef {
            input: input.to_string(),
            message: message.into(),
            choices: Vec::new(),
        })
    }

    pub(crate) fn registry(location: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::from(ErrorKind::Registry {
            location: location.to_string(),
            message: message.into(),
            source: None,
        })
    }

    /// A registry, document or archive that cannot be used, with what the parser says.
    pub(crate) fn registry_from(
        location: impl fmt::Display,
        message: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self::from(ErrorKind::Registry {
            location: location.to_string(),
            message: message.into(),
            source: Some(source.into()),
        })
    }

    /// An index that was to be changed and is malformed, with what the parser says.
    pub(crate) fn damaged_target(location: impl fmt::Display, source: Option<BoxError>) -> Self {
        let location = location.to_string();
        Self::from(ErrorKind::DamagedTarget { location, source })
    }

    /// Creates the error of models of which some failed, in order; that of the model if there was only one, and `None` if none
    /// failed.
    pub(crate) fn of_models(mut errors: Vec<Self>, of: usize, not_tried: usize) -> Option<Self> {
        let failed = errors.len();
        if failed == 0 || of == 1 {
            return errors.pop();
        }
        let mut message = format!("{failed} of {of} models failed");
        match not_tried {
            0 => {}
            1 => message += ", and 1 was not tried",
            several => message += &format!(", and {several} were not tried"),
        }
        Some(ErrorKind::Several { message, errors }.into())
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        ErrorKind::Internal { message }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(Failed {
            kind,
            steps: Vec::new(),
            path: None,
            hint: OnceLock::new(),
        }))
    }
}

impl From<InvalidUrl> for Error {
    fn from(error: InvalidUrl) -> Self {
        Self::argument(error.to_string())
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

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.kind().source()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_as_one_sentence() {
        let url =
            crate::url::Url::parse("https://user:secret@models.example.org/data/ab?sig=1").unwrap();
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
    fn an_error_stays_small() {
        assert!(
            size_of::<Error>() <= size_of::<usize>(),
            "{}",
            size_of::<Error>()
        );
    }
}
