//! Pulls of what is installed already, as far as that can be known without asking a source.

use std::time::Instant;

use super::plan::PullTarget;
use super::{PullOptions, PullReport, check_hashes};
use crate::config::check_concurrency;
use crate::digest::is_immutable_version;
use crate::engine::Engine;
use crate::engine::lookup::reading::Reading;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelRef;
use crate::store::record::{ModelRecord, Records};

impl Engine {
    /// Finds the model if its version is a commit and that commit is installed: no source can have another state of it.
    pub(super) fn find_immutable(
        &self,
        records: &Records,
        reading: &Reading,
        options: &PullOptions,
    ) -> Option<PullTarget> {
        self.find_exact(records, reading, None, options, |model, record| {
            is_immutable_version(model.version()) && record.commit() == Some(model.version())
        })
    }

    /// Finds the installed model if it was made by hand, or if its source cannot be asked, because the pull is offline and
    /// nothing is cached.
    pub(super) fn find_unreachable(
        &self,
        records: &Records,
        reading: &Reading,
        options: &PullOptions,
        error: &Error,
    ) -> Option<PullTarget> {
        if let Ok(model) = reading.find_installed(records)
            && let Some(record) = records.get(&model)
            && record.made_by_hand
            && !options.force
        {
            let is_usable = self.is_usable(&model, record, &options.cancel);
            return is_usable.then(|| PullTarget::Installed(model, record.clone()));
        }
        // The one registry that may have it is that of the version meant when none is named.
        let missing = match error.kind() {
            ErrorKind::Offline { .. } => None,
            ErrorKind::NotSynced { references, .. }
                if options.offline || self.sources.client.is_offline() =>
            {
                <&[String; 1]>::try_from(references.as_slice()).ok()
            }
            _ => return None,
        };
        let default_version = missing.map(|[only]| only.as_str());
        self.find_exact(records, reading, default_version, options, |_, _| true)
    }

    /// Finds the installed model that has one of the names, with its version, and the same selection of files.
    fn find_exact(
        &self,
        records: &Records,
        reading: &Reading,
        default_version: Option<&str>,
        options: &PullOptions,
        is_wanted: impl Fn(&ModelRef, &ModelRecord) -> bool,
    ) -> Option<PullTarget> {
        let expected = || reading.expected().filter(|_| !options.force);
        let models = expected()
            .filter_map(|(name, version)| name.version(version.or(default_version)?).ok());
        let mut renamed = reading.match_renamed(records);
        renamed.retain(|model| {
            expected().any(|(_, version)| version.or(default_version) == Some(model.version()))
        });
        let mut models = models.chain(renamed);
        models.find_map(|model| {
            let record = records.get(&model)?;
            let is_found = is_wanted(&model, record)
                && Selection::recorded(record) == options.selection()
                && self.is_usable(&model, record, &options.cancel);
            is_found.then(|| PullTarget::Installed(model, record.clone()))
        })
    }

    /// Reports that a model is installed, and records the type that the options ask for.
    pub(super) fn report_installed(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
        options: &PullOptions,
    ) -> Result<PullReport> {
        let started = Instant::now();
        options.concurrency.map_or(Ok(()), check_concurrency)?;
        let files_unverified = self.unverified(model, record, options)?;
        if let Some(annotation) = options.annotation() {
            self.store.annotate(model, &annotation)?;
        }
        self.store.settle_if_due(model, record);
        let path = self.store.layout().model_dir(model);
        Ok(PullReport {
            source: record.source.clone().unwrap_or_default(),
            files: record.file_count,
            files_unverified,
            total_bytes: record.total_size,
            elapsed: started.elapsed(),
            ..PullReport::new(model.clone(), path, record.offered())
        })
    }

    /// Returns the files of an installed model that no digest covers.
    pub(super) fn unverified(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
        options: &PullOptions,
    ) -> Result<Vec<String>> {
        match self.store.manifest(model, record.manifest_hash) {
            Ok(manifest) => check_hashes(&manifest, options.require_hashes),
            Err(_) => Ok(Vec::new()),
        }
    }
}
