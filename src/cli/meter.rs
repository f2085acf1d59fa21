//! Draws progress: lines that change on a terminal, and a plain line now and then elsewhere.

use std::fmt;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::activity::Activity;
use super::console::Console;
use crate::mutex::{Condvar, Mutex};
use crate::progress::Step;
use crate::{ModelRef, Progress, ProgressEvent};

/// How long nothing is drawn: work that is over by then needs no line.
const QUIET_START: Duration = Duration::from_millis(250);
/// How often lines are drawn.
const FRAME: Duration = Duration::from_millis(100);

/// What is drawn, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Nothing,
    /// Lines, one below the other.
    Plain,
    /// Lines that take the place of those before.
    Animated,
}

/// Receives the progress of operations, and draws it from a thread of its own, so that nothing that works waits for a
/// terminal. Dropping it removes the lines.
pub(super) struct Meter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the meter shares with the thread that draws.
struct Shared {
    console: Console,
    style: Style,
    /// `None` if nothing is drawn, and in the end.
    activity: Mutex<Option<Activity>>,
    ended: Condvar,
}

impl Meter {
    /// `work` says what is done until there is something else to say.
    pub(super) fn new(console: Console, style: Style, work: &str) -> Arc<Self> {
        let is_drawn = style != Style::Nothing;
        let activity = is_drawn.then(|| Activity::new(work, Instant::now()));
        let shared = Arc::new(Shared {
            console,
            style,
            activity: Mutex::new(activity),
            ended: Condvar::default(),
        });
        let start = || {
            let drawing = shared.clone();
            let thread = Builder::new().name("modelrack-meter".into());
            thread.spawn(move || drawing.draw_until_the_end())
        };
        // Without the thread, nothing is drawn.
        let thread = is_drawn.then(start).and_then(Result::ok);
        Arc::new(Self {
            shared,
            thread: Mutex::new(thread),
        })
    }

    /// Removes the lines for good, so that the next output begins on a clean line.
    pub(super) fn finish(&self) {
        self.shared.activity.lock().take();
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
            self.shared.console.draw_progress(Vec::new());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    /// Tells what happens, and prints the message that it is worth.
    fn tell(&self, event: impl FnOnce(&mut Activity, bool, Instant) -> Option<String>) {
        let mut activity = self.activity.lock();
        let is_animated = self.style == Style::Animated;
        let said = activity
            .as_mut()
            .and_then(|activity| event(activity, is_animated, Instant::now()));
        drop(activity);
        said.iter().for_each(|said| self.console.note(said));
    }

    fn draw_until_the_end(&self) {
        let mut wait = QUIET_START;
        let mut guard = self.activity.lock();
        while guard.is_some() {
            guard = self.ended.wait_timeout(guard, wait);
            let Some(activity) = guard.as_mut() else {
                return;
            };
            let now = Instant::now();
            if self.style == Style::Animated {
                let lines = activity.lines(now, self.console.status_room());
                drop(guard);
                self.console.draw_progress(lines);
            } else {
                let line = activity.plain(now);
                drop(guard);
                line.iter().for_each(|line| self.console.note(line));
            }
            guard = self.activity.lock();
            wait = FRAME;
        }
    }
}

impl Progress for Meter {
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
        self.shared
            .tell(|activity, is_animated, now| activity.on_event(model, event, is_animated, now));
    }

    fn on_step(&self, step: &Step<'_>) {
        self.shared
            .tell(|activity, is_animated, now| activity.on_step(step, is_animated, now));
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("style", &self.shared.style)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_and_gone_in_the_end_and_nobody_is_disturbed_who_wants_none() {
        for (style, is_drawn) in [(Style::Animated, true), (Style::Nothing, false)] {
            let (console, out, err) = Console::captured();
            let console = console.terminal(20, std::io::empty());
            let meter = Meter::new(console, style, "Looking up a model");
            while is_drawn && err.text().is_empty() {
                std::thread::yield_now();
            }
            meter.finish();
            let line = if is_drawn {
                "\rLooking up a model\r                  \r"
            } else {
                ""
            };
            assert_eq!((err.text().as_str(), out.text().as_str()), (line, ""));
        }
    }
}
