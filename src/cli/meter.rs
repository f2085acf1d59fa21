//! Draws progress: a bar on a terminal, and a plain line now and then elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::console::Console;
use super::render::{count, duration, safe, size};
use crate::mutex::{Condvar, Mutex};
use crate::progress::{Phase, TransferState};
#[cfg(feature = "author")]
use crate::project::{HashCounts, HashProgress};
use crate::{ModelRef, Progress, ProgressEvent};

/// Nothing is drawn earlier: work that is over by then needs no bar.
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
    drawn_columns: usize,
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
        let mut state = self.0.state.lock();
        state.pulls.clear();
        self.0.erase(&mut state);
    }
}

impl State {
    fn new() -> Self {
        Self {
            pulls: BTreeMap::new(),
            ended: BTreeSet::new(),
            started: Instant::now(),
            drawn_at: None,
            drawn_columns: 0,
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
            several => count(several as u64, "model"),
        }
    }

    /// Takes a pull in. If all others have ended, the bar starts anew.
    fn begin(&mut self, model: &ModelRef, transferred: &TransferState) {
        if self.ended.len() == self.pulls.len() {
            let drawn_columns = self.drawn_columns;
            *self = Self {
                drawn_columns,
                ..Self::new()
            };
        }
        self.pulls.insert(model.clone(), transferred.clone());
    }

    /// Returns whether it is too early for a drawing.
    fn is_early(&self) -> bool {
        let is_recent = |at: Instant| at.elapsed() < FRAME;
        self.started.elapsed() < QUIET_START || self.drawn_at.is_some_and(is_recent)
    }
}

impl Drawing {
    fn erase(&self, state: &mut State) {
        if state.drawn_columns > 0 {
            let blank = " ".repeat(state.drawn_columns);
            self.console.draw(&format!("\r{blank}\r"));
            state.drawn_columns = 0;
        }
    }

