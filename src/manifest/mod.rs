//! The files of one model version, in one form for every kind of source.
//!
//! A model is one stream of bytes. Its **files** are that stream cut at their sizes, in order; its **parts**, which are
//! what is fetched and what digests cover, are the same stream cut at other places. A part may be a chunk that many
//! models share, or one file. On disk and in a chunked registry a manifest is this JSON document:
//!
//! ```json
//! {
//!   "total_size": 12,
//!   "chunk_size": 8,
//!   "chunks": ["<sha256>", "<sha256>"],
//!   "chunk_sizes": [8, 4],
//!   "files": [{"path": "model.safetensors", "size": 12, "sha256": "<sha256>"}]
//! }
//! ```
//!
//! `chunk_sizes` stands there only when chunks differ in length: without it every chunk but the last has `chunk_size`
//! bytes. `sha256` of a file may be missing, or `git_blob` stand in its place, the id that git gives it. Without `chunks`, every file that is not empty is a part. Unknown fields are
//! ignored.

mod outline;

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::digest::{Checksum, Digest, GitBlobId};
use crate::error::{Error, ErrorKind, Result};
use crate::relpath::{RelPath, check_distinct};

pub(crate) use outline::{Contents, Outline, OutlineFile};

/// The largest manifest that is read, in bytes: 2 TiB of model in chunks of 8 MiB. It bounds memory, as a manifest is
/// held whole.
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestFile {
    /// Where it lies in the model's folder.
    pub path: RelPath,
    /// Its size; may be zero.
    pub size_bytes: u64,
    /// What its content is checked by, when the registry says it.
    pub digest: Option<Checksum>,
    /// Where it begins in the model's stream of bytes.
    pub(crate) offset: u64,
}

/// A piece of a model's stream that is fetched and checked as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Its size; never zero.
    pub size_bytes: u64,
    /// What its content is checked by; `None` where only a file's digest covers it.
    pub digest: Option<Checksum>,
    /// Where it begins in the model's stream of bytes.
    pub(crate) offset: u64,
}

impl Part {
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size_bytes
    }
}

/// The files of one model version, and the parts they come from.
#[derive(Debug, Clone)]
pub struct Manifest {
    digest: Digest,
    json: Vec<u8>,
    files: Vec<ManifestFile>,
    parts: Vec<Part>,
    total_bytes: u64,
}

/// A stretch of a file: what a range of the stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The file's index.
    pub(crate) file: usize,
    /// Where in the file.
    pub(crate) offset: u64,
    pub(crate) size_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct ManifestWire {
    total_size: u64,
    #[serde(default)]
    chunk_size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunks: Option<Vec<Digest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunk_sizes: Option<Vec<u64>>,
    files: Vec<FileWire>,
}

#[derive(Serialize, Deserialize)]
struct FileWire {
    path: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    git_blob: Option<GitBlobId>,
}

/// The better of the two that a file may have.
fn checksum(sha256: Option<Digest>, git_blob: Option<GitBlobId>) -> Option<Checksum> {
    sha256
        .map(Checksum::Sha256)
        .or_else(|| git_blob.map(Checksum::GitBlob))
}

impl Manifest {
    /// Reads and checks a manifest; `location` names it in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when it is no such document, when its sizes contradict each other, or when a file's name is
    /// unsafe or meets another on some system.
    pub fn parse(json: Vec<u8>, location: impl Display) -> Result<Self> {
        let wire: ManifestWire = serde_json::from_slice(&json).map_err(|error| {
            Error::from(ErrorKind::Registry {
                location: location.to_string(),
                message: "the manifest is malformed".into(),
                source: Some(error.into()),
            })
        })?;
        let refuse = |message: String| Error::registry(&location, message);
        let files = wire
            .files
            .into_iter()
            .map(|file| {
                let path = RelPath::parse(&file.path)
                    .map_err(|error| refuse(format!("in the manifest, {error}")))?;
                Ok((path, file.size, checksum(file.sha256, file.git_blob)))
            })
            .collect::<Result<Vec<_>>>()?;
        check_distinct(files.iter().map(|(path, ..)| path))
            .map_err(|error| refuse(format!("in the manifest, {error}")))?;
        let Some(chunks) = wire.chunks else {
            let not_empty = files.iter().filter(|(_, size, _)| *size > 0);
            let parts: Vec<_> = not_empty
                .map(|(_, size, digest)| (*size, *digest))
                .collect();
            return Self::build(json, files, parts.into_iter(), wire.total_size).map_err(refuse);
        };
        let sizes = match wire.chunk_sizes {
            Some(sizes) if sizes.len() != chunks.len() => {
                return Err(refuse(
                    "the manifest has more or fewer chunk sizes than chunks".into(),
                ));
            }
            Some(sizes) => sizes,
            None => {
                even_sizes(wire.total_size, wire.chunk_size, chunks.len()).ok_or_else(|| {
                    refuse("the manifest's chunks do not add up to its total size".into())
                })?
            }
        };
        let parts = chunks
            .into_iter()
            .zip(sizes)
            .map(|(digest, size)| (size, Some(Checksum::Sha256(digest))));
        Self::build(json, files, parts, wire.total_size).map_err(refuse)
    }

