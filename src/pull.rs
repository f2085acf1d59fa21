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
//! use modelrack::{CancelToken, Manager, PullOptions};
//!
//! # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
//! let options = PullOptions::default()
//!     .model_type("classification")
//!     .concurrency(2)
//!     .force(false)
//!     .require_hashes(false)
//!     .offline(false)
//!     .cancel(CancelToken::new());
//! let plan = manager.plan_pull(&"digits/logistic v1".parse()?, &options)?;
//! assert!(!plan.installed && plan.bytes_to_fetch > 0);
//!
//! let report = manager.execute(&plan)?;
//! assert_eq!(report.outcome, PullOutcome::Installed);
//! println!("{} bytes in {:?}, in {}", report.bytes_fetched, report.elapsed, report.path.display());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Repositories and the Hub also offer a selection of the files of a model:
//!
//! ```
//! use modelrack::PullOptions;
//!
//! let options = PullOptions::default()
//!     .include(["*.safetensors", "*.json"])
//!     .exclude(["onnx/"]);
//! ```

pub use crate::engine::lookup::matching::{FailedPull, MatchingReport};
pub use crate::engine::pull::plan::PullPlan;
pub use crate::engine::pull::{PullOptions, PullOutcome, PullReport};
