//! Verifying installed models against their manifests, and repairing what is damaged.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use serde::{Serialize, Serializer};

use crate::catalog::RemoteModel;
use crate::digest::{Check, Checksum};
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::pull::plan::PullTarget;
use crate::engine::pull::selection::Selection;
use crate::engine::pull::{PullOptions, PullReport};
use crate::error::{ErrorKind, Result};
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, Progress};
use crate::setters::setters;
use crate::source::Route;
use crate::store::files::FileSet;
use crate::store::layout::file_in;
use crate::store::record::{ModelRecord, Records};

/// What to verify, and whether to repair.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Which model; all for `None`.
    pub model: Option<ModelAddress>,
    /// Fetch what is damaged anew, and nothing else.
    pub repair: bool,
    /// Open no socket.
    pub offline: bool,
    /// Stops it.
    pub cancel: CancelToken,
    /// Learns how far a repair is, instead of the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(VerifyOptions {
    model: impl Into<Option<ModelAddress>>,
    repair: bool,
    offline: bool,
    cancel: CancelToken,
    progress: Arc<dyn Progress>,
});

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It is longer or shorter than the manifest says.
    WrongSize,
    /// Its bytes have another digest.
    WrongDigest,
    /// It cannot be read.
    Unreadable,
}

impl Damage {
    /// Returns the word that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::WrongSize => "wrong_size",
            Self::WrongDigest => "wrong_digest",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A file that is not as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DamagedFile {
    /// Where it lies in the model's folder; the manifest itself is `.<app>/manifest.json`.
    pub path: String,
    /// What is wrong with it.
    pub damage: Damage,
}

impl DamagedFile {
    /// Says what is wrong with a file.
    pub fn new(path: impl Into<String>, damage: Damage) -> Self {
        Self {
            path: path.into(),
            damage,
        }
    }
}

/// What verifying one model found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedModel {
    /// Which one.
    pub model: ModelRef,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Files that are damaged, in the order of names; empty when all is well.
    pub damaged: Vec<DamagedFile>,
    /// What repairing it did; `None` when nothing was repaired.
    pub repaired: Option<PullReport>,
}

impl VerifiedModel {
    /// Makes the result for a model without damage.
    #[must_use]
    pub fn new(model: ModelRef) -> Self {
        Self {
            model,
            bytes: 0,
            damaged: Vec::new(),
            repaired: None,
        }
    }
}

impl VerifiedModel {
    /// Returns whether the model is whole now.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() || self.repaired.is_some()
    }
}

impl Serialize for VerifiedModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(flatten)]
            model: &'a ModelRef,
            ok: bool,
            bytes: u64,
            damaged: &'a [DamagedFile],
            repaired: Option<&'a PullReport>,
        }
        let fields = Fields {
            model: &self.model,
            ok: self.is_whole(),
            bytes: self.bytes,
            damaged: &self.damaged,
            repaired: self.repaired.as_ref(),
        };
        fields.serialize(serializer)
    }
}

/// What verifying found, in the order of names.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// One entry for each model.
    pub models: Vec<VerifiedModel>,
}

const BUFFER_BYTES: usize = 256 << 10;

impl Engine {
    pub(crate) fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        let records = self.records()?;
        let models = match &options.model {
            Some(address) => self.reading(address)?.match_installed(&records)?,
            None => records.iter().map(|(model, _)| model).collect(),
        };
        let mut report = VerifyReport::default();
        for model in models {
            let Some(record) = records.get(&model) else {
                continue;
            };
            let mut verified = self.verify_model(&model, record, &options.cancel)?;
            if options.repair && !verified.damaged.is_empty() {
                let repaired = self.repair(&records, &model, record, options);
                verified.repaired =
                    Some(repaired.map_err(|error| error.step(format!("repair {model}")))?);
            }
            report.models.push(verified);
        }
        Ok(report)
    }

    fn verify_model(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
        cancel: &CancelToken,
    ) -> Result<VerifiedModel> {
        let dir = self.store.layout().model_dir(model);
        let mut damaged: BTreeMap<String, Damage> = BTreeMap::new();
        let mut bytes = 0;
        match self.store.manifest(model, record.manifest_hash) {
            Ok(manifest) => bytes = verify_files(&dir, manifest, &mut damaged, cancel)?,
            Err(error) => {
                let damage = match error.kind() {
                    ErrorKind::HashMismatch { .. } | ErrorKind::Registry { .. } => {
                        Damage::WrongDigest
                    }
                    ErrorKind::Storage { source, .. }
                        if source.kind() == std::io::ErrorKind::NotFound =>
                    {
                        Damage::Missing
                    }
                    _ => Damage::Unreadable,
                };
                let path = self.store.layout().manifest_in(&dir);
                let shown = path
                    .strip_prefix(&dir)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .replace('\\', "/");
                damaged.insert(shown, damage);
            }
        }
        let damaged = damaged
            .into_iter()
            .map(|(path, damage)| DamagedFile { path, damage })
            .collect();
        Ok(VerifiedModel {
            model: model.clone(),
            bytes,
            damaged,
            repaired: None,
        })
    }

    /// Builds the same state anew: good bytes come from the damaged copy, the others from the source.
    fn repair(
        &self,
        records: &Records,
        model: &ModelRef,
        record: &ModelRecord,
        options: &VerifyOptions,
    ) -> Result<PullReport> {
        let source = self.source_of(model, record)?;
        let remote = RemoteModel {
            metadata: (&record.metadata).into(),
            pin: record.pin.clone(),
            ..RemoteModel::new(model.clone(), &*source.identity().key, record.offered())
        };
        let call = self.call(options.offline, &options.cancel);
        // The registry may have moved on; what is repaired is what is installed.
        let target = match self.store.manifest(model, record.manifest_hash) {
            Ok(manifest) => PullTarget::Offer(Offer::new(remote, source), Some(manifest)),
            Err(_) => {
                let contents = Some(Arc::new(source.manifest(&call, &remote, Route::Shared)?));
                let offer = Offer::new(RemoteModel { contents, ..remote }, source);
                let selection = Selection::recorded(record);
                PullTarget::Offer(self.select(records, offer, &selection, &call)?, None)
            }
        };
        let mut pull = PullOptions::default()
            .force(true)
            .offline(options.offline)
            .cancel(options.cancel.clone());
        pull.progress.clone_from(&options.progress);
        self.run_target(&target, &pull)
    }
}

