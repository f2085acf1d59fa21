//! The types that mount the tree in a parent with derived arguments.

use std::fmt;
use std::marker::PhantomData;

use clap::{ArgMatches, Command};

use super::{Exit, Mount, VERBS, Verb, add_tree, run};

/// Tells [`ModelsArgs`] and [`ModelsCommand`] which models they are for.
///
/// ```
/// use clap::Parser;
/// use modelrack::Config;
/// use modelrack::cli::{Exit, Host, ModelsArgs, Mount, Output};
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
/// fn execute(cli: &Cli) -> Exit {
///     match cli {
///         Cli::Models(models) => models.run(),
///     }
/// }
///
/// // Or with a mount that knows more, such as a manager or flags that the parent has parsed:
/// fn execute_offline(cli: &Cli) -> Exit {
///     match cli {
///         Cli::Models(models) => models.run_with(&Whisper::mount().output(Output::default().offline(true))),
///     }
/// }
///
/// let cli = Cli::try_parse_from(["whisper-tool", "models", "list"])?;
/// # let folder = tempfile::tempdir()?;
/// # let environment = modelrack::Environment::empty(modelrack::config::System::Linux, folder.path());
/// # let (console, ..) = modelrack::cli::Console::captured();
/// # let mount = Whisper::mount().environment(environment).console(console);
/// # let execute = |Cli::Models(models): &Cli| models.run_with(&mount);
/// assert_eq!(execute(&cli).code(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Host {
    /// Returns the mount. It is called whenever the tree is built, and must not do any I/O. [`Host`] has an example.
    fn mount() -> Mount;
}

/// The command tree as a field or variant of a derived parent; implements [`clap::Args`]. [`Host`] has an example.
///
/// A variant with arguments of its own flattens the tree; they stand before the command (`tool models --profile gpu list`):
///
/// ```
/// use clap::Parser;
/// use modelrack::Config;
/// use modelrack::cli::{Host, ModelsArgs, Mount};
///
/// struct Tool;
///
/// impl Host for Tool {
///     fn mount() -> Mount {
///         Mount::new(Config::new("tool").registry_url("https://models.example.org"))
///     }
/// }
///
/// #[derive(Parser)]
/// enum Cli {
///     /// Find, fetch, check and remove models
///     Models {
///         /// Which machine the models are for
///         #[arg(long)]
///         profile: Option<String>,
///         #[command(flatten)]
///         models: ModelsArgs<Tool>,
///     },
/// }
///
/// let Cli::Models { profile, models } = Cli::try_parse_from(["tool", "models", "--profile", "gpu", "list"])?;
/// assert_eq!(profile.as_deref(), Some("gpu"));
/// # let _ = models;
/// # Ok::<(), clap::Error>(())
/// ```
pub struct ModelsArgs<H> {
    matches: ArgMatches,
    host: PhantomData<fn() -> H>,
}

/// The commands of the tree, as subcommands of a derived parent; implements [`clap::Subcommand`].
///
/// With `#[command(subcommand)]`, they are below the parent's variant; with `#[command(flatten)]`, among its own commands:
///
/// ```
/// use std::process::ExitCode;
///
/// use clap::Parser;
/// use modelrack::Config;
/// use modelrack::cli::{Host, ModelsCommand, Mount};
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
///     /// Transcribe a recording
///     Transcribe { recording: String },
///     #[command(flatten)]
///     Models(ModelsCommand<Whisper>),
/// }
///
/// fn execute(cli: Cli) -> ExitCode {
///     match cli {
///         Cli::Transcribe { recording } => {
///             println!("transcribing {recording}");
///             ExitCode::SUCCESS
///         }
///         Cli::Models(models) => models.run().into(),
///     }
/// }
///
/// let cli = Cli::try_parse_from(["whisper-tool", "pull", "whisper/tiny"])?;
/// assert!(matches!(cli, Cli::Models(_)));
/// # Ok::<(), clap::Error>(())
/// ```
pub struct ModelsCommand<H>(ModelsArgs<H>);

impl<H: Host> ModelsArgs<H> {
    /// Runs the command with the mount of the host; [`Host`] has an example.
    pub fn run(&self) -> Exit {
        self.run_with(&H::mount())
    }

    /// Runs the command with another mount, such as one with a manager or the parent's flags; [`Host`] has an example.
    pub fn run_with(&self, mount: &Mount) -> Exit {
        run(mount, &self.matches)
    }
}

impl<H: Host> ModelsCommand<H> {
    /// Runs the command with the mount of the host; [`ModelsCommand`] has an example.
    pub fn run(&self) -> Exit {
        self.run_with(&H::mount())
    }

    /// Runs the command with another mount, such as one with a manager or the parent's flags; [`Host`] has an example.
    pub fn run_with(&self, mount: &Mount) -> Exit {
        self.0.run_with(mount)
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
            .field("command", &self.0.matches.subcommand_name())
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
        *self = Self::from_arg_matches(matches)?;
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
            Some((name, _)) if <Self as clap::Subcommand>::has_subcommand(name) => {
                ModelsArgs::from_arg_matches(matches).map(Self)
            }
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
