//! Changes that are planned before they are made.

use crate::error::{Error, Result};
use crate::modelstoml::{ProjectRegistry, TextFacts};
use crate::progress::CancelToken;
use crate::project::home::Project;

/// A planned change of a project's registry. [`Project::apply`] makes it.
///
/// ```
/// use modelrack::CancelToken;
/// use modelrack::project::{AddOptions, Project, ProjectOptions, ResyncOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// std::fs::remove_file(folder.path().join("models/peak.safetensors"))?;
///
/// let plan = project.plan_resync(&ResyncOptions::default())?;
/// assert_eq!(plan.report.difference.dropped[0].id, "peak");
/// // Once somebody has agreed to that:
/// project.apply(&plan, &CancelToken::new())?;
/// assert!(!project.registry().entries.contains_key("peak"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct RegistryPlan<R> {
    /// What the change will do.
    pub report: R,
    before: TextFacts,
    after: ProjectRegistry,
}

impl Project {
    /// Plans a change: makes it in a copy of the registry.
    pub(crate) fn planned<R>(
        &self,
        change: impl FnOnce(&mut ProjectRegistry) -> R,
    ) -> RegistryPlan<R> {
        let mut after = self.registry().clone();
        RegistryPlan {
            report: change(&mut after),
            before: self.registry().measure(),
            after,
        }
    }

    /// Makes a change exactly as it was planned; no file is read again. [`RegistryPlan`] has an example.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) if the registry has changed since the plan was made; those of [`Project::add`]
    /// if it cannot be written.
    pub fn apply<R>(&mut self, plan: &RegistryPlan<R>, cancel: &CancelToken) -> Result<()> {
        let path = self.registry_path();
        self.change(cancel, |registry| {
            if registry.measure() != plan.before {
                let message = "the registry was changed since the plan was made";
                return Err(Error::registry(path.display(), message));
            }
            registry.clone_from(&plan.after);
            Ok(())
        })
    }
}
