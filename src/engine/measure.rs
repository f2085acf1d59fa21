//! Files whose registry leaves their sizes out: they are brought in to learn them.
//!
//! A model is one stream of bytes, cut at the sizes of its files, so nothing has a place before they are known. A file of
//! unknown size comes with the request that tells its size, into the partial; a large one is left to the transfer, which
//! fetches it in ranges. What is in the partial then is checked and used like anything that an unfinished pull left.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Mutex;

use crate::digest::{Digest, Hasher};
use crate::engine::crew::{lock, work_off};
use crate::engine::downloads::Meter;
use crate::engine::plan::{MAX_WORKERS, SPLIT_BYTES};
use crate::engine::receive::Receiver;
use crate::error::{Error, IoContext, Result};
use crate::http::{Failure, GetOptions};
use crate::manifest::{Manifest, Outline};
use crate::source::places::{Location, Places};
use crate::store::layout::file_in;
use crate::store::partial::{Measured, Partial};

/// Learns the sizes that an outline leaves out.
#[derive(Debug)]
pub(crate) struct Measuring<'a> {
    pub(crate) outline: &'a Outline,
    /// What sources of this model are called in errors.
    pub(crate) location: &'a str,
    pub(crate) places: &'a Places,
    pub(crate) partial: &'a Partial,
    pub(crate) receiver: &'a Receiver<'a>,
    pub(crate) meter: &'a Meter,
    /// Sizes of files that the store has, by their digests.
    pub(crate) held: &'a HashMap<Digest, u64>,
}

impl Measuring<'_> {
    /// Brings in what must be; returns the manifest, and which of its files are in the partial.
    pub(crate) fn run(&self, workers: Option<usize>) -> Result<(Manifest, Vec<usize>)> {
        let files = self.outline.files();
        let mut measured: Vec<Option<Measured>> = vec![None; files.len()];
        for (index, found) in self.partial.measured() {
            if let Some(slot) = measured.get_mut(index) {
                *slot = Some(found);
            }
        }
        for (file, slot) in files.iter().zip(&mut measured) {
            let known = file
                .size_bytes
                .or_else(|| self.held.get(&file.digest?).copied());
            if let (Some(size_bytes), None) = (known, &slot) {
                *slot = Some(Measured {
                    size_bytes,
                    is_here: false,
                });
            }
        }
        let jobs: VecDeque<usize> = (0..files.len())
            .filter(|index| measured[*index].is_none())
            .collect();
        let known = files.len() - jobs.len();
        self.meter.measuring(files.len() as u64, known as u64);
        let (jobs, measured) = (Mutex::new(jobs), Mutex::new(measured));
        let workers = workers.unwrap_or(MAX_WORKERS);
        work_off(&jobs, workers, &self.receiver.stop, |index, buffer| {
            let found = self.measure(index, buffer).map_err(|error| match error {
                Error::Cancelled => error,
                error => error.step(files[index].path.to_string()),
            })?;
            self.partial.note_measured(index, &found)?;
            self.meter.measured();
            lock(&measured)[index] = Some(found);
            Ok(())
        })?;
        if self.receiver.stop.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let measured: Option<Vec<Measured>> = lock(&measured).drain(..).collect();
        let measured = measured.ok_or_else(|| Error::internal("a file that nobody measured"))?;
        let sizes: Vec<u64> = measured.iter().map(|found| found.size_bytes).collect();
        let manifest = self.outline.with_sizes(&sizes, self.location)?;
        let here = measured
            .iter()
            .enumerate()
            .filter(|(_, found)| found.is_here);
        Ok((manifest, here.map(|(index, _)| index).collect()))
    }

    /// Learns the size of one file; one that is not large is in the partial then.
    fn measure(&self, index: usize, buffer: &mut [u8]) -> Result<Measured> {
        let file = &self.outline.files()[index];
        let Location::Document(urls) = self.places.of_file(&file.path)? else {
            return Err(Error::internal("a member of a zip without a size"));
        };
        let path = file_in(&self.partial.files_dir(), &file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        self.receiver.with_mirrors(urls, |url| {
            let mut body = self.receiver.get(url, &GetOptions::default())?;
            if let Some(size_bytes) = body.length.filter(|length| *length > SPLIT_BYTES) {
                return Ok(Measured {
                    size_bytes,
                    is_here: false,
                });
            }
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
            let mut hasher = Hasher::default();
            let size_bytes = self
                .receiver
                .receive_any(&mut body, buffer, &mut |_, piece| {
                    hasher.update(piece);
                    out.write_all(piece).at("write", &path)
                })?;
            let actual = hasher.finish();
            match file.digest {
                Some(expected) if expected != actual => {
                    Err(Failure::transient(Error::HashMismatch {
                        what: format!("what came from {url}"),
                        expected: expected.to_string(),
                        actual: actual.to_string(),
                    }))
                }
                _ => Ok(Measured {
                    size_bytes,
                    is_here: true,
                }),
            }
        })
    }
}
