//! Bringing registries up to date: all sources and refs at once, one outcome each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use tracing::{info, warn};

use crate::catalog::PinState;
use crate::config::{RepositoryPlace, SourceConfig, SourcePlace};
use crate::engine::Engine;
use crate::engine::documents::SourceDocuments;
use crate::error::{Error, Result};
use crate::http::Client;
use crate::model::{ModelRef, check_version};
use crate::progress::CancelToken;
use crate::setters::setters;
use crate::source::repository::discover::{Discovered, Discovery, Served};
use crate::source::repository::index::{self, Cached, Head, Origin};
use crate::source::repository::is_of;
use crate::source::repository::refs::{Refs, is_full_hash};
use crate::source::repository::wire::Registry;
use crate::source::{self, Catalog};
use crate::store::record::Records;
use crate::store::registries::{CachedMeta, RegistryCache, cached_refs};

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

/// How the sync of one registry ended.
enum Outcome {
    Synced(SyncedRegistry),
    Skipped(UnsyncedRegistry<&'static str>),
    Failed(UnsyncedRegistry<Error>),
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

impl Target {
    fn unsynced<R>(&self, reference: Option<&str>, reason: R) -> UnsyncedRegistry<R> {
        UnsyncedRegistry {
            reference: reference.map(str::to_owned),
            ..UnsyncedRegistry::new(&*self.config.key, self.config.label(), reason)
        }
    }

    fn synced(&self, mode: RegistryMode, models: usize) -> SyncedRegistry {
        SyncedRegistry {
            models,
            ..SyncedRegistry::new(&*self.config.key, self.config.label(), mode)
        }
    }
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
            return Err(Error::Offline {
                needed: "the network".into(),
            });
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
            return Err(Error::Cancelled);
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

    /// Brings those registries up to date that installed models of repositories came from; returns what failed.
    pub(crate) fn sync_origins(
        &self,
        models: &[ModelRef],
        records: &Records,
        offline: bool,
        cancel: &CancelToken,
    ) -> Result<Vec<UnsyncedRegistry<Error>>> {
        let client = self.client(offline);
        let sources = self.sources();
        let mut targets: Vec<Target> = Vec::new();
        for model in models {
            let key = records
                .get(model)
                .and_then(|record| record.source.as_deref());
            let source = sources
                .iter()
                .find(|source| Some(source.key.as_str()) == key);
            let reference = model.version();
            // A commit does not move.
            if let Some(source) = source
                && let SourcePlace::Repository(place) = &source.place
                && !is_full_hash(reference)
                && !targets
                    .iter()
                    .any(|target| target.config.key == source.key && target.refs[0] == reference)
            {
                targets.push(self.origin(source, place, reference)?);
            }
        }
        if targets.is_empty() || client.is_offline() {
            return Ok(Vec::new());
        }
        Ok(self.run(&targets, &client, false, cancel)?.failed)
    }

    /// Where the registry of a ref comes from: the configured repository, or the fork that was synced in its place.
    fn origin(
        &self,
        source: &SourceConfig,
        place: &RepositoryPlace,
        reference: &str,
    ) -> Result<Target> {
        let cache = RegistryCache::of_ref(&self.settings.cache_dir, &source.key, reference);
        let cached = match cache.open_index()? {
            Some(file) => Cached::open(file, &cache.index_path())?,
            None => None,
        };
        let fork = cached.filter(|cached| {
            cached.head.origin.fork && is_of(&cached.head, source, place, reference)
        });
        let place = match &fork {
            Some(fork) => place.with_repo(&fork.head.origin.repo)?,
            None => RepositoryPlace::clone(place),
        };
        Ok(Target {
            config: SourceConfig {
                place: place.into(),
                ..source.clone()
            },
            refs: vec![reference.to_owned()],
            fork: fork.is_some() || !self.is_configured(source),
        })
    }

    /// Syncs the registries that an error says are missing; returns whether one of them is there now.
    pub(crate) fn sync_missing(
        &self,
        missing: &Error,
        offline: bool,
        cancel: &CancelToken,
    ) -> Result<bool> {
        let Error::NotSynced {
            source_name,
            references,
        } = missing
        else {
            return Ok(false);
        };
        let client = self.online(offline)?;
        let sources = self.sources();
        let mut named = sources.iter();
        let Some(config) = named.find(|source| source.label() == *source_name) else {
            return Ok(false);
        };
        let refs = references.join(", ");
        info!(source = source_name, refs, "syncing what is missing");
        let target = Target {
            config: config.clone(),
            refs: references.clone(),
            fork: !self.is_configured(config),
        };
        let report = self.run(&[target], &client, false, cancel)?;
        if !(report.synced.is_empty() && report.skipped.is_empty()) {
            return Ok(true);
        }
        let failure = report.failed.into_iter().next();
        failure.map_or(Ok(false), |failure| Err(failure.reason))
    }

    /// Syncs what a listing lacks; returns whether something came. What fails is left to the listing to say.
    pub(crate) fn sync_all_missing(&self, catalog: &Catalog, cancel: &CancelToken) -> Result<bool> {
        let mut missing: Option<(&str, Vec<String>)> = None;
        for (_, error) in &catalog.failures {
            if let Error::NotSynced {
                source_name,
                references,
            } = error
            {
                let (_, all) = missing.get_or_insert((source_name, Vec::new()));
                all.extend_from_slice(references);
            }
        }
        let Some((source_name, references)) = missing else {
            return Ok(false);
        };
        let missing = Error::NotSynced {
            source_name: source_name.to_owned(),
            references,
        };
        match self.sync_missing(&missing, false, cancel) {
            Err(error) if !error.is_cancelled() => {
                warn!(error = %crate::error::chain(&error), "cannot sync");
                Ok(false)
            }
            result => result,
        }
    }

    /// Whether the configuration has a source; else somebody synced its repository by name.
    fn is_configured(&self, source: &SourceConfig) -> bool {
        let mut configured = self.settings.sources.iter();
        configured.any(|other| other.key == source.key)
    }

    /// Reads what is asked for.
    fn targets(&self, options: &SyncOptions) -> Result<Vec<Target>> {
        if let Some(reference) = &options.reference {
            check_version(reference).map_err(|error| Error::InvalidRef {
                input: reference.clone(),
                message: format!("is no ref: it {}", error.reason()),
                choices: Vec::new(),
            })?;
        }
        if let Some(repo) = &options.repo {
            return Ok(vec![self.fork(repo, options)?]);
        }
        let sources = self.sources();
        if sources.is_empty() {
            return Err(Error::config("no source is configured"));
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

/// One sync under way.
#[derive(Clone, Copy)]
struct Syncing<'a> {
    engine: &'a Engine,
    client: &'a Client,
    dispatch: &'a tracing::Dispatch,
    force: bool,
    cancel: &'a CancelToken,
}

impl Syncing<'_> {
    fn source(&self, target: &Target) -> Vec<Outcome> {
        tracing::dispatcher::with_default(self.dispatch, || match &target.config.place {
            SourcePlace::Chunked { .. } => vec![self.chunked(target)],
            SourcePlace::Repository(place) => self.repository(target, place),
            SourcePlace::Hub { .. } => {
                vec![Outcome::Skipped(
                    target.unsynced(None, "the Hub is asked directly"),
                )]
            }
        })
    }

    fn chunked(&self, target: &Target) -> Outcome {
        let sync = || {
            let documents = SourceDocuments::new(self.engine, &target.config, false, self.cancel);
            let catalog = source::new(&target.config)?.catalog(&documents)?;
            Ok((documents.replaced(), catalog.models.len()))
        };
        match sync() {
            Ok((false, _)) => Outcome::Skipped(target.unsynced(None, UP_TO_DATE)),
            Ok((true, models)) => Outcome::Synced(target.synced(RegistryMode::Chunked, models)),
            Err(error) => Outcome::Failed(target.unsynced(None, error)),
        }
    }

    fn repository(&self, target: &Target, place: &RepositoryPlace) -> Vec<Outcome> {
        let label = target.config.label();
        let repository = SyncingRepository {
            syncing: self,
            target,
            discovery: Discovery {
                client: self.client,
                cancel: self.cancel,
                place,
                label: &label,
            },
            refs: Mutex::default(),
        };
        let default_branch = || {
            let refs = repository.refs()?;
            let location = || place.server.join(&place.repo);
            let branch = refs.default_branch().map(str::to_owned);
            branch
                .ok_or_else(|| Error::registry(location(), "the repository has no default branch"))
        };
        let refs = match target.refs.as_slice() {
            [] => match default_branch() {
                Ok(branch) => vec![branch],
                Err(error) => return vec![Outcome::Failed(target.unsynced(None, error))],
            },
            refs => refs.to_vec(),
        };
        let sync = |reference: &String| {
            tracing::dispatcher::with_default(self.dispatch, || repository.outcome(reference))
        };
        refs.par_iter().map(sync).collect()
    }
}

const UP_TO_DATE: &str = "up to date";

/// The sync of one repository.
struct SyncingRepository<'a> {
    syncing: &'a Syncing<'a>,
    target: &'a Target,
    discovery: Discovery<'a>,
    /// Asked for once, by the first ref that is no release.
    refs: Mutex<Option<Arc<Refs>>>,
}

impl SyncingRepository<'_> {
    fn refs(&self) -> Result<Arc<Refs>> {
        let mut known = self.refs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refs) = &*known {
            return Ok(refs.clone());
        }
        let refs = Arc::new(self.discovery.refs()?);
        *known = Some(refs.clone());
        Ok(refs)
    }

