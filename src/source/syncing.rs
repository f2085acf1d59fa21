//! How far a sync is: what is said while registries arrive, and when each is done.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::sync::SyncReport;
use crate::error::Error;
use crate::http::arrivals::Arrivals;
use crate::http::call::Call;
use crate::mutex::Mutex;
use crate::progress::{Progress, Retry, Step, Task};

/// The registries of one sync, of all its sources.
#[derive(Debug)]
pub(crate) struct Syncing {
    progress: Arc<dyn Progress>,
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: u64,
    /// What people call those that are being synced.
    running: Vec<String>,
}

impl Syncing {
    pub(crate) fn begin(progress: Arc<dyn Progress>, total: u64) -> Arc<Self> {
        progress.on_step(&Step::new(Task::Syncing, total));
        Arc::new(Self {
            progress,
            total,
            state: Mutex::default(),
        })
    }

    /// Syncs a registry, and tells when it is done and, until then, how much of its document is here.
    pub(crate) fn follow(
        self: &Arc<Self>,
        call: &Call,
        name: &str,
        sync: impl FnOnce(&Call) -> SyncReport,
    ) -> SyncReport {
        self.state.lock().running.push(name.to_owned());
        let arriving = Arriving {
            syncing: self.clone(),
            name: name.to_owned(),
            attempts: call.client.attempts(),
        };
        let report = sync(&Call {
            arrivals: Some(Arc::new(arriving)),
            ..call.clone()
        });
        // Held while it is told, so that the count does not go back.
        let mut state = self.state.lock();
        state.done += 1;
        if let Some(at) = state.running.iter().position(|it| it == name) {
            state.running.remove(at);
        }
        self.progress.on_step(&Step {
            subject: state.running.first().map(String::as_str),
            synced: Some(&report),
            ..self.step(&state)
        });
        drop(state);
        report
    }

    fn step(&self, state: &State) -> Step<'static> {
        Step {
            done: state.done,
            ..Step::new(Task::Syncing, self.total)
        }
    }
}

/// The document of a registry until it is here.
#[derive(Debug)]
struct Arriving {
    syncing: Arc<Syncing>,
    name: String,
    attempts: u32,
}

impl Arrivals for Arriving {
    fn document(&self, here: u64, total: u64) {
        let state = self.syncing.state.lock();
        self.syncing.progress.on_step(&Step {
            subject: Some(&self.name),
            bytes_done: here,
            total_bytes: total,
            ..self.syncing.step(&state)
        });
    }

    fn archive(&self, _: u64, _: u64) {}

    fn archive_came(&self, _: u64) {}

    fn retrying(&self, attempt: u32, wait: Duration, error: &Error) {
        let (state, reason) = (self.syncing.state.lock(), error.to_string());
        self.syncing.progress.on_step(&Step {
            subject: Some(&self.name),
            retrying: Some(Retry::new(attempt, self.attempts, wait, &reason)),
            ..self.syncing.step(&state)
        });
    }
}
