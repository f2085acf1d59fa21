//! Prints the library's log events for `--verbose`, during one run and on its threads.

use std::fmt::{self, Write as _};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::console::Console;
use super::render::safe;

/// Receives the events of this crate; it does not use spans.
#[derive(Debug)]
pub(super) struct Verbose {
    console: Console,
    started: Instant,
}

impl Verbose {
    pub(super) fn new(console: Console) -> Self {
        let started = Instant::now();
        Self { console, started }
    }
}

impl Subscriber for Verbose {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
            && metadata.target().split("::").next() == Some(env!("CARGO_PKG_NAME"))
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let at = self.started.elapsed().as_millis();
        let text = safe(&text.0);
        self.console.note(format!("{at:>6} ms {level}: {text}"));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message of an event, which is its first field, and the other fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
