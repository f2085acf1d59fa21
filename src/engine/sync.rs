//! Bringing registries up to date: all sources and refs at once, one outcome each.

mod missing;
mod registrar;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::catalog::PinState;
use crate::config::{SourceConfig, SourcePlace};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Client;
use crate::model::check_version;
use crate::progress::CancelToken;
use crate::setters::setters;
use crate::source::cache::cached_refs;

use registrar::{Outcome, Syncing};

/// How many registries are asked for at once.
const WORKERS: usize = 16;

/// Which registries to sync, and how.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Only those of the source with this key or name.
    pub source: Option<String>,
    /// Only that of this ref, which need not be configured when a source or repository is named.
    pub reference: Option<String>,
    /// Of this repository (`OWNER/NAME`): one that no source names, or in place of the named source's own, as a fork.
    pub repo: Option<String>,
    /// Fetch even what is unchanged.
    pub force: bool,
    /// Fail, as nothing can be synced.
    pub offline: bool,
    /// Stops it.
    pub cancel: CancelToken,
}

setters!(SyncOptions {
    source: impl Into<Option<String>>,
    reference: impl Into<Option<String>>,
    repo: impl Into<Option<String>>,
    force: bool,
    offline: bool,
    cancel: CancelToken,
});

/// How the files of a registry are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryMode {
    /// As chunks.
    Chunked,
    /// In a commit.
    VersionControlled,
    /// In a zip of a release.
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

/// A registry and what was learned of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncedRegistry {
    /// The key of the source.
    pub source: String,
    /// What people call the source.
    pub name: String,
    /// The ref; `None` for a source that has none.
    pub reference: Option<String>,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit that it is of, where there is one.
    pub commit: Option<String>,
    /// How many versions of models it lists.
    pub models: usize,
}

impl SyncedRegistry {
    /// Makes what was learned of a registry that lists nothing, of a source without refs.
    pub fn new(source: impl Into<String>, name: impl Into<String>, mode: RegistryMode) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            mode,
            commit: None,
            models: 0,
        }
    }
}

/// A registry that was not synced, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnsyncedRegistry<R> {
    /// The key of the source.
    pub source: String,
    /// What people call the source.
    pub name: String,
    /// The ref; `None` for a source that has none, or where the default branch is not known.
    pub reference: Option<String>,
    /// Why.
    pub reason: R,
}

impl<R> UnsyncedRegistry<R> {
    /// Says why a registry was not synced, of a source without refs.
    pub fn new(source: impl Into<String>, name: impl Into<String>, reason: R) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            reason,
        }
    }
}

/// What a sync did, in the order of the configuration.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SyncReport {
    /// Registries that were fetched.
    pub synced: Vec<SyncedRegistry>,
    /// Registries that need not be, each with the reason in a few words.
    pub skipped: Vec<UnsyncedRegistry<&'static str>>,
    /// Registries that could not be.
    pub failed: Vec<UnsyncedRegistry<Error>>,
}

/// A source to sync.
#[derive(Debug)]
struct Target {
    config: SourceConfig,
    /// The refs; empty for the default branch, and for sources without refs.
    refs: Vec<String>,
    /// Whether the repository is another than the configuration says.
    fork: bool,
}

impl Engine {
    /// Syncs registries. One that fails does not keep the others from it; it stands in the report.
    pub(crate) fn sync(&self, options: &SyncOptions) -> Result<SyncReport> {
        let client = self.online(options.offline)?;
        let targets = self.targets(options)?;
        let report = self.run(&targets, &client, options.force, &options.cancel)?;
        if targets.iter().any(|target| target.fork) {
            self.find_sources();
        }
        Ok(report)
    }

    fn online(&self, offline: bool) -> Result<Client> {
        let client = self.client(offline);
        if client.is_offline() {
            return Err(ErrorKind::Offline {
                needed: "registries".into(),
            }
            .into());
        }
        Ok(client)
    }

