//! Removing installed models.

use std::collections::BTreeSet;

use serde::Serialize;
use tracing::info;

use crate::engine::Engine;
use crate::engine::local::prune::{PruneOptions, PrunePlan};
use crate::engine::lookup::reading::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelAddress, ModelRef};
use crate::progress::{CancelToken, ProgressEvent};
use crate::store::ModelLock;
use crate::store::partial::find_partials;

/// What was removed of installed models and of unfinished pulls; [`Manager::remove`](crate::Manager::remove) has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RemoveReport {
    /// The versions that were removed, in the order of names.
    pub removed: Vec<ModelRef>,
    /// The total size of their files, and of what unfinished pulls of them had left.
    pub bytes_freed: u64,
}

impl Engine {
    /// Removes one version, or what an unfinished pull has of it. Waits for a pull of it to end, also for one that has not
    /// installed anything yet.
    pub(crate) fn remove(
        &self,
        address: &ModelAddress,
        cancel: &CancelToken,
    ) -> Result<RemoveReport> {
        let reading = self.reading(address)?;
        let find = || reading.find_installed(&self.records()?);
        let is_absent = |error: &Error| matches!(error.kind(), ErrorKind::NotInstalled { .. });
        let found = match find() {
            Err(error) if is_absent(&error) => {
                self.wait_for_pulls(&reading, cancel)?;
                find()
            }
            found => found,
        };
        let model = match found {
            Err(error) if is_absent(&error) => return self.remove_unfinished(&reading, error),
            found => found?,
        };
        let mut bytes_freed = self
            .remove_version(&model, cancel)
            .map_err(|error| error.step(format!("remove {model}")))?;
        bytes_freed += self.prune_pulls(|pulled| *pulled == model)?.bytes;
        Ok(RemoveReport {
            removed: vec![model],
            bytes_freed,
        })
    }

    /// Removes what the unfinished pull of the one version that is meant has left; fails with `error` if there is none.
    fn remove_unfinished(&self, reading: &Reading, error: Error) -> Result<RemoveReport> {
        let plan = self.plan_prune(&PruneOptions::default())?;
        let pulled = plan.partials.iter().map(|partial| &partial.model);
        let pulled: BTreeSet<&ModelRef> = pulled.filter(|model| reading.is_of(model)).collect();
        match pulled.len() {
            0 => return Err(error),
            1 => {}
            _ => {
                return Err(Error::from(ErrorKind::InvalidRef {
                    input: reading.address.to_string(),
                    message: "has unfinished pulls of several versions".into(),
                    choices: pulled.iter().map(ToString::to_string).collect(),
                }));
            }
        }
        let removed = self.prune_pulls(|model| reading.is_of(model))?;
        let mut models: Vec<_> = removed.partials.into_iter().map(|it| it.model).collect();
        models.dedup();
        match models.is_empty() {
            true => Err(error),
            false => Ok(RemoveReport {
                removed: models,
                bytes_freed: removed.bytes,
            }),
        }
    }

    /// Removes what unfinished pulls of some models left, and nobody is using.
    fn prune_pulls(&self, is_wanted: impl Fn(&ModelRef) -> bool) -> Result<PrunePlan> {
        let mut plan = self.plan_prune(&PruneOptions::default())?;
        plan.partials.retain(|partial| is_wanted(&partial.model));
        plan.leftovers.clear();
        Ok(self.prune(&plan)?.removed)
    }

    /// Removes all versions of a model and what unfinished pulls have of others, going on past a failure. Waits for pulls of
    /// them to end.
    pub(crate) fn remove_all(
        &self,
        address: &ModelAddress,
        cancel: &CancelToken,
    ) -> Result<RemoveReport> {
        let reading = self.reading(address)?;
        self.wait_for_pulls(&reading, cancel)?;
        let found = reading.match_installed(&self.records()?);
        let mut report = RemoveReport::default();
        let unfinished = self.prune_pulls(|model| reading.is_of(model))?;
        report.bytes_freed += unfinished.bytes;
        report.removed = unfinished.partials.into_iter().map(|it| it.model).collect();
        let models = match found {
            Err(_) if !report.removed.is_empty() => Vec::new(),
            found => found?,
        };
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
        report.removed.sort();
        report.removed.dedup();
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
        let exact = reading.names().iter();
        let exact =
            exact.filter_map(|(name, version)| name.clone().version(version.as_deref()?).ok());
        let running = self.downloads.list().into_iter();
        let running = running.filter_map(|download| download.model);
        let partials = find_partials(self.store.layout()).into_iter();
        let partials = partials.filter_map(|partial| partial.record.model_ref());
        let named: BTreeSet<ModelRef> = exact.chain(running).chain(partials).collect();
        let busy = |model: &ModelRef| reading.is_of(model) && self.store.is_busy(model);
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
