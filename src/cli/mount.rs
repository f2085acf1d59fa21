//! How a parent mounts the tree.

use std::sync::Arc;

use super::Console;
use crate::setters::setters;
use crate::{CancelToken, Config, Environment, Manager, ModelManager};

/// An app's models, and what the parent handles itself.
///
/// A parent that has its own `--json` and `--quiet`, cancels on Ctrl-C and keeps its own manager:
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::cli::{Console, Flag, Mount, Output, models_command, run};
/// use modelrack::{CancelToken, Config, ManagerExt};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let environment = modelrack::Environment::empty(modelrack::config::System::Linux, _folder.path());
/// manager.pull_model("digits/logistic v1")?;
///
/// let cancel = CancelToken::new();
/// let (console, out, err) = Console::captured();
/// let mount = Mount::new(Config::new("tool"))
///     .name("ai")
///     .about("Find and pull the models of this tool")
///     .without([Flag::Json, Flag::Quiet])
///     .manager(Arc::new(manager))
///     .cancel(cancel.clone())
///     .environment(environment)
///     .console(console)
///     .invoked_as("tool ai");
///
/// let parent = clap::Command::new("tool")
///     .arg(clap::arg!(--json).global(true))
///     .arg(clap::arg!(--quiet).global(true))
///     .subcommand(models_command(&mount));
/// let matches = parent.try_get_matches_from(["tool", "--quiet", "ai", "list"])?;
/// let Some(("ai", below)) = matches.subcommand() else { unreachable!("it was typed") };
/// let mount = mount.output(Output::default().json(below.get_flag("json")).quiet(below.get_flag("quiet")));
///
/// assert_eq!(run(&mount, below).code(), 0, "{}", err.text());
/// assert_eq!(out.text(), "digits/logistic v1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mount {
    pub(super) config: Config,
    pub(super) name: String,
    pub(super) about: Option<String>,
    without: Vec<Flag>,
    pub(super) output: Output,
    pub(super) manager: Option<Arc<dyn Manager>>,
    pub(super) environment: Option<Environment>,
    pub(super) console: Option<Console>,
    pub(super) cancel: CancelToken,
    pub(super) invoked_as: Option<String>,
}

/// A flag that a parent may define itself, as a global argument of the same name; [`Mount::without`] leaves ours out.
///
/// ```
/// use modelrack::Config;
/// use modelrack::cli::{Flag, Mount};
///
/// let all = [Flag::Json, Flag::Quiet, Flag::Verbose, Flag::Offline, Flag::Yes];
/// let mount = Mount::new(Config::new("tool")).without(all);
/// ```
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

/// The flags that a parent has parsed itself. A flag is on if either the parent's value or ours is.
///
/// ```
/// use modelrack::Config;
/// use modelrack::cli::{Mount, Output};
///
/// // For a parent that has parsed `--json --offline -y`:
/// let output = Output::default().json(true).quiet(false).verbose(false).offline(true).yes(true);
/// let mount = Mount::new(Config::new("tool")).output(output);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// Print exactly one JSON document, as `--json` does.
    pub json: bool,
    /// Print only the essential, as `--quiet` does.
    pub quiet: bool,
    /// Print log events to standard error, as `--verbose` does.
    pub verbose: bool,
    /// Open no socket, as `--offline` does.
    pub offline: bool,
    /// Ask no questions, as `-y` does.
    pub yes: bool,
}

setters!(Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    offline: bool,
    yes: bool,
});

impl Mount {
    /// Mounts the models of an app as the command `models`, with all flags. [`Mount`] has an example.
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

    /// Sets the name of the command. Default: `models`; with derive, the name of the variant. [`Mount`] has an example.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the description of the command in the parent's help. Default: one with the name of the app; with derive, the doc
    /// comment of the variant. [`Mount`] has an example.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Leaves out flags that the parent defines itself; [`Mount`] has an example.
    #[must_use]
    pub fn without(mut self, flags: impl IntoIterator<Item = Flag>) -> Self {
        self.without.extend(flags);
        self
    }

    /// Passes on the flags that the parent has parsed itself; [`Mount`] has an example.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Uses this manager. Default: a [`ModelManager`] with the configuration and the environment of the mount. [`Mount`] has
    /// an example.
    #[must_use]
    pub fn manager(mut self, manager: Arc<dyn Manager>) -> Self {
        self.manager = Some(manager);
        self
    }

    /// Uses this environment. Default: that of the process. [`Mount`] has an example.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Uses these streams. Default: those of the process. [`Mount`] has an example.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = Some(console);
        self
    }

    /// Stops the command, with exit code 130, when the token is cancelled: a parent's handler of Ctrl-C does that. [`Mount`]
    /// has an example.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets how messages and help texts quote the command, such as `tool ai models`. Default: as the user typed it. [`Mount`]
    /// has an example.
    #[must_use]
    pub fn invoked_as(mut self, command: impl Into<String>) -> Self {
        self.invoked_as = Some(command.into());
        self
    }

    /// Returns the manager that was passed in, or one made from the configuration.
    pub(super) fn open_manager(&self, environment: Environment) -> Arc<dyn Manager> {
        match &self.manager {
            Some(manager) => manager.clone(),
            None => {
                let builder = ModelManager::builder(self.config.clone());
                Arc::new(builder.environment(environment).build())
            }
        }
    }

    /// Returns the environment that was passed in, or that of the process.
    pub(super) fn open_environment(&self) -> Environment {
        let own = self.environment.clone();
        own.unwrap_or_else(Environment::of_process)
    }

    pub(super) fn has(&self, flag: Flag) -> bool {
        !self.without.contains(&flag)
    }

    /// Returns how the examples in help texts quote the command.
    pub(super) fn example_path(&self) -> String {
        self.invoked_as
            .clone()
            .unwrap_or_else(|| format!("{} {}", self.config.app(), self.name))
    }
}
