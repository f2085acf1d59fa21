//! A model of another registry, and its files.

use std::slice;
use std::time::SystemTime;

use super::entries::{ImportedModel, ImportedVersion};
use crate::error::{Error, Result};
use crate::model::{ModelName, ModelRef};
use crate::modelstoml::{
    FileFacts, Files, ModelEntry, ProjectRegistry, RegisteredVersion, digest_of, version,
};
use crate::project::change::candidate::{Details, ModelCandidate, entrypoint_of, symbol_of};
use crate::project::change::difference::ItemChange;
use crate::project::change::register::{Register, next_version};
use crate::project::home::Project;
use crate::project::scan::candidate::Candidate;
use crate::relpath::RelPath;

/// A model whose files exist.
#[derive(Debug)]
pub(super) struct ModelImport<'a> {
    pub(super) id: &'a str,
    imported: &'a ImportedModel,
    pub(super) at: Candidate,
    data: Vec<RelPath>,
    code: Vec<RelPath>,
    /// The data and code that is elsewhere for now.
    pub(super) elsewhere: Files,
}

impl<'a> ModelImport<'a> {
    pub(super) fn find(
        project: &Project,
        id: &'a str,
        imported: &'a ImportedModel,
        known: &Files,
    ) -> Result<Self> {
        ModelName::parse(id).map_err(Error::argument_name)?;
        for version in imported.versions.keys().chain(&imported.current) {
            ModelRef::new("", "m", version).map_err(Error::argument_name)?;
        }
        let mut at = project.look_at(&project.imported_path(&imported.path)?)?;
        project.forget_metadata(slice::from_mut(&mut at));
        if at.files.is_empty() {
            let message = format!("there are no files below '{}'", at.path);
            return Err(Error::argument(message).naming(&at.path));
        }
        let mut elsewhere = Files::new();
        let mut find = |paths: &[String]| {
            project.find_imported(paths, known, &mut elsewhere, &mut at.left_behind)
        };
        let (data, code) = (find(&imported.data)?, find(&imported.code)?);
        Ok(Self {
            id,
            imported,
            at,
            data,
            code,
            elsewhere,
        })
    }

    /// Returns its files, and those that it needs or needed when it was registered.
    pub(super) fn needed(&self, registry: &'a ProjectRegistry) -> impl Iterator<Item = &RelPath> {
        let before = registry.entries.get(self.id).into_iter();
        let own = self.at.files.iter().chain(&self.data).chain(&self.code);
        own.chain(before.flat_map(ModelEntry::needed))
    }

    /// Registers it as it is now, with the history that is known; returns notes about it.
    pub(super) fn register(&self, register: &mut Register<'_>) -> Result<Vec<String>> {
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
        register.put_model(self.id.to_owned(), entry);
        Ok(notes)
    }

    /// Returns the entry as it is described: by hand, else by the other registry, else as it is registered, else by the
    /// files.
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
        let mut of_files = candidate.details();
        if let (Some(name), Some(file)) = (&imported.class_name, self.at.file()) {
            of_files.entrypoint = entrypoint_of(file, name);
        }
        let name = imported.class_name.as_deref().unwrap_or(self.id);
        of_files.name.get_or_insert_with(|| name.to_owned());
        let details = imported.details.clone().or(Details::of(&entry));
        entry.describe(Details::default(), details.or(of_files));
        entry.tags.extend(imported.tags.iter().cloned());
        if before.is_none() {
            entry.tags.extend(self.at.description.tags.iter().cloned());
        }
        entry.replace_needed(&self.data, &self.code);
        entry.given.extend(imported.given.iter().cloned());
        entry
    }

    /// Notes which files do not match the digests in the other registry.
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
            match (entry.versions.get(name), known) {
                // The current one is compared with the files.
                (Some(_), _) if is_current => {}
                (Some(kept), Some(known)) if known.digest == kept.digest => {}
                (Some(_), _) => notes.push(format!(
                    "version {name} stays as it is registered: its files differ in the imported registry"
                )),
                (None, Some(known)) => {
                    entry.versions.insert(name.clone(), known);
                }
                (None, None) if is_current => notes.push(format!(
                    "the imported registry was stale: '{}' has changed since version {name}",
                    self.at.path
                )),
                (None, None) => notes.push(format!(
                    "version {name} is left out: the digest or size of its file is unknown"
                )),
            }
        }
    }

    /// Returns a version with the facts of its files, if they are stated or are those of the files as they are now.
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
        let Some(digest) = stated.digest else {
            let own = self
                .at
                .files
                .iter()
                .filter_map(|file| current.files.get(file));
            let own_bytes: u64 = own.map(|facts| facts.size_bytes).sum();
            let is_now = stated.size_bytes.is_none_or(|bytes| bytes == own_bytes);
            return (is_current && is_now).then(as_now);
        };
        let path = stated.path.as_ref().unwrap_or(&self.imported.path);
        let path = RelPath::parse(path).ok();
        let own = self.at.file();
        let own = own.and_then(|own| Some((own, current.files.get(own)?)));
        let size_bytes = match own.filter(|(_, facts)| facts.digest == digest) {
            Some((own, _)) if path.as_ref().is_none_or(|path| path == own) => {
                return Some(as_now());
            }
            // The file has moved since.
            Some((_, facts)) => facts.size_bytes,
            None => stated.size_bytes?,
        };
        let facts = FileFacts { digest, size_bytes };
        Some(as_stated(Files::from_iter([(path?, facts)])))
    }

    /// Makes the files as they are now the current version: the highest one if they are its files, else a new one.
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
                entry.current.clone_from(&highest);
                let has = entry.current();
                if has.is_some_and(|has| has.is_same(&current)) {
                    entry.put_current(None, current);
                    return Ok(());
                }
                let next = match lost.filter(|lost| version::compare(lost, &highest).is_gt()) {
                    Some(lost) => Some(after(lost, stated)),
                    None => next_version(Some(entry), &current, None, stated)?,
                };
                let next = next.unwrap_or_else(|| version::next_patch(&highest));
                notes.push(match entry.versions.contains_key(&next) {
                    true => {
                        format!("its files differ from version {highest}, and are those of {next}")
                    }
                    false => format!("its files differ from version {highest}, and became {next}"),
                });
                next
            }
        };
        entry.put_current(Some(name), current);
        Ok(())
    }
}

/// Returns the version after another: the one that the file states, if that is higher, else the next patch.
fn after(version: &str, stated: Option<&str>) -> String {
    let is_higher = |stated: &&str| {
        version::compare(stated, version).is_gt() && ModelRef::new("", "m", stated).is_ok()
    };
    let higher = stated.filter(is_higher).map(str::to_owned);
    higher.unwrap_or_else(|| version::next_patch(version))
}
