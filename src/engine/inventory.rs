//! What is installed, what lies half done, and what sources offer.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::engine::resolve::find_installed;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::{ModelAddress, ModelName, ModelRef};
use crate::setters::setters;
use crate::store::partial::find_partials;
use crate::store::record::ModelRecord;

/// Which models a listing is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// Those of a group, and of the groups below it.
    Group(String),
    /// The versions of one model.
    Model(ModelName),
}

impl Scope {
    /// Returns whether a model belongs to it.
    #[must_use]
    pub fn contains(&self, model: &ModelRef) -> bool {
        match self {
            Self::All => true,
            Self::Group(group) => {
                let rest = model.group().strip_prefix(group.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Model(name) => model.name() == name,
        }
    }
}

/// What a model in the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Complete and ready to use.
    Available,
    /// Waits until fewer other models are being pulled.
    Pending,
    /// Being pulled just now.
    Downloading,
    /// A pull ended before it was complete; the next one goes on.
    Error,
    /// It is recorded, and somebody else removed its folder; a pull brings it back.
    Deleted,
}

impl Status {
    /// Returns the word that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Pending => "pending",
            Self::Downloading => "downloading",
            Self::Error => "error",
            Self::Deleted => "deleted",
        }
    }
}

/// Which installed models to list.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListOptions {
    /// Which models.
    pub scope: Scope,
    /// Only those of the source with this key or name.
    pub source: Option<String>,
    /// Only those of this type.
    pub model_type: Option<String>,
    /// Only those with this status.
    pub status: Option<Status>,
}

setters!(ListOptions {
    scope: Scope,
    source: impl Into<Option<String>>,
    model_type: impl Into<Option<String>>,
    status: impl Into<Option<Status>>,
});

/// An installed model version.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InstalledModel {
    /// Its name.
    pub model: ModelRef,
    /// [`Status::Available`], or [`Status::Deleted`] when its folder is gone.
    pub status: Status,
    /// Its folder.
    pub path: PathBuf,
    /// What tells whether its source has another state: see [`RemoteModel::manifest_digest`](crate::RemoteModel).
    pub manifest_digest: Digest,
    /// The commit that its files are of; `None` where there are no commits.
    pub commit: Option<String>,
    /// The size of all files together.
    pub total_bytes: u64,
    /// The number of files.
    pub files: u64,
    /// When it was installed, to the second.
    pub installed_at: SystemTime,
    /// The key of the source it came from; `None` when another implementation installed it.
    pub source: Option<String>,
    /// Its type.
    pub model_type: Option<String>,
    /// Its tags; may be empty.
    pub tags: Vec<String>,
    /// What the registry said about it; may be empty.
    pub metadata: Metadata,
}

impl InstalledModel {
    /// Makes an installed model of no files, installed now, about which nothing is said.
    #[must_use]
    pub fn new(model: ModelRef, path: PathBuf, manifest_digest: Digest) -> Self {
        Self {
            model,
            status: Status::Available,
            path,
            manifest_digest,
            commit: None,
            total_bytes: 0,
            files: 0,
            installed_at: SystemTime::now(),
            source: None,
            model_type: None,
            tags: Vec::new(),
            metadata: Metadata::new(),
        }
    }
}

impl InstalledModel {
    /// Returns the `description` of the metadata.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.metadata.get("description")?.as_str()
    }
}

/// A pull that has not ended well, or not yet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PartialModel {
    /// What was pulled.
    pub model: ModelRef,
    /// Whether somebody is at it.
    pub status: Status,
    /// Bytes that are there.
    pub bytes_done: u64,
    /// The size of all files together.
    pub total_bytes: u64,
    /// The number of files.
    pub files: u64,
    /// The key of the source.
    pub source: Option<String>,
    /// Why the last pull ended, when it could still say so.
    pub last_error: Option<String>,
    /// When it was last touched.
    pub touched_at: SystemTime,
}

impl PartialModel {
    /// Makes an unfinished pull of which nothing is there yet, touched now.
    #[must_use]
    pub fn new(model: ModelRef, status: Status) -> Self {
        Self {
            model,
            status,
            bytes_done: 0,
            total_bytes: 0,
            files: 0,
            source: None,
            last_error: None,
            touched_at: SystemTime::now(),
        }
    }
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Listing {
    /// Complete models, in the order of names.
    pub models: Vec<InstalledModel>,
    /// Unfinished pulls, in the order of names.
    pub partials: Vec<PartialModel>,
}

/// An installed model with its files.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InstalledDetail {
    /// What is recorded.
    pub installed: InstalledModel,
    /// Its manifest.
    pub manifest: Manifest,
}

