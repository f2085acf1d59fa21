//! What mirroring did, or would do.

use std::collections::BTreeSet;

use serde::Serialize;

use super::chosen::{Chosen, There};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::ModelRef;
use crate::publish::{PublishTarget, WrittenVersion};

/// What mirroring did, or would do.
///
/// ```
/// use modelrack::Manager;
/// use modelrack::mirror::{MirrorOptions, MirrorState, PublishTarget};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let media = folder.path().join("media");
/// let options = MirrorOptions::default().models(["digits/logistic v1".parse()?]);
/// let to = PublishTarget::from(media.join("models"));
/// let plan = manager.check_mirror(&to, &options)?;
/// println!("{} bytes to fetch, {} to write", plan.bytes_fetched(), plan.bytes_written());
///
/// let report = manager.mirror(&to, &options)?;
/// for version in &report.versions {
///     println!("{} {}: {} files, {} bytes", version.model, version.manifest_digest, version.files, version.total_bytes);
///     println!("  {} of {} chunks are new", version.chunks_written, version.chunks);
///     assert_eq!(version.state, MirrorState::New);
/// }
/// for failed in &report.failed {
///     eprintln!("{}: {}", failed.address, failed.error);
/// }
///
/// // Everything is there now:
/// let report = manager.mirror(&to, &options)?;
/// assert_eq!(report.versions[0].state, MirrorState::Unchanged);
/// assert_eq!((report.bytes_fetched(), report.bytes_written()), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct MirrorReport {
    /// Where the mirror is.
    pub registry: PublishTarget,
    /// The versions that are in it, in the order of names.
    #[serde(rename = "models")]
    pub versions: Vec<MirroredVersion>,
    /// What failed, in the order of names.
    pub failed: Vec<FailedMirror>,
    /// The versions that are not in it, or not in their new state, because it took no more after what failed: in the order of
    /// names.
    pub not_tried: Vec<ModelRef>,
    /// Bytes of archives that were fetched for several models at once; the versions do not include them.
    pub bytes_archives: u64,
}

/// How a version in a mirror compares to what was there. [`MirrorReport`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum MirrorState {
    /// It was not there.
    New,
    /// Another state of it was there.
    Changed,
    /// It was there as it is, or only what describes it has changed.
    Unchanged,
}

/// A version in a mirror. [`MirrorReport`] has an example.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MirroredVersion {
    /// The version.
    #[serde(flatten)]
    pub model: ModelRef,
    /// How it compares to what was there.
    pub state: MirrorState,
    /// The key of the source.
    pub source: String,
    /// The state at the source.
    #[serde(rename = "source_hash")]
    pub source_digest: Digest,
    /// The state in the mirror; if it is not there yet and has to be cut, that of the source.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// Other names of the version in the mirror.
    pub aliases: Vec<String>,
    /// The number of files; 0 if it was there, and the source does not say.
    pub files: usize,
    /// The size of all files together; 0 if it was there, and the source does not say.
    pub total_bytes: u64,
    /// The number of chunks; 0 if it was there, or is yet to be cut.
    pub chunks: usize,
    /// The number of chunks that the mirror did not have.
    pub chunks_written: usize,
    /// The size of what the mirror did not have.
    pub bytes_written: u64,
    /// Bytes that came from the source, or would at most.
    pub bytes_fetched: u64,
}

/// What could not be mirrored, and why. [`MirrorReport`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedMirror {
    /// The model, or what was asked for.
    pub address: String,
    /// The error.
    pub error: Error,
}

impl MirrorReport {
    /// Creates the report of an empty mirror; for [implementations of `Manager`](crate::Manager#managers-of-your-own).
    #[must_use]
    pub fn new(registry: PublishTarget) -> Self {
        Self {
            registry,
            versions: Vec::new(),
            failed: Vec::new(),
            not_tried: Vec::new(),
            bytes_archives: 0,
        }
    }

    /// Returns the versions that are in the mirror, if nothing failed.
    ///
    /// ```
    /// use modelrack::Manager;
    /// use modelrack::mirror::{MirrorOptions, PublishTarget};
    ///
    /// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// # let to = PublishTarget::from(folder.path().join("models"));
    /// let options = MirrorOptions::default().models(["digits/logistic v1".parse()?, "digits/nosuch".parse()?]);
    /// let report = manager.mirror(&to, &options)?;
    /// assert_eq!((report.versions.len(), report.failed.len()), (1, 1));
    /// assert_eq!(report.into_result().unwrap_err().to_string(), "1 of 2 models failed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// That of the model, if there was only one; else [`ErrorKind::Several`](crate::ErrorKind::Several), which counts those that
    /// failed.
    pub fn into_result(self) -> Result<Vec<MirroredVersion>> {
        let not_tried = self.not_tried.len();
        let of = self.versions.len() + self.failed.len() + not_tried;
        let errors = self.failed.into_iter().map(|failed| failed.error);
        let failed = Error::of_models(errors.collect(), of, not_tried);
        failed.map_or(Ok(self.versions), Err)
    }

    /// Returns how much came from the sources, or would at most.
    #[must_use]
    pub fn bytes_fetched(&self) -> u64 {
        let versions = self.versions.iter().map(|version| version.bytes_fetched);
        self.bytes_archives + versions.sum::<u64>()
    }

    /// Returns how much was written, or would be at most.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        let versions = self.versions.iter();
        versions.map(|version| version.bytes_written).sum()
    }

    pub(super) fn fail(&mut self, address: String, error: Error) {
        self.failed.push(FailedMirror { address, error });
    }

    /// Takes out what was written, but is not in the mirror. What was there before still is.
    pub(super) fn take_back(&mut self, models: &BTreeSet<ModelRef>) {
        let is_there = |version: &MirroredVersion| {
            version.state == MirrorState::Unchanged || !models.contains(&version.model)
        };
        self.versions.retain(is_there);
    }

    pub(super) fn sort(&mut self) {
        self.not_tried.sort();
        self.versions.sort_by(|a, b| a.model.cmp(&b.model));
        self.failed.sort_by(|a, b| a.address.cmp(&b.address));
    }
}

impl MirroredVersion {
    pub(super) fn of(chosen: &Chosen, state: MirrorState, manifest_digest: Digest) -> Self {
        let remote = &chosen.offer.remote;
        Self {
            model: remote.model.clone(),
            state,
            source: remote.source.to_string(),
            source_digest: remote.manifest_digest,
            manifest_digest,
            aliases: chosen.aliases.clone(),
            files: remote.files.unwrap_or(0) as usize,
            total_bytes: remote.total_bytes.unwrap_or(0),
            chunks: 0,
            chunks_written: 0,
            bytes_written: 0,
            bytes_fetched: 0,
        }
    }

    pub(super) fn there(chosen: &Chosen, there: &There) -> Self {
        Self::of(chosen, MirrorState::Unchanged, there.manifest_digest)
    }

    pub(super) fn written(chosen: &Chosen, written: &WrittenVersion, bytes_fetched: u64) -> Self {
        Self {
            files: written.files,
            total_bytes: written.total_bytes,
            chunks: written.chunks,
            chunks_written: written.chunks_written,
            bytes_written: written.bytes_written,
            bytes_fetched,
            ..Self::of(chosen, chosen.state, written.manifest_digest)
        }
    }
}