    /// Makes the manifest of one file of which nothing else is known.
    pub(crate) fn of_file(name: &str, size_bytes: u64) -> Result<Self> {
        let json = serde_json::json!({
            "total_size": size_bytes,
            "files": [{"path": name, "size": size_bytes}],
        });
        Self::parse(json.to_string().into_bytes(), name)
    }

    /// Makes the manifest of files and parts that together are the same stream, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] as [`Manifest::parse`].
    #[cfg(feature = "author")]
    pub(crate) fn new(
        files: &[(RelPath, u64, Option<Digest>)],
        chunks: &[(u64, Digest)],
        chunk_bytes: u64,
    ) -> Result<Self> {
        let total = files.iter().map(|(_, size, _)| size).sum();
        let sizes: Vec<u64> = chunks.iter().map(|(size, _)| *size).collect();
        let even = even_sizes(total, chunk_bytes, chunks.len()).is_some_and(|even| even == sizes);
        let wire = ManifestWire {
            total_size: total,
            chunk_size: chunk_bytes,
            chunks: Some(chunks.iter().map(|(_, digest)| *digest).collect()),
            chunk_sizes: (!even).then_some(sizes),
            files: files
                .iter()
                .map(|(path, size, sha256)| FileWire {
                    path: path.to_string(),
                    size: *size,
                    sha256: *sha256,
                    git_blob: None,
                })
                .collect(),
        };
        let json = serde_json::to_vec(&wire).map_err(|error| Error::internal(error.to_string()))?;
        Self::parse(json, "the new manifest")
    }

