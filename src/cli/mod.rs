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
mod console;
mod copy;
mod failure;
mod info;
mod json;
mod list;
mod meter;
mod path;
mod prune;
mod pull;
#[cfg(feature = "author")]
mod registry;
mod remove;
mod render;
mod search;
mod session;
mod trace;
mod update;
mod verify;

use std::fmt;
use std::marker::PhantomData;
use std::process::{ExitCode, Termination};
use std::sync::Arc;

use clap::{ArgMatches, Command};

use crate::{CancelToken, Config, Environment, Manager};

pub use console::{Captured, Console};

use failure::CliResult;
use session::Session;

/// Whose models they are, and what the parent takes care of itself.
#[derive(Debug, Clone)]
pub struct Mount {
    config: Config,
    name: String,
    about: Option<String>,
    without: Vec<Flag>,
    output: Output,
    manager: Option<Arc<dyn Manager>>,
    environment: Option<Environment>,
    console: Option<Console>,
    cancel: CancelToken,
    invoked_as: Option<String>,
}

/// A flag that a parent may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flag {
    /// `--json`
    Json,
    /// `--quiet`
    Quiet,
    /// `--verbose`
    Verbose,
    /// `--offline`
    Offline,
    /// `-y`, `--yes`
    Yes,
}

/// The choices of a parent that owns some of the flags; each counts along with ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// Print one JSON document.
    pub json: bool,
    /// Print only the essential.
    pub quiet: bool,
    /// Tell what happens on the way, on standard error.
    pub verbose: bool,
    /// Open no socket.
    pub offline: bool,
    /// Take questions for answered with yes.
    pub yes: bool,
}

impl Output {
    /// Sets [`Output::json`].
    #[must_use]
    pub fn json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// Sets [`Output::quiet`].
    #[must_use]
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Sets [`Output::verbose`].
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// Sets [`Output::offline`].
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Sets [`Output::yes`].
    #[must_use]
    pub fn yes(mut self, yes: bool) -> Self {
        self.yes = yes;
        self
    }
}

impl Mount {
    /// Mounts the models of an app, under the name `models` and with all flags.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            name: "models".into(),
            about: None,
            without: Vec::new(),
            output: Output::default(),
            manager: None,
            environment: None,
            console: None,
            cancel: CancelToken::new(),
            invoked_as: None,
        }
    }

    /// Sets the name of the command. With derive it is the variant's.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the line that the parent's help has about the command.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Leaves out flags that the parent owns.
    #[must_use]
    pub fn without(mut self, flags: impl IntoIterator<Item = Flag>) -> Self {
        self.without.extend(flags);
        self
    }

    /// Passes the parent's choices in.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Uses this manager instead of making one from the configuration.
    #[must_use]
    pub fn manager(mut self, manager: Arc<dyn Manager>) -> Self {
        self.manager = Some(manager);
        self
    }

    /// Uses this environment instead of the process's own.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Prints to these sinks instead of the process's own.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = Some(console);
        self
    }

    /// Stops what runs when the token is cancelled: a parent that handles Ctrl-C cancels it there.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets how messages and examples quote the command, as in `tool ai models`. Default: as it was typed.
    #[must_use]
    pub fn invoked_as(mut self, command: impl Into<String>) -> Self {
        self.invoked_as = Some(command.into());
        self
    }

    fn has(&self, flag: Flag) -> bool {
        !self.without.contains(&flag)
    }

    /// How examples in help texts quote the command.
    fn example_path(&self) -> String {
        self.invoked_as
            .clone()
            .unwrap_or_else(|| format!("{} {}", self.config.app(), self.name))
    }
}

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
    let mut session = Session::open(mount, matches);
    let dispatch = session.trace();
    let result = tracing::dispatcher::with_default(&dispatch, || match matches.subcommand() {
        Some((name, matches)) => match VERBS.iter().find(|(verb, _)| *verb == name) {
            Some((_, verb)) => (verb.execute)(&mut session, matches),
            None => Err(crate::Error::internal(format!("no command '{name}'")).into()),
        },
        None => Err(crate::Error::argument("a command is missing").into()),
    });
    Exit(session.close(result))
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

