//! Removing what unfinished pulls left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::debug;

use crate::disk::write::remove_tree;
use crate::engine::Engine;
use crate::error::{IoContext, Result};
use crate::model::ModelRef;
use crate::store::partial::{Partial, find_partials, remove_partial};
use serde::Serialize;

/// What a prune removes: everything in the store's cache that nobody is using.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunePlan {
    /// Partials, in the order of names.
    #[serde(rename = "removed")]
    pub partials: Vec<PrunedPartial>,
    /// Folders that other interrupted work left.
    #[serde(serialize_with = "crate::report::paths")]
    pub leftovers: Vec<PathBuf>,
    /// Bytes on disk of all of them together.
    #[serde(rename = "bytes_freed")]
    pub bytes: u64,
}

/// A partial that a prune removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunedPartial {
    /// The model that was pulled.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The folder.
    #[serde(skip)]
    pub path: PathBuf,
    /// Bytes that are there.
    pub bytes: u64,
}

impl PrunedPartial {
    /// Creates the entry of a partial.
    #[must_use]
    pub fn new(model: ModelRef, path: PathBuf, bytes: u64) -> Self {
        Self { model, path, bytes }
    }
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PruneReport {
    /// What is gone.
    #[serde(flatten)]
    pub removed: PrunePlan,
    /// Models whose partials remain, because they are being pulled.
    pub in_use: Vec<ModelRef>,
}

impl Engine {
    /// Returns what a prune would remove.
    pub(crate) fn plan_prune(&self) -> Result<PrunePlan> {
        // What a crash interrupted is finished, not removed.
        self.records()?;
        let layout = self.store.layout();
        let mut plan = PrunePlan::default();
        for partial in find_partials(layout) {
            let Some(model) = partial.record.model_ref() else {
                continue;
            };
            if !self.store.is_busy(&model) {
                let bytes = partial.bytes();
                plan.partials
                    .push(PrunedPartial::new(model, partial.dir, bytes));
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
        let leftovers = folders.filter(|path| self.is_leftover(path));
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
        let is_partial_of = |path: &Path, model: &ModelRef| {
            let partial = Partial::read(path).filter(|_| is_in_cache(path));
            partial.is_some_and(|partial| partial.record.model_ref().as_ref() == Some(model))
        };
        let mut report = PruneReport::default();
        let removed = &mut report.removed;
        for partial in &plan.partials {
            if is_partial_of(&partial.path, &partial.model)
                && let Some(_lock) = self.store.try_lock_model(&partial.model)?
            {
                remove_partial(&partial.path)?;
                removed.bytes += partial.bytes;
                removed.partials.push(partial.clone());
            }
        }
        let leftovers = plan.leftovers.iter();
        for path in leftovers.filter(|path| is_in_cache(path) && self.is_leftover(path)) {
            let bytes = bytes_below(path);
            match remove_tree(path) {
                Ok(()) => {
                    removed.bytes += bytes;
                    removed.leftovers.push(path.clone());
                }
                Err(error) => debug!(path = %path.display(), %error, "cannot remove a leftover"),
            }
        }
        let remaining = find_partials(self.store.layout()).into_iter();
        for model in remaining.filter_map(|partial| partial.record.model_ref()) {
            if !report.in_use.contains(&model) {
                report.in_use.push(model);
            }
        }
        Ok(report)
    }

    /// Returns whether a path in the cache is a folder that is of no use: not a partial, nor about to become one, nor about
    /// to be finished.
    fn is_leftover(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
            && Partial::read(path).is_none()
            && !path.join("intent.json").exists()
            && !self.store.is_locked(path)
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![dir.to_owned()];
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
