//! What the sources offer, and what is known of their registries here.

use std::time::SystemTime;

use serde::Serialize;

use crate::catalog::RemoteModel;
use crate::config::{RepositoryPlace, SourceConfig, SourceKind, SourcePlace};
use crate::engine::Engine;
use crate::engine::documents::SourceDocuments;
use crate::engine::local::list::Scope;
use crate::engine::sync::RegistryMode;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelRef, nearest};
use crate::progress::CancelToken;
use crate::setters::setters;
use crate::source::cache::RegistryCache;
use crate::source::repository::is_of;
use crate::source::{self, Catalog, Documents};

/// What offers to list.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// Which models.
    pub scope: Scope,
    /// Only those of the source with this key or name.
    pub source: Option<String>,
    /// Only those of this ref.
    pub reference: Option<String>,
    /// Only those of this type.
    pub model_type: Option<String>,
    /// Use cached registries only.
    pub offline: bool,
    /// Stops it.
    pub cancel: CancelToken,
}

setters!(RemoteOptions {
    scope: Scope,
    source: impl Into<Option<String>>,
    reference: impl Into<Option<String>>,
    model_type: impl Into<Option<String>>,
    offline: bool,
    cancel: CancelToken,
});

/// A source and what is known of its registry here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The configuration.
    pub config: SourceConfig,
    /// Its refs, cached or configured, in the order of names; empty for a source without refs.
    pub refs: Vec<RefInfo>,
    /// When its registry was last fetched or confirmed, the oldest of several; `None` when none is cached.
    pub fetched_at: Option<SystemTime>,
    /// How many versions the cached registry lists; `None` when it is not cached or cannot be read.
    pub versions: Option<usize>,
}

impl SourceInfo {
    /// Makes the state of a source of which nothing is cached.
    #[must_use]
    pub fn new(config: SourceConfig) -> Self {
        Self {
            config,
            refs: Vec::new(),
            fetched_at: None,
            versions: None,
        }
    }
}

/// A ref of a repository and what is known of its registry here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefInfo {
    /// The branch, tag or commit as it is called.
    pub reference: String,
    /// Whether the configuration lists it.
    pub is_configured: bool,
    /// What is cached of it.
    pub cached: Option<CachedRegistry>,
}

impl RefInfo {
    /// Makes a configured ref of which nothing is cached.
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
    /// The repository that it is of: a fork may stand in for the configured one.
    pub repo: String,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit that it is of; `None` for a release.
    pub commit: Option<String>,
    /// When it was last fetched or confirmed.
    pub fetched_at: SystemTime,
    /// How many models it lists.
    pub models: usize,
}

impl CachedRegistry {
    /// Makes a registry that lists nothing, fetched now.
    pub fn new(repo: impl Into<String>, mode: RegistryMode) -> Self {
        Self {
            repo: repo.into(),
            mode,
            commit: None,
            fetched_at: SystemTime::now(),
            models: 0,
        }
    }
}

/// What the sources offer.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RemoteListing {
    /// Versions, in the order of names.
    pub models: Vec<RemoteModel>,
    /// Registries that could not be read, or were never synced.
    pub failures: Vec<RegistryFailure>,
}

/// A registry that could not be read.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RegistryFailure {
    /// The key of the source.
    pub source: String,
    /// The ref; `None` for a source that has none.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Why.
    pub error: Error,
}

impl RegistryFailure {
    /// Says why the registry of a source without refs could not be read.
    pub fn new(source: impl Into<String>, error: Error) -> Self {
        Self {
            source: source.into(),
            reference: None,
            error,
        }
    }
}

/// Models that belong together, as their registry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// Its name, with the source's name in front.
    pub name: String,
    /// The key of the source.
    pub source: String,
    /// The ref whose registry says so.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The models, in the order to run them.
    pub models: Vec<ModelRef>,
}

impl Example {
    /// Makes an example of no models.
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

impl Engine {
    /// Lists what the sources offer. What could not be read stands in the listing, unless that is all there is.
    pub(crate) fn list_remote(&self, options: &RemoteOptions) -> Result<RemoteListing> {
        let sources = self.asked(options)?;
        let sync = self.settings.auto_sync && !self.client(options.offline).is_offline();
        let (mut listing, mut any) = (RemoteListing::default(), false);
        for config in &sources {
            let mut catalog = self.catalog(config, options);
            if sync
                && let Ok(found) = &catalog
                && self.sync_all_missing(found, &options.cancel)?
            {
                catalog = self.catalog(config, options);
            }
            let (models, failures) = match catalog {
                Ok(Catalog { models, failures }) => (models, failures),
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => (Vec::new(), vec![(String::new(), error)]),
            };
            any |= failures.is_empty() || !models.is_empty();
            if listing.models.is_empty() {
                listing.models = models;
            } else {
                listing.models.extend(models);
            }
            let failures = failures.into_iter();
            listing
                .failures
                .extend(failures.map(|(reference, error)| RegistryFailure {
                    source: config.key.clone(),
                    reference: Some(reference).filter(|reference| !reference.is_empty()),
                    error,
                }));
        }
        if !any && !listing.failures.is_empty() {
            return Err(listing.failures.swap_remove(0).error);
        }
        listing.models.retain(|remote| {
            options.scope.contains(&remote.model)
                && options.model_type.as_deref().is_none_or(|wanted| {
                    remote.metadata.facts().model_type.as_deref() == Some(wanted)
                })
        });
        let in_order = |pair: &[RemoteModel]| pair[0].model <= pair[1].model;
        if !listing.models.windows(2).all(in_order) {
            listing.models.sort_by(|a, b| a.model.cmp(&b.model));
        }
        Ok(listing)
    }

