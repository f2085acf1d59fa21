//! Brings the bytes of a plan into a partial: from the network, the store or the partial itself, each checked.
//!
//! Whole files that the store has are cloned first where that works, see `clones`.
//!
//! Workers on a rayon pool of the pull's own take one job after the other. A job reads with one buffer, hashes what it
//! reads and writes it to its place in the files at once, so memory does not grow with the model. A digest that covers
//! more than one job is hashed in order, see `hashing`.

mod clones;
mod full_response;
mod hashing;
pub(crate) mod local_copies;
pub(crate) mod members;
pub(crate) mod plan;
mod range_set;
pub(crate) mod receive;
pub(crate) mod tally;
pub(crate) mod workers;

use std::collections::VecDeque;
use std::ops::Range;

use tracing::debug;

use crate::digest::{Check, Checksum, Expected};
use crate::engine::transfer::full_response::{Claim, WholeParts};
use crate::engine::transfer::hashing::{Spans, Stream, Subject};
use crate::engine::transfer::local_copies::LocalCopy;
use crate::engine::transfer::plan::{Origin, Task, TransferPlan, ranges_of};
use crate::engine::transfer::range_set::Coverage;
use crate::engine::transfer::receive::Receiver;
use crate::engine::transfer::tally::Tally;
use crate::engine::transfer::workers::work_off;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::http::{Failure, GetOptions};
use crate::manifest::{Manifest, Part};
use crate::mutex::Mutex;
use crate::source::places::{Location, Places};
use crate::store::files::FileSet;
use crate::store::partial::PartialWriter;
use crate::url::Url;

/// How much is read at once of what is hashed at the end.
const SPAN_BUFFER_BYTES: usize = 256 << 10;
/// How often a part whose ranges are all there but wrong together is fetched anew.
const MAX_ROUNDS: usize = 3;

/// What a transfer works with.
pub(crate) struct Transfer<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) partial: &'a PartialWriter,
    pub(crate) places: &'a Places,
    pub(crate) call: &'a Call,
    pub(crate) tally: &'a Tally,
}

/// One thing for a worker to do.
#[derive(Debug)]
enum Job {
    /// Bring in a part whole.
    Part(Task),
    /// Fetch one range of a part.
    Range(usize, Range<u64>),
    /// Fetch parts that are members of a zip and lie there one behind the other.
    Members(Vec<Task>),
}

/// The state that the workers of one round share.
pub(super) struct Shared<'a> {
    pub(super) transfer: &'a Transfer<'a>,
    pub(super) receiver: Receiver<'a>,
    pub(super) files: &'a FileSet,
    jobs: Mutex<VecDeque<Job>>,
    spans: Spans,
    /// What is written, and right as far as a digest of its own tells.
    written: Mutex<Coverage>,
    whole: WholeParts,
}

