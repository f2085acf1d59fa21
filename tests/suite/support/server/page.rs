//! What is answered: bytes or a file, of which a request may want a part (RFC 9110, sections 13 and 14).

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::Request;

/// An answer: status, headers, and a body that is read piece by piece.
pub(crate) struct Page {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) framing: Framing,
    /// Body bytes left to send.
    pub(super) left: u64,
    source: Source,
    /// A page with a tag answers conditions, and ranges unless it is streamed.
    etag: Option<String>,
}

enum Source {
    Bytes(Arc<[u8]>, usize),
    File(File),
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Framing {
    #[default]
    Length,
    Declared(u64),
    Chunked,
    UntilClose,
}

impl Page {
    /// An answer that is always given whole, whatever the request says about ranges and conditions.
    pub(crate) fn new(status: u16, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            status,
            headers: Vec::new(),
            framing: Framing::Length,
            left: bytes.len() as u64,
            source: Source::Bytes(bytes, 0),
            etag: None,
        }
    }

    /// A file, which can be requested in ranges and on conditions; the tag goes without quotes.
    pub(crate) fn file(bytes: Arc<[u8]>, tag: &str) -> Self {
        Self {
            etag: Some(format!("\"{tag}\"")),
            ..Self::new(200, bytes)
        }
        .header("content-type", "application/octet-stream")
    }

    /// A file with a tag that follows from its content.
    pub(crate) fn of(bytes: Arc<[u8]>) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = format!("{:x}", hasher.finish());
        Self::file(bytes, &tag)
    }

    /// A file on disk.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let facts = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let tag = format!("{:x}-{:x}", facts.len(), changed.as_nanos());
        Some(Self {
            left: facts.len(),
            source: Source::File(file),
            ..Self::file([].into(), &tag)
        })
    }

    /// Sets a header; the name in lower case.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.set(name, Some(value));
        self
    }

    /// Sends the body in chunks, without a length and without ranges, like something made while it is sent.
    pub(crate) fn streamed(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Replaces a header, or removes it where there is no value.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(key, _)| key != name);
        let value = value.map(|value| (name.to_owned(), value.to_owned()));
        self.headers.extend(value);
    }

    /// What the request wants of the page: all of it, a range, or only the news that it has not changed.
    pub(super) fn for_request(mut self, request: &Request, ignore_range: bool) -> io::Result<Self> {
        let Some(etag) = self.etag.take() else {
            return Ok(self);
        };
        self.set("etag", Some(&etag));
        let known = request.header("if-none-match");
        if known.is_some_and(|tags| lists(tags, &etag)) {
            (self.status, self.left) = (304, 0);
            return Ok(self);
        }
        if self.framing == Framing::Chunked {
            return Ok(self);
        }
        self.set("accept-ranges", Some("bytes"));
        let size = self.left;
        let fresh = request.header("if-range").is_none_or(|tag| tag == etag);
        let range = request
            .header("range")
            .filter(|_| fresh && !ignore_range && request.method == "GET");
        match range.and_then(|range| parse_range(range, size)) {
            None => {}
            Some(None) => {
                (self.status, self.left) = (416, 0);
                self.set("content-range", Some(&format!("bytes */{size}")));
            }
            Some(Some((first, last))) => {
                (self.status, self.left) = (206, last - first + 1);
                self.set(
                    "content-range",
                    Some(&format!("bytes {first}-{last}/{size}")),
                );
                match &mut self.source {
                    Source::Bytes(_, at) => {
                        *at = usize::try_from(first).map_err(io::Error::other)?
                    }
                    Source::File(file) => drop(file.seek(SeekFrom::Start(first))?),
                }
            }
        }
        Ok(self)
    }

    /// Fills the whole piece, with `x` where the body has ended.
    pub(super) fn fill(&mut self, piece: &mut [u8]) -> io::Result<()> {
        let length = usize::try_from(self.left).map_or(piece.len(), |left| left.min(piece.len()));
        let (real, filler) = piece.split_at_mut(length);
        match &mut self.source {
            Source::Bytes(bytes, at) => {
                real.copy_from_slice(&bytes[*at..*at + length]);
                *at += length;
            }
            Source::File(file) => file.read_exact(real)?,
        }
        filler.fill(b'x');
        self.left -= length as u64;
        Ok(())
    }
}

fn lists(tags: &str, etag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The first and the last byte that are wanted. The outer `None`: not one range, so ignored; the inner: unsatisfiable.
fn parse_range(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        return Some((count > 0 && size > 0).then(|| (size.saturating_sub(count), size - 1)));
    }
    let first: u64 = first.parse().ok()?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        last.parse().ok()?
    };
    let range = (first < size).then(|| (first, last.min(size.saturating_sub(1))));
    (first <= last).then_some(range)
}
