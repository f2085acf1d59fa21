//! Draws progress: lines that change on a terminal, and a plain line now and then elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::bar::{self, PullLine, Wait};
use super::console::Console;
use super::render::{countdown, cut, duration, safe};
use crate::mutex::{Condvar, Mutex};
use crate::progress::{Step, TransferState};
use crate::{ModelRef, Progress, ProgressEvent};

/// How long nothing is drawn: work that is over by then needs no line.
const QUIET_START: Duration = Duration::from_millis(250);
/// The same for work without a transfer where there is no terminal.
const PLAIN_START: Duration = Duration::from_secs(2);
/// How often lines are drawn.
const FRAME: Duration = Duration::from_millis(100);
/// Without a terminal, a line is printed this often, or whenever this much more is done, but not more often than this.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
const PLAIN_PERCENT: u64 = 10;
const PLAIN_PAUSE: Duration = Duration::from_secs(1);
/// The shortest wait that is announced where there is no terminal.
const LONG_WAIT: Duration = Duration::from_secs(5);
/// Work that takes longer says for how long it has gone on.
const LONG: Duration = Duration::from_secs(3);
/// How many pulls have a line of their own.
const MOST_LINES: usize = 8;

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
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    /// What is done while nothing is pulled, how much of it, and since when.
    work: String,
    work_percent: u64,
    work_since: Instant,
    /// The pulls that have begun. Those that ended stay until all have.
    pulls: BTreeMap<ModelRef, PullLine>,
    printed: Option<Printed>,
    has_ended: bool,
}

/// The plain line that was printed last.
#[derive(Debug)]
struct Printed {
    subject: String,
    percent: u64,
    at: Instant,
}

impl Meter {
    /// `work` says what is done until there is something else to say.
    pub(super) fn new(console: Console, style: Style, work: &str) -> Arc<Self> {
        let shared = Arc::new(Shared {
            console,
            style,
            state: Mutex::new(State::new(work, Instant::now())),
            ended: Condvar::default(),
        });
        let start = || {
            let drawing = shared.clone();
            let thread = Builder::new().name("modelrack-meter".into());
            thread.spawn(move || drawing.draw_until_the_end())
        };
        // Without the thread, nothing is drawn.
        let thread = (style != Style::Nothing).then(start).and_then(Result::ok);
        Arc::new(Self {
            shared,
            thread: Mutex::new(thread),
        })
    }

    /// Removes the lines for good, so that the next output begins on a clean line.
    pub(super) fn finish(&self) {
        self.shared.state.lock().has_ended = true;
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
    fn draw_until_the_end(&self) {
        let mut state = self.state.lock();
        let mut wait = QUIET_START;
        loop {
            state = self.ended.wait_timeout(state, wait);
            if state.has_ended {
                return;
            }
            let now = Instant::now();
            match self.style {
                Style::Animated => {
                    // It leaves the last column free, as some terminals wrap there.
                    let lines = state.lines(now, self.console.width() - 1);
                    drop(state);
                    self.console.draw_progress(lines);
                }
                Style::Plain => {
                    let line = state.plain(now);
                    drop(state);
                    line.iter().for_each(|line| self.console.note(line));
                }
                Style::Nothing => return,
            }
            state = self.state.lock();
            wait = FRAME;
        }
    }
}

impl State {
    fn new(work: &str, now: Instant) -> Self {
        Self {
            work: safe(work),
            work_percent: 0,
            work_since: now,
            pulls: BTreeMap::new(),
            printed: None,
            has_ended: false,
        }
    }

    fn set_work(&mut self, work: &str, percent: u64) {
        // Until something else is done.
        self.pulls.clear();
        self.work = safe(work);
        self.work_percent = percent;
    }

    /// Returns the line of a pull, which begins if there is none.
    fn pull(&mut self, model: &ModelRef, now: Instant) -> &mut PullLine {
        if !self.pulls.contains_key(model) && self.pulls.values().all(|pull| pull.has_ended) {
            self.pulls.clear();
            // What is printed next is about something else.
            self.printed
                .iter_mut()
                .for_each(|printed| printed.subject.clear());
        }
        let pull = self.pulls.entry(model.clone());
        pull.or_insert_with(|| PullLine::new(TransferState::default(), now))
    }

    fn running(&self) -> impl Iterator<Item = (&ModelRef, &PullLine)> {
        self.pulls.iter().filter(|(_, pull)| !pull.has_ended)
    }

