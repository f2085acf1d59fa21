//! The `models` subcommand, mounted in any CLI.
//!
//! A [`Mount`] describes the app's models and what the parent handles itself. A parent that uses clap's builder adds
//! [`models_command`] and passes the matches to [`run`]; a parent that derives its arguments has a field or variant of type
//! [`ModelsArgs`] or [`ModelsCommand`]. Building the tree does no I/O, does not read the environment and has no side
//! effects. Running it returns an [`Exit`]: ending the process, signals and global state are the parent's.
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
//! #   let mount = mount.console(console).environment(modelrack::Environment::empty(modelrack::config::System::Linux, home));
//!     let exit = run(&mount, matches);
//!     assert_eq!(exit.code(), 0);
//! }
//! # Ok::<(), clap::Error>(())
//! ```
//!
//! # Flags
//!
//! `--json`, `--quiet`, `--verbose` and `--offline` are flags of every command, before or after its name. Their ids
//! begin with `modelrack_`, and they have no short forms. A parent that defines one of them itself, as a global argument,
//! leaves ours out with [`Mount::without`] and passes its value on with [`Mount::output`].
//!
//! On a terminal, tables are no wider than it, colours say state, and whatever takes longer than a quarter of a second says how
//! far it is. Elsewhere, tables are tab-separated and whole, and progress is a plain line now and then; with `--json` or
//! `--quiet`, there is none. `sync` prints each registry as soon as it is done, so the order of its lines may differ from run
//! to run; its document has the order of the configuration.
//!
//! Warnings of the library go to the stream for messages, each once; not with `--quiet`, and not below a subscriber of the
//! parent's, which receives them as [log events](crate#log-levels).
//!
//! # Completion
//!
//! With the feature `unstable-completion`, models, versions, sources and refs complete in the shell, from local files only, if
//! the parent begins with `clap_complete::CompleteEnv::with_factory(Cli::command).complete()`. The README has the line that
//! turns it on in each shell.
//!
//! # Exit codes
//!
//! | exit | codes in `--json` |
//! |---|---|
//! | 0 | done; also: already installed, up to date |
//! | 1 | `CONFIG_ERROR`, `REGISTRY_ERROR`, `NOT_SYNCED`, `LOCKED`, anything else; also: a question was answered with no |
//! | 2 | `INVALID_REF`, `INVALID_ARGUMENT` |
//! | 3 | `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`; also: `update` found models that their source no longer offers |
//! | 4 | `NOT_INSTALLED` |
//! | 5 | `NETWORK_ERROR`, `OFFLINE`, `RATE_LIMITED` |
//! | 6 | `HASH_MISMATCH`; also: `verify` found damage |
//! | 7 | `STORAGE_ERROR`, `INSUFFICIENT_SPACE`, `PERMISSION_ERROR` |
//! | 8 | `AUTHENTICATION_ERROR` |
//! | 9 | `NOT_PUBLISHABLE`, `LOCK_STALE`; also: `registry status` or `report` found errors, with `status --strict` warnings; `lock --check` found a stale lock |
//! | 130 | `CANCELLED` |

/// Creates the entry of a module in a dispatch table.
macro_rules! verb {
    ($module:ident $(, $alias:literal)?) => {
        $crate::cli::Verb {
            name: stringify!($module),
            aliases: &[$($alias)?],
            examples: $module::EXAMPLES,
            command: $module::command,
            execute: $module::execute,
        }
    };
}

mod activity;
mod args;
mod bar;
mod chunking;
mod clear;
#[cfg(feature = "unstable-completion")]
mod completion;
mod console;
mod copy;
mod derive;
mod du;
mod ending;
mod failure;
mod filter;
mod hint;
mod info;
mod list;
mod lock;
mod metadata;
mod meter;
mod mirror;
mod mount;
mod offers;
mod path;
mod prune;
mod pull;
mod pull_line;
mod pulled;
mod pulls;
mod reference;
#[cfg(feature = "author")]
mod registry;
mod remove;
mod render;
mod search;
mod selection;
mod session;
mod several;
mod sources;
mod sync;
mod table;
mod tag;
mod trace;
mod unfinished;
mod update;
mod verify;
mod which;

use std::process::{ExitCode, Termination};

use clap::{ArgMatches, Command};

pub use console::{Captured, Console};
pub use derive::{Host, ModelsArgs, ModelsCommand};
pub use mount::{Flag, Mount, Output};

