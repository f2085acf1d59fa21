//! What a pull tells while it runs, and how it is told to stop.
//!
//! Events of one pull come in this order:
//!
//! ```text
//! Pending?  Waiting*  Phase(manifest) Advanced*  Phase(chunks) Advanced*  Phase(extracting)  Finished
//!                                     Retrying*                Retrying*
//! ```
//!
//! Bytes come in the first phase only where a registry leaves the sizes of files out: then `Phase(manifest)` comes a
//! second time with the number of files, `files_done` counts those whose size is known, and `total_bytes` is zero. And where
//! a zip has to come whole, as its server knows no ranges: then `bytes_in_flight` and `total_bytes` are those of the zip in
//! every pull that waits for it, and `bytes_network` counts it in the one that fetches it; both are zero again once it is
//! there.
//!
//! `Pending` comes when as many other models are being pulled as may be at once, `Waiting` when another thread or process
//! pulls the same model. A pull that fails or is cancelled ends without
//! `Finished`; its error is what the call returns. Events of one pull may come from several threads at once, and so
//! overtake each other by a little: take the largest `bytes_done`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::model::{ModelAddress, ModelRef};
use crate::mutex::{Condvar, Mutex};

/// Receives the events of pulls. It must be thread-safe and must not block: it runs on the threads that transfer.
pub trait Progress: Send + Sync + fmt::Debug {
    /// Takes one event.
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent);
}

/// Takes no notice of any event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}
}

/// A step of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The index and the manifest are fetched, and what is on disk already is looked through; files come that must, to
    /// learn their sizes.
    Manifest,
    /// Bytes are fetched and checked.
    Chunks,
    /// What is complete moves to its place in the store.
    Extracting,
}

impl Phase {
    /// Returns the name that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Chunks => "chunks",
            Self::Extracting => "extracting",
        }
    }
}

/// One event of a pull.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// As many models are being pulled as may be at once; this one waits for its turn.
    Pending,
    /// Another thread or process pulls this model; this one waits for it.
    Waiting {
        /// Who, as far as is known.
        holder: Option<String>,
    },
    /// A phase begins.
    Phase(Transferred),
    /// Bytes came in; comes at least once a part.
    Advanced(Transferred),
    /// A request failed and is tried again.
    Retrying {
        /// Which try comes next; 2 is the first retry.
        attempt: u32,
        /// How long is waited before it.
        wait: Duration,
        /// Why the last one failed.
        reason: String,
    },
    /// Everything is verified and in its place.
    Finished(Transferred),
}

/// How far a pull is. All zero before the manifest is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// The phase.
    pub phase: Phase,
    /// Files of the model.
    pub files_total: u64,
    /// Files whose bytes are all there and verified; in the first phase, files whose size is known.
    pub files_done: u64,
    /// Parts of the model.
    pub parts_total: u64,
    /// Parts that are there and verified.
    pub parts_done: u64,
    /// Bytes of the model.
    pub total_bytes: u64,
    /// Bytes there and verified, wherever they came from.
    pub bytes_done: u64,
    /// Bytes that came over the network, verified or not.
    pub bytes_network: u64,
    /// Bytes received of parts that are not complete yet.
    pub bytes_in_flight: u64,
    /// A file that is being written.
    pub current_file: Option<String>,
}

impl Transferred {
    /// Makes the state of a pull that has not begun.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            files_total: 0,
            files_done: 0,
            parts_total: 0,
            parts_done: 0,
            total_bytes: 0,
            bytes_done: 0,
            bytes_network: 0,
            bytes_in_flight: 0,
            current_file: None,
        }
    }
}

/// A pull of this process that has not ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Download {
    /// What was asked for.
    pub address: ModelAddress,
    /// Which model that is; `None` while it is looked up.
    pub model: Option<ModelRef>,
    /// From 0.0 to 1.0; 1.0 also for an empty model.
    pub progress: f64,
    /// How far it is.
    pub transferred: Transferred,
    /// Seconds until the end at the speed since the start; `None` while nothing has come.
    pub remaining: Option<Duration>,
}

impl Download {
    /// Makes a pull that has not begun.
    #[must_use]
    pub fn new(address: ModelAddress) -> Self {
        Self {
            address,
            model: None,
            progress: 0.0,
            transferred: Transferred::new(Phase::Manifest),
            remaining: None,
        }
    }
}

/// Stops an operation from another thread. Clones share their state.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Default)]
pub(crate) struct CancelState {
    cancelled: AtomicBool,
    callbacks: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    woken: Condvar,
    /// Tokens that are cancelled along with this one.
    children: Mutex<Vec<std::sync::Weak<CancelState>>>,
}

impl CancelToken {
    /// Makes a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels; once, and for all clones. Transfers that use the token stop within a second.
    pub fn cancel(&self) {
        Self::cancel_state(&self.0);
    }

    fn cancel_state(state: &CancelState) {
        let callbacks = {
            let mut callbacks = state.callbacks.lock();
            state.cancelled.store(true, Ordering::SeqCst);
            std::mem::take(&mut *callbacks)
        };
        state.woken.notify_all();
        for callback in callbacks {
            callback();
        }
        let children = std::mem::take(&mut *state.children.lock());
        for child in children.iter().filter_map(std::sync::Weak::upgrade) {
            Self::cancel_state(&child);
        }
    }

    /// Returns whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Waits for the time given or until it is cancelled, whichever comes first; returns whether it was cancelled.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut guard = self.0.callbacks.lock();
        while !self.is_cancelled() {
            let Some(left) = end
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            else {
                return false;
            };
            guard = self.0.woken.wait_timeout(guard, left);
        }
        true
    }

    /// Runs a callback when it is cancelled: at once when it already was. A transport uses this to break off reads.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        let mut callbacks = self.0.callbacks.lock();
        if self.is_cancelled() {
            drop(callbacks);
            callback();
        } else {
            callbacks.push(Box::new(callback));
        }
    }

    /// Makes a token that is cancelled when this one is, and can be cancelled alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut children = self.0.children.lock();
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child.0));
        drop(children);
        if self.is_cancelled() {
            child.cancel();
        }
        child
    }

    /// Returns a handle that tells whether any clone of this token is still in use.
    pub(crate) fn downgrade(&self) -> std::sync::Weak<CancelState> {
        Arc::downgrade(&self.0)
    }

    /// Returns whether the handle belongs to this token.
    pub(crate) fn is(&self, state: &std::sync::Weak<CancelState>) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0), state.as_ptr())
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_wakes_and_calls_back_once() {
        let token = CancelToken::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        token.on_cancel(move || sender.send(()).unwrap());
        let child = token.child();
        let waiter = std::thread::spawn({
            let child = child.clone();
            move || child.wait(Duration::from_secs(60))
        });
        token.cancel();
        token.cancel();
        assert!(waiter.join().unwrap());
        assert!(child.is_cancelled());
        receiver.recv().unwrap();
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn a_cancelled_child_leaves_its_parent() {
        let token = CancelToken::new();
        token.child().cancel();
        assert!(!token.is_cancelled());
        assert!(!token.wait(Duration::ZERO));
    }
}
