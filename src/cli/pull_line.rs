//! What the line of a pull says.

use std::time::{Duration, Instant};

use super::bar::{Part, bytes_of, fitting, share};
use super::render::{Room, count, countdown, duration, safe, size};
use crate::ProgressEvent;
use crate::progress::{Phase, Retry, TransferState};

/// A pull whose line says nothing new for so long is waiting for bytes.
const STALLED: Duration = Duration::from_secs(5);
/// The shortest time from which a speed is told.
const MEASURABLE: Duration = Duration::from_millis(100);

/// A pull that has begun.
#[derive(Debug)]
pub(super) struct PullLine {
    state: TransferState,
    waiting: Option<Wait>,
    pub(super) has_ended: bool,
    started: Instant,
    /// When bytes came last.
    moved: Instant,
}

/// What a pull waits for.
#[derive(Debug)]
enum Wait {
    /// Fewer pulls of others.
    Turn,
    /// The next attempt of a request.
    Retry(NextAttempt),
}

/// The next attempt of a request: until when it waits, which of how many retries it is, and why.
#[derive(Debug)]
pub(super) struct NextAttempt {
    until: Instant,
    retry: u32,
    retries: u32,
    reason: String,
}

impl NextAttempt {
    pub(super) fn new(failed: &Retry<'_>, now: Instant) -> Self {
        Self {
            until: now + failed.wait,
            retry: failed.attempt.saturating_sub(1),
            retries: failed.attempts.saturating_sub(1),
            reason: safe(failed.reason),
        }
    }

    pub(super) fn part(&self, now: Instant) -> Part {
        let when = match self.until.saturating_duration_since(now) {
            Duration::ZERO => String::new(),
            left => format!(" in {}", countdown(left)),
        };
        Part {
            text: format!("retrying{when}: {}", self.reason),
            end: format!(" ({} of {})", self.retry, self.retries),
        }
    }
}

