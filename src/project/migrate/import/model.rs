//! A model that another program registered, and what is there of it.

use std::time::SystemTime;

use super::entries::{ImportedModel, ImportedVersion};
use crate::error::{Error, Result};
use crate::model::{ModelName, ModelRef};
use crate::modelstoml::{
    FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, digest_of, version,
};
use crate::project::change::difference::Difference;
use crate::project::change::enter::{Entered, HashedFiles, facts_of, next_version};
use crate::project::change::known::Known;
use crate::project::home::Project;
use crate::project::item::{ItemKind, RegisteredItem};
use crate::project::scan::python::{Entrypoint, ModelClass};
use crate::project::scan::survey::Found;
use crate::relpath::{InvalidName, RelPath};

/// A model whose files are there.
#[derive(Debug)]
pub(super) struct ModelThere<'a> {
    pub(super) id: &'a str,
    imported: &'a ImportedModel,
    pub(super) found: Found,
    data: Vec<RelPath>,
    code: Vec<RelPath>,
}

impl<'a> ModelThere<'a> {
    pub(super) fn find(
        project: &Project,
        id: &'a str,
        imported: &'a ImportedModel,
    ) -> Result<Self> {
        let invalid = |error: InvalidName| Error::argument(error.to_string());
        ModelName::parse(id).map_err(invalid)?;
        for version in imported.versions.keys().chain(&imported.current) {
            ModelRef::new("", "m", version).map_err(invalid)?;
        }
        let found = project.look_at(&project.find_imported(&imported.path)?)?;
        if found.files.is_empty() {
            return Err(Error::argument(format!(
                "there is no file below '{}'",
                found.path
            )));
        }
        Ok(Self {
            id,
            imported,
            found,
            data: project.find_all_imported(&imported.data)?,
            code: project.find_all_imported(&imported.code)?,
        })
    }

    /// Its files, and those that it needs.
    pub(super) fn needed(&self) -> impl Iterator<Item = &RelPath> {
        self.found.files.iter().chain(&self.data).chain(&self.code)
    }

    /// Enters it, as it is now, with the history that is known; returns what is to be known beside.
    pub(super) fn enter(
        &self,
        registry: &mut ProjectRegistry,
        known: &mut Known,
        hashed: &HashedFiles,
        now: SystemTime,
    ) -> Result<(Entered, Vec<String>)> {
        known.check_id(registry, self.id)?;
        let before = registry.entries.get(self.id);
        let mut entry = self.describe(before);
        let needed = entry.needed().cloned().collect::<Vec<_>>();
        let files = facts_of(self.found.files.iter().chain(&needed), hashed)?;
        let mut metadata = self.found.description.metadata.clone();
        metadata.extend(self.imported.metadata.clone());
        let current = RegisteredVersion {
            registered_at: now,
            digest: digest_of(&files),
            files,
            metadata,
        };
        let mut notes = self.compare_digests(&current);
        self.enter_versions(&mut entry, &current, &mut notes);
        self.enter_current(&mut entry, current, &mut notes)?;
        if before == Some(&entry) {
            return Ok((Entered::Unchanged(self.id.to_owned()), notes));
        }
        if let Some(before) = before {
            notes.extend(changes(self.id, before, &entry));
        }
        let item = RegisteredItem {
            id: self.id.to_owned(),
            kind: ItemKind::Model,
            version: Some(entry.current.clone()),
            previous: before.map(|before| before.current.clone()),
            is_new: before.is_none(),
            files: entry.current().map_or(0, |version| version.files.len()),
            total_bytes: entry.current().map_or(0, RegisteredVersion::total_bytes),
        };
        known.enter(self.id, &entry.path);
        registry.entries.insert(self.id.to_owned(), entry);
        Ok((Entered::Registered(item), notes))
    }