    /// Draws a line in place of the one before. It leaves the last column free, as some terminals wrap there.
    fn draw_line(&self, state: &mut State, line: impl FnOnce(usize) -> String) {
        let width = self.console.width() - 1;
        let line: String = line(width).chars().take(width).collect();
        let columns = line.chars().count();
        let padding = " ".repeat(state.drawn_columns.saturating_sub(columns));
        self.console.draw(&format!("\r{line}{padding}"));
        state.drawn_columns = columns;
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
        // A transfer must not wait for a terminal: another thread is drawing.
        let Some(mut state) = drawing.state.try_lock() else {
            return;
        };
        match event {
            ProgressEvent::Pending => {}
            ProgressEvent::Waiting { holder } => {
                let holder = holder.as_deref().unwrap_or("another process");
                drawing.erase(&mut state);
                drawing.console.note(format!(
                    "Waiting for {}, which is pulling {model}",
                    safe(holder)
                ));
            }
            ProgressEvent::Phase(transferred) if !state.pulls.contains_key(model) => {
                state.begin(model, transferred);
            }
            ProgressEvent::Phase(transferred) => {
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
                    drawing.erase(&mut state);
                    drawing
                        .console
                        .note(format!("Trying again in {wait}: {reason}"));
                }
            }
            ProgressEvent::Finished(transferred) => {
                state.pulls.insert(model.clone(), transferred.clone());
                state.ended.insert(model.clone());
                if state.ended.len() == state.pulls.len() {
                    drawing.erase(&mut state);
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
        let mut state = self.0.state.lock();
        state.done = true;
        self.0.erase(&mut state);
        drop(state);
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

/// Returns whether a pull waits for an archive that is downloaded as a whole.
fn is_archive(transferred: &TransferState) -> bool {
    transferred.phase == Phase::Manifest && transferred.files_total == 0
}

/// Returns how much is done: of the bytes, or of the files while the number of bytes is unknown.
fn percent(transferred: &TransferState) -> u64 {
    let (done, total) = if transferred.phase == Phase::Manifest && !is_archive(transferred) {
        (transferred.files_done, transferred.files_total)
    } else {
        let done = transferred.bytes_done + transferred.bytes_in_flight;
        (done, transferred.total_bytes)
    };
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    u64::try_from(percent).unwrap_or(100)
}

/// Returns the bytes a second over the network, and how long the rest takes at that speed.
fn speed(transferred: &TransferState, elapsed: Duration) -> (u64, Option<Duration>) {
    let left = transferred
        .total_bytes
        .checked_sub(transferred.bytes_done + transferred.bytes_in_flight)
        .filter(|_| transferred.phase != Phase::Manifest || transferred.total_bytes > 0);
    let millis = elapsed.as_millis().max(1);
    let speed =
        u64::try_from(u128::from(transferred.bytes_network) * 1000 / millis).unwrap_or(u64::MAX);
    let seconds = left.and_then(|left| left.checked_div(speed));
    (speed, seconds.map(Duration::from_secs))
}

/// `Downloading [======>     ] 45% (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)`, as wide as the terminal allows.
fn bar(transferred: &TransferState, elapsed: Duration, width: usize) -> String {
    let (speed, left) = speed(transferred, elapsed);
    let percent = percent(transferred);
    let verb = if transferred.phase == Phase::Extracting {
        "Installing"
    } else {
        "Downloading"
    };
    let left = left.map_or_else(|| "?".to_owned(), duration);
    let tail = format!(
        "{percent:>3}% ({}/s, elapsed: {}, remaining: {left})",
        size(speed),
        duration(elapsed)
    );
    let room = width.saturating_sub(verb.len() + tail.len() + 4).min(40);
    if room < 5 {
        return format!("{verb} {tail}");
    }
    let filled = usize::try_from(percent).unwrap_or(100) * room / 100;
    let mut cells = "=".repeat(filled);
    if filled < room {
        cells.push('>');
    }
    format!("{verb} [{cells:room$}] {tail}")
}

fn plain(transferred: &TransferState, elapsed: Duration) -> String {
    let (speed, left) = speed(transferred, elapsed);
    let left = left
        .map(|left| format!(", remaining: {}", duration(left)))
        .unwrap_or_default();
    let total = match (transferred.phase, transferred.total_bytes) {
        // Servers do not always state the size of an archive.
        (Phase::Manifest, 0) if is_archive(transferred) => "?".to_owned(),
        (Phase::Manifest, _) if !is_archive(transferred) => count(transferred.files_total, "file"),
        (_, bytes) => size(bytes),
    };
    format!(
        "{}% of {total} ({}/s, elapsed: {}{left})",
        percent(transferred),
        size(speed),
        duration(elapsed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transferred(total: u64, done: u64, network: u64) -> TransferState {
        let mut transferred = TransferState::new(Phase::Chunks);
        transferred.total_bytes = total;
        transferred.bytes_done = done;
        transferred.bytes_network = network;
        transferred
    }

    #[test]
    fn a_bar_says_share_speed_and_times() {
        let line = bar(
            &transferred(858_000_000, 156_000_000, 156_000_000),
            Duration::from_secs(30),
            120,
        );
        assert_eq!(
            line,
            "Downloading [=======>                                ]  18% (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)"
        );
        for width in [60, 79, 200] {
            let line = bar(&transferred(100, 50, 50), Duration::from_secs(1), width);
            assert!(line.len() <= width, "{line}");
        }
        assert!(bar(&transferred(0, 0, 0), Duration::from_secs(1), 80).contains("0%"));
        assert!(bar(&transferred(10, 10, 0), Duration::ZERO, 80).contains("100%"));
    }

    #[test]
    fn files_count_while_their_sizes_are_not_known() {
        let mut learning = TransferState::new(Phase::Manifest);
        (learning.files_total, learning.files_done) = (200, 50);
        learning.bytes_network = 1000;
        let (second, line) = (
            Duration::from_secs(1),
            bar(&learning, Duration::from_secs(1), 120),
        );
        assert!(
            line.ends_with("25% (1.0 KB/s, elapsed: 1s, remaining: ?)"),
            "{line}"
        );
        assert_eq!(
            plain(&learning, second),
            "25% of 200 files (1.0 KB/s, elapsed: 1s)"
        );
    }

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

    #[test]
    fn a_line_says_the_same() {
        assert_eq!(
            plain(&transferred(1000, 500, 500), Duration::from_secs(2)),
            "50% of 1.0 KB (250 B/s, elapsed: 2s, remaining: 2s)"
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
