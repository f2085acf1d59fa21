//! Copying versions into a mirror one after another, for as long as it takes them.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use super::{MirrorReport, MirroredVersion, Mirroring, Missing};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelRef;
use crate::publish::WrittenVersion;

/// The index is replaced when this much was written since it was last: a kill costs no more than reading that again.
pub(super) const BATCH_BYTES: u64 = 1 << 30;
/// And after so many versions, which may be small.
const BATCH_VERSIONS: usize = 64;

impl Missing {
    fn model(&self) -> &ModelRef {
        &self.chosen.offer.remote.model
    }
}

impl Mirroring<'_> {
    /// Copies all versions, or those until the mirror takes no more. It fails only if it is cancelled.
    pub(super) fn copy_all(
        &self,
        missing: &[Missing],
        pending: &mut Vec<WrittenVersion>,
        report: &mut MirrorReport,
    ) -> Result<()> {
        let models = || missing.iter().map(|missing| missing.model().clone());
        let fetched = match self.prefetch(missing) {
            Ok(fetched) => fetched,
            Err(error) => return give_up(error, models(), report),
        };
        report.bytes_archives = fetched.bytes;
        let mut bytes = 0;
        for (at, missing) in missing.iter().enumerate() {
            self.call.cancel.check()?;
            match self.copy(missing) {
                Ok((written, version)) => {
                    bytes += written.bytes_written;
                    pending.push(written);
                    report.versions.push(version);
                }
                Err(error) if error.is_cancelled() || self.is_of_target(&error) => {
                    return give_up(error, models().skip(at), report);
                }
                Err(error) => report.fail(missing.model().to_string(), error),
            }
            let is_full = pending.len() >= BATCH_VERSIONS || bytes >= BATCH_BYTES;
            if is_full && !self.opened.is_in_one_pass() {
                if !self.finish(pending, report)? {
                    report.not_tried.extend(models().skip(at + 1));
                    return Ok(());
                }
                bytes = 0;
            }
        }
        if report.failed.is_empty() {
            fetched.drop_files();
        }
        Ok(())
    }

    /// Copies one version into the mirror.
    fn copy(&self, missing: &Missing) -> Result<(WrittenVersion, MirroredVersion)> {
        let model = missing.model();
        let copied = self.way(missing).and_then(|way| self.go(way, missing));
        let (written, bytes_fetched) =
            copied.map_err(|error| error.step(format!("mirror {model}")))?;
        let version = MirroredVersion::written(&missing.chosen, &written, bytes_fetched);
        Ok((written, version))
    }

    /// Lets others see what was written; returns whether they do. What they do not see is not in the mirror.
    pub(super) fn finish(
        &self,
        pending: &mut Vec<WrittenVersion>,
        report: &mut MirrorReport,
    ) -> Result<bool> {
        if pending.is_empty() {
            return Ok(true);
        }
        let mut versions = std::mem::take(pending);
        let Err(error) = self.opened.finish(self.options.shards, &mut versions) else {
            return Ok(true);
        };
        let models: BTreeSet<ModelRef> = versions.into_iter().map(|it| it.model).collect();
        report.take_back(&models);
        give_up(error, models, report)?;
        Ok(false)
    }

    /// Whether an error is not of one version, and would come again with the next.
    fn is_of_target(&self, error: &Error) -> bool {
        use ErrorKind::{InsufficientSpace, Locked, Permission, Storage};
        let is_of_disk = matches!(
            error.kind(),
            InsufficientSpace { .. } | Permission { .. } | Storage { .. } | Locked { .. }
        );
        is_of_disk || self.is_refused.load(Relaxed)
    }
}

/// Notes what a mirror did not take: the first of these versions failed, and the others need not be tried.
fn give_up(
    error: Error,
    models: impl IntoIterator<Item = ModelRef>,
    report: &mut MirrorReport,
) -> Result<()> {
    let mut models = models.into_iter();
    match models.next() {
        Some(model) if !error.is_cancelled() => {
            report.fail(model.to_string(), error);
            report.not_tried.extend(models);
            Ok(())
        }
        _ => Err(error),
    }
}
