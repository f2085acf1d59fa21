//! Syncing a repository: the registry of each ref is found, checked, and kept in a form that reads fast.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::info;

use super::Repository;
use super::discover::{Discovered, Discovery, ServedRegistry};
use super::index::{self, Head, Origin};
use super::refs::Refs;
use crate::at_once::at_once;
use crate::catalog::PinState;
use crate::catalog::registry::RegistryMode;
use crate::catalog::sync::{
    FailedRegistry, SkipReason, SkippedRegistry, SyncReport, SyncedRegistry,
};
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::modelstoml::Registry;
use crate::mutex::Mutex;
use crate::source::cache::{CachedMeta, RegistryCache};
use crate::source::discovered::DiscoveredRegistry;
use crate::source::models_toml::ModelsToml;
use crate::source::{Source, SyncRequest};

/// The sync of one repository under way.
struct Sync<'a> {
    repository: &'a Repository,
    discovery: Discovery<'a>,
    force: bool,
    /// Asked for once, by the first ref that is not a release.
    refs: Mutex<Option<Arc<Refs>>>,
}

impl Repository {
    /// Syncs refs, all at once; the default branch when there are none.
    pub(super) fn sync_refs(
        &self,
        call: &Call,
        references: &[String],
        request: &SyncRequest<'_>,
    ) -> SyncReport {
        let label = self.label();
        let sync = Sync::new(self, call, &label, request.force);
        let default_branch;
        let references = match references {
            [] => match sync.default_branch() {
                Ok(branch) => {
                    default_branch = [branch];
                    &default_branch[..]
                }
                Err(error) => {
                    return request.registry(call, &label, |_| self.outcome(None, Err(error)));
                }
            },
            references => references,
        };
        let sync = |reference: &String| {
            let name = format!("{label}@{reference}");
            request.registry(call, &name, |call| {
                self.outcome(Some(reference), sync.registry(call, reference))
            })
        };
        let mut all = SyncReport::default();
        for report in at_once(references, sync) {
            all.extend(report);
        }
        all
    }

    /// Finds and reads the registry of a ref, and keeps nothing; without a ref, of the only one that is configured, else of the
    /// default branch.
    pub(super) fn discover_ref(
        &self,
        call: &Call,
        reference: Option<&str>,
    ) -> Result<DiscoveredRegistry> {
        let label = self.label();
        let sync = Sync::new(self, call, &label, true);
        let reference = match (reference, self.place.refs.as_slice()) {
            (Some(reference), _) => reference.to_owned(),
            (None, [only]) => only.clone(),
            (None, _) => sync.default_branch()?,
        };
        let Discovered::Registry(served) = sync.find(call, &reference, None)? else {
            return Err(sync.unasked());
        };
        Ok(DiscoveredRegistry {
            source: self.identity.key.clone(),
            mode: match served.commit {
                Some(_) => RegistryMode::VersionControlled,
                None => RegistryMode::Release,
            },
            commit: served.commit,
            registry: ModelsToml::parse(served.text, &served.url)?,
            name: label,
            url: served.url,
            reference,
        })
    }

    /// Syncs what a lookup lacks, where the app wants that; returns the registries that failed.
    ///
    /// # Errors
    /// The failure of the first if all of them did.
    pub(super) fn sync_missing(
        &self,
        call: &Call,
        references: &[String],
    ) -> Result<Vec<FailedRegistry>> {
        info!(
            source = self.label(),
            refs = references.join(", "),
            "syncing what is missing"
        );
        let mut report = self.sync_refs(call, references, &SyncRequest::default());
        match report.synced.is_empty() && report.skipped.is_empty() && !report.failed.is_empty() {
            true => Err(report.failed.swap_remove(0).error),
            false => Ok(report.failed),
        }
    }

    fn outcome(&self, reference: Option<&str>, synced: Result<Option<Head>>) -> SyncReport {
        let (key, label) = (&*self.identity.key, self.label());
        let reference = reference.map(str::to_owned);
        let mut report = SyncReport::default();
        match synced {
            Ok(Some(head)) => {
                let state = &head.origin.state;
                info!(source = label, reference, models = head.models, "synced");
                report.synced.push(SyncedRegistry {
                    reference,
                    commit: state.commit().map(str::to_owned),
                    versions: head.models,
                    ..SyncedRegistry::new(key, label, RegistryMode::of(state))
                });
            }
            Ok(None) => report.skipped.push(SkippedRegistry {
                reference,
                ..SkippedRegistry::new(key, label, SkipReason::UpToDate)
            }),
            Err(error) => report.failed.push(FailedRegistry {
                reference,
                ..FailedRegistry::new(key, label, error)
            }),
        }
        report
    }
}

