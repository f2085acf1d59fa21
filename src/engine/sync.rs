//! Bringing registries up to date: all sources at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::at_once::at_once;
use crate::catalog::sync::SyncReport;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::model::{ModelRef, check_reference};
use crate::progress::{CancelToken, Progress};
use crate::setters::setters;
use crate::source::syncing::Syncing;
use crate::source::{Source, SyncRequest};
use crate::store::record::Records;

/// Which registries to sync, and how. Default: all that are configured.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::progress::Silent;
/// use modelrack::{CancelToken, Manager, SyncOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let options = SyncOptions::default()
///     .source("digits")
///     .force(true)
///     .offline(false)
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// assert_eq!(manager.sync(&options)?.synced.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A branch of a fork, to try it before it is merged:
///
/// ```
/// use modelrack::SyncOptions;
///
/// let fork = SyncOptions::default().source("mf6/test").repo("me/modflow6-testmodels").reference("fix");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Only registries of the source with this key or name.
    pub source: Option<String>,
    /// Only this ref. It need not be configured if [`source`](field@Self::source) or [`repo`](field@Self::repo) is set.
    pub reference: Option<String>,
    /// Only this repository, as `OWNER/NAME`. It need not be configured; with [`source`](field@Self::source), it is a fork
    /// that stands in for that source's repository until the next sync.
    pub repo: Option<String>,
    /// Fetch registries even if they are unchanged.
    pub force: bool,
    /// Fail with [`ErrorKind::Offline`](crate::ErrorKind::Offline), since a sync needs the network. Default: as configured.
    pub offline: bool,
    /// Cancels the sync.
    pub cancel: CancelToken,
    /// Receives a [`Step`](crate::progress::Step) with the report of each registry as soon as it is done. Default: the
    /// manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(SyncOptions {
    source: Some(impl Into<String>),
    reference: Some(impl Into<String>),
    repo: Some(impl Into<String>),
    force: bool,
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// Why the registries of installed models could not be refreshed, by source and version.
pub(crate) type Unrefreshed = HashMap<(String, String), Option<Error>>;

impl Engine {
    /// Syncs registries. One that fails does not keep the others from it; it is in the report.
    pub(crate) fn sync(&self, options: &SyncOptions) -> Result<SyncReport> {
        let call = self.call(options.offline, &options.cancel);
        if call.is_offline() {
            return Err(call.client.offline_error("registries"));
        }
        let sources = self.sources_to_sync(options)?;
        let mut request = SyncRequest {
            reference: options.reference.as_deref(),
            force: options.force,
            syncing: None,
        };
        let registries = sources.iter().map(|source| source.registries(&request));
        let progress = options.progress.as_ref().unwrap_or(&self.progress);
        let syncing = Syncing::begin(progress.clone(), registries.sum::<usize>() as u64);
        request.syncing = Some(&syncing);
        let reports = at_once(&sources, |source| source.sync(&call, &request));
        call.cancel.check()?;
        let mut all = SyncReport::default();
        reports.into_iter().for_each(|report| all.extend(report));
        self.sources.rescan();
        Ok(all)
    }

    fn sources_to_sync(&self, options: &SyncOptions) -> Result<Vec<Arc<dyn Source>>> {
        let wanted = options.source.as_deref();
        if let Some(reference) = &options.reference {
            check_reference(reference)?;
        }
        if let Some(repo) = &options.repo {
            return Ok(vec![self.sources.of_repo(repo, wanted)?]);
        }
        let mut sources = self.sources.select(wanted)?;
        if let Some(reference) = options.reference.as_deref()
            && wanted.is_none()
        {
            sources.retain(|source| source.expects(reference));
            if sources.is_empty() {
                return Err(Error::argument(format!(
                    "no source lists the ref '{}': name the source to sync it from",
                    reference.escape_debug()
                )));
            }
        }
        Ok(sources)
    }

    /// Brings up to date what the sources of installed models know of them; returns what failed.
    pub(crate) fn refresh_origins(
        &self,
        models: &[ModelRef],
        records: &Records,
        call: &Call,
    ) -> Result<Unrefreshed> {
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for model in models {
            let record = records.get(model);
            if let Some(source) = record.and_then(|record| record.source.as_deref()) {
                versions.entry(source).or_default().insert(model.version());
            }
        }
        self.refresh_versions(versions, call)
    }

    /// Brings up to date what sources know of these versions, by their keys; returns what failed.
    pub(crate) fn refresh_versions(
        &self,
        versions: BTreeMap<&str, BTreeSet<&str>>,
        call: &Call,
    ) -> Result<Unrefreshed> {
        if call.is_offline() {
            return Ok(Unrefreshed::new());
        }
        let versions: Vec<_> = versions.into_iter().collect();
        let failed = at_once(&versions, |(key, versions)| {
            let source = self.sources.by_key(key);
            source.map_or_else(Vec::new, |source| source.refresh(call, versions))
        });
        call.cancel.check()?;
        let by_source = versions.iter().zip(failed);
        Ok(by_source
            .flat_map(|((key, _), failed)| {
                let failed = failed.into_iter();
                failed.map(|(version, error)| (((*key).to_owned(), version), Some(error)))
            })
            .collect())
    }
}
