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
//! use modelrack::pull::PullOutcome;
//! use modelrack::{Manager, PullOptions};
//!
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//! let plan = manager.plan_pull(&"digits/logistic latest".parse()?, &PullOptions::default())?;
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
//!
//! // What fails is in the report, and no error by itself. To make it one:
//! let pulled = report.into_result()?;
//! assert_eq!(pulled[0].model.to_string(), "digits/logistic v2");
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