    /// Returns the lines for a terminal: of each pull, and of their sum if there are several; else what is done.
    fn lines(&self, now: Instant, columns: usize) -> Vec<String> {
        let running = self.running().take(MOST_LINES);
        let line = |(model, pull): (&ModelRef, &PullLine)| {
            pull.format(&safe(&model.to_string()), now, columns)
        };
        let mut lines: Vec<String> = running.map(line).collect();
        if lines.is_empty() && !self.work.is_empty() {
            lines.push(cut(&self.work_for(now), columns).into_owned());
        }
        if self.pulls.len() > 1 && !lines.is_empty() {
            let pulls: Vec<&PullLine> = self.pulls.values().collect();
            lines.push(bar::sum(&pulls, now, columns));
        }
        lines
    }

    fn work_for(&self, now: Instant) -> String {
        let elapsed = now.duration_since(self.work_since);
        match elapsed >= LONG {
            true => format!("{} ({})", self.work, duration(elapsed)),
            false => self.work.clone(),
        }
    }

    /// Returns the line that is due where there is no terminal.
    fn plain(&mut self, now: Instant) -> Option<String> {
        let mut running = self.running().filter(|(_, pull)| pull.has_begun());
        let (subject, percent, text) = match (running.next(), running.count()) {
            (None, _) if now.duration_since(self.work_since) < PLAIN_START => return None,
            (None, _) => (String::new(), self.work_percent, self.work_for(now)),
            (Some((model, pull)), 0) => {
                let model = safe(&model.to_string());
                let text = format!("{model}: {}", pull.plain(now));
                (model, bar::percent(&pull.state), text)
            }
            (Some(_), _) => {
                let pulls: Vec<&PullLine> = self.pulls.values().collect();
                let ended = pulls.iter().filter(|pull| pull.has_ended).count();
                (ended.to_string(), 0, bar::sum(&pulls, now, usize::MAX))
            }
        };
        let is_due = self.printed.as_ref().is_none_or(|printed| {
            let pause = now.duration_since(printed.at);
            let is_more = printed.subject != subject || percent >= printed.percent + PLAIN_PERCENT;
            pause >= PLAIN_PAUSE && (is_more || pause >= PLAIN_EVERY)
        });
        if !is_due || text.is_empty() {
            return None;
        }
        let at = now;
        self.printed = Some(Printed {
            subject,
            percent,
            at,
        });
        Some(text)
    }
}

impl Progress for Meter {
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
        let Shared { console, style, .. } = &*self.shared;
        if *style == Style::Nothing {
            return;
        }
        let (mut state, now) = (self.shared.state.lock(), Instant::now());
        let pull = state.pull(model, now);
        match event {
            ProgressEvent::Pending => pull.waiting = Some(Wait::Turn),
            ProgressEvent::Waiting { holder } => {
                drop(state);
                let holder = safe(holder.as_deref().unwrap_or("another process"));
                console.note(format!("Waiting for {holder}, which is pulling {model}"));
            }
            ProgressEvent::Phase(transferred) => {
                pull.waiting = None;
                pull.state.clone_from(transferred);
            }
            ProgressEvent::Advanced(transferred) => pull.advance(transferred, now),
            ProgressEvent::Retrying {
                attempt,
                attempts,
                wait,
                reason,
            } => {
                let reason = safe(reason);
                if *style == Style::Animated {
                    pull.waiting = Some(Wait::Retry {
                        until: now + *wait,
                        retry: attempt.saturating_sub(1),
                        retries: attempts.saturating_sub(1),
                        reason,
                    });
                } else if *wait >= LONG_WAIT {
                    drop(state);
                    console.note(format!("Trying again in {}: {reason}", countdown(*wait)));
                }
            }
            ProgressEvent::Finished(transferred) => {
                pull.state.clone_from(transferred);
                pull.has_ended = true;
            }
            ProgressEvent::Failed => pull.has_ended = true,
        }
    }

