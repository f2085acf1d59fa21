//! What is installed, and which pulls have not ended.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::catalog::RawMetadata;
use crate::digest::Digest;
use crate::engine::Engine;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::{ModelAddress, ModelName, ModelRef};
use crate::setters::setters;
use crate::store::partial::find_partials;
use crate::store::record::{ModelRecord, Records};

/// Which models a listing includes.
///
/// ```
/// use modelrack::ModelRef;
/// use modelrack::installed::Scope;
///
/// let model = ModelRef::new("mf6/test", "test001a", "develop")?;
/// assert!(Scope::All.contains(&model));
/// assert!(Scope::Group("mf6".into()).contains(&model));
/// assert!(Scope::Model("mf6/test/test001a".parse()?).contains(&model));
/// assert!(!Scope::Group("mf".into()).contains(&model));
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All models.
    #[default]
    All,
    /// The models of a group, and of the groups below it.
    Group(String),
    /// The versions of one model.
    Model(ModelName),
}

impl Scope {
    /// Returns whether a model is in scope; [`Scope`] has an example.
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

/// The status of a model in the store.
///
/// ```
/// use modelrack::installed::Status;
///
/// fn advice(status: Status) -> &'static str {
///     match status {
///         Status::Available => "ready to use",
///         Status::Pending | Status::Downloading => "being pulled",
///         Status::Error => "pull it again; the pull resumes",
///         Status::Deleted => "its folder is gone; pull it again",
///         Status::Unverified => "verified before it is used, since the system was restarted",
///         _ => status.as_str(),
///     }
/// }
///
/// assert_eq!(advice(Status::Error), "pull it again; the pull resumes");
/// assert_eq!(Status::Downloading.as_str(), "downloading");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Complete and ready to use.
    Available,
    /// Waiting until fewer other models are being pulled.
    Pending,
    /// Being pulled.
    Downloading,
    /// Incomplete, because its last pull failed; the next one resumes.
    Error,
    /// Recorded, but its folder is gone; a pull restores it.
    Deleted,
    /// Installed, but not known to have been on the disk when the system was restarted or lost power. It is verified before it
    /// is used; see [after a power cut](crate::installed#after-a-power-cut).
    Unverified,
}

impl Status {
    /// Returns the name that `--json` uses; [`Status`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Pending => "pending",
            Self::Downloading => "downloading",
            Self::Error => "error",
            Self::Deleted => "deleted",
            Self::Unverified => "unverified",
        }
    }
}

/// Which installed models and unfinished pulls to list. Default: all of them.
///
/// ```
/// use modelrack::installed::{Scope, Status};
/// use modelrack::{ListOptions, Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let options = ListOptions::default()
///     .scope(Scope::Group("digits".into()))
///     .source("digits")
///     .model_type("classification")
///     .status(Status::Available);
/// assert_eq!(manager.list(&options)?.models.len(), 1);
/// assert!(manager.list(&options.status(Status::Deleted))?.models.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListOptions {
    /// The models to list. Default: all.
    pub scope: Scope,
    /// Only models of the source with this key or name. Default: of all sources.
    pub source: Option<String>,
    /// Only models of this type, such as `text-generation`. Default: of any type.
    pub model_type: Option<String>,
    /// Only models with this status. Default: with any status.
    pub status: Option<Status>,
}

setters!(ListOptions {
    scope: Scope,
    source: Some(impl Into<String>),
    model_type: Some(impl Into<String>),
    status: impl Into<Option<Status>>,
});

/// An installed version of a model; [`Listing`] has an example.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstalledModel {
    /// The model.
    #[serde(flatten)]
    pub model: ModelRef,
    /// [`Status::Available`], [`Status::Unverified`], or [`Status::Deleted`] if its folder is gone.
    pub status: Status,
    /// Its folder.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// The state that is installed; compare it with
    /// [`RemoteModel::manifest_digest`](crate::remote::RemoteModel::manifest_digest).
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The total size of its files.
    pub total_bytes: u64,
    /// The number of files.
    pub files: u64,
    /// When it was installed, to the second.
    #[serde(serialize_with = "crate::time::serialize")]
    pub installed_at: SystemTime,
    /// The key of the source it came from; `None` if it was made by hand, or another implementation installed it.
    pub source: Option<String>,
    /// Whether it was [installed](crate::Manager::install) from files that somebody made: no source has it.
    pub made_by_hand: bool,
    /// The commit that its files belong to; `None` if its source has no commits.
    pub commit: Option<String>,
    /// Its type, such as `text-generation`; `None` if neither its registry nor an [`Annotation`](crate::installed::Annotation)
    /// states one.
    #[serde(rename = "type")]
    pub model_type: Option<String>,
    /// Its tags; may be empty.
    pub tags: Vec<String>,
    /// The patterns of [`PullOptions::include`](crate::PullOptions::include) that it was pulled with; may be empty.
    pub include: Vec<String>,
    /// The patterns of [`PullOptions::exclude`](crate::PullOptions::exclude) that it was pulled with; may be empty.
    pub exclude: Vec<String>,
    /// Everything that its registry and its annotation state about it; may be empty.
    pub metadata: RawMetadata,
}

