//! The connections of one transfer: which workers have one, and what happens to those that are refused or stall.
//!
//! Each worker has at most one connection, with a cancel token of its own, since what a transport keeps alive belongs to a
//! token. Unless the user says how many there are, [`Pace`] does; the thread that began the transfer looks on, and tells it
//! what it sees. A worker whose connection is withdrawn returns what is left of its job to the others.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tracing::debug;

use super::pace::{MAX_CONNECTIONS, Moment, Pace, Refusal};
use crate::error::ErrorKind;
use crate::http::Failure;
use crate::http::retry::Fault;
use crate::mutex::{Condvar, Mutex};
use crate::progress::CancelToken;

/// How often the transfer is looked at: a quarter of the shortest window.
const LOOK: Duration = Duration::from_millis(50);
/// How long a worker waits for its turn before it looks for itself, which it does when told otherwise.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What workers take their jobs from.
pub(crate) trait Queue {
    /// What a worker does at once.
    type Job: Send;

    /// Takes what this worker does next.
    fn take(&mut self, worker: usize, now: Instant) -> Option<Self::Job>;

    /// Learns that a worker does nothing until it takes a job again.
    fn leave(&mut self, worker: usize);

    /// Returns how many jobs there are.
    fn len(&self) -> usize;
}

impl<J: Send> Queue for VecDeque<J> {
    type Job = J;

    fn take(&mut self, _: usize, _: Instant) -> Option<J> {
        self.pop_front()
    }

    fn leave(&mut self, _: usize) {}

    fn len(&self) -> usize {
        VecDeque::len(self)
    }
}

/// The connections of one transfer.
#[derive(Debug)]
pub(crate) struct Connections {
    /// Ends the transfer.
    pub(crate) stop: CancelToken,
    started: Instant,
    bytes: AtomicU64,
    /// Those that a limit of the rate held back.
    held_back: AtomicU64,
    /// For how long workers have waited for the server, in microseconds.
    waited: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// `None` if there are as many as the user says.
    pace: Option<Pace>,
    /// One for each worker.
    connections: Vec<Connection>,
    /// How many workers have not ended.
    working: usize,
}

#[derive(Debug)]
struct Connection {
    cancel: CancelToken,
    standing: Standing,
    /// Whether what it was used for has to be given up.
    is_withdrawn: bool,
    /// Whether it stays as long as its job: others rely on it.
    is_kept: bool,
    /// Since when it waits for the server, and what had arrived on all of them by then.
    waiting: Option<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    Closed,
    /// It has not been answered yet.
    New,
    Answered,
}

