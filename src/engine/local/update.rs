//! Comparing installed models with their sources, and applying what has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::catalog::RemoteModel;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::engine::lookup::reading::Reading;
use crate::engine::pull::plan::PullPlan;
use crate::engine::pull::selection::Selection;
use crate::engine::pull::{PullOptions, PullReport};
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::manifest::{FileContent, Manifest};
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, Progress, Step, Task};
use crate::rate_limit::RateLimit;
use crate::setters::setters;
use crate::store::record::Records;

/// Which models to update, or to check for updates, and how. Default: all of them.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::config::RateLimit;
/// use modelrack::progress::Silent;
/// use modelrack::{CancelToken, Manager, ManagerExt, UpdateOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic latest")?;
/// let options = UpdateOptions::default()
///     .model("digits/logistic latest".parse()?)
///     .offline(false)
///     .concurrency(2)
///     .rate_limit(RateLimit::new(20_000_000))
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// assert_eq!(manager.check_update(&options)?.entries.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct UpdateOptions {
    /// The model. Default: all installed models.
    pub model: Option<ModelAddress>,
    /// Open no socket: compare with cached registries only. Default: as configured.
    pub offline: bool,
    /// How many parts a pull fetches at once, from 1 to 16. Default: [`Config::concurrency`](crate::Config::concurrency).
    pub concurrency: Option<usize>,
    /// Limits how fast bytes of pulls come, together with everything else that has a clone of this limit. Default: as configured.
    pub rate_limit: Option<RateLimit>,
    /// Cancels the update.
    pub cancel: CancelToken,
    /// Receives the events of pulls. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(UpdateOptions {
    model: Some(ModelAddress),
    offline: bool,
    concurrency: impl Into<Option<usize>>,
    rate_limit: impl Into<Option<RateLimit>>,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What a new state of a model changes; [`UpdateReport`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The digest of the new state.
    pub manifest_digest: Digest,
    /// Paths of new files, sorted.
    pub added: Vec<String>,
    /// Paths of files whose bytes differ or may differ, sorted.
    pub changed: Vec<String>,
    /// Paths of files that are gone, sorted.
    pub removed: Vec<String>,
    /// The pull that applies the change; pass it to [`Manager::execute`](crate::Manager::execute).
    pub plan: PullPlan,
}

impl Change {
    /// Creates a change to a state without files; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(manifest_digest: Digest, plan: PullPlan) -> Self {
        Self {
            manifest_digest,
            added: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
            plan,
        }
    }
}

/// How an installed model compares to its source; [`UpdateReport`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub enum Freshness {
    /// The source has exactly this state.
    UpToDate,
    /// The source has another state.
    Changed(Box<Change>),
    /// The source no longer offers it: [`ErrorKind::ModelNotFound`] or [`ErrorKind::VersionNotFound`].
    Gone(Error),
    /// The source could not be reached, or its registry could not be read.
    Unknown(Error),
    /// It was made by hand, and has no source.
    NoSource,
    /// It is not installed, and this is the digest of the state that the source offers. Only
    /// [`Manager::check_update`](crate::Manager::check_update) returns it, of a model that is named.
    Absent(Digest),
}

/// An installed model compared with its source; [`UpdateReport`] has an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct UpdateEntry {
    /// The model.
    pub model: ModelRef,
    /// The digest of the installed state; `None` if the model is not installed.
    pub installed_digest: Option<Digest>,
    /// The result of the comparison.
    pub freshness: Freshness,
    /// The pull that applied the change; `None` if nothing was applied.
    pub applied: Option<PullReport>,
}

impl UpdateEntry {
    /// Creates the entry of a model to which nothing was applied; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(
        model: ModelRef,
        installed_digest: impl Into<Option<Digest>>,
        freshness: Freshness,
    ) -> Self {
        Self {
            model,
            installed_digest: installed_digest.into(),
            freshness,
            applied: None,
        }
    }
}

