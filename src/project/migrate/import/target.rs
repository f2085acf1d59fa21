//! A target that another program registered, and what is there of it.

use std::time::SystemTime;

use super::entries::ImportedTarget;
use crate::error::{Error, Result};
use crate::modelstoml::{ProjectRegistry, TargetEntry};
use crate::project::change::difference::Difference;
use crate::project::change::enter::{Entered, FoundTarget, Given, HashedFiles};
use crate::project::change::known::Known;
use crate::project::home::Project;
use crate::project::scan::python::{Module, TargetFunction};
use crate::relpath::RelPath;

/// A target whose files are there.
#[derive(Debug)]
pub(super) struct TargetThere<'a> {
    pub(super) id: &'a str,
    imported: &'a ImportedTarget,
    pub(super) path: RelPath,
    module: Option<Module>,
    data: Vec<RelPath>,
    /// Data that only the code names, as far as it is there.
    stated: Vec<RelPath>,
}

impl<'a> TargetThere<'a> {
    pub(super) fn find(
        project: &Project,
        id: &'a str,
        imported: &'a ImportedTarget,
    ) -> Result<Self> {
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(Error::argument("the id is empty or has control characters"));
        }
        let found = project.look_at(&project.find_imported(&imported.path)?)?;
        let path = match found.files.as_slice() {
            [path] if path.as_str() == found.path => path.clone(),
            _ => {
                return Err(Error::argument(format!(
                    "'{}' is no file, and a target is one",
                    found.path
                )));
            }
        };
        let mut there = Self {
            id,
            imported,
            path,
            module: found.module,
            data: project.find_all_imported(&imported.data)?,
            stated: Vec::new(),
        };
        if there.data.is_empty() {
            let stated: Vec<RelPath> = there.found().stated_data().collect();
            let is_there = |path: &RelPath| project.has_file(path);
            there.stated = stated.into_iter().filter(is_there).collect();
        }
        Ok(there)
    }

    /// Its file, and those that it needs.
    pub(super) fn needed(&self) -> impl Iterator<Item = RelPath> {
        let needed = self.data.iter().chain(&self.stated).chain([&self.path]);
        needed.cloned()
    }

    /// Enters it, as it is now; returns what is to be known beside.
    pub(super) fn enter(
        &self,
        registry: &mut ProjectRegistry,
        known: &mut Known,
        hashed: &HashedFiles,
        now: SystemTime,
    ) -> Result<(Entered, Vec<String>)> {
        let imported = self.imported;
        let before = registry.targets.get(self.id).cloned();
        let given = Given {
            id: Some(self.id.to_owned()),
            entrypoint: imported.entrypoint.clone(),
            model_output: imported.model_output.clone(),
            data: self.data.clone(),
            ..Given::default()
        };
        let entered = self.found().enter(registry, known, &given, hashed, now)?;
        let mut notes = Vec::new();
        if let Some(target) = registry.targets.get_mut(self.id) {
            let is_as_stated = imported.files.as_ref() == Some(&target.files);
            if let Some(time) = imported.registered_at
                && before.is_none()
                && is_as_stated
            {
                target.registered_at = time;
            }
            if imported.files.is_some() && !is_as_stated {
                notes.push("the imported registry was stale: its files have other bytes".into());
            }
            notes.extend(self.compare_digest(target));
            if let Some(before) = &before {
                notes.extend(changes(self.id, before, target));
            }
        }
        Ok((entered, notes))
    }

    fn found(&self) -> FoundTarget<'_> {
        FoundTarget {
            path: &self.path,
            function: self.function(),
        }
    }

    /// The function that the other registry names, else the only one.
    fn function(&self) -> Option<&TargetFunction> {
        let targets = self.module.as_ref()?.targets.as_slice();
        let entrypoint = self.imported.entrypoint.as_deref();
        match entrypoint.and_then(|text| text.rsplit(':').next()) {
            Some(name) => targets.iter().find(|function| function.name == name),
            None => targets.first().filter(|_| targets.len() == 1),
        }
    }

    /// Tells when a digest is that of no file of the target. Which files it is made of is not the same everywhere.
    fn compare_digest(&self, target: &TargetEntry) -> Option<String> {
        let Some(stated) = self.imported.digest? else {
            return Some("its target_digest is no SHA-256, and was not compared".into());
        };
        let mut digests = target.files.values().map(|facts| facts.digest);
        let is_known = digests.any(|digest| digest == stated) || target.digest == stated;
        (!is_known).then(|| {
            "its target_digest is that of none of its files: the imported registry was stale, or it is a digest of something else"
                .into()
        })
    }
}

/// What changed of what was registered before.
fn changes(id: &str, before: &TargetEntry, after: &TargetEntry) -> Vec<String> {
    let registry = |target: &TargetEntry| {
        let mut registry = ProjectRegistry::default();
        registry.targets.insert(id.to_owned(), target.clone());
        registry
    };
    Difference::between(&registry(before), &registry(after)).words()
}
