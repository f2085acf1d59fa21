//! Pull: resolve → plan → transfer → commit.

mod arriving;
mod attempt;
mod commit;
pub(crate) mod downloads;
mod installed;
mod learn;
mod measure;
pub(crate) mod plan;
pub(crate) mod selection;
mod unchanged;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::catalog::RemoteModel;
use crate::config::check_concurrency;
use crate::digest::{Digest, is_immutable_version};
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::lookup::reading::Reading;
use crate::engine::pull::downloads::DownloadGuard;
use crate::engine::pull::plan::{PullPlan, PullTarget};
use crate::engine::pull::selection::Selection;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::http::waiting::telling_waits;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, Phase, Progress, Task};
use crate::rate_limit::RateLimit;
use crate::setters::setters;
use crate::store::record::{Annotation, Records};
use crate::store::staging::known_place;

use attempt::{Attempt, Pull};

pub(crate) use attempt::HandOver;

/// What to pull of a model, and how.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::config::RateLimit;
/// use modelrack::progress::Silent;
/// use modelrack::{CancelToken, Manager, PullOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let options = PullOptions::default()
///     .force(true)
///     .concurrency(2)
///     .rate_limit(RateLimit::new(20_000_000))
///     .model_type("image-classification")
///     .require_hashes(true)
///     .offline(false)
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// manager.pull(&"digits/logistic v1".parse()?, &options)?;
/// assert_eq!(manager.get(&"digits/logistic v1".parse()?)?.installed.model_type.as_deref(), Some("image-classification"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Of a repository or the Hub, some of the files of a model:
///
/// ```
/// use modelrack::PullOptions;
///
/// let options = PullOptions::default().include(["*.safetensors", "*.json"]).exclude(["onnx/"]);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PullOptions {
    /// Pull the model even if exactly this state is installed, and replace the installed copy.
    pub force: bool,
    /// How many parts are fetched at once, from 1 to 16. Default: [`Config::concurrency`](crate::Config::concurrency).
    pub concurrency: Option<usize>,
    /// Limits how fast bytes come, together with everything else that has a clone of this limit. Default: as configured.
    pub rate_limit: Option<RateLimit>,
    /// Pull only files that match one of these patterns, such as `*.safetensors` or `onnx/`. Default: all files.
    pub include: Vec<String>,
    /// Pull no file that matches one of these patterns.
    pub exclude: Vec<String>,
    /// The type to record. Default: the one that the source states.
    pub model_type: Option<String>,
    /// Fail with [`ErrorKind::Unverifiable`] if files have no digest. Default: install them, and report them.
    pub require_hashes: bool,
    /// Open no socket. Default: as configured.
    pub offline: bool,
    /// Cancels the pull.
    pub cancel: CancelToken,
    /// Receives the events of the pull. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(PullOptions {
    force: bool,
    concurrency: impl Into<Option<usize>>,
    rate_limit: impl Into<Option<RateLimit>>,
    include: [impl Into<String>],
    exclude: [impl Into<String>],
    model_type: Some(impl Into<String>),
    require_hashes: bool,
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

impl PullOptions {
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        }
    }

    /// Returns the type to record.
    fn type_of(&self, remote: &RemoteModel) -> Option<String> {
        let stated = || remote.metadata.facts().model_type;
        self.model_type.clone().or_else(stated)
    }

    pub(crate) fn annotation(&self) -> Option<Annotation> {
        let model_type = self.model_type.clone()?;
        Some(Annotation::default().model_type(model_type))
    }
}

/// How a pull ended. The [module documentation](crate::pull) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum PullOutcome {
    /// The model was fetched and installed.
    Installed,
    /// Exactly this state was installed already.
    AlreadyInstalled,
}

/// What a pull did. The [module documentation](crate::pull) has an example.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PullReport {
    /// The version that was pulled.
    #[serde(flatten)]
    pub model: ModelRef,
    /// How it ended.
    pub outcome: PullOutcome,
    /// The model's folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// The key of the source.
    pub source: String,
    /// The state that is installed now; compare it with
    /// [`RemoteModel::manifest_digest`](crate::remote::RemoteModel::manifest_digest).
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The version that this one is an alias of; `None` if it is none.
    pub alias_of: Option<String>,
    /// The number of files of the model.
    pub files: u64,
    /// Paths of files without a digest, whose bytes could not be verified; usually empty.
    #[serde(flatten, serialize_with = "unverified")]
    pub files_unverified: Vec<String>,
    /// The size of the model, in bytes.
    pub total_bytes: u64,
    /// Bytes that were fetched, including those of failed attempts.
    pub bytes_fetched: u64,
    /// Bytes that were copied from other models or unfinished pulls on this machine, or from elsewhere in this model.
    pub bytes_reused: u64,
    /// Bytes that an unfinished pull had left.
    pub bytes_resumed: u64,
    /// How long it took.
    #[serde(rename = "elapsed_ms", serialize_with = "crate::report::millis")]
    pub elapsed: Duration,
}

