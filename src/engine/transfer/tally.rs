//! What one pull has done so far, counted from many threads and passed on to its progress handler.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::estimate::{Estimate, Position};
use super::plan::TransferPlan;
use crate::catalog::RemoteModel;
use crate::error::Error;
use crate::http::arrivals::Arrivals;
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelRef};
use crate::mutex::Mutex;
use crate::progress::{CancelToken, Download, Phase, Progress, ProgressEvent, TransferState};

/// What a pull is of, as far as its source says before the manifest is there.
#[derive(Debug, Clone)]
pub(crate) struct DownloadTarget {
    pub(crate) model: ModelRef,
    /// The key of the source.
    pub(crate) source: String,
    pub(crate) model_type: Option<String>,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) files: Option<u64>,
}

/// Counts what one pull has done, and emits its events.
#[derive(Debug)]
pub(crate) struct Tally {
    address: ModelAddress,
    /// Which model it is, once that has been looked up.
    target: OnceLock<DownloadTarget>,
    pub(crate) cancel: CancelToken,
    progress: Arc<dyn Progress>,
    /// How often a request is made at most.
    attempts: u32,
    counts: Counts,
    estimate: Mutex<Estimate>,
    /// The bytes that each file still lacks.
    missing: Mutex<Vec<u64>>,
    current_file: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Whether its turn has come.
    has_begun: AtomicBool,
    /// An index of [`PHASES`].
    phase: AtomicU8,
    files_total: AtomicU64,
    files_done: AtomicU64,
    parts_total: AtomicU64,
    parts_done: AtomicU64,
    total_bytes: AtomicU64,
    bytes_done: AtomicU64,
    bytes_network: AtomicU64,
    bytes_in_flight: AtomicU64,
    /// Bytes that an unfinished pull left, and that took no work.
    bytes_found: AtomicU64,
    /// Bytes that came from this machine, and those that are still to come from it.
    bytes_copied: AtomicU64,
    bytes_to_copy: AtomicU64,
    /// How much longer it takes, in milliseconds and one more; 0 if that cannot be told.
    remaining: AtomicU64,
}

const PHASES: [Phase; 4] = [
    Phase::Manifest,
    Phase::Chunks,
    Phase::Unpacking,
    Phase::Extracting,
];

impl Arrivals for Tally {
    fn archive(&self, here: u64, total: u64) {
        let counts = &self.counts;
        let here_before = counts.bytes_in_flight.swap(here, Relaxed);
        let total_before = counts.total_bytes.swap(total, Relaxed);
        if (here_before, total_before) != (here, total) {
            self.advanced();
        }
    }

    fn archive_came(&self, bytes: u64) {
        self.counts.bytes_network.fetch_add(bytes, Relaxed);
    }

    fn retrying(&self, attempt: u32, wait: Duration, error: &Error) {
        let reason = error.to_string();
        self.emit(&ProgressEvent::Retrying {
            attempt,
            attempts: self.attempts,
            wait,
            reason,
        });
    }
}

impl Tally {
    pub(crate) fn new(address: ModelAddress, call: &Call) -> Self {
        Self {
            address,
            target: OnceLock::new(),
            cancel: call.cancel.clone(),
            progress: call.progress.clone(),
            attempts: call.client.attempts(),
            counts: Counts::default(),
            estimate: Mutex::default(),
            missing: Mutex::default(),
            current_file: Mutex::default(),
        }
    }

    /// Learns which model it is.
    pub(crate) fn identify(&self, remote: &RemoteModel, model_type: Option<String>) {
        self.target.get_or_init(|| DownloadTarget {
            model: remote.model.clone(),
            source: remote.source.to_string(),
            model_type,
            total_bytes: remote.total_bytes,
            files: remote.files,
        });
    }

    pub(crate) fn model(&self) -> Option<&ModelRef> {
        self.target.get().map(|target| &target.model)
    }

    /// Returns which model it is, if its turn has not come.
    pub(crate) fn pending_target(&self) -> Option<DownloadTarget> {
        let target = self.target.get().cloned();
        target.filter(|_| !self.counts.has_begun.load(Relaxed))
    }

    /// Learns that its turn has come.
    pub(crate) fn begin(&self) {
        self.counts.has_begun.store(true, Relaxed);
    }

