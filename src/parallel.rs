//! The same for many items at once.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::error::{Error, Result};
use crate::mutex::Mutex;

/// Maps items on all processors; the results are in the order of the items.
pub(crate) fn map<'i, T: Sync, R: Send>(items: &'i [T], map: impl Fn(&'i T) -> R + Sync) -> Vec<R> {
    map_with_buffer(items, |item, _| map(item))
}

/// The same, with a buffer that is used for many items.
pub(crate) fn map_with_buffer<'i, T: Sync, R: Send>(
    items: &'i [T],
    map: impl Fn(&'i T, &mut Vec<u8>) -> R + Sync,
) -> Vec<R> {
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::default()).collect();
    for_each(items.len(), &|index, buffer| {
        let result = map(&items[index], buffer);
        *results[index].lock() = Some(result);
    });
    results.into_iter().filter_map(Mutex::into_inner).collect()
}

/// The same, until one fails. Returns the first error in time.
pub(crate) fn try_map<'i, T: Sync, R: Send>(
    items: &'i [T],
    map: impl Fn(&'i T, &mut Vec<u8>) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let first: Mutex<Option<Error>> = Mutex::default();
    let results = map_with_buffer(items, |item, buffer| {
        if first.lock().is_some() {
            return None;
        }
        let failed = |error| _ = first.lock().get_or_insert(error);
        map(item, buffer).map_err(failed).ok()
    });
    let results = results.into_iter().flatten().collect();
    first.into_inner().map_or(Ok(results), Err)
}

/// Not generic: rayon's machinery is compiled once.
fn for_each(count: usize, work: &(dyn Fn(usize, &mut Vec<u8>) + Sync)) {
    let indexes = (0..count).into_par_iter();
    indexes.for_each_init(Vec::new, |buffer, index| work(index, buffer));
}
