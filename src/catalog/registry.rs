//! What is known of sources and their registries on this machine.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::catalog::PinState;
use crate::error::Error;
use crate::model::ModelRef;
use crate::time::rfc3339;

/// A kind of source, such as [`CHUNKED`](Self::CHUNKED).
///
/// ```
/// use modelrack::Manager;
/// use modelrack::remote::SourceKind;
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let kind = manager.sources()?[0].kind;
/// assert_eq!(kind, SourceKind::CHUNKED);
/// assert_ne!(kind, SourceKind::REPOSITORY);
/// assert_ne!(kind, SourceKind::HUB);
/// assert_ne!(kind, SourceKind::OCI);
/// assert_eq!(kind.as_str(), "chunked");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct SourceKind(&'static str);

impl SourceKind {
    pub(crate) const fn new(word: &'static str) -> Self {
        Self(word)
    }

    /// Returns the name that `--json` uses, such as `chunked`; [`SourceKind`] has an example.
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

/// A source, and what is known of its registries on this machine, as [`Manager::sources`](crate::Manager::sources) returns it.
///
/// ```
/// use modelrack::{Manager, SyncOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.sync(&SyncOptions::default())?;
/// for source in manager.sources()? {
///     println!("{} ({}, key {:?}, prefix {:?})", source.label(), source.kind, source.key, source.name);
///     println!("  at {:?}, fetched {:?}", source.locations, source.fetched_at);
///     for info in &source.refs {
///         let listed = if info.is_configured { "configured" } else { "cached only" };
///         match &info.cached {
///             Some(registry) => println!(
///                 "  {} ({listed}): {} versions at {:?} of {}, {}, fetched {:?}",
///                 info.reference,
///                 registry.versions,
///                 registry.commit,
///                 registry.repo,
///                 registry.mode.as_str(),
///                 registry.fetched_at,
///             ),
///             None => println!("  {} ({listed}): not synced", info.reference),
///         }
///     }
///     assert_eq!(source.versions, Some(3));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The key in `[sources]`; empty for the source that a plain registry URL configures.
    pub key: String,
    /// The prefix of the names of its models; may be empty.
    pub name: String,
    /// Its kind.
    pub kind: SourceKind,
    /// Its URL, or `OWNER/NAME` of its repository, followed by its mirrors; without credentials, and never empty.
    #[serde(flatten, serialize_with = "locations")]
    pub locations: Vec<String>,
    /// When its registry was last fetched or found unchanged, for several refs the earliest of these times; `None` if no
    /// registry is cached.
    #[serde(serialize_with = "crate::report::time_or_null")]
    pub fetched_at: Option<SystemTime>,
    /// The number of versions in the cached registries; `None` if none is cached or readable.
    pub versions: Option<usize>,
    /// Its refs that are configured or cached, in the order of names; empty for a source without refs.
    pub refs: Vec<RefInfo>,
}

impl SourceInfo {
    /// Creates a source of which nothing is cached; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
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

    /// Returns how messages name the source: by its name, or else its location. [`SourceInfo`] has an example.
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

/// Returns how messages name a source.
pub(crate) fn label(name: &str, locations: &[String]) -> String {
    match locations.first() {
        Some(location) if name.is_empty() => location.clone(),
        _ => name.to_owned(),
    }
}

/// A ref of a repository, and what is known of its registry on this machine; [`SourceInfo`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefInfo {
    /// The name of the branch or tag, or the commit.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether the configuration lists it.
    #[serde(rename = "configured")]
    pub is_configured: bool,
    /// The cached registry, if there is one.
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
    /// Creates a configured ref of which nothing is cached; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            is_configured: true,
            cached: None,
        }
    }
}

