//! Says what a look-up waits for, while there is no pull yet that could.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::http::arrivals::Arrivals;
use crate::http::call::Call;
use crate::model::ModelAddress;
use crate::progress::{Progress, Retry, Step, Task};

/// A look-up whose requests may be repeated.
#[derive(Debug)]
struct LookUp {
    address: String,
    attempts: u32,
    progress: Arc<dyn Progress>,
}

impl Arrivals for LookUp {
    fn archive(&self, _: u64, _: u64) {}

    fn archive_came(&self, _: u64) {}

    fn retrying(&self, attempt: u32, wait: Duration, error: &Error) {
        let reason = error.to_string();
        self.progress.on_step(&Step {
            retrying: Some(Retry::new(attempt, self.attempts, wait, &reason)),
            ..Step::new(Task::LookingUp, 1).at(&self.address, 0)
        });
    }
}

/// The same call, which says for which address it waits, and why.
pub(crate) fn looking_up(address: &ModelAddress, call: Call) -> Call {
    let look_up = LookUp {
        address: address.to_string(),
        attempts: call.client.attempts(),
        progress: call.progress.clone(),
    };
    Call {
        arrivals: Some(Arc::new(look_up)),
        ..call
    }
}
