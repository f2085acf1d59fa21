//! What is left to do in a transfer, and who does what of it next.
//!
//! Each file is a lane of its own, whose jobs are in the order of its bytes. A worker stays on its lane, so that a file which
//! nobody else works on arrives in order, and is hashed as it comes by the worker that receives it. Once there is no lane
//! that nobody has begun, workers join the one that most is left of, and share it to the end.
//!
//! A worker whose connection is fast gets ranges that follow each other as one job: with one request, of which some servers
//! need a multiple of the time that the bytes of a range take. It is a part of what is left, so that the workers end together, and
//! no more than what can wait in memory for its turn to be hashed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::connections::Queue;
use super::plan::{RANGE_BYTES, Task};

/// How long the bytes of one request should take at most: whoever else comes waits for its part no longer than that.
const RUN_TIME: Duration = Duration::from_millis(100);
/// How many ranges are requested together at most, by a worker that is alone on its lane, and how many may be ahead of those
/// whose turn it is to be hashed: as many as memory is for.
const MOST_RANGES: usize = 4;
const MOST_EARLY_RANGES: usize = 3;
/// A request is at most this part of what its lane has left for each worker.
const RUN_SHARE: usize = 4;

/// One thing for a worker to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Bring in a part whole.
    Part(Task),
    /// Fetch one range of a part.
    Range(usize, Range<u64>),
    /// Fetch ranges of a part that follow each other, with one request.
    Run(usize, Vec<Range<u64>>),
    /// Fetch parts that are members of a zip and lie there one after the other.
    Members(Vec<Task>),
}

/// The jobs of a transfer.
#[derive(Debug, Default)]
pub(super) struct JobQueue {
    /// Those that were left to others, which come first.
    returned: VecDeque<Job>,
    /// Lanes that nobody has begun, those that take longest first, each with its file.
    fresh: VecDeque<(Option<usize>, VecDeque<Job>)>,
    /// The others, by their numbers, as long as something is left of them.
    begun: BTreeMap<usize, VecDeque<Job>>,
    lanes: usize,
    len: usize,
    workers: HashMap<usize, Worker>,
    has_no_runs: bool,
}

/// What a worker does.
#[derive(Debug)]
struct Worker {
    lane: usize,
    /// How much it has taken last, and when.
    bytes: u64,
    since: Instant,
}

impl JobQueue {
    /// Adds a job that belongs to this file, behind those that are there.
    pub(super) fn add(&mut self, file: Option<usize>, job: Job) {
        self.len += 1;
        match self.fresh.back_mut() {
            Some((last, jobs)) if file.is_some() && *last == file => jobs.push_back(job),
            _ => self.fresh.push_back((file, [job].into())),
        }
    }

    /// Leaves a job to the other workers; it comes next.
    pub(super) fn give_back(&mut self, job: Job) {
        self.len += 1;
        self.returned.push_front(job);
    }

    /// Leaves the rest of a run to the other workers, and makes no more of them.
    pub(super) fn give_back_run(&mut self, part: usize, ranges: &[Range<u64>]) {
        self.has_no_runs = true;
        for range in ranges.iter().rev() {
            self.give_back(Job::Range(part, range.clone()));
        }
    }

    /// Adds a job that has turned up late.
    pub(super) fn defer(&mut self, job: Job) {
        self.len += 1;
        self.returned.push_back(job);
    }

    /// Returns the lane that a worker goes on with, or begins, or joins.
    fn lane(&mut self, worker: usize) -> Option<usize> {
        let own = self.workers.get(&worker).map(|worker| worker.lane);
        if let Some(own) = own.filter(|own| self.begun.contains_key(own)) {
            return Some(own);
        }
        match self.fresh.pop_front() {
            Some((_, jobs)) => {
                self.lanes += 1;
                self.begun.insert(self.lanes, jobs);
                Some(self.lanes)
            }
            None => {
                let left = self.begun.iter();
                left.max_by_key(|(_, jobs)| jobs.len())
                    .map(|(lane, _)| *lane)
            }
        }
    }

