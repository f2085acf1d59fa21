//! Counting what is sent.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::Result;
use crate::http::transport::Payload;
use crate::progress::tally::Tally;

/// A payload whose bytes are counted as they are read, each only once however often they are sent.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    payload: &'a dyn Payload,
    tally: &'a Tally<'a>,
    /// How many of its bytes are counted: the first ones.
    counted: AtomicU64,
}

impl<'a> Counted<'a> {
    pub(super) fn new(payload: &'a dyn Payload, tally: &'a Tally<'a>) -> Self {
        Self {
            payload,
            tally,
            counted: AtomicU64::new(0),
        }
    }

    /// Counts what was not sent, because it was there.
    pub(super) fn finish(&self) -> Result<()> {
        self.reach(self.payload.size_bytes())
    }

    /// Counts all bytes before this one.
    fn reach(&self, at: u64) -> Result<()> {
        let before = self.counted.fetch_max(at, Relaxed);
        self.tally.advance(at.saturating_sub(before) as usize)
    }
}

impl Payload for Counted<'_> {
    fn size_bytes(&self) -> u64 {
        self.payload.size_bytes()
    }

    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(CountedReader {
            reader: self.payload.open_at(start)?,
            payload: self,
            at: start,
        }))
    }
}

struct CountedReader<'a> {
    reader: Box<dyn Read + Send + 'a>,
    payload: &'a Counted<'a>,
    at: u64,
}

impl Read for CountedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.at += length as u64;
        self.payload.reach(self.at).map_err(io::Error::other)?;
        Ok(length)
    }
}