impl Transfer<'_> {
    /// Runs the plan with as many threads; returns how many bytes came over the network.
    pub(crate) fn run(&self, plan: TransferPlan, workers: usize) -> Result<u64> {
        let mut tasks = plan.tasks;
        clones::clone_files(self, &mut tasks)?;
        let files = self.partial.files();
        let mut network_bytes = 0;
        let mut written = Coverage::default();
        for round in 0.. {
            let shared = self.shared(&files, tasks, written, round)?;
            let done = work_off(
                &shared.jobs,
                workers,
                &shared.receiver.stop,
                |job, buffer| shared.run(job, buffer),
            );
            network_bytes += shared.receiver.network_bytes();
            if self.call.cancel.is_cancelled() {
                return Err(ErrorKind::Cancelled.into());
            }
            done?;
            let mut wrong = shared.finish_spans()?;
            if wrong.is_empty() {
                break;
            }
            if round >= MAX_ROUNDS {
                return Err(wrong.swap_remove(0).1);
            }
            // None of a wrong part's ranges can be trusted: all of them come again.
            let parts: Vec<usize> = wrong.iter().map(|(part, _)| *part).collect();
            debug!(?parts, round, "parts are fetched anew");
            written = shared.written.lock().clone();
            for part in &parts {
                written.remove(&self.manifest.parts()[*part].range());
            }
            self.partial
                .reset_journal(&written.stretches().collect::<Vec<_>>())?;
            tasks = parts
                .into_iter()
                .map(|part| {
                    let range = self.manifest.parts()[part].range();
                    self.tally.undo(self.manifest, range.clone(), 1);
                    Task {
                        part,
                        twins: Vec::new(),
                        origin: Origin::Ranges(ranges_of(&range).collect()),
                    }
                })
                .collect();
        }
        files.close()?;
        Ok(network_bytes)
    }

    /// Prepares a round; each asks another mirror first.
    fn shared<'s>(
        &'s self,
        files: &'s FileSet,
        tasks: Vec<Task>,
        mut written: Coverage,
        round: usize,
    ) -> Result<Shared<'s>> {
        let mut jobs = VecDeque::new();
        let mut ranged = Vec::new();
        let mut of_zip = Vec::new();
        for task in tasks {
            let ranges = match &task.origin {
                Origin::Ranges(ranges) => ranges,
                Origin::Network if self.places.zip().is_some() => {
                    of_zip.push(task);
                    continue;
                }
                _ => {
                    jobs.push_back(Job::Part(task));
                    continue;
                }
            };
            let range = self.manifest.parts()[task.part].range();
            // In order, like the pieces: a large part has too many of both to compare each with each.
            let is_missing = |piece: &Range<u64>| {
                let found = ranges.binary_search_by_key(&piece.start, |range| range.start);
                found.is_ok()
            };
            for have in ranges_of(&range).filter(|piece| !is_missing(piece)) {
                self.tally.done(self.manifest, have.clone(), 0);
                written.add(&have);
            }
            jobs.extend(
                ranges
                    .iter()
                    .map(|range| Job::Range(task.part, range.clone())),
            );
            ranged.push(task.part);
        }
        let runs = members::runs(self.places, self.manifest, of_zip)?;
        jobs.extend(runs.into_iter().map(Job::Members));
        Ok(Shared {
            transfer: self,
            receiver: Receiver::new(self.call, self.tally, self.partial, round),
            files,
            jobs: Mutex::new(jobs),
            spans: Spans::of(self.manifest, ranged.into_iter()),
            written: Mutex::new(written),
            whole: WholeParts::default(),
        })
    }
}

