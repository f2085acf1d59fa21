//! The pulls of this process that have not ended: how far they are, and how to stop them.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::lookup::reading::Reading;
use crate::engine::transfer::tally::{DownloadTarget, Tally};
use crate::error::Result;
use crate::http::call::Call;
use crate::model::ModelName;
use crate::mutex::{Condvar, Mutex};
use crate::progress::{CancelToken, Download};

/// The running pulls, each with what it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Downloads(Mutex<Vec<(Arc<Tally>, Reading)>>);

impl Downloads {
    /// Adds a pull; it is listed until the guard is dropped.
    pub(crate) fn add(&self, reading: Reading, call: &Call) -> DownloadGuard<'_> {
        let tally = Arc::new(Tally::new(reading.address.clone(), call));
        self.0.lock().push((tally.clone(), reading));
        DownloadGuard {
            downloads: self,
            tally,
        }
    }

    pub(crate) fn list(&self) -> Vec<Download> {
        let all = self.0.lock();
        all.iter().map(|(tally, _)| tally.download()).collect()
    }

    /// Returns the models whose turn has not come yet.
    pub(crate) fn pending(&self) -> Vec<DownloadTarget> {
        let all = self.0.lock();
        all.iter()
            .filter_map(|(tally, _)| tally.pending_target())
            .collect()
    }

    /// Cancels the pulls of models that have one of these names, and those that may turn out to; returns how many there
    /// were.
    pub(crate) fn cancel(&self, wanted: &Reading) -> usize {
        let is_wanted = |name: &ModelName, version: Option<&str>| {
            wanted.names().iter().any(|(wanted, wanted_version)| {
                let versions = version.zip(wanted_version.as_deref());
                wanted == name && versions.is_none_or(|(version, wanted)| version == wanted)
            })
        };
        let all = self.0.lock();
        let found = all.iter().filter(|(tally, reading)| match tally.model() {
            Some(model) => is_wanted(model.name(), Some(model.version())),
            None => reading
                .expected()
                .any(|(name, version)| is_wanted(&name, version)),
        });
        let tokens: Vec<CancelToken> = found.map(|(tally, _)| tally.cancel.clone()).collect();
        drop(all);
        // Without the lock: what runs on a cancellation may look at the list.
        tokens.iter().for_each(CancelToken::cancel);
        tokens.len()
    }
}

/// Keeps a pull in the list.
#[derive(Debug)]
pub(crate) struct DownloadGuard<'a> {
    downloads: &'a Downloads,
    pub(crate) tally: Arc<Tally>,
}

impl Drop for DownloadGuard<'_> {
    fn drop(&mut self) {
        let mut all = self.downloads.0.lock();
        all.retain(|(tally, _)| !Arc::ptr_eq(tally, &self.tally));
    }
}

/// How many pulls may run at once.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: Option<usize>,
    used: Mutex<usize>,
    freed: Condvar,
}

/// The right to pull, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    /// How often a wait checks whether it was cancelled.
    const GLANCE: Duration = Duration::from_millis(50);

    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            used: Mutex::default(),
            freed: Condvar::default(),
        }
    }

    /// Waits until fewer pulls are running than may. `waiting` is called once if there is anything to wait for.
    pub(crate) fn take(&self, cancel: &CancelToken, waiting: impl FnOnce()) -> Result<Slot<'_>> {
        let is_full = |used: usize| self.limit.is_some_and(|limit| used >= limit);
        // Called without the lock: it may take a slot itself.
        if is_full(*self.used.lock()) {
            waiting();
        }
        let mut used = self.used.lock();
        while is_full(*used) {
            cancel.check()?;
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
