//! Threads that take one job after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::connections::{Connections, Queue};
use crate::error::{Error, Result};
use crate::mutex::Mutex;

/// How much a worker reads at once: large enough that calls cost nothing, small enough to stay in the processor's cache.
const BUFFER_BYTES: usize = 512 << 10;

/// Does all jobs, on a thread for each connection, with a buffer of its own. A job may add jobs. The first failure stops
/// the other threads and is returned.
pub(crate) fn work_off<Q: Queue + Send>(
    jobs: &Mutex<Q>,
    connections: &Connections,
    work: impl Fn(Q::Job, &mut [u8]) -> Result<()> + Sync,
) -> Result<()> {
    let workers = connections.workers(jobs.lock().len());
    if workers == 0 {
        return Ok(());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("modelrack-{index}"))
        .build()
        .map_err(|error| Error::internal(format!("cannot start threads: {error}")))?;
    // Later errors are a consequence of stopping.
    let first: Mutex<Option<Error>> = Mutex::default();
    let work_on = || {
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        while let Some(job) = connections.next(jobs) {
            let done = catch_unwind(AssertUnwindSafe(|| work(job, &mut buffer)))
                .unwrap_or_else(|_| Err(Error::internal("a worker panicked")));
            if let Err(error) = done {
                first.lock().get_or_insert(error);
                connections.stop.cancel();
            }
        }
    };
    pool.in_place_scope(|scope| {
        // The workers do not know the subscriber of the calling thread.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        for _ in 0..workers {
            let (work_on, dispatch) = (&work_on, dispatch.clone());
            scope.spawn(move |_| tracing::dispatcher::with_default(&dispatch, work_on));
        }
        connections.attend(jobs);
    });
    first.lock().take().map_or(Ok(()), Err)
}
