//! The one interface to everything: the [`Manager`] trait and [`ModelManager`], which implements it.

mod model_manager;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::catalog::registry::{Example, RemoteListing, SourceInfo, SyncReport};
use crate::catalog::{RemoteDetail, RemoteModel};
use crate::engine::clear::{ClearOptions, ClearPlan};
use crate::engine::local::copy::{CopyOptions, CopyReport};
use crate::engine::local::list::{InstalledDetail, InstalledModel, ListOptions, Listing};
use crate::engine::local::prune::{PrunePlan, PruneReport};
use crate::engine::local::remove::RemoveReport;
use crate::engine::local::update::{UpdateOptions, UpdateReport};
use crate::engine::local::verify::{VerifyOptions, VerifyReport};
use crate::engine::lookup::list::RemoteOptions;
use crate::engine::lookup::matching::MatchingReport;
use crate::engine::lookup::search::{SearchOptions, SearchReport};
use crate::engine::pull::plan::PullPlan;
use crate::engine::pull::{PullOptions, PullReport};
use crate::engine::sync::SyncOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelAddress, ModelName, ModelPattern};
use crate::progress::{CancelToken, Download};
use crate::store::record::Annotation;

pub use model_manager::{ModelManager, ModelManagerBuilder};

/// Everything that can be done with models.
///
/// It is object-safe and thread-safe: any number of threads may call any of its methods at once. Readers never wait.
/// Pulls of the same model wait for each other, across processes too, and the later ones then find it installed; pulls
/// of different models are independent; removing a model waits for a pull of it.
///
/// Every method may fail with [`ErrorKind::Config`](crate::ErrorKind::Config) when the configuration is unusable, and with the
/// storage errors when the store cannot be read.
pub trait Manager: Send + Sync + Debug {
    /// Lists what is installed, and unfinished pulls.
    fn list(&self, options: &ListOptions) -> Result<Listing>;

    /// Lists what the sources offer, in the order of names. For repositories that is what was synced: it opens no socket
    /// for them. A registry that cannot be read stands in the listing; only when nothing can be read, its error returns.
    ///
    /// # Errors
    /// [`ErrorKind::Network`](crate::ErrorKind::Network) and its relatives; [`ErrorKind::Offline`](crate::ErrorKind::Offline) and
    /// [`ErrorKind::NotSynced`](crate::ErrorKind::NotSynced) when a registry is not cached;
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when it is malformed.
    fn list_remote(&self, options: &RemoteOptions) -> Result<RemoteListing>;

    /// Lists models that belong together, as the registries of repositories say it; from what was synced.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when a cached registry is damaged.
    fn examples(&self, options: &RemoteOptions) -> Result<Vec<Example>>;