    /// Returns how many ranges a worker may take together.
    fn most_ranges(&self, worker: usize, lane: usize, now: Instant) -> usize {
        let Some(last) = self.workers.get(&worker).filter(|_| !self.has_no_runs) else {
            return 1;
        };
        let time = now.saturating_duration_since(last.since).as_micros().max(1);
        let bytes = u128::from(last.bytes) * RUN_TIME.as_micros() / time;
        let by_speed = usize::try_from(bytes / u128::from(RANGE_BYTES));
        let workers = self.workers.iter();
        let others = workers.filter(|(number, other)| **number != worker && other.lane == lane);
        let others = others.count();
        let left = self.begun.get(&lane).map_or(0, VecDeque::len);
        MOST_EARLY_RANGES
            .checked_div(others)
            .unwrap_or(MOST_RANGES)
            .min(left / (RUN_SHARE * (others + 1)))
            .min(by_speed.unwrap_or(1))
    }
}

impl Queue for JobQueue {
    type Job = Job;

    fn take(&mut self, worker: usize, now: Instant) -> Option<Job> {
        if let Some(job) = self.returned.pop_front() {
            self.len -= 1;
            self.leave(worker);
            return Some(job);
        }
        let lane = self.lane(worker)?;
        let most = self.most_ranges(worker, lane, now);
        let jobs = self.begun.get_mut(&lane)?;
        let before = jobs.len();
        let job = jobs.pop_front().map(|job| with_following(job, jobs, most));
        self.len -= before - jobs.len();
        if jobs.is_empty() {
            self.begun.remove(&lane);
        }
        let bytes = match &job {
            Some(Job::Range(_, range)) => range.end - range.start,
            Some(Job::Run(_, ranges)) => ranges.iter().map(|it| it.end - it.start).sum(),
            _ => 0,
        };
        let since = now;
        self.workers.insert(worker, Worker { lane, bytes, since });
        job
    }

