//! A target of another registry, and its files.

use super::entries::ImportedTarget;
use crate::error::{Error, Result};
use crate::modelstoml::{Files, ProjectRegistry, TargetEntry};
use crate::project::change::candidate::{Overrides, TargetCandidate, symbol_of};
use crate::project::change::difference::ItemChange;
use crate::project::change::register::Register;
use crate::project::home::Project;
use crate::project::scan::candidate::Candidate;
use crate::relpath::RelPath;

/// A target whose files exist.
#[derive(Debug)]
pub(super) struct TargetImport<'a> {
    pub(super) id: &'a str,
    imported: &'a ImportedTarget,
    pub(super) at: Candidate,
    pub(super) path: RelPath,
    data: Vec<RelPath>,
    /// The data files that only the code names, if they exist.
    stated: Vec<RelPath>,
    /// The data that is elsewhere for now.
    pub(super) elsewhere: Files,
}

impl<'a> TargetImport<'a> {
    pub(super) fn find(
        project: &Project,
        id: &'a str,
        imported: &'a ImportedTarget,
        known: &Files,
    ) -> Result<Self> {
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(Error::argument("the id is empty or has control characters"));
        }
        let mut at = project.look_at(&project.imported_path(&imported.path)?)?;
        let path = at.file().cloned().ok_or_else(|| at.is_no_target())?;
        let mut elsewhere = Files::new();
        let left_behind = &mut at.left_behind;
        let data = project.find_imported(&imported.data, known, &mut elsewhere, left_behind)?;
        let mut import = Self {
            id,
            imported,
            at,
            path,
            data,
            stated: Vec::new(),
            elsewhere,
        };
        if import.data.is_empty() {
            let mut stated: Vec<RelPath> = import.candidate().stated_data().collect();
            stated.retain(|path| project.has_file(path));
            import.stated = stated;
        }
        Ok(import)
    }

    /// Returns its file, and those that it needs or needed when it was registered.
    pub(super) fn needed(&self, registry: &'a ProjectRegistry) -> impl Iterator<Item = &RelPath> {
        let before = registry.targets.get(self.id).into_iter();
        let own = self.data.iter().chain(&self.stated).chain([&self.path]);
        own.chain(before.flat_map(|target| &target.data))
    }

    /// Registers it as it is now; returns notes about it.
    pub(super) fn register(&self, register: &mut Register<'_>) -> Result<Vec<String>> {
        let imported = self.imported;
        let before = register.registry.targets.get(self.id).cloned();
        let mut given = Overrides {
            id: Some(self.id.to_owned()),
            model_output: imported.model_output.clone(),
            data: self.data.clone(),
            ..Overrides::default()
        };
        given.details.entrypoint.clone_from(&imported.entrypoint);
        register.target(&self.candidate(), &given)?;
        let mut notes = Vec::new();
        if let Some(target) = register.registry.targets.get_mut(self.id) {
            let is_as_stated = imported.files.as_ref() == Some(&target.files);
            if let Some(time) = imported.registered_at
                && before.is_none()
                && is_as_stated
            {
                target.registered_at = time;
            }
            if imported.files.is_some() && !is_as_stated {
                notes.push("the imported registry was stale: the files have changed".into());
            }
            notes.extend(self.compare_digest(target));
            if let Some(before) = &before {
                notes.extend(ItemChange::of_target(self.id, before, target).lines());
            }
        }
        Ok(notes)
    }

    /// Returns the function that the other registry names, else the only one.
    fn candidate(&self) -> TargetCandidate<'_> {
        let named = self.imported.entrypoint.as_deref().map(symbol_of);
        TargetCandidate {
            path: &self.path,
            function: self.at.function(named),
        }
    }

    /// Notes a digest that matches no file of the target. Programs differ in what they compute it from.
    fn compare_digest(&self, target: &TargetEntry) -> Option<String> {
        let Some(stated) = self.imported.digest? else {
            return Some("its target_digest is not a SHA-256, and was not compared".into());
        };
        let mut digests = target.files.values().map(|facts| facts.digest);
        let is_known = digests.any(|digest| digest == stated) || target.digest == stated;
        (!is_known).then(|| {
            "its target_digest matches none of its files: the imported registry was stale, or it is the digest of something else"
                .into()
        })
    }
}
