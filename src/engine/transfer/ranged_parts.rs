//! Fetching a part in ranges, or whole from a server that does not support them.

use std::ops::Range;

use tracing::debug;

use super::intake::Intake;
use super::jobs::{Round, options};
use super::plan::ranges_of;
use super::queue::Job;
use crate::error::Result;
use crate::http::Body;
use crate::manifest::Part;

/// What came of requesting a range.
enum Answer {
    /// All of the range.
    Range,
    /// The part whole.
    Whole(Box<Body>),
    /// Nothing that is needed: whoever receives the part whole has taken the range over.
    Taken,
}

impl Round<'_> {
    /// Fetches one range of a part; all of the part if the server does not support ranges.
    pub(super) fn fetch_range(
        &self,
        index: usize,
        range: Range<u64>,
        buffer: &mut [u8],
    ) -> Result<()> {
        let part = self.transfer.manifest.parts()[index];
        if !self.full_responses.is_wanted(index, &range) {
            return Ok(());
        }
        self.working_on(&range);
        let mut intake = Intake::new(range.clone(), None, self.transfer.partial, &self.digests);
        match self.request_range(index, &range, &mut intake, buffer) {
            Err(error) if !self.receiver.is_withdrawn() => Err(error),
            Err(_) if !intake.missing().is_empty() => {
                let missing = intake.missing();
                if missing.start > range.start {
                    self.complete_range(&part, range.start..missing.start, buffer)?;
                }
                self.full_responses.open(index, &missing);
                self.give_back(Job::Range(index, missing));
                Ok(())
            }
            Err(_) | Ok(Answer::Range) => self.complete_range(&part, range, buffer),
            Ok(Answer::Whole(body)) if self.full_responses.claim(index, &range) => {
                self.take_full(index, &part, *body, buffer)
            }
            Ok(Answer::Whole(_) | Answer::Taken) => Ok(()),
        }
    }

    /// Fetches ranges that follow each other with one request. What that does not bring is left to requests for one range
    /// each, which know what to do about it.
    pub(super) fn fetch_run(
        &self,
        index: usize,
        ranges: &[Range<u64>],
        buffer: &mut [u8],
    ) -> Result<()> {
        let part = self.transfer.manifest.parts()[index];
        let (begin, end) = (ranges[0].start, ranges[ranges.len() - 1].end);
        let asked = begin - part.offset..end - part.offset;
        // One try.
        let body = self.receiver.with_mirrors(self.urls(index)?, |url| {
            let body = self.receiver.get_range(url, asked.clone(), &options(&part));
            Ok(body.ok())
        })?;
        let is_asked =
            |body: &Body| body.is_range && body.length.is_none_or(|it| it == end - begin);
        let Some(mut body) = body.filter(is_asked) else {
            self.jobs.lock().give_back_run(index, ranges);
            return Ok(());
        };
        for (number, range) in ranges.iter().enumerate() {
            self.working_on(range);
            let is_wanted = self.full_responses.answered(index, range);
            let missing = match is_wanted {
                true => self.take_range(index, &mut body, range, buffer)?,
                false => range.end..range.end,
            };
            if is_wanted && missing.is_empty() {
                continue;
            }
            if !missing.is_empty() {
                self.full_responses.open(index, &missing);
            }
            let rest = ranges[number + 1..].iter().cloned();
            let rest = [missing].into_iter().chain(rest);
            let rest: Vec<_> = rest.filter(|range| !range.is_empty()).collect();
            self.jobs.lock().give_back_run(index, &rest);
            return Ok(());
        }
        // One more read ends the body, so that the connection can be used again.
        let _ = self.receiver.read(&mut body, &mut buffer[..1]);
        Ok(())
    }

    /// Receives a range from a body that goes on behind it. Returns what is missing, if that fails, and has the rest done.
    fn take_range(
        &self,
        index: usize,
        body: &mut Body,
        range: &Range<u64>,
        buffer: &mut [u8],
    ) -> Result<Range<u64>> {
        let part = self.transfer.manifest.parts()[index];
        let mut intake = Intake::new(range.clone(), None, self.transfer.partial, &self.digests);
        let taken = self.take_some(body, &[range.start], &mut intake, buffer);
        self.receiver.stop.check()?;
        if let Err(failure) = taken {
            debug!(error = %failure.error, "fetching ranges one by one");
        }
        let missing = intake.missing();
        if range.start < missing.start {
            self.complete_range(&part, range.start..missing.start, buffer)?;
        }
        Ok(missing)
    }

    /// Requests a range until it is here, or until it comes another way.
    fn request_range(
        &self,
        index: usize,
        range: &Range<u64>,
        intake: &mut Intake<'_>,
        buffer: &mut [u8],
    ) -> Result<Answer> {
        let part = self.transfer.manifest.parts()[index];
        let mut is_answered = false;
        let fetched = self.receiver.with_mirrors(self.urls(index)?, |url| {
            if !is_answered && !self.full_responses.is_wanted(index, range) {
                return Ok(Answer::Taken);
            }
            let missing = intake.missing();
            let missing = missing.start - part.offset..missing.end - part.offset;
            let mut body = self.receiver.get_range(url, missing, &options(&part))?;
            if !body.is_range {
                // Whoever receives the part whole writes the range from its beginning.
                intake.restart();
                if is_answered {
                    self.full_responses.open(index, range);
                }
                return Ok(Answer::Whole(Box::new(body)));
            }
            if !is_answered && !self.full_responses.answered(index, range) {
                return Ok(Answer::Taken);
            }
            is_answered = true;
            self.take_in(&mut body, &[range.start], intake, buffer)?;
            Ok(Answer::Range)
        });
        match fetched {
            Err(_) if !is_answered && !self.full_responses.answered(index, range) => {
                Ok(Answer::Taken)
            }
            fetched => fetched,
        }
    }

    /// Receives a part whole, at first from a response that is here, and writes those of its ranges that nobody else
    /// writes.
    fn take_full(&self, index: usize, part: &Part, body: Body, buffer: &mut [u8]) -> Result<()> {
        self.receiver.connections.keep();
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
        let mut jobs = self.jobs.lock();
        deferred.for_each(|range| jobs.defer(Job::Range(index, range)));
        drop(jobs);
        for owned in reached.into_iter().filter(|owned| !owned.is_empty()) {
            self.complete_range(part, owned, buffer)?;
        }
        Ok(())
    }

    fn complete_range(&self, part: &Part, range: Range<u64>, buffer: &mut [u8]) -> Result<()> {
        let is_last = range.end == part.range().end;
        self.complete(range, u64::from(is_last), buffer)
    }
}

#[cfg(test)]
mod tests;
