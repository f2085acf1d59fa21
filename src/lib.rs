//! A complete `models` subcommand for any command-line tool, and the same for any Rust program through one trait.
//!
//! Models come from static, content-addressed registries, from Git-hosted repositories that publish a `models.toml`, and
//! from the Hugging Face Hub.
//! Every byte is verified; an interrupted pull goes on where it was; an update fetches only what changed; what is listed as
//! installed is complete, whatever happened. Blocking I/O on threads of its own: no async runtime.
//!
//! # In a command-line tool
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
//! # In any program
//!
//! ```
//! use modelrack::{Config, ListOptions, Manager, ModelManager};
//!
//! # let folder = std::env::temp_dir().join("modelrack-doc-manager");
//! let config = Config::new("tool").registry_url("https://models.example.org").data_dir(folder);
//! let manager = ModelManager::new(config);
//! for model in manager.list(&ListOptions::default())?.models {
//!     println!("{} {}", model.model, model.path.display());
//! }
//! # Ok::<(), modelrack::Error>(())
//! ```
//!
//! # Where to find what
//!
//! | what | where |
//! |---|---|
//! | everything that can be done | [`Manager`], and [`ModelManager`], which does it |
//! | what an app says about its models | [`Config`], and the [`config`] module for the file format |
//! | the command tree | the `cli` module |
//! | registering, describing and publishing models | the `project` module |
//! | names | [`ModelName`], [`ModelRef`], and [`ModelAddress`] for what people type |
//! | what a model consists of | [`Manifest`] |
//! | progress and cancelling | [`Progress`], whose [module](progress) documents the order of events, and [`CancelToken`] |
//! | what goes wrong | [`Error`] and [`Error::code`] |
//! | another way to the network | [`transport::Transport`] |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `cli` | yes | the command tree, with clap |
//! | `author` | no | the publisher's side: the `project` module and `registry` commands |
//! | `python` | no | reading models and targets from Python sources; includes `author` |
//! | `unstable-completion` | no | completing model names in the shell, through an interface that clap_complete calls unstable |
//!
//! Without any of them there is the [`Manager`] alone. Without `python`, a Python source is a file like any other, and
//! `registry status` says of each entrypoint that it was not checked.
//!
//! # Log levels
//!
//! Events go to [`tracing`]; nothing is ever printed. **error** is not used: what fails is returned. **warn**: something
//! was mended or passed over that somebody should know of, as a damaged record. **info**: what began and ended, as
//! "installed". **debug**: each request with status and time, each retry, each file operation. No event shows a secret.
//!
//! # What is promised
//!
//! Error codes, the keys of machine output and the formats on disk and on the wire are only ever added to. Texts of
//! errors and of the command tree may change with any release.

mod archive;
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
mod manager;
pub mod manifest;
mod model;
mod modelstoml;
mod mutex;
mod parse;
mod platform;
pub mod progress;
#[cfg(feature = "author")]
pub mod project;
pub mod pull;
mod range_set;
mod relpath;
pub mod remote;
mod report;
mod secret;
mod setters;
mod settings;
mod source;
mod store;
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
