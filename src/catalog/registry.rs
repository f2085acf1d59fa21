//! What is known of sources and their registries on this machine.

use std::fmt;
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::catalog::PinState;
use crate::error::{Error, chain};
use crate::model::ModelRef;
use crate::time::rfc3339;

/// A kind of source, by the word that configuration and machine output use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct SourceKind(&'static str);

impl SourceKind {
    pub(crate) const fn new(word: &'static str) -> Self {
        Self(word)
    }

    /// Returns the word, such as `chunked`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A source and what is known of its registries on this machine.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The key in `[sources]`; empty for the source that a plain registry URL configures.
    pub key: String,
    /// The prefix of its models' names; empty for none.
    pub name: String,
    /// The kind.
    pub kind: SourceKind,
    /// Where it is, followed by its mirrors, without credentials; never empty.
    #[serde(flatten, serialize_with = "locations")]
    pub locations: Vec<String>,
    /// When its registry was last fetched or confirmed, the oldest of several; `None` when none is cached.
    #[serde(serialize_with = "crate::report::time_or_null")]
    pub fetched_at: Option<SystemTime>,
    /// How many versions the cached registries list; `None` when none is cached or readable.
    pub versions: Option<usize>,
    /// Its refs, cached or configured, in the order of names; empty for a source without refs.
    pub refs: Vec<RefInfo>,
}

impl SourceInfo {
    /// Describes a source of which nothing is cached.
    pub fn new(key: impl Into<String>, name: impl Into<String>, kind: SourceKind) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            kind,
            locations: Vec::new(),
            refs: Vec::new(),
            fetched_at: None,
            versions: None,
        }
    }

    /// Returns what people call the source: its name, or where it is.
    #[must_use]
    pub fn label(&self) -> String {
        label(&self.name, &self.locations)
    }
}

/// Writes the first location apart from the mirrors.
fn locations<S: Serializer>(locations: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let (location, mirrors) = match locations {
        [location, mirrors @ ..] => (location.as_str(), mirrors),
        [] => ("", locations),
    };
    let mut fields = serializer.serialize_struct("Locations", 2)?;
    fields.serialize_field("location", location)?;
    fields.serialize_field("mirrors", mirrors)?;
    fields.end()
}

/// What people call a source.
pub(crate) fn label(name: &str, locations: &[String]) -> String {
    match locations.first() {
        Some(location) if name.is_empty() => location.clone(),
        _ => name.to_owned(),
    }
}

/// A ref of a repository and what is known of its registry on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefInfo {
    /// The branch, tag or commit, as it is called.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether the configuration lists it.
    #[serde(rename = "configured")]
    pub is_configured: bool,
    /// The cached registry; `None` when there is none.
    #[serde(flatten, serialize_with = "cached")]
    pub cached: Option<CachedRegistry>,
}

/// Writes whether a registry is cached, and `null` for what is unknown of one that is not.
fn cached<S: Serializer>(
    cached: &Option<CachedRegistry>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("CachedRegistry", 6)?;
    let cached = cached.as_ref();
    let fetched_at = cached.map(|cached| rfc3339(cached.fetched_at));
    fields.serialize_field("cached", &cached.is_some())?;
    fields.serialize_field("repo", &cached.map(|cached| &cached.repo))?;
    fields.serialize_field("mode", &cached.map(|cached| cached.mode))?;
    fields.serialize_field("commit", &cached.and_then(|cached| cached.commit.as_ref()))?;
    fields.serialize_field("fetched_at", &fetched_at)?;
    fields.serialize_field("versions", &cached.map(|cached| cached.versions))?;
    fields.end()
}

impl RefInfo {
    /// Describes a configured ref of which nothing is cached.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            is_configured: true,
            cached: None,
        }
    }
}

/// A cached registry of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedRegistry {
    /// The repository it belongs to: a fork may stand in for the configured one.
    pub repo: String,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit it was read from; `None` for a release.
    pub commit: Option<String>,
    /// When it was last fetched or confirmed.
    pub fetched_at: SystemTime,
    /// How many versions it lists.
    pub versions: usize,
}

impl CachedRegistry {
    /// Describes a registry that lists nothing, fetched now.
    pub fn new(repo: impl Into<String>, mode: RegistryMode) -> Self {
        Self {
            repo: repo.into(),
            mode,
            commit: None,
            fetched_at: SystemTime::now(),
            versions: 0,
        }
    }
}

