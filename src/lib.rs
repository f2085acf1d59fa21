//! A complete `models` subcommand for any command-line tool, and the same for any Rust program through one trait.
//!
//! Models come from static, content-addressed registries on web servers and in S3 buckets, from Git-hosted repositories that
//! publish a `models.toml`, from the Hugging Face Hub, and from OCI registries. Every byte is verified, an interrupted pull resumes, and an update fetches only what changed.
//! What is listed as available is complete. I/O is blocking, on the crate's own threads; there is no async runtime.
//!
//! # Quick start
//!
//! ```
//! use modelrack::{Config, ManagerExt, ModelManager};
//!
//! let manager = ModelManager::new(Config::new("tool").registry_url("https://models.example.org"));
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//!
//! // The folder of a model, which is pulled first if it is not installed:
//! let folder = manager.ensure("digits/logistic v1")?;
//! let weights = std::fs::read(folder.join("model.safetensors"))?;
//! # assert!(!weights.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Manager`] has everything else, with an example for each method: listing, searching, planning, updating, verifying,
//! copying and removing.
//!
//! # Mounting the command
//!
//! ```no_run
//! # #[cfg(feature = "cli")] {
//! use clap::Parser;
//! use modelrack::Config;
//! use modelrack::cli::{Exit, Host, ModelsArgs, Mount};
//!
//! struct Tool;
//!
//! impl Host for Tool {
//!     fn mount() -> Mount {
//!         Mount::new(Config::new("tool").registry_url("https://models.example.org"))
//!     }
//! }
//!
//! #[derive(Parser)]
//! enum Cli {
//!     Models(ModelsArgs<Tool>),
//! }
//!
//! fn main() -> Exit {
//!     let Cli::Models(models) = Cli::parse();
//!     models.run()
//! }
//! # }
//! ```
//!
//! The `cli` module describes the options of a mount, and mounting with clap's builder.
//!
//! # Modules
//!
//! The types that most programs need are at the root; the rest is in modules by subject.
//!
//! | module | subject |
//! |---|---|
//! | [`config`] | what an app configures, and how its users and the environment override it |
//! | [`remote`] | what sources offer, and what is known of their registries |
//! | [`pull`] | what a pull is asked to do, what it will do and what it did |
//! | [`installed`] | what is installed; verifying, updating, copying, pruning and removing it |
//! | [`lock`] | an exact set of models in a file, and pulling exactly that |
//! | [`mirror`] | models of any source in one registry, for places without a network |
//! | [`manifest`] | the files of a version, and what they are verified with |
//! | [`progress`] | what operations report, and how to cancel them |
//! | [`transport`] | how requests reach servers, and URLs |
//! | [`error`] | errors, and the errors of parsing |
//! | `cli` | the command, with the feature `cli` |
//! | `project` | the publisher's side, with the feature `author` |
//!
//! # Configuration
//!
//! A [`Config`] has the app's name and its sources. Users change the sources in a file of their own, and the environment
//! overrides both; the [`config`] module describes the layers, the variables and the file. Creating a [`Config`] or a
//! [`ModelManager`] reads nothing; the first call does, once. Options of a call override everything else.
//!
//! ```
//! use modelrack::Config;
//!
//! let config = Config::new("tool")
//!     .bootstrap(r#"
//!         [sources.weights]
//!         url = "https://models.example.org"
//!         mirrors = ["https://mirror.example.net/models"]
//!
//!         [sources.hf]
//!         hub = "https://huggingface.co"
//!
//!         [sources.ghcr]
//!         oci = "https://ghcr.io/acme"
//!     "#)
//!     .auto_sync(true);
//! ```
//!
//! # Errors
//!
//! Every fallible function returns an [`Error`], which has an [`ErrorKind`] to match on and the steps that led to it. Codes
//! ([`Error::code`]) are stable; texts are not. A message is one line, and its cause is the
//! [`source`](std::error::Error::source). The [`error`] module has an example for every kind.
//!
//! ```
//! use modelrack::{ErrorKind, Manager, PullOptions};
//!
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//! let error = manager.pull(&"digits/logistc v1".parse()?, &PullOptions::default()).unwrap_err();
//! match error.kind() {
//!     ErrorKind::ModelNotFound { near, .. } => assert_eq!(near, &["digits/logistic"]),
//!     _ => return Err(error.into()),
//! }
//! assert_eq!(error.code(), "MODEL_NOT_FOUND");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | kind | meaning | what a caller does |
//! |---|---|---|
//! | [`Config`](ErrorKind::Config), [`NoSource`](ErrorKind::NoSource) | the configuration is invalid, or has no source | show it; the user corrects the file or variable that it names |
//! | [`InvalidRef`](ErrorKind::InvalidRef), [`InvalidArgument`](ErrorKind::InvalidArgument) | a name or option is invalid or ambiguous | ask again; `choices` has the possible meanings |
//! | [`ModelNotFound`](ErrorKind::ModelNotFound), [`VersionNotFound`](ErrorKind::VersionNotFound) | no source offers it | suggest the names in `near` |
//! | [`NotInstalled`](ErrorKind::NotInstalled), [`FolderMissing`](ErrorKind::FolderMissing) | it is not on this machine | pull it, as [`ManagerExt::ensure`] does |
//! | [`Damaged`](ErrorKind::Damaged) | it lost bytes in a power cut | repair it with [`Manager::verify`] or [`Manager::pull`] |
//! | [`NotSynced`](ErrorKind::NotSynced) | a registry is not cached | call [`Manager::sync`], or configure [`Config::auto_sync`] |
//! | [`Offline`](ErrorKind::Offline) | the network is needed, and offline mode is on | use what is installed |
//! | [`Network`](ErrorKind::Network), [`RateLimited`](ErrorKind::RateLimited) | requests failed after all retries | try again later, after [`Error::retry_after`]; a pull resumes |
//! | [`IndexNotFound`](ErrorKind::IndexNotFound) | a source has no registry at its URL | show it; the user corrects the URL |
//! | [`Authentication`](ErrorKind::Authentication) | the server denies access | ask for a token, or for the terms to be accepted |
//! | [`Certificate`](ErrorKind::Certificate) | a server's certificate is not accepted | show it; the user trusts its authority, or checks the clock or the URL |
//! | [`Proxy`](ErrorKind::Proxy) | a proxy refuses | ask for its user and password, or for it to allow the host |
//! | [`WebPage`](ErrorKind::WebPage) | a web page came instead of data | show it; the user signs in, or corrects the URL |
//! | [`HashMismatch`](ErrorKind::HashMismatch), [`SizeMismatch`](ErrorKind::SizeMismatch) | bytes are wrong after all retries | report it to the publisher; nothing wrong was installed |
//! | [`Registry`](ErrorKind::Registry), [`Unverifiable`](ErrorKind::Unverifiable) | a registry is malformed, or lacks required digests | report it to the publisher |
//! | [`DamagedCache`](ErrorKind::DamagedCache) | a cached registry is damaged | call [`Manager::sync`] |
//! | [`LockStale`](ErrorKind::LockStale) | the sources no longer offer what is locked | [lock](Manager::lock) again, or pull with [`frozen`](field@lock::LockedOptions::frozen) |
//! | [`UnusableLock`](ErrorKind::UnusableLock) | there is no lock, or it cannot be read | show it; the user locks something, or corrects the line |
//! | [`OriginUnknown`](ErrorKind::OriginUnknown) | a record lacks where its model came from | pull the model again |
//! | [`InsufficientSpace`](ErrorKind::InsufficientSpace), [`Permission`](ErrorKind::Permission), [`Storage`](ErrorKind::Storage), [`Exists`](ErrorKind::Exists), [`Collision`](ErrorKind::Collision) | the file system refuses | show it with its path |
//! | [`Locked`](ErrorKind::Locked) | another process holds a lock for too long | try again; `holder` says which process |
//! | [`Cancelled`](ErrorKind::Cancelled) | the caller cancelled | nothing; a pull resumes |
//! | [`Several`](ErrorKind::Several) | some of several things failed | handle each of `errors` |
//! | [`NotRegistered`](ErrorKind::NotRegistered), [`NotPublishable`](ErrorKind::NotPublishable), [`DamagedRegistry`](ErrorKind::DamagedRegistry), [`RegistryTooLarge`](ErrorKind::RegistryTooLarge) | a publisher's project needs attention | show it |
//! | [`DamagedTarget`](ErrorKind::DamagedTarget) | the index of a registry that was to be changed is malformed | show it; the user restores it |
//! | [`Unsupported`](ErrorKind::Unsupported) | a [manager of your own](Manager#managers-of-your-own) leaves a method out | implement it |
//! | [`Internal`](ErrorKind::Internal) | a bug in this crate | report it |
//!
//! # Progress and cancelling
//!
//! A [`Progress`] handler receives the events of pulls and the steps of other operations; [`progress`] describes their order.
//! [`Manager::downloads`] returns what is running. A [`CancelToken`] or [`Manager::cancel`] ends a pull within a second, from
//! any thread; it resumes when the model is pulled again.
//!
//! # Threads and blocking
//!
//! All calls block. An async program calls them on a thread for blocking work. A [`Manager`] is shared between threads, and
//! needs no lock. A pull uses up to 16 threads of its own ([`Config::concurrency`]); handlers of progress and transports
//! are called on them. Processes share a store safely: files are locked, and replaced as a whole.
//!
//! # Crashes and power cuts
//!
//! A process can be killed at any moment: what is installed stays, a pull resumes, and nothing incomplete is listed. The same
//! holds if the system stops. What it may not have written to the disk by then is listed as unverified, and verified before
//! it is used; see [`installed`](installed#after-a-power-cut). With [`Config::durable`], a pull waits for the disk instead.
//!
//! # Offline
//!
//! With [`Config::offline`], the variable `<APP>_MODELS_OFFLINE` or the `offline` option of a call, no socket is opened. What
//! is installed is listed, found, verified and copied without a network in any case. What repositories offer is found in the
//! cached registries. `file://` URLs count as local, which suits machines without a network.
//!
//! # Tokens and trust
//!
//! - A token is sent to the host it is meant for, over https or to this machine, and never along a redirect to another
//!   host. No URL, log, error or `Debug` output shows a secret ([`transport::Url`], [`transport::Secret`]).
//! - Names from registries are hostile until they are validated ([`manifest::RelPath`]): no absolute paths, `..`, reserved
//!   names, or names that differ only in case. Links in archives are never followed or created.
//! - Sizes that a registry declares limit what is read, and every digest is checked. An index can be signed with minisign; a
//!   source with a `public_key` refuses an index without a valid signature.
//! - Python sources are parsed, never run.
//!
//! # Formats
//!
//! | format | where it is described |
//! |---|---|
//! | the user's file of sources | [`config`](config#the-file) |
//! | manifests, on disk and in a chunked registry | [`manifest`] |
//! | `models.json` and `models.toml`, the registries | [`remote`](remote#registries) |
//! | `models.lock`, an exact set of models | [`lock`](lock#the-file) |
//! | the folders of a store, and its record `registry.json` | [`installed`](installed#on-disk) |
//! | the tables of a project in `models.toml` | the `project` module |
//! | `--json` output of the command | the reports, which derive `Serialize`: a report is the document |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `cli` | yes | the command, with clap |
//! | `zstd` | yes | unpacking archives that are compressed with Zstandard |
//! | `author` | no | the publisher's side: the `project` module and the `registry` commands |
//! | `python` | no | reading models and targets from Python sources; includes `author` |
//! | `unstable-completion` | no | completing model names in the shell, through an interface that clap_complete calls unstable |
//!
//! Without any of them, there is the [`Manager`] alone. Without `python`, a Python source is a file like any other, and
//! checks of a project report that entrypoints were not checked.
//!
//! # Log levels
//!
//! Events go to [`tracing`]; the library never prints. **warn**: something was repaired or skipped that somebody should know
//! of, such as a damaged record. The message is a whole sentence, and the field `error`, if there is one, is the cause; the
//! command prints both, unless it runs below a subscriber of the parent's, or with `--quiet`. **info**: the beginning and end
//! of operations, such as "installed". **debug**: each request with its status and time, each retry, each operation on files.
//! **error** is not used, since errors are returned. No event shows a secret.
//!
//! Measure no downloads while a filter says `trace`, for whichever crate: the HTTP library then has an event for every 16
//! bytes, which costs time even if it is filtered out.
//!
//! # What versions promise
//!
//! Versions follow semantic versioning. Beyond the Rust API, these are stable: error codes, exit codes, the keys of `--json`
//! output, and the formats on disk and on the wire. They only gain additions, and readers ignore fields that they do not
//! know. Types are `#[non_exhaustive]` where they may grow, and every method of [`Manager`] has a default. The texts of errors
//! and of the command may change with any release, and so may the output of the command for people. The crate needs Rust 1.95
//! or later.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | source | a configured place that offers models; of kind `chunked`, `repository`, `hub` or `oci` |
//! | registry | what a source publishes about its models: `models.json`, `models.toml`, the API of the Hub |
//! | model, version | what a name refers to; a version is any text: a release, a quantisation, a git ref |
//! | address | a model as a person types it ([`ModelAddress`]) |
//! | manifest | the files of one version, with sizes and digests, in one form for every kind of source |
//! | lock | `models.lock`: an exact set of models, each with its digests |
//! | part, chunk | a piece that is fetched and verified as one; a chunk is a part that is named by its SHA-256 |
//! | store | the models of one app on this machine, with its record `registry.json` |
//! | partial | an unfinished pull, kept for resuming |
//! | project | a publisher's folder with its own `.registry/models.toml` |
//! | resolve | to find which version of which source an address means |
//! | plan | to decide what an operation will do, without doing it |
//! | fetch | to transfer bytes from a source |
//! | verify | to compare bytes with their digest |
//! | commit | to move a verified model to its place and record it |
//! | pull | to resolve, plan, fetch, verify and commit a model |
//! | sync | to refresh cached registries |
//! | update | to pull what changed of installed models |
//! | remove, prune, clear | to delete models, partials, cached registries |
//! | record, register | to enter into a store's `registry.json`, into a project's `models.toml` |
//! | publish | to write a registry that others can pull from |

