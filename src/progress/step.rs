//! What operations report that are not pulls.

use std::time::Duration;

use crate::catalog::sync::SyncReport;

/// What an operation does that works on several things one after another, or at once.
///
/// ```
/// use modelrack::progress::Task;
///
/// fn describe(task: Task) -> &'static str {
///     match task {
///         Task::Syncing | Task::LookingUp => "asking the sources",
///         Task::Checking => "looking for updates",
///         Task::Verifying => "hashing",
///         Task::Copying => "copying",
///         Task::Downloading | Task::Reading => "getting the archive",
///         Task::Hashing | Task::Chunking | Task::Uploading => "publishing",
///         _ => task.as_str(),
///     }
/// }
///
/// assert_eq!(describe(Task::Verifying), "hashing");
/// assert_eq!(Task::Copying.as_str(), "copying");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Task {
    /// [`Manager::sync`](crate::Manager::sync) fetches the registries of sources.
    Syncing,
    /// [`Manager::pull`](crate::Manager::pull) and [`plan_pull`](crate::Manager::plan_pull) ask what a name means. There is a
    /// step only if a request is repeated.
    LookingUp,
    /// [`Manager::update`](crate::Manager::update) and [`check_update`](crate::Manager::check_update) compare installed
    /// models with their sources.
    Checking,
    /// [`Manager::verify`](crate::Manager::verify) hashes the files of installed models.
    Verifying,
    /// [`Manager::copy`](crate::Manager::copy) copies the files of a model.
    Copying,
    /// `Project::make` downloads an archive.
    Downloading,
    /// `Project::make` reads which files an archive or a folder has, and what they say.
    Reading,
    /// A publisher's files are hashed, or those of a model that [`Manager::install`](crate::Manager::install) takes.
    Hashing,
    /// `Project::publish` cuts a model into chunks, and writes those that are new.
    Chunking,
    /// [`Manager::mirror`](crate::Manager::mirror) copies the chunks of a model.
    Mirroring,
    /// `Project::publish` sends the files of a model to an OCI registry.
    Uploading,
}

impl Task {
    /// Returns the name that messages use; [`Task`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syncing => "syncing",
            Self::LookingUp => "looking up",
            Self::Checking => "checking",
            Self::Verifying => "verifying",
            Self::Copying => "copying",
            Self::Downloading => "downloading",
            Self::Reading => "reading",
            Self::Hashing => "hashing",
            Self::Chunking => "chunking",
            Self::Mirroring => "mirroring",
            Self::Uploading => "uploading",
        }
    }
}

/// How far an operation is.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use modelrack::progress::{Retry, Step, Task};
/// use modelrack::{Manager, ManagerExt, ModelRef, Progress, ProgressEvent, VerifyOptions};
///
/// /// Keeps lines such as "verifying digits/logistic v1: 0 of 1, 20 of 500 bytes".
/// #[derive(Debug, Default)]
/// struct Log(Mutex<Vec<String>>);
///
/// impl Progress for Log {
///     fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}
///
///     fn on_step(&self, step: &Step<'_>) {
///         let Step { done, total, bytes_done, total_bytes, .. } = step;
///         if let Some(Retry { attempt, attempts, wait, reason, .. }) = step.retrying {
///             eprintln!("{reason}; attempt {attempt} of {attempts} follows in {} s", wait.as_secs());
///         }
///         let what = format!("{} {}", step.task.as_str(), step.subject.unwrap_or_default());
///         self.0.lock().unwrap().push(format!("{what}: {done} of {total}, {bytes_done} of {total_bytes} bytes"));
///     }
/// }
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let log = Arc::new(Log::default());
/// manager.verify(&VerifyOptions::default().progress(log.clone()))?;
/// assert!(log.0.lock().unwrap()[0].starts_with("verifying digits/logistic v1: 0 of 1, 0 of "));
/// assert_eq!(Step::new(Task::Syncing, 3).done, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// What the operation does.
    pub task: Task,
    /// What it works on, or has just completed: a model, an archive or a folder; in a sync, a registry that is not done.
    pub subject: Option<&'a str>,
    /// The number of things that are done: models, registries, files, or, when a model is published, chunks.
    pub done: u64,
    /// The number of all things; zero while it is not known.
    pub total: u64,
    /// The bytes that are done, in a sync those of the subject; zero if the operation does not count bytes.
    pub bytes_done: u64,
    /// All bytes, in a sync those of the subject; zero if the operation does not count bytes, or their number is not known
    /// before.
    pub total_bytes: u64,
    /// What a sync did with the registry that is done now: a report with this one. `None` in all other steps.
    pub synced: Option<&'a SyncReport>,
    /// What a sync or a look-up waits for, if a request of the subject failed: until the next step of that, or of another.
    pub retrying: Option<Retry<'a>>,
}

/// A request that failed and will be repeated; [`Step`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry<'a> {
    /// The number of the next attempt; 2 is the first retry.
    pub attempt: u32,
    /// How many attempts there are at most.
    pub attempts: u32,
    /// The wait before it.
    pub wait: Duration,
    /// Why the last attempt failed.
    pub reason: &'a str,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(attempt: u32, attempts: u32, wait: Duration, reason: &'a str) -> Self {
        Self {
            attempt,
            attempts,
            wait,
            reason,
        }
    }
}

impl<'a> Step<'a> {
    /// Creates the first step of an operation on a number of things; [`Step`] has an example.
    #[must_use]
    pub fn new(task: Task, total: u64) -> Self {
        Self {
            task,
            subject: None,
            done: 0,
            total,
            bytes_done: 0,
            total_bytes: 0,
            synced: None,
            retrying: None,
        }
    }

    /// The same step, of a subject, when a number of things is done.
    pub(crate) fn at(self, subject: &'a str, done: u64) -> Self {
        Self {
            subject: Some(subject),
            done,
            ..self
        }
    }
}
