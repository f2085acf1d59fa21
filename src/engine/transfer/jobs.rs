//! What the workers of a transfer do.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tracing::debug;

use super::Transfer;
use super::full_response::FullResponses;
use super::hashing::{PiecewiseDigests, Subject, WrittenBytes};
use super::intake::{Intake, is_unfit};
use super::local_copies::LocalCopy;
use super::members;
use super::plan::{Origin, Task, ranges_of};
use super::receive::Receiver;
use crate::digest::Check;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Body, Failure, GetOptions};
use crate::manifest::{Manifest, Part};
use crate::mutex::Mutex;
use crate::range_set::RangeSet;
use crate::source::places::{Location, Places};
use crate::store::files::FileSet;
use crate::url::Url;

/// How much is read at once of what is hashed at the end.
const HASH_BUFFER_BYTES: usize = 256 << 10;

/// One thing for a worker to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Bring in a part whole.
    Part(Task),
    /// Fetch one range of a part.
    Range(usize, Range<u64>),
    /// Fetch parts that are members of a zip and lie there one after the other.
    Members(Vec<Task>),
}

/// The state that the workers of one round share.
pub(super) struct Round<'a> {
    pub(super) transfer: &'a Transfer<'a>,
    pub(super) receiver: Receiver<'a>,
    pub(super) jobs: Mutex<VecDeque<Job>>,
    pub(super) written: Arc<WrittenBytes>,
    digests: PiecewiseDigests,
    full_responses: FullResponses,
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
        let mut jobs = VecDeque::new();
        let mut ranged = Vec::new();
        let mut in_zip = Vec::new();
        // What takes longest comes first, so that the workers end together; what belongs to one file stays in order.
        tasks.sort_by_cached_key(|task| Reverse(largest_file(manifest, task.part)));
        for task in tasks {
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
                        transfer.tally.done(manifest, begin..until, parts);
                    }
                    let ranges = ranges.iter().cloned();
                    jobs.extend(ranges.map(|range| Job::Range(task.part, range)));
                    ranged.push(task.part);
                }
                Origin::Network { .. } if places.zip().is_some() => in_zip.push(task),
                _ => jobs.push_back(Job::Part(task)),
            }
        }
        let runs = members::runs(places, manifest, in_zip)?;
        jobs.extend(runs.into_iter().map(Job::Members));
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
            full_responses: FullResponses::default(),
        })
    }

    pub(super) fn run(&self, job: Job, buffer: &mut [u8]) -> Result<()> {
        match job {
            Job::Part(task) => self.bring_part(&task, buffer),
            Job::Range(index, range) => {
                let fetched = self.fetch_range(index, range, buffer);
                fetched.map_err(|error| self.name_part(index, error))
            }
            Job::Members(tasks) => members::fetch(self, &tasks, buffer),
        }
    }

    /// Leaves a job to the other workers; it comes next.
    pub(super) fn give_back(&self, job: Job) {
        self.jobs.lock().push_front(job);
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
        let part = self.transfer.manifest.parts()[task.part];
        self.working_on(&part.range());
        let offsets = self.offsets(task);
        let is_there = match (&task.origin, part.digest) {
            // Only the digest of a file covers it, which is checked in order.
            (Origin::Partial, None) => true,
            (Origin::Partial, Some(_)) => {
                let own = LocalCopy {
                    files: self.written.files.clone(),
                    range: part.range(),
                };
                self.copy(&part, &own, &offsets[1..], buffer)?
            }
            (Origin::Local(copy), Some(_)) => self.copy(&part, copy, &offsets, buffer)?,
            _ => false,
        };
        if !is_there && self.transfer.places.zip().is_some() {
            return members::fetch(self, std::slice::from_ref(task), buffer);
        }
        if !is_there {
            let kept_bytes = match task.origin {
                Origin::Network { kept_bytes } => kept_bytes,
                _ => 0,
            };
            let fetched = self.fetch_part(task, &offsets, kept_bytes, buffer);
            let is_there = fetched.map_err(|error| self.name_part(task.part, error))?;
            if !is_there {
                return Ok(());
            }
        }
        for offset in &offsets {
            self.complete(*offset..*offset + part.size_bytes, 1, buffer)?;
        }
        Ok(())
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

    /// Copies a part's bytes from this machine to their places, and verifies them. Returns `false` if they cannot be read
    /// or are wrong: then they are fetched.
    fn copy(
        &self,
        part: &Part,
        from: &LocalCopy,
        offsets: &[u64],
        buffer: &mut [u8],
    ) -> Result<bool> {
        let Some(expected) = part.digest else {
            return Ok(false);
        };
        let mut check = Check::of(&expected, part.size_bytes);
        let range = part.range();
        let mut at = 0;
        while at < part.size_bytes {
            self.receiver.stop.check()?;
            let length = usize::try_from(part.size_bytes - at).unwrap_or(usize::MAX);
            let piece_bytes = length.min(buffer.len());
            let piece = &mut buffer[..piece_bytes];
            if let Err(error) = from.files.read(from.range.start + at, piece) {
                debug!(%error, "cannot reuse bytes of this machine");
                self.digests.withdraw(&range);
                return Ok(false);
            }
            check.update(piece);
            self.write(offsets, at, piece)?;
            self.digests.arrived(&range, range.start + at, piece);
            at += piece.len() as u64;
            self.transfer.partial.touch();
        }
        let is_right = check.finish() == expected;
        if !is_right {
            debug!(%expected, "bytes of this machine are damaged");
            self.digests.withdraw(&range);
        }
        Ok(is_right)
    }

    /// Writes a piece, which is `at` bytes into a part, to all places of that part.
    pub(super) fn write(&self, offsets: &[u64], at: u64, piece: &[u8]) -> Result<()> {
        let mut offsets = offsets.iter();
        offsets.try_for_each(|offset| self.written.files.write(offset + at, piece))
    }

    /// Fetches a part, from behind what an unfinished pull kept of it. If that does not fit, it is no fault of the server,
    /// which is asked for all of the part. Returns `false` if the rest is left to another worker.
    fn fetch_part(
        &self,
        task: &Task,
        offsets: &[u64],
        kept_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<bool> {
        let Transfer {
            manifest,
            partial,
            tally,
            ..
        } = *self.transfer;
        let part = manifest.parts()[task.part];
        let mut intake = Intake::new(part.range(), part.digest, partial, &self.digests);
        self.take_kept(&mut intake, offsets, kept_bytes, buffer)?;
        tally.kept(kept_bytes);
        let fetched = self.receiver.with_mirrors(self.urls(task.part)?, |url| {
            let is_resumed = intake.here_bytes() > 0;
            match self.fetch_rest(url, &part, offsets, &mut intake, buffer) {
                Err(failure) if is_resumed && is_unfit(&failure.error) => {
                    debug!(error = %failure.error, "fetching a part from its beginning");
                    intake.drop_all().map_err(Failure::last)?;
                    self.fetch_rest(url, &part, offsets, &mut intake, buffer)
                }
                result => result,
            }
        });
        tally.landed(kept_bytes);
        if fetched.is_err() && self.receiver.is_withdrawn() {
            // Whoever goes on hashes all of it.
            self.digests.withdraw(&part.range());
            let origin = match intake.here_bytes() {
                here if here == part.size_bytes => Origin::Partial,
                kept_bytes => Origin::Network { kept_bytes },
            };
            self.give_back(Job::Part(Task {
                origin,
                ..task.clone()
            }));
            return Ok(false);
        }
        fetched.map(|()| true)
    }

    /// Hashes what an unfinished pull kept of a part, and writes it to the part's other places.
    fn take_kept(
        &self,
        intake: &mut Intake<'_>,
        offsets: &[u64],
        kept_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<()> {
        while intake.here_bytes() < kept_bytes {
            self.receiver.stop.check()?;
            let at = intake.here_bytes();
            let length = usize::try_from(kept_bytes - at).unwrap_or(usize::MAX);
            let piece_bytes = length.min(buffer.len());
            let piece = &mut buffer[..piece_bytes];
            if let Err(error) = self.written.files.read(intake.missing().start, piece) {
                debug!(%error, "cannot read what was kept of a part");
                intake.restart();
                break;
            }
            self.write(&offsets[1..], at, piece)?;
            intake.keep(piece);
            self.transfer.partial.touch();
        }
        Ok(())
    }

    /// Fetches what is missing of a part, and verifies all of it. What has arrived when that fails is kept, unless it is
    /// wrong.
    fn fetch_rest(
        &self,
        url: &Url,
        part: &Part,
        offsets: &[u64],
        intake: &mut Intake<'_>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let mut body = match intake.here_bytes() {
            0 => self.receiver.get(url, &options(part))?,
            begin => {
                let rest = begin..part.size_bytes;
                self.receiver.get_range(url, rest, &options(part))?
            }
        };
        if !body.is_range {
            intake.restart();
        }
        let taken = self.take_in(&mut body, offsets, intake, buffer);
        let met = taken.and_then(|()| {
            let met = intake.finish(|| format!("the response from {url}"));
            met.map_err(Failure::transient)
        });
        met.map_err(|failure| self.receiver.explain(&mut body, failure))
    }

    /// Writes a body behind what is here already. What has arrived when that fails is kept.
    fn take_in(
        &self,
        body: &mut Body,
        offsets: &[u64],
        intake: &mut Intake<'_>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let (begin, missing) = (intake.here_bytes(), intake.missing());
        let mut take = |at: u64, piece: &[u8]| {
            self.write(offsets, begin + at, piece)?;
            intake.take(piece)
        };
        let missing_bytes = missing.end - missing.start;
        let received = self
            .receiver
            .receive(body, missing_bytes, buffer, &mut take);
        if let Err(failure) = &received {
            intake.interrupted(&failure.error).map_err(Failure::last)?;
        }
        received
    }

    /// Fetches one range of a part; all of the part if the server does not support ranges.
    fn fetch_range(&self, index: usize, range: Range<u64>, buffer: &mut [u8]) -> Result<()> {
        let part = self.transfer.manifest.parts()[index];
        self.working_on(&range);
        if self.full_responses.hand_over(index, &range) {
            return Ok(());
        }
        let mut intake = Intake::new(range.clone(), None, self.transfer.partial, &self.digests);
        let fetched = self.receiver.with_mirrors(self.urls(index)?, |url| {
            let missing = intake.missing();
            let missing = missing.start - part.offset..missing.end - part.offset;
            let mut body = self.receiver.get_range(url, missing, &options(&part))?;
            if !body.is_range {
                // Whoever receives the part whole writes the range from its beginning.
                intake.restart();
                return Ok(Some(body));
            }
            self.take_in(&mut body, &[range.start], &mut intake, buffer)?;
            Ok(None)
        });
        let missing = intake.missing();
        let whole = match fetched {
            Err(_) if self.receiver.is_withdrawn() && !missing.is_empty() => {
                if missing.start > range.start {
                    self.complete_range(&part, range.start..missing.start, buffer)?;
                }
                self.give_back(Job::Range(index, missing));
                return Ok(());
            }
            Err(_) if self.receiver.is_withdrawn() => None,
            fetched => fetched?,
        };
        match whole {
            None => self.complete_range(&part, range, buffer),
            Some(body) if self.full_responses.claim(index, &range) => {
                self.take_full(index, &part, body, buffer)
            }
            Some(_) => Ok(()),
        }
    }

    /// Receives a part whole, at first from a response that is here, and writes those of its ranges that nobody else
    /// writes.
    fn take_full(&self, index: usize, part: &Part, body: Body, buffer: &mut [u8]) -> Result<()> {
        self.receiver.connections.keep();
        self.jobs.lock().retain(|job| match job {
            Job::Range(other, range) if *other == index => {
                self.full_responses.own(index, range);
                false
            }
            _ => true,
        });
        let ranges: Vec<Range<u64>> = ranges_of(&part.range()).collect();
        // How much of each range that the stream has reached is for it to write.
        let mut reached: Vec<Range<u64>> = Vec::new();
        // Of another size, it is a page to sign in, for example, which may not come again.
        let mut here = Some(body).filter(|body| body.length == Some(part.size_bytes));
        self.receiver.with_mirrors(self.urls(index)?, |url| {
            reached.clear();
            self.full_responses.begin(index);
            let mut body = match here.take() {
                Some(body) => body,
                None => self.receiver.get(url, &options(part))?,
            };
            let mut take = |at: u64, piece: &[u8]| {
                let begin = part.offset + at;
                let end = begin + piece.len() as u64;
                while let Some(next) = ranges.get(reached.len())
                    && next.start < end
                {
                    reached.push(self.full_responses.reach(index, next));
                }
                for owned in &reached {
                    let (from, to) = (begin.max(owned.start), end.min(owned.end));
                    if from < to {
                        let index = |offset: u64| usize::try_from(offset - begin).unwrap_or(0);
                        self.write(&[from], 0, &piece[index(from)..index(to)])?;
                    }
                }
                Ok(())
            };
            let received = self
                .receiver
                .receive(&mut body, part.size_bytes, buffer, &mut take);
            received.map_err(|failure| self.receiver.explain(&mut body, failure))
        })?;
        let deferred = self.full_responses.end(index).into_iter();
        let deferred = deferred.map(|range| Job::Range(index, range));
        self.jobs.lock().extend(deferred);
        for owned in reached.into_iter().filter(|owned| !owned.is_empty()) {
            self.complete_range(part, owned, buffer)?;
        }
        Ok(())
    }

    /// Returns where a part is that is a document of its own.
    fn urls(&self, index: usize) -> Result<Vec<Url>> {
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

    fn complete_range(&self, part: &Part, range: Range<u64>, buffer: &mut [u8]) -> Result<()> {
        let is_last = range.end == part.range().end;
        self.complete(range, u64::from(is_last), buffer)
    }

    /// Records that a range is written, and right as far as a digest of its own tells. Hashes on the digests that cover it.
    pub(super) fn complete(&self, range: Range<u64>, parts: u64, buffer: &mut [u8]) -> Result<()> {
        let Transfer {
            manifest,
            partial,
            tally,
            ..
        } = *self.transfer;
        partial.note(&range)?;
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

/// Returns the size of the largest file that has bytes of a part.
fn largest_file(manifest: &Manifest, part: usize) -> u64 {
    let files = manifest.files_in(manifest.parts()[part].range());
    let sizes = files.filter_map(|file| manifest.files()[file].size_bytes);
    sizes.max().unwrap_or_default()
}

/// How a part is requested that is a document of its own.
fn options(part: &Part) -> GetOptions {
    GetOptions {
        has_digest: part.digest.is_some(),
        size_bytes: Some(part.size_bytes),
        ..GetOptions::default()
    }
}
