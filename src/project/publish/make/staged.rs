//! What git has staged of a work tree.
//!
//! Git tells what it will serve of a file in [its index], by the id of the blob: with that, no setting of the repository, the
//! user or the system has to be known by which git changes files when it checks them out.
//!
//! ```text
//! "DIRC"    4 bytes
//! version   u32: 2, 3 or 4
//! count     u32 of entries
//! entries   each 40 bytes about the file, with its mode from the 24th on; the id of its blob; flags (u16), which may say that
//!           there are more (u16); its path, up to a zero. In 2 and 3, zeros make its length a multiple of 8. In 4, the path
//!           is what precedes it, less a number of bytes, with more bytes.
//! others    each a name of 4 bytes, a length (u32), and so many bytes; small letters mean that it must be understood
//! checksum  SHA-1 of all that, or zeros
//! ```
//!
//! [its index]: https://git-scm.com/docs/index-format

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

use crate::manifest::GitBlobId;

/// The largest index that is read, in bytes: some 2 million files.
const MAX_INDEX_BYTES: u64 = 256 << 20;
/// How much of the file is read that says where the folder of git is, in bytes.
const MAX_LINK_BYTES: u64 = 16 << 10;
/// The length of a checksum and of an id.
const ID_BYTES: usize = 20;

/// The flags that tell of an entry: that there are more flags, and the side of a conflict.
const HAS_MORE: u16 = 0x4000;
const SIDE: u16 = 0x3000;

/// The blobs of files, by their paths in the work tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Staged(BTreeMap<String, GitBlobId>);

impl Staged {
    /// Reads what is staged below a folder of a work tree; `None` if there is no index, or it is of a form that is not known.
    pub(super) fn read(work_tree: &Path, folder: &str) -> Option<Self> {
        let index = read(&folder_of_git(work_tree)?.join("index"), MAX_INDEX_BYTES)?;
        Self::parse(&index, folder)
    }

    /// Returns the blob of a file, by its path in the work tree.
    pub(super) fn blob(&self, path: &str) -> Option<GitBlobId> {
        self.0.get(path).copied()
    }

    fn parse(index: &[u8], folder: &str) -> Option<Self> {
        let (content, checksum) = index.split_last_chunk::<ID_BYTES>()?;
        // Git may be told to write none.
        if *checksum != [0; ID_BYTES] && Sha1::digest(content).as_slice() != checksum {
            return None;
        }
        let mut rest = content.strip_prefix(b"DIRC")?;
        let (version, count) = (number(&mut rest)?, number(&mut rest)?);
        if !(2..=4).contains(&version) {
            return None;
        }
        let (mut blobs, mut path) = (BTreeMap::new(), Vec::new());
        for _ in 0..count {
            let before = rest.len();
            rest.split_off(..40)?;
            let id: [u8; ID_BYTES] = take(&mut rest)?;
            let flags = u16::from_be_bytes(take(&mut rest)?);
            if flags & HAS_MORE != 0 {
                rest.split_off(..2)?;
            }
            let shared = match version {
                4 => path.len().checked_sub(length(&mut rest)?)?,
                _ => 0,
            };
            let end = rest.iter().position(|byte| *byte == 0)?;
            path.truncate(shared);
            path.extend_from_slice(rest.split_off(..end)?);
            let length = before - rest.len();
            let zeros = match version {
                4 => 1,
                _ => 8 - length % 8,
            };
            rest.split_off(..zeros)?;
            let text = std::str::from_utf8(&path).ok();
            let below = text.filter(|path| is_below(path, folder) && flags & SIDE == 0);
            blobs.extend(below.map(|path| (path.to_owned(), GitBlobId::from(id))));
        }
        while !rest.is_empty() {
            let name = rest.split_off(..4)?;
            if name[0].is_ascii_lowercase() {
                return None;
            }
            let length = number(&mut rest)?;
            rest.split_off(..length as usize)?;
        }
        Some(Self(blobs))
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    let inner = path.strip_prefix(folder);
    folder.is_empty() || inner.is_some_and(|inner| inner.starts_with('/'))
}

/// Takes the next bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

/// Takes a number of four bytes.
fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

/// Takes a number of as many bytes as it needs, the first of which is the highest. Each but the last adds one, so that no number
/// has two forms.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let byte = *rest.split_off_first()?;
        value = value
            .checked_mul(128)?
            .checked_add(usize::from(byte & 127))?;
        if byte < 128 {
            return Some(value);
        }
        value = value.checked_add(1)?;
    }
}

