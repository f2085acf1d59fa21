//! Learning the digests of files whose registry states none, so that later changes of them show.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::digest::{Digest, Hasher};
use crate::error::{IoContext, Result};
use crate::manifest::Manifest;
use crate::progress::CancelToken;
use crate::store::layout::file_in;

const BUFFER_BYTES: usize = 256 << 10;

/// Hashes the files in a folder that no digest covers; returns the manifest that has their digests, too.
pub(super) fn learn(manifest: &Manifest, dir: &Path, cancel: &CancelToken) -> Result<Manifest> {
    let unknown: Vec<usize> = manifest.undetermined().collect();
    if unknown.is_empty() {
        return Ok(manifest.clone());
    }
    let learned = unknown.into_par_iter().map(|index| {
        let path = file_in(dir, &manifest.files()[index].path);
        Ok((index, hash(&path, cancel)?))
    });
    let learned: Vec<(usize, Digest)> = learned.collect::<Result<_>>()?;
    manifest.learned(&learned, "the installed manifest")
}

fn hash(path: &Path, cancel: &CancelToken) -> Result<Digest> {
    let mut file = File::open(path).at("read", path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        cancel.check()?;
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
