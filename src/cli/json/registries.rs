//! Registries of the sources.

use serde::Serialize;

use super::Failed;
use crate::error::chain;
use crate::remote::{RefInfo, SourceInfo, SyncReport};
use crate::time::rfc3339;

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
        let mut places = info.locations.iter().cloned();
        Self {
            key: &info.key,
            name: &info.name,
            kind: info.kind.as_str(),
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
