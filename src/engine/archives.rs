//! Zips on servers and on disk, opened by reading their directories.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::archive::Directory;
use crate::error::{Error, IoContext, Result};
use crate::http::{Answer, Body, Client, Failure, GetOptions};
use crate::platform;
use crate::progress::CancelToken;
use crate::source::places::Zip;
use crate::store::write::NewFile;
use crate::url::Url;

/// How long a directory that was read is taken for that of the same zip: long enough for the models of one command.
const TRUSTED: Duration = Duration::from_secs(60);
/// The largest zip that is fetched whole, in bytes.
const MAX_ARCHIVE_BYTES: u64 = 64 << 30;

/// The zips opened lately.
#[derive(Debug, Default)]
pub(crate) struct OpenedZips(Mutex<Vec<(Instant, Arc<Zip>)>>);

impl OpenedZips {
    fn find(&self, url: &Url) -> Option<Arc<Zip>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(opened, _)| opened.elapsed() < TRUSTED);
        let found = all.iter().find(|(_, zip)| zip.urls[0] == *url);
        found.map(|(_, zip)| zip.clone())
    }

    fn keep(&self, zip: Zip) -> Arc<Zip> {
        let zip = Arc::new(zip);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((Instant::now(), zip.clone()));
        zip
    }

    /// Forgets a zip that turned out to be another than its directory says.
    pub(crate) fn forget(&self, zip: &Arc<Zip>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, other)| !Arc::ptr_eq(other, zip));
    }
}

/// Opens zips.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZipOpener<'a> {
    pub(crate) client: &'a Client,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) opened: &'a OpenedZips,
}

impl ZipOpener<'_> {
    /// Opens a zip over byte ranges; where the server does not know them, it is fetched whole and kept at `keep`.
    pub(crate) fn open(&self, urls: &[Url], keep: &Path) -> Result<Arc<Zip>> {
        if let Some(zip) = urls.first().and_then(|url| self.opened.find(url)) {
            return Ok(zip);
        }
        if keep.is_file() {
            return self.open_kept(keep);
        }
        match self.read_directory(urls)? {
            Some(zip) => Ok(self.opened.keep(zip)),
            None => {
                self.fetch(urls, keep)?;
                self.open_kept(keep)
            }
        }
    }

    /// Opens a zip that was fetched whole.
    pub(crate) fn open_kept(&self, path: &Path) -> Result<Arc<Zip>> {
        let url = Url::from_path(path).map_err(|error| Error::internal(error.to_string()))?;
        if let Some(zip) = self.opened.find(&url) {
            return Ok(zip);
        }
        let directory = directory_of(path)?;
        Ok(self.opened.keep(Zip {
            urls: vec![url],
            directory,
            etag: None,
        }))
    }

    /// Reads a zip's directory over byte ranges; `None` when the server answers with the whole instead.
    fn read_directory(&self, urls: &[Url]) -> Result<Option<Zip>> {
        // The first byte, to learn the size: servers are known that have no ranges from the end.
        let first = self.with_body(urls, &|url| self.range(url, 0..1), &mut |body| {
            if body.is_range {
                body.read_whole(1, self.cancel)?;
            }
            Ok((body.total.filter(|_| body.is_range), body.etag.clone()))
        })?;
        let (Some(size_bytes), etag) = first else {
            return Ok(None);
        };
        let location = &urls[0];
        let directory = Directory::read(location, size_bytes, &mut |range| {
            let length = range.end - range.start;
            self.with_body(urls, &|url| self.range(url, range.clone()), &mut |body| {
                if !body.is_range || body.total != Some(size_bytes) || differ(&etag, &body.etag) {
                    let message = "the zip changed while it was read";
                    return Err(Failure::last(Error::registry(location, message)));
                }
                body.read_whole(length, self.cancel)
            })
        })?;
        Ok(Some(Zip {
            urls: urls.to_vec(),
            directory,
            etag,
        }))
    }

    /// Fetches a zip whole.
    pub(crate) fn fetch(&self, urls: &[Url], to: &Path) -> Result<u64> {
        let any = |url: &Url| self.get(url, &GetOptions::default());
        let bytes = self.with_body(urls, &any, &mut |body| {
            let mut file = NewFile::create(to).map_err(Failure::last)?;
            let bytes = body.copy_to(MAX_ARCHIVE_BYTES, self.cancel, &mut |piece| {
                file.write(piece)
            })?;
            file.commit().map_err(Failure::last)?;
            Ok(bytes)
        })?;
        debug!(path = %to.display(), bytes, "fetched a zip whole");
        Ok(bytes)
    }

    fn range(&self, url: &Url, range: std::ops::Range<u64>) -> Result<Body, Failure> {
        let options = GetOptions {
            range: Some(range),
            ..GetOptions::default()
        };
        self.get(url, &options)
    }

    fn get(&self, url: &Url, options: &GetOptions) -> Result<Body, Failure> {
        match self.client.get(url, options, self.cancel)? {
            Answer::Body(body) => Ok(body),
            Answer::Unchanged => Err(Failure::last(Error::internal("304 without a validator"))),
        }
    }

    fn with_body<T>(
        &self,
        urls: &[Url],
        ask: &dyn Fn(&Url) -> Result<Body, Failure>,
        take: &mut dyn FnMut(&mut Body) -> Result<T, Failure>,
    ) -> Result<T> {
        let notify = |_: u32, _, error: &Error| debug!(%error, "asked for again");
        self.client
            .with_retries(urls, self.cancel, &notify, |_, url| take(&mut ask(url)?))
    }
}

/// Reads the directory of a zip on disk.
pub(crate) fn directory_of(path: &Path) -> Result<Directory> {
    let file = File::open(path).at("read", path)?;
    let size_bytes = file.metadata().at("read", path)?.len();
    Directory::read(&path.display(), size_bytes, &mut |range| {
        let length = usize::try_from(range.end - range.start)
            .map_err(|_| Error::internal("a directory beyond memory"))?;
        let mut bytes = vec![0; length];
        platform::read_exact_at(&file, &mut bytes, range.start).at("read", path)?;
        Ok(bytes)
    })
}

/// Whether two validators say that two answers are of different states.
pub(crate) fn differ(one: &Option<String>, other: &Option<String>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}
