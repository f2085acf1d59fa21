//! A document that is passed on from where it is, and verified on the way.

use std::fmt;
use std::io::{self, Read};

use crate::digest::{Digest, Hasher, check_digest, check_size};
use crate::error::Error;
use crate::http::Failure;
use crate::http::transport::Payload;
use crate::mutex::Mutex;
use crate::progress::tally::Reached;

/// Reads the next bytes; 0 at the end.
pub(super) type Piece<'a> = Box<dyn FnMut(&mut [u8]) -> Result<usize, Failure> + Send + 'a>;
/// Begins to read at a byte.
type Open<'a> = dyn Fn(u64) -> Result<Piece<'a>, Failure> + Sync + 'a;

/// A document that is read from its place each time it is sent. Its last bytes are passed on only if all of them are right: whoever
/// takes it has nothing whole that is wrong.
pub(super) struct Passing<'a> {
    /// What it is called in errors.
    what: &'a str,
    digest: Digest,
    size_bytes: u64,
    open: &'a Open<'a>,
    reached: &'a Reached<'a>,
    /// Why it could not be read, which errors of input and output cannot say.
    failure: Mutex<Option<Failure>>,
}

impl<'a> Passing<'a> {
    pub(super) fn new(
        what: &'a str,
        digest: Digest,
        size_bytes: u64,
        open: &'a Open<'a>,
        reached: &'a Reached<'a>,
    ) -> Self {
        Self {
            what,
            digest,
            size_bytes,
            open,
            reached,
            failure: Mutex::default(),
        }
    }

    /// Returns why it could not be read, if that was the reason why something failed.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }

    fn fail(&self, failure: Failure) -> io::Error {
        let message = failure.error.to_string();
        *self.failure.lock() = Some(failure);
        // Nobody need try again before it can be read.
        io::Error::other(Error::internal(message))
    }
}

impl fmt::Debug for Passing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Passing").field(&self.digest).finish()
    }
}

impl Payload for Passing<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let piece = (self.open)(start).map_err(|failure| self.fail(failure))?;
        Ok(Box::new(PassingReader {
            document: self,
            piece,
            at: start,
            // Of the end alone, whoever has the beginning tells whether all is right.
            hasher: (start == 0).then(Hasher::default),
        }))
    }
}

struct PassingReader<'r, 'a> {
    document: &'r Passing<'a>,
    piece: Piece<'a>,
    at: u64,
    hasher: Option<Hasher>,
}

impl PassingReader<'_, '_> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let size_bytes = self.document.size_bytes;
        let what = || self.document.what.to_owned();
        let left = usize::try_from(size_bytes - self.at).unwrap_or(usize::MAX);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let length = left.min(buffer.len());
        let read = (self.piece)(&mut buffer[..length])?;
        self.at += read as u64;
        if read == 0 {
            check_size(what, size_bytes, self.at).map_err(Failure::transient)?;
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        if self.at == size_bytes
            && let Some(hasher) = self.hasher.take()
        {
            let actual = hasher.finish();
            check_digest(what, &self.document.digest, &actual).map_err(Failure::transient)?;
        }
        self.document
            .reached
            .reach(self.at)
            .map_err(Failure::last)?;
        Ok(read)
    }
}

impl Read for PassingReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer)
            .map_err(|failure| self.document.fail(failure))
    }
}