impl PullLine {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: TransferState::default(),
            waiting: None,
            has_ended: false,
            started: now,
            moved: now,
        }
    }

    pub(super) fn on_event(&mut self, event: &ProgressEvent, now: Instant) {
        match event {
            ProgressEvent::Pending => self.waiting = Some(Wait::Turn),
            ProgressEvent::Phase(state) => {
                self.waiting = None;
                self.state.clone_from(state);
            }
            ProgressEvent::Advanced(state) => self.advance(state, now),
            ProgressEvent::Retrying {
                attempt,
                attempts,
                wait,
                reason,
            } => {
                let failed = Retry::new(*attempt, *attempts, *wait, reason);
                self.waiting = Some(Wait::Retry(NextAttempt::new(&failed, now)));
            }
            ProgressEvent::Finished(state) => {
                self.state.clone_from(state);
                self.has_ended = true;
            }
            ProgressEvent::Failed => self.has_ended = true,
            ProgressEvent::Waiting { .. } => {}
        }
    }

    /// Takes a later state into account. Events may overtake each other, and the bar never moves back.
    fn advance(&mut self, state: &TransferState, now: Instant) {
        if self.state.bytes_network > state.bytes_network {
            return;
        }
        if here(&self.state) != here(state) || self.state.files_done != state.files_done {
            self.moved = now;
            self.waiting = None;
        }
        self.state.clone_from(state);
    }

    /// Returns whether there is anything to show but a name.
    pub(super) fn has_begun(&self) -> bool {
        let state = &self.state;
        state.phase != Phase::Manifest || state.files_total > 0 || state.bytes_in_flight > 0
    }

    /// `big/m64 v1 [====>    ] 34%  22.8 / 67.1 MB  7.9 MB/s  5s left`, as wide as the terminal allows.
    pub(super) fn format(&self, name: &str, now: Instant, room: Room) -> String {
        let state = &self.state;
        if !self.has_begun() {
            let what = match self.waiting {
                Some(Wait::Turn) => "waiting for its turn",
                _ => "looking up",
            };
            let part = self.wait(now).unwrap_or_else(|| Part::whole(what));
            return fitting(name, None, &[part], room);
        }
        let after = match state.phase {
            Phase::Unpacking => Some("unpacking"),
            Phase::Extracting => Some("installing"),
            Phase::Manifest | Phase::Chunks => None,
        };
        if let Some(after) = after {
            return fitting(name, None, &[Part::whole(after)], room);
        }
        let mut parts = vec![Part::whole(done_of_total(state))];
        match self.wait(now) {
            Some(wait) => parts.push(wait),
            None => {
                let speed = speed(state, now.duration_since(self.started));
                parts.extend(speed.map(Part::whole));
                let left = state
                    .remaining
                    .map(|left| format!("{} left", duration(left)));
                parts.extend(left.map(Part::whole));
            }
        }
        fitting(name, Some(self.percent()), &parts, room)
    }

    /// Describes what the pull waits for, if it does.
    fn wait(&self, now: Instant) -> Option<Part> {
        match &self.waiting {
            Some(Wait::Retry(next)) => Some(next.part(now)),
            Some(Wait::Turn) => None,
            None => {
                let silent = now.duration_since(self.moved);
                let text = || format!("no byte for {}", duration(silent));
                (silent >= STALLED).then(|| Part::whole(text()))
            }
        }
    }

    /// `45% of 858.0 MB (5.2 MB/s, elapsed: 30s, remaining: 2m 15s)`
    pub(super) fn plain(&self, now: Instant) -> String {
        let (state, elapsed) = (&self.state, now.duration_since(self.started));
        let speed = speed(state, elapsed);
        let left = state.remaining;
        let left = left.map(|left| format!(", remaining: {}", duration(left)));
        let total = match state.total_bytes {
            _ if counts_files(state) => count(state.files_total, "file"),
            // Servers do not always state the size of an archive.
            0 if is_archive(state) => "?".to_owned(),
            bytes => size(bytes),
        };
        let speed = speed.map(|speed| format!("{speed}, ")).unwrap_or_default();
        format!(
            "{}% of {total} ({speed}elapsed: {}{})",
            self.percent(),
            duration(elapsed),
            left.unwrap_or_default()
        )
    }

    /// Returns how much is done: of the bytes, or of the files while the number of bytes is unknown.
    pub(super) fn percent(&self) -> u64 {
        let state = &self.state;
        match counts_files(state) {
            true => share(state.files_done, state.files_total),
            false => share(here(state), state.total_bytes),
        }
    }
}

/// The sum of several pulls: `12 models done, 4 under way  22.8 MB  7.9 MB/s`.
pub(super) fn sum(pulls: &[&PullLine], now: Instant, room: Room) -> String {
    let ended = pulls.iter().filter(|pull| pull.has_ended).count();
    let name = format!(
        "{} done, {} under way",
        count(ended, "model"),
        pulls.len() - ended
    );
    let bytes = pulls.iter().map(|pull| pull.state.bytes_network).sum();
    let started = pulls.iter().map(|pull| pull.started).min().unwrap_or(now);
    let speed = per_second(bytes, now.duration_since(started));
    let speed = speed.map(|speed| format!("{}/s", size(speed)));
    let parts: Vec<Part> = [Some(size(bytes)), speed]
        .into_iter()
        .flatten()
        .map(Part::whole)
        .collect();
    fitting(&name, None, &parts, room)
}

/// Returns whether a pull waits for an archive that is downloaded as a whole.
fn is_archive(state: &TransferState) -> bool {
    state.phase == Phase::Manifest && state.files_total == 0
}

/// Returns whether files are counted, since their sizes are not known yet.
fn counts_files(state: &TransferState) -> bool {
    state.phase == Phase::Manifest && state.files_total > 0
}

fn here(state: &TransferState) -> u64 {
    state.bytes_done + state.bytes_in_flight
}