/// Writes paths under the key that plans have for them, and under the one that this report had first.
fn unverified<S: Serializer>(files: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Unverified", 2)?;
    fields.serialize_field("files_unverified", files)?;
    fields.serialize_field("unverified", files)?;
    fields.end()
}

impl PullReport {
    /// Creates the report of a pull that found the model installed, for implementations of
    /// [`Manager`](crate::Manager); the [module documentation](crate::pull) has an example.
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

impl Engine {
    /// Pulls a model.
    pub(crate) fn pull(&self, address: &ModelAddress, options: &PullOptions) -> Result<PullReport> {
        let call = self.pull_call(options);
        let named = |error: Error| {
            let error = match error.is_cancelled() {
                true => ErrorKind::Cancelled.into(),
                false => error,
            };
            error.step(format!("pull {address}"))
        };
        let reading = self.reading(address).map_err(named)?;
        let download = self.downloads.add(reading.clone(), &call);
        let (target, records) = self.resolve(&reading, options, &call).map_err(named)?;
        self.pull_target(&download, &target, records, options, &call)
    }

    /// Runs a plan as it stands.
    pub(crate) fn execute(&self, plan: &PullPlan) -> Result<PullReport> {
        self.run_target(plan.target()?, &plan.options)
    }

    /// Pulls what was found.
    pub(crate) fn run_target(
        &self,
        target: &PullTarget,
        options: &PullOptions,
    ) -> Result<PullReport> {
        let call = self.pull_call(options);
        let download = self.downloads.add(Reading::of_model(target.model()), &call);
        self.pull_target(&download, target, None, options, &call)
    }

    /// Pulls the files of a version, hands them over instead of installing them, and removes them then. What an interrupted pull
    /// left is used, and left again.
    pub(crate) fn pull_into(
        &self,
        offer: &Offer,
        options: &PullOptions,
        hand_over: HandOver<'_>,
    ) -> Result<PullReport> {
        let call = self.pull_call(options);
        let remote = &offer.remote;
        let download = self.downloads.add(Reading::of_model(&remote.model), &call);
        let tally = &download.tally;
        tally.identify(remote, options.type_of(remote));
        let _slot = self.slots.take(&call.cancel, || tally.pending())?;
        tally.begin();
        let call = Call {
            arrivals: Some(tally.clone()),
            ..offer.call(&call)
        };
        let pull = Pull {
            offer,
            manifest: None,
            options,
            call: &call,
            tally,
            hand_over: Some(hand_over),
        };
        let pulled = self.pull_offer(&pull, None);
        pulled.inspect_err(|_| tally.failed())
    }

    pub(crate) fn pull_call(&self, options: &PullOptions) -> Call {
        let call = self.call(options.offline, &options.cancel.child());
        let call = call.with_rate_limit(options.rate_limit.as_ref());
        call.with_progress(options.progress.as_ref())
    }

    /// Finds out what an address means: a version at its source, or an installed one if there is nothing to ask about it.
    /// Returns what is installed, too, if that had to be read.
    fn resolve(
        &self,
        reading: &Reading,
        options: &PullOptions,
        call: &Call,
    ) -> Result<(PullTarget, Option<Records>)> {
        let call = call.without_archives();
        let call = &telling_waits(Task::LookingUp, &reading.address, call);
        let selection = options.selection();
        let mut versions = reading.expected().filter_map(|(_, version)| version);
        let needs_records = versions.any(is_immutable_version) || !selection.is_everything();
        let records = needs_records.then(|| self.records()).transpose()?;
        let known = records.as_ref();
        let immutable = known.and_then(|known| self.find_immutable(known, reading, options));
        if let Some(installed) = immutable {
            return Ok((installed, records));
        }
        let found = self
            .find_remote(reading, call)
            .and_then(|offer| self.keep_name(reading, offer))
            .and_then(|offer| match known {
                Some(known) => self.select(known, offer, &selection, call),
                None => Ok(offer),
            });
        let error = match found {
            Ok(offer) => return Ok((PullTarget::Offer(offer, None), records)),
            Err(error) => error,
        };
        let Ok(records) = records.map_or_else(|| self.records(), Ok) else {
            return Err(error);
        };
        match self.find_unreachable(&records, reading, options, &error) {
            Some(installed) => Ok((installed, Some(records))),
            None => Err(error),
        }
    }