/// Returns where git keeps what it knows of a work tree. In one that is linked and in a submodule, `.git` is a file that says so.
fn folder_of_git(work_tree: &Path) -> Option<PathBuf> {
    let git = work_tree.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = String::from_utf8(read(&git, MAX_LINK_BYTES)?).ok()?;
    Some(work_tree.join(text.strip_prefix("gitdir:")?.trim()))
}

/// Reads a file; `None` if there is none, or it is larger.
fn read(path: &Path, max_bytes: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(max_bytes + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= max_bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index with these paths, each with the id of its number, and some other data.
    fn index(version: u32, paths: &[&str], others: &[u8]) -> Vec<u8> {
        let mut bytes = [
            &b"DIRC"[..],
            &version.to_be_bytes(),
            &(paths.len() as u32).to_be_bytes(),
        ]
        .concat();
        let mut last = "";
        for (path, number) in paths.iter().zip(0..) {
            let begin = bytes.len();
            bytes.extend([7; 40]);
            bytes.extend([number; ID_BYTES]);
            let (flags, more) = if version > 2 { (HAS_MORE, 2) } else { (0, 0) };
            bytes.extend(flags.to_be_bytes());
            bytes.extend(vec![0; more]);
            if version == 4 {
                let shared = path
                    .bytes()
                    .zip(last.bytes())
                    .take_while(|(a, b)| a == b)
                    .count();
                let less = last.len() - shared;
                match less {
                    0..128 => bytes.push(less as u8),
                    less => bytes.extend([128 | ((less - 128) >> 7) as u8, (less & 127) as u8]),
                }
                bytes.extend(&path.as_bytes()[shared..]);
                bytes.push(0);
                last = path;
            } else {
                bytes.extend(path.as_bytes());
                let length = bytes.len() - begin;
                bytes.extend(vec![0; 8 - length % 8]);
            }
        }
        bytes.extend(others);
        let checksum = Sha1::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }

    fn read_paths(index: &[u8], folder: &str) -> Option<Vec<(String, GitBlobId)>> {
        Some(Staged::parse(index, folder)?.0.into_iter().collect())
    }

    #[test]
    fn the_blobs_of_all_versions_are_read() {
        let long = format!("a/{}", "a".repeat(300));
        let paths = ["a.txt", &*long, "a/b", "a/b.txt", "ab/c"];
        for version in 2..=4 {
            for others in [&b""[..], b"TREE\0\0\0\x03abc"] {
                let index = index(version, &paths, others);
                let all = paths.iter().zip(0..);
                let all = all.map(|(path, number)| {
                    ((*path).to_owned(), GitBlobId::from([number; ID_BYTES]))
                });
                let all: Vec<_> = all.collect();
                assert_eq!(read_paths(&index, ""), Some(all.clone()), "{version}");
                assert_eq!(
                    read_paths(&index, "a"),
                    Some(all[1..4].to_vec()),
                    "{version}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_read() {
        let known = index(2, &["a", "b/c"], b"");
        assert!(read_paths(&known, "").is_some());
        let mut unchecked = known.clone();
        let end = unchecked.len();
        unchecked[end - ID_BYTES..].fill(0);
        assert!(read_paths(&unchecked, "").is_some());
        let mut other = known.clone();
        other[20] ^= 1;
        for index in [
            other,
            index(5, &["a"], b""),
            index(2, &["a"], b"link\0\0\0\0"),
            index(2, &["a"], b"TREE\0\0\0\x09abc"),
            b"DIRC".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(read_paths(&index, ""), None);
        }
    }

    #[test]
    fn a_damaged_index_causes_no_panic() {
        for version in 2..=4 {
            let whole = index(version, &["a", "a/b", "c"], b"TREE\0\0\0\0");
            let content = whole.len() - ID_BYTES;
            for at in 0..content {
                for byte in [0, 0x7f, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[at] = byte;
                    damaged[content..].fill(0);
                    Staged::parse(&damaged, "");
                    damaged.drain(at..content);
                    Staged::parse(&damaged, "");
                }
            }
        }
    }
}
