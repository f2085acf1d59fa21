//! The files of a version as one stream of bytes, and the chunks that it is cut into.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::pointer::{MAX_POINTER_BYTES, PointerCheck};
#[cfg(feature = "author")]
use crate::disk::walk::{Links, walk};
#[cfg(feature = "author")]
use crate::error::Error;
use crate::error::{IoContext, Result};
use crate::http::transport::Payload;
use crate::platform;
#[cfg(feature = "author")]
use crate::progress::CancelToken;
use crate::progress::tally::Tally;
use crate::publish::hashing::hash;
use crate::relpath::RelPath;
#[cfg(feature = "author")]
use crate::relpath::check_distinct;

/// Files one after the other, in the order of names.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) parts: Vec<Part>,
    /// The paths that were passed over: a system, an editor or a download tool left them behind.
    #[cfg(feature = "author")]
    pub(crate) left_behind: Vec<String>,
}

/// A file of a stream.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its name in the model.
    pub(crate) name: RelPath,
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
    offset: u64,
}

impl Part {
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size_bytes
    }
}

impl Stream {
    /// Makes a stream of files, by their names in the model.
    pub(crate) fn of(files: BTreeMap<RelPath, PathBuf>) -> Result<Self> {
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
            #[cfg(feature = "author")]
            left_behind: Vec::new(),
        })
    }

    #[cfg(feature = "author")]
    /// Finds the files at some paths, and below those that are folders: without the registry itself, which must not be in
    /// one of them, and without what is at the top of one under the name `skip`.
    pub(crate) fn find(
        paths: &[PathBuf],
        registry: Option<&Path>,
        skip: Option<&str>,
        cancel: &CancelToken,
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
            if let Some(registry) = registry.filter(|registry| registry.starts_with(path)) {
                let message = format!(
                    "the registry {} is in the folder to publish",
                    registry.display()
                );
                return Err(Error::argument(message));
            }
            let is_skipped = |name: &str, _: &Path, _: bool| skip == Some(name);
            let walked = walk(path, Links::Follow, cancel, &is_skipped)?;
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

    pub(crate) fn size_bytes(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.range().end)
    }

    /// Cuts the stream into chunks.
    pub(super) fn chunks(&self, chunk_bytes: u64) -> Vec<Range<u64>> {
        let sizes: Vec<u64> = self.parts.iter().map(|part| part.size_bytes).collect();
        cut(&sizes, chunk_bytes)
    }

    /// Returns the bytes of a range.
    pub(crate) fn slice(&self, range: &Range<u64>) -> Slice<'_> {
        let first = self
            .parts
            .partition_point(|part| part.range().end <= range.start);
        Slice {
            parts: &self.parts[first..],
            range: range.clone(),
        }
    }

    pub(crate) fn hash(&self, range: &Range<u64>, tally: &Tally<'_>) -> Result<Digest> {
        let mut reader = self.slice(range).reader();
        hash(&mut reader, &mut |piece| tally.advance(piece.len()))
    }
}

/// A range of a stream, such as a chunk.
#[derive(Debug)]
pub(crate) struct Slice<'a> {
    /// The files from the first on that is in the range.
    parts: &'a [Part],
    range: Range<u64>,
}

impl<'a> Slice<'a> {
    pub(super) fn reader(&self) -> SliceReader<'a> {
        SliceReader {
            parts: self.parts,
            range: self.range.clone(),
            open: None,
        }
    }
}

impl Payload for Slice<'_> {
    fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(SliceReader {
            range: self.range.start + start..self.range.end,
            ..self.reader()
        }))
    }
}

/// Reads a range of a stream, file by file.
pub(super) struct SliceReader<'a> {
    /// The files from the one on that is open, or next.
    parts: &'a [Part],
    /// What is still to be read.
    range: Range<u64>,
    open: Option<File>,
}

impl Read for SliceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let [part, rest @ ..] = self.parts
            && self.range.start < self.range.end
        {
            let end = self.range.end.min(part.range().end);
            if end <= self.range.start {
                (self.parts, self.open) = (rest, None);
                continue;
            }
            let file = match self.open.take() {
                Some(file) => Ok(file),
                None => File::open(&part.path).at("read", &part.path),
            };
            let file = self.open.insert(file.map_err(io::Error::other)?);
            let at = self.range.start - part.offset;
            let left = usize::try_from(end - self.range.start).unwrap_or(usize::MAX);
            let length = buffer.len().min(left);
            let read = platform::read_exact_at(file, &mut buffer[..length], at);
            let read = read.at("read", &part.path);
            read.map_err(io::Error::other)?;
            self.range.start += length as u64;
            return Ok(length);
        }
        Ok(0)
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

/// Cuts a stream of files with these sizes into chunks.
pub(super) fn cut(sizes: &[u64], chunk_bytes: u64) -> Vec<Range<u64>> {
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
