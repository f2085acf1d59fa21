//! Writing the chunks of one version, and hashing its files meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::thread;

use rayon::iter::{IntoParallelIterator, ParallelBridge, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::Writing;
use super::cuts::Cuts;
use super::cutting::{Cut, gone};
use super::stream::Stream;
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::progress::tally::Tally;
use crate::progress::{Step, Task};
use crate::publish::RegistryWriter;
use crate::publish::counted::Counted;
use crate::publish::hashing::hash;

/// Which chunks a stream is to be written in.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) ranges: Vec<Range<u64>>,
    /// The digests of the chunks, if they are known before these are written.
    digests: Option<Vec<Digest>>,
}

impl Planned {
    /// Keeps the plan if it cuts in these places, else plans to.
    pub(super) fn or_at(self, ranges: impl Iterator<Item = Range<u64>>) -> Self {
        let ranges: Vec<_> = ranges.collect();
        match self.ranges == ranges {
            true => self,
            false => Self {
                ranges,
                digests: None,
            },
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
    /// Plans where to cut, and returns the digests of all files.
    pub(super) fn plan(&self, cuts: &Cuts) -> Result<(Planned, Vec<Digest>)> {
        let tally = self.writing.begin(self.hashing());
        let planned = Mutex::new(Vec::new());
        let take = |cut: Cut| {
            planned.lock().push((cut.range, cut.digest));
            Ok(())
        };
        let digests = self.stream.cut(cuts, &tally, &take)?;
        let mut planned = planned.into_inner();
        planned.sort_unstable_by_key(|(range, _)| range.start);
        let (ranges, of_chunks) = planned.into_iter().unzip();
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
            let range = planned.ranges[index].clone();
            let digest = match digests {
                Some(digests) => digests[index],
                None => self.hash(&range)?,
            };
            self.write_one(range, digest, &tally)
        };
        let write = spread(write);
        let indexes = 0..planned.ranges.len();
        let write_all = || indexes.into_par_iter().map(write).collect();
        let written: Result<Vec<_>> = match self.registry.workers() {
            0 => write_all(),
            _ => self.workers()?.install(write_all),
        };
        written.map(Chunks::of)
    }

    /// Writes each chunk that is new as soon as it is cut; returns the digests of the files, too.
    pub(super) fn cut_and_write(&self, cuts: &Cuts) -> Result<(Chunks, Vec<Digest>)> {
        let tally = self.chunking(cuts.count());
        let stop = self.writing.cancel.child();
        let hashing = Tally::beside(self.hashing(), self.writing.progress, &stop);
        // Workers wait for chunks, which the threads that the process shares must not: others need those.
        let workers = self.workers()?;
        // They are written while the processor's caches have them.
        let (sender, chunks) = sync_channel::<Cut>(1);
        let cut = || {
            let sender = sender;
            let count = AtomicU64::new(0);
            let take = |cut| {
                count.fetch_add(1, Relaxed);
                sender.send(cut).map_err(|_| gone())
            };
            let digests = self.stream.cut(cuts, &hashing, &take)?;
            tally.expect(count.into_inner());
            Ok::<_, Error>(digests)
        };
        let write = spread(|cut: Cut| self.write_one(cut.range, cut.digest, &tally));
        let write_all = || chunks.into_iter().par_bridge().map(write).collect();
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

    fn hash(&self, range: &Range<u64>) -> Result<Digest> {
        let mut reader = self.stream.slice(range).reader();
        hash(&mut reader, &mut |_| self.writing.cancel.check())
    }

    fn write_one(&self, range: Range<u64>, digest: Digest, tally: &Tally<'_>) -> Result<Written> {
        let slice = self.stream.slice(&range);
        let bytes = Counted::new(&slice, tally);
        let is_new = self.registry.put(&digest, &bytes)?;
        bytes.finish()?;
        tally.complete();
        Ok(Written {
            range,
            digest,
            is_new,
        })
    }

    /// Begins to write as many chunks; zero if that is not known yet.
    fn chunking(&self, chunks: usize) -> Tally<'_> {
        self.writing.begin(Step {
            total_bytes: self.stream.size_bytes(),
            ..Step::new(Task::Chunking, chunks as u64).at(self.name, 0)
        })
    }

    /// The step of hashing the files.
    fn hashing(&self) -> Step<'_> {
        Step {
            total_bytes: self.stream.size_bytes(),
            ..Step::new(Task::Hashing, self.stream.parts.len() as u64).at(self.name, 0)
        }
    }

    /// Threads that write, as many as the registry says: in a network, they mostly wait.
    fn workers(&self) -> Result<ThreadPool> {
        let builder = ThreadPoolBuilder::new()
            .num_threads(self.registry.workers())
            .thread_name(|index| format!("modelrack-publish-{index}"));
        let failed = |error: ThreadPoolBuildError| Error::internal(error.to_string());
        builder.build().map_err(failed)
    }
}

/// Has workers log to the subscriber of the calling thread, which they do not know.
fn spread<I, O>(work: impl Fn(I) -> O + Sync + Send) -> impl Fn(I) -> O + Sync + Send {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    move |item| tracing::dispatcher::with_default(&dispatch, || work(item))
}
