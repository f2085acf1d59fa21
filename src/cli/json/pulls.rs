//! What pulling, updating, verifying and copying did.

use serde::Serialize;

use super::{Failed, Name};
use crate::{
    Change, CopyReport, Digest, Freshness, MatchingReport, PullOutcome, PullPlan, PullReport,
    UpdateEntry, VerifiedModel,
};

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Pulled<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    outcome: &'static str,
    path: String,
    source: &'a str,
    manifest_hash: Digest,
    alias_of: Option<&'a str>,
    files: u64,
    files_unverified: &'a [String],
    total_bytes: u64,
    bytes_fetched: u64,
    bytes_reused: u64,
    bytes_resumed: u64,
    elapsed_ms: u128,
}

impl<'a> From<&'a PullReport> for Pulled<'a> {
    fn from(report: &'a PullReport) -> Self {
        Self {
            name: Name::from(&report.model),
            outcome: match report.outcome {
                PullOutcome::Installed => "installed",
                PullOutcome::AlreadyInstalled => "already_installed",
            },
            path: report.path.display().to_string(),
            source: &report.source,
            manifest_hash: report.manifest_digest,
            alias_of: report.alias_of.as_deref(),
            files: report.files,
            files_unverified: &report.files_unverified,
            total_bytes: report.total_bytes,
            bytes_fetched: report.bytes_fetched,
            bytes_reused: report.bytes_reused,
            bytes_resumed: report.bytes_resumed,
            elapsed_ms: report.elapsed.as_millis(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Matching<'a> {
    models: Vec<Pulled<'a>>,
    failed: Vec<FailedModel<'a>>,
    bytes_archives: u64,
}

#[derive(Debug, Serialize)]
struct FailedModel<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    error: Failed,
}

impl<'a> From<&'a MatchingReport> for Matching<'a> {
    fn from(report: &'a MatchingReport) -> Self {
        let failed = report.failed.iter().map(|failed| FailedModel {
            name: Name::from(&failed.model),
            error: Failed::from(&failed.error),
        });
        Self {
            models: report.pulled.iter().map(Into::into).collect(),
            failed: failed.collect(),
            bytes_archives: report.bytes_archives,
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Plan<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    outcome: &'static str,
    files: usize,
    files_unverified: usize,
    files_unsized: usize,
    total_bytes: u64,
    bytes_to_fetch: u64,
    bytes_reused: u64,
    bytes_resumed: u64,
    requests: usize,
}

impl<'a> From<&'a PullPlan> for Plan<'a> {
    fn from(plan: &'a PullPlan) -> Self {
        Self {
            name: Name::from(&plan.model),
            outcome: if plan.installed {
                "already_installed"
            } else {
                "planned"
            },
            files: plan.files,
            files_unverified: plan.files_unverified,
            files_unsized: plan.files_unsized,
            total_bytes: plan.total_bytes,
            bytes_to_fetch: plan.bytes_to_fetch,
            bytes_reused: plan.bytes_reused,
            bytes_resumed: plan.bytes_resumed,
            requests: plan.requests,
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Updated<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    state: &'static str,
    installed_hash: Digest,
    remote_hash: Option<Digest>,
    added: &'a [String],
    changed: &'a [String],
    removed: &'a [String],
    total_bytes: Option<u64>,
    bytes_to_fetch: Option<u64>,
    files_unsized: Option<usize>,
    error: Option<Failed>,
    applied: Option<Pulled<'a>>,
}

impl<'a> From<&'a UpdateEntry> for Updated<'a> {
    fn from(entry: &'a UpdateEntry) -> Self {
        let change: Option<&Change> = match &entry.freshness {
            Freshness::Changed(change) => Some(change),
            _ => None,
        };
        let (state, remote_hash, error) = match &entry.freshness {
            Freshness::UpToDate => ("up_to_date", Some(entry.installed_digest), None),
            Freshness::Changed(change) => (
                if entry.applied.is_some() {
                    "updated"
                } else {
                    "changed"
                },
                Some(change.manifest_digest),
                None,
            ),
            Freshness::Gone(error) => ("gone", None, Some(Failed::from(error))),
            Freshness::Unknown(error) => ("unknown", None, Some(Failed::from(error))),
        };
        Self {
            name: Name::from(&entry.model),
            state,
            installed_hash: entry.installed_digest,
            remote_hash,
            added: change.map_or(&[], |change| &change.added),
            changed: change.map_or(&[], |change| &change.changed),
            removed: change.map_or(&[], |change| &change.removed),
            total_bytes: change.map(|change| change.total_bytes),
            bytes_to_fetch: change.map(|change| change.bytes_to_fetch),
            files_unsized: change.map(|change| change.files_unsized),
            error,
            applied: entry.applied.as_ref().map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Verified<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    ok: bool,
    bytes: u64,
    damaged: Vec<Damaged<'a>>,
    repaired: Option<Pulled<'a>>,
}

#[derive(Debug, Serialize)]
struct Damaged<'a> {
    path: &'a str,
    damage: &'static str,
}

impl<'a> From<&'a VerifiedModel> for Verified<'a> {
    fn from(verified: &'a VerifiedModel) -> Self {
        let damaged = verified.damaged.iter().map(|file| Damaged {
            path: &file.path,
            damage: file.damage.as_str(),
        });
        Self {
            name: Name::from(&verified.model),
            ok: verified.is_whole(),
            bytes: verified.bytes,
            damaged: damaged.collect(),
            repaired: verified.repaired.as_ref().map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Copied<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    destination: String,
    copied: u64,
    unchanged: u64,
    bytes: u64,
    pulled: Option<Pulled<'a>>,
}

impl<'a> From<&'a CopyReport> for Copied<'a> {
    fn from(report: &'a CopyReport) -> Self {
        Self {
            name: Name::from(&report.model),
            destination: report.destination.display().to_string(),
            copied: report.copied,
            unchanged: report.unchanged,
            bytes: report.bytes,
            pulled: report.pulled.as_ref().map(Into::into),
        }
    }
}
