//! Prints the library's log events during one run and on its threads: all of them for `--verbose`, else the warnings.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Metadata, Subscriber};

use super::console::Console;
use super::render::safe;
use crate::mutex::Mutex;

/// Prints warnings, each once. Clones share what was printed.
#[derive(Debug, Clone)]
pub(super) struct Warnings {
    console: Console,
    label: String,
    printed: Arc<Mutex<HashSet<String>>>,
}

impl Warnings {
    /// `label` stands in front of each.
    pub(super) fn new(console: Console, label: String) -> Self {
        Self {
            console,
            label,
            printed: Arc::default(),
        }
    }

    pub(super) fn print(&self, text: &str) {
        if self.printed.lock().insert(text.to_owned()) {
            self.console.note(format!("{} {}", self.label, safe(text)));
        }
    }
}

/// Receives the events of this crate; it does not use spans.
///
/// The message of a warning is a whole sentence, and its field `error`, if it has one, is the cause. Its other fields are for
/// logs.
#[derive(Debug)]
pub(super) struct Events {
    warnings: Warnings,
    /// When the run started, if all events are printed, with times and fields.
    verbose_since: Option<Instant>,
    /// While there is one listener only, an event that another thread meets first counts as one that nobody wants.
    _second: Dispatch,
}

impl Events {
    pub(super) fn new(warnings: Warnings, is_verbose: bool) -> Self {
        Self {
            warnings,
            verbose_since: is_verbose.then(Instant::now),
            _second: Dispatch::new(NoSubscriber::new()),
        }
    }

    fn level(&self) -> LevelFilter {
        match self.verbose_since {
            Some(_) => LevelFilter::DEBUG,
            None => LevelFilter::WARN,
        }
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level()
            && metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level())
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let Some(started) = self.verbose_since else {
            return self.warnings.print(&(text.message + &text.cause));
        };
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let at = started.elapsed().as_millis();
        let text = safe(&format!("{}{}", text.message, text.fields));
        let console = &self.warnings.console;
        console.note(format!("{at:>6} ms {level}: {text}"));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What an event says.
#[derive(Default)]
struct Text {
    message: String,
    cause: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &value);
        if field.name() == "error" {
            self.cause = format!(": {value}");
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        // Writing to a string cannot fail.
        let _ = match name {
            "message" => write!(self.message, "{value:?}"),
            _ => write!(self.fields, " {name}={value:?}"),
        };
        if name == "error" {
            self.cause = format!(": {value:?}");
        }
    }
}