impl Connections {
    /// Creates as many as wanted, or lets the transfer find out how many help.
    pub(crate) fn new(wanted: Option<usize>, stop: CancelToken) -> Self {
        let connection = || Connection {
            cancel: stop.child(),
            standing: Standing::Closed,
            is_withdrawn: false,
            is_kept: false,
            waiting: None,
        };
        let count = wanted.unwrap_or(MAX_CONNECTIONS).max(1);
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            state: Mutex::new(State {
                pace: wanted.is_none().then(|| Pace::new(processors)),
                connections: (0..count).map(|_| connection()).collect(),
                working: 0,
            }),
            stop,
            started: Instant::now(),
            bytes: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            changed: Condvar::default(),
        }
    }

    /// Returns how many workers there are for so many jobs.
    pub(super) fn workers(&self, jobs: usize) -> usize {
        let mut state = self.state.lock();
        state.working = state.connections.len().min(jobs);
        state.working
    }

    /// Returns the next job once the calling worker may have a connection; `None` if there is nothing left for it to do.
    pub(super) fn next<Q: Queue>(&self, jobs: &Mutex<Q>) -> Option<Q::Job> {
        let index = worker();
        let mut state = self.state.lock();
        state.renew(index, &self.stop);
        while !self.stop.is_cancelled() {
            let now = self.moment(&state);
            let mut jobs = jobs.lock();
            if jobs.len() == 0 {
                break;
            }
            if state.may_work(index, now) {
                return jobs.take(index, Instant::now());
            }
            jobs.leave(index);
            drop(jobs);
            state = self.changed.wait_timeout(state, LONGEST_WAIT);
        }
        state.connections[index].standing = Standing::Closed;
        state.working -= 1;
        self.changed.notify_all();
        None
    }

    /// Looks on until all workers have ended.
    pub(super) fn attend<Q: Queue>(&self, jobs: &Mutex<Q>) {
        let mut state = self.state.lock();
        while state.working > 0 && state.pace.is_some() {
            state = self.changed.wait_timeout(state, LOOK);
            let now = self.moment(&state);
            let has_jobs = jobs.lock().len() > 0;
            if let Some(pace) = state.pace.as_mut().filter(|_| has_jobs) {
                pace.look(now);
            }
            state.withdraw_stalled(now);
            let may_open = |pace: &Pace| pace.may_open(now);
            if self.stop.is_cancelled() || state.pace.as_ref().is_some_and(may_open) {
                self.changed.notify_all();
            }
        }
    }

    fn moment(&self, state: &State) -> Moment {
        let count = |is_counted: fn(Standing) -> bool| {
            let standings = state.connections.iter().map(|it| it.standing);
            standings.filter(|standing| is_counted(*standing)).count()
        };
        let waiting = state.connections.iter().filter_map(|it| it.waiting);
        let waiting = waiting.map(|(since, _)| since.elapsed());
        Moment {
            at: self.started.elapsed(),
            bytes: self.bytes(),
            held_back: self.held_back.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited.load(Ordering::Relaxed)) + waiting.sum(),
            open: count(|standing| standing != Standing::Closed),
            answered: count(|standing| standing == Standing::Answered),
        }
    }

    /// Counts bytes that arrived.
    pub(super) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that a limit of the rate held back.
    pub(super) fn held_back(&self, bytes: u64) {
        self.held_back.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes arrived, failed attempts included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits for the server, with the token of the calling worker's connection.
    pub(super) fn waiting<T>(&self, wait: impl FnOnce(&CancelToken) -> T) -> T {
        let cancel = {
            let connection = &mut self.state.lock().connections[worker()];
            connection.waiting = Some((Instant::now(), self.bytes()));
            connection.cancel.clone()
        };
        let result = wait(&cancel);
        let waited = self.state.lock().connections[worker()].waiting.take();
        let micros = waited.map_or(0, |(since, _)| since.elapsed().as_micros());
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.waited.fetch_add(micros, Ordering::Relaxed);
        result
    }

    /// Learns that a request of the calling worker was answered.
    pub(super) fn answered(&self) {
        let standing = &mut self.state.lock().connections[worker()].standing;
        if std::mem::replace(standing, Standing::Answered) != Standing::Answered {
            self.changed.notify_all();
        }
    }

    /// Learns that a request of the calling worker failed before it was answered; returns whether its connection is withdrawn
    /// for it, as one too many.
    pub(super) fn failed(&self, failure: &Failure) -> bool {
        let (has_status, retry_after) = match (failure.fault, failure.error.kind()) {
            (
                Fault::Status {
                    status: 429 | 503,
                    retry_after,
                },
                _,
            ) => (true, retry_after),
            (Fault::Transient, ErrorKind::Network { .. }) => (false, None),
            _ => return false,
        };
        let mut state = self.state.lock();
        let now = self.moment(&state);
        let State {
            pace, connections, ..
        } = &mut *state;
        let connection = &mut connections[worker()];
        let refusal = Refusal {
            is_first: connection.standing == Standing::New,
            has_status,
            retry_after,
        };
        let pace = pace.as_mut().filter(|_| !connection.is_kept);
        let is_withdrawn = pace.is_some_and(|pace| pace.refused(now, refusal));
        if is_withdrawn {
            connection.is_withdrawn = true;
            connection.standing = Standing::Closed;
        }
        is_withdrawn
    }

    /// Keeps the calling worker's connection, whatever happens, as long as its job takes.
    pub(super) fn keep(&self) {
        self.state.lock().connections[worker()].is_kept = true;
    }

    /// Whether the calling worker's connection is withdrawn: what is left of its job is for another one.
    pub(super) fn is_withdrawn(&self) -> bool {
        !self.stop.is_cancelled() && self.state.lock().connections[worker()].is_withdrawn
    }
}

impl State {
    /// Closes a connection between two jobs if it is withdrawn, or if there are too many.
    fn renew(&mut self, index: usize, stop: &CancelToken) {
        let limit = self.pace.as_ref().map_or(usize::MAX, Pace::limit);
        let others = self.connections.iter();
        let open = others.filter(|it| it.standing != Standing::Closed).count();
        let connection = &mut self.connections[index];
        connection.is_kept = false;
        let is_surplus = connection.standing != Standing::Closed && open > limit;
        if std::mem::take(&mut connection.is_withdrawn) || is_surplus {
            // What the transport keeps alive goes with it.
            connection.cancel.cancel();
            connection.cancel = stop.child();
        }
        if is_surplus {
            connection.standing = Standing::Closed;
        }
    }

    /// Whether a worker has a connection, which it may get now.
    fn may_work(&mut self, index: usize, now: Moment) -> bool {
        let may_open = self.pace.as_ref().is_none_or(|pace| pace.may_open(now));
        let standing = &mut self.connections[index].standing;
        if *standing == Standing::Closed && may_open {
            *standing = Standing::New;
        }
        *standing != Standing::Closed
    }

    /// Withdraws a connection that brings nothing while others do; the next comes later, if at all.
    fn withdraw_stalled(&mut self, now: Moment) {
        let Some(pace) = &mut self.pace else { return };
        let mut connections = self.connections.iter_mut().enumerate();
        let stalled = connections.find(|(_, connection)| {
            let Some((since, bytes)) = connection.waiting else {
                return false;
            };
            let may_go = !connection.is_kept && !connection.is_withdrawn;
            may_go && bytes < now.bytes && pace.is_stalled(since.elapsed())
        });
        if let Some((worker, connection)) = stalled {
            debug!(
                worker,
                why = "others bring bytes, and it does not",
                "replacing a connection that stalls"
            );
            connection.is_withdrawn = true;
            connection.standing = Standing::New;
            connection.cancel.cancel();
        }
    }
}

/// Returns the number of the calling worker: each is a thread of the transfer's own pool.
fn worker() -> usize {
    rayon::current_thread_index().unwrap_or_default()
}
