//! Several threads that take one job after the other.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};
use crate::mutex::Mutex;
use crate::progress::CancelToken;

/// How much a worker reads at once. Large enough that calls cost nothing, small enough to stay in the processor's cache.
const BUFFER_BYTES: usize = 256 << 10;

/// Does all jobs with so many threads, each with a buffer of its own. The first failure stops the others and is returned;
/// a job may add jobs.
pub(crate) fn work_off<J: Send>(
    jobs: &Mutex<VecDeque<J>>,
    workers: usize,
    stop: &CancelToken,
    work: impl Fn(J, &mut [u8]) -> Result<()> + Sync,
) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("modelrack-{index}"))
        .build()
        .map_err(|error| Error::internal(format!("cannot start threads: {error}")))?;
    // Those that follow the first come from stopping.
    let first: Mutex<Option<Error>> = Mutex::default();
    let work_on = || {
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        while !stop.is_cancelled() {
            let Some(job) = jobs.lock().pop_front() else {
                return;
            };
            let done = catch_unwind(AssertUnwindSafe(|| work(job, &mut buffer)))
                .unwrap_or_else(|_| Err(Error::internal("a worker panicked")));
            if let Err(error) = done {
                first.lock().get_or_insert(error);
                stop.cancel();
            }
        }
    };
    pool.in_place_scope(|scope| {
        // Events go to whoever listens on the calling thread, which the workers do not know of.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        for _ in 0..workers {
            let (work_on, dispatch) = (&work_on, dispatch.clone());
            scope.spawn(move |_| tracing::dispatcher::with_default(&dispatch, work_on));
        }
    });
    first.lock().take().map_or(Ok(()), Err)
}
