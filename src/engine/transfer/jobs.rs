//! What the workers of a transfer do.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use super::Transfer;
use super::full_response::FullResponses;
use super::hashing::{PiecewiseDigests, Subject, WrittenBytes};
use super::intake::Intake;
use super::members;
use super::plan::{Origin, Task};
use super::queue::{Job, JobQueue};
use super::receive::{Receiver, Take};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Body, Failure, GetOptions};
use crate::manifest::{Manifest, Part};
use crate::mutex::Mutex;
use crate::range_set::RangeSet;
use crate::source::places::Location;
use crate::store::files::FileSet;
use crate::url::Url;

/// How much is read at once of what is hashed at the end.
const HASH_BUFFER_BYTES: usize = 256 << 10;

/// The state that the workers of one round share.
pub(super) struct Round<'a> {
    pub(super) transfer: &'a Transfer<'a>,
    pub(super) receiver: Receiver<'a>,
    pub(super) jobs: Mutex<JobQueue>,
    pub(super) written: Arc<WrittenBytes>,
    pub(super) digests: PiecewiseDigests,
    pub(super) full_responses: FullResponses,
}

impl<'a> Round<'a> {
    /// Prepares a round; each asks another mirror first.
    pub(super) fn new(
        transfer: &'a Transfer<'a>,
        files: Arc<FileSet>,
        mut tasks: Vec<Task>,
        mut written: RangeSet,
        number: usize,
    ) -> Result<Self> {
        let Transfer {
            manifest, places, ..
        } = *transfer;
        let mut jobs = JobQueue::default();
        let full_responses = FullResponses::default();
        let mut ranged = Vec::new();
        let mut in_zip = Vec::new();
        let size_of = |task: &Task| {
            largest_file(manifest, task.part).map(|file| manifest.files()[file].size_bytes)
        };
        // What takes longest comes first, so that the workers end together; what belongs to one file stays in order.
        tasks.sort_by_cached_key(|task| Reverse(size_of(task)));
        for task in tasks {
            let file = largest_file(manifest, task.part);
            match &task.origin {
                Origin::Ranges(ranges) => {
                    // What is between them is here.
                    let Range { start, end } = manifest.parts()[task.part].range();
                    let ends = [start]
                        .into_iter()
                        .chain(ranges.iter().map(|range| range.end));
                    let begins = ranges.iter().map(|range| range.start).chain([end]);
                    for (begin, until) in ends.zip(begins).filter(|(begin, end)| begin < end) {
                        written.insert(&(begin..until));
                        let parts = u64::from(until == end);
                        transfer.tally.found(until - begin);
                        transfer.tally.done(manifest, begin..until, parts);
                    }
                    for range in ranges {
                        full_responses.open(task.part, range);
                        jobs.add(file, Job::Range(task.part, range.clone()));
                    }
                    ranged.push(task.part);
                }
                Origin::Network { .. } if places.zip().is_some() => in_zip.push(task),
                _ => jobs.add(file, Job::Part(task)),
            }
        }
        let runs = members::runs(places, manifest, in_zip)?;
        for tasks in runs {
            jobs.add(None, Job::Members(tasks));
        }
        let Transfer {
            call,
            tally,
            partial,
            connections,
            ..
        } = *transfer;
        let receiver = Receiver::new(call, tally, partial, connections).beginning_at(number);
        let written = Arc::new(WrittenBytes::new(files, written, receiver.stop.clone()));
        Ok(Self {
            transfer,
            jobs: Mutex::new(jobs),
            receiver,
            digests: PiecewiseDigests::of(manifest, &ranged, written.clone()),
            written,
            full_responses,
        })
    }

    pub(super) fn run(&self, job: Job, buffer: &mut [u8]) -> Result<()> {
        match job {
            Job::Part(task) => self.bring_part(&task, buffer),
            Job::Range(index, range) => {
                let fetched = self.fetch_range(index, range, buffer);
                fetched.map_err(|error| self.name_part(index, error))
            }
            Job::Run(index, ranges) => {
                let fetched = self.fetch_run(index, &ranges, buffer);
                fetched.map_err(|error| self.name_part(index, error))
            }
            Job::Members(tasks) => members::fetch(self, &tasks, buffer),
        }
    }

    /// Leaves a job to the other workers; it comes next.
    pub(super) fn give_back(&self, job: Job) {
        self.jobs.lock().give_back(job);
    }

    pub(super) fn name_part(&self, index: usize, error: Error) -> Error {
        let manifest = self.transfer.manifest;
        if error.is_cancelled() {
            return error;
        }
        let file = manifest.file_of_part(index);
        match file.filter(|_| manifest.chunk_bytes().is_none()) {
            Some(file) => error.step(manifest.files()[file].path.to_string()),
            None => error.step(format!("chunk {}/{}", index + 1, manifest.parts().len())),
        }
    }

    /// Returns all the places in the stream where a task's bytes belong.
    pub(super) fn offsets(&self, task: &Task) -> Vec<u64> {
        let parts = [task.part].into_iter().chain(task.twins.iter().copied());
        parts
            .map(|index| self.transfer.manifest.parts()[index].offset)
            .collect()
    }

