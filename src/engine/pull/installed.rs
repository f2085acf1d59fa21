//! Pulls of what is installed already, as far as that can be told without asking a source.

use std::time::Instant;

use super::{PullOptions, PullPlan, PullReport, check_hashes};
use crate::config::check_concurrency;
use crate::digest::is_commit_id;
use crate::engine::Engine;
use crate::engine::lookup::reading::Reading;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelRef;
use crate::store::record::{ModelRecord, Records};

/// An installed model that is just what a pull asks for.
#[derive(Debug)]
pub(super) struct Installed {
    model: ModelRef,
    record: ModelRecord,
}

impl Engine {
    /// Finds what is asked for where its version is the very commit that is installed: no source can have another state of
    /// that.
    pub(super) fn find_immutable(
        &self,
        records: &Records,
        reading: &Reading,
        options: &PullOptions,
    ) -> Option<Installed> {
        self.find_just(records, reading, None, options, |model, record| {
            is_commit_id(model.version()) && record.commit() == Some(model.version())
        })
    }

    /// Finds what is asked for where nothing on this machine says what its source has, and offline nobody can ask it.
    pub(super) fn find_unreachable(
        &self,
        records: &Records,
        reading: &Reading,
        options: &PullOptions,
        error: &Error,
    ) -> Option<Installed> {
        // The one registry that may have it is of the version that is meant when none is named.
        let missing = match error.kind() {
            ErrorKind::Offline { .. } => None,
            ErrorKind::NotSynced { references, .. }
                if self.sources.client.is_offline() || options.offline =>
            {
                match references.as_slice() {
                    [only] => Some(only.as_str()),
                    _ => None,
                }
            }
            _ => return None,
        };
        self.find_just(records, reading, missing, options, |_, _| true)
    }

    /// Finds the installed model with the name and version asked for, and the same choice of files.
    fn find_just(
        &self,
        records: &Records,
        reading: &Reading,
        default_version: Option<&str>,
        options: &PullOptions,
        is_wanted: impl Fn(&ModelRef, &ModelRecord) -> bool,
    ) -> Option<Installed> {
        if options.force {
            return None;
        }
        let models = reading
            .expected()
            .filter_map(|(name, version)| name.version(version.or(default_version)?).ok());
        for model in models {
            if let Some(record) = records.get(&model)
                && is_wanted(&model, record)
                && Selection::recorded(record) == options.selection()
                && self.store.layout().model_dir(&model).is_dir()
            {
                let record = record.clone();
                return Some(Installed { model, record });
            }
        }
        None
    }

    /// Reports that it is installed.
    pub(super) fn already(
        &self,
        installed: &Installed,
        options: &PullOptions,
    ) -> Result<PullReport> {
        let started = Instant::now();
        options.concurrency.map_or(Ok(()), check_concurrency)?;
        let Installed { model, record } = installed;
        let path = self.store.layout().model_dir(model);
        let mut report = PullReport::new(model.clone(), path, record.offered());
        report.source = record.source.clone().unwrap_or_default();
        self.report_installed(record, options, &mut report)?;
        report.elapsed = started.elapsed();
        Ok(report)
    }

    /// Enters what is recorded into the report of a pull that found the model installed, and records what it shall.
    pub(super) fn report_installed(
        &self,
        record: &ModelRecord,
        options: &PullOptions,
        report: &mut PullReport,
    ) -> Result<()> {
        report.files_unverified = self.unverified(&report.model, record, options)?;
        report.files = record.file_count;
        report.total_bytes = record.total_size;
        if let Some(annotation) = options.annotation() {
            self.store.annotate(&report.model, &annotation)?;
        }
        Ok(())
    }

    /// Plans that nothing is to be done.
    pub(super) fn plan_already(
        &self,
        installed: &Installed,
        options: &PullOptions,
    ) -> Result<PullPlan> {
        let Installed { model, record } = installed;
        Ok(PullPlan {
            installed: true,
            total_bytes: record.total_size,
            files: usize::try_from(record.file_count).unwrap_or(usize::MAX),
            files_unverified: self.unverified(model, record, options)?.len(),
            ..PullPlan::new(model.clone())
        })
    }

    fn unverified(
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
