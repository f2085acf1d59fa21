//! Publishing what a project has registered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::inputs::in_a_row;
use super::{
    DEFAULT_CHUNK_BYTES, PublishOptions, PublishReport, Written, check_chunk_bytes, enter,
    write_documents,
};
use crate::catalog::Metadata;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelRef;
use crate::modelstoml::{ModelEntry, RegisteredVersion};
use crate::progress::CancelToken;
use crate::project::check::{Category, Severity, StatusOptions};
use crate::project::home::Project;
use crate::project::item::ItemKind;
use crate::relpath::{RelPath, common_folder};
use crate::setters::setters;

/// How to publish registered models.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishRegisteredOptions {
    /// The ids of the models. Default: all.
    pub ids: Vec<String>,
    /// The group of models whose ids have none. Default: `models`.
    pub group: String,
    /// The size of a chunk, from 1 KiB. Default: [`DEFAULT_CHUNK_BYTES`].
    pub chunk_bytes: u64,
    /// Other names for each version, such as `latest`.
    pub aliases: Vec<String>,
    /// Stops the work when it is cancelled.
    pub cancel: CancelToken,
}

impl Default for PublishRegisteredOptions {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            group: "models".to_owned(),
            chunk_bytes: DEFAULT_CHUNK_BYTES,
            aliases: Vec::new(),
            cancel: CancelToken::new(),
        }
    }
}

setters!(PublishRegisteredOptions {
    ids: Vec<String>,
    group: impl Into<String>,
    chunk_bytes: u64,
    aliases: Vec<String>,
    cancel: CancelToken,
});

impl Project {
    /// Publishes registered models in their current versions as a chunked registry, as [`publish`](crate::project::publish())
    /// does; files lie in the model's folder as they do below the folder that all of them are in. They are in the index
    /// all at once, or none of them is.
    ///
    /// # Errors
    /// [`ErrorKind::NotPublishable`] while the project's status has errors, or a file of a model changed since it was
    /// registered; [`ErrorKind::NotRegistered`]; what [`publish`](crate::project::publish()) fails with.
    pub fn publish(
        &self,
        registry: &Path,
        options: &PublishRegisteredOptions,
    ) -> Result<Vec<PublishReport>> {
        check_chunk_bytes(options.chunk_bytes)?;
        let ids: BTreeSet<&str> = match options.ids.as_slice() {
            [] => self.registry().entries.keys().map(String::as_str).collect(),
            ids => ids.iter().map(String::as_str).collect(),
        };
        if ids.is_empty() {
            return Err(Error::argument(
                "no model is registered, so that there is none to publish",
            ));
        }
        for id in &ids {
            if self.registry().kind_of(id)? == ItemKind::Target {
                return Err(Error::argument(format!(
                    "'{id}' is a target, and models are published"
                )));
            }
        }
        self.check_publishable(&ids, options)?;
        let current = ids
            .iter()
            .filter_map(|id| Some((*id, self.registry().current(id)?)));
        let mut written: Vec<Written> = current
            .map(|(id, (entry, version))| {
                if options.cancel.is_cancelled() {
                    return Err(ErrorKind::Cancelled.into());
                }
                let written = self.write_one(id, entry, version, registry, options);
                written.map_err(|error| error.step(format!("publish {id}")))
            })
            .collect::<Result<_>>()?;
        enter(registry, &mut written)?;
        Ok(written.into_iter().map(|written| written.report).collect())
    }

    /// Refuses what the registry is not true to, or what would not work.
    fn check_publishable(
        &self,
        ids: &BTreeSet<&str>,
        options: &PublishRegisteredOptions,
    ) -> Result<()> {
        // Everything is read anyway; a file that kept its size and time is not published for what it was.
        let deep = StatusOptions::default().deep(true);
        let status = self.status(&deep.cancel(options.cancel.clone()))?;
        let in_the_way: Vec<String> = status
            .findings
            .iter()
            .filter(|finding| {
                let is_of_chosen = finding.entity.as_ref().is_some_and(|item| {
                    item.kind == ItemKind::Model && ids.contains(item.id.as_str())
                });
                finding.severity == Severity::Error
                    || is_of_chosen && finding.category == Category::Stale
            })
            .map(ToString::to_string)
            .collect();
        match in_the_way.is_empty() {
            true => Ok(()),
            false => Err(ErrorKind::NotPublishable {
                findings: in_the_way,
            }
            .into()),
        }
    }

    fn write_one(
        &self,
        id: &str,
        entry: &ModelEntry,
        version: &RegisteredVersion,
        registry: &Path,
        options: &PublishRegisteredOptions,
    ) -> Result<Written> {
        let (group, name) = id.rsplit_once('/').unwrap_or((&options.group, id));
        let model = ModelRef::new(group, name, &entry.current).map_err(Error::argument_name)?;
        let root = common_folder(version.files.keys().map(RelPath::as_str));
        let skip = if root.is_empty() { 0 } else { root.len() + 1 };
        let mut files: BTreeMap<RelPath, PathBuf> = BTreeMap::new();
        for path in version.files.keys() {
            let name = RelPath::parse(&path.as_str()[skip..]).map_err(Error::argument_name)?;
            files.insert(name, self.locate(path));
        }
        let options = PublishOptions {
            chunk_bytes: options.chunk_bytes,
            aliases: options.aliases.clone(),
            metadata: facts(entry, version),
            skip: None,
        };
        write_documents(&in_a_row(files)?, registry, &model, &options)
    }
}

/// What the index says of a model: what its files do, over that what the registry does.
fn facts(entry: &ModelEntry, version: &RegisteredVersion) -> Metadata {
    let mut facts = version.metadata.clone();
    facts.insert("name".into(), entry.name.clone().into());
    let texts = [
        (
            "description",
            Some(&entry.description).filter(|text| !text.is_empty()),
        ),
        ("type", entry.model_type.as_ref()),
        ("entrypoint", entry.entrypoint.as_ref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            facts.insert(key.into(), text.clone().into());
        }
    }
    let tags: Vec<Value> = entry.tags.iter().map(|tag| tag.clone().into()).collect();
    let outputs: Vec<Value> = entry
        .outputs
        .iter()
        .map(|output| output.clone().into())
        .collect();
    for (key, list) in [("tags", tags), ("outputs", outputs)] {
        if !list.is_empty() {
            facts.insert(key.into(), list.into());
        }
    }
    facts
}
