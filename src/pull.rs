//! What a pull is asked to do, what it will do and what it did.

pub use crate::engine::lookup::matching::{FailedPull, MatchingReport};
pub use crate::engine::pull::plan::PullPlan;
pub use crate::engine::pull::{PullOptions, PullOutcome, PullReport};
