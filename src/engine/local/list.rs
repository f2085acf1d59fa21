//! What is installed, what lies half done, and what sources offer.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, IoContext, Result, is_missing};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstalledModel {
    /// Its name.
    #[serde(flatten)]
    pub model: ModelRef,
    /// [`Status::Available`], or [`Status::Deleted`] when its folder is gone.
    pub status: Status,
    /// Its folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// What tells whether its source has another state: see [`RemoteModel::manifest_digest`](crate::remote::RemoteModel).
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The size of all files together.
    pub total_bytes: u64,
    /// The number of files.
    pub files: u64,
    /// When it was installed, to the second.
    #[serde(serialize_with = "crate::time::serialize")]
    pub installed_at: SystemTime,
    /// The key of the source it came from; `None` when another implementation installed it.
    pub source: Option<String>,
    /// The commit that its files are of; `None` where there are no commits.
    pub commit: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PartialModel {
    /// What was pulled.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Whether somebody is at it.
    pub status: Status,
    /// Bytes that are there.
    pub bytes_done: u64,
    /// The size of all files together; `None` as long as the sizes of some are unknown.
    pub total_bytes: Option<u64>,
    /// The number of files; `None` where only its manifest says it, which is not there yet.
    pub files: Option<u64>,
    /// The key of the source.
    pub source: Option<String>,
    /// Its type, as far as it is known.
    #[serde(rename = "type")]
    pub model_type: Option<String>,
    /// Why the last pull ended, when it could still say so.
    pub last_error: Option<String>,
    /// When it was last touched.
    #[serde(serialize_with = "crate::time::serialize")]
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
            total_bytes: None,
            files: None,
            source: None,
            model_type: None,
            last_error: None,
            touched_at: SystemTime::now(),
        }
    }
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// Complete models, in the order of names.
    pub models: Vec<InstalledModel>,
    /// Unfinished pulls, in the order of names.
    pub partials: Vec<PartialModel>,
}

/// An installed model with its files.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InstalledDetail {
    /// What is recorded.
    #[serde(flatten)]
    pub installed: InstalledModel,
    /// Its manifest.
    #[serde(flatten, serialize_with = "contents")]
    pub manifest: Manifest,
}

/// Writes how many parts the files come in, and the files.
fn contents<S: Serializer>(manifest: &Manifest, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Contents", 2)?;
    fields.serialize_field("chunks", &manifest.parts().len())?;
    fields.serialize_field("content", manifest.files())?;
    fields.end()
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
            .map(|wanted| self.sources.named(wanted))
            .transpose()?;
        // What is unknown matches nothing that is asked for.
        let is_wanted = |model: &ModelRef, key: Option<&str>, model_type: Option<&str>| {
            let of_type = options.model_type.as_deref();
            options.scope.contains(model)
                && source
                    .as_ref()
                    .is_none_or(|wanted| key == Some(wanted.identity().key.as_str()))
                && of_type.is_none_or(|wanted| model_type == Some(wanted))
        };
        let has_status = |status| options.status.is_none_or(|wanted| wanted == status);
        let records = self.records()?;
        let models = records
            .iter()
            .filter(|(model, record)| {
                let (key, model_type) = (&record.source, &record.model_type);
                is_wanted(model, key.as_deref(), model_type.as_deref())
            })
            .map(|(model, record)| self.installed(model, record))
            .filter(|model| has_status(model.status))
            .collect();
        let mut partials = self.partials();
        partials.retain(|partial| {
            let (key, model_type) = (&partial.source, &partial.model_type);
            is_wanted(&partial.model, key.as_deref(), model_type.as_deref())
                && has_status(partial.status)
        });
        partials.sort_by(|a, b| a.model.cmp(&b.model));
        Ok(Listing { models, partials })
    }

    /// All unfinished pulls: those that left something on disk, and those of this process whose turn has not come.
    fn partials(&self) -> Vec<PartialModel> {
        let mut pending = self.downloads.pending();
        let found = find_partials(self.store.layout());
        let found = found.into_iter().filter_map(|found| {
            let model = found.record.model_ref()?;
            let is_pending = pending.iter().any(|settled| settled.model == model);
            Some(PartialModel {
                status: if self.store.is_busy(&model) {
                    Status::Downloading
                } else if is_pending {
                    Status::Pending
                } else {
                    Status::Error
                },
                bytes_done: found.bytes(),
                total_bytes: found.record.total_size,
                files: Some(found.record.file_count),
                source: found.record.source,
                model_type: found.record.model_type,
                last_error: found.record.last_error,
                touched_at: found.touched_at,
                model,
            })
        });
        let mut partials: Vec<PartialModel> = found.collect();
        pending.retain(|settled| {
            partials
                .iter()
                .all(|partial| partial.model != settled.model)
        });
        partials.extend(pending.into_iter().map(|settled| PartialModel {
            total_bytes: settled.total_bytes,
            files: settled.files,
            source: Some(settled.source),
            model_type: settled.model_type,
            ..PartialModel::new(settled.model, Status::Pending)
        }));
        partials
    }

    pub(crate) fn get(&self, address: &ModelAddress) -> Result<InstalledDetail> {
        let records = self.records()?;
        let model = self.reading(address)?.find_installed(&records)?;
        let record = records
            .get(&model)
            .ok_or_else(|| Error::internal("an installed model has no record"))?;
        self.existing_dir(&model)?;
        let manifest = self.store.manifest(&model, record.manifest_hash)?;
        Ok(InstalledDetail {
            installed: self.installed(model, record),
            manifest,
        })
    }

    pub(crate) fn path(&self, address: &ModelAddress) -> Result<PathBuf> {
        let model = self.reading(address)?.find_installed(&self.records()?)?;
        self.existing_dir(&model)
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
