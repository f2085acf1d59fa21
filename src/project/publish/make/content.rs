//! The bytes of a file as they pass.

use crate::digest::Hasher;
use crate::disk::pointer::PointerCheck;

/// What is learned from the bytes of a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) hasher: Hasher,
    pub(super) pointer: PointerCheck,
    pub(super) size_bytes: u64,
}

impl Content {
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.pointer.update(piece);
        self.size_bytes += piece.len() as u64;
    }
}
