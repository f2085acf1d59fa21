//! A folder of an archive on a server.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use super::tree::{Tree, is_left_out};
use crate::archive::{Directory, MAX_ARCHIVE_BYTES, MemberError};
use crate::disk::write::NewFile;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Client;
use crate::platform;
use crate::progress::CancelToken;
use crate::relpath::below;
use crate::url::Url;

/// An archive that was fetched whole, into a file that goes with it.
#[derive(Debug)]
pub(super) struct Archive {
    url: Url,
    directory: Directory,
    // Closed before it is removed, as Windows wants it.
    file: File,
    _temporary: NewFile,
}

impl Archive {
    /// Fetches an archive from the first of the URLs that has it; `path` is where its file will never be seen whole.
    pub(super) fn fetch(
        client: &Client,
        urls: &[Url],
        path: &Path,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let create = || NewFile::create(path);
        let (temporary, _, url) =
            client.fetch_into(urls, MAX_ARCHIVE_BYTES, cancel, create, NewFile::write)?;
        let file = temporary.reread()?;
        let directory = Directory::of_file(&url, &file, path)?;
        Ok(Self {
            url,
            directory,
            file,
            _temporary: temporary,
        })
    }

    /// Where it came from.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The folder that everything in it is in, as in the archives that Git hosts make.
    pub(super) fn top_folder(&self) -> Result<String> {
        let top = self.directory.top_folder().map(str::to_owned);
        top.ok_or_else(|| {
            Error::registry(&self.url, "the archive has no folder that everything is in")
        })
    }

    /// Whether there is a file below a folder; an empty one is the top.
    pub(super) fn has_folder(&self, folder: &str) -> bool {
        let mut names = self.directory.names();
        names.any(|name| below_folder(name, folder).is_some())
    }

    /// The files below one of its folders; an empty one is the top.
    pub(super) fn into_folder(self, folder: String) -> ArchiveFolder {
        let mut names: Vec<String> = Vec::new();
        for name in self.directory.names() {
            let Some(name) = below_folder(name, &folder) else {
                continue;
            };
            let mut components = name.rsplit('/');
            let is_left_out = components
                .next()
                .is_some_and(|name| is_left_out(name, true))
                || components.any(|name| is_left_out(name, false));
            if !is_left_out {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        // What is there twice is refused when it is read.
        names.dedup();
        ArchiveFolder {
            archive: self,
            folder,
            names,
        }
    }
}

fn below_folder<'a>(name: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(name);
    }
    name.strip_prefix(folder)?.strip_prefix('/')
}

/// The files below a folder of an archive.
#[derive(Debug)]
pub(super) struct ArchiveFolder {
    archive: Archive,
    folder: String,
    names: Vec<String>,
}

impl Tree for ArchiveFolder {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(
        &self,
        name: &str,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Archive {
            url,
            directory,
            file,
            ..
        } = &self.archive;
        let member = directory
            .member(&below(&self.folder, name))?
            .ok_or_else(|| Error::internal("a file that the archive does not have"))?;
        let range = member.range();
        let mut stream = RangeReader { file, range };
        let decoded = member.decode(&mut stream, url, buffer, take);
        decoded.map_err(|error| match error {
            MemberError::Read(source) => Error::from(ErrorKind::Registry {
                location: url.to_string(),
                message: "the archive cannot be read".into(),
                source: Some(source.into()),
            }),
            MemberError::Damaged(error) | MemberError::Refused(error) => {
                error.step(format!("the archive {url}"))
            }
            MemberError::Taken(error) => error,
        })
    }
}

/// Reads a range of a file that other threads read too.
struct RangeReader<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        platform::read_exact_at(self.file, &mut buffer[..length], self.range.start)?;
        self.range.start += length as u64;
        Ok(length)
    }
}
