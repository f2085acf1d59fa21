//! The pulls of this process that have not ended: how far they are, and how to stop them.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::engine::lookup::reading::Reading;
use crate::error::{ErrorKind, Result};
use crate::http::call::{Arrivals, Call};
use crate::manifest::Manifest;
use crate::model::{ModelName, ModelRef};
use crate::mutex::{Condvar, Mutex};
use crate::progress::{CancelToken, Download, Phase, Progress, ProgressEvent, Transferred};

/// What a pull turned out to be of, as far as its offer says.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) model: ModelRef,
    /// The key of the source.
    pub(crate) source: String,
    pub(crate) model_type: Option<String>,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) files: Option<u64>,
}

/// The pulls under way.
#[derive(Debug, Default)]
pub(crate) struct Downloads(Mutex<Vec<Arc<Meter>>>);

impl Downloads {
    /// Enters a pull of what is still to be looked up; it is listed until the guard is dropped.
    pub(crate) fn enter(&self, reading: Reading, call: &Call) -> Entered<'_> {
        let meter = Arc::new(Meter::new(reading, call));
        self.0.lock().push(meter.clone());
        Entered {
            downloads: self,
            meter,
        }
    }

    pub(crate) fn list(&self) -> Vec<Download> {
        self.0.lock().iter().map(|meter| meter.download()).collect()
    }

    /// The models whose turn has not come.
    pub(crate) fn pending(&self) -> Vec<Settled> {
        let all = self.0.lock();
        let waiting = all.iter().filter(|meter| !meter.is_begun.load(Relaxed));
        waiting
            .filter_map(|meter| meter.settled.get().cloned())
            .collect()
    }

    /// Cancels the pulls of what has one of these names, and those that may turn out to; returns how many there were.
    pub(crate) fn cancel(&self, reading: &Reading) -> usize {
        let meters: Vec<Arc<Meter>> = {
            let all = self.0.lock();
            all.iter()
                .filter(|meter| meter.may_be(reading))
                .cloned()
                .collect()
        };
        for meter in &meters {
            meter.cancel.cancel();
        }
        meters.len()
    }
}

/// How many pulls may be under way at once.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: Option<usize>,
    used: Mutex<usize>,
    freed: Condvar,
}

/// The right to pull; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    /// How often a wait looks whether it is still wanted.
    const GLANCE: Duration = Duration::from_millis(50);

    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            used: Mutex::default(),
            freed: Condvar::default(),
        }
    }

    /// Waits until fewer pulls are under way than may be.
    ///
    /// `waiting` is called once if it has to wait.
    pub(crate) fn take(&self, cancel: &CancelToken, waiting: impl FnOnce()) -> Result<Slot<'_>> {
        let is_full = |used: usize| self.limit.is_some_and(|limit| used >= limit);
        // Told without the lock: whoever learns of it may ask for a slot, too.
        if is_full(*self.used.lock()) {
            waiting();
        }
        let mut used = self.used.lock();
        while is_full(*used) {
            if cancel.is_cancelled() {
                return Err(ErrorKind::Cancelled.into());
            }
            used = self.freed.wait_timeout(used, Self::GLANCE);
        }
        *used += 1;
        Ok(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.used.lock() -= 1;
        self.0.freed.notify_one();
    }
}

/// A listed pull.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    downloads: &'a Downloads,
    pub(crate) meter: Arc<Meter>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut all = self.downloads.0.lock();
        all.retain(|meter| !Arc::ptr_eq(meter, &self.meter));
    }
}

