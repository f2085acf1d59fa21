//! `models.toml`: what a repository publishes about its models, and what a project has registered.
//!
//! Every reader knows these tables:
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
//! of the source, and give each file a `url`. All of them can be read. Of a `url` only the folder or the name of the zip
//! is used, and only where `root` or `asset` is missing: a fork has to serve its own files.
//!
//! A project keeps more tables in the same file. Consumers read `[entries]` for what it says about a model, and ignore
//! the rest:
//!
//! ```toml
//! # A registry of models; without its last line, '# end', it was cut short.
//!
//! [entries.sir]
//! name = "SIR"                                # what people call it
//! description = "A compartment model"         # optional, as are type, tags and everything after `path`
//! type = "other"
//! tags = ["epidemiology"]
//! current = "1.0.1"                           # the highest version: the one in [models] and [files]
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
//! digest = "sha256:…"                         # of the names, sizes and digests of its files
//! [entries.sir.versions."1.0.0".metadata]     # what the files say; optional
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
//! Unknown tables and keys are kept when a project is written again.

mod consumer;
mod document;
mod metadata;
#[cfg(feature = "author")]
mod project;
#[cfg(feature = "author")]
pub(crate) mod version;
#[cfg(feature = "author")]
mod write;

pub(crate) use consumer::Registry;
#[cfg(feature = "author")]
pub(crate) use document::{Document, FileEntry};
pub(crate) use document::{MAX_REGISTRY_BYTES, REGISTRY_FILE};
#[cfg(feature = "author")]
pub(crate) use metadata::storable;
#[cfg(feature = "author")]
pub use project::{FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, TargetEntry};
#[cfg(feature = "author")]
pub(crate) use project::{digest_of, total_bytes};
