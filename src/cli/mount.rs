//! How a parent mounts the tree.

use std::sync::Arc;

use super::Console;
use crate::setters::setters;
use crate::{CancelToken, Config, Environment, Manager, ModelManager};

/// An app's models, and what the parent handles itself.
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

/// A flag that a parent may define itself.
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

/// The choices of a parent that defines some of the flags itself. A flag is on if the parent or the user turns it on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// Print one JSON document.
    pub json: bool,
    /// Print only essential output.
    pub quiet: bool,
    /// Print log events to standard error.
    pub verbose: bool,
    /// Do not use the network.
    pub offline: bool,
    /// Answer yes to every question.
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
    /// Mounts the models of an app, as the command `models` with all flags.
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

    /// Sets the name of the command. With derive, it is the name of the variant.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the description of the command in the parent's help.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Leaves out flags that the parent defines itself.
    #[must_use]
    pub fn without(mut self, flags: impl IntoIterator<Item = Flag>) -> Self {
        self.without.extend(flags);
        self
    }

    /// Passes on the parent's choices.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Uses this manager instead of creating one from the configuration.
    #[must_use]
    pub fn manager(mut self, manager: Arc<dyn Manager>) -> Self {
        self.manager = Some(manager);
        self
    }

    /// Uses this environment instead of that of the process.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Uses these streams instead of those of the process.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = Some(console);
        self
    }

    /// Stops the command when the token is cancelled, for example by the parent's handler of Ctrl-C.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets how messages and examples quote the command, such as `tool ai models`. Default: as the user typed it.
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
