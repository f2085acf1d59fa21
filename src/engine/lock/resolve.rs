//! What the sources offer now of the models that are wanted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::locked::{LockedFile, LockedModel, total_bytes};
use crate::at_once::at_once;
use crate::catalog::Pin;
use crate::digest::{Check, Checksum, Digest, Hasher};
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::pull::selection::Selection;
use crate::engine::sync::Unrefreshed;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::{ModelAddress, ModelRef};
use crate::mutex::Mutex;
use crate::progress::{Step, Task};
use crate::store::layout::file_in;
use crate::store::record::{ModelRecord, Records};

const BUFFER_BYTES: usize = 256 << 10;

/// A model to be looked up for a lock.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) address: ModelAddress,
    /// Which version it is, where that is known before a source is asked.
    pub(super) model: Option<ModelRef>,
    /// What the lock has of it.
    pub(super) locked: Option<LockedModel>,
    selection: Selection,
    /// The key of the source that it came from.
    source: Option<String>,
}

impl Wanted {
    pub(super) fn of_locked(locked: &LockedModel) -> Self {
        Self {
            address: ModelAddress::from(&locked.model),
            model: Some(locked.model.clone()),
            selection: locked.pin.as_ref().map(selection_of).unwrap_or_default(),
            source: Some(locked.source.clone()),
            locked: Some(locked.clone()),
        }
    }

    pub(super) fn of_installed(model: &ModelRef, record: &ModelRecord) -> Self {
        Self {
            address: ModelAddress::from(model),
            model: Some(model.clone()),
            selection: Selection::recorded(record),
            source: record.source.clone(),
            locked: None,
        }
    }

    /// A model as it was typed, which is new in the lock. Without patterns, those count that it is installed with.
    pub(super) fn of_address(
        address: &ModelAddress,
        selection: &Selection,
        records: &Records,
    ) -> Self {
        let exact = address.as_model().ok();
        let exact = exact.and_then(|(name, version)| name.version(version?).ok());
        let installed = exact.as_ref().and_then(|model| records.get(model));
        let recorded = installed.map(Selection::recorded);
        Self {
            address: address.clone(),
            model: None,
            selection: match (selection.is_everything(), recorded) {
                (true, Some(recorded)) => recorded,
                _ => selection.clone(),
            },
            source: installed.and_then(|record| record.source.clone()),
            locked: None,
        }
    }
}

fn selection_of(pin: &Pin) -> Selection {
    Selection {
        include: pin.include.clone(),
        exclude: pin.exclude.clone(),
    }
}

/// A version that a source offers, and what it consists of.
pub(super) struct Resolved {
    pub(super) offer: Offer,
    pub(super) manifest: Manifest,
}

impl Engine {
    /// Looks all of them up, several at once; the answers are in the same order.
    pub(super) fn resolve_all(
        &self,
        records: &Records,
        wanted: &[Wanted],
        call: &Call,
    ) -> Result<Vec<Result<LockedModel>>> {
        let resolved = self.find_all(records, wanted, call)?.into_iter();
        let locked =
            resolved.map(|resolved| resolved.and_then(|it| self.locked(records, &it, call)));
        Ok(locked.collect())
    }

    /// Finds all of them, several at once. Once a source cannot be reached, nothing more is asked of it.
    pub(super) fn find_all(
        &self,
        records: &Records,
        wanted: &[Wanted],
        call: &Call,
    ) -> Result<Vec<Result<Resolved>>> {
        let failed = self.refresh_wanted(wanted, call)?;
        let unreachable = Mutex::new(BTreeSet::new());
        let done = AtomicU64::new(0);
        let first = Step::new(Task::Checking, wanted.len() as u64);
        let found = at_once(wanted, |wanted| {
            call.cancel.check()?;
            let number = done.fetch_add(1, Ordering::Relaxed);
            let name = wanted.address.to_string();
            call.progress.on_step(&first.at(&name, number));
            let source = wanted.source.clone().unwrap_or_default();
            let version = wanted
                .model
                .as_ref()
                .map(ModelRef::version)
                .unwrap_or_default();
            if unreachable.lock().contains(&source) {
                return Err(not_asked(&source));
            }
            let origin = (source.clone(), version.to_owned());
            // Why stands with the first model that it concerns.
            if let Some(reason) = failed.lock().get_mut(&origin) {
                return Err(reason.take().unwrap_or_else(|| not_asked(&source)));
            }
            let found = self.find_wanted(records, wanted, call);
            if wanted.source.is_some() && found.as_ref().is_err_and(is_unreachable) {
                unreachable.lock().insert(source);
            }
            found.map_err(|error| error.step(format!("look up {}", wanted.address)))
        });
        call.cancel.check()?;
        Ok(found)
    }

