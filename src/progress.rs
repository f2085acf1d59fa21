//! What a pull reports while it runs, and how to cancel it.
//!
//! | name | what it is |
//! |---|---|
//! | [`Progress`] | receives the events of pulls; an app implements it |
//! | [`ProgressEvent`], [`Phase`], [`TransferState`] | what is reported |
//! | [`Silent`] | ignores all events |
//! | [`Download`] | a pull that is running, as [`Manager::downloads`](crate::Manager::downloads) returns it |
//! | [`CancelToken`] | cancels an operation from another thread |
//!
//! A handler is passed to [`ModelManagerBuilder::progress`](crate::ModelManagerBuilder::progress) for all pulls, or to the
//! options of an operation for one.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use modelrack::progress::Phase;
//! use modelrack::{Manager, ModelRef, Progress, ProgressEvent, PullOptions};
//!
//! /// Keeps what was reported last.
//! #[derive(Debug, Default)]
//! struct Bar(Mutex<(u64, u64)>);
//!
//! impl Progress for Bar {
//!     fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
//!         match event {
//!             ProgressEvent::Advanced(now) | ProgressEvent::Finished(now) => {
//!                 *self.0.lock().unwrap() = (now.bytes_done, now.total_bytes);
//!             }
//!             ProgressEvent::Pending => eprintln!("{model}: waiting for other pulls"),
//!             ProgressEvent::Waiting { holder } => eprintln!("{model}: {holder:?} is pulling it"),
//!             ProgressEvent::Phase(now) => {
//!                 eprintln!("{model}: {}, {} files in {} parts", now.phase.as_str(), now.files_total, now.parts_total);
//!             }
//!             ProgressEvent::Retrying { attempt, wait, reason } => {
//!                 eprintln!("{model}: {reason}; attempt {attempt} follows in {} s", wait.as_secs());
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//!
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//! let bar = Arc::new(Bar::default());
//! let options = PullOptions::default().progress(bar.clone());
//! let report = manager.pull(&"digits/logistic v1".parse()?, &options)?;
//! assert_eq!(*bar.0.lock().unwrap(), (report.total_bytes, report.total_bytes));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Order of events
//!
//! ```text
//! Pending?  Waiting*  Phase(manifest) Advanced*  Phase(chunks) Advanced*  Phase(extracting)  Finished
//!                                     Retrying*                Retrying*
//! ```
//!
//! [`Pending`](ProgressEvent::Pending) comes if [`Config::max_pulls`](crate::Config::max_pulls) other pulls are running,
//! and [`Waiting`](ProgressEvent::Waiting) if another thread or process is pulling the same model. A pull that fails or is
//! cancelled ends without [`Finished`](ProgressEvent::Finished); the call returns its error. Several threads may report
//! events of one pull at once, which can then arrive slightly out of order: use the largest `bytes_done`.
//!
//! Bytes arrive in the first phase in two cases only:
//!
//! - A registry does not state the sizes of files. Then `Phase(manifest)` comes again, with the number of files;
//!   `files_done` counts the files whose size is known, and `total_bytes` is zero.
//! - A zip is fetched as a whole, since its server does not support ranges. Then `bytes_in_flight` and `total_bytes` are
//!   those of the zip in every pull that waits for it, and `bytes_network` counts it in the pull that fetches it. Both are
//!   zero again once the zip is there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{ErrorKind, Result};
use crate::model::{ModelAddress, ModelRef};
use crate::mutex::{Condvar, Mutex};

/// Receives the events of pulls. It is called on the threads that transfer, several at once, and must not block.
///
/// The [module documentation](self) has an example and the order of events.
pub trait Progress: Send + Sync + fmt::Debug {
    /// Receives an event. The [module documentation](self) has an example and the order of events.
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent);
}

/// Ignores all events; the default of a manager.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::PullOptions;
/// use modelrack::progress::Silent;
///
/// // A pull without the progress bar that the manager draws for others:
/// let options = PullOptions::default().progress(Arc::new(Silent));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}
}