    fn outcome(&self, reference: &str) -> Outcome {
        match self.sync(reference) {
            Ok(Some(head)) => {
                let state = &head.origin.state;
                let synced = SyncedRegistry {
                    reference: Some(reference.to_owned()),
                    commit: state.commit().map(str::to_owned),
                    ..self.target.synced(RegistryMode::of(state), head.models)
                };
                info!(
                    source = synced.name,
                    reference,
                    models = synced.models,
                    "synced"
                );
                Outcome::Synced(synced)
            }
            Ok(None) => Outcome::Skipped(self.target.unsynced(Some(reference), UP_TO_DATE)),
            Err(error) => Outcome::Failed(self.target.unsynced(Some(reference), error)),
        }
    }

    /// Brings the registry of one ref up to date; `None` when it was.
    fn sync(&self, reference: &str) -> Result<Option<Head>> {
        let key = &self.target.config.key;
        let cache = RegistryCache::of_ref(&self.syncing.engine.settings.cache_dir, key, reference);
        let cached = self.usable_copy(&cache, reference);
        let known = cached.as_ref().map(|(origin, _)| origin);
        let found = match self.discovery.in_release(reference, known)? {
            Some(found) => found,
            None => {
                let refs = self.refs()?;
                self.discovery
                    .under_version_control(reference, &refs, known)?
            }
        };
        let meta = match (found, cached) {
            // Not every server has validators.
            (Discovered::Served(served), Some((known, meta)))
                if served.revision() == known.revision =>
            {
                meta
            }
            (Discovered::Served(served), _) => {
                return self.keep(&cache, reference, &served).map(Some);
            }
            (Discovered::Unchanged, Some((_, meta))) => meta,
            (Discovered::Unchanged, None) => {
                let message = "the server says 'unchanged' of what nobody has";
                return Err(Error::registry(key, message));
            }
        };
        cache.write_meta(&CachedMeta {
            fetched_at: SystemTime::now(),
            ..meta
        })?;
        Ok(None)
    }

