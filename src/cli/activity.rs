//! What is under way, and the lines that say so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bar::{bytes_of, fitting, share};
use super::pull_line::{NextAttempt, PullLine, sum};
use super::render::{Room, countdown, duration, safe, size};
use crate::progress::{Step, Task};
use crate::{ModelRef, ProgressEvent};

/// How long work without a transfer has no line where there is no terminal.
const PLAIN_START: Duration = Duration::from_secs(2);
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

/// What is under way.
#[derive(Debug)]
pub(super) struct Activity {
    /// What is done while nothing is pulled, how much of it, and since when.
    work: String,
    work_percent: u64,
    work_since: Instant,
    /// What it waits for.
    next_attempt: Option<NextAttempt>,
    /// The pulls that have begun. Those that ended stay until all have.
    pulls: BTreeMap<ModelRef, PullLine>,
    printed: Option<Printed>,
}

/// The plain line that was printed last.
#[derive(Debug)]
struct Printed {
    subject: String,
    percent: u64,
    at: Instant,
}

impl Activity {
    /// `work` says what is done until there is something else to say.
    pub(super) fn new(work: &str, now: Instant) -> Self {
        Self {
            work: safe(work),
            work_percent: 0,
            work_since: now,
            next_attempt: None,
            pulls: BTreeMap::new(),
            printed: None,
        }
    }

    /// Takes a step into account; returns a message if it is worth one. Only where nothing is animated, a long wait is.
    pub(super) fn on_step(
        &mut self,
        step: &Step<'_>,
        is_animated: bool,
        now: Instant,
    ) -> Option<String> {
        // Until something else is done.
        self.pulls.clear();
        self.work = safe(&describe(step));
        self.work_percent = percent_of(step);
        let failed = step.retrying.as_ref();
        self.next_attempt = failed.map(|failed| NextAttempt::new(failed, now));
        let failed = failed.filter(|_| !is_animated)?;
        announced(failed.wait, failed.reason)
    }

    /// The same for an event of a pull.
    pub(super) fn on_event(
        &mut self,
        model: &ModelRef,
        event: &ProgressEvent,
        is_animated: bool,
        now: Instant,
    ) -> Option<String> {
        self.pull(model, now).on_event(event, now);
        match event {
            ProgressEvent::Waiting { holder } => {
                let holder = holder.as_deref().unwrap_or("another process");
                let text = format!("Waiting for {holder}, which is pulling {model}");
                Some(safe(&text))
            }
            ProgressEvent::Retrying { wait, reason, .. } if !is_animated => {
                announced(*wait, reason)
            }
            _ => None,
        }
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
        pull.or_insert_with(|| PullLine::new(now))
    }

    fn running(&self) -> impl Iterator<Item = (&ModelRef, &PullLine)> {
        self.pulls.iter().filter(|(_, pull)| !pull.has_ended)
    }