/// A phase of a pull.
///
/// ```
/// use modelrack::progress::Phase;
///
/// fn describe(phase: Phase) -> &'static str {
///     match phase {
///         Phase::Manifest => "looking up",
///         Phase::Chunks => "downloading",
///         Phase::Extracting => "installing",
///         _ => phase.as_str(),
///     }
/// }
///
/// assert_eq!(describe(Phase::Chunks), "downloading");
/// assert_eq!(Phase::Extracting.as_str(), "extracting");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The index and the manifest are fetched, and the disk is searched for bytes to reuse. Files of unknown size are
    /// measured.
    #[default]
    Manifest,
    /// Bytes are fetched and verified.
    Chunks,
    /// The complete model is moved to its place in the store.
    Extracting,
}

impl Phase {
    /// Returns the name that messages use; [`Phase`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Chunks => "chunks",
            Self::Extracting => "extracting",
        }
    }
}

/// One event of a pull. The [module documentation](self) has an example and the order of events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// The pull waits, since as many others are running as the configuration allows.
    Pending,
    /// The pull waits for another thread or process that is pulling the same model.
    Waiting {
        /// Which one, if it is known.
        holder: Option<String>,
    },
    /// A phase starts.
    Phase(TransferState),
    /// Bytes arrived; reported at least once for each part.
    Advanced(TransferState),
    /// A request failed and will be retried.
    Retrying {
        /// The number of the next attempt; 2 is the first retry.
        attempt: u32,
        /// The wait before it.
        wait: Duration,
        /// Why the last attempt failed.
        reason: String,
    },
    /// The model is verified and installed.
    Finished(TransferState),
}

/// The state of a pull; all zero until the manifest is known.
///
/// ```
/// use modelrack::progress::{Phase, TransferState};
///
/// /// A line such as "3/8 files, 2/5 parts, 40 % (config.json)".
/// fn line(now: &TransferState) -> String {
///     let bytes = now.bytes_done + now.bytes_in_flight;
///     let percent = 100 * bytes / now.total_bytes.max(1);
///     let file = now.current_file.as_deref().unwrap_or("…");
///     format!(
///         "{}/{} files, {}/{} parts, {percent} % ({file})",
///         now.files_done, now.files_total, now.parts_done, now.parts_total,
///     )
/// }
///
/// let mut now = TransferState::new(Phase::Chunks);
/// (now.files_total, now.parts_total, now.total_bytes) = (8, 5, 1000);
/// (now.files_done, now.parts_done, now.bytes_done, now.bytes_in_flight) = (3, 2, 350, 50);
/// now.current_file = Some("config.json".into());
/// assert_eq!(line(&now), "3/8 files, 2/5 parts, 40 % (config.json)");
/// assert_eq!((now.phase, now.bytes_network), (Phase::Chunks, 0), "all came from other models");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferState {
    /// The phase.
    pub phase: Phase,
    /// The number of files of the model.
    pub files_total: u64,
    /// The number of files that are complete and verified; in the first phase, of files whose size is known.
    pub files_done: u64,
    /// The number of parts of the model.
    pub parts_total: u64,
    /// The number of parts that are complete and verified.
    pub parts_done: u64,
    /// The size of the model, in bytes.
    pub total_bytes: u64,
    /// Bytes of the model that are verified, wherever they came from.
    pub bytes_done: u64,
    /// Bytes received over the network, verified or not.
    pub bytes_network: u64,
    /// Bytes received of parts that are incomplete.
    pub bytes_in_flight: u64,
    /// A file that is being written.
    pub current_file: Option<String>,
}

impl TransferState {
    /// Creates the state of a pull that has not started; [`TransferState`] has an example.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            ..Self::default()
        }
    }
}