    /// The entry with what is said of it: what was set by hand, over what the other registry says, over what is
    /// registered, over what the files say.
    fn describe(&self, before: Option<&ModelEntry>) -> ModelEntry {
        let (imported, said) = (self.imported, &self.found.description);
        let class = self.class();
        let mut entry = before.cloned().unwrap_or_default();
        entry.path.clone_from(&self.found.path);
        let format = self.found.format.map(str::to_owned);
        entry.format = format.or_else(|| imported.format.clone());
        let name = imported.name.clone().or_else(|| {
            let names = [
                said.name.clone(),
                class.map(|class| class.name.clone()),
                imported.class_name.clone(),
                Some(self.id.to_owned()),
            ];
            names
                .into_iter()
                .flatten()
                .next()
                .filter(|_| entry.name.is_empty())
        });
        entry.settle("name", None, name, |entry, name| entry.name = name);
        let description = imported.description.clone().or_else(|| {
            let of_class = class.and_then(|class| class.description.clone());
            let said = said.description.clone().or(of_class);
            said.filter(|_| entry.description.is_empty())
        });
        entry.settle("description", None, description, |entry, text| {
            entry.description = text;
        });
        let or_said = |said: Option<String>, before: &Option<String>| {
            said.filter(|text| !text.is_empty() && before.is_none())
        };
        let of = imported
            .model_type
            .clone()
            .or_else(|| or_said(said.model_type.clone(), &entry.model_type));
        entry.settle("type", None, of, |entry, of| entry.model_type = Some(of));
        let entrypoint = imported
            .entrypoint
            .clone()
            .or_else(|| or_said(self.entrypoint(), &entry.entrypoint));
        entry.settle("entrypoint", None, entrypoint, |entry, text| {
            entry.entrypoint = Some(text);
        });
        let outputs = imported.outputs.clone().or_else(|| {
            let of_class = class.and_then(|class| class.outputs.clone());
            of_class.filter(|_| entry.outputs.is_empty())
        });
        entry.settle("outputs", None, outputs, |entry, outputs| {
            entry.outputs = outputs;
        });
        entry.tags.extend(imported.tags.iter().cloned());
        if before.is_none() {
            entry.tags.extend(said.tags.iter().cloned());
        }
        if !self.data.is_empty() {
            entry.data.clone_from(&self.data);
        }
        if !self.code.is_empty() {
            entry.code.clone_from(&self.code);
        }
        entry.given.extend(imported.given.iter().cloned());
        entry
    }

    /// The class or function that it is, when it is code: the one that the other registry names, else the only one.
    fn class(&self) -> Option<&ModelClass> {
        let models = self.found.module.as_ref()?.models.as_slice();
        let entrypoint = self.imported.entrypoint.as_deref();
        let symbol = entrypoint.and_then(|text| text.rsplit(':').next());
        match self.imported.class_name.as_deref().or(symbol) {
            Some(name) => models.iter().find(|class| class.name == name),
            None => models.first().filter(|_| models.len() == 1),
        }
    }

    /// What is run, by the class that the other registry names, or the code's only one.
    fn entrypoint(&self) -> Option<String> {
        let class = self.class().map(|class| &class.name);
        let class = self.imported.class_name.as_ref().or(class)?;
        let file = RelPath::parse(&self.found.path).ok()?;
        Some(format!("{}:{class}", Entrypoint::module_of(&file)?))
    }

    /// Tells which files are others than the other registry says.
    fn compare_digests(&self, current: &RegisteredVersion) -> Vec<String> {
        let mut notes = Vec::new();
        for (path, stated) in &self.imported.digests {
            let file = RelPath::parse(path).ok();
            let facts = file.and_then(|file| current.files.get(&file));
            match (facts, stated) {
                (Some(facts), Some(stated)) if facts.digest != *stated => {
                    notes.push(format!(
                        "the imported registry was stale: '{path}' has other bytes"
                    ));
                }
                (Some(_), None) => notes.push(format!(
                    "the digest of '{path}' is no SHA-256, and was not compared"
                )),
                _ => {}
            }
        }
        notes
    }

    /// Enters the versions of which digests and sizes are known.
    fn enter_versions(
        &self,
        entry: &mut ModelEntry,
        current: &RegisteredVersion,
        notes: &mut Vec<String>,
    ) {
        for (name, stated) in &self.imported.versions {
            let is_current = self.imported.current.as_ref() == Some(name);
            let known = self.known(stated, is_current, current);
            if let Some(kept) = entry.versions.get(name) {
                let is_other = known
                    .as_ref()
                    .is_none_or(|known| known.digest != kept.digest);
                // What is current is told where it is held against the files.
                if is_other && !is_current {
                    notes.push(format!(
                        "version {name} stays as it is registered: the imported registry has other files"
                    ));
                }
                continue;
            }
            match known {
                Some(known) => {
                    entry.versions.insert(name.clone(), known);
                }
                None if is_current => notes.push(format!(
                    "the imported registry was stale: '{}' has other bytes than version {name}",
                    self.found.path
                )),
                None => notes.push(format!(
                    "version {name} is left out: the digest and size of its file are not known"
                )),
            }
        }
    }

