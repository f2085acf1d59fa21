//! Removing what unfinished pulls left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::engine::Engine;
use crate::error::{IoContext, Result, chain};
use crate::model::ModelRef;
use crate::setters::setters;
use crate::store::partial::{Partial, find_partials, remove_partial};
use crate::store::staging;
use serde::Serialize;

/// Which unfinished pulls to prune. Default: all that nobody is using.
///
/// ```
/// use std::time::Duration;
///
/// use modelrack::Manager;
/// use modelrack::installed::PruneOptions;
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let month = Duration::from_secs(30 * 24 * 60 * 60);
/// let plan = manager.plan_prune(&PruneOptions::default().older_than(month))?;
/// for partial in &plan.partials {
///     assert!(partial.touched_at.elapsed()? > month);
/// }
/// manager.prune(&plan)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneOptions {
    /// Only what was last written to longer ago than this. Default: of any age.
    pub older_than: Option<Duration>,
}

setters!(PruneOptions {
    older_than: impl Into<Option<Duration>>,
});

impl PruneOptions {
    /// Returns whether something that was last written to at a time is to go. A time that is unknown or has yet to come is
    /// of no age.
    fn covers(&self, touched_at: Option<SystemTime>, now: SystemTime) -> bool {
        let age = || now.duration_since(touched_at?).ok();
        self.older_than
            .is_none_or(|least| age().is_some_and(|age| age > least))
    }
}

/// What a prune removes: everything in the store that interrupted operations left and nobody is using.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::installed::PruneOptions;
/// use modelrack::{CancelToken, Manager, ModelRef, Progress, ProgressEvent, PullOptions};
///
/// /// Cancels a pull as soon as its first bytes have arrived.
/// #[derive(Debug)]
/// struct Impatient(CancelToken);
///
/// impl Progress for Impatient {
///     fn on_event(&self, _: &ModelRef, event: &ProgressEvent) {
///         if matches!(event, ProgressEvent::Advanced(now) if now.bytes_done > 0) {
///             self.0.cancel();
///         }
///     }
/// }
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let cancel = CancelToken::new();
/// let options = PullOptions::default().cancel(cancel.clone()).progress(Arc::new(Impatient(cancel)));
/// manager.pull(&"digits/logistic v1".parse()?, &options).unwrap_err();
///
/// let plan = manager.plan_prune(&PruneOptions::default())?;
/// for partial in &plan.partials {
///     println!("{}: {} bytes in {}", partial.model, partial.bytes, partial.path.display());
///     println!("  written to {:?} ago", partial.touched_at.elapsed()?);
/// }
/// println!("{} bytes, and {} other folders", plan.bytes, plan.leftovers.len());
///
/// let report = manager.prune(&plan)?;
/// assert_eq!(report.removed.partials[0].model.to_string(), "digits/logistic v1");
/// assert!(report.in_use.is_empty(), "nobody has resumed the pull");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunePlan {
    /// Unfinished pulls, in the order of names.
    #[serde(rename = "removed")]
    pub partials: Vec<PrunedPartial>,
    /// Folders that other interrupted operations left.
    #[serde(serialize_with = "crate::report::paths")]
    pub leftovers: Vec<PathBuf>,
    /// The total size on disk.
    #[serde(rename = "bytes_freed")]
    pub bytes: u64,
}

/// An unfinished pull that a prune removes; [`PrunePlan`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunedPartial {
    /// The model that was pulled.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The folder with what was fetched.
    #[serde(skip)]
    pub path: PathBuf,
    /// Its size on disk.
    pub bytes: u64,
    /// When the pull last wrote to it.
    #[serde(serialize_with = "crate::time::serialize")]
    pub touched_at: SystemTime,
}

impl PrunedPartial {
    /// Creates the entry of an unfinished pull that has just ended; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(model: ModelRef, path: PathBuf, bytes: u64) -> Self {
        Self {
            model,
            path,
            bytes,
            touched_at: SystemTime::now(),
        }
    }
}

/// What a prune removed; [`PrunePlan`] has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PruneReport {
    /// What is gone.
    #[serde(flatten)]
    pub removed: PrunePlan,
    /// Models whose unfinished pulls remain, because they are running.
    pub in_use: Vec<ModelRef>,
}

