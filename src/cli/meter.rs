//! Draws the progress of pulls: a bar on a terminal, a plain line now and then elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::console::Console;
use super::render::{count, duration, safe, size};
use crate::mutex::{Condvar, Mutex};
use crate::{ModelRef, Phase, Progress, ProgressEvent, Transferred};

/// Nothing is drawn before: what is over by then needs no bar.
const QUIET_START: Duration = Duration::from_millis(250);
/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(100);
/// How often the bar moves when no event comes.
const TICK: Duration = Duration::from_secs(1);
/// How often a line is printed where there is no terminal, at the least and by share.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
const PLAIN_PERCENT: u64 = 10;
/// A wait that the user should know of.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Receives the events of pulls, and draws what they are together; the bar goes when the value does.
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
    /// The pulls that have begun, each as it was last heard of; those that ended stay until all have.
    pulls: BTreeMap<ModelRef, Transferred>,
    ended: BTreeSet<ModelRef>,
    started: Instant,
    /// Bytes that were there before the first came over the network.
    drawn_at: Option<Instant>,
    drawn_columns: usize,
    printed_percent: u64,
    done: bool,
}

impl Meter {
    pub(super) fn new(console: Console, enabled: bool) -> Arc<Self> {
        let state = State::new();
        let drawing = Arc::new(Drawing {
            console,
            enabled,
            state: Mutex::new(state),
            ended: Condvar::default(),
        });
        if drawing.enabled && drawing.console.err_is_terminal {
            tick(&drawing);
        }
        Arc::new(Self(drawing))
    }

