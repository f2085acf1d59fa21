//! What is told of bytes that arrive, and of requests that are repeated.

use std::time::Duration;

use crate::error::Error;

/// Learns of bytes that arrive for a pull before its files are known, of documents, and of requests that are repeated.
pub(crate) trait Arrivals: Send + Sync + std::fmt::Debug {
    /// `here` of `total` bytes of an archive are here; both are zero when nothing is known and when it is over.
    fn archive(&self, here: u64, total: u64);
    /// Bytes of an archive came over the network for this pull.
    fn archive_came(&self, bytes: u64);
    /// `here` of `total` bytes of a document are here; `total` is zero while the server does not state it.
    fn document(&self, _here: u64, _total: u64) {}
    /// Something is requested again, or the rest of a body, after a wait, for the try with this number.
    fn retrying(&self, attempt: u32, wait: Duration, error: &Error);
}
