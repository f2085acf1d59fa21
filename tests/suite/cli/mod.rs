//! The command tree: mounted in a parent, run with captured sinks, and as the reference CLI in processes of its own.

mod buckets;
mod by_hand;
mod changing;
mod derived;
mod environment;
mod exits;
mod full_disk;
mod hub;
mod kills;
mod listing;
mod locking;
mod mirroring;
mod mount;
mod output;
mod process;
mod program;
mod prompts;
mod quoting;
mod readme;
mod recording;
#[cfg(feature = "author")]
mod registry;
mod registry_kills;
mod repository_kills;
mod several;
mod shapes;
mod site;
pub(crate) mod snapshot;
mod syncing;
mod tagging;
mod terminals;
mod updating;
mod warnings;
mod widths;

use std::io::{self, BufRead, Cursor};

use clap::Command;
use modelrack::cli::{Captured, Console, Mount, models_command, run};
use serde_json::Value;

use crate::support::rack::Rack;

/// How a run ended and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts success and that nothing but data was printed; returns the data.
    #[track_caller]
    pub(crate) fn quiet_success(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// Asserts success; returns the data.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

/// Where a run prints to.
#[derive(Clone, Copy)]
pub(crate) enum Sinks {
    /// No terminal at all.
    Captured,
    /// A terminal of 100 columns, at which somebody types this.
    Terminal(&'static str),
    /// A terminal of so many columns.
    Columns(usize),
}

/// `rack models …` on the machine of a rack.
pub(crate) fn mount(rack: &Rack) -> Mount {
    Mount::new(rack.config()).environment(rack.environment())
}

/// Runs `rack models <line>`, whose words are separated by spaces.
pub(crate) fn models(rack: &Rack, line: &str) -> Ran {
    run_line(&mount(rack), line)
}

/// Runs `rack models <line>` with a mount of the test's own.
pub(crate) fn run_line(mount: &Mount, line: &str) -> Ran {
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    run_words(mount, &words, Sinks::Captured)
}

/// Runs `rack models <words>`; an argument error ends it as it would end a program.
pub(crate) fn run_words(mount: &Mount, words: &[&str], sinks: Sinks) -> Ran {
    let parent = Command::new("rack")
        .subcommand_required(true)
        .subcommand(models_command(mount));
    let line = ["rack", "models"].iter().chain(words);
    let (console, out, err) = match sinks {
        Sinks::Captured => Console::captured(),
        Sinks::Terminal(typed) => at_terminal(100, Cursor::new(typed)),
        Sinks::Columns(columns) => at_terminal(columns, io::empty()),
    };
    let matches = match parent.try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) => return refused(&error),
    };
    let Some(("models", matches)) = matches.subcommand() else {
        panic!("no other command was added");
    };
    let code = run(&mount.clone().console(console), matches).code();
    Ran {
        code,
        out: out.text(),
        err: err.text(),
    }
}

fn at_terminal(
    columns: usize,
    typed: impl BufRead + Send + 'static,
) -> (Console, Captured, Captured) {
    let (console, out, err) = Console::captured();
    (console.terminal(columns, typed), out, err)
}

/// What clap says when it refuses a command line, or prints a help text.
pub(crate) fn refused(error: &clap::Error) -> Ran {
    let code = u8::try_from(error.exit_code()).unwrap();
    let text = error.to_string();
    let (out, err) = match code {
        0 => (text, String::new()),
        _ => (String::new(), text),
    };
    Ran { code, out, err }
}

/// The lines of a table that is no terminal's, each with its cells.
pub(crate) fn cells(out: &str) -> Vec<Vec<&str>> {
    out.lines().map(|line| line.split('\t').collect()).collect()
}
