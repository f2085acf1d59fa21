//! Pulling exactly what a lock says.
//!
//! What counts are the digests; the source that the lock names is only the first place to look. A model is installed if its
//! files are, whatever the source they came from. Without asking what is offered, bytes come from what this machine has, from
//! the source of the lock, or from any other that can serve them by their digests.

use std::path::PathBuf;
use std::sync::Arc;

use super::document::Lock;
use super::locked::{LockedFile, LockedModel, find};
use super::resolve::{Resolved, Wanted};
use super::{LockChange, not_locked, remote_of};
use crate::at_once::at_once;
use crate::catalog::RemoteModel;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::engine::lookup::offer::{LockedOrigin, Offer, Unreachable};
use crate::engine::pull::PullOptions;
use crate::engine::pull::plan::PullPlan;
use crate::engine::transfer::local_copies::LocalCopies;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelPattern};
use crate::setters::setters;
use crate::source::Source;
use crate::source::stored::Stored;
use crate::store::record::{ModelRecord, Records};

/// What to pull of a lock, and how.
///
/// ```
/// use modelrack::lock::{LockOptions, LockedOptions};
/// use modelrack::{Manager, PullOptions};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let path = folder.path().join("models.lock");
/// manager.lock(&LockOptions::default().models(["digits/logistic v1".parse()?]).file(&path))?;
///
/// let options = LockedOptions::default()
///     .file(&path)
///     .models(["digits/logistic".parse()?])
///     .frozen(true)
///     .pull(PullOptions::default().concurrency(2));
/// let plans = manager.plan_locked(&options)?;
/// let report = manager.execute_all(&plans)?;
/// assert_eq!(report.pulled[0].model.to_string(), "digits/logistic v1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LockedOptions {
    /// The file. Default: [`DEFAULT_FILE`](crate::lock::DEFAULT_FILE) in the current folder.
    pub file: PathBuf,
    /// Only these models. Default: all of the lock.
    pub models: Vec<ModelAddress>,
    /// Only those that match one of these patterns, beside those that are named.
    pub patterns: Vec<ModelPattern>,
    /// Ask no source what it offers. Default: ask, and fail with [`ErrorKind::LockStale`] if that is not what the lock says.
    pub frozen: bool,
    /// How to pull. Which files are pulled is up to the lock.
    pub pull: PullOptions,
}

impl Default for LockedOptions {
    fn default() -> Self {
        Self {
            file: super::DEFAULT_FILE.into(),
            models: Vec::new(),
            patterns: Vec::new(),
            frozen: false,
            pull: PullOptions::default(),
        }
    }
}

setters!(LockedOptions {
    file: impl Into<PathBuf>,
    models: [ModelAddress],
    patterns: [ModelPattern],
    frozen: bool,
    pull: PullOptions,
});

/// A lock that is being pulled.
struct Locked<'a> {
    options: &'a LockedOptions,
    records: &'a Records,
    call: &'a Call,
    unreachable: Unreachable,
}

impl Engine {
    /// Returns what pulling a lock would do.
    pub(crate) fn plan_locked(&self, options: &LockedOptions) -> Result<Vec<PullPlan>> {
        if !options.pull.selection().is_everything() {
            let message =
                "the lock says which files are pulled, so none can be included or excluded";
            return Err(Error::argument(message));
        }
        let lock = Lock::read(&options.file)?;
        let models = self.chosen(&lock, options)?;
        let records = self.records()?;
        let call = self.pull_call(&options.pull).remembering();
        let locked = Locked {
            options,
            records: &records,
            call: &call,
            unreachable: Unreachable::default(),
        };
        let plans = match options.frozen {
            true => at_once(&models, |model| {
                let plan = self.plan_frozen(&locked, model);
                plan.map_err(|error| error.step(format!("pull {}", model.model)))
            }),
            false => self.plan_held(&locked, &models)?,
        };
        plans.into_iter().collect()
    }

