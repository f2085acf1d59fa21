//! The shapes of `--json`, apart from the library's own types. Keys are only ever added.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::time::rfc3339;
use crate::{
    Change, ClearPlan, CopyReport, Digest, Error, Freshness, InstalledDetail, InstalledModel,
    Listing, ManifestFile, MatchingReport, Metadata, ModelRef, PartialModel, PrunePlan,
    PullOutcome, PullPlan, PullReport, RefInfo, RegistryFailure, RemoteDetail, RemoteFile,
    RemoteMetadata, RemoteModel, RemoveReport, SourceInfo, Status, SyncReport, UpdateEntry,
    VerifiedModel,
};

/// What every model carries.
#[derive(Debug, Serialize)]
pub(super) struct Name<'a> {
    group: &'a str,
    model: &'a str,
    version: &'a str,
}

impl<'a> From<&'a ModelRef> for Name<'a> {
    fn from(model: &'a ModelRef) -> Self {
        Self {
            group: model.group(),
            model: model.model(),
            version: model.version(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Installed<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    status: &'static str,
    path: String,
    manifest_hash: Digest,
    total_bytes: u64,
    files: u64,
    installed_at: String,
    source: Option<&'a str>,
    commit: Option<&'a str>,
    #[serde(rename = "type")]
    model_type: Option<&'a str>,
    tags: &'a [String],
    metadata: &'a Metadata,
}

impl<'a> From<&'a InstalledModel> for Installed<'a> {
    fn from(model: &'a InstalledModel) -> Self {
        Self {
            name: Name::from(&model.model),
            status: Status::Available.as_str(),
            path: model.path.display().to_string(),
            manifest_hash: model.manifest_digest,
            total_bytes: model.total_bytes,
            files: model.files,
            installed_at: rfc3339(model.installed_at),
            source: model.source.as_deref(),
            commit: model.commit.as_deref(),
            model_type: model.model_type.as_deref(),
            tags: &model.tags,
            metadata: &model.metadata,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Partial<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    status: &'static str,
    bytes_done: u64,
    total_bytes: u64,
    files: u64,
    source: Option<&'a str>,
    last_error: Option<&'a str>,
    touched_at: String,
}

impl<'a> From<&'a PartialModel> for Partial<'a> {
    fn from(partial: &'a PartialModel) -> Self {
        Self {
            name: Name::from(&partial.model),
            status: partial.status.as_str(),
            bytes_done: partial.bytes_done,
            total_bytes: partial.total_bytes,
            files: partial.files,
            source: partial.source.as_deref(),
            last_error: partial.last_error.as_deref(),
            touched_at: rfc3339(partial.touched_at),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct List<'a> {
    models: Vec<Installed<'a>>,
    partials: Vec<Partial<'a>>,
}

impl<'a> From<&'a Listing> for List<'a> {
    fn from(listing: &'a Listing) -> Self {
        Self {
            models: listing.models.iter().map(Into::into).collect(),
            partials: listing.partials.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Remote<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    source: &'a str,
    manifest_hash: Digest,
    commit: Option<&'a str>,
    total_bytes: Option<u64>,
    files: Option<u64>,
    alias_of: Option<&'a str>,
    installed: bool,
    #[serde(rename = "type")]
    model_type: Option<&'a RawValue>,
    description: Option<&'a RawValue>,
    tags: Tags<'a>,
    metadata: &'a RemoteMetadata,
}

impl<'a> Remote<'a> {
    pub(super) fn new(remote: &'a RemoteModel, installed: bool) -> Self {
        // As the index has them: of 100,000 versions, none is read and written again.
        let facts = remote.metadata.raw_facts();
        Self {
            name: Name::from(&remote.model),
            source: &remote.source,
            manifest_hash: remote.manifest_digest,
            commit: remote.commit.as_deref(),
            total_bytes: remote.total_bytes,
            files: remote.files,
            alias_of: remote.alias_of.as_deref(),
            installed,
            model_type: facts.model_type,
            description: facts.description,
            tags: Tags(facts.tags),
            metadata: &remote.metadata,
        }
    }
}

/// A list as it is written, or an empty one.
#[derive(Debug)]
struct Tags<'a>(Option<&'a RawValue>);

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(list) => list.serialize(serializer),
            None => serializer.collect_seq([(); 0]),
        }
    }
}

/// A document with what sources offer.
#[derive(Debug, Serialize)]
pub(super) struct Offered<'a> {
    pub(super) models: Vec<Remote<'a>>,
    pub(super) failures: Vec<RegistryFailed<'a>>,
}

/// A registry that could not be read.
#[derive(Debug, Serialize)]
pub(super) struct RegistryFailed<'a> {
    source: &'a str,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    error: Failed,
}

impl<'a> From<&'a RegistryFailure> for RegistryFailed<'a> {
    fn from(failure: &'a RegistryFailure) -> Self {
        Self {
            source: &failure.source,
            reference: failure.reference.as_deref(),
            error: Failed::from(&failure.error),
        }
    }
}

/// A document with examples.
#[derive(Debug, Serialize)]
pub(super) struct Examples<'a> {
    pub(super) examples: Vec<Example<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Example<'a> {
    name: &'a str,
    source: &'a str,
    #[serde(rename = "ref")]
    reference: &'a str,
    models: Vec<Name<'a>>,
}

