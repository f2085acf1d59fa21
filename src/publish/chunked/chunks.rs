//! Writing the chunks of one version, and hashing its files meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::thread;

use rayon::iter::{IntoParallelRefIterator, ParallelBridge, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::Writing;
use super::cutting::{Cut, gone};
use super::stream::{Part, Stream};
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::progress::tally::Tally;
use crate::progress::{Step, Task};
use crate::publish::RegistryWriter;

/// Where a stream is cut.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) ranges: Vec<Range<u64>>,
    /// The digests of the chunks, if they are known before these are written.
    digests: Option<Vec<Digest>>,
}

impl Planned {
    pub(super) fn at(ranges: Vec<Range<u64>>) -> Self {
        Self {
            ranges,
            digests: None,
        }
    }
}

/// The chunks of a stream, in order.
#[derive(Debug)]
pub(super) struct Chunks {
    /// The size and digest of each.
    pub(super) facts: Vec<(u64, Digest)>,
    /// Those that the registry did not have.
    pub(super) new: BTreeSet<(u64, Digest)>,
}

/// A chunk that is in the registry now.
struct Written {
    range: Range<u64>,
    digest: Digest,
    is_new: bool,
}

impl Chunks {
    fn of(mut written: Vec<Written>) -> Self {
        written.sort_unstable_by_key(|it| it.range.start);
        let fact = |it: &Written| (it.range.end - it.range.start, it.digest);
        // Two workers may write the same chunk at once.
        let new = written.iter().filter(|it| it.is_new);
        Self {
            new: new.map(fact).collect(),
            facts: written.iter().map(fact).collect(),
        }
    }

    /// How many the registry had, and their total size.
    pub(super) fn there(&self) -> (usize, u64) {
        let distinct: BTreeSet<_> = self.facts.iter().collect();
        let there = distinct.into_iter().filter(|it| !self.new.contains(it));
        there.fold((0, 0), |(count, sum), (bytes, _)| (count + 1, sum + bytes))
    }

    /// Whether they are those that a manifest lists.
    pub(super) fn are_of(&self, manifest: &Manifest) -> bool {
        let listed = manifest.parts().iter();
        let listed = listed.map(|part| (part.size_bytes, part.digest));
        let facts = self.facts.iter();
        listed.eq(facts.map(|(bytes, digest)| (*bytes, Some(Checksum::Sha256(*digest)))))
    }
}

/// Writes the chunks of a stream.
pub(super) struct ChunkWriter<'a> {
    pub(super) stream: &'a Stream,
    /// What is shown of the model.
    pub(super) name: &'a str,
    pub(super) registry: &'a dyn RegistryWriter,
    pub(super) writing: &'a Writing<'a>,
}

