//! Bringing in a part whole: from this machine, from behind what an unfinished pull kept of it, or all of it from a server.

use tracing::debug;

use super::Transfer;
use super::intake::{Intake, is_unfit};
use super::jobs::{Round, options};
use super::local_copies::LocalCopy;
use super::members;
use super::plan::{Origin, Task};
use super::queue::Job;
use crate::digest::Check;
use crate::error::Result;
use crate::http::Failure;
use crate::manifest::Part;
use crate::url::Url;

impl Round<'_> {
    pub(super) fn bring_part(&self, task: &Task, buffer: &mut [u8]) -> Result<()> {
        let part = self.transfer.manifest.parts()[task.part];
        self.working_on(&part.range());
        let offsets = self.offsets(task);
        let is_there = match (&task.origin, part.digest) {
            // Only the digest of a file covers it, which is checked in order.
            (Origin::Partial, None) => {
                self.transfer.tally.found(part.size_bytes);
                true
            }
            (Origin::Partial, Some(_)) => {
                let own = LocalCopy {
                    files: self.written.files.clone(),
                    range: part.range(),
                };
                self.copy(task, &own, &offsets[1..], buffer)?
            }
            (Origin::Local(copy), Some(_)) => self.copy(task, copy, &offsets, buffer)?,
            _ => false,
        };
        // What was copied is in flight until now.
        let copied_bytes = match part.digest {
            Some(_) if is_there => part.size_bytes,
            _ => 0,
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
            let range = *offset..*offset + part.size_bytes;
            self.complete_copied(range, 1, copied_bytes, buffer)?;
        }
        Ok(())
    }

    /// Copies a part's bytes from this machine to these places, and verifies them. Returns `false` if they cannot be read or are
    /// wrong: then they are fetched.
    fn copy(
        &self,
        task: &Task,
        from: &LocalCopy,
        offsets: &[u64],
        buffer: &mut [u8],
    ) -> Result<bool> {
        let part = self.transfer.manifest.parts()[task.part];
        let Some(expected) = part.digest else {
            return Ok(false);
        };
        let (tally, range) = (self.transfer.tally, part.range());
        let places = task.twins.len() as u64 + 1;
        let mut check = Check::of(&expected, part.size_bytes);
        let mut at = 0;
        let is_right = loop {
            if at == part.size_bytes {
                break check.finish() == expected;
            }
            self.receiver.stop.check()?;
            let length = usize::try_from(part.size_bytes - at).unwrap_or(usize::MAX);
            let piece_bytes = length.min(buffer.len());
            let piece = &mut buffer[..piece_bytes];
            if let Err(error) = from.files.read(from.range.start + at, piece) {
                debug!(%error, "cannot reuse bytes of this machine");
                break false;
            }
            check.update(piece);
            self.write(offsets, at, piece)?;
            self.digests.arrived(&range, range.start + at, piece);
            at += piece.len() as u64;
            tally.copied(piece.len() as u64 * places);
            self.transfer.partial.touch();
        };
        if !is_right {
            debug!(%expected, "bytes of this machine are unreadable or damaged");
            tally.uncopied(at * places, (part.size_bytes - at) * places);
            self.digests.withdraw(&range);
        }
        Ok(is_right)
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
}
