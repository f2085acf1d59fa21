//! The publisher's side.

mod browse;
mod difference;
mod enter;
pub mod formats;
mod hash;
mod home;
mod import;
mod item;
mod known;
mod make;
mod publish;
mod python;
mod register;
mod registry;
mod report;
mod status;
mod survey;
mod sync;
mod walk;
mod work_tree;

pub use difference::{Difference, Dropped, FieldChange, ItemChange};
pub use formats::{Description, Extent, ModelFile, ModelFormat};
pub use hash::{HashProgress, Hashed};
#[cfg(feature = "cli")]
pub(crate) use home::TOO_LARGE;
pub use home::{Limits, Project};
pub use import::{ImportNote, ImportOptions, ImportReport};
pub use item::{FailedPath, ItemKind, RegisteredItem};
pub use make::{MakeOptions, MakeOrigin, MakeReport, RegistryMaker, RepositoryRef};
pub use publish::{
    DEFAULT_CHUNK_BYTES, PublishOptions, PublishRegisteredOptions, PublishReport, publish,
};
pub use register::{AddOptions, AddReport};
pub use registry::{FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
pub use report::WrittenReport;
pub use status::{Category, Finding, Severity, StatusOptions, StatusReport};
pub use sync::{ResyncOptions, ResyncReport};
