//! Pulling all models whose names match a pattern, through one archive where that is cheaper.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use serde::Serialize;

use crate::catalog::RemoteModel;
use crate::catalog::registry::RegistryFailure;
use crate::config::check_concurrency;
use crate::engine::Engine;
use crate::engine::lookup::list::RemoteOptions;
use crate::engine::lookup::offer::Offer;
use crate::engine::lookup::reading::{named_source, read_pattern};
use crate::engine::pull::plan::{PullPlan, PullTarget};
use crate::engine::pull::{PullOptions, PullReport};
use crate::engine::transfer::connections::Connections;
use crate::engine::transfer::pace::fixed_connections;
use crate::engine::transfer::workers::work_off;
use crate::error::{Error, ErrorKind, Result};
use crate::glob::Glob;
use crate::http::call::Call;
use crate::model::{ModelPattern, ModelRef};
use crate::mutex::Mutex;
use crate::source::{ListFilter, Prefetched, Source};
use crate::store::record::ModelRecord;

/// How many models are pulled at once: while one becomes durable on disk, others transfer.
const MODELS_AT_ONCE: usize = 4;

/// What the pulls of several models did, in the order of names. The [module documentation](crate::pull) has an example.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MatchingReport {
    /// The pulls that succeeded, or found their model installed.
    #[serde(rename = "models")]
    pub pulled: Vec<PullReport>,
    /// The pulls that failed.
    pub failed: Vec<FailedPull>,
    /// Bytes of archives that were fetched for several models at once; the reports of the pulls do not include them.
    pub bytes_archives: u64,
}

/// A model that could not be pulled, and why. The [module documentation](crate::pull) has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedPull {
    /// The model.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The error.
    pub error: Error,
}

impl MatchingReport {
    /// Returns the pulls, if none failed. The [module documentation](crate::pull) has an example.
    ///
    /// # Errors
    /// That of the pull, if there was only one; else [`ErrorKind::Several`], which counts those that failed.
    pub fn into_result(self) -> Result<Vec<PullReport>> {
        let of = self.pulled.len() + self.failed.len();
        let errors = self.failed.into_iter().map(|failed| failed.error);
        let failed = Error::of_models(errors.collect(), of, 0);
        failed.map_or(Ok(self.pulled), Err)
    }
}

impl FailedPull {
    /// Creates the entry of a failed pull, for implementations of [`Manager`](crate::Manager); the [module
    /// documentation](crate::pull) has an example.
    #[must_use]
    pub fn new(model: ModelRef, error: Error) -> Self {
        Self { model, error }
    }
}

impl Engine {
    /// Returns the plans of pulling all models that match.
    pub(crate) fn plan_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<Vec<PullPlan>> {
        let call = self.call(options.offline, &options.cancel);
        let records = self.records()?;
        let offers = self.find_matching(pattern, options, &call)?.into_iter();
        offers
            .map(|offer| self.plan_offer(&records, offer, options, &call))
            .collect()
    }

    /// Pulls all models that match, going on past a failure.
    pub(crate) fn pull_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<MatchingReport> {
        options.concurrency.map_or(Ok(()), check_concurrency)?;
        let call = self.call(options.offline, &options.cancel);
        let offers = self.find_matching(pattern, options, &call)?.into_iter();
        let targets: Vec<_> = offers.map(|offer| PullTarget::Offer(offer, None)).collect();
        self.run_all(&targets.iter().collect::<Vec<_>>(), options)
    }

    /// Runs plans as they stand, going on past a failure.
    pub(crate) fn execute_all(&self, plans: &[PullPlan]) -> Result<MatchingReport> {
        let Some(first) = plans.first() else {
            return Ok(MatchingReport::default());
        };
        let targets = plans
            .iter()
            .map(PullPlan::target)
            .collect::<Result<Vec<_>>>()?;
        self.run_all(&targets, &first.options)
    }

    fn run_all(&self, targets: &[&PullTarget], options: &PullOptions) -> Result<MatchingReport> {
        let mut report = MatchingReport::default();
        let offers = targets.iter().filter_map(|target| match target {
            PullTarget::Offer(offer, _) => Some(offer),
            PullTarget::Installed(..) => None,
        });
        let offers: Vec<_> = offers.collect();
        let archives = self.prefetch(&offers, options)?;
        report.bytes_archives = archives.bytes;
        let jobs: Mutex<VecDeque<&PullTarget>> = Mutex::new(targets.iter().copied().collect());
        let done = Mutex::new(&mut report);
        // Together they have as many connections as a pull of one model has at most.
        let connections = options
            .concurrency
            .or(self.settings.concurrency)
            .unwrap_or_else(|| fixed_connections(self.pull_call(options).client.rate_limit()));
        let models = MODELS_AT_ONCE.min(connections);
        let each = options.clone().concurrency(connections / models);
        let threads = Connections::new(Some(models), options.cancel.child());
        work_off(&jobs, &threads, |target, _| {
            let pulled = self.run_target(target, &each);
            let mut report = done.lock();
            match pulled {
                Ok(pulled) => report.pulled.push(pulled),
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => {
                    let model = target.model().clone();
                    report.failed.push(FailedPull::new(model, error));
                }
            }
            Ok(())
        })?;
        options.cancel.check()?;
        report.pulled.sort_by(|a, b| a.model.cmp(&b.model));
        report.failed.sort_by(|a, b| a.model.cmp(&b.model));
        if report.failed.is_empty() {
            // Everything that was wanted of them is installed.
            archives.drop_files();
        }
        Ok(report)
    }

