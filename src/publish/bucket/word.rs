//! What a process has said about its work in a bucket.

use std::time::{Duration, SystemTime};

use crate::url::Url;

/// An object that says that somebody is at work.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) url: Url,
    /// When it was said last. A time of day: a machine that sleeps must notice.
    pub(super) said_at: SystemTime,
    pub(super) counts: Duration,
}

impl Word {
    pub(super) fn age(&self) -> Duration {
        self.said_at.elapsed().unwrap_or_default()
    }
}