    /// A version with the facts of its files, where they are stated or are those of the files as they are now.
    fn known(
        &self,
        stated: &ImportedVersion,
        is_current: bool,
        current: &RegisteredVersion,
    ) -> Option<RegisteredVersion> {
        let as_now = || {
            let mut metadata = self.found.description.metadata.clone();
            metadata.extend(stated.metadata.clone());
            RegisteredVersion {
                registered_at: stated.registered_at.unwrap_or(current.registered_at),
                metadata,
                ..current.clone()
            }
        };
        let as_stated = |files: Files| RegisteredVersion {
            registered_at: stated.registered_at.unwrap_or(SystemTime::UNIX_EPOCH),
            digest: digest_of(&files),
            files,
            metadata: stated.metadata.clone(),
        };
        if let Some(files) = stated.files.clone().filter(|files| !files.is_empty()) {
            return Some(as_stated(files));
        }
        let own = RelPath::parse(&self.found.path).ok();
        let facts = own.as_ref().and_then(|own| current.files.get(own));
        let path = stated.path.as_ref().unwrap_or(&self.imported.path);
        let path = RelPath::parse(path).ok();
        match (stated.digest, stated.size_bytes) {
            (Some(digest), _) if facts.is_some_and(|facts| facts.digest == digest) => {
                match (path, facts) {
                    (Some(moved), Some(facts)) if Some(&moved) != own.as_ref() => {
                        Some(as_stated(Files::from([(moved, *facts)])))
                    }
                    _ => Some(as_now()),
                }
            }
            (Some(digest), Some(size_bytes)) => {
                let facts = FileFacts { digest, size_bytes };
                Some(as_stated(Files::from([(path?, facts)])))
            }
            (None, Some(size)) if is_current && size == self.size(current) => Some(as_now()),
            (None, None) if is_current => Some(as_now()),
            _ => None,
        }
    }

    /// The size of its own files.
    fn size(&self, current: &RegisteredVersion) -> u64 {
        let own = self.found.files.iter();
        own.filter_map(|file| current.files.get(file))
            .map(|facts| facts.size_bytes)
            .sum()
    }

    /// Makes the files as they are now the current version: the highest, when it has them, else a new one.
    fn enter_current(
        &self,
        entry: &mut ModelEntry,
        current: RegisteredVersion,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let stated = self.found.description.version.as_deref();
        let names = entry.versions.keys();
        let highest = names.max_by(|one, other| version::compare(one, other));
        let imported = self.imported.current.as_deref();
        let lost = imported.filter(|name| {
            self.imported.versions.contains_key(*name) && !entry.versions.contains_key(*name)
        });
        let name = match (highest.cloned(), lost) {
            (None, None) => imported.or(stated).unwrap_or(version::FIRST).to_owned(),
            (None, Some(lost)) => after(lost, stated),
            (Some(highest), lost) => {
                let has_them = entry
                    .versions
                    .get(&highest)
                    .is_some_and(|version| version.digest == current.digest);
                entry.current.clone_from(&highest);
                if has_them {
                    return Ok(());
                }
                let higher = lost.filter(|lost| version::compare(lost, &highest).is_gt());
                let next = match higher {
                    Some(lost) => Some(after(lost, stated)),
                    None => next_version(Some(entry), &current, None, stated)?,
                };
                let next = next.unwrap_or_else(|| version::next_patch(&highest));
                notes.push(format!(
                    "its files are others than those of version {highest}, and became {next}"
                ));
                next
            }
        };
        entry.versions.insert(name.clone(), current);
        entry.current = name;
        Ok(())
    }
}

/// The version behind one: what the file states, when that is higher, else the next patch.
fn after(version: &str, stated: Option<&str>) -> String {
    let is_higher = |stated: &&str| {
        version::compare(stated, version).is_gt() && ModelRef::new("", "m", stated).is_ok()
    };
    match stated.filter(is_higher) {
        Some(stated) => stated.to_owned(),
        None => version::next_patch(version),
    }
}

/// What changed of what was registered before, but for the version.
fn changes(id: &str, before: &ModelEntry, after: &ModelEntry) -> Vec<String> {
    let registry = |entry: &ModelEntry| {
        let mut registry = ProjectRegistry::default();
        registry.entries.insert(id.to_owned(), entry.clone());
        registry
    };
    Difference::between(&registry(before), &registry(after)).words()
}