/// Counts what one pull has done, from many threads, and passes it on.
#[derive(Debug)]
pub(crate) struct Meter {
    reading: Reading,
    /// Which one it is, once that is looked up.
    settled: OnceLock<Settled>,
    cancel: CancelToken,
    progress: Arc<dyn Progress>,
    started: Instant,
    /// Whether its turn has come.
    is_begun: AtomicBool,
    phase: AtomicU8,
    files_total: AtomicU64,
    files_done: AtomicU64,
    parts_total: AtomicU64,
    parts_done: AtomicU64,
    total_bytes: AtomicU64,
    bytes_done: AtomicU64,
    bytes_network: AtomicU64,
    bytes_in_flight: AtomicU64,
    /// Bytes that each file still waits for.
    waiting: Mutex<Vec<u64>>,
    current_file: Mutex<Option<String>>,
}

const PHASES: [Phase; 3] = [Phase::Manifest, Phase::Chunks, Phase::Extracting];

impl Arrivals for Meter {
    fn archive(&self, here: u64, total: u64) {
        let before = (
            self.bytes_in_flight.swap(here, Relaxed),
            self.total_bytes.swap(total, Relaxed),
        );
        if before != (here, total) {
            self.emit(&ProgressEvent::Advanced(self.transferred()));
        }
    }

    fn archive_came(&self, bytes: u64) {
        self.bytes_network.fetch_add(bytes, Relaxed);
    }
}

impl Meter {
    fn new(reading: Reading, call: &Call) -> Self {
        Self {
            reading,
            settled: OnceLock::new(),
            cancel: call.cancel.clone(),
            progress: call.progress.clone(),
            started: Instant::now(),
            is_begun: AtomicBool::new(false),
            phase: AtomicU8::new(0),
            files_total: AtomicU64::new(0),
            files_done: AtomicU64::new(0),
            parts_total: AtomicU64::new(0),
            parts_done: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
            bytes_network: AtomicU64::new(0),
            bytes_in_flight: AtomicU64::new(0),
            waiting: Mutex::default(),
            current_file: Mutex::default(),
        }
    }

    /// It is looked up which model it is.
    pub(crate) fn settle(&self, settled: Settled) {
        self.settled.get_or_init(|| settled);
    }

    fn model(&self) -> Option<&ModelRef> {
        self.settled.get().map(|settled| &settled.model)
    }

    /// Whether it is of one of these names, or may be as far as is known.
    fn may_be(&self, other: &Reading) -> bool {
        let is_one = |name: &ModelName, version: Option<&str>| {
            other.names().iter().any(|(wanted, wanted_version)| {
                let versions = version.zip(wanted_version.as_deref());
                wanted == name && versions.is_none_or(|(version, wanted)| version == wanted)
            })
        };
        match self.model() {
            Some(model) => is_one(model.name(), Some(model.version())),
            None => {
                let mut expected = self.reading.expected();
                expected.any(|(name, version)| is_one(&name, version))
            }
        }
    }

    /// Its turn has come.
    pub(crate) fn begin(&self) {
        self.is_begun.store(true, Relaxed);
    }

    /// Learns what is to be done.
    pub(crate) fn expect(&self, manifest: &Manifest) {
        let sizes: Vec<u64> = manifest
            .files()
            .iter()
            .map(|file| file.size_bytes.unwrap_or(0))
            .collect();
        self.files_total.store(sizes.len() as u64, Relaxed);
        self.files_done.store(
            sizes.iter().filter(|size| **size == 0).count() as u64,
            Relaxed,
        );
        self.parts_total
            .store(manifest.parts().len() as u64, Relaxed);
        self.total_bytes.store(manifest.known_bytes(), Relaxed);
        *self.waiting.lock() = sizes;
    }

    /// Learns how many files there are before their sizes are known, and of how many they are.
    pub(crate) fn measuring(&self, files: u64, known: u64) {
        self.files_total.store(files, Relaxed);
        self.files_done.store(known, Relaxed);
        self.emit(&ProgressEvent::Phase(self.transferred()));
    }

    /// The size of one more file is known.
    pub(crate) fn measured(&self) {
        self.files_done.fetch_add(1, Relaxed);
        self.emit(&ProgressEvent::Advanced(self.transferred()));
    }

