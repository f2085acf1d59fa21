//! Hashing what is written.

use std::io::Read;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};

/// How much is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Hashes what the reader of a payload has, and passes it on.
pub(super) fn hash(
    reader: &mut dyn Read,
    pass: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer).map_err(Error::of_payload)? {
            0 => return Ok(hasher.finish()),
            length => {
                hasher.update(&buffer[..length]);
                pass(&buffer[..length])?;
            }
        }
    }
}