    /// What a source offers at the ref that is asked for, and which failures matter to that.
    fn catalog(&self, config: &SourceConfig, options: &RemoteOptions) -> Result<Catalog> {
        let documents = SourceDocuments::new(self, config, options.offline, &options.cancel);
        let mut catalog = source::new(config)?.catalog(&documents)?;
        let Some(wanted) = &options.reference else {
            return Ok(catalog);
        };
        catalog
            .models
            .retain(|remote| remote.model.version() == wanted);
        catalog
            .failures
            .retain(|(reference, _)| reference.is_empty() || reference == wanted);
        // Of a source that is named, a ref that nobody configured may be meant, too.
        if let SourcePlace::Repository(place) = &config.place
            && options.source.is_some()
            && catalog.failures.is_empty()
            && !documents
                .cached(wanted)?
                .is_some_and(|cached| is_of(&cached.head, config, place, wanted))
        {
            let error = Error::from(ErrorKind::NotSynced {
                source_name: config.label(),
                references: vec![wanted.clone()],
            });
            catalog.failures.push((wanted.clone(), error));
        }
        Ok(catalog)
    }

    /// The sources that a listing is about: those that can say all they offer, when there are any.
    fn asked(&self, options: &RemoteOptions) -> Result<Vec<SourceConfig>> {
        let mut sources = self.searched(options.source.as_deref())?;
        let can_list = |source: &SourceConfig| source.kind() != SourceKind::Hub;
        if options.source.is_none() && sources.iter().any(can_list) {
            sources.retain(can_list);
        }
        Ok(sources)
    }

    /// All sources, or the one with this key or name.
    pub(crate) fn searched(&self, wanted: Option<&str>) -> Result<Vec<SourceConfig>> {
        let sources = self.sources();
        if sources.is_empty() {
            return Err(ErrorKind::NoSource.into());
        }
        let key = wanted.map(|wanted| self.source_key(wanted)).transpose()?;
        let asked = sources
            .iter()
            .filter(|source| key.as_ref().is_none_or(|key| source.key == *key));
        Ok(asked.cloned().collect())
    }

    /// Lists what registries say of models that belong together, in the order of names.
    pub(crate) fn examples(&self, options: &RemoteOptions) -> Result<Vec<Example>> {
        let mut all = Vec::new();
        for config in self.asked(options)? {
            let documents = SourceDocuments::new(self, &config, options.offline, &options.cancel);
            for of_ref in source::new(&config)?.examples(&documents)? {
                let reference = of_ref.reference;
                if options
                    .reference
                    .as_ref()
                    .is_some_and(|wanted| reference != *wanted)
                {
                    continue;
                }
                all.extend(of_ref.examples.into_iter().map(|(name, models)| Example {
                    name,
                    source: config.key.clone(),
                    reference: reference.clone(),
                    models,
                }));
            }
        }
        all.sort_by(|a, b| (&a.name, &a.reference).cmp(&(&b.name, &b.reference)));
        Ok(all)
    }

    /// The key of the source that a person calls by its key or its name.
    pub(crate) fn source_key(&self, wanted: &str) -> Result<String> {
        let sources = self.sources();
        let found = sources
            .iter()
            .find(|source| source.key == wanted || source.name == wanted);
        found.map(|source| source.key.clone()).ok_or_else(|| {
            let near = nearest(wanted, sources.iter().map(|source| source.key.as_str()));
            let near = near
                .first()
                .map(|near| format!(", did you mean '{near}'?"))
                .unwrap_or_default();
            Error::argument(format!(
                "no source has the key or name '{}'{near}",
                wanted.escape_debug()
            ))
        })
    }

    pub(crate) fn source_infos(&self) -> Vec<SourceInfo> {
        self.sources()
            .iter()
            .map(|config| self.source_info(config))
            .collect()
    }

    fn source_info(&self, config: &SourceConfig) -> SourceInfo {
        let cancel = CancelToken::new();
        let documents = SourceDocuments::new(self, config, true, &cancel);
        let mut info = SourceInfo::new(config.clone());
        let SourcePlace::Repository(place) = &config.place else {
            info.fetched_at = documents.fetched_at();
            let cached = info.fetched_at.and_then(|_| source::new(config).ok());
            let catalog = cached.and_then(|source| source.catalog(&documents).ok());
            info.versions = catalog.map(|catalog| catalog.models.len());
            return info;
        };
        let mut references = documents.cached_refs();
        references.extend(place.refs.iter().cloned());
        references.sort_unstable();
        references.dedup();
        for reference in references {
            let is_configured = place.refs.contains(&reference);
            let cached = self.cached_registry(config, place, &documents, &reference);
            if is_configured || cached.is_some() {
                info.refs.push(RefInfo {
                    reference,
                    is_configured,
                    cached,
                });
            }
        }
        let cached = || {
            info.refs
                .iter()
                .filter_map(|reference| reference.cached.as_ref())
        };
        info.fetched_at = cached().map(|cached| cached.fetched_at).min();
        info.versions = info
            .fetched_at
            .map(|_| cached().map(|cached| cached.models).sum());
        info
    }

    fn cached_registry(
        &self,
        config: &SourceConfig,
        place: &RepositoryPlace,
        documents: &SourceDocuments<'_>,
        reference: &str,
    ) -> Option<CachedRegistry> {
        let head = documents.cached(reference).ok()??.head;
        let cache = RegistryCache::of_ref(&self.settings.cache_dir, &config.key, reference);
        let fetched_at = cache.any_meta()?.fetched_at;
        is_of(&head, config, place, reference).then(|| CachedRegistry {
            mode: RegistryMode::of(&head.origin.state),
            commit: head.origin.state.commit().map(str::to_owned),
            repo: head.origin.repo,
            fetched_at,
            models: head.models,
        })
    }
}
