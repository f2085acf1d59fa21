//! Files whose registry leaves their sizes out: they are brought in to learn them.
//!
//! A model is one stream of bytes, cut at the sizes of its files, so nothing has a place before they are known. A file of
//! unknown size comes with the request that tells its size, into the partial; a large one is left to the transfer, which
//! fetches it in ranges. What is in the partial then is checked and used like anything that an unfinished pull left.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::Write;

use crate::digest::{Checksum, Expected};
use crate::disk::space::check_space;
use crate::engine::transfer::plan::{MAX_WORKERS, SPLIT_BYTES};
use crate::engine::transfer::receive::Receiver;
use crate::engine::transfer::tally::Tally;
use crate::engine::transfer::workers::work_off;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::http::{Failure, GetOptions};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::relpath::RelPath;
use crate::source::places::{Location, Places};
use crate::store::layout::file_in;
use crate::store::partial::{MeasuredFile, PartialWriter};
use crate::url::Url;

/// After so many bytes of a body whose length nobody says, the room on the disk is looked at again.
const SPACE_STEP_BYTES: u64 = 8 << 20;

/// Learns the sizes that a manifest leaves out.
#[derive(Debug)]
pub(crate) struct Measuring<'a> {
    pub(crate) unmeasured: &'a Manifest,
    /// What sources of this model are called in errors.
    pub(crate) location: &'a str,
    pub(crate) places: &'a Places,
    pub(crate) partial: &'a PartialWriter,
    pub(crate) receiver: &'a Receiver<'a>,
    pub(crate) tally: &'a Tally,
    /// Sizes of files that the store has, by their digests.
    pub(crate) local_sizes: &'a HashMap<Checksum, u64>,
}

/// What measuring found.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) manifest: Manifest,
    /// The manifest's files that are in the partial.
    pub(crate) here: Vec<usize>,
    /// The bytes of those that were not there before.
    pub(crate) new_bytes: u64,
}