    /// Finds all models that match.
    pub(crate) fn find_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
        call: &Call,
    ) -> Result<Vec<Offer>> {
        let sources = self.sources.all();
        let readings = read_pattern(&sources, pattern)?;
        let remote = RemoteOptions::default()
            .offline(options.offline)
            .cancel(options.cancel.clone());
        let mut listing = self.list_offers(&remote)?;
        if let Some(models) = self.take_matching(&mut listing.models, &readings) {
            return self.offers(models, call);
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
        // A ref that the configuration does not list may have them.
        let is_listed = |reference: &&String| {
            let mut models = listing.models.iter();
            models.any(|remote| remote.model.version() == *reference)
        };
        let references: Vec<&String> = readings.iter().filter_map(|(_, v)| v.as_ref()).collect();
        if let Some(source) = named_source(&sources, &pattern.address)
            && !references.iter().any(is_listed)
            && let Some(models) = self.find_in_refs(&**source, &references, &readings, call)?
        {
            return self.offers(models, call);
        }
        Err(ErrorKind::ModelNotFound {
            model: pattern.to_string(),
            near: Vec::new(),
            sources: Vec::new(),
            token_variable: None,
            registry: None,
        }
        .into())
    }

    /// Takes the models that match out of those that are listed: by the likeliest reading of a pattern by which any match; `None` if
    /// none do.
    fn take_matching(
        &self,
        models: &mut Vec<RemoteModel>,
        readings: &[(Glob, Option<String>)],
    ) -> Option<Vec<RemoteModel>> {
        for (glob, version) in readings {
            let has_version = |remote: &RemoteModel| {
                let version = version.as_deref();
                version.is_none_or(|version| remote.model.version() == version)
            };
            let by_name = |remote: &RemoteModel| {
                has_version(remote) && glob.matches(&remote.model.name().to_string())
            };
            // A path as it is in the repository.
            let by_path = |remote: &RemoteModel| {
                let source = self.sources.by_key(&remote.source);
                let root = remote.pin.as_ref().map(|pin| &pin.root);
                let path = source.zip(root);
                let path = path.map(|(source, root)| source.identity().full_name(root));
                has_version(remote) && path.is_some_and(|path| glob.matches(&path))
            };
            if models.iter().any(by_name) {
                models.retain(by_name);
            } else if models.iter().any(by_path) {
                models.retain(by_path);
            } else {
                continue;
            }
            return Some(mem::take(models));
        }
        None
    }

    /// Asks a source for refs that it does not list by itself, one after the other, until some models match.
    fn find_in_refs(
        &self,
        source: &dyn Source,
        references: &[&String],
        readings: &[(Glob, Option<String>)],
        call: &Call,
    ) -> Result<Option<Vec<RemoteModel>>> {
        let mut missing = Vec::new();
        for reference in references {
            let filter = ListFilter {
                reference: Some(reference),
                is_named: true,
                is_wanted: None,
            };
            let mut listing = source.list(call, filter)?;
            let found = self.take_matching(&mut listing.models, readings);
            if found.is_some() {
                return Ok(found);
            }
            let Some(failure) = listing.failures.into_iter().next() else {
                continue;
            };
            match failure.error.kind() {
                ErrorKind::NotSynced {
                    references,
                    source: None,
                    ..
                } => missing.extend(references.iter().cloned()),
                _ => return Err(failure.error),
            }
        }
        match missing.is_empty() {
            true => Ok(None),
            false => Err(ErrorKind::NotSynced {
                source_name: source.label(),
                references: missing,
                source: None,
            }
            .into()),
        }
    }

    /// Returns the offers of models that were listed.
    fn offers(&self, models: Vec<RemoteModel>, call: &Call) -> Result<Vec<Offer>> {
        let offer = |remote: RemoteModel| {
            let source = self.sources.by_key(&remote.source);
            let source = source.ok_or_else(|| Error::internal("a listed model has no source"))?;
            let remote = match remote.is_named_only {
                true => {
                    let path = source.identity().path_of(&remote.model);
                    source.find(call, &path, Some(remote.model.version()))?
                }
                false => remote,
            };
            Ok(Offer::new(remote, source))
        };
        models.into_iter().map(offer).collect()
    }

    /// Fetches what makes pulling the models together cheaper than one by one; returns the files that came for that.
    pub(crate) fn prefetch(&self, offers: &[&Offer], options: &PullOptions) -> Result<Prefetched> {
        let call = self.pull_call(options);
        let records = self.records()?;
        let mut wanted: BTreeMap<&str, Vec<&Offer>> = BTreeMap::new();
        for offer in offers {
            let installed = records.get(&offer.remote.model).map(ModelRecord::offered);
            if options.force || installed != Some(offer.remote.manifest_digest) {
                wanted.entry(&offer.remote.source).or_default().push(offer);
            }
        }
        let mut all = Prefetched::default();
        for offers in wanted.into_values() {
            let models: Vec<&RemoteModel> = offers.iter().map(|offer| &offer.remote).collect();
            let prefetched = offers[0].source.prefetch(&call, &models)?;
            all.bytes += prefetched.bytes;
            all.files.extend(prefetched.files);
        }
        Ok(all)
    }
}
