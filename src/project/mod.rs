//! The publisher's side.

mod enter;
pub mod formats;
mod hash;
mod home;
mod make;
mod publish;
mod python;
mod register;
mod registry;
mod survey;
mod walk;
mod work_tree;

pub use formats::{Description, Extent, ModelFile, ModelFormat};
pub use hash::{HashProgress, Hashed};
pub use home::{Limits, Project};
pub use make::{MakeOptions, MakeOrigin, MakeReport, RegistryMaker, RepositoryRef};
pub use publish::{DEFAULT_CHUNK_BYTES, PublishOptions, PublishReport, publish};
pub use register::{AddOptions, AddReport, FailedPath, ItemKind, RegisteredItem};
pub use registry::{FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
