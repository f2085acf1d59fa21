//! Copying a version chunk by chunk, without a copy in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tracing::debug;

use super::chosen::Chosen;
use super::passing::{Passing, Piece};
use super::{MirroredVersion, Mirroring, Missing, is_in_chunks};
use crate::digest::Digest;
use crate::engine::transfer::local_copies::{LocalCopies, LocalCopy};
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::http::{Failure, GetOptions};
use crate::manifest::Manifest;
use crate::progress::tally::Tally;
use crate::progress::{Step, Task};
use crate::publish::{Registry, WrittenVersion};
use crate::source::places::{Location, Places};
use crate::source::several_at_once;
use crate::url::Url;

/// How many chunks are copied at once if nobody says: as many as the questions that a source is asked.
const CHUNKS_AT_ONCE: usize = 8;

/// A version that is being copied.
struct Copying<'a> {
    registry: &'a Registry<'a>,
    manifest: &'a Manifest,
    places: &'a Places,
    copies: &'a LocalCopies,
    call: &'a Call,
    tally: &'a Tally<'a>,
    fetched: &'a AtomicU64,
    is_refused: &'a AtomicBool,
}

/// Returns the number of one part of each digest.
fn distinct(manifest: &Manifest) -> BTreeMap<Digest, usize> {
    let parts = manifest.parts().iter().enumerate();
    let named = parts.filter_map(|(index, part)| Some((part.digest?.sha256()?, index)));
    named.collect()
}

impl Mirroring<'_> {
    /// Copies the chunks of a version that the mirror lacks, and then its manifest; returns how much was fetched, too.
    pub(super) fn copy_chunks(
        &self,
        chosen: &Chosen,
        manifest: &Manifest,
        registry: &Registry<'_>,
    ) -> Result<(WrittenVersion, u64)> {
        let offer = &chosen.offer;
        let model = &offer.remote.model;
        let call = offer.call(&self.call);
        let places = offer.places(&call)?;
        let stop = self.call.cancel.child();
        let call = Call {
            cancel: stop.clone(),
            ..places.authorized(&call)
        };
        let parts: Vec<(Digest, usize)> = distinct(manifest).into_iter().collect();
        let sizes = parts
            .iter()
            .map(|(_, index)| manifest.parts()[*index].size_bytes);
        let (name, fetched) = (model.to_string(), AtomicU64::new(0));
        let step = Step {
            total_bytes: sizes.sum(),
            ..Step::new(Task::Mirroring, parts.len() as u64).at(&name, 0)
        };
        let tally = Tally::new(step, Some(&*self.call.progress), &stop);
        let store = &self.engine.store;
        let copying = Copying {
            registry,
            manifest,
            places: &places,
            copies: &LocalCopies::find(store, &self.records, model, manifest, places.elsewhere()),
            call: &call,
            tally: &tally,
            fetched: &fetched,
            is_refused: &self.is_refused,
        };
        let threads = self.pull.concurrency.or(self.engine.settings.concurrency);
        let threads = threads.unwrap_or(CHUNKS_AT_ONCE);
        let written = several_at_once(threads, &parts, |(digest, index)| {
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
        registry.put(&manifest.digest(), &manifest.json().to_vec())?;
        let version = WrittenVersion {
            aliases: chosen.aliases.clone(),
            files: manifest.files().len(),
            total_bytes: manifest.known_bytes(),
            chunks: manifest.parts().len(),
            chunks_written: written.iter().flatten().count(),
            bytes_written: written.iter().flatten().sum(),
            ..WrittenVersion::new(
                model.clone(),
                offer.remote.metadata.to_map(),
                manifest.digest(),
            )
        };
        Ok((version, fetched.into_inner()))
    }

    /// Says what copying a version would take.
    pub(super) fn estimate(&self, missing: &Missing) -> Result<MirroredVersion> {
        let Missing { chosen, manifest } = missing;
        let (offer, model) = (&chosen.offer, &chosen.offer.remote.model);
        let version = MirroredVersion {
            files: manifest.files().len(),
            total_bytes: manifest.known_bytes(),
            bytes_written: manifest.known_bytes(),
            ..MirroredVersion::of(chosen, chosen.state, offer.remote.manifest_digest)
        };
        let (Some(registry), true) = (self.opened.registry(), is_in_chunks(chosen, manifest))
        else {
            let is_here = self.installed(chosen).is_some();
            return Ok(MirroredVersion {
                bytes_fetched: if is_here { 0 } else { manifest.known_bytes() },
                ..version
            });
        };
        let copies = LocalCopies::find(&self.engine.store, &self.records, model, manifest, &[]);
        let mut version = MirroredVersion {
            chunks: manifest.parts().len(),
            bytes_written: 0,
            ..version
        };
        for (digest, index) in distinct(manifest) {
            let size_bytes = manifest.parts()[index].size_bytes;
            if !registry.has(&digest, size_bytes)? {
                version.chunks_written += 1;
                version.bytes_written += size_bytes;
                if copies.of_part(manifest, index).is_none() {
                    version.bytes_fetched += size_bytes;
                }
            }
        }
        Ok(version)
    }
}

impl Copying<'_> {
    /// Puts a chunk into the mirror, unless it is there: from this store, or else from the source.
    fn put(&self, digest: &Digest, index: usize) -> Result<bool> {
        let size_bytes = self.manifest.parts()[index].size_bytes;
        if let Some(copy) = self.copies.of_part(self.manifest, index) {
            let open = |start| Ok(read_copy(&copy, start));
            let chunk = Passing::new(*digest, size_bytes, &open, self.tally);
            match self.registry.put(digest, &chunk) {
                Ok(is_new) => return Ok(is_new),
                Err(error) => match chunk.failure() {
                    None => return Err(self.refused(error)),
                    Some(failure) => {
                        debug!(error = %chain(&failure.error), "a copy of {digest} cannot be used");
                    }
                },
            }
        }
        let urls = match self.places.of_part(self.manifest, index)? {
            Location::Document(urls) => urls,
            Location::Member(_) => return Err(Error::internal("a chunk is a member of a zip")),
        };
        self.call.retrying(&urls, |_, url| {
            let open = |start| self.fetch(url, start, size_bytes);
            let chunk = Passing::new(*digest, size_bytes, &open, self.tally);
            let put = self.registry.put(digest, &chunk);
            put.map_err(|error| {
                let failure = chunk.failure();
                failure.unwrap_or_else(|| Failure::last(self.refused(error)))
            })
        })
    }

    /// Notes that it is the mirror that could not take something. Others that were stopped for that are no reason.
    fn refused(&self, error: Error) -> Error {
        if !error.is_cancelled() {
            self.is_refused.store(true, Relaxed);
        }
        error
    }

    /// Requests a chunk from this byte on.
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
