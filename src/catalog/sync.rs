//! Reports of a sync.

use serde::{Serialize, Serializer};

use crate::catalog::registry::RegistryMode;
use crate::error::{Error, chain};

/// What a sync did, in the order of the configuration, as [`Manager::sync`](crate::Manager::sync) returns it.
///
/// ```
/// use modelrack::{Manager, SyncOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let report = manager.sync(&SyncOptions::default())?;
/// for registry in &report.synced {
///     println!("{}@{:?}: {} versions at {:?}", registry.name, registry.reference, registry.versions, registry.commit);
/// }
/// for registry in &report.skipped {
///     println!("{}@{:?} is skipped: {}", registry.name, registry.reference, registry.reason.as_str());
/// }
/// for registry in &report.failed {
///     println!("{}@{:?} failed: {}", registry.name, registry.reference, registry.error);
/// }
/// assert_eq!((report.synced[0].source.as_str(), report.synced[0].mode.as_str()), ("digits", "chunked"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// Registries that were fetched.
    pub synced: Vec<SyncedRegistry>,
    /// Registries that did not have to be fetched, each with the reason.
    pub skipped: Vec<SkippedRegistry>,
    /// Registries that could not be fetched, each with the error.
    pub failed: Vec<FailedRegistry>,
}

impl SyncReport {
    pub(crate) fn extend(&mut self, other: Self) {
        self.synced.extend(other.synced);
        self.skipped.extend(other.skipped);
        self.failed.extend(other.failed);
    }
}

/// A registry that was fetched; [`SyncReport`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncedRegistry {
    /// The key of the source.
    pub source: String,
    /// How messages name the source: by its name, or else its location.
    pub name: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit that it came from; `None` if its source has no commits, and for a release.
    pub commit: Option<String>,
    /// The number of versions that it lists.
    pub versions: usize,
}

impl SyncedRegistry {
    /// Creates a registry that lists nothing, of a source without refs; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
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

/// A registry that did not have to be fetched; [`SyncReport`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedRegistry {
    /// The key of the source.
    pub source: String,
    /// How messages name the source: by its name, or else its location.
    pub name: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Why.
    #[serde(flatten, serialize_with = "skipped")]
    pub reason: SkipReason,
}

/// Why a registry did not have to be fetched; [`SyncReport`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It has not changed.
    UpToDate,
    /// Its source keeps none: every lookup asks the source itself.
    QueriedDirectly,
}

impl SkipReason {
    /// Returns the text that `--json` uses; [`SyncReport`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up to date",
            Self::QueriedDirectly => "queried directly",
        }
    }
}

impl SkippedRegistry {
    /// Creates a registry of a source without refs that was not fetched; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    pub fn new(source: impl Into<String>, name: impl Into<String>, reason: SkipReason) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            reason,
        }
    }
}

/// A registry that could not be fetched; [`SyncReport`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedRegistry {
    /// The key of the source.
    pub source: String,
    /// How messages name the source: by its name, or else its location.
    pub name: String,
    /// The ref; `None` for a source without refs, or while the default branch is unknown.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The error.
    #[serde(flatten, serialize_with = "failed")]
    pub error: Error,
}

impl FailedRegistry {
    /// Creates a registry of a source without refs that could not be fetched; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    pub fn new(source: impl Into<String>, name: impl Into<String>, error: Error) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            error,
        }
    }
}

fn skipped<S: Serializer>(reason: &SkipReason, serializer: S) -> Result<S::Ok, S::Error> {
    let (reason, error) = (reason.as_str(), None);
    Reason { reason, error }.serialize(serializer)
}

fn failed<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    let (reason, error) = (&*chain(error), Some(error));
    Reason { reason, error }.serialize(serializer)
}

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
    error: Option<&'a Error>,
}
