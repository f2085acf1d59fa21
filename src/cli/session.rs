//! One run of a command: the manager, the streams and the choices that every command needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use clap::ArgMatches;
use clap::builder::styling::AnsiColor;
use serde::Serialize;

use super::args::{self, is_set};
use super::console::Console;
use super::ending::{CliError, CliResult};
use super::meter::Meter;
use super::render::{SafeJson, safe, table, table_with_text};
use super::trace::Verbose;
use super::{Mount, Output, Verb};
use crate::{CancelToken, Manager, ModelRef, Progress, PullOptions};

pub(super) struct Session {
    pub(super) manager: Arc<dyn Manager>,
    #[cfg(feature = "author")]
    pub(super) config: crate::Config,
    #[cfg(feature = "author")]
    pub(super) environment: crate::Environment,
    pub(super) console: Console,
    pub(super) output: Output,
    pub(super) cancel: CancelToken,
    pub(super) app: String,
    /// The command as the user typed it, up to the name of the mount.
    pub(super) path: String,
    pub(super) colours: bool,
    /// The name of the command that runs.
    pub(super) verb: &'static str,
}

impl Session {
    /// Reads the choices of the user and the parent. Building the manager does no I/O.
    pub(super) fn open(mount: &Mount, tree: &ArgMatches, verb: Option<&Verb>) -> Self {
        let environment = mount.open_environment();
        let console = mount.console.clone().unwrap_or_else(Console::standard);
        let levels = std::iter::successors(Some(tree), |matches| Some(matches.subcommand()?.1));
        let anywhere = |id: &str| levels.clone().any(|matches| is_set(matches, id));
        let output = Output {
            json: mount.output.json || anywhere(args::JSON),
            quiet: mount.output.quiet || anywhere(args::QUIET),
            verbose: mount.output.verbose || anywhere(args::VERBOSE),
            offline: mount.output.offline || anywhere(args::OFFLINE),
            yes: mount.output.yes || anywhere(args::YES),
        };
        let path = mount
            .invoked_as
            .clone()
            .or_else(|| typed_command(environment.command_line(), &mount.name, verb?))
            .unwrap_or_else(|| mount.example_path());
        Self {
            colours: console.colours(&environment),
            verb: verb.map_or("", |verb| verb.name),
            #[cfg(feature = "author")]
            config: mount.config.clone(),
            #[cfg(feature = "author")]
            environment: environment.clone(),
            manager: mount.open_manager(environment),
            console,
            output,
            cancel: mount.cancel.clone(),
            app: mount.config.app().to_owned(),
            path,
        }
    }

    /// Returns what receives the library's log events during the run.
    pub(super) fn trace(&self) -> tracing::Dispatch {
        if self.output.verbose {
            tracing::Dispatch::new(Verbose::new(self.console.clone()))
        } else {
            tracing::dispatcher::get_default(Clone::clone)
        }
    }

    /// Prints the document of `--json`.
    pub(super) fn json(&self, value: &impl Serialize) -> CliResult {
        self.console.with_out(|out| {
            let mut json = SafeJson::new(out);
            // Indented for people; programs get it faster.
            if self.console.out_is_terminal {
                serde_json::to_writer_pretty(&mut json, value)?;
            } else {
                serde_json::to_writer(&mut json, value)?;
            }
            json.write_all(b"\n")?;
            json.flush()
        })?;
        Ok(())
    }

    /// Prints a document with one list.
    pub(super) fn json_list(&self, name: &str, list: &[impl Serialize]) -> CliResult {
        self.json(&BTreeMap::from([(name, list)]))
    }

    /// Prints a line of the result, with control characters escaped.
    pub(super) fn print(&self, line: impl Display) -> CliResult {
        Ok(self.console.print(safe(&line.to_string()))?)
    }

    /// Prints a line that confirms what was done; not with `--quiet` or `--json`.
    pub(super) fn say(&self, line: impl Display) -> CliResult {
        match self.output.quiet || self.output.json {
            true => Ok(()),
            false => self.print(line),
        }
    }

    /// Prints a line of status, even with `--quiet`.
    pub(super) fn warn(&self, line: impl Display) {
        self.console.note(safe(&line.to_string()));
    }

    /// Prints a line of status; not with `--quiet`.
    pub(super) fn note(&self, line: impl Display) {
        if !self.output.quiet {
            self.warn(line);
        }
    }

    /// Prints a table.
    pub(super) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> CliResult {
        Ok(self.console.print(table(&self.console, head, rows))?)
    }

    /// Prints a table whose last column is cut to fit the terminal.
    pub(super) fn table_with_text(&self, head: &[&str], rows: Vec<Vec<String>>) -> CliResult {
        Ok(self
            .console
            .print(table_with_text(&self.console, head, rows))?)
    }

    /// Prints the names of models, one a line.
    pub(super) fn names<'a>(&self, models: impl Iterator<Item = &'a ModelRef>) -> CliResult {
        Ok(self.console.with_out(|out| {
            for model in models {
                writeln!(out, "{}", safe(&model.to_string()))?;
            }
            Ok(())
        })?)
    }

    /// Makes a text bold and coloured, if status is coloured.
    pub(super) fn paint(&self, colour: AnsiColor, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let style = colour.on_default().bold();
        format!("{style}{text}{style:#}")
    }

    /// Asks for confirmation before a destructive action; the default is no.
    pub(super) fn confirm(&self, question: &str) -> CliResult {
        if self.output.yes {
            return Ok(());
        }
        if self.output.json || !self.console.in_is_terminal || !self.console.err_is_terminal {
            return Err(CliError::Unconfirmed {
                question: question.to_owned(),
            });
        }
        self.console.draw(&format!("{question} [y/N] "));
        let answer = self.console.read_line(&self.cancel)?;
        if !answer.ends_with('\n') {
            // The input ended without a line break.
            self.console.draw("\n");
        }
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            Ok(())
        } else {
            Err(CliError::Declined)
        }
    }

    /// Returns the options of a pull, and the meter that draws its progress.
    pub(super) fn pull_options(&self, matches: &ArgMatches) -> (PullOptions, Arc<Meter>) {
        let meter = self.meter();
        let options = PullOptions::default()
            .concurrency(args::workers(matches))
            .offline(self.output.offline)
            .cancel(self.cancel.clone())
            .progress(meter.clone() as Arc<dyn Progress>);
        (options, meter)
    }

    /// Returns a meter that draws the progress of a command.
    pub(super) fn meter(&self) -> Arc<Meter> {
        // A bar would garble the lines of --verbose, which say more.
        let shown = !self.output.json && !self.output.quiet && !self.output.verbose;
        Meter::new(self.console.clone(), shown)
    }
}

/// Returns the command above a verb as it was typed: the program's name and the words in front of the verb.
fn typed_command(line: &[OsString], mounted_as: &str, verb: &Verb) -> Option<String> {
    let line: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
    let (program, words) = line.split_first()?;
    let is_verb = |word: &str| word == verb.name || verb.aliases.contains(&word);
    // A derived parent may mount the tree under another name, which then is not among the words, or is a model's.
    let mounted = words.iter().position(|word| word == mounted_as);
    let verb_after =
        |from: usize| Some(from + words[from..].iter().position(|word| is_verb(word))?);
    let end = mounted.and_then(verb_after).or_else(|| verb_after(0))?;
    let program = Path::new(&**program).file_stem()?.to_string_lossy();
    let above = words[..end].iter().filter(|word| !word.starts_with('-'));
    let words: Vec<&str> = [&program]
        .into_iter()
        .chain(above)
        .map(|word| &**word)
        .collect();
    Some(words.join(" "))
}
