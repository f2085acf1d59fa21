//! Copying documents one by one into a mirror, without a copy in between: the chunks of a version, or its blobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tracing::debug;

use super::Mirroring;
use super::chosen::Chosen;
use super::passing::{Passing, Piece};
use crate::at_once::{at_once, several_at_once};
use crate::digest::Digest;
use crate::engine::transfer::local_copies::{LocalCopies, LocalCopy};
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::http::transport::Payload;
use crate::http::{Failure, GetOptions};
use crate::manifest::Manifest;
use crate::progress::tally::{Reached, Tally};
use crate::progress::{Step, Task};
use crate::source::places::{Location, Places};
use crate::url::Url;

/// How many documents are copied at once if nobody says: as many as the questions that a source is asked.
const PARTS_AT_ONCE: usize = 8;

/// Puts a document into a mirror, unless it is there; returns whether it was written.
pub(super) type Put<'a> = dyn Fn(&Digest, &dyn Payload) -> Result<bool> + Sync + 'a;

/// The parts of a manifest that are to be in a mirror, each under its digest.
pub(super) struct Parts<'a> {
    pub(super) chosen: &'a Chosen,
    pub(super) manifest: &'a Manifest,
    /// What a part is called.
    pub(super) noun: &'static str,
    pub(super) put: &'a Put<'a>,
    /// Learns that it was the mirror that could not take something, if that is the end of all.
    pub(super) is_refused: Option<&'a AtomicBool>,
}

/// What was copied, or would be; each document counts once.
#[derive(Debug, Default)]
pub(super) struct CopiedParts {
    pub(super) count: usize,
    pub(super) written: usize,
    pub(super) bytes_written: u64,
    pub(super) bytes_fetched: u64,
}

/// Parts that are being copied.
struct Copying<'a> {
    parts: &'a Parts<'a>,
    places: &'a Places,
    copies: &'a LocalCopies,
    call: &'a Call,
    tally: &'a Tally<'a>,
    fetched: &'a AtomicU64,
}

/// Returns the number of one part of each digest.
fn distinct(manifest: &Manifest) -> BTreeMap<Digest, usize> {
    let parts = manifest.parts().iter().enumerate();
    let named = parts.filter_map(|(index, part)| Some((part.digest?.sha256()?, index)));
    named.collect()
}

impl Mirroring<'_> {
    /// Copies the parts that the mirror lacks.
    pub(super) fn copy_parts(&self, parts: &Parts<'_>) -> Result<CopiedParts> {
        let (offer, manifest) = (&parts.chosen.offer, parts.manifest);
        let model = &offer.remote.model;
        let call = offer.call(&self.call);
        let places = offer.places(&call)?;
        let stop = self.call.cancel.child();
        let call = Call {
            cancel: stop.clone(),
            ..places.authorized(&call)
        };
        let documents: Vec<(Digest, usize)> = distinct(manifest).into_iter().collect();
        let sizes = documents
            .iter()
            .map(|(_, index)| manifest.parts()[*index].size_bytes);
        let (name, fetched) = (model.to_string(), AtomicU64::new(0));
        let step = Step {
            total_bytes: sizes.sum(),
            ..Step::new(Task::Mirroring, documents.len() as u64).at(&name, 0)
        };
        let tally = Tally::new(step, Some(&*self.call.progress), &stop);
        let store = &self.engine.store;
        let copying = Copying {
            parts,
            places: &places,
            copies: &LocalCopies::find(store, &self.records, model, manifest, places.elsewhere()),
            call: &call,
            tally: &tally,
            fetched: &fetched,
        };
        let threads = self.pull.concurrency.or(self.engine.settings.concurrency);
        let threads = threads.unwrap_or(PARTS_AT_ONCE);
        let written = several_at_once(threads, &documents, |(digest, index)| {
            let size_bytes = manifest.parts()[*index].size_bytes;
            stop.check()?;
            let put = copying.put(digest, *index);
            if put.is_err() {
                stop.cancel();
            }
            tally.complete();
            Ok(put?.then_some(size_bytes))
        });
        self.call.cancel.check()?;
        let written = first_error(written)?;
        Ok(CopiedParts {
            count: documents.len(),
            written: written.iter().flatten().count(),
            bytes_written: written.iter().flatten().sum(),
            bytes_fetched: fetched.into_inner(),
        })
    }

    /// Says what copying parts would take; `has` says what the mirror has.
    pub(super) fn estimate_parts(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
        has: &(dyn Fn(&Digest, u64) -> Result<bool> + Sync),
    ) -> Result<CopiedParts> {
        let model = &chosen.offer.remote.model;
        let copies = LocalCopies::find(&self.engine.store, &self.records, model, manifest, &[]);
        let documents: Vec<(Digest, usize)> = distinct(manifest).into_iter().collect();
        let is_there = at_once(&documents, |(digest, index)| {
            self.call.cancel.check()?;
            has(digest, manifest.parts()[*index].size_bytes)
        });
        let mut estimate = CopiedParts {
            count: documents.len(),
            ..CopiedParts::default()
        };
        for ((_, index), is_there) in documents.iter().zip(is_there) {
            let size_bytes = manifest.parts()[*index].size_bytes;
            if !is_there? {
                estimate.written += 1;
                estimate.bytes_written += size_bytes;
                if copies.of_part(manifest, *index).is_none() {
                    estimate.bytes_fetched += size_bytes;
                }
            }
        }
        Ok(estimate)
    }
}