impl Serialize for UpdateEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(flatten)]
            model: &'a ModelRef,
            state: &'static str,
            installed_hash: Option<Digest>,
            remote_hash: Option<Digest>,
            added: &'a [String],
            changed: &'a [String],
            removed: &'a [String],
            total_bytes: Option<u64>,
            bytes_to_fetch: Option<u64>,
            files_unsized: Option<usize>,
            error: Option<&'a Error>,
            applied: Option<&'a PullReport>,
        }
        let (state, change, error) = match &self.freshness {
            Freshness::UpToDate => ("up_to_date", None, None),
            Freshness::Changed(change) if self.applied.is_some() => ("updated", Some(change), None),
            Freshness::Changed(change) => ("changed", Some(change), None),
            Freshness::Gone(error) => ("gone", None, Some(error)),
            Freshness::Unknown(error) => ("unknown", None, Some(error)),
            Freshness::NoSource => ("no_source", None, None),
            Freshness::Absent(_) => ("not_installed", None, None),
        };
        let same = match &self.freshness {
            Freshness::Absent(offered) => Some(*offered),
            _ => self.installed_digest.filter(|_| error.is_none()),
        };
        let fields = Fields {
            model: &self.model,
            state,
            installed_hash: self.installed_digest,
            remote_hash: change.map(|change| change.manifest_digest).or(same),
            added: change.map_or(&[], |change| &change.added),
            changed: change.map_or(&[], |change| &change.changed),
            removed: change.map_or(&[], |change| &change.removed),
            total_bytes: change.map(|change| change.plan.total_bytes),
            bytes_to_fetch: change.map(|change| change.plan.bytes_to_fetch),
            files_unsized: change.map(|change| change.plan.files_unsized),
            error,
            applied: self.applied.as_ref(),
        };
        fields.serialize(serializer)
    }
}

/// The result of an update, or of a check for one.
///
/// In this example, the publisher changes `whisper/tiny` after it was pulled:
///
/// ```
/// use modelrack::installed::Freshness;
/// use modelrack::{Manager, ManagerExt, UpdateOptions};
///
/// # use modelrack::project::{Project, PublishOptions};
/// # use modelrack::transport::Url;
/// # use modelrack::{Config, Environment, ModelManager, ModelRef, config::System};
/// # let folder = tempfile::tempdir()?;
/// # let (files, registry) = (folder.path().join("files"), folder.path().join("registry"));
/// # std::fs::create_dir(&files)?;
/// # let publish = |config: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     std::fs::write(files.join("config.json"), config)?;
/// #     let model = ModelRef::new("whisper", "tiny", "main")?;
/// #     Ok(Project::publish_files(&[files.clone()], &model, &registry, &PublishOptions::default())?)
/// # };
/// # let config = Config::new("tool").registry_url(Url::from_path(&registry)?.expose()).data_dir(folder.path().join("models"));
/// # let manager = ModelManager::builder(config).environment(Environment::empty(System::Linux, folder.path())).build();
/// publish(r#"{"layers": 4}"#)?;
/// manager.pull_model("whisper/tiny main")?;
/// publish(r#"{"layers": 6}"#)?;
///
/// for entry in manager.check_update(&UpdateOptions::default())?.entries {
///     println!("{} is installed as {:?}", entry.model, entry.installed_digest);
///     match entry.freshness {
///         Freshness::UpToDate => println!("  up to date"),
///         Freshness::Changed(change) => {
///             assert_eq!(change.changed, ["config.json"]);
///             println!("  now {}: {} new files, {} gone", change.manifest_digest, change.added.len(), change.removed.len());
///             println!("  {} bytes to fetch", change.plan.bytes_to_fetch);
///         }
///         Freshness::Gone(error) => println!("  no longer offered: {error}"),
///         Freshness::Unknown(error) => println!("  not compared: {error}"),
///         Freshness::NoSource => println!("  made by hand"),
///         Freshness::Absent(offered) => println!("  not installed; {offered} can be pulled"),
///         _ => {}
///     }
/// }
///
/// let updated = &manager.update(&UpdateOptions::default())?.entries[0];
/// let applied = updated.applied.as_ref().expect("the model has changed");
/// println!("{} bytes fetched", applied.bytes_fetched);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct UpdateReport {
    /// One entry for each model, in the order of names.
    #[serde(rename = "models")]
    pub entries: Vec<UpdateEntry>,
}

impl Engine {
    /// Compares installed models with their sources, and applies the changes if `apply` is true.
    pub(crate) fn update(&self, options: &UpdateOptions, apply: bool) -> Result<UpdateReport> {
        let records = self.records()?;
        let models = match &options.model {
            Some(address) => {
                let reading = self.reading(address)?;
                match reading.match_installed(&records) {
                    Ok(models) => models,
                    Err(error) if apply => return Err(error),
                    Err(error) => return self.check_absent(&reading, options, error),
                }
            }
            None => records.iter().map(|(model, _)| model).collect(),
        };
        let one = models.len() == 1;
        let is_named = one && options.model.is_some();
        let call = self.call(options.offline, &options.cancel.child());
        let call = call
            .with_rate_limit(options.rate_limit.as_ref())
            .with_progress(options.progress.as_ref())
            .remembering();
        let mut failed = self.refresh_origins(&models, &records, &call)?;
        let mut report = UpdateReport::default();
        let progress = self.progress_of(&options.progress);
        let first = Step::new(Task::Checking, models.len() as u64);
        for model in models {
            progress.on_step(&first.at(&model.to_string(), report.entries.len() as u64));
            let Some(record) = records.get(&model) else {
                continue;
            };
            let source = record.source.clone().unwrap_or_default();
            let origin = (source, model.version().to_owned());
            let compared = match failed.get_mut(&origin) {
                _ if record.made_by_hand => Ok((Freshness::NoSource, None)),
                // Why stands with the first model that it concerns.
                Some(reason) => Err(reason.take().unwrap_or_else(|| {
                    Error::from(ErrorKind::NotSynced {
                        source_name: origin.0,
                        references: vec![origin.1],
                        source: None,
                    })
                })),
                None => self.compare(&records, &model, options, apply, &call),
            };
            let (freshness, applied) = match compared {
                Ok((Freshness::Gone(error), _)) if is_named => {
                    return Err(error.step(format!("check {model}")));
                }
                Ok(compared) => compared,
                Err(error) if error.is_cancelled() || one => return Err(error),
                Err(error) => (Freshness::Unknown(error), None),
            };
            report.entries.push(UpdateEntry {
                model,
                installed_digest: Some(record.offered()),
                freshness,
                applied,
            });
        }
        Ok(report)
    }