    fn leave(&mut self, worker: usize) {
        self.workers.remove(&worker);
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// Joins a range with those that follow it, up to as many as this.
fn with_following(first: Job, jobs: &mut VecDeque<Job>, most: usize) -> Job {
    let Job::Range(part, range) = first else {
        return first;
    };
    let mut ranges = vec![range];
    let mut end = ranges[0].end;
    while ranges.len() < most
        && let Some(Job::Range(_, next)) = jobs.pop_front_if(
            |job| matches!(job, Job::Range(of, next) if *of == part && next.start == end),
        )
    {
        end = next.end;
        ranges.push(next);
    }
    match ranges.len() {
        1 => Job::Range(part, ranges.swap_remove(0)),
        _ => Job::Run(part, ranges),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of so many ranges.
    fn add_file(queue: &mut JobQueue, file: usize, ranges: u64) {
        for number in 0..ranges {
            let range = number * RANGE_BYTES..(number + 1) * RANGE_BYTES;
            queue.add(Some(file), Job::Range(file, range));
        }
    }

    /// Takes a job after so long; returns its file, where it begins, and how many ranges it is.
    fn take(queue: &mut JobQueue, worker: usize, now: Instant) -> (usize, u64, usize) {
        let (file, ranges) = match queue.take(worker, now).unwrap() {
            Job::Range(file, range) => (file, vec![range]),
            Job::Run(file, ranges) => (file, ranges),
            other => panic!("{other:?}"),
        };
        (file, ranges[0].start / RANGE_BYTES, ranges.len())
    }

    #[test]
    fn workers_stay_on_the_file_that_they_began_and_join_where_most_is_left() {
        let (mut queue, now) = (JobQueue::default(), Instant::now());
        for (file, ranges) in [(7, 5), (8, 4), (9, 1)] {
            add_file(&mut queue, file, ranges);
        }
        let taken = [0, 1, 2, 0, 1, 2, 1].map(|worker| take(&mut queue, worker, now));
        let expected = [(7, 0), (8, 0), (9, 0), (7, 1), (8, 1), (7, 2), (8, 2)];
        assert_eq!(taken, expected.map(|(file, begin)| (file, begin, 1)));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn what_is_given_back_comes_first_and_leaves_the_place_of_a_worker_alone() {
        let (mut queue, now) = (JobQueue::default(), Instant::now());
        add_file(&mut queue, 7, 2);
        add_file(&mut queue, 8, 2);
        let first = queue.take(0, now).unwrap();
        take(&mut queue, 1, now);
        queue.give_back(first);
        queue.defer(Job::Range(9, 0..1));
        assert_eq!(take(&mut queue, 1, now), (7, 0, 1));
        assert_eq!(take(&mut queue, 1, now), (9, 0, 1));
        assert_eq!(take(&mut queue, 0, now), (7, 1, 1));
        assert_eq!((take(&mut queue, 1, now), queue.len()), ((8, 1, 1), 0));
        assert!(queue.take(0, now).is_none());
    }

    #[test]
    fn only_fast_connections_get_several_ranges_at_once() {
        for (millis, expected) in [(10, 4), (30, 3), (50, 2), (90, 1), (400, 1)] {
            let (mut queue, now) = (JobQueue::default(), Instant::now());
            add_file(&mut queue, 7, 100);
            assert_eq!(take(&mut queue, 0, now), (7, 0, 1), "its speed is unknown");
            let later = now + Duration::from_millis(millis);
            assert_eq!(take(&mut queue, 0, later), (7, 1, expected), "{millis} ms");
        }
    }

    #[test]
    fn who_shares_a_file_gets_no_more_than_memory_is_for_and_in_the_end_single_ranges() {
        let now = Instant::now();
        for (workers, most) in [(1, 4), (2, 3), (3, 1), (4, 1)] {
            let mut queue = JobQueue::default();
            add_file(&mut queue, 7, 100);
            for worker in 0..workers {
                take(&mut queue, worker, now);
            }
            let taken: Vec<usize> = std::iter::from_fn(|| {
                let is_left = queue.len() > 0;
                is_left.then(|| take(&mut queue, 0, now).2)
            })
            .collect();
            assert_eq!(taken.iter().max(), Some(&most), "{workers}");
            let last = taken.iter().rev().take(4 * workers - 1);
            assert!(last.copied().all(|ranges| ranges == 1), "{workers}");
        }
    }

    #[test]
    fn a_worker_that_rests_is_not_counted() {
        let (mut queue, now) = (JobQueue::default(), Instant::now());
        add_file(&mut queue, 7, 100);
        for worker in 0..4 {
            take(&mut queue, worker, now);
        }
        queue.leave(2);
        queue.leave(3);
        assert_eq!(take(&mut queue, 0, now).2, 3);
    }

    #[test]
    fn runs_end_at_gaps_and_are_no_longer_made_once_one_was_given_back() {
        let (mut queue, now) = (JobQueue::default(), Instant::now());
        for number in (0..40).filter(|number| *number != 3) {
            let range = number * RANGE_BYTES..(number + 1) * RANGE_BYTES;
            queue.add(Some(7), Job::Range(7, range));
        }
        take(&mut queue, 0, now);
        assert_eq!(take(&mut queue, 0, now), (7, 1, 2));
        let run = take(&mut queue, 0, now);
        assert_eq!(run, (7, 4, 4));
        queue.give_back_run(7, &[9..10, 20..30]);
        for _ in 0..2 {
            assert_eq!(take(&mut queue, 0, now).2, 1);
        }
        assert_eq!(take(&mut queue, 0, now), (7, 8, 1));
        assert_eq!(take(&mut queue, 0, now), (7, 9, 1));
    }
}