/// Hashes everything, on as many threads as there are processors; returns the number of bytes.
fn verify_files(
    dir: &std::path::Path,
    manifest: Manifest,
    damaged: &mut BTreeMap<String, Damage>,
    cancel: &CancelToken,
) -> Result<u64> {
    let manifest = Arc::new(manifest);
    let name = |file: usize| manifest.files()[file].path.to_string();
    for (index, file) in manifest.files().iter().enumerate() {
        let damage = match fs::symlink_metadata(file_in(dir, &file.path)) {
            Ok(metadata) if !metadata.is_file() => Some(Damage::Unreadable),
            Ok(metadata) if Some(metadata.len()) != file.size_bytes => Some(Damage::WrongSize),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Damage::Missing),
            Err(_) => Some(Damage::Unreadable),
        };
        if let Some(damage) = damage {
            damaged.insert(name(index), damage);
        }
    }
    let stretches: Vec<(Range<u64>, Checksum)> = {
        let parts = manifest
            .parts()
            .iter()
            .filter_map(|part| Some((part.range(), part.digest?)));
        let files = manifest.files().iter().filter_map(|file| {
            let parts = manifest.parts_of(file);
            let covered = !parts.is_empty() && parts.iter().all(|part| part.digest.is_some());
            (!covered).then_some((file.range(), file.digest?))
        });
        parts.chain(files).collect()
    };
    let files = FileSet::new(manifest.clone(), dir.to_owned());
    let bytes = AtomicU64::new(0);
    let wrong: Vec<(Range<u64>, Damage)> = stretches
        .into_par_iter()
        .filter_map(|(range, expected)| {
            let actual = hash(&files, &range, &expected, cancel);
            bytes.fetch_add(range.end - range.start, Ordering::Relaxed);
            match actual {
                None => Some((range, Damage::Unreadable)),
                Some(actual) => (actual != expected).then_some((range, Damage::WrongDigest)),
            }
        })
        .collect();
    // A chunk may lie across files. Their own digests tell which of them is damaged; without one, a file is suspected
    // unless the fault is known to be another's.
    for (range, damage) in wrong {
        let known = manifest
            .files_in(range.clone())
            .any(|file| damaged.contains_key(&name(file)));
        for index in manifest.files_in(range.clone()) {
            let file = &manifest.files()[index];
            let whole = file.range();
            let suspected = match file.digest {
                Some(_) if whole == range => true,
                Some(expected) => hash(&files, &whole, &expected, cancel) != Some(expected),
                None => !known,
            };
            if suspected {
                damaged.entry(name(index)).or_insert(damage);
            }
        }
    }
    if cancel.is_cancelled() {
        return Err(ErrorKind::Cancelled.into());
    }
    Ok(bytes.into_inner())
}

/// Computes the kind of checksum that a range of the stream should have; `None` when it cannot be read.
fn hash(
    files: &FileSet,
    range: &Range<u64>,
    expected: &Checksum,
    cancel: &CancelToken,
) -> Option<Checksum> {
    let mut check = Check::of(expected, range.end - range.start);
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let mut at = range.start;
    while at < range.end && !cancel.is_cancelled() {
        let length = usize::try_from(range.end - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        files.read(at, &mut buffer[..length]).ok()?;
        check.update(&buffer[..length]);
        at += length as u64;
    }
    Some(check.finish())
}
