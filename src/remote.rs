//! What sources offer, and what is known of their registries on this machine.

pub use crate::catalog::registry::{
    CachedRegistry, Example, FailedRegistry, RefInfo, RegistryFailure, RegistryMode, RemoteListing,
    SkippedRegistry, SourceInfo, SourceKind, SyncReport, SyncedRegistry,
};
pub use crate::catalog::{Facts, LocalState, Metadata, RemoteDetail, RemoteMetadata, RemoteModel};
pub use crate::engine::clear::{ClearOptions, ClearPlan, ClearedRegistry};
pub use crate::engine::lookup::list::RemoteOptions;
pub use crate::engine::lookup::search::{SearchOptions, SearchReport};
pub use crate::engine::sync::SyncOptions;
