//! Pull: resolve → plan → transfer → commit.

mod attempt;
mod commit;
pub(crate) mod downloads;
mod installed;
mod measure;
pub(crate) mod plan;
pub(crate) mod reuse;
pub(crate) mod selection;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use serde::Serialize;

use crate::catalog::RemoteModel;
use crate::config::check_concurrency;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::lookup::reading::Reading;
use crate::engine::pull::downloads::{Entered, Meter, Settled};
use crate::engine::pull::plan::{PullPlan, TransferPlan, plan};
use crate::engine::pull::reuse::Holdings;
use crate::engine::pull::selection::Selection;
use crate::engine::transfer;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, Phase, Progress};
use crate::setters::setters;
use crate::source::places::Places;
use crate::store::partial::{FoundPartial, Measured, find_partials};
use crate::store::record::{Annotation, Records};

use attempt::Attempt;

/// What a pull should do beyond bringing the model in.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PullOptions {
    /// Build a new copy even when this state is installed, and swap it in.
    pub force: bool,
    /// How many parts are fetched at once, from 1 to 16. Default: the configuration's.
    pub concurrency: Option<usize>,
    /// Only files that match one of these patterns (`*.safetensors`, `onnx/`); all when there are none.
    pub include: Vec<String>,
    /// No file that matches one of these patterns.
    pub exclude: Vec<String>,
    /// The type to record, instead of what the source says.
    pub model_type: Option<String>,
    /// Refuse a model with files that have no digest.
    pub require_hashes: bool,
    /// Open no socket.
    pub offline: bool,
    /// Stops the pull.
    pub cancel: CancelToken,
    /// Learns how far it is, instead of the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(PullOptions {
    force: bool,
    concurrency: impl Into<Option<usize>>,
    include: Vec<String>,
    exclude: Vec<String>,
    model_type: impl Into<Option<String>>,
    require_hashes: bool,
    offline: bool,
    cancel: CancelToken,
    progress: Arc<dyn Progress>,
});

impl PullOptions {
    fn selection(&self) -> Selection {
        Selection {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        }
    }

    /// The type that will be recorded, as far as that is known.
    fn type_of(&self, remote: &RemoteModel) -> Option<String> {
        let stated = || remote.metadata.facts().model_type;
        self.model_type.clone().or_else(stated)
    }

    pub(crate) fn annotation(&self) -> Option<Annotation> {
        let model_type = self.model_type.clone()?;
        Some(Annotation::default().model_type(model_type))
    }
}

/// How a pull ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum PullOutcome {
    /// The model was brought in.
    Installed,
    /// Just this state was there already.
    AlreadyInstalled,
}

/// What a pull did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PullReport {
    /// What was pulled.
    #[serde(flatten)]
    pub model: ModelRef,
    /// How it ended.
    pub outcome: PullOutcome,
    /// The model's folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// The key of the source.
    pub source: String,
    /// The digest of its manifest.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The version that this one is another name for.
    pub alias_of: Option<String>,
    /// Files of the model.
    pub files: u64,
    /// Files without a digest: nothing says whether their bytes are right.
    pub files_unverified: Vec<String>,
    /// Bytes of the model.
    pub total_bytes: u64,
    /// Bytes that came over the network, tries that failed included.
    pub bytes_fetched: u64,
    /// Bytes taken from other models or partials of the store, or from another place of this model.
    pub bytes_reused: u64,
    /// Bytes that an unfinished pull had left.
    pub bytes_resumed: u64,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "crate::report::millis")]
    pub elapsed: Duration,
}

impl PullReport {
    /// Makes the report of a pull that found the model installed.
    #[must_use]
    pub fn new(model: ModelRef, path: PathBuf, manifest_digest: Digest) -> Self {
        Self {
            model,
            outcome: PullOutcome::AlreadyInstalled,
            path,
            source: String::new(),
            manifest_digest,
            alias_of: None,
            files: 0,
            files_unverified: Vec::new(),
            total_bytes: 0,
            bytes_fetched: 0,
            bytes_reused: 0,
            bytes_resumed: 0,
            elapsed: Duration::ZERO,
        }
    }
}

/// What to bring in: an offer, and what it consists of when that is known already.
pub(crate) struct Wanted {
    pub(crate) offer: Offer,
    pub(crate) manifest: Option<Manifest>,
}

impl Wanted {
    /// Wants an offer of which no more is known.
    pub(crate) fn of(offer: Offer) -> Self {
        Self {
            offer,
            manifest: None,
        }
    }
}

impl Engine {
    /// Says what a pull would do.
    pub(crate) fn plan_pull(
        &self,
        address: &ModelAddress,
        options: &PullOptions,
    ) -> Result<PullPlan> {
        let call = self.call(options.offline, &options.cancel);
        let reading = self.reading(address)?;
        let records = self.records()?;
        if let Some(installed) = self.find_immutable(&records, &reading, options) {
            return self.plan_already(&installed, options);
        }
        let found = self
            .find_remote(&reading, &call)
            .and_then(|offer| self.select(&records, offer, &options.selection(), &call));
        match found {
            Ok(offer) => self.plan_offer(&records, &offer, options, &call),
            Err(error) => match self.find_unreachable(&records, &reading, options, &error) {
                Some(installed) => self.plan_already(&installed, options),
                None => Err(error),
            },
        }
    }

