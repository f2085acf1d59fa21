//! Mirrors: versions of any source become versions of one registry.
//!
//! A mirror is made in three steps:
//!
//! 1. **Choose.** Addresses, patterns or a lock give offers. An alias is its version, with another name for it.
//! 2. **Compare.** The index of the mirror says which state of each version is there: by the digest of its manifest or, where that
//!    is not the source's, by `source_hash`. What is there is passed over, and its source asked for nothing more.
//! 3. **Copy.** A version goes over as it is where source and mirror are of one kind: chunk by chunk ([`chunks`]), or an artifact
//!    blob by blob ([`artifacts`]). What the mirror has is not fetched, what this store has comes from there, and the rest is
//!    verified while it streams from the source to the mirror, without a copy in between. The files of any other version are in
//!    the store, or come into a partial first ([`files`]), because they can be cut only when their content is known. Then that is
//!    removed.
//!
//! What fails of one version stops no other. A mirror that takes nothing more, because its disk is full or its bucket gone, ends the
//! work: the report has what is in it by then, what failed, and what was not tried.
//!
//! The index is replaced after each [batch](copying::BATCH_BYTES) and at the end, also when the rest fails; that of a tar only at the end.

mod artifacts;
mod chosen;
mod chunks;
mod copying;
mod files;
mod parts;
mod passing;
mod report;
mod verify;
mod way;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::at_once::at_once;
use crate::engine::Engine;
use crate::engine::pull::PullOptions;
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::http::waiting::telling_waits;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelPattern};
use crate::progress::{CancelToken, Progress, Task};
use crate::publish::{
    Chunking, DEFAULT_CHUNK_BYTES, Opened, Opening, PublishTarget, WrittenVersion,
    check_chunk_bytes,
};
use crate::rate_limit::RateLimit;
use crate::setters::setters;
use crate::store::record::Records;

pub use report::{FailedMirror, MirrorReport, MirrorState, MirroredVersion};
pub use verify::{DamagedDocument, RegistryReport, VerifiedVersion, VerifyRegistryOptions};

use chosen::{Chosen, Comparison};

/// Which models to mirror, and how.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::config::RateLimit;
/// use modelrack::mirror::{Chunking, MirrorOptions, PublishTarget};
/// use modelrack::progress::Silent;
/// use modelrack::{CancelToken, Manager};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let options = MirrorOptions::default()
///     .models(["digits/logistic v1".parse()?])
///     .patterns(["digits/*".parse()?])
///     .chunk_bytes(1 << 20)
///     .chunking(Chunking::Content)
///     .shards(false)
///     .force(false)
///     .concurrency(4)
///     .rate_limit(RateLimit::new(20_000_000))
///     .offline(false)
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// let to = PublishTarget::from(folder.path().join("mirror"));
/// assert_eq!(manager.mirror(&to, &options)?.versions.len(), 2);
///
/// // All models of a lock, exactly as they are locked:
/// let options = MirrorOptions::default().locked("models.lock");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MirrorOptions {
    /// These models; with [`locked`](field@Self::locked), only these of the lock.
    pub models: Vec<ModelAddress>,
    /// All models that match one of these patterns, in all versions unless they name one.
    pub patterns: Vec<ModelPattern>,
    /// What this lock says, which must be what the sources offer. Default: no lock.
    pub locked: Option<PathBuf>,
    /// The size of a chunk, in bytes, at least 1024, for models that are not in chunks. Default: [`DEFAULT_CHUNK_BYTES`].
    pub chunk_bytes: u64,
    /// Where these are cut. Default: as the version was cut before, else as the highest one of the model, so that they share
    /// chunks; else [`Chunking::Content`].
    pub chunking: Option<Chunking>,
    /// Whether the index is put into shards, which only newer readers know. Default: no.
    pub shards: bool,
    /// Whether to write into a bucket whose store ignores conditions: if somebody else writes at the same time, what one of them
    /// adds is lost. Default: no.
    pub force: bool,
    /// How many parts are fetched at once, from 1 to 16. Default: [`Config::concurrency`](crate::Config::concurrency).
    pub concurrency: Option<usize>,
    /// Limits how fast bytes come. Default: as configured.
    pub rate_limit: Option<RateLimit>,
    /// Open no socket, but that of a target in the network. Default: as configured.
    pub offline: bool,
    /// Cancels the operation. What is complete by then is in the index.
    pub cancel: CancelToken,
    /// Receives steps, and the events of pulls. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            patterns: Vec::new(),
            locked: None,
            chunk_bytes: DEFAULT_CHUNK_BYTES,
            chunking: None,
            shards: false,
            force: false,
            concurrency: None,
            rate_limit: None,
            offline: false,
            cancel: CancelToken::new(),
            progress: None,
        }
    }
}

