//! The sync of one source: each of its registries found, checked and kept.

use std::sync::Arc;
use std::time::SystemTime;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use tracing::info;

use super::{RegistryMode, SyncedRegistry, Target, UnsyncedRegistry};
use crate::catalog::PinState;
use crate::config::{RepositoryPlace, SourcePlace};
use crate::engine::Engine;
use crate::engine::documents::SourceDocuments;
use crate::error::{Error, Result};
use crate::http::Client;
use crate::modelstoml::Registry;
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use crate::source;
use crate::source::cache::{CachedMeta, RegistryCache};
use crate::source::repository::discover::{Discovered, Discovery, Served};
use crate::source::repository::index::{self, Cached, Head, Origin};
use crate::source::repository::is_of;
use crate::source::repository::refs::Refs;

/// How the sync of one registry ended.
pub(super) enum Outcome {
    Synced(SyncedRegistry),
    Skipped(UnsyncedRegistry<&'static str>),
    Failed(UnsyncedRegistry<Error>),
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

/// One sync under way.
#[derive(Clone, Copy)]
pub(super) struct Syncing<'a> {
    pub(super) engine: &'a Engine,
    pub(super) client: &'a Client,
    pub(super) dispatch: &'a tracing::Dispatch,
    pub(super) force: bool,
    pub(super) cancel: &'a CancelToken,
}

impl Syncing<'_> {
    pub(super) fn source(&self, target: &Target) -> Vec<Outcome> {
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
        let mut known = self.refs.lock();
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
        let state =
            match &served.commit {
                Some(commit) => PinState::Commit(commit.clone()),
                None => {
                    let asset = registry.asset.as_deref().or(place.asset.as_deref()).ok_or_else(|| {
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