    /// Says what bringing in what was found would do.
    pub(crate) fn plan_offer(
        &self,
        records: &Records,
        offer: &Offer,
        options: &PullOptions,
        call: &Call,
    ) -> Result<PullPlan> {
        let model = offer.remote.model.clone();
        self.store.check_place(records, &model)?;
        let installed = self.store.layout().model_dir(&model).is_dir()
            && records
                .get(&model)
                .is_some_and(|record| record.offered() == offer.remote.manifest_digest);
        let offered = self.manifest(records, offer, call)?;
        let unverified = check_hashes(&offered, options.require_hashes)?;
        let mut plan = if installed && !options.force && offered.is_measured() {
            PullPlan {
                installed,
                total_bytes: offered.known_bytes(),
                files: offered.files().len(),
                ..PullPlan::new(model)
            }
        } else {
            self.describe_pull(offer, &offered, call)?
        };
        plan.files_unverified = unverified.len();
        Ok(plan)
    }

    /// Says what bringing in what a manifest lists would do.
    pub(crate) fn describe_pull(
        &self,
        offer: &Offer,
        offered: &Manifest,
        call: &Call,
    ) -> Result<PullPlan> {
        let model = &offer.remote.model;
        let manifest = self.completed(model, offered);
        if !manifest.is_measured() {
            return self.describe_unmeasured(model.clone(), &manifest);
        }
        let places = offer.places(call)?;
        let found = self.journal_of(model, &manifest);
        let planned = self.plan_transfer(model, &manifest, &places, &found)?;
        Ok(PullPlan {
            total_bytes: manifest.known_bytes(),
            bytes_to_fetch: planned.bytes_to_fetch,
            bytes_reused: planned.bytes_reused,
            bytes_resumed: planned.bytes_resumed,
            files: manifest.files().len(),
            requests: planned.requests,
            ..PullPlan::new(model.clone())
        })
    }

    /// What is known of a pull before all sizes are: what is stated, what an unfinished pull learned, what the store has.
    fn describe_unmeasured(&self, model: ModelRef, manifest: &Manifest) -> Result<PullPlan> {
        let files = manifest.files();
        let digests = files.iter().filter_map(|file| file.digest);
        let held = Holdings::sizes(&self.store, &self.records()?, &model, digests);
        let partial = FoundPartial::of(self.store.layout(), &model, &manifest.digest());
        let measured = partial
            .map(|partial| partial.measured())
            .unwrap_or_default();
        let measured: HashMap<usize, Measured> = measured.into_iter().collect();
        let mut plan = PullPlan {
            files: files.len(),
            ..PullPlan::new(model)
        };
        let mut asked_for = HashSet::new();
        for (index, file) in files.iter().enumerate() {
            let known = measured.get(&index);
            let held = file.digest.and_then(|digest| held.get(&digest).copied());
            let size_bytes = file
                .size_bytes
                .or(known.map(|known| known.size_bytes))
                .or(held);
            plan.total_bytes += size_bytes.unwrap_or(0);
            plan.files_unsized += usize::from(size_bytes.is_none());
            if known.is_some_and(|known| known.is_here) {
                plan.bytes_resumed += size_bytes.unwrap_or(0);
            } else if held.is_some() {
                plan.bytes_reused += size_bytes.unwrap_or(0);
            } else if size_bytes != Some(0)
                && file.digest.is_none_or(|digest| asked_for.insert(digest))
            {
                plan.bytes_to_fetch += size_bytes.unwrap_or(0);
                plan.requests += 1;
            }
        }
        Ok(plan)
    }

    /// Completes what is known of a version by the sizes that an unfinished pull learned.
    fn completed(&self, model: &ModelRef, manifest: &Manifest) -> Manifest {
        let measured = || {
            let partial = FoundPartial::of(self.store.layout(), model, &manifest.digest())?;
            partial.manifest()
        };
        let completed = if manifest.is_measured() {
            None
        } else {
            measured()
        };
        completed.unwrap_or_else(|| manifest.clone())
    }

    /// Plans a transfer against everything the store has.
    pub(crate) fn plan_transfer(
        &self,
        model: &ModelRef,
        manifest: &Manifest,
        places: &Places,
        found: &[std::ops::Range<u64>],
    ) -> Result<TransferPlan> {
        let holdings = Holdings::find(
            &self.store,
            &self.records()?,
            model,
            manifest,
            places.elsewhere(),
        );
        let mut planned = plan(manifest, found, &holdings, places.has_ranges());
        if let Some(zip) = places.zip() {
            (planned.requests, planned.bytes_to_fetch) = match zip.kept {
                Some(_) => (0, 0),
                None => transfer::members::cost(places, manifest, &planned.tasks)?,
            };
        }
        Ok(planned)
    }