setters!(MirrorOptions {
    models: [ModelAddress],
    patterns: [ModelPattern],
    locked: Some(impl Into<PathBuf>),
    chunk_bytes: u64,
    chunking: impl Into<Option<Chunking>>,
    shards: bool,
    force: bool,
    concurrency: impl Into<Option<usize>>,
    rate_limit: impl Into<Option<RateLimit>>,
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

impl MirrorOptions {
    /// How the files of models are pulled.
    fn pull(&self) -> PullOptions {
        PullOptions {
            concurrency: self.concurrency,
            rate_limit: self.rate_limit.clone(),
            offline: self.offline,
            cancel: self.cancel.clone(),
            progress: self.progress.clone(),
            ..PullOptions::default()
        }
    }
}

/// A mirror that is being written.
struct Mirroring<'a> {
    engine: &'a Engine,
    options: &'a MirrorOptions,
    pull: PullOptions,
    call: Call,
    records: Records,
    opened: Opened<'a>,
    /// Whether the mirror did not take what it was given, and so will not take the next either.
    is_refused: AtomicBool,
}

/// A version that is not in the mirror as it is offered.
struct Missing {
    chosen: Chosen,
    manifest: Manifest,
}

impl Engine {
    /// Mirrors models, or only says what that would take.
    pub(crate) fn mirror(
        &self,
        to: &PublishTarget,
        options: &MirrorOptions,
        is_writing: bool,
    ) -> Result<MirrorReport> {
        check_chunk_bytes(options.chunk_bytes)?;
        if to.tag().is_some() {
            let message = format!("{to} is one model: name a place of many, without a tag");
            return Err(Error::argument(message));
        }
        let pull = options.pull();
        let call = self.pull_call(&pull).remembering();
        let environment = self.sources.environment().clone();
        let network = || {
            let call = self.call(false, &options.cancel);
            let call = call.with_progress(options.progress.as_ref());
            let call = telling_waits(Task::Uploading, to, call);
            Ok((call, environment.clone()))
        };
        let destination = to.open(&Opening {
            several: true,
            network: &network,
            cancel: &options.cancel,
            force: options.force,
            is_rehearsal: !is_writing,
        })?;
        let mirroring = Mirroring {
            engine: self,
            options,
            records: self.records()?,
            opened: destination.begin(to)?,
            pull,
            call,
            is_refused: AtomicBool::new(false),
        };
        mirroring.run(to, is_writing)
    }
}

impl Mirroring<'_> {
    fn run(&self, to: &PublishTarget, is_writing: bool) -> Result<MirrorReport> {
        let mut report = MirrorReport::new(to.clone());
        let mut pending = Vec::new();
        let chosen = self.choose(&mut report)?;
        let missing = self.compare_all(chosen, &mut pending, &mut report)?;
        let missing = self.describe(missing, &mut report)?;
        if !is_writing {
            for missing in &missing {
                let version = self.estimate(self.way(missing)?, missing)?;
                report.versions.push(version);
            }
        } else {
            let written = self.copy_all(&missing, &mut pending, &mut report);
            // What is complete is not lost with the rest.
            let finished = self.finish(&mut pending, &mut report);
            written.and(finished)?;
        }
        report.sort();
        Ok(report)
    }

    /// Passes over what the mirror has; returns the other versions.
    fn compare_all(
        &self,
        chosen: Vec<Chosen>,
        pending: &mut Vec<WrittenVersion>,
        report: &mut MirrorReport,
    ) -> Result<Vec<Chosen>> {
        let compared = at_once(&chosen, |chosen| {
            self.call.cancel.check()?;
            self.compare(chosen)
        });
        self.call.cancel.check()?;
        let mut missing = Vec::new();
        for (mut chosen, compared) in chosen.into_iter().zip(compared) {
            match compared {
                Ok(Comparison::Unchanged(there)) => {
                    let version = MirroredVersion::there(&chosen, &there);
                    report.versions.push(version);
                    pending.extend(there.relabelled);
                    continue;
                }
                Ok(Comparison::Changed) => chosen.state = MirrorState::Changed,
                Ok(Comparison::New) => {}
                // What cannot be the name of a repository, or a tag, is one model's affair.
                Err(error) if self.opened.registry().is_none() => {
                    report.fail(chosen.offer.remote.model.to_string(), error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            missing.push(chosen);
        }
        Ok(missing)
    }

    /// Learns what the versions consist of; those of which that fails are in the report.
    fn describe(&self, chosen: Vec<Chosen>, report: &mut MirrorReport) -> Result<Vec<Missing>> {
        let manifests = at_once(&chosen, |chosen| {
            self.call.cancel.check()?;
            let offer = &chosen.offer;
            self.engine
                .manifest(&self.records, offer, &offer.call(&self.call))
        });
        self.call.cancel.check()?;
        let mut missing = Vec::new();
        for (chosen, manifest) in chosen.into_iter().zip(manifests) {
            match manifest {
                Ok(manifest) => missing.push(Missing { chosen, manifest }),
                Err(error) => report.fail(chosen.offer.remote.model.to_string(), error),
            }
        }
        Ok(missing)
    }
}
