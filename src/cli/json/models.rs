//! Models of the store.

use serde::Serialize;

use super::Name;
use crate::time::rfc3339;
use crate::{
    Digest, GitBlobId, InstalledDetail, InstalledModel, Listing, ManifestFile, Metadata, ModelRef,
    PartialModel, PrunePlan, RemoveReport,
};

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Installed<'a> {
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
            status: model.status.as_str(),
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
pub(in crate::cli) struct Partial<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    status: &'static str,
    bytes_done: u64,
    total_bytes: Option<u64>,
    files: Option<u64>,
    source: Option<&'a str>,
    #[serde(rename = "type")]
    model_type: Option<&'a str>,
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
            model_type: partial.model_type.as_deref(),
            last_error: partial.last_error.as_deref(),
            touched_at: rfc3339(partial.touched_at),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct List<'a> {
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
pub(in crate::cli) struct File<'a> {
    path: &'a str,
    /// `null` where the registry leaves it out.
    bytes: Option<u64>,
    sha256: Option<Digest>,
    git_blob: Option<GitBlobId>,
}

impl<'a> From<&'a ManifestFile> for File<'a> {
    fn from(file: &'a ManifestFile) -> Self {
        Self {
            path: file.path.as_str(),
            bytes: file.size_bytes,
            sha256: file.digest.and_then(|digest| digest.sha256()),
            git_blob: file.digest.and_then(|digest| digest.git_blob()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct InstalledInfo<'a> {
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
pub(in crate::cli) struct Removed<'a> {
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
pub(in crate::cli) struct Path<'a> {
    pub(in crate::cli) path: &'a str,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Pruned<'a> {
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
    pub(in crate::cli) fn new(plan: &'a PrunePlan, in_use: &'a [ModelRef]) -> Self {
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