impl InstalledModel {
    /// Creates an installed model without files or metadata, installed now; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
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
            made_by_hand: false,
            model_type: None,
            tags: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            metadata: RawMetadata::default(),
        }
    }

    /// Returns the `description` in the metadata; [`Listing`] has an example.
    #[must_use]
    pub fn description(&self) -> Option<String> {
        self.metadata.facts().description
    }
}

/// A pull that is running or has failed; [`Listing`] has an example.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PartialModel {
    /// The model.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Whether it is waiting, running, or has failed.
    pub status: Status,
    /// The number of bytes that are in the store already.
    pub bytes_done: u64,
    /// The total size of its files; `None` while the sizes of some are unknown.
    pub total_bytes: Option<u64>,
    /// The number of files; `None` until the manifest has been fetched.
    pub files: Option<u64>,
    /// The key of the source, if known.
    pub source: Option<String>,
    /// Its type, if known.
    #[serde(rename = "type")]
    pub model_type: Option<String>,
    /// Why the last pull failed; `None` if it could not record that, for instance because it was killed.
    pub last_error: Option<String>,
    /// When the pull last wrote to it.
    #[serde(serialize_with = "crate::time::serialize")]
    pub touched_at: SystemTime,
}

impl PartialModel {
    /// Creates an unfinished pull without any bytes, touched now; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
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

/// The content of the store, as [`Manager::list`](crate::Manager::list) returns it.
///
/// ```
/// use modelrack::{ListOptions, Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let listing = manager.list(&ListOptions::default())?;
/// for model in &listing.models {
///     println!("{} ({}) in {}", model.model, model.status.as_str(), model.path.display());
///     println!("  {} files, {} bytes, {}", model.files, model.total_bytes, model.manifest_digest);
///     println!("  from {:?} at {:?}, {:?} ago", model.source, model.commit, model.installed_at.elapsed()?);
///     println!("  files that match {:?} and not {:?}", model.include, model.exclude);
/// }
/// for partial in &listing.partials {
///     println!("{} ({}): {} of {:?} bytes", partial.model, partial.status.as_str(), partial.bytes_done, partial.total_bytes);
///     println!("  {:?} files of type {:?} from {:?}", partial.files, partial.model_type, partial.source);
///     println!("  touched {:?} ago: {:?}", partial.touched_at.elapsed()?, partial.last_error);
/// }
///
/// let model = &listing.models[0];
/// assert_eq!(model.model_type.as_deref(), Some("classification"));
/// assert_eq!(model.tags, ["digits", "images"]);
/// assert_eq!(model.description().as_deref(), model.metadata.to_map()["description"].as_str());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// Installed models, in the order of names.
    pub models: Vec<InstalledModel>,
    /// Unfinished pulls, in the order of names.
    pub partials: Vec<PartialModel>,
}

/// An installed model with its files, as [`Manager::get`](crate::Manager::get) returns it.
///
/// ```
/// use modelrack::{Manager, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let detail = manager.get(&"digits/logistic v1".parse()?)?;
/// for file in detail.files() {
///     println!("{} {:?} bytes", file.path, file.size_bytes);
/// }
/// assert_eq!(detail.files().len() as u64, detail.installed.files);
/// assert_eq!(detail.manifest.digest(), detail.installed.manifest_digest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InstalledDetail {
    /// The model as it is listed.
    #[serde(flatten)]
    pub installed: InstalledModel,
    /// Its manifest: the files, with sizes and digests.
    #[serde(flatten, serialize_with = "contents")]
    pub manifest: Manifest,
}

/// Writes the number of parts, and the files.
fn contents<S: Serializer>(manifest: &Manifest, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Contents", 3)?;
    fields.serialize_field("chunks", &manifest.parts().len())?;
    fields.serialize_field("chunk_size", &manifest.chunk_bytes())?;
    fields.serialize_field("content", manifest.files())?;
    fields.end()
}

impl InstalledDetail {
    /// Combines an installed model and its manifest; for [implementations of
    /// `Manager`](crate::installed#reports-of-your-own).
    #[must_use]
    pub fn new(installed: InstalledModel, manifest: Manifest) -> Self {
        Self {
            installed,
            manifest,
        }
    }

