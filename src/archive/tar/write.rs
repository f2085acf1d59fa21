//! Writing tars: regular files only, without owners, so that the same files give the same bytes.

use super::{BLOCK_BYTES, CHECKSUM, MAGIC, MODIFIED, NAME, SIZE, TYPE, padding};

/// Two blocks of zeros end an archive.
pub(crate) const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// A file, before its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TarEntry<'n> {
    pub(crate) name: &'n str,
    pub(crate) size_bytes: u64,
    /// When it was written, in seconds since 1970; zero says nothing.
    pub(crate) modified: u64,
}

impl<'n> TarEntry<'n> {
    pub(crate) fn new(name: &'n str, size_bytes: u64) -> Self {
        Self {
            name,
            size_bytes,
            modified: 0,
        }
    }

    /// Returns the header; `None` for a name that takes more than one.
    pub(crate) fn header(&self) -> Option<[u8; BLOCK_BYTES]> {
        let (name, size_bytes) = (self.name, self.size_bytes);
        let mut header = [0; BLOCK_BYTES];
        let field = header[NAME].get_mut(..name.len())?;
        field.copy_from_slice(name.as_bytes());
        // Mode, owner, group.
        header[100..124].copy_from_slice(b"0000644\x000000000\x000000000\0");
        match format!("{size_bytes:011o}\0").as_bytes() {
            octal if octal.len() == SIZE.len() => header[SIZE].copy_from_slice(octal),
            // In binary from 8 GiB on, as GNU tar and Go's writer do.
            _ => {
                header[SIZE.start] = 0x80;
                header[SIZE.end - 8..SIZE.end].copy_from_slice(&size_bytes.to_be_bytes());
            }
        }
        match format!("{:011o}\0", self.modified).as_bytes() {
            octal if octal.len() == MODIFIED.len() => header[MODIFIED].copy_from_slice(octal),
            _ => header[MODIFIED].copy_from_slice(b"00000000000\0"),
        }
        header[CHECKSUM].fill(b' ');
        header[TYPE] = b'0';
        header[MAGIC].copy_from_slice(b"ustar\0");
        header[MAGIC.end..MAGIC.end + 2].copy_from_slice(b"00");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        Some(header)
    }
}

/// Returns what fills the last block of a file.
pub(crate) fn filling(size_bytes: u64) -> &'static [u8] {
    &END[..padding(size_bytes) as usize]
}
