//! Verifying installed models against their manifests, and repairing them.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use serde::{Serialize, Serializer};

use crate::catalog::RemoteModel;
use crate::digest::{Check, Checksum};
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::pull::plan::PullTarget;
use crate::engine::pull::selection::Selection;
use crate::engine::pull::{PullOptions, PullReport};
use crate::error::{Error, ErrorKind, Result, is_missing};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, Progress, Step, Task};
use crate::rate_limit::RateLimit;
use crate::setters::setters;
use crate::source::{LockedVersion, Route, Source};
use crate::store::files::FileSet;
use crate::store::layout::file_in;
use crate::store::record::{ModelRecord, Records};

/// Which models to verify, and whether to repair them. Default: verify all installed models, and repair none.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::config::RateLimit;
/// use modelrack::progress::Silent;
/// use modelrack::{CancelToken, Manager, ManagerExt, VerifyOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let options = VerifyOptions::default()
///     .model("digits/logistic v1".parse()?)
///     .repair(true)
///     .offline(false)
///     .rate_limit(RateLimit::new(20_000_000))
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// assert!(manager.verify(&options)?.models[0].is_whole());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// The model. Default: all installed models.
    pub model: Option<ModelAddress>,
    /// Repair damaged models. Only the damaged parts are fetched. A model that was made by hand has no source, and stays
    /// damaged.
    pub repair: bool,
    /// Open no socket. Default: as configured.
    pub offline: bool,
    /// Limits how fast bytes of repairs come, together with everything else that has a clone of this limit. Default: as configured.
    pub rate_limit: Option<RateLimit>,
    /// Cancels the verification.
    pub cancel: CancelToken,
    /// Receives the events of repairs. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(VerifyOptions {
    model: Some(ModelAddress),
    repair: bool,
    offline: bool,
    rate_limit: impl Into<Option<RateLimit>>,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What is wrong with a file; [`VerifyReport`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// The file does not exist.
    Missing,
    /// Its size differs from the manifest's.
    WrongSize,
    /// Its size is right, but its digest differs from the manifest's.
    WrongDigest,
    /// It cannot be read, or is not a file.
    Unreadable,
}

impl Damage {
    /// Returns the name that `--json` uses; [`VerifyReport`] has an example.
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

/// A file that differs from its manifest; [`VerifyReport`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DamagedFile {
    /// Its path in the model's folder; the manifest's own is `.<app>/manifest.json`.
    pub path: String,
    /// What is wrong with it.
    pub damage: Damage,
}

impl DamagedFile {
    /// Creates the entry of a damaged file; for [implementations of `Manager`](crate::installed#reports-of-your-own).
    pub fn new(path: impl Into<String>, damage: Damage) -> Self {
        Self {
            path: path.into(),
            damage,
        }
    }
}

/// The result of verifying one model; [`VerifyReport`] has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedModel {
    /// The model.
    pub model: ModelRef,
    /// The number of bytes that were hashed.
    pub bytes: u64,
    /// The files that were damaged, in the order of paths; they stay here after a repair.
    pub damaged: Vec<DamagedFile>,
    /// Paths of files of which only the size could be compared: their registry states no digest, and the program that
    /// installed them recorded none.
    pub unchecked: Vec<String>,
    /// The pull that repaired it; `None` if nothing was repaired.
    pub repaired: Option<PullReport>,
}

impl VerifiedModel {
    /// Creates the result of a model without damage; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(model: ModelRef) -> Self {
        Self {
            model,
            bytes: 0,
            damaged: Vec::new(),
            unchecked: Vec::new(),
            repaired: None,
        }
    }

    /// Returns whether the model is whole now: it was not damaged, or was repaired. [`VerifyReport`] has an example.
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
            unchecked: &'a [String],
            repaired: Option<&'a PullReport>,
        }
        let fields = Fields {
            model: &self.model,
            ok: self.is_whole(),
            bytes: self.bytes,
            damaged: &self.damaged,
            unchecked: &self.unchecked,
            repaired: self.repaired.as_ref(),
        };
        fields.serialize(serializer)
    }
}

