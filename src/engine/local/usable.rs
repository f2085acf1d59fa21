//! Whether the files of an installed model can be handed out: its folder is there, and if the system was restarted before the
//! model was known to be on the disk, its files are verified first, once.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use tracing::info;

use crate::engine::Engine;
use crate::engine::local::verify::{DamagedFile, Hashing};
use crate::error::{ErrorKind, IoContext, Result, is_missing};
use crate::model::ModelRef;
use crate::progress::{CancelToken, Step, Task};
use crate::store::record::ModelRecord;

impl Engine {
    /// Returns the folder of a model; fails if it is missing, or files in it are lost.
    pub(super) fn usable_dir(&self, model: &ModelRef, record: &ModelRecord) -> Result<PathBuf> {
        let path = self.existing_dir(model)?;
        let lost = self.find_losses(model, record, &CancelToken::new())?;
        match lost.first() {
            None => Ok(path),
            Some(first) => Err(ErrorKind::Damaged {
                model: model.to_string(),
                files: lost.len(),
                first: first.path.clone(),
            }
            .into()),
        }
    }

    /// Returns whether a model's folder is there, and nothing in it is lost.
    pub(crate) fn is_usable(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
        cancel: &CancelToken,
    ) -> bool {
        let lost = || self.find_losses(model, record, cancel);
        self.store.layout().model_dir(model).is_dir() && lost().is_ok_and(|lost| lost.is_empty())
    }

    /// Verifies a model if nobody knows whether the disk got its files; returns what is wrong with it.
    fn find_losses(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
        cancel: &CancelToken,
    ) -> Result<Vec<DamagedFile>> {
        if !self.store.is_unverified(model, record) {
            return Ok(Vec::new());
        }
        info!(%model, "verifying what may not have reached the disk before the system was restarted");
        let (name, bytes) = (model.to_string(), AtomicU64::new(0));
        let step = Step {
            total_bytes: record.total_size,
            ..Step::new(Task::Verifying, 1)
        };
        let hashing = Hashing {
            cancel,
            progress: self.progress.as_ref(),
            step: step.at(&name, 0),
            bytes: &bytes,
        };
        Ok(self.verify_model(model, record, &hashing)?.damaged)
    }

    fn existing_dir(&self, model: &ModelRef) -> Result<PathBuf> {
        let path = self.store.layout().model_dir(model);
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(path),
            Err(error) if !is_missing(&error) => Err(error).at("find", &path),
            _ => {
                let model = model.to_string();
                Err(ErrorKind::FolderMissing { model, path }.into())
            }
        }
    }
}
