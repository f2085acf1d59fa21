//! What tells whether two files have the same bytes, by what their manifests say.

use crate::digest::Checksum;
use crate::manifest::Manifest;

/// What tells whether two files have the same bytes: the digest, else the parts that it is cut from and where.
#[derive(Debug, PartialEq)]
pub(crate) enum Identity {
    Digest(Checksum),
    Parts(u64, Vec<(Checksum, i128)>),
}

/// Tells what a file's bytes are; `None` when nothing does.
pub(crate) fn identity(manifest: &Manifest, index: usize) -> Option<Identity> {
    let file = &manifest.files()[index];
    if let Some(digest) = file.digest {
        return Some(Identity::Digest(digest));
    }
    let parts = &manifest.parts()[manifest.parts_in(file.offset..file.offset + file.size_bytes)];
    let place = |offset: u64| i128::from(offset) - i128::from(file.offset);
    let parts = parts
        .iter()
        .map(|part| Some((part.digest?, place(part.offset))));
    Some(Identity::Parts(
        file.size_bytes,
        parts.collect::<Option<_>>()?,
    ))
}
