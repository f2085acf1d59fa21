//! What is published: files, as the one stream of bytes that is cut into chunks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{BUFFER_BYTES, PublishOptions};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, IoContext, Result};
use crate::platform;
use crate::progress::CancelToken;
use crate::project::scan::walk::{Links, walk};
use crate::relpath::RelPath;

/// A file to publish.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: RelPath,
    pub(super) path: PathBuf,
    pub(super) size_bytes: u64,
    pub(super) offset: u64,
}

/// Finds the files, in the order of names.
pub(super) fn collect(
    paths: &[PathBuf],
    registry: &Path,
    options: &PublishOptions,
) -> Result<Vec<Input>> {
    let mut found: BTreeMap<RelPath, PathBuf> = BTreeMap::new();
    for path in paths {
        let metadata = fs::metadata(path).at("read", path)?;
        if metadata.is_dir() {
            if registry.starts_with(path) {
                return Err(Error::argument(format!(
                    "the registry {} lies in what is published",
                    registry.display()
                )));
            }
            let is_skipped = |name: &str, _: &Path, _: bool| options.skip.as_deref() == Some(name);
            for file in walk(path, Links::Follow, &CancelToken::new(), &is_skipped)? {
                if let Some(fault) = file.fault {
                    let message = format!("{} {fault}", file.path.display());
                    return Err(Error::argument(message));
                }
                add(&mut found, &file.name, &file.path)?;
            }
        } else {
            let name = path.file_name().unwrap_or_default();
            add(&mut found, &name.to_string_lossy(), path)?;
        }
    }
    crate::relpath::check_distinct(found.keys()).map_err(Error::argument_name)?;
    in_a_row(found)
}

/// Lays files one behind the other, in the order of names.
pub(super) fn in_a_row(files: BTreeMap<RelPath, PathBuf>) -> Result<Vec<Input>> {
    let mut offset = 0;
    let mut inputs = Vec::with_capacity(files.len());
    for (name, path) in files {
        let size_bytes = fs::metadata(&path).at("read", &path)?.len();
        inputs.push(Input {
            name,
            path,
            size_bytes,
            offset,
        });
        offset += size_bytes;
    }
    Ok(inputs)
}

fn add(found: &mut BTreeMap<RelPath, PathBuf>, name: &str, path: &Path) -> Result<()> {
    let parsed = RelPath::parse(name).map_err(Error::argument_name)?;
    match found.insert(parsed, path.to_owned()) {
        None => Ok(()),
        Some(other) => Err(Error::argument(format!(
            "{} and {} would both be '{name}'",
            other.display(),
            path.display()
        ))),
    }
}

/// Passes the bytes of a range of the stream on.
pub(super) fn read(
    inputs: &[Input],
    range: &Range<u64>,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let first = inputs.partition_point(|input| input.offset + input.size_bytes <= range.start);
    for input in inputs[first..]
        .iter()
        .take_while(|input| input.offset < range.end)
    {
        let (begin, end) = (
            range.start.max(input.offset),
            range.end.min(input.offset + input.size_bytes),
        );
        if begin >= end {
            continue;
        }
        let file = File::open(&input.path).at("read", &input.path)?;
        let mut at = begin - input.offset;
        while at < end - input.offset {
            let length = usize::try_from(end - input.offset - at)
                .unwrap_or(usize::MAX)
                .min(BUFFER_BYTES);
            platform::read_exact_at(&file, &mut buffer[..length], at).at("read", &input.path)?;
            take(&buffer[..length])?;
            at += length as u64;
        }
    }
    Ok(())
}

pub(super) fn hash(inputs: &[Input], range: &Range<u64>) -> Result<Digest> {
    let mut hasher = Hasher::default();
    read(inputs, range, &mut |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(hasher.finish())
}
