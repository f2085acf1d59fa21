//! What operations report while they run, and how to cancel them.
//!
//! | name | what it is |
//! |---|---|
//! | [`Progress`] | receives what is reported; an app implements it |
//! | [`ProgressEvent`], [`Phase`], [`TransferState`] | what a pull reports |
//! | [`Step`], [`Task`], [`Retry`] | what other operations report |
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
//!             ProgressEvent::Retrying { attempt, attempts, wait, reason } => {
//!                 eprintln!("{model}: {reason}; attempt {attempt} of {attempts} follows in {} s", wait.as_secs());
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
//! Pending?  Waiting*  Phase(manifest) Advanced*  Phase(chunks) Advanced*  Phase(unpacking)?  Phase(extracting)  Finished
//!                                     Retrying*                Retrying*
//! ```
//!
//! [`Pending`](ProgressEvent::Pending) comes if [`Config::max_pulls`](crate::Config::max_pulls) other pulls are running,
//! and [`Waiting`](ProgressEvent::Waiting) if another thread or process is pulling the same model. A pull that fails or is
//! cancelled ends with [`Failed`](ProgressEvent::Failed) instead of [`Finished`](ProgressEvent::Finished); one that finds the
//! model installed reports nothing, or `Finished` after it has waited. Several threads may report events of one pull at once,
//! which can then arrive slightly out of order: use the largest `bytes_done`.
//!
//! Bytes arrive in the first phase in two cases only:
//!
//! - A registry does not state the sizes of files. Then `Phase(manifest)` comes again, with the number of files;
//!   `files_done` counts the files whose size is known, and `total_bytes` is zero.
//! - A zip is fetched as a whole, since its server does not support ranges. Then `bytes_in_flight` and `total_bytes` are
//!   those of the zip in every pull that waits for it, and `bytes_network` counts it in the pull that fetches it. Both are
//!   zero again once the zip is there.

mod cancel;
mod step;
pub(crate) mod tally;

use std::fmt;
use std::time::Duration;

use crate::model::{ModelAddress, ModelRef};

pub(crate) use cancel::CancelState;
pub use cancel::CancelToken;
pub use step::{Retry, Step, Task};

/// Receives what operations report. It is called on the threads that do the work, several at once, and must not block.
///
/// The [module documentation](self) has an example and the order of events.
pub trait Progress: Send + Sync + fmt::Debug {
    /// Receives an event of a pull. The [module documentation](self) has an example and the order of events.
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent);

    /// Receives how far an operation is that works on several things; [`Step`] has an example. Default: ignores it.
    fn on_step(&self, _step: &Step<'_>) {}
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
///         Phase::Unpacking => "unpacking",
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
    /// What came packed, as tars of an OCI registry, is unpacked; only of models that have such files.
    Unpacking,
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
            Self::Unpacking => "unpacking",
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
        /// How many attempts there are at most.
        attempts: u32,
        /// The wait before it.
        wait: Duration,
        /// Why the last attempt failed.
        reason: String,
    },
    /// The model is verified and installed.
    Finished(TransferState),
    /// The pull failed or was cancelled; the call returns its error.
    Failed,
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
    /// Bytes of parts that are incomplete, wherever they came from.
    pub bytes_in_flight: u64,
    /// A file that is being written.
    pub current_file: Option<String>,
    /// How much longer the phase takes, as fast as the bytes came so far: those from the network, and those from this machine.
    /// `None` if that cannot be told yet.
    pub remaining: Option<Duration>,
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
    /// The time left, as [`TransferState::remaining`] says.
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
