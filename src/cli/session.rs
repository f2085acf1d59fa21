//! One run of a command: the manager, the streams and the choices that every command needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::ArgMatches;
use clap::builder::styling::AnsiColor;
use serde::Serialize;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, dispatcher};

use super::args::{self, is_set, text};
use super::console::{Console, is_dumb};
use super::failure::{CliError, CliResult};
use super::meter::{Meter, Style};
use super::render::{self, SafeJson, safe};
use super::trace::{Events, Warnings};
use super::{Mount, Output, Verb};
use crate::relpath::listed;
use crate::settings::Settings;
use crate::time::rfc3339;
use crate::{CancelToken, Manager, PullOptions};

pub(super) struct Session {
    pub(super) mount: Mount,
    pub(super) manager: Arc<dyn Manager>,
    pub(super) console: Console,
    pub(super) output: Output,
    pub(super) cancel: CancelToken,
    /// The command as the user typed it, up to the name of the mount.
    pub(super) path: String,
    /// Whether status is coloured.
    is_coloured: bool,
    /// Whether results are.
    pub(super) results_coloured: bool,
    /// Whether progress is drawn over and over in the same lines.
    is_animated: bool,
    warnings: Warnings,
    /// The name of the command that runs.
    pub(super) verb: &'static str,
    /// Whether the same command goes on where this one stopped.
    pub(super) resumes: bool,
    /// Whether the user names a place of a registry, and not only sources.
    pub(super) names_place: bool,
    /// The lock that says what it has to do, if one does.
    pub(super) lock: Option<PathBuf>,
}

impl Session {
    /// Reads the choices of the user and the parent. Building the manager does no I/O.
    pub(super) fn open(mount: &Mount, tree: &ArgMatches, verb: Option<&Verb>) -> Self {
        let environment = mount.open_environment();
        let console = mount.console.clone().unwrap_or_else(Console::standard);
        let console = console.in_locale(&environment);
        let levels = std::iter::successors(Some(tree), |matches| Some(matches.subcommand()?.1));
        let anywhere = |id: &str| levels.clone().any(|matches| is_set(matches, id));
        let lock = levels.clone().find_map(|matches| {
            let [locked, frozen] = [args::LOCKED, args::FROZEN].map(|id| args::value(matches, id));
            locked.or(frozen).cloned()
        });
        let output = Output {
            json: mount.output.json || anywhere(args::JSON),
            quiet: mount.output.quiet || anywhere(args::QUIET),
            verbose: mount.output.verbose || anywhere(args::VERBOSE),
            offline: mount.output.offline || anywhere(args::OFFLINE),
            yes: mount.output.yes || anywhere(args::YES),
        };
        let typed = || typed_command(environment.command_line(), &mount.name, verb?);
        let path = mount.invoked_as.clone().or_else(typed);
        let verb = verb.map_or("", |verb| verb.name);
        // No key of a source has a colon.
        let registry = levels.clone().find_map(|it| text(it, args::REGISTRY));
        let is_of_place = registry.is_some_and(|registry| registry.contains(':'));
        let is_coloured = Console::is_coloured(console.err_is_terminal, &environment);
        let label = paint(is_coloured, AnsiColor::Yellow, "warning:");
        Self {
            is_coloured,
            results_coloured: Console::is_coloured(console.out_is_terminal, &environment),
            is_animated: console.err_is_terminal && !is_dumb(&environment),
            warnings: Warnings::new(console.clone(), label),
            path: path.unwrap_or_else(|| mount.example_path()),
            resumes: matches!(verb, "pull" | "update" | "copy")
                || (verb == "verify" && anywhere(args::REPAIR)),
            names_place: verb == "registry" || (verb == "verify" && is_of_place),
            verb,
            lock,
            manager: mount.open_manager(environment),
            console,
            output,
            cancel: mount.cancel.clone(),
            mount: mount.clone(),
        }
    }

    /// Returns what receives the library's log events during the run. A subscriber of the parent receives them as ever,
    /// and decides what becomes of warnings.
    pub(super) fn trace(&self) -> Dispatch {
        let parent = dispatcher::get_default(Clone::clone);
        let (is_verbose, has_parent) = (self.output.verbose, !parent.is::<NoSubscriber>());
        if !is_verbose && (self.output.quiet || has_parent) {
            return parent;
        }
        Dispatch::new(Events::new(self.warnings.clone(), is_verbose))
    }

    /// Prints a result: the document of `--json`, or what `print` prints for people.
    pub(super) fn show(
        &self,
        document: &impl Serialize,
        print: impl FnOnce() -> CliResult,
    ) -> CliResult {
        match self.output.json {
            true => self.json(document),
            false => print(),
        }
    }

    /// The same for a list, which has a name in the document.
    pub(super) fn show_list(
        &self,
        name: &str,
        list: &[impl Serialize],
        print: impl FnOnce() -> CliResult,
    ) -> CliResult {
        self.show(&BTreeMap::from([(name, list)]), print)
    }

