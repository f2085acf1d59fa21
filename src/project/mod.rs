//! The publisher's side.

mod change;
mod check;
mod home;
mod item;
mod list;
mod migrate;
mod publish;
mod registry;
mod scan;
mod work_tree;

pub use crate::modelstoml::{
    FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry,
};
pub use change::add::{AddOptions, AddReport};
pub use change::difference::{Difference, Dropped, FieldChange, ItemChange};
pub use change::plan::RegistryPlan;
pub use change::sync::{ResyncOptions, ResyncReport};
pub use check::{Category, Finding, Remedy, Severity, StatusOptions, StatusReport};
pub use home::{Limits, Project, ProjectOptions};
pub use item::{FailedPath, ItemId, ItemKind, RegisteredItem};
pub use list::{
    FileSummary, ItemDetail, ModelSummary, RegistryListing, SelectOptions, TargetSummary,
    VersionSummary,
};
pub use migrate::import::{ImportNote, ImportOptions, ImportReport};
pub use migrate::report::WrittenReport;
pub use publish::make::{MakeOptions, MakeOrigin, MakeReport, RepositoryRef};
pub use publish::{DEFAULT_CHUNK_BYTES, PublishOptions, PublishReport};
pub use scan::formats;
pub use scan::formats::{Description, Extent, ModelFile, ModelFormat};
pub use scan::hash::{HashCounts, HashProgress};