    fn build(
        json: Vec<u8>,
        files: Vec<(RelPath, u64, Option<Checksum>)>,
        parts: impl Iterator<Item = (u64, Option<Checksum>)>,
        total_bytes: u64,
    ) -> Result<Self, String> {
        let mut offset = 0_u64;
        let mut advance = |size: u64, what: &str| {
            let begin = offset;
            offset = begin.checked_add(size).filter(|end| *end <= total_bytes).ok_or_else(|| {
                format!("the manifest's {what} are larger than its total size of {total_bytes} bytes")
            })?;
            Ok::<u64, String>(begin)
        };
        let files = files
            .into_iter()
            .map(|(path, size_bytes, digest)| {
                Ok(ManifestFile {
                    path,
                    size_bytes,
                    digest,
                    offset: advance(size_bytes, "files")?,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        if offset != total_bytes {
            return Err(format!(
                "the manifest's files have {offset} bytes, and its total size is {total_bytes}"
            ));
        }
        offset = 0;
        let mut advance = |size: u64, what: &str| {
            let begin = offset;
            offset = begin.checked_add(size).filter(|end| *end <= total_bytes).ok_or_else(|| {
                format!("the manifest's {what} are larger than its total size of {total_bytes} bytes")
            })?;
            Ok::<u64, String>(begin)
        };
        let mut sizes: HashMap<Checksum, u64> = HashMap::new();
        let parts = parts
            .map(|(size_bytes, digest)| {
                if size_bytes == 0 {
                    return Err("the manifest has an empty chunk".to_owned());
                }
                if let Some(digest) = digest
                    && *sizes.entry(digest).or_insert(size_bytes) != size_bytes
                {
                    return Err(format!("the manifest gives chunk {digest} two sizes"));
                }
                Ok(Part {
                    size_bytes,
                    digest,
                    offset: advance(size_bytes, "chunks")?,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        if offset != total_bytes {
            return Err(format!(
                "the manifest's chunks have {offset} bytes, and its total size is {total_bytes}"
            ));
        }
        Ok(Self {
            digest: Digest::of(&json),
            json,
            files,
            parts,
            total_bytes,
        })
    }

    /// Returns the digest of the document, which is what an index names it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the document as it was read.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the files, in the order of the stream; may be empty.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Returns the parts, in the order of the stream; empty when all files are.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the size of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Returns the stretches of files that a range of the stream is made of, in order; empty files have none.
    pub(crate) fn segments(&self, range: Range<u64>) -> impl Iterator<Item = Segment> {
        let first = self
            .files
            .partition_point(|file| file.offset + file.size_bytes <= range.start);
        self.files[first..]
            .iter()
            .enumerate()
            .take_while({
                let end = range.end;
                move |(_, file)| file.offset < end
            })
            .filter_map(move |(index, file)| {
                let begin = range.start.max(file.offset);
                let end = range.end.min(file.offset + file.size_bytes);
                (begin < end).then(|| Segment {
                    file: first + index,
                    offset: begin - file.offset,
                    size_bytes: end - begin,
                })
            })
    }

    /// Returns the file that a part is the whole of.
    pub(crate) fn file_of_part(&self, part: usize) -> Option<usize> {
        let part = &self.parts[part];
        let file = self.files_in(part.range()).next()?;
        let is_all = self.files[file].offset == part.offset
            && self.files[file].size_bytes == part.size_bytes;
        is_all.then_some(file)
    }

    /// Returns the files that have bytes of a range of the stream.
    pub(crate) fn files_in(&self, range: Range<u64>) -> impl Iterator<Item = usize> {
        self.segments(range).map(|segment| segment.file)
    }

    /// Returns the indexes of the parts that have bytes of a range of the stream.
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
}

/// The sizes of `count` chunks that all but the last have `chunk` bytes; `None` when they cannot add up to `total`.
fn even_sizes(total: u64, chunk: u64, count: usize) -> Option<Vec<u64>> {
    let Some(before_last) = u64::try_from(count).ok()?.checked_sub(1) else {
        return (total == 0).then(Vec::new);
    };
    let last = total.checked_sub(before_last.checked_mul(chunk)?)?;
    if last == 0 || last > chunk {
        return None;
    }
    let mut sizes = vec![chunk; count];
    sizes[count - 1] = last;
    Some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text.replace('A', A).replace('B', B).into_bytes(), "here")
    }

    #[test]
    fn files_and_parts_cut_the_same_stream() {
        let manifest = parse(
            r#"{"total_size":12,"chunk_size":5,"chunks":["A","B","A"],"chunk_sizes":[5,2,5],
                "files":[{"path":"x","size":4},{"path":"empty","size":0},{"path":"y","size":8}],"new":1}"#,
        )
        .unwrap();
        let segments: Vec<_> = manifest
            .segments(3..9)
            .map(|s| (s.file, s.offset, s.size_bytes))
            .collect();
        assert_eq!(segments, [(0, 3, 1), (2, 0, 5)]);
        assert_eq!(manifest.parts_in(4..12), 0..3);
        assert_eq!(manifest.parts_in(5..7), 1..2);
        assert_eq!(manifest.parts_in(4..4), 0..0);
        assert_eq!(manifest.segments(12..12).count(), 0);
    }

    #[test]
    fn the_last_chunk_may_be_short() {
        let manifest = parse(
            r#"{"total_size":7,"chunk_size":4,"chunks":["A","B"],"files":[{"path":"x","size":7}]}"#,
        )
        .unwrap();
        assert_eq!(
            manifest
                .parts()
                .iter()
                .map(|part| part.size_bytes)
                .collect::<Vec<_>>(),
            [4, 3]
        );
        let empty =
            parse(r#"{"total_size":0,"chunk_size":4,"chunks":[],"files":[{"path":"x","size":0}]}"#)
                .unwrap();
        assert!(empty.parts().is_empty());
    }

    #[test]
    fn refuses_what_does_not_add_up() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"total_size":7,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":7}]}"#,
            r#"{"total_size":8,"chunk_size":4,"chunks":["A","B","A"],"files":[{"path":"x","size":8}]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":3}]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":5}]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":[],"files":[{"path":"x","size":4}]}"#,
            r#"{"total_size":4,"files":[{"path":"x","size":3}]}"#,
            r#"{"total_size":4,"files":[{"path":"x"}]}"#,
            r#"{"total_size":0,"chunk_size":0,"chunks":["A"],"files":[]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"chunk_sizes":[4,0],"files":[{"path":"x","size":4}]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["A","B"],"chunk_sizes":[4,0],"files":[{"path":"x","size":4}]}"#,
            r#"{"total_size":6,"chunk_size":4,"chunks":["A","A"],"files":[{"path":"x","size":6}]}"#,
            r#"{"total_size":18446744073709551615,"chunk_size":18446744073709551615,"chunks":["A","B"],"files":[]}"#,
            r#"{"total_size":1,"chunk_size":1,"chunks":["A"],"files":[{"path":"x","size":18446744073709551615},{"path":"y","size":2}]}"#,
            r#"{"total_size":-1,"chunk_size":4,"chunks":[],"files":[]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["zz"],"files":[{"path":"x","size":4}]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"../x","size":4}]}"#,
            r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":4},{"path":"X","size":0}]}"#,
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
        }
    }
}