    /// Returns the lines for a terminal: of each pull, and of their sum if there are several; else what is done.
    pub(super) fn lines(&self, now: Instant, room: Room) -> Vec<String> {
        let running = self.running().take(MOST_LINES);
        let line = |(model, pull): (&ModelRef, &PullLine)| {
            pull.format(&safe(&model.to_string()), now, room)
        };
        let mut lines: Vec<String> = running.map(line).collect();
        if lines.is_empty() && !self.work.is_empty() {
            let wait = self.next_attempt.as_ref().map(|next| next.part(now));
            lines.push(fitting(&self.work_for(now), None, wait.as_slice(), room));
        }
        if self.pulls.len() > 1 && !lines.is_empty() {
            let pulls: Vec<&PullLine> = self.pulls.values().collect();
            lines.push(sum(&pulls, now, room));
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
    pub(super) fn plain(&mut self, now: Instant) -> Option<String> {
        let mut running = self.running().filter(|(_, pull)| pull.has_begun());
        let (subject, percent, text) = match (running.next(), running.count()) {
            (None, _) if now.duration_since(self.work_since) < PLAIN_START => return None,
            (None, _) => (String::new(), self.work_percent, self.work_for(now)),
            (Some((model, pull)), 0) => {
                let model = safe(&model.to_string());
                let text = format!("{model}: {}", pull.plain(now));
                (model, pull.percent(), text)
            }
            (Some(_), _) => {
                let pulls: Vec<&PullLine> = self.pulls.values().collect();
                let ended = pulls.iter().filter(|pull| pull.has_ended).count();
                (
                    ended.to_string(),
                    0,
                    sum(&pulls, now, Room::new(usize::MAX, true)),
                )
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
        self.printed = Some(Printed {
            subject,
            percent,
            at: now,
        });
        Some(text)
    }
}

/// Announces a wait, if it is long.
fn announced(wait: Duration, reason: &str) -> Option<String> {
    let text = || format!("Trying again in {}: {}", countdown(wait), safe(reason));
    (wait >= LONG_WAIT).then(text)
}

/// `Verifying 3 of 247, 2.1 / 4.0 GB: g/m v1`, `Downloading all.zip, 45.0 / 120.0 MB`, `Syncing 1 of 3: mf6/test@develop 41%`
fn describe(step: &Step<'_>) -> String {
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
        // There is one, or how many there are is not known yet.
        (Some(only), 0 | 1) => format!("{task} {only}{bytes}"),
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
fn percent_of(step: &Step<'_>) -> u64 {
    match step.total_bytes {
        total if total > 0 && !is_of_subject(step) => share(step.bytes_done, total),
        _ => share(step.done, step.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Phase, Retry, TransferState};

    fn model(name: &str) -> ModelRef {
        ModelRef::new("g", name, "v").unwrap()
    }

    fn chunks(total: u64, done: u64) -> TransferState {
        let mut state = TransferState::new(Phase::Chunks);
        (state.files_total, state.total_bytes) = (1, total);
        (state.bytes_done, state.bytes_network) = (done, done);
        state
    }

    /// What is shown after some time on a terminal of 60 columns, or where there is none. All events come at the beginning.
    struct Shown {
        activity: Activity,
        start: Instant,
    }

    impl Shown {
        fn new(work: &str) -> Self {
            let start = Instant::now();
            let activity = Activity::new(work, start);
            Self { activity, start }
        }

        fn on_event(&mut self, model: &ModelRef, event: &ProgressEvent) {
            let said = self.activity.on_event(model, event, true, self.start);
            assert_eq!(said, None);
        }

        fn on_step(&mut self, step: &Step<'_>) {
            assert_eq!(self.activity.on_step(step, true, self.start), None);
        }

        fn lines_after(&self, seconds: u64) -> Vec<String> {
            let now = self.start + Duration::from_secs(seconds);
            self.activity.lines(now, Room::new(60, true))
        }

        fn plain_after(&mut self, millis: u64) -> Option<String> {
            let now = self.start + Duration::from_millis(millis);
            self.activity.plain(now)
        }
    }

    #[test]
    fn work_has_a_line_until_something_is_pulled_and_after_it() {
        let mut shown = Shown::new("Looking up g/a\u{7}");
        assert_eq!(shown.lines_after(1), ["Looking up g/a\\u{7}"]);
        assert_eq!(shown.lines_after(4), ["Looking up g/a\\u{7} (4s)"]);
        shown.on_event(&model("a"), &ProgressEvent::Phase(TransferState::default()));
        assert_eq!(shown.lines_after(0), ["g/a v  looking up"]);
        shown.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 500)));
        let lines = shown.lines_after(1);
        assert!(
            lines.len() == 1 && lines[0].starts_with("g/a v [==") && lines[0].contains(" 50%"),
            "{lines:?}"
        );
        shown.on_event(&model("a"), &ProgressEvent::Finished(chunks(1000, 1000)));
        assert_eq!(shown.lines_after(1), ["Looking up g/a\\u{7}"]);
        shown.on_step(&Step::new(Task::Checking, 3).at("g/b v", 1));
        assert_eq!(shown.lines_after(1), ["Checking 1 of 3: g/b v"]);
    }

    #[test]
    fn several_pulls_have_a_line_each_and_a_sum() {
        let mut shown = Shown::new("");
        assert_eq!(shown.lines_after(9), [""; 0]);
        for (name, done) in [("a", 1000), ("b", 250), ("c", 0)] {
            shown.on_event(&model(name), &ProgressEvent::Phase(chunks(1000, done)));
        }
        shown.on_event(&model("a"), &ProgressEvent::Finished(chunks(1000, 1000)));
        let lines = shown.lines_after(1);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].starts_with("g/b v [") && lines[1].starts_with("g/c v ["),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("1 model done, 2 under way  1.2 KB  1."),
            "{lines:?}"
        );
        shown.on_event(&model("b"), &ProgressEvent::Failed);
        shown.on_event(&model("c"), &ProgressEvent::Failed);
        assert_eq!(shown.lines_after(1), [""; 0]);
        shown.on_event(&model("d"), &ProgressEvent::Pending);
        assert_eq!(
            shown.lines_after(1),
            ["g/d v  waiting for its turn"],
            "the sum starts anew"
        );
    }

    #[test]
    fn a_retry_is_said_in_the_line_and_ends_with_the_next_bytes() {
        let mut shown = Shown::new("");
        shown.on_event(&model("a"), &ProgressEvent::Phase(chunks(1000, 100)));
        let retrying = ProgressEvent::Retrying {
            attempt: 3,
            attempts: 4,
            wait: Duration::from_secs(60),
            reason: "connection\nrefused".to_owned(),
        };
        shown.on_event(&model("a"), &retrying);
        let line = shown.lines_after(0).remove(0);
        assert!(
            line.contains("retrying in ") && line.ends_with(" (2 of 3)"),
            "{line}"
        );
        assert!(!line.contains('\n'), "{line:?}");
        shown.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 200)));
        assert!(!shown.lines_after(0)[0].contains("retrying"));
    }

    #[test]
    fn plain_lines_come_at_most_once_a_second() {
        let mut shown = Shown::new("Looking up g/a");
        assert_eq!(shown.plain_after(1900), None);
        assert_eq!(shown.plain_after(2000).as_deref(), Some("Looking up g/a"));
        shown.on_event(&model("a"), &ProgressEvent::Phase(chunks(1000, 0)));
        assert_eq!(shown.plain_after(2900), None, "too soon");
        assert!(
            shown
                .plain_after(3000)
                .unwrap()
                .starts_with("g/a v: 0% of 1.0 KB (")
        );
        shown.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 99)));
        assert_eq!(shown.plain_after(9000), None, "too little more");
        shown.on_event(&model("a"), &ProgressEvent::Advanced(chunks(1000, 100)));
        assert!(
            shown
                .plain_after(9000)
                .unwrap()
                .starts_with("g/a v: 10% of ")
        );
        assert!(shown.plain_after(39_000).is_some(), "half a minute later");
    }

    #[test]
    fn a_sync_that_waits_says_what_for() {
        let mut shown = Shown::new("");
        let mut syncing = Step::new(Task::Syncing, 3).at("weights", 1);
        syncing.retrying = Some(Retry::new(3, 4, Duration::from_secs(6), "a\nb"));
        shown.on_step(&syncing);
        assert_eq!(
            shown.lines_after(0),
            ["Syncing 1 of 3: weights  retrying in 6s: a\\u{a}b (2 of 3)"]
        );
        let said = shown.activity.on_step(&syncing, false, shown.start);
        assert_eq!(said.as_deref(), Some("Trying again in 6s: a\\u{a}b"));
        syncing.retrying = None;
        shown.on_step(&syncing);
        assert_eq!(shown.lines_after(0), ["Syncing 1 of 3: weights"]);
    }

    #[test]
    fn messages_are_for_what_is_long_and_cannot_control_the_terminal() {
        let mut activity = Activity::new("", Instant::now());
        let mut said = |event, is_animated| {
            activity.on_event(&model("a"), &event, is_animated, Instant::now())
        };
        let waiting = |holder: Option<&str>| ProgressEvent::Waiting {
            holder: holder.map(str::to_owned),
        };
        let text = |who: &str| Some(format!("Waiting for {who}, which is pulling g/a v"));
        assert_eq!(said(waiting(None), true), text("another process"));
        assert_eq!(said(waiting(Some("p\r1")), false), text("p\\u{d}1"));
        let retrying = |millis| ProgressEvent::Retrying {
            attempt: 2,
            attempts: 4,
            wait: Duration::from_millis(millis),
            reason: "a\nb".to_owned(),
        };
        assert_eq!(said(retrying(4999), false), None);
        assert_eq!(said(retrying(5001), true), None);
        let expected = "Trying again in 6s: a\\u{a}b";
        assert_eq!(said(retrying(5001), false).as_deref(), Some(expected));
    }

    #[test]
    fn steps_count_things_and_bytes() {
        let mut verifying = Step::new(Task::Verifying, 3).at("g/m v1", 1);
        assert_eq!(describe(&verifying), "Verifying 1 of 3: g/m v1");
        assert_eq!(percent_of(&verifying), 33);
        (verifying.bytes_done, verifying.total_bytes) = (2_100_000_000, 4_000_000_000);
        assert_eq!(
            describe(&verifying),
            "Verifying 1 of 3, 2.1 / 4.0 GB: g/m v1"
        );
        assert_eq!(percent_of(&verifying), 52);
        assert_eq!(describe(&Step::new(Task::Verifying, 0)), "Verifying 0 of 0");
        let mut hashing = Step::new(Task::Hashing, 1000);
        (hashing.done, hashing.bytes_done) = (20, 5_200_000);
        assert_eq!(describe(&hashing), "Hashing 20 of 1000, 5.2 MB");
        let mut archive = Step::new(Task::Downloading, 1).at("all.zip", 0);
        assert_eq!(describe(&archive), "Downloading all.zip");
        (archive.bytes_done, archive.total_bytes) = (5_200_000, 10_400_000);
        assert_eq!(describe(&archive), "Downloading all.zip, 5.2 / 10.4 MB");
    }

    #[test]
    fn a_sync_counts_registries_and_the_bytes_of_one() {
        let mut syncing = Step::new(Task::Syncing, 3).at("mf6/test@develop", 1);
        assert_eq!(describe(&syncing), "Syncing 1 of 3: mf6/test@develop");
        (syncing.bytes_done, syncing.total_bytes) = (410, 1000);
        assert_eq!(describe(&syncing), "Syncing 1 of 3: mf6/test@develop 41%");
        assert_eq!(percent_of(&syncing), 33);
        syncing.total_bytes = 0;
        assert_eq!(
            describe(&syncing),
            "Syncing 1 of 3: mf6/test@develop, 410 B"
        );
    }
}
