//! Registries: those of the sources, and those that are published.

use serde::Serialize;

use super::Failed;
#[cfg(feature = "author")]
use super::Name;
#[cfg(feature = "author")]
use crate::Digest;
use crate::error::chain;
use crate::time::rfc3339;
use crate::{ClearPlan, RefInfo, SourceInfo, SyncReport};

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Sources<'a> {
    pub(in crate::cli) sources: Vec<Source<'a>>,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Source<'a> {
    key: &'a str,
    name: &'a str,
    kind: &'static str,
    location: String,
    mirrors: Vec<String>,
    fetched_at: Option<String>,
    versions: Option<usize>,
    refs: Vec<SourceRef<'a>>,
}

/// A ref of a source; what is not cached is `null`.
#[derive(Debug, Serialize)]
struct SourceRef<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    configured: bool,
    cached: bool,
    repo: Option<&'a str>,
    mode: Option<&'static str>,
    commit: Option<&'a str>,
    fetched_at: Option<String>,
    versions: Option<usize>,
}

impl<'a> From<&'a RefInfo> for SourceRef<'a> {
    fn from(info: &'a RefInfo) -> Self {
        let cached = info.cached.as_ref();
        Self {
            reference: &info.reference,
            configured: info.is_configured,
            cached: cached.is_some(),
            repo: cached.map(|cached| cached.repo.as_str()),
            mode: cached.map(|cached| cached.mode.as_str()),
            commit: cached.and_then(|cached| cached.commit.as_deref()),
            fetched_at: cached.map(|cached| rfc3339(cached.fetched_at)),
            versions: cached.map(|cached| cached.models),
        }
    }
}

impl<'a> From<&'a SourceInfo> for Source<'a> {
    fn from(info: &'a SourceInfo) -> Self {
        let mut places = info.config.locations().into_iter();
        Self {
            key: &info.config.key,
            name: &info.config.name,
            kind: info.config.kind().as_str(),
            location: places.next().unwrap_or_default(),
            mirrors: places.collect(),
            fetched_at: info.fetched_at.map(rfc3339),
            versions: info.versions,
            refs: info.refs.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Synced<'a> {
    synced: Vec<SyncedRegistry<'a>>,
    skipped: Vec<UnsyncedRegistry<'a>>,
    failed: Vec<UnsyncedRegistry<'a>>,
}

#[derive(Debug, Serialize)]
struct SyncedRegistry<'a> {
    source: &'a str,
    name: &'a str,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    mode: &'static str,
    commit: Option<&'a str>,
    versions: usize,
}

#[derive(Debug, Serialize)]
struct UnsyncedRegistry<'a> {
    source: &'a str,
    name: &'a str,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    reason: String,
    error: Option<Failed>,
}

impl<'a> From<&'a SyncReport> for Synced<'a> {
    fn from(report: &'a SyncReport) -> Self {
        Self {
            synced: report
                .synced
                .iter()
                .map(|registry| SyncedRegistry {
                    source: &registry.source,
                    name: &registry.name,
                    reference: registry.reference.as_deref(),
                    mode: registry.mode.as_str(),
                    commit: registry.commit.as_deref(),
                    versions: registry.models,
                })
                .collect(),
            skipped: report
                .skipped
                .iter()
                .map(|registry| UnsyncedRegistry {
                    source: &registry.source,
                    name: &registry.name,
                    reference: registry.reference.as_deref(),
                    reason: registry.reason.to_owned(),
                    error: None,
                })
                .collect(),
            failed: report
                .failed
                .iter()
                .map(|registry| UnsyncedRegistry {
                    source: &registry.source,
                    name: &registry.name,
                    reference: registry.reference.as_deref(),
                    reason: chain(&registry.reason),
                    error: Some(Failed::from(&registry.reason)),
                })
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Cleared<'a> {
    removed: Vec<ClearedRegistry<'a>>,
    bytes_freed: u64,
}

#[derive(Debug, Serialize)]
struct ClearedRegistry<'a> {
    source: &'a str,
    name: &'a str,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    bytes: u64,
}

impl<'a> From<&'a ClearPlan> for Cleared<'a> {
    fn from(cleared: &'a ClearPlan) -> Self {
        let removed = cleared.registries.iter().map(|registry| ClearedRegistry {
            source: &registry.source,
            name: &registry.name,
            reference: registry.reference.as_deref(),
            bytes: registry.bytes,
        });
        Self {
            removed: removed.collect(),
            bytes_freed: cleared.bytes,
        }
    }
}

#[cfg(feature = "author")]
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Published<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    registry: String,
    aliases: &'a [String],
    manifest_hash: Digest,
    replaced: Option<Digest>,
    files: usize,
    total_bytes: u64,
    chunks: usize,
    chunks_written: usize,
    bytes_written: u64,
}

#[cfg(feature = "author")]
impl<'a> Published<'a> {
    pub(in crate::cli) fn new(
        report: &'a crate::project::PublishReport,
        registry: &std::path::Path,
    ) -> Self {
        Self {
            name: Name::from(&report.model),
            registry: registry.display().to_string(),
            aliases: &report.aliases,
            manifest_hash: report.manifest_digest,
            replaced: report.replaced,
            files: report.files,
            total_bytes: report.total_bytes,
            chunks: report.chunks,
            chunks_written: report.chunks_written,
            bytes_written: report.bytes_written,
        }
    }
}

#[cfg(feature = "author")]
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Made<'a> {
    path: String,
    source: &'a str,
    models: usize,
    examples: usize,
    files: usize,
    total_bytes: u64,
    notes: &'a [String],
}

#[cfg(feature = "author")]
impl<'a> From<&'a crate::project::MakeReport> for Made<'a> {
    fn from(report: &'a crate::project::MakeReport) -> Self {
        Self {
            path: report.path.display().to_string(),
            source: &report.source,
            models: report.models,
            examples: report.examples,
            files: report.files,
            total_bytes: report.total_bytes,
            notes: &report.notes,
        }
    }
}