/// A cached registry of a repository; [`SourceInfo`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedRegistry {
    /// The repository it came from, as `OWNER/NAME`: the configured one, or a fork that was synced in its place.
    pub repo: String,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit that it came from; `None` for a release.
    pub commit: Option<String>,
    /// When it was last fetched or found unchanged.
    pub fetched_at: SystemTime,
    /// The number of versions that it lists.
    pub versions: usize,
    /// The file, as it was served; [`ModelsToml::load`](crate::remote::ModelsToml::load) reads it.
    pub path: PathBuf,
}

impl CachedRegistry {
    /// Creates a registry that lists nothing, fetched now; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    pub fn new(repo: impl Into<String>, mode: RegistryMode) -> Self {
        Self {
            repo: repo.into(),
            mode,
            commit: None,
            fetched_at: SystemTime::now(),
            versions: 0,
            path: PathBuf::new(),
        }
    }
}

/// How the files of a registry are published.
///
/// ```
/// use modelrack::remote::RegistryMode;
///
/// fn describe(mode: RegistryMode) -> &'static str {
///     match mode {
///         RegistryMode::Chunked => "as chunks named by their digests",
///         RegistryMode::VersionControlled => "as files of a commit",
///         RegistryMode::Release => "in a zip attached to a release",
///         _ => mode.as_str(),
///     }
/// }
///
/// assert_eq!(describe(RegistryMode::Release), "in a zip attached to a release");
/// assert_eq!(RegistryMode::VersionControlled.as_str(), "version_controlled");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum RegistryMode {
    /// As chunks that are named by their digests.
    Chunked,
    /// As files of a commit.
    VersionControlled,
    /// In a zip attached to a release.
    Release,
}

impl RegistryMode {
    /// Returns the name that `--json` uses; [`RegistryMode`] has an example.
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

/// A registry that could not be read; [`RemoteListing`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RegistryFailure {
    /// The key of the source.
    pub source: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The error.
    pub error: Error,
}

impl RegistryFailure {
    /// Creates a registry of a source without refs that could not be read; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    pub fn new(source: impl Into<String>, error: Error) -> Self {
        Self {
            source: source.into(),
            reference: None,
            error,
        }
    }
}

/// Models that belong together, according to their registry, as [`Manager::examples`](crate::Manager::examples) returns them.
///
/// ```
/// use modelrack::pull::MatchingReport;
/// use modelrack::remote::Example;
/// use modelrack::{Manager, ManagerExt, ModelRef};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let mut example = Example::new("digits/both", "digits", "main");
/// example.models = vec![ModelRef::new("digits", "logistic", "v1")?, ModelRef::new("digits", "logistic", "v2")?];
///
/// println!("{} of {}@{}", example.name, example.source, example.reference);
/// for model in &example.models {
///     manager.pull_model(model)?;
/// }
/// assert!(manager.is_installed("digits/logistic v2")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// Its name, which begins with the name of the source.
    pub name: String,
    /// The key of the source.
    pub source: String,
    /// The ref whose registry lists it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The models, in the order that the registry lists them.
    pub models: Vec<ModelRef>,
}

impl Example {
    /// Creates an example without models, as shown at [`Example`].
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

/// What the sources offer, as [`Manager::list_remote`](crate::Manager::list_remote) returns it.
///
/// ```
/// use modelrack::{Manager, RemoteOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let listing = manager.list_remote(&RemoteOptions::default())?;
/// for offer in &listing.models {
///     println!("{} of {}: {:?}", offer.model, offer.source, offer.local);
///     println!("  {:?} files, {:?} bytes, commit {:?}", offer.files, offer.total_bytes, offer.commit);
///     println!("  {} {}", offer.manifest_digest, offer.metadata.json());
/// }
/// for failure in &listing.failures {
///     println!("{}@{:?} could not be read: {}", failure.source, failure.reference, failure.error);
/// }
/// assert_eq!(listing.models[0].alias_of.as_deref(), Some("v2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RemoteListing {
    /// What is offered, in the order of names.
    pub models: Vec<super::RemoteModel>,
    /// Registries that could not be read, or were never synced.
    pub failures: Vec<RegistryFailure>,
}
