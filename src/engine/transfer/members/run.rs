//! One run of members: a request, the members that come with it, and what is kept for the next one.
//!
//! What is wrong with a zip shows in its members, each of which is checked by the size and checksum in the directory that
//! was read: nodes of one server may have tags of their own for one and the same zip. Only when a member is wrong, the
//! directory is read again, to tell a zip that was replaced from one that is damaged.

use std::io::{self, BufReader, Read};
use std::ops::Range;

use tracing::debug;

use super::stream::{Keeper, Written, ZipStream};
use super::{here_bytes, is_kept, kept_bytes, member};
use crate::archive::{Member, MemberError};
use crate::digest::{Digest, Expected, check_size};
use crate::engine::transfer::jobs::Round;
use crate::engine::transfer::plan::{Origin, Task};
use crate::engine::transfer::queue::Job;
use crate::error::{Error, Result};
use crate::http::{Failure, GetOptions};
use crate::source::places::Zip;
use crate::store::journal::STEP_BYTES;
use crate::store::raw_members::RawMembers;
use crate::url::Url;

/// How much of a response is taken from the connection at once: decoding takes less, and headers a few bytes.
const STREAM_BYTES: usize = 32 << 10;

/// Fetches one run. What is here of it when a try fails is not fetched again.
pub(in crate::engine::transfer) fn fetch(
    round: &Round<'_>,
    tasks: &[Task],
    buffer: &mut [u8],
) -> Result<()> {
    let transfer = round.transfer;
    let zip = transfer
        .places
        .zip()
        .ok_or_else(|| Error::internal("members were requested without a zip"))?;
    let members = tasks
        .iter()
        .map(|task| member(transfer.places, transfer.manifest, task.part))
        .collect::<Result<Vec<_>>>()?;
    let mut run = Run {
        round,
        zip,
        tasks,
        members,
        done: 0,
        here_bytes: tasks.first().map_or(0, kept_bytes),
    };
    let fetched = round
        .receiver
        .with_mirrors(zip.urls.clone(), |url| run.go_on(url, buffer));
    match (fetched, tasks.get(run.done)) {
        (Err(_), Some(_)) if round.receiver.is_withdrawn() => {
            let mut rest = tasks[run.done..].to_vec();
            rest[0].origin = Origin::Network {
                kept_bytes: run.here_bytes,
            };
            round.give_back(Job::Members(rest));
            Ok(())
        }
        (Err(error), Some(task)) => Err(round.name_part(task.part, error)),
        (fetched, _) => fetched,
    }
}

/// Members that one request fetches, and how far they have come.
struct Run<'r, 'a> {
    round: &'r Round<'a>,
    zip: &'r Zip,
    tasks: &'r [Task],
    members: Vec<Member>,
    /// How many are complete.
    done: usize,
    /// How much is here of the next one, from its header on.
    here_bytes: u64,
}

