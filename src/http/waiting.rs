//! Says what is waited for by work that is no pull, or none yet.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::http::arrivals::Arrivals;
use crate::http::call::Call;
use crate::progress::{Progress, Retry, Step, Task};

/// Work whose requests may be repeated.
#[derive(Debug)]
struct Work {
    task: Task,
    at: String,
    attempts: u32,
    progress: Arc<dyn Progress>,
}

impl Arrivals for Work {
    fn archive(&self, _: u64, _: u64) {}

    fn archive_came(&self, _: u64) {}

    fn retrying(&self, attempt: u32, wait: Duration, error: &Error) {
        let reason = error.to_string();
        self.progress.on_step(&Step {
            retrying: Some(Retry::new(attempt, self.attempts, wait, &reason)),
            ..Step::new(self.task, 1).at(&self.at, 0)
        });
    }
}

/// The same call, which says that this work waits, and why.
pub(crate) fn telling_waits(task: Task, at: impl Display, call: Call) -> Call {
    let work = Work {
        task,
        at: at.to_string(),
        attempts: call.client.attempts(),
        progress: call.progress.clone(),
    };
    Call {
        arrivals: Some(Arc::new(work)),
        ..call
    }
}