    /// Learns what there is to do.
    pub(crate) fn expect(&self, manifest: &Manifest, plan: &TransferPlan) {
        let files = manifest.files().iter();
        let sizes: Vec<u64> = files.map(|file| file.size_bytes.unwrap_or(0)).collect();
        let empty = sizes.iter().filter(|size| **size == 0).count();
        let counts = &self.counts;
        counts.files_total.store(sizes.len() as u64, Relaxed);
        counts.files_done.store(empty as u64, Relaxed);
        counts
            .parts_total
            .store(manifest.parts().len() as u64, Relaxed);
        counts.total_bytes.store(manifest.known_bytes(), Relaxed);
        let to_copy = plan.bytes_to_copy(manifest);
        counts.bytes_to_copy.store(to_copy, Relaxed);
        *self.missing.lock() = sizes;
    }

    /// Learns how many files there are, and the sizes of how many are known.
    pub(crate) fn measuring(&self, files: u64, known: u64) {
        self.counts.files_total.store(files, Relaxed);
        self.counts.files_done.store(known, Relaxed);
        self.emit(&ProgressEvent::Phase(self.transferred()));
    }

    /// Learns the size of one more file.
    pub(crate) fn measured(&self) {
        self.counts.files_done.fetch_add(1, Relaxed);
        self.advanced();
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.counts.phase.store(phase as u8, Relaxed);
        self.estimate.lock().begin(Instant::now());
        self.counts.remaining.store(0, Relaxed);
        self.emit(&ProgressEvent::Phase(self.transferred()));
    }

    /// Counts bytes that came over the network, of a part that is not complete yet.
    pub(crate) fn received(&self, bytes: u64) {
        self.counts.bytes_network.fetch_add(bytes, Relaxed);
        self.counts.bytes_in_flight.fetch_add(bytes, Relaxed);
        self.advanced();
    }

    /// Counts bytes that an unfinished pull kept of a part that is not complete yet.
    pub(crate) fn kept(&self, bytes: u64) {
        self.counts.bytes_in_flight.fetch_add(bytes, Relaxed);
    }

    /// Counts bytes that were read on this machine, of a part that is not complete yet.
    pub(crate) fn copied(&self, bytes: u64) {
        let counts = &self.counts;
        counts.bytes_copied.fetch_add(bytes, Relaxed);
        counts.bytes_in_flight.fetch_add(bytes, Relaxed);
        subtract(&counts.bytes_to_copy, bytes);
        self.advanced();
    }

    /// Learns that bytes which were counted as copied, and some that were not, come over the network instead.
    pub(crate) fn uncopied(&self, copied: u64, not_copied: u64) {
        let counts = &self.counts;
        counts.bytes_copied.fetch_sub(copied, Relaxed);
        counts.bytes_in_flight.fetch_sub(copied, Relaxed);
        subtract(&counts.bytes_to_copy, not_copied);
    }

    /// Returns how many bytes came over the network.
    pub(crate) fn network_bytes(&self) -> u64 {
        self.counts.bytes_network.load(Relaxed)
    }

    /// Counts bytes in flight that were written or thrown away.
    pub(crate) fn landed(&self, bytes: u64) {
        self.counts.bytes_in_flight.fetch_sub(bytes, Relaxed);
    }

    /// Learns that bytes which are [`done`](Self::done) next took no work, since an unfinished pull left them.
    pub(crate) fn found(&self, bytes: u64) {
        self.counts.bytes_found.fetch_add(bytes, Relaxed);
    }

    /// Counts a range that is complete.
    pub(crate) fn done(&self, manifest: &Manifest, range: Range<u64>, parts: u64) {
        let counts = &self.counts;
        counts
            .bytes_done
            .fetch_add(range.end - range.start, Relaxed);
        counts.parts_done.fetch_add(parts, Relaxed);
        let mut missing = self.missing.lock();
        for segment in manifest.segments(range) {
            if let Some(left) = missing.get_mut(segment.file) {
                *left = left.saturating_sub(segment.size_bytes);
                counts.files_done.fetch_add(u64::from(*left == 0), Relaxed);
            }
        }
        drop(missing);
        self.advanced();
    }

