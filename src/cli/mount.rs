//! Whose models a tree is for, and what its parent takes care of itself.

use std::sync::Arc;

use super::Console;
use crate::setters::setters;
use crate::{CancelToken, Config, Environment, Manager, ModelManager};

/// Whose models they are, and what the parent takes care of itself.
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

setters!(Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    offline: bool,
    yes: bool,
});

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

    /// The manager that was passed in, or one made from the configuration.
    pub(super) fn open_manager(&self, environment: Environment) -> Arc<dyn Manager> {
        match &self.manager {
            Some(manager) => manager.clone(),
            None => {
                let builder = ModelManager::builder(self.config.clone());
                Arc::new(builder.environment(environment).build())
            }
        }
    }

    /// The environment that was passed in, or the process's own.
    pub(super) fn open_environment(&self) -> Environment {
        let own = self.environment.clone();
        own.unwrap_or_else(Environment::of_process)
    }

    pub(super) fn has(&self, flag: Flag) -> bool {
        !self.without.contains(&flag)
    }

    /// How examples in help texts quote the command.
    pub(super) fn example_path(&self) -> String {
        self.invoked_as
            .clone()
            .unwrap_or_else(|| format!("{} {}", self.config.app(), self.name))
    }
}
