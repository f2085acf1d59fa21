//! The bytes of a zip as they come: from an unfinished pull, then from the network, where they are kept for the next one.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;

use tracing::debug;

use crate::engine::transfer::jobs::Round;
use crate::http::{Body, Failure};
use crate::store::files::FileSet;
use crate::url::Scheme;

/// How much is written at once of a member that is kept.
const KEPT_BYTES: usize = 256 << 10;

/// The bytes of a zip as they come.
pub(super) struct ZipStream<'s, 'a> {
    pub(super) round: &'s Round<'a>,
    body: Body,
    /// Where in the zip it stands.
    pub(super) at: u64,
    /// What went wrong, behind the error that a reader sees.
    failure: RefCell<Option<Failure>>,
}

impl<'s, 'a> ZipStream<'s, 'a> {
    /// Begins with a body that is at this place in the zip.
    pub(super) fn new(round: &'s Round<'a>, body: Body, at: u64) -> Self {
        Self {
            round,
            body,
            at,
            failure: RefCell::default(),
        }
    }

    pub(super) fn failed(&self, error: io::Error) -> Failure {
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
        match self.round.receiver.read(&mut self.body, buffer) {
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

/// Bytes of the model's files.
pub(super) struct Written<'s> {
    pub(super) files: &'s FileSet,
    pub(super) range: Range<u64>,
}

impl Read for Written<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let read_bytes = left.min(buffer.len());
        let read = self.files.read(self.range.start, &mut buffer[..read_bytes]);
        read.map_err(io::Error::other)?;
        self.range.start += read_bytes as u64;
        Ok(read_bytes)
    }
}

/// Passes on what comes of a member, and keeps it as it comes.
pub(super) struct Keeper<S> {
    source: S,
    file: Option<BufWriter<File>>,
}

impl<S: Read> Keeper<S> {
    /// Keeps what comes in a file; without one, nothing.
    pub(super) fn new(source: S, file: Option<File>) -> Self {
        let file = file.map(|file| BufWriter::with_capacity(KEPT_BYTES, file));
        Self { source, file }
    }
}

impl<S: Read> Read for Keeper<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&buffer[..read])
        {
            // Without it, the member begins anew after a kill, and nothing else is lost.
            debug!(%error, "cannot keep what comes of a member");
            self.file = None;
        }
        Ok(read)
    }
}
