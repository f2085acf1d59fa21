//! A complete `models` subcommand for any command-line tool, and the same for any program through one trait.

mod catalog;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod digest;
mod engine;
mod env;
mod error;
mod http;
mod manager;
mod manifest;
mod model;
mod platform;
mod progress;
#[cfg(feature = "author")]
pub mod project;
mod relpath;
mod secret;
mod source;
mod store;
mod time;
mod url;

pub use crate::catalog::{Metadata, RemoteDetail, RemoteModel};
pub use crate::config::{
    Config, HttpConfig, ProxyConfig, RetryPolicy, SourceConfig, SourceKind, SourcePlace,
};
pub use crate::digest::{Digest, InvalidDigest};
pub use crate::engine::copy::{CopyOptions, CopyReport};
pub use crate::engine::inventory::{
    InstalledDetail, InstalledModel, ListOptions, Listing, PartialModel, RemoteOptions, Scope,
    SourceInfo, Status,
};
pub use crate::engine::plan::PullPlan;
pub use crate::engine::prune::{PrunePlan, PruneReport, PrunedPartial};
pub use crate::engine::pull::{PullOptions, PullOutcome, PullReport};
pub use crate::engine::remove::RemoveReport;
pub use crate::engine::search::{SearchOptions, SearchReport};
pub use crate::engine::update::{Change, Freshness, UpdateEntry, UpdateOptions, UpdateReport};
pub use crate::engine::verify::{Damage, DamagedFile, VerifiedModel, VerifyOptions, VerifyReport};
pub use crate::env::Environment;
pub use crate::error::{AuthFailure, BoxError, Error, Result};
pub use crate::http::transport::{Request, Response, Transport, TransportError};
pub use crate::manager::{Manager, ManagerExt, ModelManager, ModelManagerBuilder};
pub use crate::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestFile, Part};
pub use crate::model::{ModelAddress, ModelName, ModelRef};
pub use crate::platform::System;
pub use crate::progress::{
    CancelToken, Download, Phase, Progress, ProgressEvent, Silent, Transferred,
};
pub use crate::relpath::{InvalidName, RelPath};
pub use crate::secret::Secret;
pub use crate::url::{InvalidUrl, Scheme, Url};
