//! Files of other programs that are small, and need not exist.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Reads a file; `None` if there is none.
///
/// # Errors
/// Those of the file system; [`FileTooLarge`](ErrorKind::FileTooLarge) if it has more than `most_bytes`.
pub(crate) fn read_small(path: &Path, most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if crate::error::is_missing(&error) => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(most_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most_bytes {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(Some(bytes)),
    }
}