    /// Returns the models that are meant.
    fn chosen<'l>(&self, lock: &'l Lock, options: &LockedOptions) -> Result<Vec<&'l LockedModel>> {
        if options.models.is_empty() && options.patterns.is_empty() {
            return Ok(lock.models().collect());
        }
        let mut chosen: Vec<&LockedModel> = Vec::new();
        for address in &options.models {
            let reading = self.reading(address)?;
            let before = chosen.len();
            chosen.extend(lock.models().filter(|locked| reading.is_of(&locked.model)));
            if chosen.len() == before {
                return Err(not_locked(address, lock, &options.file));
            }
        }
        for pattern in &options.patterns {
            chosen.extend(self.locked_matching(lock, pattern, &options.file)?);
        }
        chosen.sort_by(|a, b| a.model.cmp(&b.model));
        chosen.dedup_by(|a, b| a.model == b.model);
        Ok(chosen)
    }

    /// Returns what the sources offer of a lock, which must be what is locked.
    pub(crate) fn locked_offers(
        &self,
        options: &LockedOptions,
        records: &Records,
        call: &Call,
    ) -> Result<Vec<Offer>> {
        let lock = Lock::read(&options.file)?;
        let models = self.chosen(&lock, options)?;
        let locked = Locked {
            options,
            records,
            call,
            unreachable: Unreachable::default(),
        };
        let held = self.find_held(&locked, &models)?.into_iter();
        let offers = held.map(|(model, Resolved { offer, manifest })| {
            let manifest = completed(model, manifest, &offer.source.label())?;
            Ok(offer.with_contents(manifest))
        });
        offers.collect()
    }

    /// Finds what the sources offer, which must be what is locked.
    fn find_held<'l>(
        &self,
        locked: &Locked<'_>,
        models: &[&'l LockedModel],
    ) -> Result<Vec<(&'l LockedModel, Resolved)>> {
        let wanted: Vec<_> = models
            .iter()
            .map(|model| Wanted::of_locked(model))
            .collect();
        let found = self.find_all(locked.records, &wanted, locked.call)?;
        let (mut stale, mut held) = (Vec::new(), Vec::new());
        for (model, found) in models.iter().zip(found) {
            match found {
                Ok(found) if self.holds(model, &found)? => held.push((*model, found)),
                Ok(_) => stale.push(model.model.to_string()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ModelNotFound { .. } | ErrorKind::VersionNotFound { .. }
                    ) =>
                {
                    stale.push(model.model.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        match stale.is_empty() {
            true => Ok(held),
            false => Err(ErrorKind::LockStale {
                path: locked.options.file.clone(),
                models: stale,
            }
            .into()),
        }
    }

    /// Plans the pull of what the sources offer, which must be what is locked.
    fn plan_held(
        &self,
        locked: &Locked<'_>,
        models: &[&LockedModel],
    ) -> Result<Vec<Result<PullPlan>>> {
        let plans = self.find_held(locked, models)?.into_iter().map(
            |(model, Resolved { offer, manifest })| {
                if let Some(plan) = self.plan_if_installed(locked, model)? {
                    return Ok(plan);
                }
                let manifest = completed(model, manifest, &offer.source.label())?;
                self.plan_offer(
                    locked.records,
                    offer.with_contents(manifest),
                    &locked.options.pull,
                    locked.call,
                )
            },
        );
        Ok(plans.collect())
    }

    /// Returns whether a source offers what is locked.
    ///
    /// # Errors
    /// [`ErrorKind::HashMismatch`] if the lock contradicts itself: the state is the same, and a file is not.
    fn holds(&self, locked: &LockedModel, found: &Resolved) -> Result<bool> {
        let digest = found.offer.remote.manifest_digest;
        let files = described(&found.manifest);
        match first_difference(locked, digest, &files) {
            None => Ok(true),
            Some(_) if digest != locked.manifest_digest => Ok(false),
            Some(difference) => Err(difference.into_error(locked)),
        }
    }

    /// Plans a pull that asks no source what it offers: from the first source that can serve it, or else says what is wrong with
    /// that of the lock.
    fn plan_frozen(&self, locked: &Locked<'_>, model: &LockedModel) -> Result<PullPlan> {
        if let Some(plan) = self.plan_if_installed(locked, model)? {
            return Ok(plan);
        }
        let listed = model.listing(locked.options.file.display())?;
        let remote = remote_in(locked.records, model);
        let mut others = self.candidates(model);
        if self.is_stored(locked, model, &listed) {
            others.insert(0, Arc::new(Stored));
        }
        let mut origin = LockedOrigin {
            kind: model.kind.clone(),
            listed,
            others,
            unreachable: locked.unreachable.clone(),
        };
        locked.unreachable.put_last(&mut origin.others);
        let mut told = None;
        while !origin.others.is_empty() {
            let source = origin.others.remove(0);
            match self.plan_from(locked, model, &remote, &source, &origin) {
                Ok(Some(plan)) => return Ok(plan),
                Ok(None) => {}
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => {
                    locked.unreachable.learn(&*source, &error);
                    if told.is_none() || source.identity().key == model.source {
                        told = Some(error);
                    }
                }
            }
        }
        Err(told.unwrap_or_else(|| {
            let (kind, location) = (&model.kind, &model.location);
            let message = format!(
                "no configured source can serve '{}' by its digests: it was locked from the {kind} source {location}",
                model.model
            );
            Error::registry(locked.options.file.display(), message)
        }))
    }

    /// Plans a pull from one source, and from others where it fails; `None` if it cannot serve the version.
    fn plan_from(
        &self,
        locked: &Locked<'_>,
        model: &LockedModel,
        remote: &RemoteModel,
        source: &Arc<dyn Source>,
        origin: &LockedOrigin,
    ) -> Result<Option<PullPlan>> {
        let offer = origin.offer(source, remote, locked.call)?;
        let Some(offer) = offer else { return Ok(None) };
        let files = offer.remote.contents.as_deref().map(described);
        let files = files.unwrap_or_default();
        if let Some(difference) = first_difference(model, model.manifest_digest, &files) {
            return Err(difference.into_error(model));
        }
        let offer = Offer {
            locked: Some(Arc::new(origin.clone())),
            ..offer
        };
        let call = offer.call(locked.call);
        self.plan_offer(locked.records, offer, &locked.options.pull, &call)
            .map(Some)
    }

    /// Returns the sources that may serve a version: those on this machine, which answer at once whether they can, then that of
    /// the lock, then others of its kind.
    fn candidates(&self, locked: &LockedModel) -> Vec<Arc<dyn Source>> {
        let mut sources = self.sources.and(Some(&locked.source));
        sources.sort_by_key(|source| {
            let is_of_kind = source.kind().as_str() == locked.kind;
            let is_locked = source.identity().key == locked.source;
            (!source.is_here(), !is_locked, !is_of_kind)
        });
        sources
    }

    /// Returns whether this store has all bytes of a version.
    fn is_stored(&self, locked: &Locked<'_>, model: &LockedModel, listed: &Manifest) -> bool {
        let has_digests = listed.parts().iter().all(|part| part.digest.is_some());
        if !listed.is_measured() || !has_digests || locked.options.pull.force {
            return false;
        }
        let copies = LocalCopies::find(&self.store, locked.records, &model.model, listed, &[]);
        (0..listed.parts().len()).all(|part| copies.of_part(listed, part).is_some())
    }

    /// Returns the plan of a model whose files are installed as they are locked.
    fn plan_if_installed(
        &self,
        locked: &Locked<'_>,
        model: &LockedModel,
    ) -> Result<Option<PullPlan>> {
        let options = &locked.options.pull;
        let record = locked.records.get(&model.model);
        let Some(record) = record.filter(|_| !options.force) else {
            return Ok(None);
        };
        match self.is_installed_as_locked(model, record)?
            && self.is_usable(&model.model, record, &options.cancel)
        {
            true => self
                .plan_installed(model.model.clone(), record.clone(), options)
                .map(Some),
            false => Ok(None),
        }
    }

    fn is_installed_as_locked(&self, locked: &LockedModel, record: &ModelRecord) -> Result<bool> {
        let manifest = self.store.manifest(&locked.model, record.manifest_hash);
        let offered = manifest.and_then(|manifest| manifest.offered("the installed manifest"));
        let Ok(manifest) = offered else {
            return Ok(false);
        };
        match first_difference(locked, record.offered(), &described(&manifest)) {
            None => Ok(true),
            Some(_) if record.offered() != locked.manifest_digest => Ok(false),
            Some(difference) => Err(difference.into_error(locked)),
        }
    }
}

/// What a lock has of a version, in the form of an offer. The store knows more of what is installed.
fn remote_in(records: &Records, locked: &LockedModel) -> RemoteModel {
    let remote = remote_of(locked);
    let installed = records.get(&locked.model);
    match installed.filter(|record| record.offered() == locked.manifest_digest) {
        Some(record) => RemoteModel {
            metadata: record.metadata.clone(),
            ..remote
        },
        None => remote,
    }
}

/// Adds to a manifest what only the lock knows of files that are parts of their own.
fn completed(locked: &LockedModel, manifest: Manifest, location: &str) -> Result<Manifest> {
    let is_complete = |manifest: &Manifest| {
        let mut files = manifest.files().iter();
        files.all(|file| file.digest.is_some() && file.size_bytes.is_some())
    };
    if manifest.chunk_bytes().is_some() || is_complete(&manifest) {
        return Ok(manifest);
    }
    let mut files = manifest.files().to_vec();
    for file in &mut files {
        if let Some(known) = find(&locked.files, &file.path) {
            file.size_bytes = file.size_bytes.or(known.size_bytes);
            file.digest = file.digest.or(known.checksum());
        }
    }
    manifest.with_files(files, location)
}

/// Describes the files of a manifest as a lock does.
fn described(manifest: &Manifest) -> Vec<LockedFile> {
    let files = manifest.files().iter().map(|file| LockedFile {
        path: file.path.clone(),
        size_bytes: file.size_bytes,
        sha256: super::resolve::sha256_of(manifest, file),
        git_blob: file.git_blob_id(),
        archive: file.archive,
    });
    let mut files: Vec<_> = files.collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// A file that is not as it is locked.
struct Difference {
    file: String,
    /// `None` where the lock has no such file.
    expected: Option<String>,
    /// `None` where the state has no such file.
    actual: Option<String>,
}

/// Returns the first file in which a lock and a state differ; where nothing tells, the digests of the states do.
fn first_difference(
    locked: &LockedModel,
    manifest_digest: Digest,
    files: &[LockedFile],
) -> Option<Difference> {
    let change = LockChange::between(locked, manifest_digest, files);
    let mut all = change
        .changed
        .iter()
        .chain(&change.removed)
        .chain(&change.added);
    let path = all.next()?;
    let shown = |files: &[LockedFile]| {
        let file = files.iter().find(|file| file.path.as_str() == path);
        file.map(LockedFile::shown)
    };
    Some(Difference {
        file: path.clone(),
        expected: shown(&locked.files),
        actual: shown(files),
    })
}

impl Difference {
    fn into_error(self, locked: &LockedModel) -> Error {
        ErrorKind::HashMismatch {
            what: format!("the file '{}' of '{}'", self.file, locked.model),
            expected: match self.expected {
                Some(expected) => format!("{expected} as it is locked"),
                None => "no such file, as it is locked".into(),
            },
            actual: self.actual.unwrap_or_default(),
        }
        .into()
    }
}

impl LockedFile {
    fn shown(&self) -> String {
        match (self.checksum(), self.size_bytes) {
            (Some(checksum), _) => checksum.to_string(),
            (None, Some(size)) => format!("{size} B"),
            (None, None) => "unknown".to_owned(),
        }
    }
}
