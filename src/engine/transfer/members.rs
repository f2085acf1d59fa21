//! Members of a zip: fetched over byte ranges, several that lie one behind the other with one request.

use std::cell::RefCell;
use std::io::{self, BufReader, Read};
use std::ops::Range;

use super::jobs::Round;
use crate::archive::{Member, MemberError};
use crate::digest::{Expected, check_size};
use crate::engine::transfer::plan::{Origin, Task};
use crate::error::{Error, Result};
use crate::http::{Body, Failure, GetOptions};
use crate::manifest::Manifest;
use crate::source::places::{Location, Places};
use crate::url::Scheme;

/// Bytes between two members that are fetched along rather than asked around: about what a request costs in time.
const MAX_GAP_BYTES: u64 = 64 << 10;
/// How much one request fetches, unless a single member is larger: small enough that several connections share the work.
const RUN_BYTES: u64 = 4 << 20;

/// How much of a response is taken from the connection at once: decoding takes less, and headers a few bytes.
const STREAM_BYTES: usize = 32 << 10;

/// Sorts members as they lie in the zip, and gathers those that one request fetches.
pub(crate) fn runs(
    places: &Places,
    manifest: &Manifest,
    tasks: Vec<Task>,
) -> Result<Vec<Vec<Task>>> {
    let mut located = tasks
        .into_iter()
        .map(|task| Ok((member(places, manifest, task.part)?.range(), task)))
        .collect::<Result<Vec<_>>>()?;
    located.sort_by_key(|(range, _)| range.start);
    let mut runs: Vec<(Range<u64>, Vec<Task>)> = Vec::new();
    for (range, task) in located {
        match runs.last_mut() {
            Some((run, tasks))
                if range.start.saturating_sub(run.end) <= MAX_GAP_BYTES
                    && range.end - run.start <= RUN_BYTES =>
            {
                run.end = range.end;
                tasks.push(task);
            }
            _ => runs.push((range, vec![task])),
        }
    }
    Ok(runs.into_iter().map(|(_, tasks)| tasks).collect())
}

/// How many requests fetch what the network has to give of a plan, and how many bytes.
pub(crate) fn cost(places: &Places, manifest: &Manifest, tasks: &[Task]) -> Result<(usize, u64)> {
    let needed = tasks
        .iter()
        .filter(|task| matches!(task.origin, Origin::Network { .. }));
    let needed: Vec<Task> = needed.cloned().collect();
    let bytes = needed
        .iter()
        .map(|task| Ok(member(places, manifest, task.part)?.compressed_bytes))
        .sum::<Result<u64>>()?;
    Ok((runs(places, manifest, needed)?.len(), bytes))
}

fn member(places: &Places, manifest: &Manifest, part: usize) -> Result<Member> {
    match places.of_part(manifest, part)? {
        Location::Member(member) => Ok(member),
        Location::Document(_) => Err(Error::internal(
            "a document was requested as a member of a zip",
        )),
    }
}

/// Fetches one run. Members that are complete when a try fails are not fetched again.
pub(super) fn fetch(round: &Round<'_>, tasks: &[Task], buffer: &mut [u8]) -> Result<()> {
    let transfer = round.transfer;
    let manifest = transfer.manifest;
    let zip = transfer
        .places
        .zip()
        .ok_or_else(|| Error::internal("members were requested without a zip"))?;
    let members = tasks
        .iter()
        .map(|task| member(transfer.places, manifest, task.part))
        .collect::<Result<Vec<_>>>()?;
    let mut done = 0;
    let fetched = round.receiver.with_mirrors(zip.urls.clone(), |url| {
        let (Some(first), Some(last)) = (members.get(done), members.last()) else {
            return Ok(());
        };
        let range = first.range().start..last.range().end;
        let replaced = || {
            let message = "the zip was replaced after its directory had been read";
            Failure::last(Error::registry(url, message))
        };
        let options = GetOptions {
            accept: zip.accept,
            ..GetOptions::default()
        };
        let body = round.receiver.get_range(url, range.clone(), &options)?;
        if zip.validators.differ(&body.validators) {
            return Err(replaced());
        }
        let at = if body.is_range { range.start } else { 0 };
        let stream = ZipStream {
            round,
            body,
            at,
            failure: RefCell::default(),
        };
        let mut stream = BufReader::with_capacity(STREAM_BYTES, stream);
        while let Some(member) = members.get(done) {
            take(&mut stream, &tasks[done], member, buffer)?;
            done += 1;
        }
        Ok(())
    });
    fetched.map_err(|error| match tasks.get(done) {
        Some(task) => round.name_part(task.part, error),
        None => error,
    })
}

/// Decodes one member from the stream, hashes it and writes it to its places.
fn take(
    stream: &mut BufReader<ZipStream<'_, '_>>,
    task: &Task,
    member: &Member,
    buffer: &mut [u8],
) -> Result<(), Failure> {
    let round = stream.get_ref().round;
    let part = round.transfer.manifest.parts()[task.part];
    let what = || format!("the member '{}'", member.name.escape_debug());
    check_size(what, part.size_bytes, member.size_bytes).map_err(Failure::last)?;
    let offsets = round.offsets(task);
    round.working_on(&part.range());
    let at = stream.get_ref().at - stream.buffer().len() as u64;
    let skip = member.range().start.saturating_sub(at);
    let skipped = io::copy(&mut stream.take(skip), &mut io::sink());
    skipped.map_err(|error| stream.get_ref().failed(error))?;
    let zip = round.transfer.places.zip();
    let location = zip.map(|zip| zip.urls[0].to_string()).unwrap_or_default();
    let mut expected = Expected::new(part.digest, part.size_bytes);
    let mut at = 0;
    let decoded = member.decode(stream, &location, buffer, &mut |piece| {
        expected.update(piece);
        round.write(&offsets, at, piece)?;
        at += piece.len() as u64;
        Ok(())
    });
    decoded.map_err(|error| match error {
        MemberError::Read(error) => stream.get_ref().failed(error),
        MemberError::Damaged(error) => Failure::transient(error),
        MemberError::Refused(error) | MemberError::Taken(error) => Failure::last(error),
    })?;
    expected.met(what).map_err(Failure::transient)?;
    for offset in offsets {
        let range = offset..offset + part.size_bytes;
        round.complete(range, 1, buffer).map_err(Failure::last)?;
    }
    Ok(())
}

/// The bytes of a zip as they come.
struct ZipStream<'s, 'a> {
    round: &'s Round<'a>,
    body: Body,
    /// Where in the zip it stands.
    at: u64,
    /// What went wrong, behind the error that a reader sees.
    failure: RefCell<Option<Failure>>,
}

impl ZipStream<'_, '_> {
    fn failed(&self, error: io::Error) -> Failure {
        let early = || {
            let message = "the response ended early";
            Failure::transient(crate::http::network(
                &self.body.url,
                None,
                message,
                Some(error.into()),
            ))
        };
        self.failure.take().unwrap_or_else(early)
    }
}

impl Read for ZipStream<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.read(buffer, &self.round.receiver.stop) {
            Ok(read) => {
                self.at += read as u64;
                // What an archive on disk gives came over the network before, and was counted then.
                if self.body.url.scheme() != Scheme::File {
                    self.round.receiver.count(read as u64);
                    self.round.receiver.landed(read as u64);
                }
                Ok(read)
            }
            Err(failure) => {
                self.failure.replace(Some(failure));
                Err(io::Error::other("the response failed"))
            }
        }
    }
}
