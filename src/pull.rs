//! What a pull is asked to do, what it will do and what it did.
//!
//! | name | what it is |
//! |---|---|
//! | [`PullOptions`] | options of a pull |
//! | [`PullPlan`] | what a pull will do, before it does it |
//! | [`PullReport`], [`PullOutcome`] | what it did |
//! | [`MatchingReport`], [`FailedPull`] | what the pulls of several models did |
//!
//! ```
//! use std::sync::Arc;
//!
//! use modelrack::progress::Silent;
//! use modelrack::pull::PullOutcome;
//! use modelrack::{CancelToken, Manager, PullOptions};
//!
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//! let options = PullOptions::default()
//!     .model_type("classification")
//!     .concurrency(2)
//!     .force(false)
//!     .require_hashes(true)
//!     .offline(false)
//!     .cancel(CancelToken::new())
//!     .progress(Arc::new(Silent));
//! let plan = manager.plan_pull(&"digits/logistic latest".parse()?, &options)?;
//! println!("{}: {} files, {} bytes", plan.model, plan.files, plan.total_bytes);
//! println!("{} bytes to fetch in {} requests", plan.bytes_to_fetch, plan.requests);
//! println!("{} bytes to reuse, {} to resume", plan.bytes_reused, plan.bytes_resumed);
//! assert!(!plan.installed && plan.files_unverified == 0 && plan.files_unsized == 0);
//!
//! let report = manager.execute(&plan)?;
//! println!("{} of {} in {}", report.model, report.source, report.path.display());
//! println!("{} files, {} bytes in {:?}", report.files, report.total_bytes, report.elapsed);
//! println!("{} fetched, {} reused, {} resumed", report.bytes_fetched, report.bytes_reused, report.bytes_resumed);
//! match report.outcome {
//!     PullOutcome::Installed => println!("now at {}", report.manifest_digest),
//!     PullOutcome::AlreadyInstalled => println!("was up to date"),
//!     _ => {}
//! }
//! assert_eq!(report.alias_of.as_deref(), Some("v2"));
//! assert!(report.files_unverified.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A selection of files
//!
//! Repositories and the Hub also offer some of the files of a model:
//!
//! ```
//! use modelrack::PullOptions;
//!
//! let options = PullOptions::default().include(["*.safetensors", "*.json"]).exclude(["onnx/"]);
//! ```
//!
//! # Several models
//!
//! ```
//! use modelrack::{Manager, PullOptions};
//!
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//! let report = manager.pull_matching(&"digits/* v2".parse()?, &PullOptions::default())?;
//! for failed in &report.failed {
//!     eprintln!("{}: {}", failed.model, failed.error);
//! }
//! let fetched: u64 = report.pulled.iter().map(|pulled| pulled.bytes_fetched).sum();
//! println!("{} bytes for {} models", fetched + report.bytes_archives, report.pulled.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reports of your own
//!
//! An implementation of [`Manager`](crate::Manager), such as a fake one for tests, makes the same reports: `new` takes what a
//! report cannot do without, and the other fields can be set.
//!
//! ```
//! use modelrack::pull::{FailedPull, MatchingReport, PullOutcome, PullPlan, PullReport};
//! use modelrack::{Digest, ErrorKind, ModelRef};
//!
//! let model = ModelRef::new("whisper", "tiny", "fp16")?;
//! let mut plan = PullPlan::new(model.clone());
//! plan.bytes_to_fetch = 4096;
//!
//! let mut pulled = PullReport::new(model.clone(), "/models/whisper/tiny/fp16".into(), Digest::of(b"a manifest"));
//! (pulled.outcome, pulled.bytes_fetched) = (PullOutcome::Installed, plan.bytes_to_fetch);
//!
//! let mut report = MatchingReport::default();
//! report.pulled.push(pulled);
//! report.failed.push(FailedPull::new(ModelRef::new("whisper", "tiny", "int8")?, ErrorKind::Cancelled.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::engine::lookup::matching::{FailedPull, MatchingReport};
pub use crate::engine::pull::plan::PullPlan;
pub use crate::engine::pull::{PullOptions, PullOutcome, PullReport};
