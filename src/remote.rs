//! What sources offer, and what is known of their registries on this machine.
//!
//! | name | what it is |
//! |---|---|
//! | [`RemoteOptions`], [`RemoteListing`], [`RemoteModel`], [`RemoteDetail`] | what sources offer |
//! | [`RawMetadata`], [`Facts`], [`Metadata`] | what is stated about a version, also of one that is installed |
//! | [`SearchOptions`], [`SearchReport`] | searching |
//! | [`Example`] | models that belong together |
//! | [`ModelsToml`], [`ListedFile`] | a registry as a value: parsed, loaded, saved |
//! | [`DiscoverOptions`], [`DiscoveredRegistry`] | the registry that a repository serves now |
//! | [`SourceInfo`], [`SourceKind`], [`RefInfo`], [`CachedRegistry`], [`RegistryMode`] | the sources and their cached registries |
//! | [`SyncOptions`], [`SyncReport`], [`SyncedRegistry`], [`RegistryFailure`] | syncing registries |
//! | [`ClearOptions`], [`ClearPlan`], [`ClearedRegistry`] | removing cached registries |
//!
//! [`Manager`](crate::Manager) has an example for each operation.
//!
//! # Registries
//!
//! A chunked registry is a folder of static files: `models.json`, and `data/<sha256>` for each manifest and chunk. The
//! [`manifest`](crate::manifest) module describes manifests.
//!
//! ```json
//! {"<group>": {"<model>": {"<version>": {"hash": "<sha256 of the manifest>", "metadata": {}, "alias_of": "<version>"}}}}
//! ```
//!
//! `metadata` and `alias_of` are optional. An entry with `alias_of` needs no `hash`: it is another name for that version of
//! the same model. A mirror adds `source_hash`, the state at a source of another kind that the version has the files of. An index of very many models is in several documents, and announces them:
//!
//! ```json
//! {"/shards": {"0": "<sha256>", "10": "<sha256>", "11": "<sha256>"}}
//! ```
//!
//! Each is at `models/<sha256>.json` and has the form above. A model is in the one whose prefix its place begins with: the
//! SHA-256 of `group/model`, with A to Z in lower case, in binary digits.
//!
//! A repository has a `models.toml`, under version control or as an asset of a release:
//!
//! ```toml
//! schema_version = "1.0"
//! root = "mf6"                 # optional: the folder in the repository or zip that file names are relative to
//! asset = "mf6examples.zip"    # optional: the zip of a release that holds the files
//! [files]
//! "ex-gwf-twri01/mfsim.nam" = { hash = "sha256:…", size = 812 }
//! [models]
//! "ex-gwf-twri01" = ["ex-gwf-twri01/mfsim.nam"]
//! [examples]
//! "ex-gwf-twri" = ["ex-gwf-twri01"]
//! ```
//!
//! Registries in the wild leave out sizes and hashes, write hashes without their algorithm, prefix models with the name
//! of the source, and give each file a `url`. All of them can be read. Of a `url`, only the folder or the name of the zip
//! is used, and only where `root` or `asset` is missing: a fork has to serve its own files.
//!
//! # Reports of your own
//!
//! An implementation of [`Manager`](crate::Manager), such as a fake one for tests, makes the same reports: `new` takes what a
//! report cannot do without, and the other fields can be set.
//!
//! ```
//! use modelrack::manifest::{ManifestFile, RelPath};
//! use modelrack::remote::{
//!     CachedRegistry, ClearPlan, ClearedRegistry, FailedRegistry, RefInfo, RegistryFailure, RegistryMode,
//!     RemoteDetail, RemoteListing, RemoteModel, SkipReason, SkippedRegistry, SourceInfo, SourceKind, SyncReport,
//!     SyncedRegistry,
//! };
//! use modelrack::{Digest, Error, ErrorKind, ModelRef};
//!
//! let offline = || Error::from(ErrorKind::Offline { needed: "a registry".into(), variable: None });
//!
//! let model = ModelRef::new("mf6/test", "test001a", "develop")?;
//! let offer = RemoteModel::new(model, "mf6", Digest::of(b"a manifest"));
//! let file = ManifestFile::new(RelPath::parse("mfsim.nam")?);
//! let detail = RemoteDetail::new(offer.clone(), vec![file]);
//! assert_eq!(detail.remote.files, Some(1));
//!
//! let mut listing = RemoteListing::default();
//! listing.models.push(offer);
//! listing.failures.push(RegistryFailure::new("weights", offline()));
//!
//! let mut develop = RefInfo::new("develop");
//! develop.cached = Some(CachedRegistry::new("MODFLOW-ORG/modflow6-testmodels", RegistryMode::VersionControlled));
//! let mut source = SourceInfo::new("mf6", "mf6/test", SourceKind::REPOSITORY);
//! source.refs.push(develop);
//! assert_eq!(source.label(), "mf6/test");
//!
//! let mut report = SyncReport::default();
//! report.synced.push(SyncedRegistry::new("mf6", "mf6/test", RegistryMode::VersionControlled));
//! report.skipped.push(SkippedRegistry::new("weights", "weights", SkipReason::UpToDate));
//! report.failed.push(FailedRegistry::new("hf", "hf", offline()));
//!
//! let mut plan = ClearPlan::default();
//! plan.registries.push(ClearedRegistry::new("mf6", "mf6/test"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::catalog::registry::{
    CachedRegistry, Example, RefInfo, RegistryFailure, RegistryMode, RemoteListing, SourceInfo,
    SourceKind,
};
pub use crate::catalog::sync::{
    FailedRegistry, SkipReason, SkippedRegistry, SyncReport, SyncedRegistry,
};
pub use crate::catalog::{Facts, LocalState, Metadata, RawMetadata, RemoteDetail, RemoteModel};
pub use crate::engine::clear::{ClearOptions, ClearPlan, ClearedRegistry};
pub use crate::engine::discover::DiscoverOptions;
pub use crate::engine::lookup::list::RemoteOptions;
pub use crate::engine::lookup::search::{SearchOptions, SearchReport};
pub use crate::engine::sync::SyncOptions;
pub use crate::source::discovered::DiscoveredRegistry;
pub use crate::source::models_toml::{ListedFile, ModelsToml};