/// How the files of a registry are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum RegistryMode {
    /// As chunks.
    Chunked,
    /// As files of a commit.
    VersionControlled,
    /// In a zip attached to a release.
    Release,
}

impl RegistryMode {
    /// Returns the word that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunked => "chunked",
            Self::VersionControlled => "version_controlled",
            Self::Release => "release",
        }
    }

    pub(crate) fn of(state: &PinState) -> Self {
        match state {
            PinState::Commit(_) => Self::VersionControlled,
            PinState::Release { .. } => Self::Release,
        }
    }
}

/// What a sync did, in the order of the configuration.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// Registries that were fetched.
    pub synced: Vec<SyncedRegistry>,
    /// Registries that did not need to be, each with the reason in a few words.
    pub skipped: Vec<SkippedRegistry>,
    /// Registries that could not be.
    pub failed: Vec<FailedRegistry>,
}

impl SyncReport {
    pub(crate) fn extend(&mut self, other: Self) {
        self.synced.extend(other.synced);
        self.skipped.extend(other.skipped);
        self.failed.extend(other.failed);
    }
}

/// A registry that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncedRegistry {
    /// The key of the source.
    pub source: String,
    /// What people call the source.
    pub name: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit it was read from, where there is one.
    pub commit: Option<String>,
    /// How many versions it lists.
    pub versions: usize,
}

impl SyncedRegistry {
    /// Describes a registry that lists nothing, of a source without refs.
    pub fn new(source: impl Into<String>, name: impl Into<String>, mode: RegistryMode) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            mode,
            commit: None,
            versions: 0,
        }
    }
}

/// A registry that did not need to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedRegistry {
    /// The key of the source.
    pub source: String,
    /// What people call the source.
    pub name: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Why, in a few words.
    #[serde(flatten, serialize_with = "skipped")]
    pub reason: &'static str,
}

impl SkippedRegistry {
    /// Describes a registry of a source without refs that was not fetched.
    pub fn new(source: impl Into<String>, name: impl Into<String>, reason: &'static str) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            reason,
        }
    }
}

/// A registry that could not be fetched.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedRegistry {
    /// The key of the source.
    pub source: String,
    /// What people call the source.
    pub name: String,
    /// The ref; `None` for a source without refs, or while the default branch is unknown.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Why.
    #[serde(flatten, serialize_with = "failed")]
    pub error: Error,
}

impl FailedRegistry {
    /// Describes a registry of a source without refs that could not be fetched.
    pub fn new(source: impl Into<String>, name: impl Into<String>, error: Error) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            error,
        }
    }
}

fn skipped<S: Serializer>(reason: &str, serializer: S) -> Result<S::Ok, S::Error> {
    write_reason(reason, None, serializer)
}

fn failed<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    write_reason(&chain(error), Some(error), serializer)
}

fn write_reason<S: Serializer>(
    reason: &str,
    error: Option<&Error>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Reason", 2)?;
    fields.serialize_field("reason", reason)?;
    fields.serialize_field("error", &error)?;
    fields.end()
}

/// A registry that could not be read.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RegistryFailure {
    /// The key of the source.
    pub source: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Why.
    pub error: Error,
}

impl RegistryFailure {
    /// Describes a registry of a source without refs that could not be read.
    pub fn new(source: impl Into<String>, error: Error) -> Self {
        Self {
            source: source.into(),
            reference: None,
            error,
        }
    }
}

/// Models that belong together, according to their registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// Its name, prefixed with the source's name.
    pub name: String,
    /// The key of the source.
    pub source: String,
    /// The ref whose registry lists it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The models, in the order to run them.
    pub models: Vec<ModelRef>,
}

impl Example {
    /// Describes an example without models.
    pub fn new(
        name: impl Into<String>,
        source: impl Into<String>,
        reference: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            source: source.into(),
            reference: reference.into(),
            models: Vec::new(),
        }
    }
}

/// What a source offers, and which of its registries could not be read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RemoteListing {
    /// Versions, in the order of names.
    pub models: Vec<super::RemoteModel>,
    /// Registries that could not be read, or were never synced.
    pub failures: Vec<RegistryFailure>,
}
