//! The files of a version as one stream of bytes, and the chunks that it is cut into.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::PublishOptions;
use crate::digest::{Digest, Hasher};
use crate::disk::pointer::{MAX_POINTER_BYTES, PointerCheck};
use crate::disk::walk::{Links, walk};
use crate::disk::write::NewFile;
use crate::error::{Error, IoContext, Result};
use crate::platform;
use crate::project::tally::Tally;
use crate::relpath::{RelPath, check_distinct};

/// How much of a file is read at once.
const BUFFER_BYTES: u64 = 256 << 10;

/// Files one after the other, in the order of names.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) parts: Vec<Part>,
    /// The paths that were passed over: a system, an editor or a download tool left them behind.
    pub(super) left_behind: Vec<String>,
}

/// A file of a stream.
#[derive(Debug)]
pub(super) struct Part {
    /// Its name in the model.
    pub(super) name: RelPath,
    path: PathBuf,
    pub(super) size_bytes: u64,
    offset: u64,
}

impl Part {
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size_bytes
    }
}

impl Stream {
    /// Makes a stream of files, by their names in the model.
    pub(super) fn of(files: BTreeMap<RelPath, PathBuf>) -> Result<Self> {
        let (mut parts, mut offset) = (Vec::with_capacity(files.len()), 0);
        for (name, path) in files {
            let size_bytes = fs::metadata(&path).at("read", &path)?.len();
            refuse_pointer(&path, size_bytes)?;
            parts.push(Part {
                name,
                path,
                size_bytes,
                offset,
            });
            offset += size_bytes;
        }
        Ok(Self {
            parts,
            left_behind: Vec::new(),
        })
    }

    /// Finds the files at some paths, and below those that are folders.
    pub(super) fn find(
        paths: &[PathBuf],
        registry: &Path,
        options: &PublishOptions,
    ) -> Result<Self> {
        let mut files: BTreeMap<RelPath, PathBuf> = BTreeMap::new();
        let mut left_behind = Vec::new();
        let mut add = |name: &str, path: PathBuf| {
            let parsed = RelPath::parse(name).map_err(Error::argument_name)?;
            match files.insert(parsed, path.clone()) {
                None => Ok(()),
                Some(other) => Err(Error::argument(format!(
                    "{} and {} would both be '{name}'",
                    other.display(),
                    path.display()
                ))),
            }
        };
        for path in paths {
            if !fs::metadata(path).at("read", path)?.is_dir() {
                let name = path.file_name().unwrap_or_default();
                add(&name.to_string_lossy(), path.clone())?;
                continue;
            }
            if registry.starts_with(path) {
                let message = format!(
                    "the registry {} is in the folder to publish",
                    registry.display()
                );
                return Err(Error::argument(message));
            }
            let is_skipped = |name: &str, _: &Path, _: bool| options.skip.as_deref() == Some(name);
            let walked = walk(path, Links::Follow, &options.cancel, &is_skipped)?;
            let names = walked.left_behind.iter();
            // With the separators of the system throughout.
            let paths = names.map(|name| path.join(name).components().collect::<PathBuf>());
            left_behind.extend(paths.map(|path| path.display().to_string()));
            for file in walked.files {
                if let Some(fault) = file.fault {
                    return Err(Error::argument(format!("{} {fault}", file.path.display())));
                }
                add(&file.name, file.path)?;
            }
        }
        check_distinct(files.keys()).map_err(Error::argument_name)?;
        Ok(Self {
            left_behind,
            ..Self::of(files)?
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.range().end)
    }

    /// Cuts the stream into chunks.
    pub(super) fn chunks(&self, chunk_bytes: u64) -> Vec<Range<u64>> {
        let sizes: Vec<u64> = self.parts.iter().map(|part| part.size_bytes).collect();
        cut(&sizes, chunk_bytes)
    }

    /// Passes on the bytes of a range.
    fn read(&self, range: &Range<u64>, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let first = self
            .parts
            .partition_point(|part| part.range().end <= range.start);
        let parts = self.parts[first..].iter();
        for part in parts.take_while(|part| part.offset < range.end) {
            let begin = range.start.max(part.offset) - part.offset;
            let end = range.end.min(part.range().end) - part.offset;
            read_file(&part.path, begin..end, take)?;
        }
        Ok(())
    }

    pub(super) fn hash(&self, range: &Range<u64>, tally: &Tally<'_>) -> Result<Digest> {
        let mut hasher = Hasher::default();
        self.read(range, &mut |piece| {
            hasher.update(piece);
            tally.advance(piece.len())
        })?;
        Ok(hasher.finish())
    }

    /// Writes a chunk into a folder, unless it exists; returns its digest, and whether it was written.
    pub(super) fn write_chunk(
        &self,
        range: &Range<u64>,
        folder: &Path,
        tally: &Tally<'_>,
    ) -> Result<(Digest, bool)> {
        let digest = self.hash(range, tally)?;
        let path = folder.join(digest.to_string());
        if is_intact(&path, digest, range.end - range.start) {
            return Ok((digest, false));
        }
        let mut file = NewFile::create(&path)?;
        let mut hasher = Hasher::default();
        self.read(range, &mut |piece| {
            hasher.update(piece);
            file.write(piece)
        })?;
        if hasher.finish() != digest {
            return Err(Error::argument("a file changed while it was published"));
        }
        file.commit()?;
        Ok((digest, true))
    }
}

/// Refuses what stands for a file that was not fetched.
fn refuse_pointer(path: &Path, size_bytes: u64) -> Result<()> {
    let mut pointer = PointerCheck::default();
    if size_bytes <= MAX_POINTER_BYTES as u64 {
        pointer.update(&fs::read(path).at("read", path)?);
    }
    pointer.finish(path.display())
}

/// Passes on the bytes of a range of a file.
fn read_file(
    path: &Path,
    range: Range<u64>,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let file = File::open(path).at("read", path)?;
    let mut buffer = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let length = BUFFER_BYTES.min(range.end - at);
        buffer.resize(length as usize, 0);
        platform::read_exact_at(&file, &mut buffer, at).at("read", path)?;
        take(&buffer)?;
        at += length;
    }
    Ok(())
}

