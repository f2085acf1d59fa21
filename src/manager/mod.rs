//! The [`Manager`] trait, and [`ModelManager`], which implements it.

mod ext;
mod model_manager;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::catalog::registry::{Example, RemoteListing, SourceInfo};
use crate::catalog::sync::SyncReport;
use crate::catalog::{RemoteDetail, RemoteModel};
use crate::engine::clear::{ClearOptions, ClearPlan};
use crate::engine::discover::DiscoverOptions;
use crate::engine::local::copy::{CopyOptions, CopyReport};
use crate::engine::local::install::{InstallOptions, InstallReport};
use crate::engine::local::list::{InstalledDetail, InstalledModel, ListOptions, Listing};
use crate::engine::local::prune::{PruneOptions, PrunePlan, PruneReport};
use crate::engine::local::remove::RemoveReport;
use crate::engine::local::update::{UpdateOptions, UpdateReport};
use crate::engine::local::usage::{UsageOptions, UsageReport};
use crate::engine::local::verify::{VerifyOptions, VerifyReport};
use crate::engine::lock::LockOptions;
use crate::engine::lock::pull::LockedOptions;
use crate::engine::lock::report::LockReport;
use crate::engine::lookup::list::RemoteOptions;
use crate::engine::lookup::matching::MatchingReport;
use crate::engine::lookup::search::{SearchOptions, SearchReport};
use crate::engine::mirror::{MirrorOptions, MirrorReport, RegistryReport, VerifyRegistryOptions};
use crate::engine::pull::plan::PullPlan;
use crate::engine::pull::{PullOptions, PullReport};
use crate::engine::sync::SyncOptions;
use crate::error::{ErrorKind, Result};
use crate::model::{ModelAddress, ModelName, ModelPattern};
use crate::progress::{CancelToken, Download};
use crate::publish::PublishTarget;
use crate::source::discovered::DiscoveredRegistry;
use crate::source::location::RegistryLocation;
use crate::store::record::Annotation;

pub use ext::ManagerExt;
pub use model_manager::{ModelManager, ModelManagerBuilder};