    /// Returns the files of the manifest; [`InstalledDetail`] has an example.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        self.manifest.files()
    }
}

impl Engine {
    pub(crate) fn installed(&self, model: ModelRef, record: ModelRecord) -> InstalledModel {
        let path = self.store.layout().model_dir(&model);
        let Selection { include, exclude } = Selection::recorded(&record);
        InstalledModel {
            status: match path.is_dir() {
                true if self.store.is_unverified(&model, &record) => Status::Unverified,
                true => Status::Available,
                false => Status::Deleted,
            },
            path,
            manifest_digest: record.offered(),
            commit: record.commit().map(str::to_owned),
            total_bytes: record.total_size,
            files: record.file_count,
            installed_at: record.installed_at,
            source: record.source,
            made_by_hand: record.made_by_hand,
            model_type: record.model_type,
            tags: record.tags,
            include,
            exclude,
            metadata: record.metadata,
            model,
        }
    }

    pub(crate) fn list(&self, options: &ListOptions) -> Result<Listing> {
        let source = options.source.as_deref();
        let source = source
            .map(|wanted| self.sources.named(wanted))
            .transpose()?;
        let key = source.as_ref().map(|source| source.identity().key.as_str());
        // What is unknown of a model matches no filter.
        let is_wanted = |model: &ModelRef, source: &Option<String>, model_type: &Option<String>| {
            options.scope.contains(model)
                && key.is_none_or(|wanted| source.as_deref() == Some(wanted))
                && (options.model_type.is_none() || options.model_type == *model_type)
        };
        let has_status = |status| options.status.is_none_or(|wanted| wanted == status);
        let models = self
            .records()?
            .into_models()
            .filter(|(model, record)| is_wanted(model, &record.source, &record.model_type))
            .map(|(model, record)| self.installed(model, record))
            .filter(|model| has_status(model.status))
            .collect();
        let mut partials = self.partials();
        partials.retain(|partial| {
            is_wanted(&partial.model, &partial.source, &partial.model_type)
                && has_status(partial.status)
        });
        partials.sort_by(|a, b| a.model.cmp(&b.model));
        Ok(Listing { models, partials })
    }

    /// Returns all unfinished pulls: those that left something on disk, and those of this process whose turn has not come.
    fn partials(&self) -> Vec<PartialModel> {
        let mut pending = self.downloads.pending();
        let mut partials: Vec<PartialModel> = Vec::new();
        for partial in find_partials(self.store.layout()) {
            let Some(model) = partial.record.model_ref() else {
                continue;
            };
            let status = if self.store.is_busy(&model) {
                Status::Downloading
            } else if pending.iter().any(|target| target.model == model) {
                Status::Pending
            } else {
                Status::Error
            };
            partials.push(PartialModel {
                bytes_done: partial.bytes(),
                total_bytes: partial.record.total_size,
                files: Some(partial.record.file_count),
                source: partial.record.source,
                model_type: partial.record.model_type,
                last_error: partial.record.last_error,
                touched_at: partial.touched_at,
                ..PartialModel::new(model, status)
            });
        }
        pending.retain(|target| partials.iter().all(|partial| partial.model != target.model));
        partials.extend(pending.into_iter().map(|target| PartialModel {
            total_bytes: target.total_bytes,
            files: target.files,
            source: Some(target.source),
            model_type: target.model_type,
            ..PartialModel::new(target.model, Status::Pending)
        }));
        partials
    }

    pub(crate) fn get(&self, address: &ModelAddress) -> Result<InstalledDetail> {
        let records = self.records()?;
        let model = self.reading(address)?.find_installed(&records)?;
        self.detail(&records, model)
    }

    pub(crate) fn detail(&self, records: &Records, model: ModelRef) -> Result<InstalledDetail> {
        let record = record_of(records, &model)?;
        self.usable_dir(&model, record)?;
        let manifest = self.store.manifest(&model, record.manifest_hash)?;
        Ok(InstalledDetail::new(
            self.installed(model, record.clone()),
            manifest,
        ))
    }

    pub(crate) fn path(&self, address: &ModelAddress) -> Result<PathBuf> {
        let records = self.records()?;
        let model = self.reading(address)?.find_installed(&records)?;
        self.usable_dir(&model, record_of(&records, &model)?)
    }
}

fn record_of<'a>(records: &'a Records, model: &ModelRef) -> Result<&'a ModelRecord> {
    let record = records.get(model);
    record.ok_or_else(|| Error::internal("an installed model has no record"))
}