    /// Lets a version that is installed keep its name, where its source now has another for it.
    fn keep_name(&self, reading: &Reading, offer: Offer) -> Result<Offer> {
        let model = &offer.remote.model;
        let mut typed = reading.names().iter().map(|(name, _)| name);
        if !typed.any(|name| name == model.name()) {
            let mut installed = reading.match_renamed(&self.records()?).into_iter();
            if let Some(installed) = installed.find(|it| it.version() == model.version()) {
                return Ok(offer.named(&installed));
            }
        }
        Ok(offer)
    }

    fn pull_target(
        &self,
        download: &DownloadGuard<'_>,
        target: &PullTarget,
        records: Option<Records>,
        options: &PullOptions,
        call: &Call,
    ) -> Result<PullReport> {
        let model = target.model();
        let result = match target {
            PullTarget::Installed(model, record) => self.report_installed(model, record, options),
            PullTarget::Offer(offer, manifest) => {
                let tally = &download.tally;
                tally.identify(&offer.remote, options.type_of(&offer.remote));
                let slot = self.slots.take(&call.cancel, || tally.pending());
                slot.and_then(|_slot| {
                    tally.begin();
                    let call = Call {
                        arrivals: Some(tally.clone()),
                        ..call.clone()
                    };
                    let pull = Pull {
                        offer,
                        manifest: manifest.as_ref(),
                        options,
                        call: &call,
                        tally,
                        hand_over: None,
                    };
                    self.pull_offer(&pull, records)
                })
            }
        };
        result.map_err(|error| {
            download.tally.failed();
            let error = error.map_kind(|mut kind| {
                if let ErrorKind::InsufficientSpace { path, .. } = &mut kind {
                    *path = known_place(self.store.layout(), path).to_owned();
                }
                kind
            });
            info!(%model, error = %chain(&error), "pull failed");
            error.step(format!("pull {model}"))
        })
    }

    /// Pulls a version from its source, or waits for another thread or process that does. `records` is what was installed
    /// before, if that is known.
    fn pull_offer(&self, pull: &Pull<'_>, records: Option<Records>) -> Result<PullReport> {
        let started = Instant::now();
        let Pull {
            offer,
            options,
            tally,
            ..
        } = *pull;
        let (remote, model) = (&offer.remote, &offer.remote.model);
        let concurrency = options.concurrency.or(self.settings.concurrency);
        concurrency.map_or(Ok(()), check_concurrency)?;
        let path = self.store.layout().model_dir(model);
        let mut unusable = None;
        let mut installed = |records: &Records| -> Result<Option<PullReport>> {
            let record = records.get(model).filter(|record| {
                let is_replaced =
                    options.force || remote.is_made_by_hand || pull.hand_over.is_some();
                !is_replaced
                    && (record.made_by_hand || record.offered() == remote.manifest_digest)
                    && unusable.as_ref() != Some(*record)
            });
            let Some(record) = record else {
                return Ok(None);
            };
            // What a power cut took comes again; the rest is taken from the copy that is there.
            if !self.is_usable(model, record, &pull.call.cancel) {
                unusable = Some(record.clone());
                return Ok(None);
            }
            let report = self.report_installed(model, record, options)?;
            if record.made_by_hand {
                return Ok(Some(report));
            }
            Ok(Some(PullReport {
                source: remote.source.to_string(),
                alias_of: remote.alias_of.as_deref().map(str::to_owned),
                elapsed: started.elapsed(),
                ..report
            }))
        };
        // What is there needs no lock, which a store that cannot be written does not have.
        let records = match records {
            None if !options.force => Some(self.records()?),
            known => known,
        };
        if let Some(known) = &records
            && let Some(report) = installed(known)?
        {
            return Ok(report);
        }
        let waiting = |holder| tally.waiting(holder);
        let lock = self.store.lock_model(model, &pull.call.cancel, &waiting)?;
        tally.phase(Phase::Manifest);
        // Whoever had the lock before may have pulled exactly this.
        let unchanged = records.filter(|records| records.get(model).is_none() && !path.exists());
        let records = unchanged.map_or_else(|| self.records(), Ok)?;
        if let Some(report) = installed(&records)? {
            tally.finished();
            return Ok(report);
        }
        if pull.hand_over.is_none() {
            self.store.check_place(&records, model)?;
        }
        if remote.is_made_by_hand {
            self.refuse_existing(model)?;
        }
        let attempt = Attempt {
            engine: self,
            pull,
            concurrency,
            lock: &lock,
            records: &records,
        };
        let mut report = PullReport::new(model.clone(), path, remote.manifest_digest);
        report.source = remote.source.to_string();
        report.alias_of = remote.alias_of.as_deref().map(str::to_owned);
        attempt.run(offer, &mut report)?;
        report.elapsed = started.elapsed();
        tally.finished();
        Ok(report)
    }
}

/// Returns the files that no digest covers; refuses them if digests are required.
fn check_hashes(manifest: &Manifest, required: bool) -> Result<Vec<String>> {
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