    fn on_step(&self, step: &Step<'_>) {
        if self.shared.style != Style::Nothing {
            let mut state = self.shared.state.lock();
            state.set_work(&bar::step(step), bar::percent_of(step));
        }
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
    use crate::progress::{Phase, Task};

    fn model(name: &str) -> ModelRef {
        ModelRef::new("g", name, "v").unwrap()
    }

    fn meter(style: Style, work: &str) -> Arc<Meter> {
        // No thread draws: the tests ask for the lines.
        let meter = Meter::new(Console::captured().0, Style::Nothing, work);
        let mut meter = Arc::into_inner(meter).unwrap();
        Arc::get_mut(&mut meter.shared).unwrap().style = style;
        Arc::new(meter)
    }

    fn chunks(total: u64, done: u64) -> TransferState {
        let mut state = TransferState::new(Phase::Chunks);
        (state.files_total, state.total_bytes) = (1, total);
        (state.bytes_done, state.bytes_network) = (done, done);
        state
    }

    impl Meter {
        fn lines_after(&self, seconds: u64) -> Vec<String> {
            let state = self.shared.state.lock();
            state.lines(state.work_since + Duration::from_secs(seconds), 60)
        }

        fn plain_after(&self, millis: u64) -> Option<String> {
            let mut state = self.shared.state.lock();
            let now = state.work_since + Duration::from_millis(millis);
            state.plain(now)
        }
    }

    #[test]
    fn work_has_a_line_until_something_is_pulled_and_after_it() {
        let meter = meter(Style::Animated, "Looking up g/a\u{7}");
        assert_eq!(meter.lines_after(1), ["Looking up g/a\\u{7}"]);
        assert_eq!(meter.lines_after(4), ["Looking up g/a\\u{7} (4s)"]);
        meter.on_event(&model("a"), &ProgressEvent::Phase(TransferState::default()));
        assert_eq!(meter.lines_after(0), ["g/a v  looking up"]);
        meter.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 500)));
        let lines = meter.lines_after(1);
        assert!(
            lines.len() == 1 && lines[0].starts_with("g/a v [==") && lines[0].contains(" 50%"),
            "{lines:?}"
        );
        meter.on_event(&model("a"), &ProgressEvent::Finished(chunks(1000, 1000)));
        assert_eq!(meter.lines_after(1), ["Looking up g/a\\u{7}"]);
        meter.on_step(&Step::new(Task::Checking, 3).at("g/b v", 1));
        assert_eq!(meter.lines_after(1), ["Checking 1 of 3: g/b v"]);
    }

    #[test]
    fn several_pulls_have_a_line_each_and_a_sum() {
        let meter = meter(Style::Animated, "");
        assert_eq!(meter.lines_after(9), [""; 0]);
        for (name, done) in [("a", 1000), ("b", 250), ("c", 0)] {
            meter.on_event(&model(name), &ProgressEvent::Phase(chunks(1000, done)));
        }
        meter.on_event(&model("a"), &ProgressEvent::Finished(chunks(1000, 1000)));
        let lines = meter.lines_after(1);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].starts_with("g/b v [") && lines[1].starts_with("g/c v ["),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("1 model done, 2 under way  1.2 KB  1."),
            "{lines:?}"
        );
        meter.on_event(&model("b"), &ProgressEvent::Failed);
        meter.on_event(&model("c"), &ProgressEvent::Failed);
        assert_eq!(meter.lines_after(1), [""; 0]);
        meter.on_event(&model("d"), &ProgressEvent::Pending);
        assert_eq!(
            meter.lines_after(1),
            ["g/d v  waiting for its turn"],
            "the sum starts anew"
        );
    }

    #[test]
    fn a_retry_is_said_in_the_line_and_ends_with_the_next_bytes() {
        let meter = meter(Style::Animated, "");
        meter.on_event(&model("a"), &ProgressEvent::Phase(chunks(1000, 100)));
        let retrying = ProgressEvent::Retrying {
            attempt: 3,
            attempts: 4,
            wait: Duration::from_secs(60),
            reason: "connection\nrefused".to_owned(),
        };
        meter.on_event(&model("a"), &retrying);
        let line = meter.lines_after(0).remove(0);
        assert!(
            line.contains("retrying in ") && line.ends_with(" (2 of 3)"),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line:?}");
        meter.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 200)));
        assert!(!meter.lines_after(0)[0].contains("retrying"));
    }

    #[test]
    fn plain_lines_come_at_most_once_a_second() {
        let meter = meter(Style::Plain, "Looking up g/a");
        assert_eq!(meter.plain_after(1900), None);
        assert_eq!(meter.plain_after(2000).as_deref(), Some("Looking up g/a"));
        meter.on_event(&model("a"), &ProgressEvent::Phase(chunks(1000, 0)));
        assert_eq!(meter.plain_after(2900), None, "too soon");
        assert!(
            meter
                .plain_after(3000)
                .unwrap()
                .starts_with("g/a v: 0% of 1.0 KB (")
        );
        meter.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 99)));
        assert_eq!(meter.plain_after(9000), None, "too little more");
        meter.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 100)));
        assert!(
            meter
                .plain_after(9000)
                .unwrap()
                .starts_with("g/a v: 10% of ")
        );
        assert!(meter.plain_after(39_000).is_some(), "half a minute later");
    }

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
