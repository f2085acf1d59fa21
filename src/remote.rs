//! What sources offer, and what is known of their registries on this machine.

pub use crate::catalog::registry::{
    CachedRegistry, Example, RefInfo, RegistryFailure, RegistryMode, RemoteListing, SourceInfo,
    SourceKind, SyncReport, SyncedRegistry, UnsyncedRegistry,
};
pub use crate::catalog::{Facts, Metadata, RemoteDetail, RemoteMetadata, RemoteModel};
pub use crate::engine::clear::{ClearOptions, ClearPlan, ClearedRegistry};
pub use crate::engine::lookup::list::RemoteOptions;
pub use crate::engine::lookup::search::{SearchOptions, SearchReport};
pub use crate::engine::sync::SyncOptions;
