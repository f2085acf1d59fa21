//! What most programs need of a manager, in one call each.

use std::path::PathBuf;

use super::Manager;
use crate::engine::pull::{PullOptions, PullReport};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelAddress;

/// Shorthand for the common cases, on any [`Manager`].
///
/// A model is anything that converts to a [`ModelAddress`]: text such as `"group/model version"`, a
/// [`ModelRef`](crate::ModelRef), a [`ModelName`](crate::ModelName), or an address itself.
///
/// ```
/// use modelrack::{ManagerExt, ModelRef};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let model = ModelRef::new("digits", "logistic", "v1")?;
/// assert!(!manager.is_installed(&model)?);
/// manager.pull_model(&model)?;
/// assert!(manager.is_installed("digits/logistic v1")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ManagerExt: Manager {
    /// Pulls a model with default options; see [`ManagerExt`] for an example.
    ///
    /// # Errors
    /// Those of [`Manager::pull`], and [`ErrorKind::InvalidRef`] for an invalid name.
    fn pull_model<A: TryInto<ModelAddress, Error: Into<Error>>>(
        &self,
        model: A,
    ) -> Result<PullReport> {
        let address = model.try_into().map_err(Into::into)?;
        self.pull(&address, &PullOptions::default())
    }

    /// Returns the folder of a model, and pulls it first if it is not installed, its folder is missing, or it is damaged.
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
    fn ensure<A: TryInto<ModelAddress, Error: Into<Error>>>(&self, model: A) -> Result<PathBuf> {
        let address = model.try_into().map_err(Into::into)?;
        match self.path(&address) {
            Err(error) if is_absent(&error) => {
                Ok(self.pull(&address, &PullOptions::default())?.path)
            }
            result => result,
        }
    }

    /// Returns whether a model is installed and can be used; see [`ManagerExt`] for an example.
    ///
    /// # Errors
    /// Those of [`Manager::path`], except [`ErrorKind::NotInstalled`], [`ErrorKind::FolderMissing`] and
    /// [`ErrorKind::Damaged`].
    fn is_installed<A: TryInto<ModelAddress, Error: Into<Error>>>(&self, model: A) -> Result<bool> {
        match self.path(&model.try_into().map_err(Into::into)?) {
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
        ErrorKind::NotInstalled { .. }
            | ErrorKind::FolderMissing { .. }
            | ErrorKind::Damaged { .. }
    )
}
