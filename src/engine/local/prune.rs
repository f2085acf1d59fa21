//! Removing what unfinished pulls left.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::debug;

use serde::Serialize;

use crate::engine::Engine;
use crate::error::{IoContext, Result};
use crate::model::ModelRef;
use crate::store::partial::{find_partials, remove_partial};

/// What a prune would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunePlan {
    /// The partials.
    #[serde(rename = "removed")]
    pub partials: Vec<PrunedPartial>,
    /// Other leftovers of interrupted work.
    #[serde(serialize_with = "crate::report::paths")]
    pub leftovers: Vec<PathBuf>,
    /// Bytes on disk of all together.
    #[serde(rename = "bytes_freed")]
    pub bytes: u64,
}

/// A partial that a prune would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunedPartial {
    /// What was pulled.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Its folder.
    #[serde(skip)]
    pub path: PathBuf,
    /// Bytes that are there.
    pub bytes: u64,
}

impl PrunedPartial {
    /// Makes the entry of a partial.
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
    /// Models whose partials stay, because they are being pulled.
    pub in_use: Vec<ModelRef>,
}

impl Engine {
    /// Says what a prune would remove: everything in the cache that nobody is at.
    pub(crate) fn plan_prune(&self) -> Result<PrunePlan> {
        self.records()?;
        let layout = self.store.layout();
        let mut plan = PrunePlan::default();
        let mut partials = Vec::new();
        for found in find_partials(layout) {
            let Some(model) = found.record.model_ref() else {
                continue;
            };
            partials.push(found.dir.clone());
            if !self.store.is_busy(&model) {
                plan.bytes += found.bytes();
                plan.partials.push(PrunedPartial {
                    model,
                    bytes: found.bytes(),
                    path: found.dir,
                });
            }
        }
        plan.partials
            .sort_by(|a, b| (&a.model, &a.path).cmp(&(&b.model, &b.path)));
        let cache = layout.cache();
        let entries = match fs::read_dir(&cache) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(plan),
            entries => entries.at("read", &cache)?,
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            // A partial may be in use, or about to be made; a folder with an intent is about to be finished.
            if is_dir
                && !partials.contains(&path)
                && !path.join("intent.json").exists()
                && !self.store.is_locked(&path)
            {
                plan.bytes += bytes_below(&path);
                plan.leftovers.push(path);
            }
        }
        plan.leftovers.sort();
        Ok(plan)
    }

    /// Removes it.
    pub(crate) fn prune(&self) -> Result<PruneReport> {
        let mut report = PruneReport::default();
        let plan = self.plan_prune()?;
        for partial in plan.partials {
            // Planned a moment ago: somebody may have begun since.
            match self.store.try_lock_model(&partial.model)? {
                Some(_lock) => {
                    remove_partial(&partial.path)?;
                    report.removed.bytes += partial.bytes;
                    report.removed.partials.push(partial);
                }
                None => report.in_use.push(partial.model),
            }
        }
        for path in plan.leftovers {
            let bytes = bytes_below(&path);
            match crate::disk::write::remove_tree(&path) {
                Ok(()) => {
                    report.removed.bytes += bytes;
                    report.removed.leftovers.push(path);
                }
                Err(error) => debug!(path = %path.display(), %error, "a leftover stays"),
            }
        }
        for found in find_partials(self.store.layout()) {
            if let Some(model) = found.record.model_ref()
                && !report.in_use.contains(&model)
            {
                report.in_use.push(model);
            }
        }
        Ok(report)
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
                    bytes += entry.metadata().map_or(0, |metadata| metadata.len())
                }
                _ => {}
            }
        }
    }
    bytes
}
