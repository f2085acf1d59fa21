//! How this crate touches the disk: a file is replaced as a whole, room is checked before it is needed, what files take is
//! counted, names are encoded so that every file system takes them, folders are walked without what systems and tools leave
//! in them, and what tools put in the place of files is told from files.

pub(crate) mod leftovers;
pub(crate) mod names;
pub(crate) mod pointer;
pub(crate) mod space;
pub(crate) mod usage;
pub(crate) mod walk;
pub(crate) mod write;

use std::path::Path;
use std::{fs, io};

/// Refuses what is neither a file nor a folder before it is opened: opening a pipe waits for somebody who writes to it.
///
/// # Errors
/// Those of the file system, also if nothing is there. What is said of a folder is up to who reads it.
pub(crate) fn check_openable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    match metadata.is_file() || metadata.is_dir() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is neither a file nor a folder",
        )),
    }
}