    /// Takes a range back that turned out to be wrong.
    pub(crate) fn undo(&self, manifest: &Manifest, range: Range<u64>, parts: u64) {
        let counts = &self.counts;
        counts
            .bytes_done
            .fetch_sub(range.end - range.start, Relaxed);
        counts.parts_done.fetch_sub(parts, Relaxed);
        let mut missing = self.missing.lock();
        for segment in manifest.segments(range) {
            if let Some(left) = missing.get_mut(segment.file) {
                counts.files_done.fetch_sub(u64::from(*left == 0), Relaxed);
                *left += segment.size_bytes;
            }
        }
    }

    pub(crate) fn working_on(&self, file: &str) {
        if let Some(mut current) = self.current_file.try_lock()
            && current.as_deref() != Some(file)
        {
            *current = Some(file.to_owned());
        }
    }

    pub(crate) fn pending(&self) {
        self.emit(&ProgressEvent::Pending);
    }

    pub(crate) fn waiting(&self, holder: Option<String>) {
        self.emit(&ProgressEvent::Waiting { holder });
    }

    pub(crate) fn finished(&self) {
        self.emit(&ProgressEvent::Finished(self.transferred()));
    }

    pub(crate) fn failed(&self) {
        self.emit(&ProgressEvent::Failed);
    }

    fn advanced(&self) {
        self.emit(&ProgressEvent::Advanced(self.transferred()));
    }

    fn emit(&self, event: &ProgressEvent) {
        // Events belong to a model, so there are none before it is known.
        if let Some(model) = self.model() {
            self.progress.on_event(model, event);
        }
    }

    fn transferred(&self) -> TransferState {
        let counts = &self.counts;
        let phase = usize::from(counts.phase.load(Relaxed));
        TransferState {
            phase: PHASES[phase.min(PHASES.len() - 1)],
            files_total: counts.files_total.load(Relaxed),
            files_done: counts.files_done.load(Relaxed),
            parts_total: counts.parts_total.load(Relaxed),
            parts_done: counts.parts_done.load(Relaxed),
            total_bytes: counts.total_bytes.load(Relaxed),
            bytes_done: counts.bytes_done.load(Relaxed),
            bytes_network: counts.bytes_network.load(Relaxed),
            bytes_in_flight: counts.bytes_in_flight.load(Relaxed),
            current_file: self
                .current_file
                .try_lock()
                .and_then(|current| current.clone()),
            remaining: self.remaining(),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a share, for people to look at")]
    pub(crate) fn download(&self) -> Download {
        let transferred = self.transferred();
        let total = transferred.total_bytes;
        let done = transferred.bytes_done + transferred.bytes_in_flight;
        let progress = match (transferred.phase, total) {
            (Phase::Manifest, _) => 0.0,
            (_, 0) => 1.0,
            (_, total) => (done as f64 / total as f64).min(1.0),
        };
        Download {
            address: self.address.clone(),
            model: self.model().cloned(),
            progress,
            remaining: transferred.remaining,
            transferred,
        }
    }

    /// Returns how much longer the phase takes.
    fn remaining(&self) -> Option<Duration> {
        let counts = &self.counts;
        // Another thread is telling it.
        if let Some(mut estimate) = self.estimate.try_lock() {
            let remaining = estimate.at(&self.position(), Instant::now());
            let millis = remaining.map_or(0, |remaining| millis(remaining).saturating_add(1));
            counts.remaining.store(millis, Relaxed);
        }
        let known = counts.remaining.load(Relaxed).checked_sub(1);
        known.map(Duration::from_millis)
    }

    fn position(&self) -> Position {
        let load = |count: &AtomicU64| count.load(Relaxed);
        let counts = &self.counts;
        let here = load(&counts.bytes_done) + load(&counts.bytes_in_flight);
        let copied = load(&counts.bytes_copied);
        let missing = load(&counts.total_bytes).saturating_sub(here);
        let to_copy = load(&counts.bytes_to_copy).min(missing);
        Position {
            fetched: here.saturating_sub(load(&counts.bytes_found) + copied),
            copied,
            to_fetch: missing - to_copy,
            to_copy,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Subtracts as much as there is.
fn subtract(count: &AtomicU64, bytes: u64) {
    let _ = count.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(bytes)));
}
