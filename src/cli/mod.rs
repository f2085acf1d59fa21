//! The `models` subcommand, mounted in any CLI.
//!
//! A [`Mount`] says whose models they are and what the parent takes care of itself. A parent built by hand adds
//! [`models_command`] and passes what it matched to [`run`]; a parent that derives its arguments has a field or variant
//! of type [`ModelsArgs`] or [`ModelsCommand`]. Building the tree does no input or output, reads no environment and has
//! no side effects; running it returns an [`Exit`], and leaves ending the process, signals and global state to the parent.
//!
//! ```
//! use modelrack::Config;
//! use modelrack::cli::{Mount, models_command, run};
//!
//! let mount = Mount::new(Config::new("whisper-tool").registry_url("https://models.example.org"));
//! let cli = clap::Command::new("whisper-tool").subcommand(models_command(&mount));
//! let matches = cli.try_get_matches_from(["whisper-tool", "models", "list", "--json"])?;
//! if let Some(("models", matches)) = matches.subcommand() {
//! #   let (console, _, _) = modelrack::cli::Console::captured();
//! #   let home = std::env::temp_dir().join("modelrack-doc");
//! #   let mount = mount.console(console).environment(modelrack::Environment::empty(modelrack::System::Linux, home));
//!     let exit = run(&mount, matches);
//!     assert_eq!(exit.code(), 0);
//! }
//! # Ok::<(), clap::Error>(())
//! ```
//!
//! # Flags
//!
//! `--json`, `--quiet`, `--verbose` and `--offline` stand on every command, before and behind its name, with ids that
//! begin with `modelrack_` and without short forms. A parent that has one of them itself, as a global argument, leaves
//! ours out with [`Mount::without`] and passes its choice in with [`Mount::output`].

mod args;
mod clear;
mod console;
mod copy;
mod derive;
mod ending;
mod failure;
mod info;
mod json;
mod list;
mod meter;
mod mount;
mod path;
mod prune;
mod pull;
#[cfg(feature = "author")]
mod registry;
mod remove;
mod render;
mod search;
mod session;
mod sync;
mod trace;
mod update;
mod verify;

use std::process::{ExitCode, Termination};

use clap::{ArgMatches, Command};

pub use console::{Captured, Console};
pub use derive::{Host, ModelsArgs, ModelsCommand};
pub use mount::{Flag, Mount, Output};

use ending::{CliError, CliResult};
use session::Session;

/// How a run ended; [`Exit::code`] is one of those that the documentation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the parent decides what to do with it"]
pub struct Exit(u8);

impl Exit {
    /// Returns the exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

/// One command: how it is parsed and what it does.
struct Verb {
    command: fn(&Mount) -> Command,
    execute: fn(&mut Session, &ArgMatches) -> CliResult,
}

/// All commands, in the order of help texts.
const VERBS: &[(&str, Verb)] = &[
    (
        "list",
        Verb {
            command: list::command,
            execute: list::execute,
        },
    ),
    (
        "search",
        Verb {
            command: search::command,
            execute: search::execute,
        },
    ),
    (
        "pull",
        Verb {
            command: pull::command,
            execute: pull::execute,
        },
    ),
    (
        "remove",
        Verb {
            command: remove::command,
            execute: remove::execute,
        },
    ),
    (
        "info",
        Verb {
            command: info::command,
            execute: info::execute,
        },
    ),
    (
        "path",
        Verb {
            command: path::command,
            execute: path::execute,
        },
    ),
    (
        "update",
        Verb {
            command: update::command,
            execute: update::execute,
        },
    ),
    (
        "verify",
        Verb {
            command: verify::command,
            execute: verify::execute,
        },
    ),
    (
        "copy",
        Verb {
            command: copy::command,
            execute: copy::execute,
        },
    ),
    (
        "prune",
        Verb {
            command: prune::command,
            execute: prune::execute,
        },
    ),
    (
        "clear",
        Verb {
            command: clear::command,
            execute: clear::execute,
        },
    ),
    (
        "sync",
        Verb {
            command: sync::command,
            execute: sync::execute,
        },
    ),
    #[cfg(feature = "author")]
    (
        "registry",
        Verb {
            command: registry::command,
            execute: registry::execute,
        },
    ),
];

/// Builds the command tree, detached: the parent adds it where it likes, at any depth.
#[must_use]
pub fn models_command(mount: &Mount) -> Command {
    add_tree(Command::new(mount.name.clone()), mount)
}

/// Runs what was matched under the command that [`models_command`] built.
pub fn run(mount: &Mount, matches: &ArgMatches) -> Exit {
    let verb = matches.subcommand_name().unwrap_or_default();
    let session = Session::open(mount, &spellings(verb, mount), matches);
    match matches.subcommand() {
        Some((name, matches)) => run_verb(session, name, matches),
        None => close(
            &session,
            Err(crate::Error::argument("a command is missing").into()),
        ),
    }
}

/// Runs one command; the library's events go to who listens in this session.
fn run_verb(mut session: Session, name: &str, matches: &ArgMatches) -> Exit {
    let dispatch = session.trace();
    let result = tracing::dispatcher::with_default(&dispatch, || {
        match VERBS.iter().find(|(verb, _)| *verb == name) {
            Some((name, verb)) => {
                session.verb = name;
                (verb.execute)(&mut session, matches)
            }
            None => Err(crate::Error::internal(format!("no command '{name}'")).into()),
        }
    });
    close(&session, result)
}

/// A command's name and its aliases.
fn spellings(verb: &str, mount: &Mount) -> Vec<String> {
    let found = VERBS.iter().find(|(name, _)| *name == verb);
    let command = found.map(|(_, found)| (found.command)(mount));
    let aliases = command.iter().flat_map(Command::get_all_aliases);
    aliases.chain([verb]).map(str::to_owned).collect()
}

/// Makes sure that all data went out, and says how it ended.
fn close(session: &Session, result: CliResult) -> Exit {
    let flushed = session.console.flush().map_err(CliError::from);
    Exit(failure::report(session, result.and(flushed)))
}

fn add_tree(command: Command, mount: &Mount) -> Command {
    let about = mount.about.clone().unwrap_or_else(|| {
        format!(
            "Find, fetch, check and remove the models of {}",
            mount.config.app()
        )
    });
    let command = command
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(args::tree_flags(mount))
        .after_help(args::examples(
            mount,
            &[
                ("list --remote", "what there is to pull"),
                ("pull GROUP/MODEL VERSION", "bring a model in"),
                ("path GROUP/MODEL VERSION", "where it is"),
            ],
        ));
    add_verbs(command, mount)
}

fn add_verbs(command: Command, mount: &Mount) -> Command {
    command.subcommands(
        VERBS
            .iter()
            .map(|(_, verb)| (verb.command)(mount).args(args::tree_flags(mount))),
    )
}