fn done_of_total(state: &TransferState) -> String {
    match state.total_bytes {
        _ if counts_files(state) => format!("{} / {} files", state.files_done, state.files_total),
        0 => size(here(state)),
        total => bytes_of(here(state), total),
    }
}

/// Returns the speed over the network; `None` as well where nothing came over it.
fn speed(state: &TransferState, elapsed: Duration) -> Option<String> {
    let speed = per_second(state.bytes_network, elapsed).filter(|_| state.bytes_network > 0);
    speed.map(|speed| format!("{}/s", size(speed)))
}

/// Returns the bytes a second; `None` if the time is too short to tell, or the clock stands still.
fn per_second(bytes: u64, elapsed: Duration) -> Option<u64> {
    let millis = elapsed.as_millis();
    let speed = (elapsed >= MEASURABLE).then(|| u128::from(bytes) * 1000 / millis)?;
    Some(u64::try_from(speed).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    fn state(total: u64, done: u64, network: u64) -> TransferState {
        let mut state = TransferState::new(Phase::Chunks);
        (state.total_bytes, state.bytes_done, state.bytes_network) = (total, done, network);
        state
    }

    fn with_remaining(seconds: u64, state: TransferState) -> TransferState {
        TransferState {
            remaining: Some(Duration::from_secs(seconds)),
            ..state
        }
    }

    fn room(columns: usize) -> Room {
        Room::new(columns, true)
    }

    /// The pull, and when it has gone on for some seconds.
    fn after(seconds: u64, state: &TransferState) -> (PullLine, Instant) {
        let start = Instant::now();
        let now = start + Duration::from_secs(seconds);
        let mut pull = PullLine::new(start);
        pull.advance(state, now);
        (pull, now)
    }

    #[test]
    fn a_bar_says_what_comes_how_much_of_it_how_fast_and_how_long() {
        let (pull, now) = after(
            3,
            &with_remaining(5, state(67_100_000, 22_800_000, 22_800_000)),
        );
        for (columns, expected) in [
            (
                99,
                "big/m64 v1 [=========>                    ]  33%  22.8 / 67.1 MB  7.6 MB/s  5s left",
            ),
            (
                79,
                "big/m64 v1 [========>                 ]  33%  22.8 / 67.1 MB  7.6 MB/s  5s left",
            ),
            (
                59,
                "big/m64 v1 [=>    ]  33%  22.8 / 67.1 MB  7.6 MB/s  5s left",
            ),
            (45, "big/m64 v1   33%  22.8 / 67.1 MB  7.6 MB/s"),
            (19, "big/m64…   33%"),
            (12, "big/m…   33%"),
        ] {
            assert_eq!(
                pull.format("big/m64 v1", now, room(columns)),
                expected,
                "{columns}"
            );
        }
        for columns in 1..120 {
            for name in ["", "日本語/日本語の長い名前 develop", "m"] {
                let line = pull.format(name, now, room(columns));
                assert!(line.width() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_bar_says_what_it_waits_for() {
        let (mut pull, now) = after(3, &state(1000, 500, 500));
        let later = now + Duration::from_secs(20);
        assert_eq!(
            pull.format("m", later, room(60)),
            "m [=========>        ]  50%  500 B / 1.0 KB  no byte for 20s"
        );
        let long = "connection refused (https://models.example.org/data/1234567890)";
        let failed = Retry::new(3, 4, Duration::from_secs(4), long);
        pull.waiting = Some(Wait::Retry(NextAttempt::new(&failed, now)));
        assert_eq!(
            pull.format("g/m v1", now, room(79)),
            "g/m v1   50%  500 B / 1.0 KB  retrying in 4s: connection refused (htt… (2 of 3)"
        );
        for (millis, expected) in [
            (1, "  retrying in 4s: "),
            (3001, "  retrying in 1s: "),
            (3999, "  retrying in 1s: "),
            (4000, "  retrying: "),
            (9000, "  retrying: "),
        ] {
            let line = pull.format("g/m v1", now + Duration::from_millis(millis), room(150));
            assert!(line.contains(expected), "{millis}: {line}");
        }
        assert_eq!(
            pull.format("g/m v1", now, room(150)),
            format!(
                "g/m v1 [===============>              ]  50%  500 B / 1.0 KB  retrying in 4s: {long} (2 of 3)"
            )
        );
        // Bytes end the wait.
        pull.advance(&state(1000, 600, 600), now);
        assert!(pull.format("m", now, room(80)).contains("/s"));
        pull.advance(&state(1000, 550, 550), now);
        assert!(
            pull.format("m", now, room(80)).contains(" 60%"),
            "the bar never moves back"
        );
        pull = PullLine::new(now);
        assert_eq!(pull.format("m", now, room(80)), "m  looking up");
        pull.waiting = Some(Wait::Turn);
        assert_eq!(pull.format("m", now, room(80)), "m  waiting for its turn");
    }

    #[test]
    fn files_count_while_their_sizes_are_not_known() {
        let mut learning = TransferState::new(Phase::Manifest);
        (learning.files_total, learning.files_done) = (200, 50);
        learning.bytes_network = 1000;
        let (pull, now) = after(1, &learning);
        assert_eq!(pull.plain(now), "25% of 200 files (1.0 KB/s, elapsed: 1s)");
        let line = pull.format("m", now, room(60));
        assert!(line.ends_with(" 25%  50 / 200 files  1.0 KB/s"), "{line}");
    }

    #[test]
    fn a_plain_line_says_the_same() {
        let (pull, now) = after(2, &with_remaining(2, state(1000, 500, 500)));
        assert_eq!(
            pull.plain(now),
            "50% of 1.0 KB (250 B/s, elapsed: 2s, remaining: 2s)"
        );
        let mut waiting = TransferState::new(Phase::Manifest);
        (
            waiting.total_bytes,
            waiting.bytes_in_flight,
            waiting.bytes_network,
        ) = (4000, 1000, 1000);
        let (pull, now) = after(1, &with_remaining(3, waiting));
        assert_eq!(
            pull.plain(now),
            "25% of 4.0 KB (1.0 KB/s, elapsed: 1s, remaining: 3s)"
        );
    }

    #[test]
    fn a_clock_that_stands_still_makes_no_speed() {
        let all = state(1000, 500, u64::MAX);
        let (pull, now) = after(0, &all);
        let line = pull.format("m", now, room(60));
        assert!(line.ends_with(" 50%  500 B / 1.0 KB"), "{line}");
        assert_eq!(pull.plain(now), "50% of 1.0 KB (elapsed: 0s)");
        assert_eq!(
            sum(&[&pull], now, room(60)),
            "0 models done, 1 under way  18.4 EB"
        );
        // Or back, which the system's own does not.
        let before = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        assert_eq!(pull.plain(before), "50% of 1.0 KB (elapsed: 0s)");
        let later = now + Duration::from_millis(100);
        assert!(
            pull.plain(later)
                .starts_with("50% of 1.0 KB (18.4 EB/s, elapsed: 0s")
        );
    }

    #[test]
    fn a_locale_that_is_not_utf_8_gets_ascii() {
        let (mut pull, now) = after(3, &state(1000, 500, 500));
        let long = "connection refused (https://models.example.org/data/1234567890)";
        let failed = Retry::new(2, 4, Duration::ZERO, long);
        pull.waiting = Some(Wait::Retry(NextAttempt::new(&failed, now)));
        for columns in 1..120 {
            let line = pull.format("weights/a-long-name v1", now, Room::new(columns, false));
            assert!(
                line.is_ascii() && line.len() <= columns,
                "{columns}: {line}"
            );
        }
        let line = pull.format("weights/a-long-name v1", now, Room::new(24, false));
        assert_eq!(line, "weights/a...   50%");
    }
}