/// The result of a verification, as [`Manager::verify`](crate::Manager::verify) returns it.
///
/// ```
/// use modelrack::installed::Damage;
/// use modelrack::{Manager, ManagerExt, VerifyOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let folder = manager.ensure("digits/logistic v1")?;
/// std::fs::write(folder.join("labels.json"), "[]")?;
///
/// let report = manager.verify(&VerifyOptions::default().repair(true))?;
/// for verified in &report.models {
///     println!("{}: {} bytes hashed, all but {:?}", verified.model, verified.bytes, verified.unchecked);
///     for file in &verified.damaged {
///         match file.damage {
///             Damage::Missing => println!("  {} is gone", file.path),
///             Damage::WrongSize | Damage::WrongDigest => println!("  {} was changed", file.path),
///             Damage::Unreadable => println!("  {} cannot be read", file.path),
///             other => println!("  {}: {}", file.path, other.as_str()),
///         }
///     }
///     if let Some(repaired) = &verified.repaired {
///         println!("  repaired with {} fetched bytes", repaired.bytes_fetched);
///     }
///     assert!(verified.is_whole());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// One entry for each model, in the order of names.
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
        let recorded = models.iter().filter_map(|model| records.get(model));
        let first = Step {
            total_bytes: recorded.map(|record| record.total_size).sum(),
            ..Step::new(Task::Verifying, models.len() as u64)
        };
        let bytes = AtomicU64::new(0);
        for model in models {
            let Some(record) = records.get(&model) else {
                continue;
            };
            let name = model.to_string();
            let hashing = Hashing {
                cancel: &options.cancel,
                progress: self.progress_of(&options.progress),
                step: first.at(&name, report.models.len() as u64),
                bytes: &bytes,
            };
            hashing.count(0);
            let mut verified = self.verify_model(&model, record, &hashing)?;
            if options.repair && !verified.damaged.is_empty() && !record.made_by_hand {
                let repaired = self.repair(&records, &model, record, options);
                verified.repaired =
                    Some(repaired.map_err(|error| error.step(format!("repair {model}")))?);
            }
            report.models.push(verified);
        }
        Ok(report)
    }

    pub(super) fn verify_model(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
        hashing: &Hashing<'_>,
    ) -> Result<VerifiedModel> {
        let layout = self.store.layout();
        let dir = layout.model_dir(model);
        let mut verified = VerifiedModel::new(model.clone());
        match self.store.manifest(model, record.manifest_hash) {
            Ok(manifest) => {
                let unchecked = manifest.undetermined();
                let unchecked = unchecked.map(|file| manifest.files()[file].path.to_string());
                verified.unchecked = unchecked.collect();
                let damaged;
                (verified.bytes, damaged) = verify_files(&dir, manifest, hashing)?;
                let damaged = damaged.into_iter();
                verified.damaged = damaged
                    .map(|(path, what)| DamagedFile::new(path, what))
                    .collect();
            }
            Err(error) => {
                let damage = match error.kind() {
                    ErrorKind::HashMismatch { .. } | ErrorKind::Registry { .. } => {
                        Damage::WrongDigest
                    }
                    ErrorKind::Storage { source, .. } if is_missing(source) => Damage::Missing,
                    _ => Damage::Unreadable,
                };
                let path = layout.manifest_in(Path::new(""));
                let path = path.to_string_lossy().replace('\\', "/");
                verified.damaged.push(DamagedFile::new(path, damage));
            }
        }
        if verified.damaged.is_empty() && verified.unchecked.is_empty() {
            self.store.trust(model, record);
        }
        Ok(verified)
    }

    /// Builds the same state again: good bytes come from the damaged copy, the others from the source.
    fn repair(
        &self,
        records: &Records,
        model: &ModelRef,
        record: &ModelRecord,
        options: &VerifyOptions,
    ) -> Result<PullReport> {
        let source = self.source_of(model, record)?;
        let remote = RemoteModel {
            metadata: record.metadata.clone(),
            pin: record.pin.clone(),
            ..RemoteModel::new(model.clone(), &*source.identity().key, record.offered())
        };
        let call = self.call(options.offline, &options.cancel);
        let call = call.with_rate_limit(options.rate_limit.as_ref());
        // The registry may have moved on; what is repaired is what is installed.
        let manifest = self.store.manifest(model, record.manifest_hash);
        let target = match manifest.and_then(|it| offered(it, &*source, &remote, &call)) {
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
            .rate_limit(options.rate_limit.clone())
            .cancel(options.cancel.clone());
        pull.progress.clone_from(&options.progress);
        self.run_target(&target, &pull)
    }
}

