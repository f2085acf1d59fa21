//! What the lines of progress say.

use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use super::render::{count, countdown, cut, duration, size};
use crate::progress::{Phase, Step, Task, TransferState};

/// A pull whose line says nothing new for so long is waiting for bytes.
const STALLED: Duration = Duration::from_secs(5);
/// The most and the fewest cells of a bar; a text that is cut keeps twice the latter.
const CELLS: (usize, usize) = (30, 6);

/// A pull that has begun.
#[derive(Debug)]
pub(super) struct PullLine {
    pub(super) state: TransferState,
    pub(super) waiting: Option<Wait>,
    pub(super) has_ended: bool,
    started: Instant,
    /// When bytes came last.
    moved: Instant,
}

/// What a pull waits for.
#[derive(Debug)]
pub(super) enum Wait {
    /// Fewer pulls of others.
    Turn,
    /// The next attempt of a request: until when, which of how many retries, and why.
    Retry {
        until: Instant,
        retry: u32,
        retries: u32,
        reason: String,
    },
}

impl PullLine {
    pub(super) fn new(state: TransferState, now: Instant) -> Self {
        Self {
            state,
            waiting: None,
            has_ended: false,
            started: now,
            moved: now,
        }
    }

    /// Takes a later state into account. Events may overtake each other, and the bar never moves back.
    pub(super) fn advance(&mut self, state: &TransferState, now: Instant) {
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
    pub(super) fn format(&self, name: &str, now: Instant, columns: usize) -> String {
        let state = &self.state;
        if !self.has_begun() {
            let what = match self.waiting {
                Some(Wait::Turn) => "waiting for its turn",
                _ => "looking up",
            };
            let part = self.wait(now).unwrap_or_else(|| Part::whole(what));
            return fitting(name, None, &[part], columns);
        }
        if state.phase == Phase::Extracting {
            return fitting(name, None, &[Part::whole("installing")], columns);
        }
        let mut parts = vec![Part::whole(done_of_total(state))];
        match self.wait(now) {
            Some(wait) => parts.push(wait),
            None => {
                let (speed, left) = speed(state, now.duration_since(self.started));
                parts.push(Part::whole(format!("{}/s", size(speed))));
                let left = left.map(|left| format!("{} left", duration(left)));
                parts.extend(left.map(Part::whole));
            }
        }
        fitting(name, Some(percent(state)), &parts, columns)
    }

    /// Describes what the pull waits for, if it does.
    fn wait(&self, now: Instant) -> Option<Part> {
        match &self.waiting {
            Some(Wait::Retry {
                until,
                retry,
                retries,
                reason,
            }) => {
                let when = match until.saturating_duration_since(now) {
                    Duration::ZERO => String::new(),
                    left => format!(" in {}", countdown(left)),
                };
                Some(Part {
                    text: format!("retrying{when}: {reason}"),
                    end: format!(" ({retry} of {retries})"),
                })
            }
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
        let (speed, left) = speed(state, elapsed);
        let left = left.map(|left| format!(", remaining: {}", duration(left)));
        let total = match state.total_bytes {
            _ if counts_files(state) => count(state.files_total, "file"),
            // Servers do not always state the size of an archive.
            0 if is_archive(state) => "?".to_owned(),
            bytes => size(bytes),
        };
        format!(
            "{}% of {total} ({}/s, elapsed: {}{})",
            percent(state),
            size(speed),
            duration(elapsed),
            left.unwrap_or_default()
        )
    }
}

/// The sum of several pulls: `12 models done, 4 under way  22.8 MB  7.9 MB/s`.
pub(super) fn sum(pulls: &[&PullLine], now: Instant, columns: usize) -> String {
    let ended = pulls.iter().filter(|pull| pull.has_ended).count();
    let name = format!(
        "{} done, {} under way",
        count(ended, "model"),
        pulls.len() - ended
    );
    let bytes = pulls.iter().map(|pull| pull.state.bytes_network).sum();
    let started = pulls.iter().map(|pull| pull.started).min().unwrap_or(now);
    let speed = per_second(bytes, now.duration_since(started));
    let parts = [size(bytes), format!("{}/s", size(speed))].map(Part::whole);
    fitting(&name, None, &parts, columns)
}

/// `Verifying 3 of 247, 2.1 / 4.0 GB: g/m v1`, `Downloading all.zip, 45.0 / 120.0 MB`, `Syncing 1 of 3: mf6/test@develop 41%`
pub(super) fn step(step: &Step<'_>) -> String {
    let mut task = step.task.as_str().to_owned();
    task[..1].make_ascii_uppercase();
    let (done, total, is_of_subject) = (step.done, step.total, is_of_subject(step));
    let bytes = match (step.bytes_done, step.total_bytes) {
        (0, 0) => String::new(),
        (here, all) if all > 0 && is_of_subject => format!(" {}%", share(here, all)),
        (here, 0) => format!(", {}", size(here)),
        (here, all) => format!(", {}", bytes_of(here, all)),
    };
    match (step.subject, total) {
        (Some(only), 1) => format!("{task} {only}{bytes}"),
        (Some(one), _) if is_of_subject => format!("{task} {done} of {total}: {one}{bytes}"),
        (Some(one), _) => format!("{task} {done} of {total}{bytes}: {one}"),
        (None, _) => format!("{task} {done} of {total}{bytes}"),
    }
}

/// Returns whether the bytes of a step are those of its subject alone.
fn is_of_subject(step: &Step<'_>) -> bool {
    step.task == Task::Syncing
}

/// Returns how much of a step is done: of the bytes, or of the things where bytes are not counted.
pub(super) fn percent_of(step: &Step<'_>) -> u64 {
    match step.total_bytes {
        total if total > 0 && !is_of_subject(step) => share(step.bytes_done, total),
        _ => share(step.done, step.total),
    }
}

/// A part of a line: a text that may be cut if it has an end, which then stays.
struct Part {
    text: String,
    end: String,
}

impl Part {
    /// A part that is whole or left out.
    fn whole(text: impl Into<String>) -> Self {
        let (text, end) = (text.into(), String::new());
        Self { text, end }
    }

    fn width(&self) -> usize {
        self.text.width() + self.end.width()
    }

    /// Returns as much as fits, if that says something.
    fn fit(&self, columns: usize) -> Option<String> {
        if self.width() <= columns {
            return Some(format!("{}{}", self.text, self.end));
        }
        let left = columns.checked_sub(self.end.width())?;
        let says_something = !self.end.is_empty() && left >= 2 * CELLS.1;
        says_something.then(|| format!("{}{}", cut(&self.text, left), self.end))
    }
}

/// Puts as much behind a name as fits: a bar, if the share that is done is known, and the first of some parts.
fn fitting(name: &str, percent: Option<u64>, parts: &[Part], columns: usize) -> String {
    let share = percent.map(|percent| Part::whole(format!("{percent:>3}%")));
    let parts: Vec<&Part> = share.iter().chain(parts).collect();
    let all: usize = parts.iter().map(|part| part.width() + 2).sum();
    // The name keeps half of a narrow terminal.
    let name = cut(name, columns.saturating_sub(all).max(columns / 2));
    let room = columns.saturating_sub(name.width());
    let mut tail = String::new();
    for part in parts {
        let Some(part) = part.fit(room.saturating_sub(tail.width() + 2)) else {
            break;
        };
        tail += &format!("  {part}");
    }
    let cells = room.saturating_sub(tail.width() + 2).min(CELLS.0);
    match percent {
        Some(percent) if cells >= CELLS.1 => {
            let filled = usize::try_from(percent).unwrap_or(100) * cells / 100;
            let tip = if filled < cells { ">" } else { "" };
            let bar = "=".repeat(filled) + tip;
            // One space is enough in front of the share.
            format!("{name} [{bar:cells$}]{}", &tail[1..])
        }
        _ => format!("{name}{tail}"),
    }
}

/// Returns whether a pull waits for an archive that is downloaded as a whole.
fn is_archive(state: &TransferState) -> bool {
    state.phase == Phase::Manifest && state.files_total == 0
}

/// Returns whether files are counted, since their sizes are not known yet.
fn counts_files(state: &TransferState) -> bool {
    state.phase == Phase::Manifest && state.files_total > 0
}

/// Returns how much is done: of the bytes, or of the files while the number of bytes is unknown.
pub(super) fn percent(state: &TransferState) -> u64 {
    match counts_files(state) {
        true => share(state.files_done, state.files_total),
        false => share(here(state), state.total_bytes),
    }
}

fn share(done: u64, total: u64) -> u64 {
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    u64::try_from(percent).unwrap_or(100)
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

/// Shows a part of some bytes, with one unit where it is the same: `22.8 / 67.1 MB`.
fn bytes_of(part: u64, total: u64) -> String {
    let (part, total) = (size(part.min(total)), size(total));
    match (part.split_once(' '), total.split_once(' ')) {
        (Some((number, unit)), Some((_, of))) if unit == of => format!("{number} / {total}"),
        _ => format!("{part} / {total}"),
    }
}

/// Returns the bytes a second over the network, and how long the rest takes at that speed.
fn speed(state: &TransferState, elapsed: Duration) -> (u64, Option<Duration>) {
    let left = state
        .total_bytes
        .checked_sub(here(state))
        .filter(|_| state.phase != Phase::Manifest || state.total_bytes > 0);
    let speed = per_second(state.bytes_network, elapsed);
    let seconds = left.and_then(|left| left.checked_div(speed));
    (speed, seconds.map(Duration::from_secs))
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(total: u64, done: u64, network: u64) -> TransferState {
        let mut state = TransferState::new(Phase::Chunks);
        (state.total_bytes, state.bytes_done, state.bytes_network) = (total, done, network);
        state
    }

    /// The pull, and when it has gone on for some seconds.
    fn after(seconds: u64, state: &TransferState) -> (PullLine, Instant) {
        let start = Instant::now();
        let now = start + Duration::from_secs(seconds);
        let mut pull = PullLine::new(TransferState::new(state.phase), start);
        pull.advance(state, now);
        (pull, now)
    }

    #[test]
    fn a_bar_says_what_comes_how_much_of_it_how_fast_and_how_long() {
        let (pull, now) = after(3, &state(67_100_000, 22_800_000, 22_800_000));
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
                pull.format("big/m64 v1", now, columns),
                expected,
                "{columns}"
            );
        }
        for columns in 1..120 {
            for name in ["", "日本語/日本語の長い名前 develop", "m"] {
                let line = pull.format(name, now, columns);
                assert!(line.width() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_bar_says_what_it_waits_for() {
        let (mut pull, now) = after(3, &state(1000, 500, 500));
        let later = now + Duration::from_secs(20);
        assert_eq!(
            pull.format("m", later, 60),
            "m [=========>        ]  50%  500 B / 1.0 KB  no byte for 20s"
        );
        let long = "connection refused (https://models.example.org/data/1234567890)";
        pull.waiting = Some(Wait::Retry {
            until: now + Duration::from_secs(4),
            retry: 2,
            retries: 3,
            reason: long.to_owned(),
        });
        assert_eq!(
            pull.format("g/m v1", now, 79),
            "g/m v1   50%  500 B / 1.0 KB  retrying in 4s: connection refused (htt… (2 of 3)"
        );
        for (millis, expected) in [
            (1, "  retrying in 4s: "),
            (3001, "  retrying in 1s: "),
            (3999, "  retrying in 1s: "),
            (4000, "  retrying: "),
            (9000, "  retrying: "),
        ] {
            let line = pull.format("g/m v1", now + Duration::from_millis(millis), 150);
            assert!(line.contains(expected), "{millis}: {line}");
        }
        assert_eq!(
            pull.format("g/m v1", now, 150),
            format!(
                "g/m v1 [===============>              ]  50%  500 B / 1.0 KB  retrying in 4s: {long} (2 of 3)"
            )
        );
        // Bytes end the wait.
        pull.advance(&state(1000, 600, 600), now);
        assert!(pull.format("m", now, 80).contains("/s"));
        pull.advance(&state(1000, 550, 550), now);
        assert!(
            pull.format("m", now, 80).contains(" 60%"),
            "the bar never moves back"
        );
        pull = PullLine::new(TransferState::default(), now);
        assert_eq!(pull.format("m", now, 80), "m  looking up");
        pull.waiting = Some(Wait::Turn);
        assert_eq!(pull.format("m", now, 80), "m  waiting for its turn");
    }

    #[test]
    fn files_count_while_their_sizes_are_not_known() {
        let mut learning = TransferState::new(Phase::Manifest);
        (learning.files_total, learning.files_done) = (200, 50);
        learning.bytes_network = 1000;
        let (pull, now) = after(1, &learning);
        assert_eq!(pull.plain(now), "25% of 200 files (1.0 KB/s, elapsed: 1s)");
        let line = pull.format("m", now, 60);
        assert!(line.ends_with(" 25%  50 / 200 files  1.0 KB/s"), "{line}");
    }

    #[test]
    fn a_plain_line_says_the_same() {
        let (pull, now) = after(2, &state(1000, 500, 500));
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
        let (pull, now) = after(1, &waiting);
        assert_eq!(
            pull.plain(now),
            "25% of 4.0 KB (1.0 KB/s, elapsed: 1s, remaining: 3s)"
        );
    }

    #[test]
    fn steps_count_things_and_bytes() {
        let mut verifying = Step::new(Task::Verifying, 3).at("g/m v1", 1);
        assert_eq!(step(&verifying), "Verifying 1 of 3: g/m v1");
        assert_eq!(percent_of(&verifying), 33);
        (verifying.bytes_done, verifying.total_bytes) = (2_100_000_000, 4_000_000_000);
        assert_eq!(step(&verifying), "Verifying 1 of 3, 2.1 / 4.0 GB: g/m v1");
        assert_eq!(percent_of(&verifying), 52);
        assert_eq!(step(&Step::new(Task::Verifying, 0)), "Verifying 0 of 0");
        let mut hashing = Step::new(Task::Hashing, 1000);
        (hashing.done, hashing.bytes_done) = (20, 5_200_000);
        assert_eq!(step(&hashing), "Hashing 20 of 1000, 5.2 MB");
        let mut archive = Step::new(Task::Downloading, 1).at("all.zip", 0);
        assert_eq!(step(&archive), "Downloading all.zip");
        (archive.bytes_done, archive.total_bytes) = (5_200_000, 10_400_000);
        assert_eq!(step(&archive), "Downloading all.zip, 5.2 / 10.4 MB");
    }

    #[test]
    fn a_sync_counts_registries_and_the_bytes_of_one() {
        let mut syncing = Step::new(Task::Syncing, 3).at("mf6/test@develop", 1);
        assert_eq!(step(&syncing), "Syncing 1 of 3: mf6/test@develop");
        (syncing.bytes_done, syncing.total_bytes) = (410, 1000);
        assert_eq!(step(&syncing), "Syncing 1 of 3: mf6/test@develop 41%");
        assert_eq!(percent_of(&syncing), 33);
        syncing.total_bytes = 0;
        assert_eq!(step(&syncing), "Syncing 1 of 3: mf6/test@develop, 410 B");
    }
}