    pub(super) fn working_on(&self, range: &Range<u64>) {
        let manifest = self.transfer.manifest;
        if let Some(file) = manifest.files_in(range.clone()).next() {
            let path = &manifest.files()[file].path;
            self.transfer.tally.working_on(path.as_str());
        }
    }

    /// Writes a piece, which is `at` bytes into a part, to all places of that part.
    pub(super) fn write(&self, offsets: &[u64], at: u64, piece: &[u8]) -> Result<()> {
        let mut offsets = offsets.iter();
        offsets.try_for_each(|offset| self.written.files.write(offset + at, piece))
    }

    /// Writes a body behind what is here already. What has arrived when that fails is kept.
    pub(super) fn take_in(
        &self,
        body: &mut Body,
        offsets: &[u64],
        intake: &mut Intake<'_>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        self.take(offsets, intake, |missing_bytes, take| {
            self.receiver.receive(body, missing_bytes, buffer, take)
        })
    }

    /// Writes the next bytes of a body that goes on behind what is missing, as [`Round::take_in`] does.
    pub(super) fn take_some(
        &self,
        body: &mut Body,
        offsets: &[u64],
        intake: &mut Intake<'_>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        self.take(offsets, intake, |missing_bytes, take| {
            self.receiver
                .receive_some(body, missing_bytes, buffer, take)
        })
    }

    fn take(
        &self,
        offsets: &[u64],
        intake: &mut Intake<'_>,
        receive: impl FnOnce(u64, Take<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (begin, missing) = (intake.here_bytes(), intake.missing());
        let mut take = |at: u64, piece: &[u8]| {
            self.write(offsets, begin + at, piece)?;
            intake.take(piece)
        };
        let received = receive(missing.end - missing.start, &mut take);
        if let Err(failure) = &received {
            intake.interrupted(&failure.error).map_err(Failure::last)?;
        }
        received
    }

    /// Returns where a part is that is a document of its own.
    pub(super) fn urls(&self, index: usize) -> Result<Vec<Url>> {
        match self
            .transfer
            .places
            .of_part(self.transfer.manifest, index)?
        {
            Location::Document(urls) => Ok(urls),
            Location::Member(_) => Err(Error::internal(
                "a member of a zip was requested as a document",
            )),
        }
    }

    /// Records that a range is written, and right as far as a digest of its own tells. Hashes on the digests that cover it.
    pub(super) fn complete(&self, range: Range<u64>, parts: u64, buffer: &mut [u8]) -> Result<()> {
        self.complete_copied(range, parts, 0, buffer)
    }

    /// The same of a range of which so many bytes are counted as in flight.
    pub(super) fn complete_copied(
        &self,
        range: Range<u64>,
        parts: u64,
        copied_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<()> {
        let Transfer {
            manifest,
            partial,
            tally,
            ..
        } = *self.transfer;
        partial.note(&range)?;
        tally.landed(copied_bytes);
        tally.done(manifest, range.clone(), parts);
        self.written.ranges.lock().insert(&range);
        self.digests.advance(&range, buffer)
    }

    /// Hashes what is left of every digest; returns the parts that turned out wrong, with what is wrong with each.
    pub(super) fn finish_digests(&self) -> Result<Vec<(usize, Error)>> {
        let manifest = self.transfer.manifest;
        let mut buffer = vec![0_u8; HASH_BUFFER_BYTES];
        let mut wrong = Vec::new();
        for digest in self.digests.iter() {
            let Some(actual) = digest.finish(&self.written, &mut buffer)? else {
                self.receiver.stop.check()?;
                return Err(Error::internal("bytes are missing after a transfer"));
            };
            if actual == digest.expected {
                continue;
            }
            let mismatch = |what: String| {
                Error::from(ErrorKind::HashMismatch {
                    what,
                    expected: digest.expected.to_string(),
                    actual: actual.to_string(),
                })
            };
            match digest.subject {
                Subject::Part(part) => {
                    let count = manifest.parts().len();
                    wrong.push((part, mismatch(format!("chunk {}/{count}", part + 1))));
                }
                // Its parts are as the manifest promises: the manifest contradicts itself.
                Subject::File(file) if wrong.is_empty() => {
                    let path = &manifest.files()[file].path;
                    return Err(mismatch(format!("the file '{path}'")));
                }
                // It has a wrong part.
                Subject::File(_) => {}
            }
        }
        Ok(wrong)
    }
}

/// Returns the largest file that has bytes of a part.
fn largest_file(manifest: &Manifest, part: usize) -> Option<usize> {
    let files = manifest.files_in(manifest.parts()[part].range());
    files.max_by_key(|file| manifest.files()[*file].size_bytes)
}

/// How a part is requested that is a document of its own.
pub(super) fn options(part: &Part) -> GetOptions {
    GetOptions {
        has_digest: part.digest.is_some(),
        size_bytes: Some(part.size_bytes),
        ..GetOptions::default()
    }
}