impl<'a> From<&'a crate::Example> for Example<'a> {
    fn from(example: &'a crate::Example) -> Self {
        Self {
            name: &example.name,
            source: &example.source,
            reference: &example.reference,
            models: example.models.iter().map(Into::into).collect(),
        }
    }
}

/// A document with a list of anything.
#[derive(Debug, Serialize)]
pub(super) struct Models<T> {
    pub(super) models: Vec<T>,
}

#[derive(Debug, Serialize)]
pub(super) struct File<'a> {
    path: &'a str,
    /// `null` where the registry leaves it out.
    bytes: Option<u64>,
    sha256: Option<Digest>,
}

impl<'a> From<&'a ManifestFile> for File<'a> {
    fn from(file: &'a ManifestFile) -> Self {
        Self {
            path: file.path.as_str(),
            bytes: Some(file.size_bytes),
            sha256: file.digest,
        }
    }
}

impl<'a> From<&'a RemoteFile> for File<'a> {
    fn from(file: &'a RemoteFile) -> Self {
        Self {
            path: file.path.as_str(),
            bytes: file.size_bytes,
            sha256: file.digest,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct InstalledInfo<'a> {
    #[serde(flatten)]
    model: Installed<'a>,
    chunks: usize,
    content: Vec<File<'a>>,
}

impl<'a> From<&'a InstalledDetail> for InstalledInfo<'a> {
    fn from(detail: &'a InstalledDetail) -> Self {
        let content = detail.files().iter().map(File::from).collect();
        Self {
            model: Installed::from(&detail.installed),
            chunks: detail.manifest.parts().len(),
            content,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RemoteInfo<'a> {
    #[serde(flatten)]
    model: Remote<'a>,
    chunks: usize,
    content: Vec<File<'a>>,
}

impl<'a> RemoteInfo<'a> {
    pub(super) fn new(detail: &'a RemoteDetail, installed: bool) -> Self {
        Self {
            model: Remote {
                total_bytes: detail.total_bytes,
                files: Some(detail.files.len() as u64),
                ..Remote::new(&detail.remote, installed)
            },
            chunks: detail.parts,
            content: detail.files.iter().map(File::from).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Sources<'a> {
    pub(super) sources: Vec<Source<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Source<'a> {
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
pub(super) struct Synced<'a> {
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
                    reason: crate::error::chain(&registry.reason),
                    error: Some(Failed::from(&registry.reason)),
                })
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Cleared<'a> {
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

#[derive(Debug, Serialize)]
pub(super) struct Pulled<'a> {
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
            total_bytes: report.bytes_total,
            bytes_fetched: report.bytes_fetched,
            bytes_reused: report.bytes_reused,
            bytes_resumed: report.bytes_resumed,
            elapsed_ms: report.elapsed.as_millis(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Matching<'a> {
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
pub(super) struct Plan<'a> {
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
            total_bytes: plan.bytes_total,
            bytes_to_fetch: plan.bytes_to_fetch,
            bytes_reused: plan.bytes_reused,
            bytes_resumed: plan.bytes_resumed,
            requests: plan.requests,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Removed<'a> {
    removed: Vec<Name<'a>>,
    bytes_freed: u64,
}

impl<'a> From<&'a RemoveReport> for Removed<'a> {
    fn from(report: &'a RemoveReport) -> Self {
        Self {
            removed: report.removed.iter().map(Into::into).collect(),
            bytes_freed: report.bytes_freed,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Path<'a> {
    pub(super) path: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Updated<'a> {
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

/// An error inside a report.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    code: &'static str,
    message: String,
}

impl From<&Error> for Failed {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code(),
            message: crate::error::chain(error),
        }
    }
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
            Freshness::Gone => ("gone", None, None),
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
            total_bytes: change.map(|change| change.bytes_total),
            bytes_to_fetch: change.map(|change| change.bytes_to_fetch),
            files_unsized: change.map(|change| change.files_unsized),
            error,
            applied: entry.applied.as_ref().map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Verified<'a> {
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
pub(super) struct Copied<'a> {
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

#[derive(Debug, Serialize)]
pub(super) struct Pruned<'a> {
    removed: Vec<PrunedPartial<'a>>,
    leftovers: Vec<String>,
    bytes_freed: u64,
    in_use: Vec<Name<'a>>,
}

#[derive(Debug, Serialize)]
struct PrunedPartial<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    bytes: u64,
}

impl<'a> Pruned<'a> {
    pub(super) fn new(plan: &'a PrunePlan, in_use: &'a [ModelRef]) -> Self {
        let partial = |partial: &'a crate::PrunedPartial| PrunedPartial {
            name: (&partial.model).into(),
            bytes: partial.bytes,
        };
        Self {
            removed: plan.partials.iter().map(partial).collect(),
            leftovers: plan
                .leftovers
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            bytes_freed: plan.bytes,
            in_use: in_use.iter().map(Into::into).collect(),
        }
    }
}

#[cfg(feature = "author")]
#[derive(Debug, Serialize)]
pub(super) struct Published<'a> {
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
    pub(super) fn new(
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
