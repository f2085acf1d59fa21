//! Clones: files of their own that share their blocks with another file until one of the two is written.
//!
//! Only some file systems support them (btrfs, XFS, APFS and others), and only within one file system. A hard link is no
//! substitute: it is the same file under a second name, so a change of one app's model would change another's.
//!
//! No system says which files share their blocks, so it is written down what was cloned: in `clones.json` beside the manifest of
//! a model, a list of pairs, each the stamp of the clone and that of the file whose blocks it has. It is only read to count what
//! models take; without it, they seem to take more.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::disk::write::{rename, replace_file_unsynced};
use crate::error::Result;
use crate::platform;
use crate::stamp::FileStamp;

/// A clone, and the file that had its blocks first.
pub(crate) type ClonePair = (FileStamp, FileStamp);

/// What is read at most of a list of clones: about 800,000 of them.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Reads which files of a model are clones; what cannot be read has none.
pub(crate) fn read_clones(list: &Path) -> Vec<ClonePair> {
    let mut bytes = Vec::new();
    let read = File::open(list).and_then(|file| file.take(MAX_LIST_BYTES).read_to_end(&mut bytes));
    let clones = read.ok().and_then(|_| serde_json::from_slice(&bytes).ok());
    clones.unwrap_or_default()
}

/// Writes it down.
pub(crate) fn write_clones(list: &Path, clones: &[ClonePair]) -> Result<()> {
    let json = serde_json::to_vec(clones).unwrap_or_default();
    replace_file_unsynced(list, &json)
}

/// Replaces the file `to` by a clone of `from`, and keeps its permissions. The clone is made at `aside`, where a crash may
/// leave it behind.
///
/// Whatever happens, `to` is the old file or a whole clone. The clone may be damaged: only its length is checked.
pub(crate) fn clone_over(from: &Path, aside: &Path, to: &Path, size_bytes: u64) -> io::Result<()> {
    match fs::remove_file(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if !fs::metadata(from)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let permissions = fs::symlink_metadata(to)?.permissions();
    let made = platform::clone_file(from, aside).and_then(|()| {
        let clone = fs::symlink_metadata(aside)?;
        if !clone.is_file() || clone.len() != size_bytes {
            return Err(io::ErrorKind::InvalidData.into());
        }
        fs::set_permissions(aside, permissions)?;
        rename(aside, to)
    });
    made.inspect_err(|_| {
        // If it stays, the next clone removes it.
        let _ = fs::remove_file(aside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_whole_or_not_there() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        let (from, aside, to) = (path("from"), path("aside"), path("to"));
        fs::write(&from, "the bytes").unwrap();
        fs::write(&to, "laid out ").unwrap();
        fs::write(&aside, "left by a crash").unwrap();
        // Only some file systems can; none may leave anything half done.
        let cloned = clone_over(&from, &aside, &to, 9).is_ok();
        let expected = if cloned { "the bytes" } else { "laid out " };
        assert_eq!(fs::read_to_string(&to).unwrap(), expected);
        assert!(!aside.exists());
        fs::write(&to, "changed").unwrap();
        assert_eq!(fs::read_to_string(&from).unwrap(), "the bytes");
    }

    #[test]
    fn what_is_no_file_or_has_another_length_is_not_cloned() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        let (from, aside, to) = (path("from"), path("aside"), path("to"));
        fs::write(&from, "the bytes").unwrap();
        fs::create_dir(path("folder")).unwrap();
        fs::write(&to, "laid out").unwrap();
        for (from, size_bytes) in [(from, 8), (path("folder"), 0), (path("missing"), 0)] {
            assert!(clone_over(&from, &aside, &to, size_bytes).is_err());
            assert_eq!(fs::read_to_string(&to).unwrap(), "laid out");
            assert!(!aside.exists());
        }
    }
}
