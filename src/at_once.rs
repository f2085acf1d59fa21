//! Doing the same with several things at the same time.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

/// How many questions are asked at once.
const QUESTIONS_AT_ONCE: usize = 16;

/// Asks about all items at once; the answers are in the order of the items.
pub(crate) fn at_once<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> R + Sync) -> Vec<R> {
    several_at_once(QUESTIONS_AT_ONCE, items, ask)
}

/// Works on as many items at once as there are threads; the results are in the order of the items.
pub(crate) fn several_at_once<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    ask: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    // The subscriber of the calling thread is unknown to the workers.
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let ask = |item| tracing::dispatcher::with_default(&dispatch, || ask(item));
    let builder = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.min(items.len()))
        .thread_name(|index| format!("modelrack-ask-{index}"));
    let pool = (items.len() > 1).then(|| builder.build());
    match pool {
        Some(Ok(pool)) => pool.install(|| items.par_iter().map(ask).collect()),
        // Without threads, one after another.
        _ => items.iter().map(ask).collect(),
    }
}