    /// Returns one installed model with its files.
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`](crate::ErrorKind::NotInstalled); [`ErrorKind::InvalidRef`](crate::ErrorKind::InvalidRef) when several
    /// versions are installed and none is named; [`ErrorKind::HashMismatch`](crate::ErrorKind::HashMismatch) when its manifest
    /// is damaged.
    fn get(&self, model: &ModelAddress) -> Result<InstalledDetail>;

    /// Returns what a source offers under a name, from its index alone.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`](crate::ErrorKind::ModelNotFound), [`ErrorKind::VersionNotFound`](crate::ErrorKind::VersionNotFound),
    /// [`ErrorKind::InvalidRef`](crate::ErrorKind::InvalidRef) when there are several versions and none is named, and those of
    /// [`Manager::list_remote`].
    fn get_remote(&self, model: &ModelAddress, options: &RemoteOptions) -> Result<RemoteModel>;

    /// Returns what a source offers under a name, with its files. It fetches the manifest, and no file.
    ///
    /// # Errors
    /// Those of [`Manager::get_remote`], and [`ErrorKind::HashMismatch`](crate::ErrorKind::HashMismatch) for the manifest.
    fn remote_detail(&self, model: &ModelAddress, options: &RemoteOptions) -> Result<RemoteDetail>;

    /// Returns what a pull would do, and changes nothing in the store.
    ///
    /// # Errors
    /// Those of [`Manager::remote_detail`].
    fn plan_pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullPlan>;

    /// Runs a plan as it stands, with the options that it was made with: nothing is looked up again.
    ///
    /// # Errors
    /// As for [`Manager::pull`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a plan that another
    /// implementation made.
    fn execute(&self, plan: &PullPlan) -> Result<PullReport>;

    /// Pulls a model, unless it is installed in exactly the state that its source offers: the same as
    /// [`Manager::plan_pull`] and [`Manager::execute`].
    ///
    /// # Errors
    /// Those of [`Manager::remote_detail`]; [`ErrorKind::HashMismatch`](crate::ErrorKind::HashMismatch) and
    /// [`ErrorKind::SizeMismatch`](crate::ErrorKind::SizeMismatch) if bytes stay wrong;
    /// [`ErrorKind::InsufficientSpace`](crate::ErrorKind::InsufficientSpace);
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). Whatever happens, what was installed stays, and what was
    /// fetched is kept for the next attempt.
    fn pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullReport>;

    /// Returns what [`Manager::pull_matching`] would do, one plan for each model.
    ///
    /// # Errors
    /// Those of [`Manager::list_remote`]; [`ErrorKind::ModelNotFound`](crate::ErrorKind::ModelNotFound) when none matches.
    fn plan_matching(&self, pattern: &ModelPattern, options: &PullOptions)
    -> Result<Vec<PullPlan>>;

    /// Runs plans as they stand, several at once, with the options of the first. One that fails stands in the report. Models
    /// of one commit come through its archive if that is cheaper than file by file.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) as for [`Manager::execute`].
    fn execute_all(&self, plans: &[PullPlan]) -> Result<MatchingReport>;

    /// Pulls all models whose names match: the same as [`Manager::plan_matching`] and [`Manager::execute_all`].
    ///
    /// # Errors
    /// Those of [`Manager::plan_matching`]; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn pull_matching(
        &self,
        pattern: &ModelPattern,
        options: &PullOptions,
    ) -> Result<MatchingReport>;

    /// Changes what is recorded of an installed model: its type, its tags, its metadata. Returns how it is then. What is said
    /// so holds until the model is removed, whatever its source says when it is updated or pulled again.
    ///
    /// # Errors
    /// As [`Manager::get`], and the storage errors.
    fn annotate(&self, model: &ModelAddress, annotation: &Annotation) -> Result<InstalledModel>;

    /// Removes one version.
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`](crate::ErrorKind::NotInstalled); [`ErrorKind::InvalidRef`](crate::ErrorKind::InvalidRef) when several
    /// versions are installed and none is named.
    fn remove(&self, model: &ModelAddress, cancel: &CancelToken) -> Result<RemoveReport>;

    /// Removes all versions of a model, going on past a failure.
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`](crate::ErrorKind::NotInstalled); [`ErrorKind::Several`](crate::ErrorKind::Several) with what failed.
    fn remove_all(&self, name: &ModelName, cancel: &CancelToken) -> Result<RemoveReport>;

    /// Returns the folder of an installed model.
    ///
    /// # Errors
    /// As [`Manager::get`].
    fn path(&self, model: &ModelAddress) -> Result<PathBuf>;

    /// Compares installed models with their sources. It fetches manifests of changed models, and no files.
    ///
    /// # Errors
    /// For a single model those of [`Manager::remote_detail`], also when its source no longer offers it; among several they
    /// stand in the report.
    fn check_update(&self, options: &UpdateOptions) -> Result<UpdateReport>;

    /// Compares installed models with their sources and brings in what changed.
    ///
    /// # Errors
    /// Those of [`Manager::check_update`] and [`Manager::pull`].
    fn update(&self, options: &UpdateOptions) -> Result<UpdateReport>;

    /// Hashes installed models and compares them with their manifests; repairs them when asked to. Damage is no error:
    /// it stands in the report.
    ///
    /// # Errors
    /// [`ErrorKind::NotInstalled`](crate::ErrorKind::NotInstalled); those of [`Manager::pull`] when a repair fails.
    fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport>;

    /// Copies a model's files into a folder, with its folders kept; pulls it first if need be.
    ///
    /// # Errors
    /// Those of [`Manager::pull`]; [`ErrorKind::Storage`](crate::ErrorKind::Storage) when a file with other bytes is there, in
    /// which case nothing is copied.
    fn copy(
        &self,
        model: &ModelAddress,
        destination: &Path,
        options: &CopyOptions,
    ) -> Result<CopyReport>;

    /// Finds models that have every word of a query in name, description, type or tags, in any case.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for an empty query; those of [`Manager::list_remote`].
    fn search(&self, query: &str, options: &SearchOptions) -> Result<SearchReport>;

    /// Returns what unfinished pulls left, except of those that are running.
    ///
    /// # Errors
    /// The storage errors.
    fn plan_prune(&self) -> Result<PrunePlan>;

    /// Removes what a plan lists, unless somebody is using it by now.
    ///
    /// # Errors
    /// The storage errors.
    fn prune(&self, plan: &PrunePlan) -> Result<PruneReport>;

    /// Returns the pulls of this process that have not ended, from their first moment on: those, too, of which it is still
    /// looked up at a source what they are.
    fn downloads(&self) -> Vec<Download>;

    /// Cancels the pulls of a model, in any version when none is named; returns how many there were. They end with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) within a second, and resume when pulled again. A pull that names no
    /// version is cancelled with any version of its model, as long as it is looked up which one it means.
    fn cancel(&self, model: &ModelAddress) -> usize;

    /// Returns the sources and what is known of their registries here. It opens no socket.
    ///
    /// # Errors
    /// None of its own.
    fn sources(&self) -> Result<Vec<SourceInfo>>;

    /// Brings registries up to date, all at once. One that fails stands in the report and keeps no other from it.
    ///
    /// # Errors
    /// [`ErrorKind::Offline`](crate::ErrorKind::Offline); [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a source
    /// that is not configured; [`ErrorKind::InvalidRef`](crate::ErrorKind::InvalidRef) for what can be no ref.
    fn sync(&self, options: &SyncOptions) -> Result<SyncReport>;

    /// Says which cached registries a clear would remove.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a source that is not configured.
    fn plan_clear(&self, options: &ClearOptions) -> Result<ClearPlan>;

    /// Removes cached registries; returns those that are gone. Installed models stay.
    ///
    /// # Errors
    /// Those of [`Manager::plan_clear`], and the storage errors.
    fn clear(&self, options: &ClearOptions) -> Result<ClearPlan>;
}

