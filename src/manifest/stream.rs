//! The files of a model as one stream of bytes: where files and parts are in it, and which belong to which.

use std::collections::HashMap;
use std::ops::Range;

use super::{Checksum, Manifest, ManifestFile, Part};

/// A stretch of one file, within a range of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The index of the file.
    pub(crate) file: usize,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    pub(crate) size_bytes: u64,
}

/// The bytes of a file, as far as a manifest determines them: equal ones are the same bytes.
#[derive(Debug, PartialEq)]
pub(crate) enum FileContent {
    Digest(Checksum),
    /// The size of the file, and the digest of each of its parts with the part's place relative to the file.
    Parts(u64, Vec<(Checksum, i128)>),
}

impl Manifest {
    /// Gives files and parts their places in the stream; refuses sizes that contradict each other.
    pub(super) fn laid_out(
        mut self,
        chunks: Option<Vec<Part>>,
        total: Option<u64>,
    ) -> Result<Self, String> {
        if self.is_measured != total.is_some() {
            return Err("the manifest's total size does not agree with its files' sizes".into());
        }
        let files = self.files.iter_mut();
        let sizes = files.map(|file| (&mut file.offset, file.size_bytes.unwrap_or(0)));
        self.known_bytes = lay_out(sizes, total, "files")?;
        self.parts = match chunks {
            Some(chunks) => chunks,
            None if !self.is_measured => Vec::new(),
            None => {
                let files = self.files.iter().map(|file| (file.size_bytes, file.digest));
                let sized =
                    files.filter_map(|(size, digest)| Some((size.filter(|it| *it > 0)?, digest)));
                sized
                    .map(|(size, digest)| Part::new(size, digest))
                    .collect()
            }
        };
        let mut size_of: HashMap<Checksum, u64> = HashMap::new();
        for part in &self.parts {
            let size = part.size_bytes;
            if size == 0 {
                return Err("the manifest has an empty chunk".into());
            }
            if let Some(digest) = part.digest
                && *size_of.entry(digest).or_insert(size) != size
            {
                return Err(format!("the manifest gives chunk {digest} two sizes"));
            }
        }
        let parts = self.parts.iter_mut();
        let sizes = parts.map(|part| (&mut part.offset, part.size_bytes));
        lay_out(sizes, total, "chunks")?;
        Ok(self)
    }

    /// Returns the stretches of files that make up a range of the stream, in order; empty files have none.
    pub(crate) fn segments(&self, range: Range<u64>) -> impl Iterator<Item = Segment> {
        let Range { start, end } = range;
        let first = self.files.partition_point(|it| it.range().end <= start);
        let files = self.files.iter().enumerate().skip(first);
        let files = files.take_while(move |(_, file)| file.offset < end);
        files.filter_map(move |(index, file)| {
            let (begin, end) = (start.max(file.offset), end.min(file.range().end));
            (begin < end).then(|| Segment {
                file: index,
                offset: begin - file.offset,
                size_bytes: end - begin,
            })
        })
    }

    /// Returns the file that consists of exactly one part.
    pub(crate) fn file_of_part(&self, part: usize) -> Option<usize> {
        let range = self.parts[part].range();
        let file = self.files_in(range.clone()).next()?;
        (self.files[file].range() == range).then_some(file)
    }

    /// Returns the files that have bytes in a range of the stream.
    pub(crate) fn files_in(&self, range: Range<u64>) -> impl Iterator<Item = usize> {
        self.segments(range).map(|segment| segment.file)
    }

    /// Returns the indexes of the parts that have bytes in a range of the stream.
    pub(crate) fn parts_in(&self, range: Range<u64>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let first = self
            .parts
            .partition_point(|part| part.range().end <= range.start);
        let last = self.parts.partition_point(|part| part.offset < range.end);
        first..last
    }

    /// Returns the parts that have bytes of a file.
    pub(crate) fn parts_of(&self, file: &ManifestFile) -> &[Part] {
        &self.parts[self.parts_in(file.range())]
    }

    /// Returns what determines the bytes of a file; `None` if nothing does.
    pub(crate) fn content(&self, file: &ManifestFile) -> Option<FileContent> {
        if let Some(digest) = file.digest {
            return Some(FileContent::Digest(digest));
        }
        let size_bytes = self.is_measured.then_some(file.size_bytes)??;
        let parts = self.parts_of(file).iter().map(|part| {
            Some((
                part.digest?,
                i128::from(part.offset) - i128::from(file.offset),
            ))
        });
        Some(FileContent::Parts(
            size_bytes,
            parts.collect::<Option<_>>()?,
        ))
    }
}

/// Sets where each of several pieces begins, given its size; returns where the last ends, which must be the total size.
fn lay_out<'a>(
    pieces: impl Iterator<Item = (&'a mut u64, u64)>,
    total: Option<u64>,
    what: &str,
) -> Result<u64, String> {
    let mut end = 0_u64;
    for (offset, size_bytes) in pieces {
        *offset = end;
        let sum = end.checked_add(size_bytes);
        end = sum.ok_or_else(|| format!("the sizes of the manifest's {what} are too large"))?;
    }
    match total {
        Some(total) if total != end => Err(format!(
            "the manifest's {what} have {end} bytes in total, but its total size is {total}"
        )),
        _ => Ok(end),
    }
}
