//! Pulling all models whose names match a pattern, through one archive where that is cheaper.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use tracing::{info, warn};

use serde::Serialize;

use crate::catalog::RemoteModel;
use crate::config::{SourcePlace, check_concurrency};
use crate::engine::Engine;
use crate::engine::offer::Offer;
use crate::engine::offers::{RegistryFailure, RemoteOptions};
use crate::engine::pull::plan::{MAX_WORKERS, PullPlan};
use crate::engine::pull::{PullOptions, PullReport, Wanted};
use crate::engine::transfer::workers::work_off;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelPattern, ModelRef};
use crate::mutex::Mutex;
use crate::source;
use crate::source::cache::RegistryCache;
use crate::source::zips::{ZipOpener, drop_kept};
use crate::store::record::ModelRecord;

/// From so many files on, an archive is worth asking for: it takes seconds to be made where it does not exist yet.
const MIN_FILES: u64 = 64;
/// Which share of a repository's files must be wanted: an archive has all of them, and what is beside them.
const MIN_SHARE: u64 = 3;

/// How many models are pulled at once: while one becomes durable on disk, others transfer.
const MODELS_AT_ONCE: usize = 4;

/// What pulling several models did, in the order of names.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MatchingReport {
    /// Models that are there now, or were already.
    #[serde(rename = "models")]
    pub pulled: Vec<PullReport>,
    /// Models that could not be pulled.
    pub failed: Vec<FailedPull>,
    /// Bytes of archives that were fetched for several models at once.
    pub bytes_archives: u64,
}

/// A model that could not be pulled, and why.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedPull {
    /// Which one.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Why.
    pub error: Error,
}

impl FailedPull {
    /// Says why a model could not be pulled.
    #[must_use]
    pub fn new(model: ModelRef, error: Error) -> Self {
        Self { model, error }
    }
}

impl Engine {
    /// Says what pulling all models that match would do.
    pub(crate) fn plan_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<Vec<PullPlan>> {
        let matching = self.find_matching(pattern, options)?;
        let offers = matching.into_iter().map(|remote| self.offer(remote));
        offers
            .map(|offer| self.plan_offer(&offer?, options))
            .collect()
    }

    /// Pulls all models that match, going on past a failure.
    pub(crate) fn pull_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<MatchingReport> {
        options.concurrency.map_or(Ok(()), check_concurrency)?;
        let matching = self.find_matching(pattern, options)?;
        let mut report = MatchingReport::default();
        let archives = self.fetch_archives(&matching, options, &mut report)?;
        let jobs: Mutex<VecDeque<RemoteModel>> = Mutex::new(matching.into());
        let done = Mutex::new(&mut report);
        // Together they have as many connections as a pull of one model has at most.
        let connections = options
            .concurrency
            .or(self.settings.concurrency)
            .unwrap_or(MAX_WORKERS);
        let models = MODELS_AT_ONCE.min(connections);
        let each = options.clone().concurrency(connections / models);
        work_off(&jobs, models, &options.cancel.child(), |remote, _| {
            let model = remote.model.clone();
            let wanted = Wanted::of(self.offer(remote)?);
            let pulled = self.pull_wanted(&wanted, &each, &each.cancel.child());
            let mut report = done.lock();
            match pulled {
                Ok(pulled) => report.pulled.push(pulled),
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => report.failed.push(FailedPull::new(model, error)),
            }
            Ok(())
        })?;
        if options.cancel.is_cancelled() {
            return Err(ErrorKind::Cancelled.into());
        }
        report.pulled.sort_by(|a, b| a.model.cmp(&b.model));
        report.failed.sort_by(|a, b| a.model.cmp(&b.model));
        if report.failed.is_empty() {
            // All that was wanted of them is installed.
            archives.iter().for_each(|archive| drop_kept(archive));
        }
        Ok(report)
    }

    /// Joins what a listing says with the source that says it.
    fn offer(&self, remote: RemoteModel) -> Result<Offer> {
        let sources = self.sources();
        let config = sources.iter().find(|source| source.key == remote.source);
        let config = config.ok_or_else(|| Error::internal("a listed model without a source"))?;
        Ok(Offer::new(remote, source::new(config)?))
    }

    /// Finds all models that match; syncs a registry that is missing for it, when that is asked for.
    fn find_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<Vec<RemoteModel>> {
        match self.find_listed(pattern, options) {
            Err(error)
                if self.settings.auto_sync
                    && matches!(error.kind(), ErrorKind::NotSynced { .. }) =>
            {
                if !self.sync_missing(&error, options.offline, &options.cancel)? {
                    return Err(error);
                }
                self.find_listed(pattern, options)
            }
            result => result,
        }
    }