mod archive;
mod at_once;
mod catalog;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod digest;
mod disk;
mod engine;
mod env;
pub mod error;
mod glob;
mod http;
pub mod installed;
pub mod lock;
mod manager;
pub mod manifest;
pub mod mirror;
mod model;
mod modelstoml;
mod mutex;
mod near;
mod oci;
mod parse;
mod platform;
mod program;
pub mod progress;
#[cfg(feature = "author")]
pub mod project;
mod publish;
pub mod pull;
mod quantity;
mod range_set;
mod rate_limit;
mod relpath;
pub mod remote;
mod report;
mod secret;
mod setters;
mod settings;
mod size;
mod small_file;
mod sorted;
mod source;
mod stamp;
mod store;
mod text;
mod time;
pub mod transport;
mod url;

pub use crate::manager::{Manager, ManagerExt, ModelManager, ModelManagerBuilder};
pub use crate::model::{ModelAddress, ModelName, ModelPattern, ModelRef};

#[doc(inline)]
pub use crate::config::{Config, Environment};
#[doc(inline)]
pub use crate::error::{Error, ErrorKind, Result};
#[doc(inline)]
pub use crate::installed::{CopyOptions, ListOptions, UpdateOptions, VerifyOptions};
#[doc(inline)]
pub use crate::manifest::{Digest, Manifest};
#[doc(inline)]
pub use crate::progress::{CancelToken, Progress, ProgressEvent};
#[doc(inline)]
pub use crate::pull::{PullOptions, PullPlan, PullReport};
#[doc(inline)]
pub use crate::remote::{ClearOptions, Metadata, RemoteOptions, SearchOptions, SyncOptions};

/// The README's examples, compiled along with the others.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;