impl Shared<'_> {
    fn run(&self, job: Job, buffer: &mut [u8]) -> Result<()> {
        match job {
            Job::Part(task) => self.bring_part(&task, buffer),
            Job::Range(index, range) => self
                .fetch_range(index, range, buffer)
                .map_err(|error| self.name_part(index, error)),
            Job::Members(tasks) => members::fetch(self, &tasks, buffer),
        }
    }

    pub(super) fn name_part(&self, index: usize, error: Error) -> Error {
        let manifest = self.transfer.manifest;
        match (error, self.transfer.places) {
            (error, _) if error.is_cancelled() => error,
            (error, Places::Chunks(_)) => {
                error.step(format!("chunk {}/{}", index + 1, manifest.parts().len()))
            }
            (error, _) => match manifest.file_of_part(index) {
                Some(file) => error.step(manifest.files()[file].path.to_string()),
                None => error,
            },
        }
    }

    fn bring_part(&self, task: &Task, buffer: &mut [u8]) -> Result<()> {
        let manifest = self.transfer.manifest;
        let part = manifest.parts()[task.part];
        self.working_on(&part.range());
        let places = self.offsets(task);
        let there = match &task.origin {
            Origin::Partial => self.check_partial(&part, &places, buffer)?,
            Origin::Local(copy) => self.copy_local(&part, copy, &places, buffer)?,
            Origin::Network | Origin::Ranges(_) => false,
        };
        if !there && self.transfer.places.zip().is_some() {
            return members::fetch(self, std::slice::from_ref(task), buffer);
        }
        if !there {
            self.fetch_part(task.part, &part, &places, buffer)
                .map_err(|error| self.name_part(task.part, error))?;
        }
        for place in &places {
            self.complete(*place..*place + part.size_bytes, 1, buffer)?;
        }
        Ok(())
    }

    /// All the places in the stream where a task's bytes belong.
    pub(super) fn offsets(&self, task: &Task) -> Vec<u64> {
        let parts = [task.part].into_iter().chain(task.twins.iter().copied());
        parts
            .map(|index| self.transfer.manifest.parts()[index].offset)
            .collect()
    }

    pub(super) fn working_on(&self, range: &Range<u64>) {
        let manifest = self.transfer.manifest;
        if let Some(file) = manifest.files_in(range.clone()).next() {
            self.transfer
                .tally
                .working_on(manifest.files()[file].path.as_str());
        }
    }

    /// Checks bytes that an unfinished pull left, and copies them to the other places where they belong.
    fn check_partial(&self, part: &Part, places: &[u64], buffer: &mut [u8]) -> Result<bool> {
        let Some(expected) = part.digest else {
            // Only a file's digest covers it, and that is checked as a span.
            return Ok(true);
        };
        let read = |at: u64, piece: &mut [u8]| {
            self.files
                .read(self.transfer.manifest, part.offset + at, piece)
        };
        self.copy_checked(part.size_bytes, expected, &read, &places[1..], buffer)
    }

    /// Takes bytes from another model or partial of the store. Those that are gone or wrong come from the network.
    fn copy_local(
        &self,
        part: &Part,
        copy: &LocalCopy,
        places: &[u64],
        buffer: &mut [u8],
    ) -> Result<bool> {
        let Some(expected) = part.digest else {
            return Ok(false);
        };
        let read = |at: u64, piece: &mut [u8]| {
            copy.model
                .files
                .read(&copy.model.manifest, copy.range.start + at, piece)
        };
        self.copy_checked(part.size_bytes, expected, &read, places, buffer)
    }

    /// Reads bytes from disk, hashes them and writes them to their places; false when they cannot be read or are wrong.
    fn copy_checked(
        &self,
        size_bytes: u64,
        expected: Checksum,
        read: &dyn Fn(u64, &mut [u8]) -> Result<()>,
        places: &[u64],
        buffer: &mut [u8],
    ) -> Result<bool> {
        let mut check = Check::of(&expected, size_bytes);
        let mut at = 0;
        while at < size_bytes {
            if self.receiver.stop.is_cancelled() {
                return Err(ErrorKind::Cancelled.into());
            }
            let length = usize::try_from(size_bytes - at)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let piece = &mut buffer[..length];
            if let Err(error) = read(at, piece) {
                debug!(%error, "bytes of the store cannot be reused");
                return Ok(false);
            }
            check.update(piece);
            for place in places {
                self.files
                    .write(self.transfer.manifest, place + at, piece)?;
            }
            at += length as u64;
            self.transfer.partial.touch();
        }
        let good = check.finish() == expected;
        if !good {
            debug!(%expected, "bytes of the store are damaged, and are fetched");
        }
        Ok(good)
    }

    fn fetch_part(
        &self,
        index: usize,
        part: &Part,
        places: &[u64],
        buffer: &mut [u8],
    ) -> Result<()> {
        self.receiver.with_mirrors(self.urls(index)?, |url| {
            let mut body = self.receiver.get(url, &GetOptions::default())?;
            let mut expected = Expected::new(part.digest, part.size_bytes);
            self.receiver
                .receive(&mut body, part.size_bytes, buffer, &mut |at, piece| {
                    expected.update(piece);
                    places.iter().try_for_each(|place| {
                        self.files.write(self.transfer.manifest, place + at, piece)
                    })
                })?;
            let met = expected.met(|| format!("what came from {url}"));
            met.map_err(Failure::transient)
        })
    }

    /// Fetches one range of a part; all of the part when the server does not know ranges.
    fn fetch_range(&self, index: usize, range: Range<u64>, buffer: &mut [u8]) -> Result<()> {
        let manifest = self.transfer.manifest;
        let part = manifest.parts()[index];
        self.working_on(&range);
        if self.whole.hand_over(index, &range) {
            return Ok(());
        }
        let asked = range.start - part.offset..range.end - part.offset;
        let mut ranges_work = true;
        self.receiver.with_mirrors(self.urls(index)?, |url| {
            let mut body = self.receiver.get_range(url, asked.clone())?;
            ranges_work = body.is_range;
            if !ranges_work {
                return Ok(());
            }
            let size_bytes = range.end - range.start;
            self.receiver
                .receive(&mut body, size_bytes, buffer, &mut |at, piece| {
                    self.files.write(manifest, range.start + at, piece)
                })
        })?;
        if ranges_work {
            let ends = range.end == part.range().end;
            return self.complete(range, u64::from(ends), buffer);
        }
        match self.whole.claim(index, &range) {
            Claim::HandedOver => Ok(()),
            Claim::Receive => self.fetch_whole(index, &part, buffer),
        }
    }

    /// Receives a part whole and writes those of its ranges that nobody else writes.
    fn fetch_whole(&self, index: usize, part: &Part, buffer: &mut [u8]) -> Result<()> {
        self.jobs.lock().retain(|job| match job {
            Job::Range(other, range) if *other == index => {
                self.whole.own(index, range);
                false
            }
            _ => true,
        });
        let ranges: Vec<Range<u64>> = ranges_of(&part.range()).collect();
        let mut taken: Vec<bool> = Vec::new();
        self.receiver.with_mirrors(self.urls(index)?, |url| {
            taken.clear();
            self.whole.begin(index);
            let mut body = self.receiver.get(url, &GetOptions::default())?;
            self.receiver
                .receive(&mut body, part.size_bytes, buffer, &mut |at, piece| {
                    let (begin, end) = (part.offset + at, part.offset + at + piece.len() as u64);
                    while let Some(next) = ranges.get(taken.len())
                        && next.start < end
                    {
                        taken.push(self.whole.reach(index, next));
                    }
                    for (range, _) in ranges.iter().zip(&taken).filter(|(_, taken)| **taken) {
                        let (from, to) = (begin.max(range.start), end.min(range.end));
                        if from < to {
                            let offset = |place: u64| usize::try_from(place - begin).unwrap_or(0);
                            let stretch = &piece[offset(from)..offset(to)];
                            self.files.write(self.transfer.manifest, from, stretch)?;
                        }
                    }
                    Ok(())
                })
        })?;
        let deferred = self.whole.end(index);
        self.jobs
            .lock()
            .extend(deferred.into_iter().map(|range| Job::Range(index, range)));
        for (range, _) in ranges.iter().zip(taken).filter(|(_, taken)| *taken) {
            let ends = range.end == part.range().end;
            self.complete(range.clone(), u64::from(ends), buffer)?;
        }
        Ok(())
    }

    /// Where a part is that is a document of its own.
    fn urls(&self, index: usize) -> Result<Vec<Url>> {
        match self
            .transfer
            .places
            .of_part(self.transfer.manifest, index)?
        {
            Location::Document(urls) => Ok(urls),
            Location::Member(_) => Err(Error::internal("a member fetched as a document")),
        }
    }

    /// Notes that a stretch is written and right, as far as a digest of its own tells; and hashes on the spans it is of.
    pub(super) fn complete(&self, range: Range<u64>, parts: u64, buffer: &mut [u8]) -> Result<()> {
        self.transfer.partial.note(&range)?;
        let manifest = self.transfer.manifest;
        self.transfer.tally.done(manifest, range.clone(), parts);
        self.written.lock().add(&range);
        self.spans.advance(&range, self, buffer)
    }

    /// Hashes what is left of every span; returns the parts that turned out wrong, with what is wrong with each.
    fn finish_spans(&self) -> Result<Vec<(usize, Error)>> {
        let manifest = self.transfer.manifest;
        let mut buffer = vec![0_u8; SPAN_BUFFER_BYTES];
        let mut wrong = Vec::new();
        for span in self.spans.iter() {
            let Some(actual) = span.finish(self, &mut buffer)? else {
                return Err(if self.receiver.stop.is_cancelled() {
                    Error::from(ErrorKind::Cancelled)
                } else {
                    Error::internal("bytes are missing after a transfer")
                });
            };
            if actual == span.expected {
                continue;
            }
            let mismatch = |what: String| {
                Error::from(ErrorKind::HashMismatch {
                    what,
                    expected: span.expected.to_string(),
                    actual: actual.to_string(),
                })
            };
            match span.subject {
                Subject::Part(part) => {
                    let count = manifest.parts().len();
                    wrong.push((part, mismatch(format!("chunk {}/{count}", part + 1))));
                }
                // Its parts are as the manifest promises: the manifest contradicts itself.
                Subject::File(file) if wrong.is_empty() => {
                    let path = &manifest.files()[file].path;
                    return Err(mismatch(format!("the file '{path}'")));
                }
                // What is wrong with it is known.
                Subject::File(_) => {}
            }
        }
        Ok(wrong)
    }
}

impl Stream for Shared<'_> {
    fn end_from(&self, from: u64) -> u64 {
        self.written.lock().end_from(from)
    }

    fn read(&self, from: u64, buffer: &mut [u8]) -> Result<()> {
        self.files.read(self.transfer.manifest, from, buffer)
    }

    fn is_stopped(&self) -> bool {
        self.receiver.stop.is_cancelled()
    }
}
