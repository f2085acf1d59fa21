//! Changes that are planned before they are made.

use crate::error::{Error, Result};
use crate::modelstoml::ProjectRegistry;
use crate::progress::CancelToken;
use crate::project::home::Project;

/// A planned change of a project's registry.
#[derive(Debug)]
#[non_exhaustive]
pub struct RegistryPlan<R> {
    /// What the change does.
    pub report: R,
    before: ProjectRegistry,
    after: ProjectRegistry,
}

impl<R> RegistryPlan<R> {
    pub(crate) fn new(report: R, before: &ProjectRegistry, after: ProjectRegistry) -> Self {
        let before = before.clone();
        Self {
            report,
            before,
            after,
        }
    }
}

impl Project {
    /// Makes a planned change, just as it was planned: no file is read again.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) when the registry was changed since the plan was made; as
    /// [`Project::add`] when it cannot be written.
    pub fn apply<R>(&mut self, plan: &RegistryPlan<R>, cancel: &CancelToken) -> Result<()> {
        let path = self.registry_path();
        self.change(cancel, |registry| {
            if *registry != plan.before {
                let message = "the registry was changed since the plan was made";
                return Err(Error::registry(path.display(), message));
            }
            registry.clone_from(&plan.after);
            Ok(())
        })
    }
}