impl Measuring<'_> {
    /// Brings in what must be.
    pub(crate) fn run(&self, workers: Option<usize>) -> Result<Measurement> {
        let files = self.unmeasured.files();
        let mut measured: Vec<Option<MeasuredFile>> = vec![None; files.len()];
        for (index, found) in self.partial.measured() {
            if let Some(slot) = measured.get_mut(index) {
                *slot = Some(found);
            }
        }
        self.fill_in(&mut measured);
        let mut asked_for = HashSet::new();
        let missing: Vec<usize> = (0..files.len())
            .filter(|index| measured[*index].is_none())
            .filter(|index| {
                files[*index]
                    .digest
                    .is_none_or(|digest| asked_for.insert(digest))
            })
            .collect();
        let known = files.len() - missing.len();
        self.tally.measuring(files.len() as u64, known as u64);
        let jobs = Mutex::new(VecDeque::from(missing.clone()));
        let found = Mutex::new(measured);
        let workers = workers.unwrap_or(MAX_WORKERS);
        work_off(&jobs, workers, &self.receiver.stop, |index, buffer| {
            let measured = self
                .measure(index, buffer)
                .map_err(|error| match error.kind() {
                    ErrorKind::Cancelled => error,
                    _ => error.step(files[index].path.to_string()),
                })?;
            self.partial.note_measured(index, &measured)?;
            self.tally.measured();
            found.lock()[index] = Some(measured);
            Ok(())
        })?;
        if self.receiver.stop.is_cancelled() {
            return Err(ErrorKind::Cancelled.into());
        }
        let mut measured = found.into_inner();
        self.fill_in(&mut measured);
        let measured: Option<Vec<MeasuredFile>> = measured.into_iter().collect();
        let measured = measured.ok_or_else(|| Error::internal("a file was not measured"))?;
        let sizes: Vec<u64> = measured.iter().map(|found| found.size_bytes).collect();
        let is_here = |index: &usize| measured[*index].is_here;
        Ok(Measurement {
            manifest: self.unmeasured.measured(&sizes, self.location)?,
            here: (0..files.len()).filter(is_here).collect(),
            new_bytes: missing
                .iter()
                .filter(|index| is_here(index))
                .map(|index| sizes[*index])
                .sum(),
        })
    }

    /// Enters the sizes that are stated, and those of files that are here or in the store under another name.
    fn fill_in(&self, measured: &mut [Option<MeasuredFile>]) {
        let files = self.unmeasured.files();
        let found = files
            .iter()
            .zip(&*measured)
            .filter_map(|(file, found)| Some((file.digest?, found.as_ref()?.size_bytes)));
        let found: HashMap<Checksum, u64> = found.collect();
        for (file, slot) in files.iter().zip(measured) {
            let by_digest = |digest| {
                found
                    .get(&digest)
                    .or_else(|| self.local_sizes.get(&digest))
                    .copied()
            };
            let known = file.size_bytes.or_else(|| by_digest(file.digest?));
            if let (Some(size_bytes), None) = (known, &slot) {
                *slot = Some(MeasuredFile {
                    size_bytes,
                    is_here: false,
                });
            }
        }
    }

    /// Learns the size of one file; one that is not large is in the partial then.
    fn measure(&self, index: usize, buffer: &mut [u8]) -> Result<MeasuredFile> {
        let file = &self.unmeasured.files()[index];
        let Location::Document(urls) = self.places.of_file(&file.path)? else {
            return Err(Error::internal("a member of a zip has no size"));
        };
        let path = file_in(&self.partial.files_dir(), &file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        self.receiver.with_mirrors(urls, |url| {
            let mut body = self.receiver.get(url, &GetOptions::default())?;
            if let Some(size_bytes) = body.length.filter(|length| *length > SPLIT_BYTES) {
                return Ok(MeasuredFile {
                    size_bytes,
                    is_here: false,
                });
            }
            let step = body.length.unwrap_or(SPACE_STEP_BYTES);
            let mut room_bytes = 0;
            let open = || {
                let mut options = OpenOptions::new();
                options
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(&path)
                    .at("create", &path)
            };
            let mut out = open().map_err(Failure::last)?;
            let mut expected = Expected::new(file.digest, body.length.unwrap_or_default());
            let is_known = file.digest.is_some();
            let size_bytes = self
                .receiver
                .receive_any(&mut body, buffer, &mut |at, piece| {
                    if at >= room_bytes {
                        check_space(self.partial.dir(), step)?;
                        room_bytes = at + step;
                    }
                    if at == 0 && !is_known {
                        check_beginning(url, &file.path, piece)?;
                    }
                    expected.update(piece);
                    out.write_all(piece).at("write", &path)
                })?;
            let met = expected.met(|| format!("the response from {url}"));
            met.map_err(Failure::transient)?;
            Ok(MeasuredFile {
                size_bytes,
                is_here: true,
            })
        })
    }
}

/// Refuses what servers send in place of a file and what nothing else would show not to be it: a page for people, or the
/// text that stands for a file in the [large file storage].
///
/// [large file storage]: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
fn check_beginning(url: &Url, path: &RelPath, beginning: &[u8]) -> Result<()> {
    let beginning = &beginning[..beginning.len().min(100)];
    let text = String::from_utf8_lossy(beginning.trim_ascii_start()).to_ascii_lowercase();
    let is_page = text.starts_with("<!doctype html") || text.starts_with("<html");
    let name = path.as_str().to_ascii_lowercase();
    if is_page
        && ![".html", ".htm", ".xhtml"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
    {
        let message = format!("the server sent a web page instead of the file '{path}'");
        return Err(Error::registry(url, message));
    }
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        let message = format!("the server sent a Git LFS pointer instead of the file '{path}'");
        return Err(Error::registry(url, message));
    }
    Ok(())
}