/// Everything that can be done with models.
///
/// The trait is object-safe and thread-safe: an app holds an `Arc<dyn Manager>`, and any number of threads call its methods
/// at once. Readers wait for nobody. Pulls of the same model wait for each other, in other processes, too, and then find it
/// installed; pulls of different models are independent; removing a model waits for a pull of it.
///
/// Every method can fail with [`ErrorKind::Config`] if the configuration is invalid, and with [`ErrorKind::Storage`],
/// [`ErrorKind::Permission`], [`ErrorKind::InsufficientSpace`] or [`ErrorKind::Locked`] if the store cannot be read or
/// written.
///
/// The examples below use a manager with one source, `digits`, which offers `digits/logistic` in the versions `v1` and `v2`.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::{ListOptions, Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let manager: Arc<dyn Manager> = Arc::new(manager);
/// manager.pull_model("digits/logistic v1")?;
/// let installed = manager.list(&ListOptions::default())?.models;
/// assert_eq!(installed[0].model.to_string(), "digits/logistic v1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Managers of your own
///
/// Every method has a default, so that a fake for tests implements only what the program under test calls, and so that the trait
/// can grow. [`Manager::pull`], [`Manager::pull_matching`] and [`Manager::pull_locked`] plan and execute, [`Manager::downloads`] and [`Manager::cancel`]
/// find nothing, and the others fail with [`ErrorKind::Unsupported`]. A manager that wraps another forwards all of them.
///
/// ```
/// use modelrack::{ErrorKind, Manager, ManagerExt, ModelAddress};
///
/// #[derive(Debug)]
/// struct Fake;
///
/// impl Manager for Fake {
///     fn path(&self, _: &ModelAddress) -> modelrack::Result<std::path::PathBuf> {
///         Ok("tests/data/tiny".into())
///     }
/// }
///
/// assert_eq!(Fake.ensure("whisper/tiny")?, std::path::Path::new("tests/data/tiny"));
/// let error = Fake.pull_model("whisper/tiny").unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::Unsupported { method: "plan_pull" }));
/// # Ok::<(), modelrack::Error>(())
/// ```
///
/// What they return is made with the constructors of the [reports](crate::installed#reports-of-your-own).
#[allow(
    unused_variables,
    reason = "the documentation shows the names of arguments that a default does not need"
)]
pub trait Manager: Send + Sync + Debug {
    /// Lists what is installed, and unfinished pulls.
    ///
    /// ```
    /// use modelrack::installed::Status;
    /// use modelrack::{ListOptions, Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// for model in manager.list(&ListOptions::default())?.models {
    ///     assert_eq!(model.status, Status::Available);
    ///     println!("{} {} bytes in {}", model.model, model.total_bytes, model.path.display());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn list(&self, options: &ListOptions) -> Result<Listing> {
        unsupported("list")
    }

    /// Lists what the sources offer, in the order of names.
    ///
    /// For repositories, that is what was synced; no request is made. A registry that cannot be read is listed in
    /// [`RemoteListing::failures`]; if none can be read, the first error is returned.
    ///
    /// ```
    /// use modelrack::{Manager, RemoteOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let listing = manager.list_remote(&RemoteOptions::default().source("digits"))?;
    /// let versions: Vec<&str> = listing.models.iter().map(|offer| offer.model.version()).collect();
    /// assert_eq!(versions, ["latest", "v1", "v2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Network`], [`ErrorKind::RateLimited`] and [`ErrorKind::Authentication`] if a request fails;
    /// [`ErrorKind::Offline`] and [`ErrorKind::NotSynced`] if a registry is not cached; [`ErrorKind::Registry`] if it is
    /// malformed.
    fn list_remote(&self, options: &RemoteOptions) -> Result<RemoteListing> {
        unsupported("list_remote")
    }

    /// Lists the examples that the synced registries of repositories define: models that belong together.
    ///
    /// ```
    /// use modelrack::{Manager, RemoteOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// for example in manager.examples(&RemoteOptions::default())? {
    ///     println!("{}: {} models", example.name, example.models.len());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if a cached registry is damaged.
    fn examples(&self, options: &RemoteOptions) -> Result<Vec<Example>> {
        unsupported("examples")
    }

    /// Returns an installed model with its files.
    ///
    /// ```
    /// use modelrack::{Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// let detail = manager.get(&"digits/logistic".parse()?)?;
    /// assert_eq!(detail.installed.model.version(), "v1");
    /// assert!(detail.files().iter().any(|file| file.path.as_str() == "model.safetensors"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`]; [`ErrorKind::InvalidRef`] if several versions are installed and none is given;
    /// [`ErrorKind::HashMismatch`] if its manifest is damaged; [`ErrorKind::Damaged`] if it was installed shortly before the
    /// system stopped and, as [verifying it](crate::installed#after-a-power-cut) shows, lost bytes.
    fn get(&self, model: &ModelAddress) -> Result<InstalledDetail> {
        unsupported("get")
    }

    /// Returns what a source offers under a name, from its index alone.
    ///
    /// ```
    /// use modelrack::{Manager, RemoteOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let offer = manager.get_remote(&"digits/logistic latest".parse()?, &RemoteOptions::default())?;
    /// assert_eq!(offer.alias_of.as_deref(), Some("v2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`] and [`ErrorKind::VersionNotFound`]; [`ErrorKind::InvalidRef`] if there are several
    /// versions and none is given; those of [`Manager::list_remote`].
    fn get_remote(&self, model: &ModelAddress, options: &RemoteOptions) -> Result<RemoteModel> {
        unsupported("get_remote")
    }

    /// Returns what a source offers under a name, with its files. It fetches the manifest, but no file.
    ///
    /// ```
    /// use modelrack::{Manager, RemoteOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let detail = manager.remote_detail(&"digits/logistic v1".parse()?, &RemoteOptions::default())?;
    /// for file in &detail.files {
    ///     println!("{} {:?} bytes", file.path, file.size_bytes);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::get_remote`], and [`ErrorKind::HashMismatch`] for the manifest.
    fn remote_detail(&self, model: &ModelAddress, options: &RemoteOptions) -> Result<RemoteDetail> {
        unsupported("remote_detail")
    }

    /// Returns the plan of a pull, and changes nothing in the store.
    ///
    /// ```
    /// use modelrack::{Manager, PullOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let plan = manager.plan_pull(&"digits/logistic v1".parse()?, &PullOptions::default())?;
    /// println!("{} of {} bytes to fetch", plan.bytes_to_fetch, plan.total_bytes);
    ///
    /// let report = manager.execute(&plan)?;
    /// assert_eq!(report.bytes_fetched, plan.bytes_to_fetch);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::remote_detail`].
    fn plan_pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullPlan> {
        unsupported("plan_pull")
    }

    /// Executes a plan as it stands, with the options that it was made with; nothing is resolved again.
    ///
    /// [`Manager::plan_pull`] has an example.
    ///
    /// # Errors
    /// Those of [`Manager::pull`]; [`ErrorKind::InvalidArgument`] for a plan that another implementation made.
    fn execute(&self, plan: &PullPlan) -> Result<PullReport> {
        unsupported("execute")
    }

    /// Pulls a model, unless it is installed in exactly the state that its source offers. The same as
    /// [`Manager::plan_pull`] and [`Manager::execute`].
    ///
    /// ```
    /// use modelrack::pull::PullOutcome;
    /// use modelrack::{Manager, PullOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let report = manager.pull(&"digits/logistic v1".parse()?, &PullOptions::default())?;
    /// assert_eq!(report.outcome, PullOutcome::Installed);
    /// assert!(report.path.join("model.safetensors").is_file());
    ///
    /// let again = manager.pull(&"digits/logistic v1".parse()?, &PullOptions::default())?;
    /// assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::remote_detail`]; [`ErrorKind::HashMismatch`] and [`ErrorKind::SizeMismatch`] if bytes are still
    /// wrong after all retries; [`ErrorKind::InsufficientSpace`]; [`ErrorKind::Cancelled`]. In any case, what was installed
    /// stays, and what was fetched is kept for the next attempt.
    fn pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullReport> {
        self.execute(&self.plan_pull(model, options)?)
    }

    /// Returns the plans of the pulls of all models that match a pattern, in the order of names.
    ///
    /// ```
    /// use modelrack::{Manager, ModelPattern, PullOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let pattern: ModelPattern = "digits/* v1".parse()?;
    /// let plans = manager.plan_matching(&pattern, &PullOptions::default())?;
    /// let bytes: u64 = plans.iter().map(|plan| plan.bytes_to_fetch).sum();
    /// println!("{} models, {bytes} bytes", plans.len());
    ///
    /// let report = manager.execute_all(&plans)?;
    /// assert_eq!((report.pulled.len(), report.failed.len()), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::list_remote`]; [`ErrorKind::ModelNotFound`] if no model matches.
    fn plan_matching(&self, names: &ModelPattern, options: &PullOptions) -> Result<Vec<PullPlan>> {
        unsupported("plan_matching")
    }

    /// Executes plans as they stand, several at once, with the options of the first. A pull that fails is listed in the report,
    /// which [`into_result`](MatchingReport::into_result) makes an error.
    /// Models of one commit come from its archive if that takes less than file by file.
    ///
    /// [`Manager::plan_matching`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::InvalidArgument`] for a plan that another implementation made.
    fn execute_all(&self, plans: &[PullPlan]) -> Result<MatchingReport> {
        unsupported("execute_all")
    }

    /// Pulls all models that match a pattern. The same as [`Manager::plan_matching`] and [`Manager::execute_all`].
    ///
    /// ```
    /// use modelrack::{Manager, PullOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let report = manager.pull_matching(&"digits/* v2".parse()?, &PullOptions::default())?;
    /// assert_eq!(report.pulled[0].model.to_string(), "digits/logistic v2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::plan_matching`] and [`Manager::execute_all`].
    fn pull_matching(&self, names: &ModelPattern, options: &PullOptions) -> Result<MatchingReport> {
        self.execute_all(&self.plan_matching(names, options)?)
    }

    /// Changes the recorded type, tags and metadata of an installed model, and returns the model with them. The change
    /// outlasts updates and further pulls, whatever the source states; it ends when the model is removed.
    ///
    /// ```
    /// use modelrack::installed::Annotation;
    /// use modelrack::{Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// let annotation = Annotation::default().tags(["reviewed"]);
    /// let model = manager.annotate(&"digits/logistic v1".parse()?, &annotation)?;
    /// assert_eq!(model.tags, ["reviewed"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::get`].
    fn annotate(&self, model: &ModelAddress, annotation: &Annotation) -> Result<InstalledModel> {
        unsupported("annotate")
    }

    /// Installs a model from files that were made by hand or by another program. They are hashed, and from then on the model
    /// is like any other, except that no source has it: an update passes it over, and a pull replaces it only with
    /// [`PullOptions::force`].
    ///
    /// ```
    /// use modelrack::Manager;
    /// use modelrack::installed::InstallOptions;
    ///
    /// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// # let weights = folder.path().join("tiny.gguf");
    /// std::fs::write(&weights, "GGUF")?;
    /// let report = manager.install(&"mine/tiny v1".parse()?, &InstallOptions::default().from(&weights))?;
    /// assert_eq!(std::fs::read(report.installed.path.join("tiny.gguf"))?, b"GGUF");
    ///
    /// // What is there is never replaced.
    /// let again = manager.install(&"mine/tiny v1".parse()?, &InstallOptions::default().from(&weights));
    /// assert_eq!(again.unwrap_err().code(), "STORAGE_ERROR");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] if there is such a model, or something else in its place; [`ErrorKind::FolderMissing`] if its
    /// files are to be in its place already, and are not; [`ErrorKind::InvalidRef`] without a version;
    /// [`ErrorKind::InvalidArgument`] if there is no file, or one that no model can have; [`ErrorKind::Collision`];
    /// [`ErrorKind::HashMismatch`] if a file changes meanwhile.
    fn install(&self, model: &ModelAddress, options: &InstallOptions) -> Result<InstallReport> {
        unsupported("install")
    }

    /// Removes one version of a model, or what an unfinished pull has left of it.
    ///
    /// ```
    /// use modelrack::{CancelToken, Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let pulled = manager.pull_model("digits/logistic v1")?;
    /// let report = manager.remove(&"digits/logistic v1".parse()?, &CancelToken::new())?;
    /// assert_eq!((report.removed, report.bytes_freed), (vec![pulled.model], pulled.total_bytes));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`]; [`ErrorKind::InvalidRef`] if several versions are there and none is given.
    fn remove(&self, model: &ModelAddress, cancel: &CancelToken) -> Result<RemoveReport> {
        unsupported("remove")
    }

    /// Removes all versions of a model, and continues after a failure.
    ///
    /// ```
    /// use modelrack::{CancelToken, Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// manager.pull_model("digits/logistic v2")?;
    /// let report = manager.remove_all(&"digits/logistic".parse()?, &CancelToken::new())?;
    /// assert_eq!(report.removed.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`]; [`ErrorKind::Several`] with the failures.
    fn remove_all(&self, name: &ModelName, cancel: &CancelToken) -> Result<RemoveReport> {
        unsupported("remove_all")
    }

    /// Returns the folder of an installed model. If the system was restarted before the model was known to be on the disk, its
    /// files are [verified](crate::installed#after-a-power-cut) first, once.
    ///
    /// ```
    /// use modelrack::{Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// let folder = manager.path(&"digits/logistic v1".parse()?)?;
    /// assert!(folder.ends_with("digits/logistic/v1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::get`], and [`ErrorKind::FolderMissing`].
    fn path(&self, model: &ModelAddress) -> Result<PathBuf> {
        unsupported("path")
    }

    /// Compares installed models with what their sources offer. It fetches the manifests of changed models, but no files.
    ///
    /// ```
    /// use modelrack::installed::Freshness;
    /// use modelrack::{Manager, ManagerExt, UpdateOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// for entry in manager.check_update(&UpdateOptions::default())?.entries {
    ///     match entry.freshness {
    ///         Freshness::UpToDate => println!("{} is up to date", entry.model),
    ///         Freshness::Changed(change) => println!("{}: {} bytes to fetch", entry.model, change.plan.bytes_to_fetch),
    ///         Freshness::Gone(error) | Freshness::Unknown(error) => println!("{}: {error}", entry.model),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a single model, those of [`Manager::remote_detail`], also if its source no longer offers it, and
    /// [`ErrorKind::NotInstalled`] if it is neither installed nor offered. For several models, these errors are in the report.
    fn check_update(&self, options: &UpdateOptions) -> Result<UpdateReport> {
        unsupported("check_update")
    }

    /// Compares installed models with what their sources offer, and pulls those that changed.
    ///
    /// ```
    /// use modelrack::{Manager, ManagerExt, UpdateOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic latest")?;
    /// let options = UpdateOptions::default().model("digits/logistic latest".parse()?);
    /// let report = manager.update(&options)?;
    /// assert!(report.entries[0].applied.is_none(), "nothing has changed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::check_update`] and [`Manager::pull`].
    fn update(&self, options: &UpdateOptions) -> Result<UpdateReport> {
        unsupported("update")
    }

    /// Writes an exact set of models into a file: what their sources offer, with a digest for every file. What the file has
    /// already stays as it is where it still holds.
    ///
    /// The models are those of [`LockOptions::models`], else those in the file, else all that are installed. One that cannot be
    /// looked up keeps what is locked of it, and is in the report; if a model that is named is in no lock yet, its error is
    /// returned. [`LockReport`] has an example.
    ///
    /// # Errors
    /// Those of [`Manager::remote_detail`] for a model that is named; [`ErrorKind::UnusableLock`] if the file is no lock;
    /// [`ErrorKind::InvalidArgument`] for an update of a model that is not in it.
    fn lock(&self, options: &LockOptions) -> Result<LockReport> {
        unsupported("lock")
    }

    /// Compares a lock with what the sources offer, and changes nothing. [`LockReport`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::UnusableLock`] if there is no lock, or none that can be read; [`ErrorKind::InvalidArgument`] if a model that
    /// is named is not in it.
    fn check_lock(&self, options: &LockOptions) -> Result<LockReport> {
        unsupported("check_lock")
    }

    /// Returns the plans of pulling exactly what a lock says, in the order of names. [`LockedOptions`] has an example.
    ///
    /// # Errors
    /// Those of [`Manager::check_lock`]; [`ErrorKind::LockStale`] if a source offers something else; [`ErrorKind::HashMismatch`]
    /// if a digest in the lock is not that of the state that it names; those of [`Manager::plan_pull`].
    fn plan_locked(&self, options: &LockedOptions) -> Result<Vec<PullPlan>> {
        unsupported("plan_locked")
    }

    /// Pulls exactly what a lock says. The same as [`Manager::plan_locked`] and [`Manager::execute_all`]; [`LockReport`] has an
    /// example. A pull that fails is listed in the report, which [`into_result`](MatchingReport::into_result) makes an error.
    ///
    /// # Errors
    /// Those of [`Manager::plan_locked`] and [`Manager::execute_all`].
    fn pull_locked(&self, options: &LockedOptions) -> Result<MatchingReport> {
        self.execute_all(&self.plan_locked(options)?)
    }

    /// Copies versions of any source into one registry, which others pull from as from any other, and fetches nothing that is there.
    /// [`MirrorReport`] has an example, and the [`mirror`](crate::mirror) module says what stays the same.
    ///
    /// What fails of one model is in the report, which [`into_result`](MirrorReport::into_result) makes an error, and the others
    /// are mirrored. A target that takes nothing more, because its disk is
    /// full or its bucket gone, is in the report as well, at the model that it did not take; the next ones are not tried.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if nothing is named; [`ErrorKind::LockStale`]; those of a target that cannot be opened.
    fn mirror(&self, to: &PublishTarget, options: &MirrorOptions) -> Result<MirrorReport> {
        unsupported("mirror")
    }

    /// Says what [`Manager::mirror`] would fetch and write, and writes nothing. [`MirrorReport`] has an example.
    ///
    /// # Errors
    /// Those of [`Manager::mirror`].
    fn check_mirror(&self, to: &PublishTarget, options: &MirrorOptions) -> Result<MirrorReport> {
        unsupported("check_mirror")
    }

    /// Reads all that the index of a registry names, such as a mirror, and compares it with its digests. Damage is not an error;
    /// it is in the report, and [`RegistryReport`] has an example.
    ///
    /// # Errors
    /// Those of [`Manager::list_remote`]; [`ErrorKind::InvalidArgument`] for a source whose files no digest names.
    fn verify_registry(
        &self,
        registry: &RegistryLocation,
        options: &VerifyRegistryOptions,
    ) -> Result<RegistryReport> {
        unsupported("verify_registry")
    }

    /// Hashes installed models, compares them with their manifests, and repairs them on request. Damage is not an error;
    /// it is in the report.
    ///
    /// ```
    /// use modelrack::installed::Damage;
    /// use modelrack::{Manager, ManagerExt, VerifyOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let folder = manager.ensure("digits/logistic v1")?;
    /// std::fs::remove_file(folder.join("labels.json"))?;
    /// let report = manager.verify(&VerifyOptions::default())?;
    /// let damaged = &report.models[0].damaged[0];
    /// assert_eq!((damaged.path.as_str(), damaged.damage), ("labels.json", Damage::Missing));
    ///
    /// manager.verify(&VerifyOptions::default().repair(true))?;
    /// assert!(folder.join("labels.json").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`]; those of [`Manager::pull`] if a repair fails.
    fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        unsupported("verify")
    }

    /// Copies the files of a model into a folder, with its folders, and pulls the model first if necessary.
    ///
    /// ```
    /// use modelrack::{CopyOptions, Manager};
    ///
    /// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// # let workspace = folder.path().join("workspace");
    /// let report = manager.copy(&"digits/logistic v1".parse()?, &workspace, &CopyOptions::default())?;
    /// println!("{} files written, {} already there", report.copied, report.unchanged);
    /// assert!(workspace.join("model.safetensors").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::pull`]; [`ErrorKind::Exists`] if a file with different content is there, in which case nothing is
    /// copied.
    fn copy(&self, model: &ModelAddress, to: &Path, options: &CopyOptions) -> Result<CopyReport> {
        unsupported("copy")
    }

    /// Finds the models that have every word of a query in their name, description, type or tags, in either case.
    ///
    /// ```
    /// use modelrack::{Manager, SearchOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let report = manager.search("handwritten digits", &SearchOptions::default().remote(true))?;
    /// assert!(report.remote.iter().all(|offer| offer.model.model() == "logistic"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an empty query; those of [`Manager::list_remote`].
    fn search(&self, query: &str, options: &SearchOptions) -> Result<SearchReport> {
        unsupported("search")
    }

    /// Counts what models, unfinished pulls and cached registries take on the disk. Nothing is hashed, and no request is made.
    ///
    /// ```
    /// use modelrack::installed::UsageOptions;
    /// use modelrack::{Manager, ManagerExt};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.pull_model("digits/logistic v1")?;
    /// let report = manager.disk_usage(&UsageOptions::default())?;
    /// println!("{} models, {} bytes with all that belongs to them", report.models.len(), report.bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`] for a model that is named.
    fn disk_usage(&self, options: &UsageOptions) -> Result<UsageReport> {
        unsupported("disk_usage")
    }

    /// Returns what [`Manager::prune`] would remove: what unfinished pulls left, except those that are running.
    ///
    /// ```
    /// use modelrack::Manager;
    /// use modelrack::installed::PruneOptions;
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let plan = manager.plan_prune(&PruneOptions::default())?;
    /// println!("{} unfinished pulls, {} bytes", plan.partials.len(), plan.bytes);
    /// let report = manager.prune(&plan)?;
    /// assert!(report.in_use.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn plan_prune(&self, options: &PruneOptions) -> Result<PrunePlan> {
        unsupported("plan_prune")
    }

    /// Removes what a plan lists, except what has come into use since.
    ///
    /// [`Manager::plan_prune`] has an example.
    fn prune(&self, plan: &PrunePlan) -> Result<PruneReport> {
        unsupported("prune")
    }

    /// Returns the pulls of this process that have not ended, including those whose model is still being resolved.
    ///
    /// [`Download`] has an example.
    fn downloads(&self) -> Vec<Download> {
        Vec::new()
    }

    /// Cancels the pulls of a model, or of all its versions if none is given, and returns their number.
    ///
    /// They end with [`ErrorKind::Cancelled`] within a second, and resume when they are pulled again. A pull without a version
    /// is cancelled with any version of its model while it is being resolved.
    ///
    /// ```
    /// use modelrack::Manager;
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let cancelled = manager.cancel(&"digits/logistic".parse()?);
    /// assert_eq!(cancelled, 0, "nothing is being pulled");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn cancel(&self, model: &ModelAddress) -> usize {
        0
    }

    /// Returns the configured sources, and what is known of their registries on this machine. No request is made.
    ///
    /// ```
    /// use modelrack::Manager;
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let source = &manager.sources()?[0];
    /// assert_eq!((source.key.as_str(), source.kind.as_str()), ("digits", "chunked"));
    /// assert!(source.fetched_at.is_none(), "nothing has been fetched yet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn sources(&self) -> Result<Vec<SourceInfo>> {
        unsupported("sources")
    }

    /// Syncs registries, all at once. A registry that fails is listed in the report, and does not keep the others from
    /// syncing.
    ///
    /// ```
    /// use modelrack::{Manager, SyncOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let report = manager.sync(&SyncOptions::default())?;
    /// assert_eq!((report.synced[0].name.as_str(), report.synced[0].versions), ("digits", 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Offline`]; [`ErrorKind::InvalidArgument`] for a source that is not configured;
    /// [`ErrorKind::InvalidRef`] for an invalid ref.
    fn sync(&self, options: &SyncOptions) -> Result<SyncReport> {
        unsupported("sync")
    }

    /// Fetches the registry of a repository as it is served now, and keeps nothing of it. Lists and pulls go by what was
    /// [synced](Manager::sync); a registry that is cached is a file, whose [path](crate::remote::CachedRegistry::path)
    /// [`Manager::sources`] has.
    ///
    /// ```no_run
    /// use modelrack::Manager;
    /// use modelrack::remote::DiscoverOptions;
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let found = manager.discover(&DiscoverOptions::default().source("mf6/test").reference("develop"))?;
    /// println!("{} ({}) at {}", found.name, found.source, found.reference);
    /// println!("found at {}, {:?}, {}", found.url, found.commit, found.mode.as_str());
    /// println!("{} models, {} files", found.registry.models().len(), found.registry.files().len());
    /// found.registry.save("develop.toml".as_ref())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if the ref does not exist or has no registry; those of [`Manager::sync`];
    /// [`ErrorKind::InvalidArgument`] for a source that is not a repository.
    fn discover(&self, options: &DiscoverOptions) -> Result<DiscoveredRegistry> {
        unsupported("discover")
    }

    /// Returns the cached registries that [`Manager::clear`] would remove.
    ///
    /// ```
    /// use modelrack::{ClearOptions, Manager, SyncOptions};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// manager.sync(&SyncOptions::default())?;
    /// let plan = manager.plan_clear(&ClearOptions::default().source("digits"))?;
    /// assert_eq!(plan.registries[0].source, "digits");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a source that is not configured.
    fn plan_clear(&self, options: &ClearOptions) -> Result<ClearPlan> {
        unsupported("plan_clear")
    }

    /// Removes cached registries, and returns those that are gone. Installed models stay.
    ///
    /// ```
    /// use modelrack::{ClearOptions, Manager};
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let cleared = manager.clear(&ClearOptions::default())?;
    /// println!("{} registries, {} bytes", cleared.registries.len(), cleared.bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Manager::plan_clear`].
    fn clear(&self, options: &ClearOptions) -> Result<ClearPlan> {
        unsupported("clear")
    }
}

/// Answers for a method that an implementation of [`Manager`] leaves out.
fn unsupported<T>(method: &'static str) -> Result<T> {
    Err(ErrorKind::Unsupported { method }.into())
}
