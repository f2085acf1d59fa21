//! Measuring files whose sizes the registry does not state.
//!
//! A model is one stream of bytes, cut at the sizes of its files, so nothing has a place before they are known. A file of
//! unknown size is fetched into the partial with the request that reveals its size; a large one is left to the transfer.
//! What is in the partial then is verified and used like anything that an unfinished pull left.
//!
//! A file that is interrupted goes on where it was, even if no response states its size: its bytes are of a commit, which
//! never changes, and where there is a digest, that covers all of them. Only a server without ranges sends it anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::debug;

use super::arriving::ArrivingFile;
use crate::digest::Checksum;
use crate::engine::transfer::receive::Receiver;
use crate::engine::transfer::tally::Tally;
use crate::engine::transfer::workers::work_off;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::source::places::{Location, Places};
use crate::store::partial::{MeasuredFile, PartialWriter};

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
    pub(crate) fn run(&self) -> Result<Measurement> {
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
        let begun = self.partial.begun();
        let resumed_bytes = AtomicU64::new(0);
        work_off(&jobs, &self.receiver.connections, |index, buffer| {
            let begun_bytes = begun.get(&index).copied().unwrap_or(0);
            let file = self
                .measure(index, begun_bytes, &resumed_bytes, buffer)
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
        let arrived_bytes: u64 = arrived.map(|index| sizes[index]).sum();
        Ok(Measurement {
            manifest: self.unmeasured.measured(&sizes, self.location)?,
            here: (0..files.len()).filter(is_here).collect(),
            new_bytes: arrived_bytes.saturating_sub(resumed_bytes.into_inner()),
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
    fn measure(
        &self,
        index: usize,
        begun_bytes: u64,
        resumed_bytes: &AtomicU64,
        buffer: &mut [u8],
    ) -> Result<MeasuredFile> {
        let file = &self.unmeasured.files()[index];
        let urls = match self.places.of_file(&file.path)? {
            Location::Document(urls) => urls,
            Location::Member(member) => return Ok(MeasuredFile::missing(member.size_bytes)),
        };
        let (partial, receiver) = (self.partial, self.receiver);
        let mut arriving = ArrivingFile::open((index, file), begun_bytes, partial, receiver)?;
        let measured = self.receiver.with_mirrors(urls, |url| {
            let is_resumed = arriving.here_bytes() > 0;
            match arriving.fetch(url, buffer) {
                // No fault of the server, which is asked for all of it.
                Err(failure) if is_resumed && is_wrong(&failure.error) => {
                    debug!(error = %failure.error, "fetching a file from its beginning");
                    arriving.fetch(url, buffer)
                }
                result => result,
            }
        });
        resumed_bytes.fetch_add(arriving.resumed_bytes, Ordering::Relaxed);
        measured
    }
}

fn is_wrong(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::HashMismatch { .. })
}
