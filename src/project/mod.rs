//! The publisher's side.
//!
//! A [`Project`] is a folder with the files of models and targets, and a registry, `.registry/models.toml`, that describes
//! them. Committed with the files, the registry makes a repository that others can pull from; [`Project::publish`] writes a
//! chunked registry instead.
//!
//! | name | what it is |
//! |---|---|
//! | [`Project`], [`ProjectOptions`] | a publisher's folder |
//! | [`ProjectRegistry`], [`ModelEntry`], [`RegisteredVersion`], [`TargetEntry`], [`Files`], [`FileFacts`], [`SortedMap`] | what is registered |
//! | [`AddOptions`], [`AddReport`], [`RegisteredItem`], [`FailedPath`] | registering |
//! | [`SelectOptions`], [`RegistryListing`], [`ModelSummary`], [`TargetSummary`], [`ItemDetail`] | listing |
//! | [`StatusOptions`], [`StatusReport`], [`Finding`], [`Remedy`] | checking |
//! | [`ResyncOptions`], [`ResyncReport`], [`Difference`], [`RegistryPlan`] | registering what has changed |
//! | [`PublishOptions`], [`PublishReport`], [`PublishSummary`], [`FailedPublish`] | publishing |
//! | [`RegistryPruneOptions`], [`RegistryPrunePlan`], [`RegistryPruneReport`], [`PrunedObject`] | removing what no version names from a published registry |
//! | [`MakeOptions`], [`MakeOrigin`], [`MakeReport`] | making the registry of many models at once |
//! | [`ImportOptions`], [`ImportReport`], [`WrittenReport`] | exchanging registries with other programs |
//! | [`formats`], [`ModelFormat`] | reading what files say about themselves |
//!
//! # Example
//!
//! From files to a model that others pull:
//!
//! ```
//! use modelrack::project::{AddOptions, Project, ProjectOptions, PublishOptions, ResyncOptions, StatusOptions};
//! use modelrack::transport::Url;
//! use modelrack::{Config, ManagerExt, ModelManager};
//!
//! # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
//! let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
//! let paths = [folder.path().join("models"), folder.path().join("targets")];
//! let added = project.add(&paths, &AddOptions::default())?;
//! assert!(added.failed.is_empty());
//!
//! // A model is edited; its next version is registered.
//! let file = folder.path().join("models/sir.py");
//! std::fs::write(&file, std::fs::read_to_string(&file)?.replace("0.3", "0.4"))?;
//! assert_eq!(project.status(&StatusOptions::default())?.warnings, 1, "the registry is stale");
//! project.resync(&ResyncOptions::default())?;
//! assert_eq!(project.registry().entries["sir"].current, "1.0.1");
//!
//! let registry = folder.path().join("public");
//! project.publish(&["sir"], &registry, &PublishOptions::default().group("epidemic"))?;
//!
//! let config = Config::new("tool").registry_url(Url::from_path(&registry)?.expose()).data_dir(folder.path().join("store"));
//! let manager = ModelManager::new(config);
//! assert!(manager.ensure("epidemic/sir 1.0.1")?.join("sir.py").is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # On disk
//!
//! `.registry/models.toml` has the [tables that every reader knows](crate::remote#registries), for the current versions, and
//! these. Those who pull read `[entries]` for what it says about a model, and ignore the rest:
//!
//! ```toml
//! # A registry of models; without its last line, '# end', it was cut short.
//!
//! [entries.sir]
//! name = "SIR"                                # the name that people read
//! description = "A compartment model"         # optional, as are type, status, tags and all after `path`
//! type = "other"
//! status = "stable"                           # where it is in its life, in a word of the publisher
//! tags = ["epidemiology"]
//! current = "1.0.1"                           # the version in [models] and [files]: the highest, or one gone back to
//! path = "models/sir.py"                      # what was registered: a file, or a folder with everything in it
//! format = "python"                           # the format that read it
//! entrypoint = "models.sir:SIR"
//! outputs = ["incidence"]
//! data = ["data/observed.csv"]                # files it needs; they are pulled with it
//! code = ["models/common.py"]
//! given = ["type"]                            # fields set by hand, which the files do not override
//!
//! [entries.sir.versions."1.0.0"]
//! registered_at = 2026-01-31T12:00:00.123456Z
//! digest = "sha256:…"                         # of the paths, sizes and digests of its files
//! [entries.sir.versions."1.0.0".metadata]     # what the files state; optional
//! parameters = 42
//! [entries.sir.versions."1.0.0".files]        # for the current version, only files that differ from [files]
//! "models/sir.py" = { hash = "sha256:…", size = 812 }
//!
//! [targets.incidence]
//! path = "targets/incidence.py"
//! entrypoint = "targets.incidence:incidence_target"
//! model_output = "incidence"
//! data = ["data/observed.csv"]
//! registered_at = 2026-01-31T12:00:00.123456Z
//! digest = "sha256:…"
//! [targets.incidence.files]
//! "targets/incidence.py" = { hash = "sha256:…", size = 300 }
//!
//! [target_sets]
//! main = ["incidence"]
//!
//! # end                                       # a file with the first line but not this one was cut short
//! ```
//!
//! Unknown tables and keys are kept when the registry is changed.

mod change;
mod check;
mod home;
mod item;
mod list;
mod migrate;
mod options;
mod publish;
mod registry;
mod scan;
mod work_tree;

pub use crate::modelstoml::{
    FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, SortedMap, TargetEntry,
};
pub use crate::publish::PublishTarget;
pub use crate::publish::{Chunking, DEFAULT_CHUNK_BYTES};
pub use change::add::{AddOptions, AddReport};
pub use change::difference::{Difference, Dropped, FieldChange, ItemChange};
pub use change::plan::RegistryPlan;
pub use change::sync::{ResyncOptions, ResyncReport};
pub use check::{Category, Finding, Remedy, Severity, StatusOptions, StatusReport};
pub use home::Project;
pub use item::{FailedPath, ItemId, ItemKind, RegisteredItem};
pub use list::{
    FileSummary, ItemDetail, ModelSummary, RegistryListing, SelectOptions, TargetSummary,
    VersionSummary,
};
pub use migrate::import::{ImportNote, ImportOptions, ImportReport};
pub use migrate::report::WrittenReport;
pub use options::ProjectOptions;
pub use publish::make::{MakeOptions, MakeOrigin, MakeReport, RepositoryRef};
pub use publish::{
    FailedPublish, PrunedObject, PublishOptions, PublishReport, PublishSummary,
    RegistryPruneOptions, RegistryPrunePlan, RegistryPruneReport,
};
pub use scan::formats;
pub use scan::formats::{Description, Extent, ModelFile, ModelFormat};