/// Returns whether a chunk exists, with the bytes that its name promises.
fn is_intact(path: &Path, digest: Digest, size_bytes: u64) -> bool {
    let has_size = |metadata: fs::Metadata| metadata.is_file() && metadata.len() == size_bytes;
    let mut hasher = Hasher::default();
    let mut hash = |piece: &[u8]| {
        hasher.update(piece);
        Ok(())
    };
    fs::metadata(path).is_ok_and(has_size)
        && read_file(path, 0..size_bytes, &mut hash).is_ok()
        && hasher.finish() == digest
}

/// Cuts a stream of files with these sizes into chunks.
fn cut(sizes: &[u64], chunk_bytes: u64) -> Vec<Range<u64>> {
    let mut chunks: Vec<Range<u64>> = Vec::new();
    let (mut begin, mut at) = (0, 0);
    let mut close = |begin: &mut u64, end: u64| {
        if *begin < end {
            chunks.push(*begin..end);
        }
        *begin = end;
    };
    for size in sizes {
        if *size >= chunk_bytes || at - begin + size > chunk_bytes {
            close(&mut begin, at);
        }
        at += size;
        while at - begin >= chunk_bytes {
            let end = begin + chunk_bytes;
            close(&mut begin, end);
        }
        if *size >= chunk_bytes {
            close(&mut begin, at);
        }
    }
    close(&mut begin, at);
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_start_chunks_and_small_files_share_them() {
        assert_eq!(
            cut(&[3, 3, 3, 25, 4, 0, 10, 1], 10),
            [0..9, 9..19, 19..29, 29..34, 34..38, 38..48, 48..49]
        );
        assert_eq!(cut(&[0, 0], 10), []);
        assert_eq!(cut(&[20], 10), [0..10, 10..20]);
        assert_eq!(cut(&[], 10), []);
    }
}
