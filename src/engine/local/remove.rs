//! Removing installed models.

use serde::Serialize;

use crate::engine::Engine;
use crate::error::{ErrorKind, Result};
use crate::model::{ModelAddress, ModelRef};
use crate::progress::CancelToken;

/// What was removed; [`Manager::remove`](crate::Manager::remove) has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RemoveReport {
    /// The versions that were removed, in the order of names.
    pub removed: Vec<ModelRef>,
    /// The total size of their files.
    pub bytes_freed: u64,
}

impl Engine {
    /// Removes one version. Waits for a pull of it to end.
    pub(crate) fn remove(
        &self,
        address: &ModelAddress,
        cancel: &CancelToken,
    ) -> Result<RemoveReport> {
        let model = self.reading(address)?.find_installed(&self.records()?)?;
        let bytes_freed = self
            .remove_version(&model, cancel)
            .map_err(|error| error.step(format!("remove {model}")))?;
        Ok(RemoveReport {
            removed: vec![model],
            bytes_freed,
        })
    }

    /// Removes all versions of a model, going on past a failure.
    pub(crate) fn remove_all(
        &self,
        address: &ModelAddress,
        cancel: &CancelToken,
    ) -> Result<RemoveReport> {
        let models = self.reading(address)?.match_installed(&self.records()?)?;
        let mut report = RemoveReport::default();
        let mut errors = Vec::new();
        let mut remaining = Vec::new();
        for model in &models {
            match self.remove_version(model, cancel) {
                Ok(bytes) => {
                    report.bytes_freed += bytes;
                    report.removed.push(model.clone());
                }
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => {
                    remaining.push(model.to_string());
                    errors.push(error.step(format!("remove {model}")));
                }
            }
        }
        if errors.is_empty() {
            return Ok(report);
        }
        let message = format!(
            "{} of {} versions remain: {}",
            remaining.len(),
            models.len(),
            remaining.join(", ")
        );
        Err(ErrorKind::Several { message, errors }.into())
    }

    fn remove_version(&self, model: &ModelRef, cancel: &CancelToken) -> Result<u64> {
        let lock = self.store.lock_model(model, cancel, &|_| {})?;
        // Another process may have removed it before this one got the lock.
        let removed = self
            .store
            .remove(&lock)?
            .ok_or_else(|| ErrorKind::NotInstalled {
                model: model.to_string(),
                near: Vec::new(),
            })?;
        Ok(removed.total_size)
    }
}
