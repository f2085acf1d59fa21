//! Windows.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command};

use super::{FileId, TryLock};

/// `ERROR_ACCESS_DENIED`, `ERROR_SHARING_VIOLATION`, `ERROR_LOCK_VIOLATION`.
const ACCESS_DENIED: i32 = 5;
const SHARING_VIOLATION: i32 = 32;
const LOCK_VIOLATION: i32 = 33;
/// `FILE_SHARE_READ`: others may read the holder of the lock, but not open the file for writing.
const FILE_SHARE_READ: u32 = 1;

pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
        }
    }
    Ok(())
}

pub(crate) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

pub(crate) fn try_lock(path: &Path) -> io::Result<TryLock> {
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .share_mode(FILE_SHARE_READ)
        .open(path);
    match open {
        Ok(file) => Ok(TryLock::Locked(file)),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(SHARING_VIOLATION | LOCK_VIOLATION)
            ) =>
        {
            Ok(TryLock::Busy)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn swap(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn clone_file(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn available_bytes(folder: &Path) -> Option<u64> {
    let room = fs4::statvfs(folder).ok()?;
    (room.total_space() > 0).then(|| room.available_space())
}

/// The standard library does not tell what Windows knows of the names and clusters of a file.
pub(crate) fn disk_blocks(file: &Metadata) -> (u64, Option<FileId>) {
    (file.len(), None)
}

pub(crate) fn file_number(_: &Metadata) -> Option<u64> {
    None
}

pub(crate) fn make_room(file: &File, size_bytes: u64) -> io::Result<()> {
    file.set_len(size_bytes)
}

pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    // A folder cannot be synced, but NTFS journals the rename.
    Ok(())
}

pub(crate) fn sync_all_files(_: &Path) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn forget_cached(_: &File) {}

pub(crate) fn boot_id() -> Option<String> {
    None
}

pub(crate) fn is_fixed(_: &File) -> bool {
    false
}

/// A server of files enforces the locks of all its clients.
pub(crate) fn is_shared(_: &File) -> bool {
    false
}

/// Windows enforces locks: when one can be taken, its last holder is gone.
pub(crate) fn may_be_alive(_: u32) -> bool {
    false
}

/// There are no groups that a terminal would keep apart.
pub(crate) fn has_terminal() -> bool {
    false
}

pub(crate) fn set_apart(_: &mut Command) {}

pub(crate) fn end_set_apart(child: &mut Child) -> io::Result<()> {
    child.kill()
}

/// A virus scanner or an indexer that has the file open makes a rename fail for a moment.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(ACCESS_DENIED | SHARING_VIOLATION | LOCK_VIOLATION)
    )
}

pub(crate) const UNLINKS_OPEN_FILES: bool = false;

pub(crate) fn user_id() -> Option<u32> {
    None
}

pub(crate) fn host_name() -> String {
    String::new()
}
