//! Draws progress: a bar on a terminal, and a plain line now and then elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bar::{bar, is_archive, percent, plain};
use super::console::Console;
#[cfg(feature = "author")]
use super::render::size;
use super::render::{count, duration, safe};
use crate::mutex::{Condvar, Mutex};
use crate::progress::{Phase, TransferState};
#[cfg(feature = "author")]
use crate::project::{HashCounts, HashProgress};
use crate::{ModelRef, Progress, ProgressEvent};

/// How long nothing is drawn: work that is over by then needs no bar.
const QUIET_START: Duration = Duration::from_millis(250);
/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(100);
/// How often the bar moves if no event arrives.
const TICK: Duration = Duration::from_secs(1);
/// Without a terminal, a line is printed this often, or whenever this much more is done.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
const PLAIN_PERCENT: u64 = 10;
/// The shortest wait that is announced.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Receives the events of pulls and of hashing, and draws their sum. Dropping it removes the bar.
pub(super) struct Meter(Arc<Drawing>);

/// What the meter shares with the thread that moves the bar.
struct Drawing {
    console: Console,
    enabled: bool,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    /// The pulls that have begun, each with its latest state. Those that ended stay until all have.
    pulls: BTreeMap<ModelRef, TransferState>,
    ended: BTreeSet<ModelRef>,
    started: Instant,
    drawn_at: Option<Instant>,
    printed_percent: u64,
    done: bool,
}

impl Meter {
    pub(super) fn new(console: Console, enabled: bool) -> Arc<Self> {
        let drawing = Arc::new(Drawing {
            console,
            enabled,
            state: Mutex::new(State::new()),
            ended: Condvar::default(),
        });
        if drawing.enabled && drawing.console.err_is_terminal {
            tick(&drawing);
        }
        Arc::new(Self(drawing))
    }

    /// Removes the bar, so that the next output begins on a clean line.
    pub(super) fn clear(&self) {
        self.0.state.lock().pulls.clear();
        self.0.console.draw_progress(Vec::new());
    }
}

impl State {
    fn new() -> Self {
        Self {
            pulls: BTreeMap::new(),
            ended: BTreeSet::new(),
            started: Instant::now(),
            drawn_at: None,
            printed_percent: 0,
            done: false,
        }
    }

    /// Returns the sum of all pulls; `None` before one has something to show.
    fn sum(&self) -> Option<TransferState> {
        let has_begun = |pull: &&TransferState| {
            pull.phase != Phase::Manifest || pull.files_total > 0 || pull.bytes_in_flight > 0
        };
        let mut pulls = self.pulls.values().filter(has_begun);
        let mut sum = pulls.next()?.clone();
        for pull in pulls {
            // Until the size of one pull is known, files are counted; from then on, bytes.
            if pull.phase == Phase::Chunks {
                sum.phase = Phase::Chunks;
            }
            sum.files_total += pull.files_total;
            sum.files_done += pull.files_done;
            sum.bytes_done += pull.bytes_done;
            sum.bytes_network += pull.bytes_network;
            if is_archive(&sum) && is_archive(pull) {
                // All of them wait for the same archive.
                sum.total_bytes = sum.total_bytes.max(pull.total_bytes);
                sum.bytes_in_flight = sum.bytes_in_flight.max(pull.bytes_in_flight);
            } else {
                sum.total_bytes += pull.total_bytes;
                sum.bytes_in_flight += pull.bytes_in_flight;
            }
        }
        Some(sum)
    }

    fn name(&self) -> String {
        match self.pulls.len() {
            1 => self.pulls.keys().map(ToString::to_string).collect(),
            several => count(several, "model"),
        }
    }

    /// Takes a pull into account. If all others have ended, the bar starts anew.
    fn begin(&mut self) {
        if self.ended.len() == self.pulls.len() {
            *self = Self::new();
        }
    }

    /// Returns whether it is too early for a drawing.
    fn is_early(&self) -> bool {
        let is_recent = |at: Instant| at.elapsed() < FRAME;
        self.started.elapsed() < QUIET_START || self.drawn_at.is_some_and(is_recent)
    }
}

impl Drawing {
    /// Draws a line in place of the one before. It leaves the last column free, as some terminals wrap there.
    fn draw_line(&self, state: &mut State, line: impl FnOnce(usize) -> String) {
        let width = self.console.width() - 1;
        let line: String = line(width).chars().take(width).collect();
        self.console.draw_progress(vec![line]);
        state.drawn_at = Some(Instant::now());
    }

    fn draw(&self, state: &mut State) {
        let Some(latest) = state.sum().filter(|_| !state.is_early()) else {
            return;
        };
        let elapsed = state.started.elapsed();
        if self.console.err_is_terminal {
            self.draw_line(state, |width| bar(&latest, elapsed, width));
            return;
        }
        let percent = percent(&latest);
        let is_overdue = |at: Instant| at.elapsed() > PLAIN_EVERY;
        if percent < state.printed_percent + PLAIN_PERCENT && !state.drawn_at.is_none_or(is_overdue)
        {
            return;
        }
        let line = plain(&latest, elapsed);
        self.console.note(format!("{}: {line}", state.name()));
        state.printed_percent = percent;
        state.drawn_at = Some(Instant::now());
    }
}

