//! What can go wrong.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::{AuthFailure, CertificateProblem, LockProblem, TlsProblem};
use super::{BoxError, Error};
use crate::url::Url;

/// What went wrong. The [module documentation](crate::error) has an example for every kind.
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
    /// Files of a model cannot be installed; without them, it can.
    UnusableFiles {
        /// The model, as `group/model version`.
        model: String,
        /// The names of the files as they are listed, sorted; never empty.
        files: Vec<String>,
        /// What is wrong with the first one, as the predicate of a sentence: "has a backslash".
        reason: String,
        /// Whether [`PullOptions::exclude`](crate::PullOptions::exclude) can leave them out.
        can_exclude: bool,
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
    /// The index of a registry or an image layout that was to be changed is malformed.
    DamagedTarget {
        /// The path or URL of the index.
        location: String,
        /// The error of the parser, if any.
        source: Option<BoxError>,
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
        /// Similar names of models, most similar first; may be empty.
        near: Vec<String>,
        /// The sources that may be meant, whose models can be listed; may be empty.
        sources: Vec<String>,
        /// The environment variable whose token may reveal the model, if the source hides private models.
        token_variable: Option<&'static str>,
        /// The OCI registry that says so, by the name that logging in takes: some say so of what a login would reveal.
        registry: Option<String>,
    },
    /// A source offers the model, but not this version of it.
    VersionNotFound {
        /// The requested `group/model`.
        model: String,
        /// The requested version.
        version: String,
        /// Similar versions, or all if there are few; of a repository, the refs that have the model. May be empty.
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
        /// Why syncing it failed, if that was tried.
        source: Option<BoxError>,
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
    /// An installed model lost bytes when the system stopped, before they were on the disk.
    Damaged {
        /// The model, as `group/model version`.
        model: String,
        /// How many of its files differ from its manifest; at least one.
        files: usize,
        /// The path of the first of them, in the model's folder.
        first: String,
    },
    /// The index of a registry does not exist: the URL of the source may be wrong.
    IndexNotFound {
        /// The URL of the index.
        url: Box<Url>,
        /// Where that URL comes from: an environment variable, or a key of the configuration; `None` if the caller named it.
        origin: Option<String>,
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
    /// A web page came instead of data: to sign in, from the portal of a network, or to say that there is nothing.
    WebPage {
        /// Where the page came from.
        url: Box<Url>,
        /// The URL that was requested: another one if the server redirected to the page.
        requested: Box<Url>,
        /// The environment variable whose token the server accepts, if there is one.
        token_variable: Option<&'static str>,
    },
    /// The operation needs the network, and offline mode is on.
    Offline {
        /// What would have to be fetched, such as a URL or "the index of https://…".
        needed: String,
        /// The environment variable that turns offline mode on; `None` if the caller or the configuration does.
        variable: Option<String>,
    },
    /// The server limits the rate of requests, for longer than [`RetryPolicy`](crate::config::RetryPolicy) allows to wait.
    RateLimited {
        /// The URL of the request.
        url: Box<Url>,
        /// How long the server asks to wait, if it does.
        retry_after: Option<Duration>,
        /// The environment variable whose token raises the limit, if none was sent.
        token_variable: Option<&'static str>,
        /// The OCI registry where a login may raise the limit, if none was sent: `docker.io`.
        registry: Option<String>,
        /// What the server says about it, if it does.
        reason: Option<String>,
    },
    /// Bytes do not have the expected digest, after all retries.
    HashMismatch {
        /// The chunk, file or manifest.
        what: String,
        /// The expected digest, in hexadecimal.
        expected: String,
        /// The actual digest, in hexadecimal; empty if it is gone.
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
    /// A lock is not what the sources offer: models in it have moved on, or are gone.
    LockStale {
        /// The path of the lock.
        path: PathBuf,
        /// The models, as `group/model version`; never empty.
        models: Vec<String>,
    },
    /// A lock cannot be read.
    UnusableLock {
        /// Its path, or what else names it.
        location: String,
        /// The problem.
        problem: LockProblem,
        /// The problem in words, with the line.
        message: String,
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
        /// The space needed, with some for what the store itself writes; zero if a write failed because the disk is full.
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
        /// Where the token that was sent came from: an environment variable, or the path of a file; or, without
        /// `token_variable`, the setting with the URL whose user and password were sent. `None` if none were.
        token_origin: Option<String>,
        /// The OCI registry that denies access, by the name that logging in takes: `ghcr.io`, `docker.io`. The URL may be that
        /// of its token service. `None` for other servers.
        registry: Option<String>,
        /// What the server says about it, if it does.
        reason: Option<String>,
        /// Where credentials were looked for, each place with what came of it: "/home/ada/.docker/config.json has no login
        /// for ghcr.io". Empty where they come from a variable or from the source's URL.
        looked_at: Vec<String>,
    },
    /// The certificate of a server, or of a proxy, is not accepted.
    Certificate {
        /// The URL of the request.
        url: Box<Url>,
        /// The kind of problem.
        problem: CertificateProblem,
        /// The problem, as a sentence about the certificate: "it has expired".
        message: String,
    },
    /// There is no secure connection to a server, or to a proxy, for another reason than its certificate.
    Tls {
        /// The URL of the request.
        url: Box<Url>,
        /// The kind of problem.
        problem: TlsProblem,
        /// The problem, as a sentence: "the port does not speak TLS".
        message: String,
    },
    /// A proxy refuses a request, or a connection to a server.
    Proxy {
        /// The URL of the request.
        url: Box<Url>,
        /// The host and port of the proxy.
        proxy: String,
        /// The HTTP status that the proxy responded with; 407, or 401 by some, if it requires other credentials.
        status: u16,
        /// Whether it was sent a user and password.
        authorized: bool,
        /// The environment variable that names the proxy, if one does.
        variable: Option<&'static str>,
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
    /// An implementation of [`Manager`](crate::Manager) leaves a method out.
    Unsupported {
        /// The name of the method.
        method: &'static str,
    },
    /// An invariant of this crate does not hold: a bug in it.
    Internal {
        /// The invariant.
        message: String,
    },
}

impl ErrorKind {
    /// Returns the numbers of bytes that the message rounds, by the names of their fields.
    pub(crate) fn exact_bytes(&self) -> Vec<(&'static str, u64)> {
        match *self {
            Self::SizeMismatch {
                expected_bytes,
                actual_bytes,
                ..
            } => vec![
                ("expected_bytes", expected_bytes),
                ("actual_bytes", actual_bytes),
            ],
            Self::RegistryTooLarge {
                size_bytes,
                max_bytes,
                ..
            } => vec![("size_bytes", size_bytes), ("max_bytes", max_bytes)],
            Self::InsufficientSpace {
                needed_bytes: needed_bytes @ 1..,
                available_bytes,
                ..
            } => vec![
                ("needed_bytes", needed_bytes),
                ("available_bytes", available_bytes),
            ],
            _ => Vec::new(),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::DamagedRegistry { path, .. }
            | Self::RegistryTooLarge { path, .. }
            | Self::FolderMissing { path, .. }
            | Self::LockStale { path, .. }
            | Self::DamagedCache { path, .. }
            | Self::Storage { path, .. }
            | Self::Exists { path }
            | Self::InsufficientSpace { path, .. }
            | Self::Permission { path, .. }
            | Self::Locked { path, .. } => Some(path),
            _ => None,
        }
    }

    pub(super) fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config { source, .. }
            | Self::Registry { source, .. }
            | Self::DamagedRegistry { source, .. }
            | Self::DamagedTarget { source, .. }
            | Self::DamagedCache { source, .. }
            | Self::NotSynced { source, .. }
            | Self::Network { source, .. } => source.as_deref().map(|source| source as _),
            Self::Storage { source, .. } | Self::Permission { source, .. } => Some(source),
            Self::Several { errors, .. } => errors.first().map(|error| error as _),
            _ => None,
        }
    }
}
