//! Removing installed models.

use std::collections::BTreeSet;

use serde::Serialize;
use tracing::info;

use crate::engine::Engine;
use crate::engine::lookup::reading::Reading;
use crate::error::{ErrorKind, Result};
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, ProgressEvent};
use crate::store::ModelLock;
use crate::store::partial::find_partials;

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
    /// Removes one version. Waits for a pull of it to end, also for one that has not installed anything yet.
    pub(crate) fn remove(
        &self,
        address: &ModelAddress,
        cancel: &CancelToken,
    ) -> Result<RemoveReport> {
        let reading = self.reading(address)?;
        let find = || reading.find_installed(&self.records()?);
        let model = match find() {
            Err(error) if matches!(error.kind(), ErrorKind::NotInstalled { .. }) => {
                self.wait_for_pulls(&reading, cancel)?;
                find()?
            }
            found => found?,
        };
        let bytes_freed = self
            .remove_version(&model, cancel)
            .map_err(|error| error.step(format!("remove {model}")))?;
        Ok(RemoveReport {
            removed: vec![model],
            bytes_freed,
        })
    }

    /// Removes all versions of a model, going on past a failure. Waits for pulls of them to end.
    pub(crate) fn remove_all(
        &self,
        address: &ModelAddress,
        cancel: &CancelToken,
    ) -> Result<RemoveReport> {
        let reading = self.reading(address)?;
        self.wait_for_pulls(&reading, cancel)?;
        let models = reading.match_installed(&self.records()?)?;
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

    /// Waits for the pulls of models that an address may mean.
    fn wait_for_pulls(&self, reading: &Reading, cancel: &CancelToken) -> Result<()> {
        let is_named = |model: &ModelRef| {
            let mut names = reading.names().iter();
            names.any(|(name, version)| {
                let version = version.as_deref();
                name == model.name() && version.is_none_or(|version| version == model.version())
            })
        };
        let exact = reading.names().iter();
        let exact =
            exact.filter_map(|(name, version)| name.clone().version(version.as_deref()?).ok());
        let running = self.downloads.list().into_iter();
        let running = running.filter_map(|download| download.model);
        let partials = find_partials(self.store.layout()).into_iter();
        let partials = partials.filter_map(|partial| partial.record.model_ref());
        let named: BTreeSet<ModelRef> = exact.chain(running).chain(partials).collect();
        let busy = |model: &ModelRef| is_named(model) && self.store.is_busy(model);
        let mut pulled = named.iter().filter(|model| busy(model));
        pulled.try_for_each(|model| self.lock_for_removal(model, cancel).map(|_| ()))
    }

    fn lock_for_removal(&self, model: &ModelRef, cancel: &CancelToken) -> Result<ModelLock<'_>> {
        let waiting = |holder: Option<String>| {
            info!(%model, holder, "waiting for a pull to end");
            let event = ProgressEvent::Waiting { holder };
            self.progress.on_event(model, &event);
        };
        self.store.lock_model(model, cancel, &waiting)
    }

    fn remove_version(&self, model: &ModelRef, cancel: &CancelToken) -> Result<u64> {
        let lock = self.lock_for_removal(model, cancel)?;
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