/// What a parent that derives its arguments says about its models.
///
/// ```
/// use clap::Parser;
/// use modelrack::Config;
/// use modelrack::cli::{Exit, Host, ModelsArgs, Mount};
///
/// struct Whisper;
///
/// impl Host for Whisper {
///     fn mount() -> Mount {
///         Mount::new(Config::new("whisper-tool").registry_url("https://models.example.org"))
///     }
/// }
///
/// #[derive(Parser)]
/// enum Cli {
///     Models(ModelsArgs<Whisper>),
/// }
///
/// let Cli::Models(models) = Cli::try_parse_from(["whisper-tool", "models", "list"])?;
/// let run: fn(ModelsArgs<Whisper>) -> Exit = |models| models.run();
/// # let _ = (models, run);
/// # Ok::<(), clap::Error>(())
/// ```
pub trait Host {
    /// Returns the mount. It is called whenever the tree is built, and must do no input or output.
    fn mount() -> Mount;
}

/// The whole tree as a field or variant of a derived parent; implements [`clap::Args`].
pub struct ModelsArgs<H> {
    matches: ArgMatches,
    host: PhantomData<fn() -> H>,
}

/// The commands of the tree as an enum of a derived parent; implements [`clap::Subcommand`].
///
/// With `#[command(subcommand)]` they stand below the parent's variant, with `#[command(flatten)]` among its own.
pub struct ModelsCommand<H> {
    name: String,
    matches: ArgMatches,
    host: PhantomData<fn() -> H>,
}

impl<H: Host> ModelsArgs<H> {
    /// Runs it with the mount of the host.
    pub fn run(&self) -> Exit {
        self.run_with(&H::mount())
    }

    /// Runs it with another mount, as one that carries a manager or the parent's flags.
    pub fn run_with(&self, mount: &Mount) -> Exit {
        run(mount, &self.matches)
    }
}

impl<H: Host> ModelsCommand<H> {
    /// Runs it with the mount of the host.
    pub fn run(&self) -> Exit {
        self.run_with(&H::mount())
    }

    /// Runs it with another mount, as one that carries a manager or the parent's flags.
    pub fn run_with(&self, mount: &Mount) -> Exit {
        let mut session = Session::open(mount, &self.matches);
        let dispatch = session.trace();
        let result = tracing::dispatcher::with_default(&dispatch, || {
            match VERBS.iter().find(|(verb, _)| *verb == self.name) {
                Some((_, verb)) => (verb.execute)(&mut session, &self.matches),
                None => Err(crate::Error::internal("no such command").into()),
            }
        });
        Exit(session.close(result))
    }
}

impl<H> fmt::Debug for ModelsArgs<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelsArgs")
            .field("command", &self.matches.subcommand_name())
            .finish_non_exhaustive()
    }
}

impl<H> fmt::Debug for ModelsCommand<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelsCommand")
            .field("command", &self.name)
            .finish_non_exhaustive()
    }
}

impl<H: Host> clap::Args for ModelsArgs<H> {
    fn augment_args(command: Command) -> Command {
        let name = command.get_name().to_owned();
        let about = command.get_about().map(ToString::to_string);
        let mut mount = H::mount().name(name);
        // What the parent wrote above its variant is what its help should say.
        mount.about = about.or(mount.about);
        add_tree(command, &mount)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<H: Host> clap::FromArgMatches for ModelsArgs<H> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            matches: matches.clone(),
            host: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

impl<H: Host> clap::Subcommand for ModelsCommand<H> {
    fn augment_subcommands(command: Command) -> Command {
        let mount = H::mount().name(command.get_name().to_owned());
        add_verbs(command, &mount)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        VERBS.iter().any(|(verb, _)| *verb == name)
    }
}

impl<H: Host> clap::FromArgMatches for ModelsCommand<H> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((name, matches)) if <Self as clap::Subcommand>::has_subcommand(name) => Ok(Self {
                name: name.to_owned(),
                matches: matches.clone(),
                host: PhantomData,
            }),
            _ => Err(clap::Error::raw(
                clap::error::ErrorKind::MissingSubcommand,
                "a command is missing",
            )),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
