//! What takes space on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::usage::{BlocksId, Clones, Usage};
use crate::engine::Engine;
use crate::engine::clear::{ClearOptions, ClearedRegistry};
use crate::engine::lookup::reading::Reading;
use crate::error::Result;
use crate::model::{ModelAddress, ModelRef};
use crate::setters::setters;
use crate::store::clone::read_clones;
use crate::store::partial::find_partials;

/// What to count. Default: all models, unfinished pulls and cached registries.
///
/// ```
/// use modelrack::installed::UsageOptions;
/// use modelrack::{Manager, ManagerExt, ModelAddress};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// manager.pull_model("digits/logistic v2")?;
/// let options = UsageOptions::default().models([ModelAddress::parse("digits/logistic", Some("v2"))?]);
/// let report = manager.disk_usage(&options)?;
/// assert_eq!((report.models.len(), report.registries.len()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct UsageOptions {
    /// Only these models and their unfinished pulls; without a version, all versions. Default: everything.
    pub models: Vec<ModelAddress>,
}

setters!(UsageOptions {
    models: [impl Into<ModelAddress>],
});

/// What takes space on this machine, as [`Manager::disk_usage`](crate::Manager::disk_usage) returns it.
///
/// On Linux and macOS, sizes are the blocks that files take, so that a hole takes nothing. A file with several names (hard
/// links) is counted once in [`bytes`](Self::bytes), and so are the blocks of a file that was cloned when a model was pulled or
/// installed (on btrfs, XFS and APFS), until one of the two is written. On Windows, and of registries, sizes are the lengths of
/// files. Blocks that files share in another way count for each file.
///
/// ```
/// use modelrack::installed::UsageOptions;
/// use modelrack::{Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let report = manager.disk_usage(&UsageOptions::default())?;
/// for model in report.models.iter().chain(&report.partials) {
///     println!("{}: {} bytes in {} files in {}", model.model, model.bytes, model.files, model.path.display());
///     println!("  {} of them shared with others", model.shared_bytes);
/// }
/// for registry in &report.registries {
///     println!("registry of {}: {} bytes", registry.name, registry.bytes);
/// }
/// println!("{} bytes in all, {} of them records and leftovers", report.bytes, report.other_bytes);
/// assert!(report.bytes >= report.models[0].bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsageReport {
    /// Installed models, in the order of names.
    pub models: Vec<ModelUsage>,
    /// Unfinished pulls, in the order of names.
    pub partials: Vec<ModelUsage>,
    /// Cached registries; none if models are named.
    pub registries: Vec<ClearedRegistry>,
    /// What the store's records take, and what interrupted operations left; 0 if models are named.
    pub other_bytes: u64,
    /// The total, with each file once, and blocks that clones share once.
    pub bytes: u64,
}

/// What a model or an unfinished pull takes on the disk; [`UsageReport`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelUsage {
    /// The model.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Its folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// What its files take, each of them once.
    pub bytes: u64,
    /// How much of that is counted for another model or unfinished pull of the report, too.
    pub shared_bytes: u64,
    /// The number of files, with those that describe the model.
    pub files: u64,
}

impl ModelUsage {
    /// Creates the entry of a model without files; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(model: ModelRef, path: PathBuf) -> Self {
        Self {
            model,
            path,
            bytes: 0,
            shared_bytes: 0,
            files: 0,
        }
    }
}

/// What several files or names share: what each takes, and in how many entries it is.
#[derive(Debug, Default)]
struct Shared(BTreeMap<BlocksId, (u64, u64)>);

impl Shared {
    fn learn(&mut self, usage: &Usage) {
        for (id, bytes) in &usage.shared {
            self.0.entry(*id).or_insert((*bytes, 0)).1 += 1;
        }
    }

    fn is_of_several(&self, id: &BlocksId) -> bool {
        self.0.get(id).is_some_and(|(_, entries)| *entries > 1)
    }

