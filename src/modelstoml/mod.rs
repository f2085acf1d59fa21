//! `models.toml`: what a repository publishes about its models, and what a project has registered.
//!
//! The documentation of the modules `remote` and `project` shows the tables. A project keeps its own beside those that every
//! reader knows: consumers read `[entries]` for what it says about a model, and ignore the rest. Unknown tables and keys are
//! kept when a project is written again.

mod consumer;
mod document;
mod metadata;
mod pieces;
#[cfg(feature = "author")]
mod project;
#[cfg(feature = "author")]
mod reader;
mod tables;
pub(crate) mod version;
#[cfg(feature = "author")]
mod write;

#[cfg(feature = "author")]
pub use crate::sorted::SortedMap;
pub(crate) use consumer::Registry;
pub(crate) use document::{Document, Lists, MAX_REGISTRY_BYTES, REGISTRY_FILE, is_zip};
#[cfg(feature = "author")]
pub(crate) use document::{FileEntry, owned_lists};
#[cfg(feature = "author")]
pub(crate) use metadata::storable;
#[cfg(feature = "author")]
pub use project::{FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
#[cfg(feature = "author")]
pub(crate) use project::{digest_of, total_bytes};
#[cfg(feature = "author")]
pub(crate) use write::TextFacts;
