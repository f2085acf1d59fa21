//! What sources offer, and what is known of their registries on this machine.
//!
//! | name | what it is |
//! |---|---|
//! | [`RemoteOptions`], [`RemoteListing`], [`RemoteModel`], [`RemoteDetail`] | what sources offer |
//! | [`RemoteMetadata`], [`Facts`], [`Metadata`] | what a registry states about a version |
//! | [`SearchOptions`], [`SearchReport`] | searching |
//! | [`Example`] | models that belong together |
//! | [`SourceInfo`], [`SourceKind`], [`RefInfo`], [`CachedRegistry`], [`RegistryMode`] | the sources and their cached registries |
//! | [`SyncOptions`], [`SyncReport`], [`SyncedRegistry`], [`RegistryFailure`] | syncing registries |
//! | [`ClearOptions`], [`ClearPlan`], [`ClearedRegistry`] | removing cached registries |
//!
//! [`Manager`](crate::Manager) has an example for each operation.

pub use crate::catalog::registry::{
    CachedRegistry, Example, FailedRegistry, RefInfo, RegistryFailure, RegistryMode, RemoteListing,
    SkippedRegistry, SourceInfo, SourceKind, SyncReport, SyncedRegistry,
};
pub use crate::catalog::{Facts, LocalState, Metadata, RemoteDetail, RemoteMetadata, RemoteModel};
pub use crate::engine::clear::{ClearOptions, ClearPlan, ClearedRegistry};
pub use crate::engine::lookup::list::RemoteOptions;
pub use crate::engine::lookup::search::{SearchOptions, SearchReport};
pub use crate::engine::sync::SyncOptions;
