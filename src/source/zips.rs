//! Zips on servers and on disk, opened by reading their directories.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::archive::{Directory, MAX_ARCHIVE_BYTES};
use crate::disk::space::check_space;
use crate::disk::write::NewFile;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::http::call::Call;
use crate::http::{Body, Failure, GetOptions};
use crate::mutex::Mutex;
use crate::source::places::Zip;
use crate::url::Url;

/// How long a directory that was read is taken for that of the same zip: long enough for the models of one command.
const TRUSTED: Duration = Duration::from_secs(60);
/// How often somebody who waits looks whether a zip is open now.
const PAUSE: Duration = Duration::from_millis(10);

/// The zips opened lately.
#[derive(Debug, Default)]
pub(crate) struct OpenedZips {
    lately: Mutex<Vec<Opened>>,
    /// Held while one is opened: what several pulls want at once is read, or fetched, once.
    opening: Mutex<()>,
    coming: Coming,
}

/// A zip that comes whole: bytes that are here, and those of all of it when that is known.
#[derive(Debug, Default)]
struct Coming {
    here: AtomicU64,
    total: AtomicU64,
}

impl Coming {
    fn set(&self, here: u64, total: u64) {
        self.total.store(total, Relaxed);
        self.here.store(here, Relaxed);
    }

    /// Shows it in the progress of a pull that waits for it.
    fn show(&self, call: &Call) {
        if let Some(arrivals) = &call.arrivals {
            arrivals.archive(self.here.load(Relaxed), self.total.load(Relaxed));
        }
    }
}

#[derive(Debug)]
struct Opened {
    at: Instant,
    /// Where it is kept, or would be: another state of the same release has another place.
    keep: PathBuf,
    zip: Arc<Zip>,
}

impl OpenedZips {
    fn find(&self, keep: &Path) -> Option<Arc<Zip>> {
        let mut all = self.lately.lock();
        all.retain(|opened| opened.at.elapsed() < TRUSTED);
        let found = all.iter().find(|opened| opened.keep == keep);
        found.map(|opened| opened.zip.clone())
    }

    fn add(&self, keep: &Path, zip: Zip) -> Arc<Zip> {
        let zip = Arc::new(zip);
        let mut all = self.lately.lock();
        all.push(Opened {
            at: Instant::now(),
            keep: keep.to_owned(),
            zip: zip.clone(),
        });
        zip
    }

    /// Waits until nobody else opens one.
    fn turn(&self, call: &Call) -> Result<MutexGuard<'_, ()>> {
        loop {
            if let Some(turn) = self.opening.try_lock() {
                return Ok(turn);
            }
            if call.cancel.wait(PAUSE) {
                return Err(ErrorKind::Cancelled.into());
            }
            self.coming.show(call);
        }
    }

    /// Forgets all of them: one may have turned out to be another than its directory says.
    pub(crate) fn forget(&self) {
        let mut all = self.lately.lock();
        all.clear();
    }
}

/// How opening a zip ended.
#[derive(Debug)]
pub(crate) enum Opening {
    Open(Arc<Zip>),
    /// It comes only as a whole, of this size, and [is not to be fetched](Call::without_archives).
    OnlyWhole {
        size_bytes: Option<u64>,
    },
}

/// Opens zips.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZipOpener<'a> {
    pub(crate) call: &'a Call,
    pub(crate) opened: &'a OpenedZips,
    /// The media type to request.
    pub(crate) accept: Option<&'static str>,
}