    /// What is known of the cached copy, when it is whole and of what is asked for now.
    fn usable_copy(&self, cache: &RegistryCache, reference: &str) -> Option<(Origin, CachedMeta)> {
        if self.syncing.force {
            return None;
        }
        let file = cache.open_index().ok()??;
        let mut cached = Cached::open(file, &cache.index_path()).ok()??;
        let place = self.discovery.place;
        let origin = &cached.head.origin;
        let is_same = is_of(&cached.head, &self.target.config, place, reference)
            && origin.repo == place.repo
            && origin.registry_path == place.registry_path
            && origin.asset == place.asset
            && origin.fork == self.target.fork;
        if !(is_same && cached.is_whole().ok()?) {
            return None;
        }
        Some((cached.head.origin, cache.any_meta()?))
    }

    /// Checks what was served, and keeps it with the form that reads fast.
    fn keep(&self, cache: &RegistryCache, reference: &str, served: &Served) -> Result<Head> {
        let location = served.url.to_string();
        let registry = Registry::parse(&served.text, reference, &location)?;
        let place = self.discovery.place;
        let state = match &served.commit {
            Some(commit) => PinState::Commit(commit.clone()),
            None => {
                let asset = registry.asset().or(place.asset.as_deref()).ok_or_else(|| {
                    let message = "neither the registry nor the source says which zip of the \
                                   release holds the files: set 'asset'";
                    Error::registry(&location, message)
                })?;
                PinState::Release {
                    tag: reference.to_owned(),
                    asset: asset.to_owned(),
                }
            }
        };
        let origin = Origin {
            reference: reference.to_owned(),
            name: self.target.config.name.clone(),
            server: place.server.to_string(),
            repo: place.repo.clone(),
            state,
            revision: served.revision(),
            etag: served.etag.clone(),
            registry_path: place.registry_path.clone(),
            asset: place.asset.clone(),
            fork: self.target.fork,
        };
        let mut document = cache.begin()?;
        document.write(served.text.as_bytes())?;
        let mut index = cache.begin_index()?;
        let head = index::write(&registry, &origin, &location, &mut |bytes| {
            index.write(bytes)
        })?;
        let meta = CachedMeta {
            url: location,
            etag: served.etag.clone(),
            public_key: None,
            fetched_at: SystemTime::now(),
        };
        cache.commit(document, Some(index), &meta)?;
        cache.drop_archives(&head.origin.revision);
        Ok(head)
    }
}
