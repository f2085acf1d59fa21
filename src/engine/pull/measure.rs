//! Measuring files whose sizes the registry does not state.
//!
//! A model is one stream of bytes, cut at the sizes of its files, so nothing has a place before they are known. A file of
//! unknown size is fetched into the partial with the request that reveals its size; a large one is left to the transfer.
//! What is in the partial then is verified and used like anything that an unfinished pull left.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::Write;

use crate::digest::{Checksum, Expected};
use crate::disk::space::check_space;
use crate::engine::transfer::plan::MAX_WORKERS;
use crate::engine::transfer::receive::Receiver;
use crate::engine::transfer::tally::Tally;
use crate::engine::transfer::workers::work_off;
use crate::error::{Error, IoContext, Result};
use crate::http::{Failure, GetOptions};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::relpath::RelPath;
use crate::source::places::{Location, Places};
use crate::store::layout::file_in;
use crate::store::partial::{MeasuredFile, PartialWriter};
use crate::url::Url;

/// A larger file is left to the transfer, which goes on where it was after a crash: few enough bytes to be fetched again, and
/// enough of them to make the second request of such a file cheap.
const MEASURED_BYTES: u64 = 4 << 20;
/// After this much of a body of unknown length, the free space on the disk is checked again.
const SPACE_STEP_BYTES: u64 = 8 << 20;

/// Learns the sizes that a manifest lacks.
#[derive(Debug)]
pub(crate) struct Measuring<'a> {
    pub(crate) unmeasured: &'a Manifest,
    /// Names the source in errors.
    pub(crate) location: &'a str,
    pub(crate) places: &'a Places,
    pub(crate) partial: &'a PartialWriter,
    pub(crate) receiver: &'a Receiver<'a>,
    pub(crate) tally: &'a Tally,
    /// The sizes of files that this machine has, by digest.
    pub(crate) local_sizes: &'a HashMap<Checksum, u64>,
}

/// What measuring found.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) manifest: Manifest,
    /// The indexes of files that are in the partial.
    pub(crate) here: Vec<usize>,
    /// The size of those that arrived while measuring.
    pub(crate) new_bytes: u64,
}

impl Measuring<'_> {
    pub(crate) fn run(&self, workers: Option<usize>) -> Result<Measurement> {
        let files = self.unmeasured.files();
        let mut measured: Vec<Option<MeasuredFile>> = vec![None; files.len()];
        for (index, file) in self.partial.measured() {
            if let Some(slot) = measured.get_mut(index) {
                *slot = Some(file);
            }
        }
        self.fill_in(&mut measured);
        let mut digests = HashSet::new();
        let mut is_first = |digest: Option<Checksum>| digest.is_none_or(|sum| digests.insert(sum));
        let unknown: VecDeque<usize> = (0..files.len())
            .filter(|index| measured[*index].is_none() && is_first(files[*index].digest))
            .collect();
        let known = files.len() - unknown.len();
        self.tally.measuring(files.len() as u64, known as u64);
        let jobs = Mutex::new(unknown.clone());
        let found = Mutex::new(measured);
        let workers = workers.unwrap_or(MAX_WORKERS);
        work_off(&jobs, workers, &self.receiver.stop, |index, buffer| {
            let file = self
                .measure(index, buffer)
                .map_err(|error| match error.is_cancelled() {
                    true => error,
                    false => error.step(files[index].path.to_string()),
                })?;
            self.partial.note_measured(index, &file)?;
            self.tally.measured();
            found.lock()[index] = Some(file);
            Ok(())
        })?;
        self.receiver.stop.check()?;
        let mut measured = found.into_inner();
        self.fill_in(&mut measured);
        let measured: Option<Vec<MeasuredFile>> = measured.into_iter().collect();
        let measured = measured.ok_or_else(|| Error::internal("a file was not measured"))?;
        let sizes: Vec<u64> = measured.iter().map(|file| file.size_bytes).collect();
        let is_here = |index: &usize| measured[*index].is_here;
        let arrived = unknown.into_iter().filter(is_here);
        Ok(Measurement {
            manifest: self.unmeasured.measured(&sizes, self.location)?,
            here: (0..files.len()).filter(is_here).collect(),
            new_bytes: arrived.map(|index| sizes[index]).sum(),
        })
    }

    /// Adds the sizes that the registry states, and those of files with digests that are measured or on this machine.
    fn fill_in(&self, measured: &mut [Option<MeasuredFile>]) {
        let files = self.unmeasured.files();
        let mut sizes = self.local_sizes.clone();
        for (file, found) in files.iter().zip(&*measured) {
            if let (Some(digest), Some(found)) = (file.digest, found) {
                sizes.insert(digest, found.size_bytes);
            }
        }
        for (file, slot) in files.iter().zip(measured) {
            let by_digest = || sizes.get(&file.digest?).copied();
            let known = || {
                file.size_bytes
                    .or_else(by_digest)
                    .map(MeasuredFile::missing)
            };
            *slot = slot.or_else(known);
        }
    }

    /// Learns the size of one file. Unless it is large, it is in the partial then.
    fn measure(&self, index: usize, buffer: &mut [u8]) -> Result<MeasuredFile> {
        let file = &self.unmeasured.files()[index];
        let urls = match self.places.of_file(&file.path)? {
            Location::Document(urls) => urls,
            Location::Member(member) => return Ok(MeasuredFile::missing(member.size_bytes)),
        };
        let path = file_in(&self.partial.files_dir(), &file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        self.receiver.with_mirrors(urls, |url| {
            let options = GetOptions {
                has_digest: file.digest.is_some(),
                ..GetOptions::default()
            };
            let mut body = self.receiver.get(url, &options)?;
            if let Some(size_bytes) = body.length.filter(|length| *length > MEASURED_BYTES) {
                return Ok(MeasuredFile::missing(size_bytes));
            }
            let step = body.length.unwrap_or(SPACE_STEP_BYTES);
            let mut room_bytes = 0;
            let created = File::create(&path).at("create", &path);
            let mut out = created.map_err(Failure::last)?;
            let mut expected = Expected::new(file.digest, body.length.unwrap_or_default());
            let mut take = |at: u64, piece: &[u8]| {
                if at >= room_bytes {
                    check_space(self.partial.dir(), step)?;
                    room_bytes = at + step;
                }
                if at == 0 && file.digest.is_none() {
                    refuse_pointer(url, &file.path, piece)?;
                }
                expected.update(piece);
                out.write_all(piece).at("write", &path)
            };
            let size_bytes = self.receiver.receive_any(&mut body, buffer, &mut take)?;
            if let Err(error) = expected.met(|| format!("the response from {url}")) {
                return Err(self.receiver.explain(&mut body, Failure::transient(error)));
            }
            Ok(MeasuredFile {
                size_bytes,
                is_here: true,
            })
        })
    }
}

/// Refuses the pointer to a file in [Git LFS], which servers send instead of the file, if no digest would show it.
///
/// [Git LFS]: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
fn refuse_pointer(url: &Url, path: &RelPath, beginning: &[u8]) -> Result<()> {
    if beginning.starts_with(b"version https://git-lfs.github.com/spec/") {
        let message = format!("the server sent a Git LFS pointer instead of the file '{path}'");
        return Err(Error::registry(url, message));
    }
    Ok(())
}