/// Returns what was offered, with archives in place of what was in them, in the form in which their source has them: it may be in
/// chunks there.
fn offered(
    manifest: Manifest,
    source: &dyn Source,
    remote: &RemoteModel,
    call: &Call,
) -> Result<Manifest> {
    let is_unpacked = manifest.has_unpacked();
    let listed = manifest.offered("the installed manifest")?;
    if !is_unpacked {
        return Ok(listed);
    }
    let version = LockedVersion {
        kind: source.kind().as_str(),
        remote,
        listed: &listed,
    };
    let found = source.locked_manifest(call, &version)?;
    found.ok_or_else(|| Error::internal("a source has no more what came from it"))
}

/// The hashing of one model, which can be cancelled, and is followed.
pub(super) struct Hashing<'a> {
    pub(super) cancel: &'a CancelToken,
    pub(super) progress: &'a dyn Progress,
    pub(super) step: Step<'a>,
    /// The bytes of all models that were hashed.
    pub(super) bytes: &'a AtomicU64,
}

impl Hashing<'_> {
    pub(super) fn count(&self, bytes: usize) {
        let bytes = bytes as u64;
        let hashed = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        self.progress.on_step(&Step {
            // What is damaged is hashed twice.
            bytes_done: hashed.min(self.step.total_bytes),
            ..self.step
        });
    }
}

/// Hashes everything, on as many threads as there are processors; returns the number of bytes, and the damaged files.
fn verify_files(
    dir: &Path,
    manifest: Manifest,
    hashing: &Hashing<'_>,
) -> Result<(u64, BTreeMap<String, Damage>)> {
    let files = FileSet::new(Arc::new(manifest), dir.to_owned());
    let manifest = files.manifest();
    let name = |file: usize| manifest.files()[file].path.to_string();
    let mut damaged = BTreeMap::new();
    for (index, file) in manifest.files().iter().enumerate() {
        let damage = match fs::symlink_metadata(file_in(dir, &file.path)) {
            Ok(metadata) if !metadata.is_file() => Damage::Unreadable,
            Ok(metadata) if Some(metadata.len()) != file.size_bytes => Damage::WrongSize,
            Ok(_) => continue,
            Err(error) if is_missing(&error) => Damage::Missing,
            Err(_) => Damage::Unreadable,
        };
        damaged.insert(name(index), damage);
    }
    let parts = manifest.parts().iter();
    let parts = parts.filter_map(|part| Some((part.range(), part.digest?)));
    let uncovered = manifest.files().iter().filter_map(|file| {
        let parts = manifest.parts_of(file);
        let is_covered = !parts.is_empty() && parts.iter().all(|part| part.digest.is_some());
        (!is_covered).then_some((file.range(), file.digest?))
    });
    let ranges: Vec<(Range<u64>, Checksum)> = parts.chain(uncovered).collect();
    let bytes = ranges
        .iter()
        .map(|(range, _)| range.end - range.start)
        .sum();
    let check = |range: &Range<u64>, expected| match hash(&files, range, expected, hashing) {
        None => Some(Damage::Unreadable),
        Some(actual) => (actual != expected).then_some(Damage::WrongDigest),
    };
    let wrong = ranges.into_par_iter().filter_map(|(range, expected)| {
        let damage = check(&range, expected)?;
        Some((range, damage))
    });
    // A chunk may span several files. Their own digests show which of them is damaged; a file without one is suspected
    // unless the fault is known to be another's.
    for (range, damage) in wrong.collect::<Vec<_>>() {
        let mut touched = manifest.files_in(range.clone());
        let is_known = touched.any(|file| damaged.contains_key(&name(file)));
        for index in manifest.files_in(range.clone()) {
            let file = &manifest.files()[index];
            let is_suspected = match file.digest {
                Some(expected) => file.range() == range || check(&file.range(), expected).is_some(),
                None => !is_known,
            };
            if is_suspected {
                damaged.entry(name(index)).or_insert(damage);
            }
        }
    }
    hashing.cancel.check()?;
    Ok((bytes, damaged))
}

/// Returns the checksum that a range of the stream has, of the kind that it should have; `None` if it cannot be read.
fn hash(
    files: &FileSet,
    range: &Range<u64>,
    expected: Checksum,
    hashing: &Hashing<'_>,
) -> Option<Checksum> {
    let mut check = Check::of(&expected, range.end - range.start);
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let mut at = range.start;
    while at < range.end && !hashing.cancel.is_cancelled() {
        let length = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let piece_bytes = length.min(buffer.len());
        let piece = &mut buffer[..piece_bytes];
        files.read(at, piece).ok()?;
        check.update(piece);
        at += piece.len() as u64;
        hashing.count(piece.len());
    }
    Some(check.finish())
}
