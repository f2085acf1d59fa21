//! Room on a disk, asked for before it is needed.

use std::path::Path;

use crate::error::{ErrorKind, Result};
use crate::platform;

/// Room left for what the store itself writes.
const SPACE_MARGIN_BYTES: u64 = 1 << 20;

/// Fails if there is not enough space for all missing bytes, before the first of them is fetched. A file system that does not
/// say how much it has may have enough.
pub(crate) fn check_space(dir: &Path, needed_bytes: u64) -> Result<()> {
    let available_bytes = platform::available_bytes(dir).unwrap_or(u64::MAX);
    let with_margin = needed_bytes.saturating_add(SPACE_MARGIN_BYTES);
    if needed_bytes > 0 && with_margin > available_bytes {
        return Err(ErrorKind::InsufficientSpace {
            path: dir.to_owned(),
            needed_bytes: with_margin,
            available_bytes,
        }
        .into());
    }
    Ok(())
}
