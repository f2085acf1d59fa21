//! Syncs that other operations need: of what a lookup lacks, and of what installed models came from.

use tracing::{info, warn};

use super::{Target, UnsyncedRegistry};
use crate::config::{RepositoryPlace, SourceConfig, SourcePlace};
use crate::digest::is_commit_id;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelRef;
use crate::progress::CancelToken;
use crate::source::Catalog;
use crate::source::cache::RegistryCache;
use crate::source::repository::index::Cached;
use crate::source::repository::is_of;
use crate::store::record::Records;

impl Engine {
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
                && !is_commit_id(reference)
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
        let ErrorKind::NotSynced {
            source_name,
            references,
        } = missing.kind()
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
            if let ErrorKind::NotSynced {
                source_name,
                references,
            } = error.kind()
            {
                let (_, all) = missing.get_or_insert((source_name, Vec::new()));
                all.extend_from_slice(references);
            }
        }
        let Some((source_name, references)) = missing else {
            return Ok(false);
        };
        let missing = Error::from(ErrorKind::NotSynced {
            source_name: source_name.to_owned(),
            references,
        });
        match self.sync_missing(&missing, false, cancel) {
            Err(error) if !error.is_cancelled() => {
                warn!(error = %crate::error::chain(&error), "cannot sync");
                Ok(false)
            }
            result => result,
        }
    }
}
