//! A model of another registry, and its files.

use std::time::SystemTime;

use super::entries::{ImportedModel, ImportedVersion};
use crate::error::{Error, Result};
use crate::model::{ModelName, ModelRef};
use crate::modelstoml::{FileFacts, Files, ModelEntry, RegisteredVersion, digest_of, version};
use crate::project::change::candidate::{Details, ModelCandidate, entrypoint_of, symbol_of};
use crate::project::change::difference::ItemChange;
use crate::project::change::register::{Outcome, Register, next_version};
use crate::project::home::Project;
use crate::project::scan::survey::Candidate;
use crate::relpath::RelPath;

/// A model whose files exist.
#[derive(Debug)]
pub(super) struct ModelImport<'a> {
    pub(super) id: &'a str,
    imported: &'a ImportedModel,
    pub(super) at: Candidate,
    data: Vec<RelPath>,
    code: Vec<RelPath>,
}

impl<'a> ModelImport<'a> {
    pub(super) fn find(
        project: &Project,
        id: &'a str,
        imported: &'a ImportedModel,
    ) -> Result<Self> {
        ModelName::parse(id).map_err(Error::argument_name)?;
        for version in imported.versions.keys().chain(&imported.current) {
            ModelRef::new("", "m", version).map_err(Error::argument_name)?;
        }
        let at = project.look_at(&project.find_imported(&imported.path)?)?;
        if at.files.is_empty() {
            let message = format!("there are no files below '{}'", at.path);
            return Err(Error::argument(message));
        }
        Ok(Self {
            id,
            imported,
            at,
            data: project.find_all_imported(&imported.data)?,
            code: project.find_all_imported(&imported.code)?,
        })
    }

    /// Returns its files, and those that it needs.
    pub(super) fn needed(&self) -> impl Iterator<Item = &RelPath> {
        self.at.files.iter().chain(&self.data).chain(&self.code)
    }

    /// Registers it as it is now, with the history that is known; returns notes about it, too.
    pub(super) fn register(&self, register: &mut Register<'_>) -> Result<(Outcome, Vec<String>)> {
        register.ids.check(register.registry, self.id)?;
        let before = register.registry.entries.get(self.id);
        let mut entry = self.describe(before);
        let mut metadata = self.at.description.metadata.clone();
        metadata.extend(self.imported.metadata.clone());
        let files = self.at.files.iter().chain(entry.needed());
        let current = register.version(files, metadata)?;
        let mut notes = self.compare_digests(&current);
        self.add_history(&mut entry, &current, &mut notes);
        self.add_current(&mut entry, current, &mut notes)?;
        if let Some(before) = before {
            notes.extend(ItemChange::of_model(self.id, before, &entry).lines());
        }
        Ok((register.put_model(self.id.to_owned(), entry), notes))
    }

    /// Returns the entry with what is said of it: what was set by hand, over what the other registry says, over what is
    /// registered, over what the files say.
    fn describe(&self, before: Option<&ModelEntry>) -> ModelEntry {
        let imported = self.imported;
        let mut entry = before.cloned().unwrap_or_default();
        entry.path.clone_from(&self.at.path);
        let format = self.at.format.map(str::to_owned);
        entry.format = format.or_else(|| imported.format.clone());
        let symbol = imported.details.entrypoint.as_deref().map(symbol_of);
        let class = self.at.class(imported.class_name.as_deref().or(symbol));
        let candidate = ModelCandidate {
            at: &self.at,
            class,
            is_one_of_several: false,
        };
        let class_name = imported.class_name.as_ref();
        let class_name = class_name.or(class.map(|class| &class.name));
        let of_files = Details {
            entrypoint: class_name
                .zip(self.at.file())
                .and_then(|(name, file)| entrypoint_of(file, name)),
            ..candidate.details()
        };
        let fallback = Details {
            name: Some(
                imported
                    .class_name
                    .clone()
                    .unwrap_or_else(|| self.id.to_owned()),
            ),
            ..Details::default()
        };
        let missing = of_files.or(fallback).missing_in(&entry);
        entry.describe(Details::default(), imported.details.clone().or(missing));
        entry.tags.extend(imported.tags.iter().cloned());
        if before.is_none() {
            entry.tags.extend(self.at.description.tags.iter().cloned());
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

    /// Notes which files differ from what the other registry says.
    fn compare_digests(&self, current: &RegisteredVersion) -> Vec<String> {
        let mut notes = Vec::new();
        for (path, stated) in &self.imported.digests {
            let file = RelPath::parse(path).ok();
            let facts = file.and_then(|file| current.files.get(&file));
            match (facts, stated) {
                (Some(facts), Some(stated)) if facts.digest != *stated => {
                    notes.push(format!(
                        "the imported registry was stale: '{path}' has changed"
                    ));
                }
                (Some(_), None) => notes.push(format!(
                    "the digest of '{path}' is not a SHA-256, and was not compared"
                )),
                _ => {}
            }
        }
        notes
    }

    /// Adds the versions whose digests and sizes are known.
    fn add_history(
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
                // The current one is compared with the files.
                if is_other && !is_current {
                    notes.push(format!(
                        "version {name} stays as it is registered: its files differ in the imported registry"
                    ));
                }
                continue;
            }
            match known {
                Some(known) => {
                    entry.versions.insert(name.clone(), known);
                }
                None if is_current => notes.push(format!(
                    "the imported registry was stale: '{}' has changed since version {name}",
                    self.at.path
                )),
                None => notes.push(format!(
                    "version {name} is left out: the digest or size of its file is unknown"
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
            let mut metadata = self.at.description.metadata.clone();
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
        let own = RelPath::parse(&self.at.path).ok();
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
        let own = self.at.files.iter();
        own.filter_map(|file| current.files.get(file))
            .map(|facts| facts.size_bytes)
            .sum()
    }

    /// Makes the files as they are now the current version: the highest one if it has them, else a new one.
    fn add_current(
        &self,
        entry: &mut ModelEntry,
        current: RegisteredVersion,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let stated = self.at.description.version.as_deref();
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
                    "its files differ from version {highest}, and became {next}"
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