impl Copying<'_> {
    /// Puts a part into the mirror, unless it is there, and counts its bytes.
    fn put(&self, digest: &Digest, index: usize) -> Result<bool> {
        let reached = Reached::nothing(self.tally);
        let is_new = self.put_counted(digest, index, &reached)?;
        reached.reach(self.parts.manifest.parts()[index].size_bytes)?;
        Ok(is_new)
    }

    /// Puts a part from this store, or else from the source.
    fn put_counted(&self, digest: &Digest, index: usize, reached: &Reached<'_>) -> Result<bool> {
        let Parts {
            manifest,
            noun,
            put,
            ..
        } = self.parts;
        let size_bytes = manifest.parts()[index].size_bytes;
        let what = format!("{noun} {digest}");
        if let Some(copy) = self.copies.of_part(manifest, index) {
            let open = |start| Ok(read_copy(&copy, start));
            let document = Passing::new(&what, *digest, size_bytes, &open, reached);
            match put(digest, &document) {
                Ok(is_new) => return Ok(is_new),
                Err(error) => match document.failure() {
                    None => return Err(self.refused(error)),
                    Some(failure) => {
                        debug!(error = %chain(&failure.error), "a copy of {digest} cannot be used");
                    }
                },
            }
        }
        let urls = match self.places.of_part(manifest, index)? {
            Location::Document(urls) => urls,
            Location::Member(_) => return Err(Error::internal("a document is a member of a zip")),
        };
        self.call.retrying(&urls, |_, url| {
            let open = |start| self.fetch(url, start, size_bytes);
            let document = Passing::new(&what, *digest, size_bytes, &open, reached);
            put(digest, &document).map_err(|error| {
                let failure = document.failure();
                failure.unwrap_or_else(|| Failure::last(self.refused(error)))
            })
        })
    }

    /// Notes that it is the mirror that could not take something. Others that were stopped for that are no reason.
    fn refused(&self, error: Error) -> Error {
        if let Some(is_refused) = self.parts.is_refused.filter(|_| !error.is_cancelled()) {
            is_refused.store(true, Relaxed);
        }
        error
    }

    /// Requests a document from this byte on.
    fn fetch<'s>(&'s self, url: &Url, start: u64, size_bytes: u64) -> Result<Piece<'s>, Failure> {
        let options = GetOptions {
            range: (start > 0).then_some(start..size_bytes),
            is_checked: true,
            has_digest: true,
            size_bytes: Some(size_bytes),
            ..GetOptions::default()
        };
        let mut body = self.call.body(url, &options)?;
        let mut to_skip = if body.is_range { 0 } else { start };
        Ok(Box::new(move |buffer| {
            loop {
                let length = match to_skip {
                    0 => buffer.len(),
                    left => usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(buffer.len()),
                };
                let read = body.read(&mut buffer[..length], &self.call.cancel)?;
                self.fetched.fetch_add(read as u64, Relaxed);
                body.hold_back(&self.call.cancel);
                if to_skip == 0 || read == 0 {
                    return Ok(read);
                }
                to_skip -= read as u64;
            }
        }))
    }
}

/// Reads a copy from this byte on.
fn read_copy(copy: &LocalCopy, start: u64) -> Piece<'_> {
    let mut at = copy.range.start + start;
    Box::new(move |buffer| {
        let left = usize::try_from(copy.range.end - at).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let read = copy.files.read(at, &mut buffer[..length]);
        read.map_err(Failure::last)?;
        at += length as u64;
        Ok(length)
    })
}

/// Returns all results, or the error that stopped the others.
fn first_error<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let (mut all, mut stopped) = (Vec::with_capacity(results.len()), None);
    for result in results {
        match result {
            Ok(result) => all.push(result),
            Err(error) if error.is_cancelled() => stopped = Some(error),
            Err(error) => return Err(error),
        }
    }
    match stopped {
        Some(_) => Err(ErrorKind::Cancelled.into()),
        None => Ok(all),
    }
}