/// Shorthand for the common cases, on any [`Manager`].
///
/// A model is anything that converts to a [`ModelAddress`]: text such as `"group/model version"`, a
/// [`ModelRef`](crate::ModelRef), a [`ModelName`], or an address itself.
pub trait ManagerExt: Manager {
    /// Pulls a model with default options.
    ///
    /// # Errors
    /// Those of [`Manager::pull`], and [`ErrorKind::InvalidRef`] for an invalid name.
    fn pull_model<A>(&self, model: A) -> Result<PullReport>
    where
        A: TryInto<ModelAddress>,
        Error: From<A::Error>,
    {
        self.pull(&model.try_into()?, &PullOptions::default())
    }

    /// Returns the folder of a model, and pulls it first if it is not installed or its folder is missing.
    ///
    /// ```
    /// use modelrack::ManagerExt;
    ///
    /// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
    /// let folder = manager.ensure("digits/logistic v1")?;
    /// assert!(folder.join("model.safetensors").is_file());
    /// assert!(manager.is_installed("digits/logistic v1")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`ManagerExt::pull_model`].
    fn ensure<A>(&self, model: A) -> Result<PathBuf>
    where
        A: TryInto<ModelAddress>,
        Error: From<A::Error>,
    {
        let address = model.try_into()?;
        match self.path(&address) {
            Err(error) if is_absent(&error) => {
                Ok(self.pull(&address, &PullOptions::default())?.path)
            }
            result => result,
        }
    }

    /// Returns whether a model is installed and its folder exists.
    ///
    /// # Errors
    /// Those of [`Manager::path`], except [`ErrorKind::NotInstalled`] and [`ErrorKind::FolderMissing`].
    fn is_installed<A>(&self, model: A) -> Result<bool>
    where
        A: TryInto<ModelAddress>,
        Error: From<A::Error>,
    {
        match self.path(&model.try_into()?) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<M: Manager + ?Sized> ManagerExt for M {}

fn is_absent(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotInstalled { .. } | ErrorKind::FolderMissing { .. }
    )
}