impl<'r, 'a> Run<'r, 'a> {
    /// Fetches what is missing.
    fn go_on(&mut self, url: &Url, buffer: &mut [u8]) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (self.members.get(self.done), self.members.last()) else {
            return Ok(());
        };
        let range = first.range().start + self.here_bytes..last.range().end;
        let mut stream = self.request(url, range)?;
        while self.done < self.members.len() {
            let is_resumed = self.here_bytes > 0;
            match self.take(&mut stream, buffer) {
                Ok(()) => {}
                // No fault of the server, which is asked for all of the member.
                Err(failure) if is_resumed && failure.error.is_of_content() => {
                    debug!(error = %failure.error, "fetching a member from its beginning");
                    drop(stream);
                    self.drop_kept().map_err(Failure::last)?;
                    return self.go_on(url, buffer);
                }
                Err(failure) if failure.error.is_of_content() => {
                    drop(stream);
                    self.drop_kept().map_err(Failure::last)?;
                    return Err(self.explain(url, failure));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Requests a range of the zip, or all of it from a server without ranges.
    fn request(
        &self,
        url: &Url,
        range: Range<u64>,
    ) -> Result<BufReader<ZipStream<'r, 'a>>, Failure> {
        let options = GetOptions {
            accept: self.zip.accept,
            is_checked: true,
            ..GetOptions::default()
        };
        let body = self
            .round
            .receiver
            .get_range(url, range.clone(), &options)?;
        let (at, size_bytes) = match body.is_range {
            true => (range.start, body.total),
            false => (0, body.length),
        };
        if size_bytes.is_some_and(|size_bytes| size_bytes != self.zip.directory.range.end) {
            return Err(replaced(url));
        }
        let stream = ZipStream::new(self.round, body, at);
        Ok(BufReader::with_capacity(STREAM_BYTES, stream))
    }

    /// Decodes the next member from the stream, hashes it and writes it to its places.
    fn take(
        &mut self,
        stream: &mut BufReader<ZipStream<'r, 'a>>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let (round, transfer) = (self.round, self.round.transfer);
        let (task, member) = (&self.tasks[self.done], &self.members[self.done]);
        let part = transfer.manifest.parts()[task.part];
        let what = || format!("the member '{}'", member.name.escape_debug());
        check_size(what, part.size_bytes, member.size_bytes).map_err(Failure::last)?;
        let offsets = round.offsets(task);
        round.working_on(&part.range());
        let at = stream.get_ref().at - stream.buffer().len() as u64;
        let skip = (member.range().start + self.here_bytes).saturating_sub(at);
        let skipped = io::copy(&mut stream.by_ref().take(skip), &mut io::sink());
        skipped.map_err(|error| stream.get_ref().failed(error))?;
        let location = self.zip.urls[0].to_string();
        let members = transfer.members.filter(|_| is_kept(member));
        let (mut source, content_bytes) = self.source(stream, members).map_err(Failure::last)?;
        let mut expected = Expected::new(part.digest, part.size_bytes);
        let (mut written, mut listed) = (0, content_bytes);
        let is_stored = member.is_stored();
        let mut list = |written: u64, step_bytes: u64| {
            let is_due = written >= listed + step_bytes && written < part.size_bytes;
            if members.is_some() && is_stored && is_due {
                let range = part.offset + listed..part.offset + written;
                transfer.partial.note(&range)?;
                listed = written;
            }
            Ok(listed)
        };
        let decoded = member
            .read_header(&mut source, &location)
            .and_then(|header| {
                if let Some(members) = members.filter(|_| is_stored && self.here_bytes == 0) {
                    members.keep(task.part, &header);
                }
                member.decode(&mut source, &location, buffer, &mut |piece| {
                    round.receiver.stop.check()?;
                    expected.update(piece);
                    round.write(&offsets, written, piece)?;
                    written += piece.len() as u64;
                    list(written, STEP_BYTES).map(|_| ())
                })
            });
        drop(source);
        let met = decoded
            .map_err(|error| match error {
                MemberError::Read(error) => stream.get_ref().failed(error),
                MemberError::Damaged(error) => Failure::transient(error),
                MemberError::Refused(error) | MemberError::Taken(error) => Failure::last(error),
            })
            .and_then(|()| expected.met(what).map_err(Failure::transient));
        if let Err(failure) = met {
            let listed = list(written, 1).map_err(Failure::last)?;
            self.here_bytes = here_bytes(members, member, task.part, listed);
            return Err(failure);
        }
        for offset in offsets {
            let range = offset..offset + part.size_bytes;
            round.complete(range, 1, buffer).map_err(Failure::last)?;
        }
        if let Some(members) = members {
            members.remove(task.part);
        }
        self.done += 1;
        self.here_bytes = self.tasks.get(self.done).map_or(0, kept_bytes);
        Ok(())
    }

    /// Returns the next member: what is here of it, and then what comes, which is kept. Also returns how much of its content
    /// is in its file.
    fn source<'s>(
        &self,
        stream: &'s mut BufReader<ZipStream<'r, 'a>>,
        members: Option<&RawMembers>,
    ) -> Result<(Box<dyn Read + 's>, u64)> {
        let Some(members) = members else {
            return Ok((Box::new(stream), 0));
        };
        let (part, here_bytes) = (self.tasks[self.done].part, self.here_bytes);
        let is_stored = self.members[self.done].is_stored();
        // Of one that is stored, only the header is kept.
        let raw_bytes = match is_stored {
            true => members.bytes(part).min(here_bytes),
            false => here_bytes,
        };
        let raw: Box<dyn Read> = match raw_bytes {
            0 => Box::new(io::empty()),
            _ => Box::new(members.open(part)?.take(raw_bytes)),
        };
        let begin = self.round.transfer.manifest.parts()[part].offset;
        let content_bytes = here_bytes - raw_bytes;
        let content = Written {
            files: &self.round.written.files,
            range: begin..begin + content_bytes,
        };
        let file = match is_stored {
            true => None,
            false => members.extend(part, raw_bytes),
        };
        let source = raw.chain(content).chain(Keeper::new(stream, file));
        Ok((Box::new(source), content_bytes))
    }

    /// Forgets what is here of the next member.
    fn drop_kept(&mut self) -> Result<()> {
        let (part, member) = (self.tasks[self.done].part, &self.members[self.done]);
        let transfer = self.round.transfer;
        if let Some(members) = transfer.members.filter(|_| is_kept(member)) {
            members.remove(part);
            transfer
                .partial
                .forget(&transfer.manifest.parts()[part].range())?;
        }
        self.here_bytes = 0;
        Ok(())
    }

    /// Finds out whether a member is wrong because the zip was replaced.
    fn explain(&self, url: &Url, failure: Failure) -> Failure {
        let directory = &self.zip.directory;
        let mut stream = match self.request(url, directory.range.clone()) {
            Ok(stream) if stream.get_ref().at == directory.range.start => stream,
            Err(refused) if refused.error.is_of_content() => return refused,
            _ => return failure,
        };
        let mut bytes = vec![0; directory.bytes()];
        match stream.read_exact(&mut bytes) {
            Ok(()) if Digest::of(&bytes) != directory.digest => replaced(url),
            _ => failure,
        }
    }
}

fn replaced(url: &Url) -> Failure {
    let message = "the zip was replaced after its directory had been read";
    Failure::last(Error::registry(url, message))
}