use failure::{CliError, CliResult};
use session::Session;

use crate::{Error, Result};

/// How a run ended: its exit code. A parent returns it from `main`, or looks at the [code](Self::code) first.
///
/// ```
/// use std::process::ExitCode;
///
/// use modelrack::cli::Exit;
///
/// /// 130 is for what the user cancelled.
/// fn end(exit: Exit) -> ExitCode {
///     if exit.code() == 130 {
///         eprintln!("stopped; the next pull resumes");
///     }
///     exit.into()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the parent decides what to do with it"]
pub struct Exit(u8);

impl Exit {
    /// Returns the exit code; see the [exit codes](crate::cli#exit-codes). [`Exit`] has an example.
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

/// A command: its names, the examples of its help, its arguments and what it does.
struct Verb {
    name: &'static str,
    aliases: &'static [&'static str],
    examples: &'static str,
    command: fn(Command, &Mount) -> Command,
    execute: fn(&Session, &ArgMatches) -> CliResult,
}

/// The commands, in the order of the help.
const VERBS: &[Verb] = &[
    verb!(list, "ls"),
    verb!(search),
    verb!(pull),
    verb!(remove, "rm"),
    verb!(info),
    verb!(path),
    verb!(update),
    verb!(verify),
    verb!(copy, "cp"),
    verb!(lock),
    verb!(mirror),
    verb!(tag),
    verb!(du),
    verb!(prune),
    verb!(clear, "clean"),
    verb!(sync),
    #[cfg(feature = "author")]
    verb!(registry),
];

impl Verb {
    fn find(verbs: &'static [Self], name: &str) -> Option<&'static Self> {
        verbs.iter().find(|verb| verb.name == name)
    }

    /// Finds the command that was matched.
    fn chosen<'m>(
        verbs: &'static [Self],
        matches: &'m ArgMatches,
    ) -> Result<(&'static Self, &'m ArgMatches)> {
        let missing = || Error::argument("a command is missing");
        let unknown = |name: &str| Error::internal(format!("no command '{name}'"));
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let verb = Self::find(verbs, name).ok_or_else(|| unknown(name))?;
        Ok((verb, matches))
    }

    /// Adds commands to a parent, each with the flags of the whole tree.
    fn add_all(verbs: &'static [Self], parent: Command, mount: &Mount) -> Command {
        let commands = verbs.iter().map(|verb| {
            let command = Command::new(verb.name).visible_aliases(verb.aliases);
            let command = (verb.command)(command, mount).args(args::tree_flags(mount));
            match verb.examples {
                "" => command,
                examples => command.after_help(args::examples(mount, examples)),
            }
        });
        parent.subcommands(commands)
    }
}

/// Builds the command tree, which a parent adds at any depth. The [module documentation](self) has an example.
#[must_use]
pub fn models_command(mount: &Mount) -> Command {
    add_tree(Command::new(mount.name.clone()), mount)
}

/// Runs the command that was matched: `matches` are those of the command that [`models_command`] built. The [module
/// documentation](self) has an example.
pub fn run(mount: &Mount, matches: &ArgMatches) -> Exit {
    let chosen = Verb::chosen(VERBS, matches);
    let verb = chosen.as_ref().ok().map(|(verb, _)| *verb);
    let session = Session::open(mount, matches, verb);
    let result = chosen.map_err(CliError::from).and_then(|(verb, matches)| {
        let run = || (verb.execute)(&session, matches);
        tracing::dispatcher::with_default(&session.trace(), run)
    });
    let flushed = session.console.flush().map_err(CliError::from);
    Exit(ending::report(&session, result.and(flushed)))
}

fn add_tree(command: Command, mount: &Mount) -> Command {
    const EXAMPLES: &str = "
        list --remote             list the models that can be pulled
        pull GROUP/MODEL VERSION  download a model
        path GROUP/MODEL VERSION  print its folder
    ";
    let app = mount.config.app();
    let about = format!("Find, download, verify and remove the models of {app}");
    let examples = args::examples(mount, EXAMPLES);
    let command = command
        .about(mount.about.clone().unwrap_or(about))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(args::tree_flags(mount))
        .after_long_help(reference::reference(mount, &examples))
        .after_help(examples);
    Verb::add_all(VERBS, command, mount)
}