    /// Checks a model that is not installed; fails with `error` if no source offers it either.
    fn check_absent(
        &self,
        reading: &Reading,
        options: &UpdateOptions,
        error: Error,
    ) -> Result<UpdateReport> {
        let call = self.call(options.offline, &options.cancel);
        let remote = match self.find_remote(reading, &call) {
            Ok(offer) => offer.remote,
            Err(cancelled) if cancelled.is_cancelled() => return Err(cancelled),
            Err(_) => return Err(error),
        };
        let freshness = Freshness::Absent(remote.manifest_digest);
        Ok(UpdateReport {
            entries: vec![UpdateEntry::new(remote.model, None, freshness)],
        })
    }

    fn compare(
        &self,
        records: &Records,
        model: &ModelRef,
        options: &UpdateOptions,
        apply: bool,
        call: &Call,
    ) -> Result<(Freshness, Option<PullReport>)> {
        let record = records
            .get(model)
            .ok_or_else(|| Error::internal("an installed model has no record"))?;
        let selection = Selection::recorded(record);
        let found = self
            .reading_of(model, record.source.as_deref())
            .and_then(|reading| self.find_remote(&reading, call))
            .and_then(|offer| self.select(records, offer.named(model), &selection, call));
        let offer = match found {
            Ok(offer) => offer,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ModelNotFound { .. } | ErrorKind::VersionNotFound { .. }
                ) =>
            {
                return Ok((Freshness::Gone(error), None));
            }
            Err(error) => return Err(error.step(format!("check {model}"))),
        };
        if offer.remote.manifest_digest == record.offered() {
            if apply && offer.remote.pin != record.pin {
                self.repin(&offer.remote, &call.cancel)?;
            }
            return Ok((Freshness::UpToDate, None));
        }
        let digest = offer.remote.manifest_digest;
        let mut pull = PullOptions::default()
            .offline(options.offline)
            .cancel(options.cancel.clone())
            .concurrency(options.concurrency)
            .rate_limit(options.rate_limit.clone());
        pull.progress.clone_from(&options.progress);
        let plan = self.plan_offer(records, offer, &pull, call);
        let plan = plan.map_err(|error| error.step(format!("check {model}")))?;
        let old = self.store.manifest(model, record.manifest_hash);
        let old = old
            .and_then(|old| old.offered("the installed manifest"))
            .ok();
        let change = compare_files(old.as_ref(), digest, plan);
        let applied = apply.then(|| self.execute(&change.plan)).transpose()?;
        Ok((Freshness::Changed(Box::new(change)), applied))
    }

    /// Records another commit that has exactly the installed files.
    fn repin(&self, remote: &RemoteModel, cancel: &CancelToken) -> Result<()> {
        let _lock = self.store.lock_model(&remote.model, cancel, &|_| {})?;
        match remote.pin.as_deref() {
            Some(pin) => self.store.repin(&remote.model, remote.manifest_digest, pin),
            None => Ok(()),
        }
    }
}

fn compare_files(old: Option<&Manifest>, manifest_digest: Digest, plan: PullPlan) -> Change {
    let contents = |manifest: &Manifest| -> BTreeMap<String, Option<FileContent>> {
        let files = manifest.files().iter();
        files
            .map(|file| (file.path.to_string(), manifest.content(file)))
            .collect()
    };
    let before = old.map(contents).unwrap_or_default();
    let after = plan.manifest().map(contents).unwrap_or_default();
    let mut change = Change::new(manifest_digest, plan);
    for (path, new) in &after {
        match before.get(path) {
            None => change.added.push(path.clone()),
            // A file of unknown content may have changed.
            Some(old) if old.is_none() || old != new => change.changed.push(path.clone()),
            Some(_) => {}
        }
    }
    let removed = before.into_keys().filter(|path| !after.contains_key(path));
    change.removed = removed.collect();
    change
}
