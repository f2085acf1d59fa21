//! A folder of an archive on a server.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use super::tree::{Tree, is_output_of_run};
use crate::archive::{Directory, MAX_ARCHIVE_BYTES, MemberError};
use crate::disk::write::NewFile;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Client;
use crate::platform;
use crate::progress::CancelToken;
use crate::relpath::below;
use crate::url::Url;

/// A folder of an archive that was fetched whole, into a file that is removed with it.
#[derive(Debug)]
pub(super) struct Archive {
    url: Url,
    directory: Directory,
    // Closed before it is removed, as Windows requires.
    file: File,
    _temporary: NewFile,
    /// The folder, empty for the top, and its files.
    folder: String,
    names: Vec<String>,
}

impl Archive {
    /// Fetches an archive from the first of the URLs that has it; `path` is a place for its file.
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
        Ok(Self {
            directory: Directory::of_file(&url, &file, path)?,
            url,
            file,
            _temporary: temporary,
            folder: String::new(),
            names: Vec::new(),
        })
    }

    /// Returns the URL that it came from.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the folder that contains everything, as in the archives that Git hosts make.
    pub(super) fn top_folder(&self) -> Result<String> {
        let top = self.directory.top_folder().map(str::to_owned);
        top.ok_or_else(|| {
            Error::registry(
                &self.url,
                "the archive has no folder that contains everything",
            )
        })
    }

    /// Selects a folder, empty for the top; returns whether there is a file in it.
    pub(super) fn select(&mut self, folder: &str) -> bool {
        let prefix = below(folder, "");
        let names = self.directory.names();
        let mut names = names
            .filter_map(|name| name.strip_prefix(&*prefix))
            .peekable();
        let exists = names.peek().is_some();
        self.names = names
            .filter(|name| !is_output_of_run(name))
            .map(str::to_owned)
            .collect();
        self.names.sort_unstable();
        // A name that occurs twice is refused when it is read.
        self.names.dedup();
        folder.clone_into(&mut self.folder);
        exists
    }
}

impl Tree for Archive {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(
        &self,
        name: &str,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let (url, file) = (&self.url, &self.file);
        let member = self.directory.member(&below(&self.folder, name))?;
        let member =
            member.ok_or_else(|| Error::internal("a file that the archive does not have"))?;
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

/// Reads a range of a file that other threads read as well.
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
