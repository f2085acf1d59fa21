//! One run: the manager, the sinks and the choices that every command needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
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
use super::render::SafeJson;
use super::trace::Verbose;
use super::{Mount, Output, Verb};
use crate::{CancelToken, Manager, Progress, PullOptions};

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
    /// The command as it was typed, up to the name it is mounted under.
    pub(super) path: String,
    pub(super) colours: bool,
    /// The command that runs.
    pub(super) verb: &'static str,
}

impl Session {
    /// Reads the choices; nothing else happens before a command asks for it.
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

    /// Who listens to the library's events during the run.
    pub(super) fn trace(&self) -> tracing::Dispatch {
        if self.output.verbose {
            tracing::Dispatch::new(Verbose::new(self.console.clone()))
        } else {
            tracing::dispatcher::get_default(Clone::clone)
        }
    }

    /// Prints the one document of `--json`.
    pub(super) fn json(&self, value: &impl Serialize) -> CliResult {
        self.console.with_out(|out| {
            let mut json = SafeJson::new(out);
            // People get it indented; programs get it sooner.
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

    /// Prints a confirmation for people; not with `--quiet` or `--json`.
    pub(super) fn say(&self, text: impl std::fmt::Display) -> CliResult {
        if !self.output.quiet && !self.output.json {
            self.console.print(text)?;
        }
        Ok(())
    }

    /// Prints a remark on the way; not with `--quiet`.
    pub(super) fn note(&self, text: impl std::fmt::Display) {
        if !self.output.quiet {
            self.console.note(text);
        }
    }

    /// Colours a word, in bold; as it is where status has no colours.
    pub(super) fn paint(&self, colour: AnsiColor, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let style = colour.on_default().bold();
        format!("{style}{text}{style:#}")
    }

    /// Asks before something is destroyed; the default is no.
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
            // The input ended, and with it no line.
            self.console.draw("\n");
        }
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            Ok(())
        } else {
            Err(CliError::Declined)
        }
    }

    /// The options of a pull, with a meter that draws.
    pub(super) fn pull_options(&self, matches: &ArgMatches) -> (PullOptions, Arc<Meter>) {
        let meter = self.meter();
        let options = PullOptions::default()
            .concurrency(args::workers(matches))
            .offline(self.output.offline)
            .cancel(self.cancel.clone())
            .progress(meter.clone() as Arc<dyn Progress>);
        (options, meter)
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        // With --verbose its lines tell more, and a bar would tear them.
        let shown = !self.output.json && !self.output.quiet && !self.output.verbose;
        Meter::new(self.console.clone(), shown)
    }

    /// How a path is shown.
    pub(super) fn show_path(path: &Path) -> String {
        path.display().to_string()
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
