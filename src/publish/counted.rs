//! Counting what is sent.

use std::io::{self, Read};

use crate::error::Result;
use crate::http::transport::Payload;
use crate::progress::tally::{Reached, Tally};

/// A payload whose bytes are counted as they are read, each only once however often they are sent.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    payload: &'a dyn Payload,
    reached: Reached<'a>,
}

impl<'a> Counted<'a> {
    pub(super) fn new(payload: &'a dyn Payload, tally: &'a Tally<'a>) -> Self {
        Self {
            payload,
            reached: Reached::nothing(tally),
        }
    }

    /// Counts what was not sent, because it was there.
    pub(super) fn finish(&self) -> Result<()> {
        self.reached.reach(self.payload.size_bytes())
    }
}

impl Payload for Counted<'_> {
    fn size_bytes(&self) -> u64 {
        self.payload.size_bytes()
    }

    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(CountedReader {
            reader: self.payload.open_at(start)?,
            reached: &self.reached,
            at: start,
        }))
    }
}

struct CountedReader<'a> {
    reader: Box<dyn Read + Send + 'a>,
    reached: &'a Reached<'a>,
    at: u64,
}

impl Read for CountedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.at += length as u64;
        self.reached.reach(self.at).map_err(io::Error::other)?;
        Ok(length)
    }
}
