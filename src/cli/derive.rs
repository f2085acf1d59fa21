//! The types that mount the tree in a parent with derived arguments.

use std::fmt;
use std::marker::PhantomData;

use clap::{ArgMatches, Command};

use super::{Exit, Mount, VERBS, Verb, add_tree, run, run_verb};

/// Tells [`ModelsArgs`] and [`ModelsCommand`] which models they are for.
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
    /// Returns the mount. It is called whenever the tree is built, and must not do any I/O.
    fn mount() -> Mount;
}

/// The command tree as a field or variant of a derived parent; implements [`clap::Args`].
pub struct ModelsArgs<H> {
    matches: ArgMatches,
    host: PhantomData<fn() -> H>,
}

/// The commands of the tree, as subcommands of a derived parent; implements [`clap::Subcommand`].
///
/// With `#[command(subcommand)]`, they are below the parent's variant; with `#[command(flatten)]`, among its own commands.
pub struct ModelsCommand<H> {
    name: String,
    matches: ArgMatches,
    host: PhantomData<fn() -> H>,
}

impl<H: Host> ModelsArgs<H> {
    /// Runs the command with the mount of the host.
    pub fn run(&self) -> Exit {
        self.run_with(&H::mount())
    }

    /// Runs the command with another mount, such as one with a manager or the parent's flags.
    pub fn run_with(&self, mount: &Mount) -> Exit {
        run(mount, &self.matches)
    }
}

impl<H: Host> ModelsCommand<H> {
    /// Runs the command with the mount of the host.
    pub fn run(&self) -> Exit {
        self.run_with(&H::mount())
    }

    /// Runs the command with another mount, such as one with a manager or the parent's flags.
    pub fn run_with(&self, mount: &Mount) -> Exit {
        run_verb(mount, &self.matches, Some((&self.name, &self.matches)))
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
        // The doc comment of the variant takes precedence.
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
        Verb::add_all(VERBS, command, &mount)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Verb::find(VERBS, name).is_some()
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