/// Moves the bar while no event arrives, until the meter is dropped.
fn tick(drawing: &Arc<Drawing>) {
    let shared = drawing.clone();
    let ticker = move || {
        let mut state = shared.state.lock();
        while !state.done {
            state = shared.ended.wait_timeout(state, TICK);
            if !state.done {
                shared.draw(&mut state);
            }
        }
    };
    // Without the thread, the bar moves only when events arrive.
    let _ = std::thread::Builder::new()
        .name("modelrack-meter".into())
        .spawn(ticker);
}

impl Progress for Meter {
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
        let drawing = &self.0;
        if !drawing.enabled {
            return;
        }
        // If another thread is drawing, the event is dropped: a transfer must not wait for a terminal.
        let Some(mut state) = drawing.state.try_lock() else {
            return;
        };
        match event {
            ProgressEvent::Pending => {}
            ProgressEvent::Waiting { holder } => {
                let holder = safe(holder.as_deref().unwrap_or("another process"));
                let console = &drawing.console;
                console.note(format!("Waiting for {holder}, which is pulling {model}"));
            }
            ProgressEvent::Phase(transferred) => {
                if !state.pulls.contains_key(model) {
                    state.begin();
                }
                state.pulls.insert(model.clone(), transferred.clone());
            }
            ProgressEvent::Advanced(transferred) => {
                // Events may overtake each other, and the bar never moves back.
                let latest = state.pulls.get(model);
                if latest.is_none_or(|latest| latest.bytes_network <= transferred.bytes_network) {
                    state.pulls.insert(model.clone(), transferred.clone());
                }
                drawing.draw(&mut state);
            }
            ProgressEvent::Retrying { wait, reason, .. } => {
                if *wait >= LONG_WAIT {
                    let (wait, reason) = (duration(*wait), safe(reason));
                    let console = &drawing.console;
                    console.note(format!("Trying again in {wait}: {reason}"));
                }
            }
            ProgressEvent::Finished(transferred) => {
                state.pulls.insert(model.clone(), transferred.clone());
                state.ended.insert(model.clone());
                if state.ended.len() == state.pulls.len() {
                    drawing.console.draw_progress(Vec::new());
                }
            }
        }
    }
}

#[cfg(feature = "author")]
impl HashProgress for Meter {
    fn on_hashed(&self, counts: HashCounts) {
        let drawing = &self.0;
        if !drawing.enabled || !drawing.console.err_is_terminal {
            return;
        }
        if let Some(mut state) = drawing.state.try_lock()
            && !state.is_early()
        {
            let (done, total) = (counts.files_done, counts.files_total);
            let bytes = size(counts.bytes_done);
            drawing.draw_line(&mut state, |_| {
                format!("Hashing {done}/{total} files, {bytes}")
            });
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.state.lock().done = true;
        self.0.console.draw_progress(Vec::new());
        self.0.ended.notify_all();
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("enabled", &self.0.enabled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_that_several_pulls_wait_for_counts_once() {
        let mut waiting = TransferState::new(Phase::Manifest);
        (waiting.total_bytes, waiting.bytes_in_flight) = (4000, 1000);
        let mut fetching = waiting.clone();
        fetching.bytes_network = 1000;
        let models = ["a", "b"].map(|name| ModelRef::new("g", name, "v").unwrap());
        let state = State {
            pulls: models.into_iter().zip([fetching, waiting]).collect(),
            ..State::new()
        };
        let sum = state.sum().unwrap();
        assert_eq!(
            plain(&sum, Duration::from_secs(1)),
            "25% of 4.0 KB (1.0 KB/s, elapsed: 1s, remaining: 3s)"
        );
    }

    /// Returns what is drawn of hashing that has been under way for a while.
    #[cfg(feature = "author")]
    fn drawn_of_hashing(terminal: Option<usize>, enabled: bool) -> String {
        let (console, out, err) = Console::captured();
        let console = match terminal {
            Some(width) => console.terminal(width, std::io::empty()),
            None => console,
        };
        let hashed = |files_done| HashCounts {
            files_total: 1000,
            files_done,
            bytes_done: 5_200_000,
        };
        let meter = Meter::new(console, enabled);
        meter.on_hashed(hashed(1));
        assert_eq!(err.text(), "", "nothing is drawn at once");
        meter.0.state.lock().started = Instant::now().checked_sub(QUIET_START).unwrap();
        meter.on_hashed(hashed(20));
        // Too soon for another.
        meter.on_hashed(hashed(21));
        drop(meter);
        assert_eq!(out.text(), "");
        err.text()
    }

    #[cfg(feature = "author")]
    #[test]
    fn hashing_is_drawn_on_a_terminal_and_goes() {
        let line = "Hashing 20/1000 files, 5.2 MB";
        let gone = " ".repeat(line.len());
        assert_eq!(
            drawn_of_hashing(Some(80), true),
            format!("\r{line}\r{gone}\r")
        );
        assert_eq!(drawn_of_hashing(Some(80), false), "");
        assert_eq!(drawn_of_hashing(None, true), "");
        let narrow = &line[..19];
        let gone = " ".repeat(narrow.len());
        assert_eq!(
            drawn_of_hashing(Some(20), true),
            format!("\r{narrow}\r{gone}\r")
        );
    }
}