    /// What a partial of this very state has, without claiming it.
    pub(crate) fn journal_of(
        &self,
        model: &ModelRef,
        manifest: &Manifest,
    ) -> Vec<std::ops::Range<u64>> {
        let mut partials = find_partials(self.store.layout()).into_iter();
        let own = partials.find(|partial| {
            partial.record.manifest_hash == manifest.digest()
                && partial.record.model_ref().as_ref() == Some(model)
        });
        own.map(|partial| partial.journal()).unwrap_or_default()
    }

    /// Pulls a model.
    pub(crate) fn pull(&self, address: &ModelAddress, options: &PullOptions) -> Result<PullReport> {
        let named = |error: Error| {
            let error = if error.is_cancelled() {
                Error::from(ErrorKind::Cancelled)
            } else {
                error
            };
            error.step(format!("pull {address}"))
        };
        let call = self.pull_call(options, &options.cancel);
        let reading = self.reading(address).map_err(named)?;
        let records = self.records().map_err(named)?;
        if let Some(installed) = self.find_immutable(&records, &reading, options) {
            return self.already(&installed, options).map_err(named);
        }
        let entered = self.downloads.enter(reading.clone(), &call);
        let found = self
            .find_remote(&reading, &call)
            .and_then(|offer| self.select(&records, offer, &options.selection(), &call));
        let offer = match found {
            Ok(offer) => offer,
            Err(error) => {
                return match self.find_unreachable(&records, &reading, options, &error) {
                    Some(installed) => self.already(&installed, options).map_err(named),
                    None => Err(named(error)),
                };
            }
        };
        self.pull_entered(&entered, &Wanted::of(offer), options, call)
    }

    /// Brings in what was found.
    pub(crate) fn pull_wanted(
        &self,
        wanted: &Wanted,
        options: &PullOptions,
        cancel: &CancelToken,
    ) -> Result<PullReport> {
        let call = self.pull_call(options, cancel);
        let reading = Reading::of_model(&wanted.offer.remote.model);
        let entered = self.downloads.enter(reading, &call);
        self.pull_entered(&entered, wanted, options, call)
    }

    fn pull_call(&self, options: &PullOptions, cancel: &CancelToken) -> Call {
        let call = self.call(options.offline, &cancel.child());
        call.with_progress(options.progress.as_ref())
    }

    fn pull_entered(
        &self,
        entered: &Entered<'_>,
        wanted: &Wanted,
        options: &PullOptions,
        call: Call,
    ) -> Result<PullReport> {
        let remote = &wanted.offer.remote;
        let model = remote.model.clone();
        entered.meter.settle(Settled {
            model: model.clone(),
            source: remote.source.clone(),
            model_type: options.type_of(remote),
            total_bytes: remote.total_bytes,
            files: remote.files,
        });
        let slot = self.slots.take(&call.cancel, || entered.meter.pending());
        let result = slot.and_then(|_slot| {
            entered.meter.begin();
            let call = Call {
                arrivals: Some(entered.meter.clone()),
                ..wanted.offer.call(&call)
            };
            self.pull_locked(wanted, options, &call, &entered.meter)
        });
        if let Err(error) = &result {
            info!(%model, error = %chain(error), "pull failed");
        }
        result.map_err(|error| error.step(format!("pull {model}")))
    }

    fn pull_locked(
        &self,
        wanted: &Wanted,
        options: &PullOptions,
        call: &Call,
        meter: &Meter,
    ) -> Result<PullReport> {
        let started = Instant::now();
        let (offer, model) = (&wanted.offer, &wanted.offer.remote.model);
        let concurrency = options.concurrency.or(self.settings.concurrency);
        concurrency.map_or(Ok(()), check_concurrency)?;
        let lock = self
            .store
            .lock_model(model, &call.cancel, &|holder| meter.waiting(holder))?;
        meter.phase(Phase::Manifest);
        let path = self.store.layout().model_dir(model);
        let mut report = PullReport::new(model.clone(), path, offer.remote.manifest_digest);
        report.source.clone_from(&offer.remote.source);
        report.alias_of.clone_from(&offer.remote.alias_of);
        // Under the lock: whoever had it before may have pulled just this.
        let records = self.records()?;
        if let Some(record) = records.get(model)
            && !options.force
            && record.offered() == offer.remote.manifest_digest
            && report.path.is_dir()
        {
            self.report_installed(record, options, &mut report)?;
            report.elapsed = started.elapsed();
            return Ok(report);
        }
        self.store.check_place(&records, model)?;
        let attempt = Attempt {
            engine: self,
            options,
            concurrency,
            call,
            meter,
            lock: &lock,
            records: &records,
        };
        attempt.run(offer, wanted.manifest.as_ref(), &mut report)?;
        report.elapsed = started.elapsed();
        meter.finished();
        Ok(report)
    }
}

/// Names the files that nothing says the right bytes of.
pub(super) fn check_hashes(manifest: &Manifest, required: bool) -> Result<Vec<String>> {
    let unverified = manifest.unverifiable();
    match unverified.first() {
        Some(first) if required => Err(ErrorKind::Unverifiable {
            files: unverified.len(),
            first: first.clone(),
        }
        .into()),
        _ => Ok(unverified),
    }
}