    /// Returns what is counted more than once.
    fn surplus(&self) -> u64 {
        let surplus = |(bytes, entries): &(u64, u64)| bytes * (entries - 1);
        self.0.values().map(surplus).sum()
    }
}

impl Engine {
    pub(crate) fn disk_usage(&self, options: &UsageOptions) -> Result<UsageReport> {
        let readings = options.models.iter().map(|model| self.reading(model));
        let readings = readings.collect::<Result<Vec<_>>>()?;
        let layout = self.store.layout();
        let (mut counted, mut clones) = (Vec::new(), Clones::default());
        let mut learn = |files: &Path| clones.learn(read_clones(&layout.clones_in(files)));
        for model in self.counted_models(&readings)? {
            let path = layout.model_dir(&model);
            learn(&path);
            counted.push((false, ModelUsage::new(model, path.clone()), vec![path]));
        }
        let mut folders = Vec::new();
        for partial in find_partials(layout) {
            folders.push(partial.dir.clone());
            let Some(model) = partial.record.model_ref() else {
                continue;
            };
            if readings.is_empty() || readings.iter().any(|reading| reading.is_of(&model)) {
                learn(&partial.files_dir());
                let paths = partial.folders();
                counted.push((true, ModelUsage::new(model, partial.dir), paths));
            }
        }
        counted.sort_by(|(_, a, _), (_, b, _)| (&a.model, &a.path).cmp(&(&b.model, &b.path)));

        let (mut shared, mut measured) = (Shared::default(), Vec::new());
        for (is_partial, entry, paths) in counted {
            let mut usage = Usage::default();
            paths
                .into_iter()
                .try_for_each(|path| usage.add(path, &clones))?;
            shared.learn(&usage);
            measured.push((is_partial, entry, usage));
        }
        let mut report = UsageReport::default();
        for (is_partial, entry, usage) in measured {
            let of_several = usage
                .shared
                .iter()
                .filter(|(id, _)| shared.is_of_several(id));
            let entry = ModelUsage {
                bytes: usage.bytes,
                shared_bytes: of_several.map(|(_, bytes)| bytes).sum(),
                files: usage.files,
                ..entry
            };
            report.bytes += entry.bytes;
            match is_partial {
                true => report.partials.push(entry),
                false => report.models.push(entry),
            }
        }
        report.bytes -= shared.surplus();
        if readings.is_empty() {
            report.registries = self.plan_clear(&ClearOptions::default())?.registries;
            report.other_bytes = self.other_bytes(&folders)?;
            let registries = report.registries.iter().map(|registry| registry.bytes);
            report.bytes += registries.sum::<u64>() + report.other_bytes;
        }
        Ok(report)
    }

    /// Returns the installed models that are meant, all of them without an address.
    fn counted_models(&self, readings: &[Reading]) -> Result<Vec<ModelRef>> {
        let records = self.records()?;
        if readings.is_empty() {
            return Ok(records.iter().map(|(model, _)| model).collect());
        }
        let mut models = Vec::new();
        for reading in readings {
            match reading.match_installed(&records) {
                Ok(found) => models.extend(found),
                Err(_) if self.has_partial(reading) => {}
                Err(error) => return Err(error),
            }
        }
        models.sort();
        models.dedup();
        Ok(models)
    }

    fn has_partial(&self, reading: &Reading) -> bool {
        let partials = find_partials(self.store.layout()).into_iter();
        let mut models = partials.filter_map(|partial| partial.record.model_ref());
        models.any(|model| reading.is_of(&model))
    }

    /// Returns what the store has beside models and unfinished pulls, whose folders in the cache are known.
    fn other_bytes(&self, partials: &[PathBuf]) -> Result<u64> {
        let layout = self.store.layout();
        let mut usage = Usage::default();
        for folder in [layout.root(), &layout.cache()] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
                if is_file || (folder != layout.root() && !partials.contains(&path)) {
                    usage.add(path, &Clones::default())?;
                }
            }
        }
        Ok(usage.bytes)
    }
}