impl Engine {
    /// Returns what a prune would remove.
    pub(crate) fn plan_prune(&self, options: &PruneOptions) -> Result<PrunePlan> {
        let now = SystemTime::now();
        // What a crash interrupted is finished, not removed.
        self.records()?;
        let layout = self.store.layout();
        let mut plan = PrunePlan::default();
        for partial in find_partials(layout) {
            let Some(model) = partial.record.model_ref() else {
                continue;
            };
            if options.covers(Some(partial.touched_at), now) && !self.store.is_busy(&model) {
                let bytes = partial.bytes();
                plan.partials.push(PrunedPartial {
                    touched_at: partial.touched_at,
                    ..PrunedPartial::new(model, partial.dir, bytes)
                });
            }
        }
        plan.partials
            .sort_by(|a, b| (&a.model, &a.path).cmp(&(&b.model, &b.path)));
        let cache = layout.cache();
        let entries = match fs::read_dir(&cache) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(plan),
            entries => entries.at("read", &cache)?,
        };
        let folders = entries.flatten().map(|entry| entry.path());
        let touched_at = |path: &Path| fs::metadata(path).ok()?.modified().ok();
        let leftovers =
            folders.filter(|path| self.is_leftover(path) && options.covers(touched_at(path), now));
        plan.leftovers = leftovers.collect();
        plan.leftovers.sort();
        let partial_bytes: u64 = plan.partials.iter().map(|partial| partial.bytes).sum();
        let leftover_bytes: u64 = plan.leftovers.iter().map(|path| bytes_below(path)).sum();
        plan.bytes = partial_bytes + leftover_bytes;
        Ok(plan)
    }

    /// Removes what a plan lists, unless somebody is using it by now.
    pub(crate) fn prune(&self, plan: &PrunePlan) -> Result<PruneReport> {
        let cache = self.store.layout().cache();
        // A plan may come from anywhere: it must not reach beyond the cache.
        let is_in_cache = |path: &Path| path.parent() == Some(&cache) && path.file_name().is_some();
        let partial_of = |path: &Path, model: &ModelRef| {
            let partial = Partial::read(path).filter(|_| is_in_cache(path));
            partial.filter(|partial| partial.record.model_ref().as_ref() == Some(model))
        };
        let mut report = PruneReport::default();
        let removed = &mut report.removed;
        for partial in &plan.partials {
            if let Some(there) = partial_of(&partial.path, &partial.model)
                && let Some(lock) = self.store.try_lock_model(&partial.model)?
                && (lock.is_real() || there.is_idle())
            {
                remove_partial(&partial.path)?;
                removed.bytes += partial.bytes;
                removed.partials.push(partial.clone());
            }
        }
        let leftovers = plan.leftovers.iter();
        for path in leftovers.filter(|path| is_in_cache(path) && self.is_leftover(path)) {
            let bytes = bytes_below(path);
            match staging::remove(path) {
                Ok(()) => {
                    removed.bytes += bytes;
                    removed.leftovers.push(path.clone());
                }
                Err(error) => warn!(error = %chain(&error), "a leftover cannot be removed"),
            }
        }
        let is_planned = |dir: &Path| plan.partials.iter().any(|of| of.path == dir);
        for partial in find_partials(self.store.layout()) {
            if let Some(model) = partial.record.model_ref()
                && (is_planned(&partial.dir) || self.store.is_busy(&model))
                && !report.in_use.contains(&model)
            {
                report.in_use.push(model);
            }
        }
        Ok(report)
    }

    /// Returns whether a path in the cache is a folder that is of no use: not a partial, nor about to become one, nor about
    /// to be finished.
    fn is_leftover(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
            && staging::bulk(path).is_dir()
            && Partial::read(path).is_none()
            && !path.join("intent.json").exists()
            && !self.store.is_locked(path)
    }
}

/// The size on disk of what a folder of the cache has.
fn bytes_below(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![dir.to_owned(), staging::bulk(dir)];
    folders.dedup();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                }
                _ => {}
            }
        }
    }
    bytes
}