impl ZipOpener<'_> {
    /// Opens a zip over byte ranges; where the server does not know them, it is fetched whole and kept at `keep`.
    pub(crate) fn open(&self, urls: &[Url], keep: &Path) -> Result<Opening> {
        let _turn = self.opened.turn(self.call)?;
        let kept = || self.open_kept(keep).map(Opening::Open);
        let opening = match self.opened.find(keep) {
            Some(zip) => Ok(Opening::Open(zip)),
            None if keep.is_file() => kept(),
            None => match self.read_directory(urls, keep) {
                Ok(Opening::OnlyWhole { .. }) if self.call.whole_archives => kept(),
                opening => opening,
            },
        };
        self.opened.coming.set(0, 0);
        self.opened.coming.show(self.call);
        opening
    }

    /// Opens a zip that was fetched whole. A file that is not a zip is removed.
    pub(crate) fn open_kept(&self, path: &Path) -> Result<Arc<Zip>> {
        if let Some(zip) = self.opened.find(path) {
            return Ok(zip);
        }
        let url = Url::from_path(path).map_err(|error| Error::internal(error.to_string()))?;
        let file = File::open(path).at("read", path)?;
        let directory = Directory::of_file(&path.display(), &file, path);
        drop(file);
        let directory = directory.inspect_err(|_| drop_kept(path))?;
        Ok(self.opened.add(
            path,
            Zip {
                urls: vec![url],
                directory,
                accept: None,
                kept: Some(path.to_owned()),
            },
        ))
    }

    /// Reads a zip's directory over byte ranges. What comes only as a whole is kept, if it is to be fetched.
    fn read_directory(&self, urls: &[Url], keep: &Path) -> Result<Opening> {
        let whole = |size_bytes| {
            if self.call.whole_archives {
                self.fetch(urls, keep)?;
            }
            Ok(Opening::OnlyWhole { size_bytes })
        };
        let mut size_bytes = None;
        // The first byte, to learn the size: servers are known that have no ranges from the end.
        let first = self.with_body(urls, Some(0..1), &mut |body| {
            if body.is_range {
                body.read_whole(1, &self.call.cancel)?;
                return Ok(Some(body.total));
            }
            size_bytes = body.length;
            if self.call.whole_archives {
                self.save(body, keep)?;
            }
            Ok(None)
        });
        let location = &urls[0];
        let size_bytes = match first? {
            Some(Some(size_bytes)) => size_bytes,
            Some(None) => return whole(None),
            None => return Ok(Opening::OnlyWhole { size_bytes }),
        };
        let mut is_same = true;
        let directory = Directory::read(location, size_bytes, &mut |range| {
            let length = range.end - range.start;
            self.with_body(urls, Some(range), &mut |body| {
                is_same = body.is_range && body.total == Some(size_bytes);
                if !is_same {
                    let message = "the zip changed while it was read";
                    return Err(Failure::last(Error::registry(location, message)));
                }
                body.read_whole(length, &self.call.cancel)
            })
        });
        if !is_same {
            // In one piece it is of one state, whatever the server has for ranges.
            return whole(Some(size_bytes));
        }
        let zip = Zip {
            urls: urls.to_vec(),
            directory: directory?,
            accept: self.accept,
            kept: None,
        };
        Ok(Opening::Open(self.opened.add(keep, zip)))
    }

    /// Fetches a zip whole.
    pub(crate) fn fetch(&self, urls: &[Url], to: &Path) -> Result<u64> {
        self.with_body(urls, None, &mut |body| self.save(body, to))
    }

    /// Writes a body that is a whole zip to its place.
    fn save(&self, body: &mut Body, to: &Path) -> Result<u64, Failure> {
        let mut file = NewFile::create(to).map_err(Failure::last)?;
        if let (Some(length), Some(folder)) = (body.length, to.parent()) {
            check_space(folder, length).map_err(Failure::last)?;
        }
        let (mut here, total) = (0, body.length.unwrap_or(0));
        let bytes = body.copy_to(MAX_ARCHIVE_BYTES, &self.call.cancel, &mut |piece| {
            here += piece.len() as u64;
            self.opened.coming.set(here, total);
            if let Some(arrivals) = &self.call.arrivals {
                arrivals.archive_came(piece.len() as u64);
            }
            self.opened.coming.show(self.call);
            file.write(piece)
        })?;
        file.commit().map_err(Failure::last)?;
        debug!(path = %to.display(), bytes, "fetched a zip whole");
        Ok(bytes)
    }

    /// Requests a zip or a range of it, as often as it takes.
    fn with_body<T>(
        &self,
        urls: &[Url],
        range: Option<Range<u64>>,
        take: &mut dyn FnMut(&mut Body) -> Result<T, Failure>,
    ) -> Result<T> {
        let options = GetOptions {
            range,
            accept: self.accept,
            ..GetOptions::default()
        };
        self.call
            .retrying(urls, |_, url| take(&mut self.call.body(url, &options)?))
    }
}

/// Removes a zip that was fetched whole; one that cannot be removed stays.
pub(crate) fn drop_kept(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(%error, "the archive {} is of no more use, and cannot be removed", path.display());
    }
}