    /// Prints the document of `--json`.
    pub(super) fn json(&self, value: &impl Serialize) -> CliResult {
        self.console.with_out(|out| {
            // Indented for people; programs get one line, and get it faster.
            let is_indented = self.console.out_is_terminal;
            let mut json = SafeJson::new(&mut *out, !is_indented);
            match is_indented {
                true => serde_json::to_writer_pretty(&mut json, value)?,
                false => serde_json::to_writer(&mut json, value)?,
            }
            json.flush()?;
            out.write_all(b"\n")?;
            out.flush()
        })?;
        Ok(())
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

    /// Prints lines below a table that sum it up, on a terminal only: elsewhere, programs read the table.
    pub(super) fn sum_up(&self, lines: &[String]) -> CliResult {
        if self.console.out_is_terminal && !lines.is_empty() {
            self.say("")?;
            lines.iter().try_for_each(|line| self.say(line))?;
        }
        Ok(())
    }

    /// Shows a time: how long ago it was to people, and exactly to programs.
    pub(super) fn when(&self, time: SystemTime) -> String {
        match self.console.out_is_terminal {
            true => render::age(time, SystemTime::now()),
            false => rfc3339(time),
        }
    }

    /// Returns where everything is; `None` if the parent has a manager of its own, or a setting is wrong.
    pub(super) fn settings(&self) -> Option<Settings> {
        let environment = self.mount.open_environment();
        let settings = Settings::read(&self.mount.config, &environment);
        settings.ok().filter(|_| self.mount.manager.is_none())
    }

    /// Describes how a user adds a source; [`Self::print_example_source`] shows what goes into the file.
    pub(super) fn how_to_add_a_source(&self) -> String {
        let variable = self.mount.config.variable("REGISTRY_URL");
        let variable = format!("set {variable} to the URL of a registry");
        match self.settings() {
            Some(settings) => format!(
                "write a source into {}, or {variable}",
                settings.config_file.display()
            ),
            None => variable,
        }
    }

    /// Prints the lines of a source, as they can be copied into the user's file.
    pub(super) fn print_example_source(&self) {
        const LINES: [&str; 4] = [
            "[sources.weights]",
            "url = \"https://models.example.org\"",
            "# or: hub = \"https://huggingface.co\", or: repo = \"OWNER/NAME\"",
            "# or: oci = \"https://ghcr.io/acme\"",
        ];
        if self.settings().is_some() {
            let lines = LINES.map(|line| format!("  {line}"));
            lines.iter().for_each(|line| self.console.note(line));
        }
    }

    /// Prints named values.
    pub(super) fn print_fields(&self, fields: &[(&str, String)]) -> CliResult {
        let fields = render::fields(fields, self.console.columns());
        Ok(self.console.print(fields)?)
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

    /// Says which paths are not part of what was read.
    pub(super) fn note_left_out(&self, paths: &[String]) {
        if !paths.is_empty() {
            self.note(format!(
                "left out what a system, an editor or a download tool left behind: {}",
                listed(paths)
            ));
        }
    }

    /// Prints a warning, unless it has been printed; not with `--quiet`.
    pub(super) fn warning(&self, text: impl Display) {
        if !self.output.quiet {
            self.warnings.print(&text.to_string());
        }
    }

    /// Makes a text of status bold and coloured, if status is coloured.
    pub(super) fn paint(&self, colour: AnsiColor, text: &str) -> String {
        paint(self.is_coloured, colour, text)
    }

    /// The same for a text of results.
    pub(super) fn paint_result(&self, colour: AnsiColor, text: &str) -> String {
        paint(self.results_coloured, colour, text)
    }

    /// Returns whether nothing needs to be asked.
    pub(super) fn is_confirmed(&self) -> bool {
        self.output.yes
    }

    /// Asks for confirmation before a destructive action; the default is no.
    pub(super) fn confirm(&self, question: &str) -> CliResult {
        if self.is_confirmed() {
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
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(CliError::Declined),
        }
    }

    /// Returns the options of a pull that several commands have.
    pub(super) fn pull_options(&self, matches: &ArgMatches) -> PullOptions {
        PullOptions::default()
            .concurrency(args::workers(matches))
            .rate_limit(args::rate_limit(matches))
            .offline(self.output.offline)
            .cancel(self.cancel.clone())
    }

    /// Runs an operation with a meter that draws its progress.
    pub(super) fn metered<T, E>(
        &self,
        run: impl FnOnce(Arc<Meter>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.metered_as("", run)
    }

    /// The same; until the operation says how far it is, the meter says what it does, such as `Looking up g/m`.
    pub(super) fn metered_as<T, E>(
        &self,
        work: &str,
        run: impl FnOnce(Arc<Meter>) -> Result<T, E>,
    ) -> Result<T, E> {
        // Progress would garble the lines of --verbose, which say more.
        let style = match self.output.json || self.output.quiet || self.output.verbose {
            true => Style::Nothing,
            false if self.is_animated => Style::Animated,
            false => Style::Plain,
        };
        let meter = Meter::new(self.console.clone(), style, work);
        let result = run(meter.clone());
        meter.finish();
        result
    }
}

fn paint(is_coloured: bool, colour: AnsiColor, text: &str) -> String {
    let style = colour.on_default().bold();
    match is_coloured {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
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