/// A pull of this process that has not ended, as [`Manager::downloads`](crate::Manager::downloads) returns it.
///
/// ```
/// use modelrack::{Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// std::thread::scope(|scope| {
///     let pull = scope.spawn(|| manager.pull_model("digits/logistic v1"));
///     for download in manager.downloads() {
///         println!("{} ({:?}): {:.0} %", download.address, download.model, 100.0 * download.progress);
///         println!("  {} bytes, {:?} left", download.transferred.bytes_done, download.remaining);
///     }
///     pull.join().expect("the pull does not panic")
/// })?;
/// assert!(manager.downloads().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Download {
    /// The model as it was requested.
    pub address: ModelAddress,
    /// The model that the address means; `None` while it is being resolved.
    pub model: Option<ModelRef>,
    /// The part of its bytes that is verified, from 0.0 to 1.0; 1.0 for a model without bytes.
    pub progress: f64,
    /// How many files, parts and bytes that is.
    pub transferred: TransferState,
    /// The time left at the average speed so far; `None` until bytes have arrived.
    pub remaining: Option<Duration>,
}

impl Download {
    /// Creates the entry of a pull that has not started, for implementations of [`Manager`](crate::Manager).
    ///
    /// ```
    /// use modelrack::progress::Download;
    ///
    /// let download = Download::new("whisper/tiny fp16".parse()?);
    /// assert_eq!((download.progress, download.model), (0.0, None));
    /// # Ok::<(), modelrack::Error>(())
    /// ```
    #[must_use]
    pub fn new(address: ModelAddress) -> Self {
        Self {
            address,
            model: None,
            progress: 0.0,
            transferred: TransferState::new(Phase::Manifest),
            remaining: None,
        }
    }
}

/// Cancels an operation from another thread. Clones share their state.
///
/// ```
/// use modelrack::{CancelToken, Manager, PullOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let cancel = CancelToken::new();
/// let options = PullOptions::default().cancel(cancel.clone());
/// // In a handler of Ctrl-C, or when a window closes:
/// cancel.cancel();
///
/// let error = manager.pull(&"digits/logistic v1".parse()?, &options).unwrap_err();
/// assert!(error.is_cancelled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A transport or a loop of an app's own waits on the token, or registers a callback:
///
/// ```
/// use std::time::Duration;
///
/// use modelrack::CancelToken;
///
/// let token = CancelToken::new();
/// assert!(!token.wait(Duration::from_millis(1)), "the time is over, and nobody cancelled");
/// token.on_cancel(|| println!("closing the connection"));
///
/// let child = token.child();
/// token.cancel();
/// assert!(child.is_cancelled() && child.wait(Duration::from_secs(60)));
/// assert!(child.check().is_err());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Default)]
pub(crate) struct CancelState {
    cancelled: AtomicBool,
    callbacks: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    woken: Condvar,
    /// Tokens that are cancelled with this one.
    children: Mutex<Vec<std::sync::Weak<CancelState>>>,
}

impl CancelToken {
    /// Creates a token that is not cancelled; [`CancelToken`] has an example.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels this token, its clones and its children, for good. Operations that use it stop within a second.
    /// [`CancelToken`] has an example.
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

    /// Returns whether the token is cancelled; [`CancelToken`] has an example.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Returns [`ErrorKind::Cancelled`] if the token is cancelled, for use between the steps of longer
    /// work. [`CancelToken`] has an example.
    pub fn check(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(ErrorKind::Cancelled.into()),
            false => Ok(()),
        }
    }

    /// Waits until the token is cancelled, for at most `time`, and returns whether it is cancelled. [`CancelToken`] has an
    /// example.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut guard = self.0.callbacks.lock();
        while !self.is_cancelled() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            guard = self.0.woken.wait_timeout(guard, left);
        }
        true
    }

    /// Runs a callback when the token is cancelled, or at once if it already is. A transport uses this to abort reads.
    /// [`CancelToken`] has an example.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        let mut callbacks = self.0.callbacks.lock();
        if self.is_cancelled() {
            drop(callbacks);
            callback();
        } else {
            callbacks.push(Box::new(callback));
        }
    }

    /// Creates a token that is cancelled with this one, and can be cancelled without it. [`CancelToken`] has an example.
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
