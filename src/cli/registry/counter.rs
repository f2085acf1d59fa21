//! Draws how many files are hashed, on a terminal.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::console::Console;
use crate::cli::render;
use crate::cli::session::Session;
use crate::mutex::Mutex;
use crate::project::{HashProgress, Hashed};

/// Nothing is drawn before: what is over by then needs no line.
const QUIET_START: Duration = Duration::from_millis(250);
/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// Draws the line; it goes when the value does.
pub(super) struct Counter {
    console: Console,
    is_shown: bool,
    started: Instant,
    drawn: Mutex<Option<(Instant, usize)>>,
}

impl Counter {
    pub(super) fn new(session: &Session) -> Arc<Self> {
        let output = &session.output;
        let is_quiet = output.json || output.quiet || output.verbose;
        Arc::new(Self::of(session.console.clone(), !is_quiet))
    }

    fn of(console: Console, is_wanted: bool) -> Self {
        Self {
            is_shown: is_wanted && console.err_is_terminal,
            console,
            started: Instant::now(),
            drawn: Mutex::default(),
        }
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

impl HashProgress for Counter {
    fn on_hashed(&self, hashed: Hashed) {
        if !self.is_shown || self.started.elapsed() < QUIET_START {
            return;
        }
        // Whoever draws just now draws for all.
        let Some(mut drawn) = self.drawn.try_lock() else {
            return;
        };
        if drawn.is_some_and(|(at, _)| at.elapsed() < FRAME) {
            return;
        }
        let line = format!(
            "Hashing {}/{} files, {}",
            hashed.files_done,
            hashed.files_total,
            render::size(hashed.bytes_done)
        );
        // The last column stays free: some terminals wrap as soon as it is written.
        let line: String = line.chars().take(self.console.width() - 1).collect();
        let width = drawn.map_or(0, |(_, width)| width);
        let padding = " ".repeat(width.saturating_sub(line.len()));
        self.console.draw(&format!("\r{line}{padding}"));
        *drawn = Some((Instant::now(), line.len()));
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some((_, width)) = *self.drawn.lock() {
            self.console.draw(&format!("\r{}\r", " ".repeat(width)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(done: u64) -> Hashed {
        Hashed {
            files_total: 1000,
            files_done: done,
            bytes_done: 5_200_000,
        }
    }

    /// What is drawn of hashing that has been under way for a while.
    fn drawn(terminal: Option<usize>, is_wanted: bool) -> String {
        let (console, out, err) = Console::captured();
        let console = match terminal {
            Some(width) => console.terminal(width, std::io::empty()),
            None => console,
        };
        let mut counter = Counter::of(console, is_wanted);
        counter.on_hashed(hashed(1));
        assert_eq!(err.text(), "", "nothing is drawn at once");
        counter.started = Instant::now().checked_sub(QUIET_START).unwrap();
        counter.on_hashed(hashed(20));
        // Too soon for another.
        counter.on_hashed(hashed(21));
        drop(counter);
        assert_eq!(out.text(), "");
        err.text()
    }

    #[test]
    fn hashing_is_drawn_on_a_terminal_and_goes() {
        let line = "Hashing 20/1000 files, 5.2 MB";
        let gone = " ".repeat(line.len());
        assert_eq!(drawn(Some(80), true), format!("\r{line}\r{gone}\r"));
        assert_eq!(drawn(Some(80), false), "");
        assert_eq!(drawn(None, true), "");
        let narrow = &line[..19];
        let gone = " ".repeat(narrow.len());
        assert_eq!(drawn(Some(20), true), format!("\r{narrow}\r{gone}\r"));
    }
}