impl ChunkWriter<'_> {
    /// Returns the digests of all files.
    pub(super) fn hash_files(&self) -> Result<Vec<Digest>> {
        let parts = &self.stream.parts;
        let tally = self.writing.begin(self.hashing(parts.iter()));
        let digests = parts.par_iter().map(|part| self.hash_file(part, &tally));
        digests.collect()
    }

    /// Plans to cut where the content says, and returns the digests of all files.
    pub(super) fn plan_cuts(&self) -> Result<(Planned, Vec<Digest>)> {
        let tally = self.writing.begin(self.hashing(self.stream.parts.iter()));
        let cuts = Mutex::new(Vec::new());
        let take = |cut| {
            cuts.lock().push(cut);
            Ok(())
        };
        let digests = self
            .stream
            .cut_by_content(self.writing.chunk_bytes, &tally, &take)?;
        let mut cuts = cuts.into_inner();
        cuts.sort_unstable_by_key(|cut| cut.range.start);
        let (ranges, of_chunks) = cuts.into_iter().map(|cut| (cut.range, cut.digest)).unzip();
        let planned = Planned {
            ranges,
            digests: Some(of_chunks),
        };
        Ok((planned, digests))
    }

    /// Writes those chunks that are new.
    pub(super) fn write(&self, planned: &Planned) -> Result<Chunks> {
        let tally = self.chunking(planned.ranges.len());
        let digests = planned.digests.as_deref();
        let write = |index: usize| {
            let known = digests.map(|digests| digests[index]);
            self.write_one(planned.ranges[index].clone(), known, &tally)
        };
        let write = spread(write);
        let indexes: Vec<usize> = (0..planned.ranges.len()).collect();
        let write_all = || indexes.par_iter().map(|index| write(*index)).collect();
        let written: Result<Vec<_>> = match self.registry.workers() {
            0 => write_all(),
            _ => self.workers()?.install(write_all),
        };
        written.map(Chunks::of)
    }

    /// Does the same, and returns the digests of the files, too. Those that are no single chunk are hashed meanwhile: that takes
    /// about as long as hashing the chunks, and of one large file no two processors can do it.
    pub(super) fn write_and_hash(&self, planned: &Planned) -> Result<(Chunks, Vec<Digest>)> {
        let (parts, ranges) = (&self.stream.parts, &planned.ranges);
        let is_chunk = |part: &&Part| position(ranges, part).is_some();
        let others: Vec<&Part> = parts.iter().filter(|part| !is_chunk(part)).collect();
        let stop = self.writing.cancel.child();
        let step = self.hashing(others.iter().copied());
        let tally = Tally::beside(step, self.writing.progress, &stop);
        let hash = || {
            let digests = others.par_iter().map(|part| self.hash_file(part, &tally));
            digests.collect::<Result<Vec<_>>>()
        };
        let (chunks, digests) = thread::scope(|scope| {
            let hashing = scope.spawn(hash);
            let chunks = self.write(planned);
            match &chunks {
                Ok(_) if !others.is_empty() => tally.show(),
                Ok(_) => {}
                Err(_) => stop.cancel(),
            }
            (chunks, hashing.join())
        });
        let chunks = chunks?;
        let panicked = |_| Error::internal("a thread that hashes files panicked");
        let digests = digests.map_err(panicked)??;
        let mut digests = digests.into_iter();
        let of_part = |part: &Part| match position(ranges, part) {
            Some(chunk) => Some(chunks.facts[chunk].1),
            None => digests.next(),
        };
        let digests = parts.iter().map_while(of_part).collect();
        Ok((chunks, digests))
    }

    /// Cuts where the content says, and writes each chunk that is new as soon as it is cut; returns the digests of the files, too.
    pub(super) fn cut_and_write(&self) -> Result<(Chunks, Vec<Digest>)> {
        let tally = self.chunking(0);
        let stop = self.writing.cancel.child();
        let step = self.hashing(self.stream.parts.iter());
        let hashing = Tally::beside(step, self.writing.progress, &stop);
        // They wait for those who cut, so they must be others than those whom the process shares.
        let workers = self.workers()?;
        let (sender, cuts) = sync_channel::<Cut>(workers.current_num_threads());
        let cut = || {
            let sender = sender;
            let count = AtomicU64::new(0);
            let take = |cut| {
                count.fetch_add(1, Relaxed);
                sender.send(cut).map_err(|_| gone())
            };
            let chunk_bytes = self.writing.chunk_bytes;
            let digests = self.stream.cut_by_content(chunk_bytes, &hashing, &take)?;
            tally.expect(count.into_inner());
            Ok::<_, Error>(digests)
        };
        let write = spread(|cut: Cut| self.write_one(cut.range, Some(cut.digest), &tally));
        let write_all = || cuts.into_iter().par_bridge().map(write).collect();
        let (written, digests) = thread::scope(|scope| {
            let cutting = scope.spawn(cut);
            let written: Result<Vec<_>> = workers.install(write_all);
            if written.is_err() {
                stop.cancel();
            }
            (written, cutting.join())
        });
        let written = written?;
        let panicked = |_| Error::internal("a thread that cuts files panicked");
        Ok((Chunks::of(written), digests.map_err(panicked)??))
    }

    fn write_one(
        &self,
        range: Range<u64>,
        known: Option<Digest>,
        tally: &Tally<'_>,
    ) -> Result<Written> {
        let digest = known.map_or_else(|| self.stream.hash(&range, tally), Ok)?;
        let is_new = self.registry.put(&digest, &self.stream.slice(&range))?;
        if known.is_some() {
            let bytes = range.end - range.start;
            tally.advance(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        tally.complete();
        Ok(Written {
            range,
            digest,
            is_new,
        })
    }

    fn hash_file(&self, part: &Part, tally: &Tally<'_>) -> Result<Digest> {
        let digest = self.stream.hash(&part.range(), tally)?;
        tally.complete();
        Ok(digest)
    }

    /// Begins to write as many chunks; zero if that is not known yet.
    fn chunking(&self, chunks: usize) -> Tally<'_> {
        self.writing.begin(Step {
            total_bytes: self.stream.size_bytes(),
            ..Step::new(Task::Chunking, chunks as u64).at(self.name, 0)
        })
    }

    /// The step of hashing these files.
    fn hashing<'s>(&'s self, parts: impl Iterator<Item = &'s Part> + Clone) -> Step<'s> {
        Step {
            total_bytes: parts.clone().map(|part| part.size_bytes).sum(),
            ..Step::new(Task::Hashing, parts.count() as u64).at(self.name, 0)
        }
    }

    /// Threads that write: as many as the registry says, as they wait for a network where it is behind one.
    fn workers(&self) -> Result<ThreadPool> {
        let builder = ThreadPoolBuilder::new()
            .num_threads(self.registry.workers())
            .thread_name(|index| format!("modelrack-publish-{index}"));
        let failed = |error: ThreadPoolBuildError| Error::internal(error.to_string());
        builder.build().map_err(failed)
    }
}

/// Lets workers do this as the calling thread would: they do not know its subscriber.
fn spread<I, O>(work: impl Fn(I) -> O + Sync + Send) -> impl Fn(I) -> O + Sync + Send {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    move |item| tracing::dispatcher::with_default(&dispatch, || work(item))
}

/// Which chunk is this very file, if one is.
fn position(chunks: &[Range<u64>], part: &Part) -> Option<usize> {
    let range = part.range();
    let found = chunks.binary_search_by_key(&range.start, |chunk| chunk.start);
    found.ok().filter(|chunk| chunks[*chunk] == range)
}