    pub(crate) fn phase(&self, phase: Phase) {
        let index = PHASES
            .iter()
            .position(|other| *other == phase)
            .unwrap_or_default();
        self.phase
            .store(u8::try_from(index).unwrap_or_default(), Relaxed);
        self.emit(&ProgressEvent::Phase(self.transferred()));
    }

    /// Bytes came over the network, of a part that is not complete yet.
    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_network.fetch_add(bytes, Relaxed);
        self.bytes_in_flight.fetch_add(bytes, Relaxed);
        self.emit(&ProgressEvent::Advanced(self.transferred()));
    }

    /// Bytes in flight landed or were thrown away.
    pub(crate) fn landed(&self, bytes: u64) {
        self.bytes_in_flight.fetch_sub(bytes, Relaxed);
    }

    /// A stretch of the model is there for good.
    pub(crate) fn done(&self, manifest: &Manifest, range: std::ops::Range<u64>, parts: u64) {
        self.bytes_done.fetch_add(range.end - range.start, Relaxed);
        self.parts_done.fetch_add(parts, Relaxed);
        {
            let mut waiting = self.waiting.lock();
            for segment in manifest.segments(range) {
                if let Some(left) = waiting.get_mut(segment.file) {
                    *left = left.saturating_sub(segment.size_bytes);
                    if *left == 0 {
                        self.files_done.fetch_add(1, Relaxed);
                    }
                }
            }
        }
        self.emit(&ProgressEvent::Advanced(self.transferred()));
    }

    /// Takes a stretch back that turned out to be wrong.
    pub(crate) fn undo(&self, manifest: &Manifest, range: std::ops::Range<u64>, parts: u64) {
        self.bytes_done.fetch_sub(range.end - range.start, Relaxed);
        self.parts_done.fetch_sub(parts, Relaxed);
        let mut waiting = self.waiting.lock();
        for segment in manifest.segments(range) {
            if let Some(left) = waiting.get_mut(segment.file) {
                if *left == 0 {
                    self.files_done.fetch_sub(1, Relaxed);
                }
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

    pub(crate) fn retrying(&self, attempt: u32, wait: Duration, reason: String) {
        self.emit(&ProgressEvent::Retrying {
            attempt,
            wait,
            reason,
        });
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

    fn emit(&self, event: &ProgressEvent) {
        // Events are of a model: there are none before it is known which.
        if let Some(model) = self.model() {
            self.progress.on_event(model, event);
        }
    }

    pub(crate) fn transferred(&self) -> Transferred {
        Transferred {
            phase: PHASES[usize::from(self.phase.load(Relaxed)).min(PHASES.len() - 1)],
            files_total: self.files_total.load(Relaxed),
            files_done: self.files_done.load(Relaxed),
            parts_total: self.parts_total.load(Relaxed),
            parts_done: self.parts_done.load(Relaxed),
            total_bytes: self.total_bytes.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            bytes_network: self.bytes_network.load(Relaxed),
            bytes_in_flight: self.bytes_in_flight.load(Relaxed),
            current_file: self
                .current_file
                .try_lock()
                .and_then(|current| current.clone()),
        }
    }

    fn download(&self) -> Download {
        let transferred = self.transferred();
        let (total, done) = (
            transferred.total_bytes,
            transferred.bytes_done + transferred.bytes_in_flight,
        );
        let known = transferred.phase != Phase::Manifest;
        #[allow(clippy::cast_precision_loss, reason = "a share for people to look at")]
        let progress = match (known, total) {
            (false, _) => 0.0,
            (true, 0) => 1.0,
            (true, total) => (done as f64 / total as f64).min(1.0),
        };
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let remaining = (transferred.bytes_network > 0).then(|| {
            let speed =
                transferred.bytes_network as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            Duration::from_secs_f64((total.saturating_sub(done) as f64 / speed).min(1e9))
        });
        Download {
            address: self.reading.address.clone(),
            model: self.model().cloned(),
            progress,
            transferred,
            remaining,
        }
    }
}