    /// Brings up to date what is cached of the sources that the models came from; returns what failed.
    fn refresh_wanted(&self, wanted: &[Wanted], call: &Call) -> Result<Mutex<Unrefreshed>> {
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for wanted in wanted {
            if let (Some(source), Some(model)) = (&wanted.source, &wanted.model) {
                versions.entry(source).or_default().insert(model.version());
            }
        }
        self.refresh_versions(versions, call).map(Mutex::new)
    }

    fn find_wanted(&self, records: &Records, wanted: &Wanted, call: &Call) -> Result<Resolved> {
        let reading = match &wanted.model {
            Some(model) => self.reading_of(model, wanted.source.as_deref()),
            None => self.reading(&wanted.address),
        };
        let offer = self.find_remote(&reading?, call)?;
        let offer = match &wanted.model {
            Some(model) => offer.named(model),
            None => offer,
        };
        let offer = match &wanted.locked {
            // A mirror has what is wanted, and no more; whether that is so shows.
            Some(locked) if offer.remote.pin.is_none() => offer.pinned(locked.pin.as_ref()),
            _ => self.select(records, offer, &wanted.selection, call)?,
        };
        let manifest = self.manifest(records, &offer, call)?;
        Ok(Resolved { offer, manifest })
    }

    /// Describes a version for a lock, with the digests that its source does not state, if it is installed.
    fn locked(&self, records: &Records, resolved: &Resolved, call: &Call) -> Result<LockedModel> {
        let Resolved { offer, manifest } = resolved;
        let remote = &offer.remote;
        let record = records.get(&remote.model);
        let record = record.filter(|record| record.offered() == remote.manifest_digest);
        let installed = record.and_then(|record| {
            self.store
                .manifest(&remote.model, record.manifest_hash)
                .ok()
        });
        let installed = installed.iter().flat_map(Manifest::files);
        let installed: HashMap<_, _> = installed.map(|file| (&file.path, file)).collect();
        let dir = self.store.layout().model_dir(&remote.model);
        let mut files = Vec::with_capacity(manifest.files().len());
        for file in manifest.files() {
            let mut locked = LockedFile {
                path: file.path.clone(),
                size_bytes: file.size_bytes,
                sha256: sha256_of(manifest, file),
                git_blob: file.git_blob_id(),
                archive: file.archive,
            };
            let known = installed.get(&file.path);
            if let Some(known) = known.filter(|_| locked.sha256.is_none()) {
                locked.size_bytes = locked.size_bytes.or(known.size_bytes);
                let learned = known.digest.and_then(|digest| digest.sha256());
                let path = file_in(&dir, &file.path);
                locked.sha256 = learned.or_else(|| hash_checked(&path, known));
                call.cancel.check()?;
            }
            files.push(locked);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let locations = offer.source.locations().into_iter();
        let facts = remote.metadata.facts();
        Ok(LockedModel {
            model: remote.model.clone(),
            source: remote.source.to_string(),
            kind: offer.source.kind().as_str().to_owned(),
            location: locations.take(1).collect(),
            manifest_digest: remote.manifest_digest,
            alias_of: remote.alias_of.as_deref().map(str::to_owned),
            model_type: facts.model_type,
            tags: facts.tags,
            total_bytes: total_bytes(&files),
            files,
            pin: remote.pin.as_deref().cloned(),
        })
    }
}

/// Returns the digest of a file: its own, or that of the one part that it consists of.
pub(super) fn sha256_of(manifest: &Manifest, file: &ManifestFile) -> Option<Digest> {
    if let Some(digest) = file.digest {
        return digest.sha256();
    }
    match (manifest.is_measured(), manifest.parts_of(file)) {
        (true, []) => Some(Digest::of(b"")),
        (true, [part]) if part.range() == file.range() => part.digest?.sha256(),
        _ => None,
    }
}

/// Hashes an installed file; `None` if it is not what its manifest says, or nothing says what it is.
fn hash_checked(path: &Path, known: &ManifestFile) -> Option<Digest> {
    let (expected, size) = (known.digest?, known.size_bytes?);
    let mut file = File::open(path).ok()?.take(size + 1);
    let (mut check, mut hasher) = (Check::of(&expected, size), Hasher::default());
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            read => {
                check.update(&buffer[..read]);
                hasher.update(&buffer[..read]);
            }
        }
    }
    let actual: Checksum = check.finish();
    (actual == expected).then(|| hasher.finish())
}

/// Whether an error is one that every other question to the same source would end with.
fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Network {
            status: None | Some(500..),
            ..
        } | ErrorKind::IndexNotFound { .. }
            | ErrorKind::Offline { .. }
            | ErrorKind::RateLimited { .. }
            | ErrorKind::Certificate { .. }
            | ErrorKind::Tls { .. }
            | ErrorKind::Proxy { .. }
    )
}

fn not_asked(source: &str) -> Error {
    ErrorKind::NotSynced {
        source_name: source.to_owned(),
        references: Vec::new(),
        source: None,
    }
    .into()
}