    /// Removes the bar, so that what is printed next begins on a clean line.
    pub(super) fn clear(&self) {
        let mut state = self.0.lock();
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

    /// All pulls together; `None` before one has something to show.
    fn together(&self) -> Option<Transferred> {
        let shown = |pull: &&Transferred| {
            pull.phase != Phase::Manifest || pull.files_total > 0 || pull.bytes_in_flight > 0
        };
        let mut pulls = self.pulls.values().filter(shown);
        let mut sum = pulls.next()?.clone();
        for pull in pulls {
            // Files count for those whose bytes are not known yet; bytes for all once they are for one.
            if pull.phase == Phase::Chunks {
                sum.phase = Phase::Chunks;
            }
            sum.files_total += pull.files_total;
            sum.files_done += pull.files_done;
            sum.bytes_done += pull.bytes_done;
            sum.bytes_network += pull.bytes_network;
            if is_archive(&sum) && is_archive(pull) {
                // All of them wait for the same one.
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

    /// A pull begins, or comes to know more of what it is to do.
    fn begin(&mut self, model: &ModelRef, transferred: &Transferred) {
        if self.ended.len() == self.pulls.len() {
            // None is under way: what comes is a pull of its own.
            self.pulls.clear();
            self.ended.clear();
            self.started = Instant::now();
            self.drawn_at = None;
            self.printed_percent = 0;
        }
        self.pulls.insert(model.clone(), transferred.clone());
    }
}

impl Drawing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn erase(&self, state: &mut State) {
        if state.drawn_columns > 0 {
            self.console
                .draw(&format!("\r{}\r", " ".repeat(state.drawn_columns)));
            state.drawn_columns = 0;
        }
    }

    fn draw(&self, state: &mut State) {
        let Some(latest) = state.together() else {
            return;
        };
        let elapsed = state.started.elapsed();
        if elapsed < QUIET_START || state.drawn_at.is_some_and(|at| at.elapsed() < FRAME) {
            return;
        }
        if self.console.err_is_terminal {
            // The last column stays free: some terminals wrap as soon as it is written.
            let line = bar(&latest, elapsed, self.console.width() - 1);
            let columns = line.chars().count();
            let padding = " ".repeat(state.drawn_columns.saturating_sub(columns));
            self.console.draw(&format!("\r{line}{padding}"));
            state.drawn_columns = columns;
        } else {
            let percent = percent(&latest);
            let due = percent >= state.printed_percent + PLAIN_PERCENT
                || state.drawn_at.is_none_or(|at| at.elapsed() > PLAIN_EVERY);
            if !due {
                return;
            }
            state.printed_percent = percent;
            self.console
                .note(format!("{}: {}", state.name(), plain(&latest, elapsed)));
        }
        state.drawn_at = Some(Instant::now());
    }
}

/// Moves the bar while no event comes, until the meter is dropped.
fn tick(drawing: &Arc<Drawing>) {
    let shared = drawing.clone();
    let ticker = move || {
        let mut state = shared.lock();
        while !state.done {
            state = shared.ended.wait_timeout(state, TICK);
            if !state.done {
                shared.draw(&mut state);
            }
        }
    };
    // Without the thread the bar moves with the events only.
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
        // Whoever transfers must not wait for a terminal: a drawing under way will do.
        let Some(mut state) = drawing.state.try_lock() else {
            return;
        };
        match event {
            ProgressEvent::Pending => {}
            ProgressEvent::Waiting { holder } => {
                let holder = holder.as_deref().unwrap_or("another process");
                drawing.erase(&mut state);
                drawing.console.note(format!(
                    "{model} is being pulled by {}, waiting for it",
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
                // Events may overtake each other; the bar never goes back for that.
                let newer = state
                    .pulls
                    .get(model)
                    .is_none_or(|latest| latest.bytes_network <= transferred.bytes_network);
                if newer {
                    state.pulls.insert(model.clone(), transferred.clone());
                }
                drawing.draw(&mut state);
            }
            ProgressEvent::Retrying { wait, reason, .. } => {
                if *wait >= LONG_WAIT {
                    drawing.erase(&mut state);
                    drawing
                        .console
                        .note(format!("waiting {}: {}", duration(*wait), safe(reason)));
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

impl Drop for Meter {
    fn drop(&mut self) {
        let mut state = self.0.lock();
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

/// Whether it waits for a zip that comes whole.
fn is_archive(transferred: &Transferred) -> bool {
    transferred.phase == Phase::Manifest && transferred.files_total == 0
}

/// The share that is there: of the bytes, or of the files while it is not known how many bytes they have.
fn percent(transferred: &Transferred) -> u64 {
    let (done, total) = if transferred.phase == Phase::Manifest && !is_archive(transferred) {
        (transferred.files_done, transferred.files_total)
    } else {
        let done = transferred.bytes_done + transferred.bytes_in_flight;
        (done, transferred.total_bytes)
    };
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    u64::try_from(percent).unwrap_or(100)
}

/// Bytes a second over the network, and the time that the rest takes at that speed.
fn speed(transferred: &Transferred, elapsed: Duration) -> (u64, Option<Duration>) {
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

/// `Downloading [======>     ] 45% (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)`, no wider than the terminal.
fn bar(transferred: &Transferred, elapsed: Duration, width: usize) -> String {
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
    let line = if room < 5 {
        format!("{verb} {tail}")
    } else {
        let filled = usize::try_from(percent).unwrap_or(100) * room / 100;
        let mut cells = "=".repeat(filled);
        if filled < room {
            cells.push('>');
        }
        format!("{verb} [{cells:room$}] {tail}")
    };
    line.chars().take(width).collect()
}

fn plain(transferred: &Transferred, elapsed: Duration) -> String {
    let (speed, left) = speed(transferred, elapsed);
    let left = left
        .map(|left| format!(", remaining: {}", duration(left)))
        .unwrap_or_default();
    let total = match (transferred.phase, transferred.total_bytes) {
        // How much a zip has is not always said.
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

    fn transferred(total: u64, done: u64, network: u64) -> Transferred {
        let mut transferred = Transferred::new(Phase::Chunks);
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
        for width in [20, 40, 60, 79, 200] {
            assert!(
                bar(&transferred(100, 50, 50), Duration::from_secs(1), width)
                    .chars()
                    .count()
                    <= width
            );
        }
        assert!(bar(&transferred(0, 0, 0), Duration::from_secs(1), 80).contains("0%"));
        assert!(bar(&transferred(10, 10, 0), Duration::ZERO, 80).contains("100%"));
    }

    #[test]
    fn files_count_while_their_sizes_are_not_known() {
        let mut learning = Transferred::new(Phase::Manifest);
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
        let mut waiting = Transferred::new(Phase::Manifest);
        (waiting.total_bytes, waiting.bytes_in_flight) = (4000, 1000);
        let mut fetching = waiting.clone();
        fetching.bytes_network = 1000;
        let models = ["a", "b"].map(|name| ModelRef::new("g", name, "v").unwrap());
        let state = State {
            pulls: models.into_iter().zip([fetching, waiting]).collect(),
            ..State::new()
        };
        let together = state.together().unwrap();
        assert_eq!(
            plain(&together, Duration::from_secs(1)),
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
}