    fn run(
        &self,
        targets: &[Target],
        client: &Client,
        force: bool,
        cancel: &CancelToken,
    ) -> Result<SyncReport> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(WORKERS)
            .thread_name(|index| format!("modelrack-sync-{index}"))
            .build()
            .map_err(|error| Error::internal(format!("cannot start threads: {error}")))?;
        // Events go to whoever listens on the calling thread, which the workers do not know of.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let syncing = Syncing {
            engine: self,
            client,
            dispatch: &dispatch,
            force,
            cancel,
        };
        let sync = |target| syncing.source(target);
        let outcomes: Vec<Vec<Outcome>> = pool.install(|| targets.par_iter().map(sync).collect());
        if cancel.is_cancelled() {
            return Err(ErrorKind::Cancelled.into());
        }
        let mut report = SyncReport::default();
        for outcome in outcomes.into_iter().flatten() {
            match outcome {
                Outcome::Synced(synced) => report.synced.push(synced),
                Outcome::Skipped(skipped) => report.skipped.push(skipped),
                Outcome::Failed(failed) => report.failed.push(failed),
            }
        }
        Ok(report)
    }

    /// Whether the configuration has a source; else somebody synced its repository by name.
    fn is_configured(&self, source: &SourceConfig) -> bool {
        let mut configured = self.settings.sources.iter();
        configured.any(|other| other.key == source.key)
    }

    /// Reads what is asked for.
    fn targets(&self, options: &SyncOptions) -> Result<Vec<Target>> {
        if let Some(reference) = &options.reference {
            check_version(reference).map_err(|error| {
                Error::from(ErrorKind::InvalidRef {
                    input: reference.clone(),
                    message: format!("is no ref: it {}", error.reason()),
                    choices: Vec::new(),
                })
            })?;
        }
        if let Some(repo) = &options.repo {
            return Ok(vec![self.fork(repo, options)?]);
        }
        let sources = self.sources();
        if sources.is_empty() {
            return Err(ErrorKind::NoSource.into());
        }
        let key = options
            .source
            .as_deref()
            .map(|wanted| self.source_key(wanted))
            .transpose()?;
        let wanted = sources
            .iter()
            .filter(|source| key.as_ref().is_none_or(|key| source.key == *key));
        let mut targets = Vec::new();
        for config in wanted {
            let is_configured = self.is_configured(config);
            let known = match &config.place {
                SourcePlace::Repository(place) if is_configured => place.refs.clone(),
                SourcePlace::Repository(_) => cached_refs(&self.settings.cache_dir, &config.key),
                _ => Vec::new(),
            };
            let refs = match &options.reference {
                None => known,
                Some(reference) if key.is_some() || known.contains(reference) => {
                    vec![reference.clone()]
                }
                Some(_) => continue,
            };
            targets.push(Target {
                config: config.clone(),
                refs,
                fork: !is_configured,
            });
        }
        match (&options.reference, targets.is_empty()) {
            (Some(reference), true) => Err(Error::argument(format!(
                "no source has the ref '{}' in its refs: name the source that should",
                reference.escape_debug()
            ))),
            _ => Ok(targets),
        }
    }

    /// A repository that no source names, or in place of the one that a source names.
    fn fork(&self, repo: &str, options: &SyncOptions) -> Result<Target> {
        let refuse = |error: Error| Error::argument(error.to_string());
        let refs = options.reference.iter().cloned().collect();
        let sources = self.sources();
        let of_repository = sources.iter().filter_map(|source| match &source.place {
            SourcePlace::Repository(place) => Some((source, place)),
            _ => None,
        });
        let wanted = options
            .source
            .as_deref()
            .map(|wanted| self.source_key(wanted))
            .transpose()?;
        for (source, place) in of_repository {
            let is_named = wanted.as_ref().is_some_and(|key| source.key == *key);
            if !is_named && (wanted.is_some() || place.repo != repo) {
                continue;
            }
            let refs = if options.reference.is_some() {
                refs
            } else {
                place.refs.clone()
            };
            let config = SourceConfig {
                place: place.with_repo(repo).map_err(refuse)?.into(),
                ..source.clone()
            };
            return Ok(Target {
                config,
                refs,
                fork: place.repo != repo || !self.is_configured(source),
            });
        }
        if let Some(wanted) = &options.source {
            return Err(Error::argument(format!(
                "the source '{}' is no repository",
                wanted.escape_debug()
            )));
        }
        let place = self.settings.hosts.place(repo).map_err(refuse)?;
        Ok(Target {
            config: SourceConfig::new(repo, repo, place.into()),
            refs,
            fork: true,
        })
    }
}