impl<'a> Sync<'a> {
    fn new(repository: &'a Repository, call: &'a Call, label: &'a str, force: bool) -> Self {
        Self {
            repository,
            discovery: Discovery {
                call,
                place: &repository.place,
                label,
            },
            force,
            refs: Mutex::default(),
        }
    }

    fn refs(&self) -> Result<Arc<Refs>> {
        let mut known = self.refs.lock();
        if let Some(refs) = &*known {
            return Ok(refs.clone());
        }
        let refs = Arc::new(self.discovery.refs()?);
        *known = Some(refs.clone());
        Ok(refs)
    }

    fn default_branch(&self) -> Result<String> {
        let branch = self.refs()?.default_branch().map(str::to_owned);
        branch.ok_or_else(|| {
            let place = &self.repository.place;
            let location = place.server.join(&place.repo);
            Error::registry(location, "the repository has no default branch")
        })
    }

    /// Brings the registry of one ref up to date; `None` when it was.
    fn registry(&self, call: &Call, reference: &str) -> Result<Option<Head>> {
        let cache = self.repository.cache(reference);
        let cached = self.usable_copy(&cache, reference);
        let known = cached.as_ref().map(|(origin, _)| origin);
        let meta = match (self.find(call, reference, known)?, cached) {
            // Not every server has validators.
            (Discovered::Registry(served), Some((known, meta)))
                if served.revision() == known.revision =>
            {
                meta
            }
            (Discovered::Registry(served), _) => {
                return self.keep(&cache, reference, &served).map(Some);
            }
            (Discovered::Unchanged, Some((_, meta))) => meta,
            (Discovered::Unchanged, None) => return Err(self.unasked()),
        };
        cache.write_meta(&CachedMeta {
            fetched_at: SystemTime::now(),
            ..meta
        })?;
        Ok(None)
    }

    /// Finds the registry of a ref: a release's first.
    fn find(&self, call: &Call, reference: &str, known: Option<&Origin>) -> Result<Discovered> {
        let discovery = Discovery {
            call,
            ..self.discovery
        };
        match discovery.in_release(reference, known)? {
            Some(found) => Ok(found),
            None => discovery.under_version_control(reference, self.refs()?.as_ref(), known),
        }
    }

    fn unasked(&self) -> Error {
        let message = "the server responded 'unchanged' to an unconditional request";
        Error::registry(&self.repository.identity.key, message)
    }

    /// What is known of the cached copy, when it is whole and of what is asked for now.
    fn usable_copy(&self, cache: &RegistryCache, reference: &str) -> Option<(Origin, CachedMeta)> {
        if self.force {
            return None;
        }
        let mut cached = index::open(cache).ok()??;
        let (repository, origin) = (self.repository, &cached.head.origin);
        let place = &repository.place;
        let is_same = repository.is_current(&cached.head, reference)
            && origin.repo == place.repo
            && origin.registry_path == place.registry_path
            && origin.asset == place.asset
            && origin.fork == repository.is_fork;
        if !(is_same && cached.is_whole().ok()?) {
            return None;
        }
        Some((cached.head.origin, cache.any_meta()?))
    }

    /// Checks what was served, and keeps it together with the form that reads fast.
    fn keep(
        &self,
        cache: &RegistryCache,
        reference: &str,
        served: &ServedRegistry,
    ) -> Result<Head> {
        let location = served.url.to_string();
        let registry = Registry::parse(&served.text, reference, &location)?;
        let repository = self.repository;
        let place = &repository.place;
        let asset = registry.asset.as_ref().or(place.asset.as_ref());
        let state = match &served.commit {
            Some(commit) => PinState::Commit(commit.clone()),
            None => PinState::Release {
                tag: reference.to_owned(),
                asset: match asset {
                    Some(asset) => asset.clone(),
                    None => self.discovery.only_zip(reference)?,
                },
            },
        };
        let origin = Origin {
            reference: reference.to_owned(),
            name: repository.identity.name.clone(),
            server: place.server.to_string(),
            repo: place.repo.clone(),
            state,
            revision: served.revision(),
            validators: served.validators.clone(),
            registry_path: place.registry_path.clone(),
            asset: place.asset.clone(),
            fork: repository.is_fork,
        };
        let mut document = cache.begin()?;
        document.write(served.text.as_bytes())?;
        let mut index = cache.begin_index()?;
        let head = index::write(&registry, &origin, &location, &mut |bytes| {
            index.write(bytes)
        })?;
        let meta = CachedMeta {
            url: location,
            validators: served.validators.clone(),
            digest: None,
            public_key: None,
            is_sharded: false,
            fetched_at: SystemTime::now(),
        };
        cache.commit(document, Some(index), &meta)?;
        cache.drop_archives(&head.origin.revision);
        Ok(head)
    }
}
