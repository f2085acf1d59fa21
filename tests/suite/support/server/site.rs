//! What the server serves, and the honest answer to a request for it (RFC 9110, sections 13 and 14).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use super::rules::Framing;
use super::{Request, lock};

type Program = Arc<dyn Fn(&Request) -> Option<Page> + Send + Sync>;

#[derive(Default)]
pub(super) struct Site {
    entries: HashMap<String, (Arc<[u8]>, String)>,
    program: Option<Program>,
    /// Prefixes begin and end with a slash.
    mounts: Vec<(String, PathBuf)>,
}

impl Site {
    pub(super) fn mount(&mut self, prefix: &str, folder: PathBuf) {
        let prefix = format!("/{}/", prefix.trim_matches('/')).replace("//", "/");
        self.mounts.push((prefix, folder));
    }

    pub(super) fn put(&mut self, path: &str, bytes: Vec<u8>) {
        // FNV-1a: short, and the same everywhere and always.
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.entries
            .insert(rooted(path), (bytes.into(), format!("\"{hash:016x}\"")));
    }

    pub(super) fn program(&mut self, program: Program) {
        self.program = Some(program);
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.entries.remove(&rooted(path));
    }

    /// What is served for a request. The site is not locked while its program runs.
    pub(super) fn find(site: &Mutex<Self>, request: &Request) -> Option<Page> {
        let program = {
            let site = lock(site);
            if let Some(page) = site.placed(request) {
                return Some(page);
            }
            site.program.clone()
        };
        let page = program.and_then(|program| program(request));
        page.or_else(|| lock(site).mounted(request))
    }

    fn placed(&self, request: &Request) -> Option<Page> {
        let entry = self
            .entries
            .get(&request.path)
            .or_else(|| self.entries.get(request.path_only()));
        entry.map(|(bytes, etag)| Page::file(Arc::clone(bytes), etag))
    }

    fn mounted(&self, request: &Request) -> Option<Page> {
        self.mounts.iter().rev().find_map(|(prefix, folder)| {
            let inside = Path::new(request.path_only().strip_prefix(prefix.as_str())?);
            let plain = inside
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if plain {
                open(&folder.join(inside)).ok().flatten()
            } else {
                None
            }
        })
    }
}

fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

fn open(path: &Path) -> io::Result<Option<Page>> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Ok(None);
    }
    let changed = facts
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let etag = format!("\"{:x}-{changed:x}\"", facts.len());
    Ok(Some(Page {
        size: facts.len(),
        etag: Some(etag),
        ..Page::of(200, Source::File(file))
    }))
}

/// Something served, not yet cut to a range.
pub(crate) struct Page {
    status: u16,
    source: Source,
    size: u64,
    /// What has one answers conditions, and ranges unless it is streamed.
    etag: Option<String>,
    headers: Vec<(String, String)>,
    streamed: bool,
}

impl Page {
    /// An answer that is always given whole, whatever the request says of ranges and conditions.
    pub(crate) fn new(status: u16, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            size: bytes.len() as u64,
            ..Self::of(status, Source::Bytes(bytes, 0))
        }
    }

    /// A file, which can be asked for in ranges and on conditions.
    pub(crate) fn file(bytes: Arc<[u8]>, etag: &str) -> Self {
        Self {
            etag: Some(etag.to_owned()),
            ..Self::new(200, bytes)
        }
    }

    /// Sets a header; the name in lower case.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it in chunks, without a length and without ranges, like something made while it is sent.
    pub(crate) fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    fn of(status: u16, source: Source) -> Self {
        Self {
            status,
            source,
            size: 0,
            etag: None,
            headers: Vec::new(),
            streamed: false,
        }
    }
}

enum Source {
    Bytes(Arc<[u8]>, usize),
    File(File),
}

/// A body, read piece by piece.
pub(super) struct Body {
    source: Source,
    /// Bytes left to send.
    pub(super) left: u64,
}

impl Body {
    pub(super) fn bytes(bytes: Arc<[u8]>) -> Self {
        Self {
            left: bytes.len() as u64,
            source: Source::Bytes(bytes, 0),
        }
    }

    pub(super) fn empty() -> Self {
        Self::bytes(Arc::new([]))
    }

    fn whole(source: Source, size: u64) -> Self {
        Self { source, left: size }
    }

    fn part(mut source: Source, start: u64, length: u64) -> io::Result<Self> {
        match &mut source {
            Source::Bytes(_, at) => *at = usize::try_from(start).map_err(io::Error::other)?,
            Source::File(file) => drop(file.seek(SeekFrom::Start(start))?),
        }
        Ok(Self {
            source,
            left: length,
        })
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

/// An answer ready to be sent, but for the headers that frame its body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) framing: Framing,
}

impl Answer {
    pub(super) fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            framing: Framing::Length,
        }
    }

    /// The answer a well-behaved server gives.
    pub(super) fn honest(
        page: Option<Page>,
        request: &Request,
        ignore_range: bool,
    ) -> io::Result<Self> {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Ok(Self::new(405, Body::empty()).with("allow", "GET, HEAD"));
        }
        let Some(mut page) = page else {
            return Ok(Self::new(404, Body::bytes((*b"not found\n").into())));
        };
        let headers = std::mem::take(&mut page.headers);
        let streamed = page.streamed;
        let mut answer = match page.etag.take() {
            Some(etag) => Self::file(page, &etag, request, ignore_range)?,
            None => Self::new(page.status, Body::whole(page.source, page.size)),
        };
        if streamed {
            answer.framing = Framing::Chunked;
        }
        for (name, value) in headers {
            answer.set(&name, Some(&value));
        }
        Ok(answer)
    }

    /// A file, or what the request leaves of it.
    fn file(page: Page, etag: &str, request: &Request, ignore_range: bool) -> io::Result<Self> {
        let Page { source, size, .. } = page;
        if request
            .header("if-none-match")
            .is_some_and(|tags| listed(tags, etag))
        {
            return Ok(Self::new(304, Body::empty()).with("etag", etag));
        }
        let fresh = request.header("if-range").is_none_or(|tag| tag == etag);
        let whole = ignore_range || page.streamed || request.method != "GET";
        let range = request.header("range").filter(|_| fresh && !whole);
        let answer = match range.and_then(|range| parse_range(range, size)) {
            None => Self::new(page.status, Body::whole(source, size)),
            Some(None) => {
                Self::new(416, Body::empty()).with("content-range", &format!("bytes */{size}"))
            }
            Some(Some((first, last))) => {
                Self::new(206, Body::part(source, first, last - first + 1)?)
                    .with("content-range", &format!("bytes {first}-{last}/{size}"))
            }
        };
        let mut answer = answer.with("etag", etag);
        if !page.streamed {
            answer.set("accept-ranges", Some("bytes"));
        }
        Ok(answer.with("content-type", "application/octet-stream"))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, Some(value));
        self
    }

    /// Replaces a header, or removes it where there is no value.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(key, _)| key != name);
        self.headers
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
}

fn listed(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// First and last byte asked for. The outer `None`: no single range, to be ignored; the inner: unsatisfiable.
pub(super) fn parse_range(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
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
    if last < first {
        return None;
    }
    Some((first < size).then(|| (first, last.min(size.saturating_sub(1)))))
}