impl InstalledDetail {
    /// Joins an installed model and its manifest.
    #[must_use]
    pub fn new(installed: InstalledModel, manifest: Manifest) -> Self {
        Self {
            installed,
            manifest,
        }
    }
}

impl InstalledDetail {
    /// Returns the files.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        self.manifest.files()
    }
}

impl Engine {
    pub(crate) fn installed(&self, model: ModelRef, record: &ModelRecord) -> InstalledModel {
        let path = self.store.layout().model_dir(&model);
        InstalledModel {
            status: if path.is_dir() {
                Status::Available
            } else {
                Status::Deleted
            },
            path,
            manifest_digest: record.offered(),
            commit: record.commit().map(str::to_owned),
            total_bytes: record.total_size,
            files: record.file_count,
            installed_at: record.installed_at,
            source: record.source.clone(),
            model_type: record.model_type.clone(),
            tags: record.tags.clone(),
            metadata: record.metadata.clone(),
            model,
        }
    }

    pub(crate) fn list(&self, options: &ListOptions) -> Result<Listing> {
        let source = options
            .source
            .as_deref()
            .map(|wanted| self.source_key(wanted))
            .transpose()?;
        let of_source =
            |key: Option<&str>| source.as_deref().is_none_or(|wanted| key == Some(wanted));
        let records = self.records()?;
        let models = records
            .iter()
            .filter(|(model, record)| {
                options.scope.contains(model)
                    && of_source(record.source.as_deref())
                    && options
                        .model_type
                        .as_deref()
                        .is_none_or(|wanted| record.model_type.as_deref() == Some(wanted))
            })
            .map(|(model, record)| self.installed(model, record))
            .filter(|model| options.status.is_none_or(|status| status == model.status))
            .collect();
        let pending = self.downloads.pending();
        let mut partials: Vec<PartialModel> = find_partials(self.store.layout())
            .into_iter()
            .filter_map(|found| {
                let model = found.record.model_ref()?;
                Some(PartialModel {
                    status: if self.store.is_busy(&model) {
                        Status::Downloading
                    } else if pending.contains(&model) {
                        Status::Pending
                    } else {
                        Status::Error
                    },
                    bytes_done: found.bytes(),
                    total_bytes: found.record.total_size,
                    files: found.record.file_count,
                    source: found.record.source.clone(),
                    last_error: found.record.last_error.clone(),
                    touched_at: found.touched_at,
                    model,
                })
            })
            .filter(|partial| {
                options.scope.contains(&partial.model)
                    && of_source(partial.source.as_deref())
                    && options.status.is_none_or(|status| status == partial.status)
                    && options.model_type.is_none()
            })
            .collect();
        let has_partial: Vec<ModelRef> = partials
            .iter()
            .map(|partial| partial.model.clone())
            .collect();
        for model in pending {
            let is_wanted = options.scope.contains(&model)
                && source.is_none()
                && options.model_type.is_none()
                && options
                    .status
                    .is_none_or(|status| status == Status::Pending);
            if is_wanted && !has_partial.contains(&model) {
                partials.push(PartialModel::new(model, Status::Pending));
            }
        }
        partials.sort_by(|a, b| a.model.cmp(&b.model));
        Ok(Listing { models, partials })
    }

    pub(crate) fn get(&self, address: &ModelAddress) -> Result<InstalledDetail> {
        let records = self.records()?;
        let model = find_installed(&self.sources(), &records, address)?;
        let record = records
            .get(&model)
            .ok_or_else(|| Error::internal("a record that is gone"))?;
        let manifest = self.store.manifest(&model, record.manifest_hash)?;
        Ok(InstalledDetail {
            installed: self.installed(model, record),
            manifest,
        })
    }

    pub(crate) fn path(&self, address: &ModelAddress) -> Result<PathBuf> {
        let model = find_installed(&self.sources(), &self.records()?, address)?;
        let path = self.store.layout().model_dir(&model);
        if path.is_dir() {
            return Ok(path);
        }
        Err(Error::Storage {
            action: "find",
            path,
            source: std::io::ErrorKind::NotFound.into(),
        })
    }
}