    fn find_listed(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<Vec<RemoteModel>> {
        let sources = self.sources();
        let names = sources.iter().map(|source| source.name.as_str());
        let readings = pattern.readings(names)?;
        let remote = RemoteOptions::default()
            .offline(options.offline)
            .cancel(options.cancel.clone());
        let mut listing = self.list_remote(&remote)?;
        for (glob, version) in &readings {
            let matches = |remote: &RemoteModel| {
                let version = version.as_deref();
                version.is_none_or(|version| remote.model.version() == version)
                    && glob.matches(&remote.model.name().to_string())
            };
            if listing.models.iter().any(matches) {
                listing.models.retain(matches);
                return Ok(listing.models);
            }
        }
        let of_ref = |failure: &RegistryFailure| {
            let reference = failure.reference.as_ref();
            readings.iter().any(|(_, version)| {
                reference.is_none() || version.is_none() || version.as_ref() == reference
            })
        };
        if let Some(failure) = listing.failures.into_iter().find(of_ref) {
            return Err(failure.error);
        }
        let references: Vec<String> = readings.into_iter().filter_map(|(_, v)| v).collect();
        let is_listed = |reference: &String| {
            let mut models = listing.models.iter();
            models.any(|remote| remote.model.version() == reference)
        };
        let source = sources.iter().find(|source| pattern.is_of(&source.name));
        Err(match source {
            Some(source) if !references.is_empty() && !references.iter().any(is_listed) => {
                Error::from(ErrorKind::NotSynced {
                    source_name: source.label(),
                    references,
                })
            }
            _ => Error::from(ErrorKind::ModelNotFound {
                model: pattern.to_string(),
                near: Vec::new(),
            }),
        })
    }

    /// Fetches the archive of each commit that enough files are wanted of; returns where those are that came, and those
    /// that an earlier pull left.
    fn fetch_archives(
        &self,
        matching: &[RemoteModel],
        options: &PullOptions,
        report: &mut MatchingReport,
    ) -> Result<Vec<PathBuf>> {
        let client = self.client(options.offline);
        let mut wanted: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
        let records = self.records()?;
        for remote in matching {
            let installed = records.get(&remote.model).map(ModelRecord::offered);
            if let (Some(commit), Some(files)) = (&remote.commit, remote.files)
                && (options.force || installed != Some(remote.manifest_digest))
            {
                let of_commit = (&*remote.source, remote.model.version(), commit.as_str());
                *wanted.entry(of_commit).or_default() += files;
            }
        }
        let mut fetched = Vec::new();
        for ((key, reference, commit), files) in wanted {
            let cache = RegistryCache::of_ref(&self.settings.cache_dir, key, reference);
            let keep = cache.archive_path(commit);
            if keep.is_file() {
                fetched.push(keep);
                continue;
            }
            let is_cheaper =
                files >= MIN_FILES && files.saturating_mul(MIN_SHARE) >= self.listed_files(&cache);
            if !is_cheaper || client.is_offline() {
                continue;
            }
            let opener = ZipOpener {
                client: &client,
                cancel: &options.cancel,
                opened: &self.zips,
                meter: None,
            };
            let urls = match self.archive_urls(key, matching, commit) {
                Some(urls) => urls?,
                None => continue,
            };
            info!(commit, files, "fetching an archive for many models");
            match opener
                .fetch(&urls, &keep)
                .and_then(|bytes| opener.open_kept(&keep).map(|_| bytes))
            {
                Ok(bytes) => {
                    report.bytes_archives += bytes;
                    fetched.push(keep);
                }
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => {
                    // The files come one by one then.
                    warn!(error = %crate::error::chain(&error), "the archive cannot be used");
                }
            }
        }
        Ok(fetched)
    }

    /// How many files a cached registry lists.
    fn listed_files(&self, cache: &RegistryCache) -> u64 {
        let cached = cache.open_index().ok().flatten().and_then(|file| {
            let path = cache.index_path();
            crate::source::repository::Cached::open(file, &path)
                .ok()
                .flatten()
        });
        cached.map_or(u64::MAX, |cached| cached.head.files as u64)
    }

    /// Where the archive of a commit is, for a source that is a repository.
    fn archive_urls(
        &self,
        key: &str,
        matching: &[RemoteModel],
        commit: &str,
    ) -> Option<Result<Vec<crate::url::Url>>> {
        let sources = self.sources();
        let source = sources.iter().find(|source| source.key == key)?;
        let SourcePlace::Repository(place) = &source.place else {
            return None;
        };
        let of_commit = matching
            .iter()
            .find(|remote| remote.commit.as_deref() == Some(commit));
        let repo = &of_commit?.pin.as_ref()?.repo;
        Some(
            place
                .with_repo(repo)
                .and_then(|place| place.archive_urls(commit)),
        )
    }
}
