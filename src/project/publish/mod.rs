//! Publishing models of a project, or any files, in a registry that others pull from.

mod describe;
pub(crate) mod make;
mod prune;
mod report;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::Metadata;
use crate::config::Config;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::http::call::Call;
use crate::http::transport::Transport;
use crate::http::waiting::telling_waits;
use crate::model::ModelRef;
use crate::modelstoml::{ModelEntry, RegisteredVersion};
use crate::progress::{CancelToken, Progress, Silent, Task};
use crate::project::check::{Category, Finding, Severity, StatusOptions};
use crate::project::home::Project;
use crate::project::item::ItemKind;
use crate::publish::chunked::{
    Chunking, DEFAULT_CHUNK_BYTES, Stream, Writing, WrittenVersion, check_chunk_bytes,
};
use crate::publish::oci::push_version;
use crate::publish::{Destination, Opened, Opening, PublishTarget};
use crate::relpath::{RelPath, common_folder};
use crate::setters::setters;
use crate::settings::Settings;
use crate::source::Sources;

pub use prune::{PrunedObject, RegistryPruneOptions, RegistryPrunePlan, RegistryPruneReport};
pub use report::PublishReport;
pub use summary::{FailedPublish, PublishSummary};

/// The group of models for which nobody named one.
const DEFAULT_GROUP: &str = "models";

/// How to publish models.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::progress::Silent;
/// use modelrack::project::{Chunking, Project, PublishOptions};
/// use modelrack::remote::Metadata;
/// use modelrack::{CancelToken, Config, Environment, ModelRef};
///
/// # let folder = tempfile::tempdir()?;
/// # let (weights, registry) = (folder.path().join("weights"), folder.path().join("public"));
/// # std::fs::create_dir_all(weights.join(".tool"))?;
/// # std::fs::write(weights.join("model.bin"), [0; 3000])?;
/// let options = PublishOptions::default()
///     .chunk_bytes(1 << 10)
///     .chunking(Chunking::Fixed)
///     .shards(false)
///     .aliases(["latest"])
///     .metadata(Metadata::from_iter([("type".to_owned(), "audio-to-text".into())]))
///     .group("speech")
///     .skip(".tool")
///     .force(false)
///     .dry_run(false)
///     .config(Config::new("tool"))
///     .environment(Environment::of_process())
///     .offline(true)
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// let model = ModelRef::new("whisper", "tiny", "fp16")?;
/// let report = Project::publish_files(&[weights], &model, &registry, &options)?;
/// assert_eq!((report.files, report.total_bytes, report.chunks), (1, 3000, 3));
/// assert_eq!(report.chunks_written, 2, "two of the chunks have the same bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishOptions {
    /// The size of a chunk, in bytes, at least 1024. Default: [`DEFAULT_CHUNK_BYTES`].
    pub chunk_bytes: u64,
    /// Where versions are cut into chunks. A version that has the same files as before keeps its chunks. Default: as the
    /// version was cut before, else as the highest one of the model, so that they share chunks; else [`Chunking::Content`].
    pub chunking: Option<Chunking>,
    /// Whether the index is put into shards, so that a look-up in a registry of very many models fetches kilobytes of it.
    /// Readers of before shards do not find models there. An index in shards stays so, and one that would be too large for
    /// readers otherwise is put into shards in any case. Default: no.
    pub shards: bool,
    /// Aliases of each version, such as `latest`. An alias moves to the version from the one that had it before. Default:
    /// none.
    pub aliases: Vec<String>,
    /// What the index states about each version: `description`, `type`, `tags` and anything else. It takes precedence over
    /// what is registered. Default: nothing more.
    pub metadata: Metadata,
    /// The group of registered models whose ids have no group. Default: `models`.
    pub group: String,
    /// The name of a folder that is left out at the top of each path, such as `.tool`, where a store keeps its own files.
    /// Default: none.
    pub skip: Option<String>,
    /// Whether to publish in a bucket whose store ignores conditions: nobody else may publish there meanwhile, or what one
    /// of the two publishes is lost. Default: no.
    pub force: bool,
    /// Whether to write and send nothing, and only say what would be. What a server keeps to itself until somebody writes, such
    /// as that a key may not, stays unknown. Default: no.
    pub dry_run: bool,
    /// Who publishes, over which network: what it says about proxies and certificates counts where a target is a server. Default:
    /// an app `modelrack`.
    pub config: Option<Config>,
    /// The environment, with the credentials for a registry. Default: that of the process.
    pub environment: Option<Environment>,
    /// The transport of requests. Default: the built-in one.
    pub transport: Option<Arc<dyn Transport>>,
    /// Whether to keep off the network, which only publishing on this machine gets by without. Default: no, unless the configuration
    /// or the environment says so.
    pub offline: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives how far the hashing and the chunking are; [`AddOptions`](crate::project::AddOptions) has an example.
    pub progress: Option<Arc<dyn Progress>>,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: DEFAULT_CHUNK_BYTES,
            chunking: None,
            shards: false,
            aliases: Vec::new(),
            metadata: Metadata::new(),
            group: DEFAULT_GROUP.to_owned(),
            skip: None,
            force: false,
            dry_run: false,
            config: None,
            environment: None,
            transport: None,
            offline: false,
            cancel: CancelToken::new(),
            progress: None,
        }
    }
}

setters!(PublishOptions {
    chunk_bytes: u64,
    chunking: impl Into<Option<Chunking>>,
    shards: bool,
    aliases: [impl Into<String>],
    metadata: Metadata,
    group: impl Into<String>,
    skip: Some(impl Into<String>),
    force: bool,
    dry_run: bool,
    config: Some(Config),
    environment: Some(Environment),
    transport: Some(Arc<dyn Transport>),
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

impl Project {
    /// Publishes registered models, or all if none is named, in their current versions, into a new registry or an existing one.
    /// [`PublishReport`] has an example.
    ///
    /// The paths of a model's files are relative to the deepest folder that contains all of them. The index of a chunked registry
    /// gets either all of the models or none, and so does a tar; other artifacts are published one by one. A model whose own
    /// files or names are to blame does not keep the others from being tried: [`publish_each`](Self::publish_each) tells of each.
    ///
    /// # Errors
    /// [`Several`](ErrorKind::Several) if some of several models fail; else those of [`Project::publish_each`].
    pub fn publish(
        &self,
        ids: &[&str],
        registry: impl Into<PublishTarget>,
        options: &PublishOptions,
    ) -> Result<Vec<PublishReport>> {
        self.publish_each(ids, registry, options)?.into_result()
    }

    /// Does the same, and says of each model what became of it. [`PublishSummary`] has an example.
    ///
    /// # Errors
    /// [`NotPublishable`](ErrorKind::NotPublishable) if the project's status has errors, or a file of a model changed
    /// since it was registered; [`NotRegistered`](ErrorKind::NotRegistered); those of [`Project::publish_files`] that are not
    /// about one model.
    pub fn publish_each(
        &self,
        ids: &[&str],
        registry: impl Into<PublishTarget>,
        options: &PublishOptions,
    ) -> Result<PublishSummary> {
        let target = registry.into();
        check_chunk_bytes(options.chunk_bytes)?;
        let several = ids.len() != 1;
        let ids: BTreeSet<&str> = match ids {
            [] => self.registry().entries.keys().map(String::as_str).collect(),
            ids => ids.iter().copied().collect(),
        };
        if ids.is_empty() {
            return Err(Error::argument("no models are registered"));
        }
        for id in &ids {
            if self.registry().kind_of(id)? == ItemKind::Target {
                let message = format!("'{id}' is a target, and only models can be published");
                return Err(Error::argument(message));
            }
        }
        self.check_publishable(&ids, options)?;
        let destination = options.open(&target, several)?;
        let opened = destination.begin(&target)?;
        let mut versions = Vec::new();
        let mut summary = PublishSummary {
            of: ids.len(),
            ..PublishSummary::default()
        };
        let mut current = ids
            .iter()
            .filter_map(|id| Some((*id, self.registry().current(id)?)));
        for (id, (entry, version)) in current.by_ref() {
            match self.write_registered(id, entry, version, &opened, options) {
                Ok(written) => versions.push(written),
                Err(error) => {
                    let is_of_model = is_of_model(&error);
                    let error = error.step(format!("publish {id}"));
                    let id = id.to_owned();
                    summary.failed.push(FailedPublish { id, error });
                    if !is_of_model {
                        break;
                    }
                }
            }
        }
        summary.not_tried = current.map(|(id, _)| id.to_owned()).collect();
        match summary.failed.is_empty() {
            true => opened.finish(options.shards, &mut versions)?,
            false if opened.shows_at_once() => {}
            false => versions.clear(),
        }
        let reports = versions.into_iter();
        summary.models = reports
            .map(|version| PublishReport::new(version, &target, Vec::new()))
            .collect();
        Ok(summary)
    }

    /// Publishes files and folders as one version of a model, into a new registry or an existing one. They need not belong to a
    /// project. [`PublishOptions`] has an example.
    ///
    /// The content of a folder is at the top of the model, and so is a file, under its own name. Links are followed.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if there is no file, two files have one name, or a name would be
    /// refused by those who pull; [`Registry`](ErrorKind::Registry) if the registry's index is malformed, or a file is a
    /// pointer of Git LFS; the storage
    /// errors; [`Cancelled`](ErrorKind::Cancelled).
    pub fn publish_files(
        paths: &[PathBuf],
        model: &ModelRef,
        registry: impl Into<PublishTarget>,
        options: &PublishOptions,
    ) -> Result<PublishReport> {
        check_chunk_bytes(options.chunk_bytes)?;
        let target = registry.into();
        for path in paths {
            let metadata = fs::metadata(path).at("read", path)?;
            if !metadata.is_file() && !metadata.is_dir() {
                let message = format!("{} is neither a file nor a folder", path.display());
                return Err(Error::argument(message));
            }
        }
        let skip = options.skip.as_deref();
        let stream = Stream::find(paths, target.folder(), skip, &options.cancel)?;
        let (metadata, writing) = (options.metadata.clone(), options.writing());
        let destination = options.open(&target, false)?;
        let opened = destination.begin(&target)?;
        let version = match &opened {
            Opened::Chunked(registry) => {
                registry.write_version(&stream, model, &metadata, &writing)?
            }
            Opened::Artifacts(place) => {
                let repository = place.of_model(&repository_name(model.group(), model.model()))?;
                let model = place.named(model, &*repository)?;
                let mut described = describe::describe(&stream)?;
                described.extend(metadata);
                push_version(&stream, &model, &described, &*repository, &writing)?
            }
        };
        let mut version = [version];
        opened.finish(options.shards, &mut version)?;
        let [version] = version;
        Ok(PublishReport::new(version, &target, stream.left_behind))
    }

    /// Refuses projects with errors, and models whose files have changed.
    fn check_publishable(&self, ids: &BTreeSet<&str>, options: &PublishOptions) -> Result<()> {
        // Everything is read anyway, and a changed file with the same size and time must not be published.
        let status = self.status(&StatusOptions {
            deep: true,
            cancel: options.cancel.clone(),
            progress: options.progress.clone(),
        })?;
        let prevents = |finding: &&Finding| {
            let is_stale = finding.category == Category::Stale;
            let is_of_chosen = finding
                .entity
                .as_ref()
                .is_some_and(|item| item.kind == ItemKind::Model && ids.contains(item.id.as_str()));
            finding.severity == Severity::Error || is_stale && is_of_chosen
        };
        let findings = status.findings.iter().filter(prevents);
        let findings: Vec<String> = findings.map(ToString::to_string).collect();
        match findings.is_empty() {
            true => Ok(()),
            false => Err(ErrorKind::NotPublishable { findings }.into()),
        }
    }

    fn write_registered(
        &self,
        id: &str,
        entry: &ModelEntry,
        version: &RegisteredVersion,
        opened: &Opened<'_>,
        options: &PublishOptions,
    ) -> Result<WrittenVersion> {
        let (group, name) = id.rsplit_once('/').unwrap_or((&options.group, id));
        let model = ModelRef::new(group, name, &entry.current).map_err(Error::argument_name)?;
        let root = common_folder(version.files.keys().map(RelPath::as_str));
        let skip = if root.is_empty() { 0 } else { root.len() + 1 };
        let mut files: BTreeMap<RelPath, PathBuf> = BTreeMap::new();
        for path in version.files.keys() {
            let name = RelPath::parse(&path.as_str()[skip..]).map_err(Error::argument_name)?;
            files.insert(name, self.locate(path));
        }
        let mut metadata = metadata_of(entry, version);
        metadata.extend(options.metadata.clone());
        let (stream, writing) = (Stream::of(files)?, options.writing());
        match opened {
            Opened::Chunked(registry) => {
                registry.write_version(&stream, &model, &metadata, &writing)
            }
            Opened::Artifacts(place) => {
                let repository = match id.contains('/') {
                    true => place.of_model(id)?,
                    false => place.of_model(&repository_name(group, name))?,
                };
                let model = place.named(&model, &*repository)?;
                push_version(&stream, &model, &metadata, &*repository, &writing)
            }
        }
    }
}

/// What a model is called below a place of several repositories: with its group, so that models of two groups stay apart, unless
/// nobody named one.
fn repository_name(group: &str, model: &str) -> String {
    match group {
        DEFAULT_GROUP => model.to_owned(),
        group => format!("{group}/{model}"),
    }
}

/// Whether an error is about the files of one model, so that the others can be tried.
fn is_of_model(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidArgument { .. }
            | ErrorKind::Storage { .. }
            | ErrorKind::Permission { .. }
            | ErrorKind::HashMismatch { .. }
    )
}

impl PublishOptions {
    fn open(&self, target: &PublishTarget, several: bool) -> Result<Destination> {
        let destination = target.open(&Opening {
            several,
            network: &|| {
                let (call, environment) = self.network()?;
                let call = call.with_progress(self.progress.as_ref());
                Ok((telling_waits(Task::Uploading, target, call), environment))
            },
            cancel: &self.cancel,
            force: self.force,
            is_rehearsal: self.dry_run,
        })?;
        Ok(match self.dry_run {
            true => destination.rehearsed(),
            false => destination,
        })
    }

    /// Opens the network.
    fn network(&self) -> Result<(Call, Environment)> {
        let environment = self.environment.clone();
        let environment = environment.unwrap_or_else(Environment::of_process);
        let config = self.config.clone();
        let config = config.unwrap_or_else(|| Config::new("modelrack"));
        let settings = Settings::read(&config, &environment)?;
        let sources = Sources::open(&settings, &environment, self.transport.clone())?;
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        let client = sources.client.with_offline(self.offline);
        Ok((
            Call::new(client, self.cancel.clone(), progress),
            environment,
        ))
    }

    fn writing(&self) -> Writing<'_> {
        Writing {
            chunk_bytes: self.chunk_bytes,
            chunking: self.chunking,
            aliases: &self.aliases,
            known: None,
            source: None,
            cancel: &self.cancel,
            progress: self.progress.as_deref(),
        }
    }
}

/// Returns the metadata of a model for the index: what is registered, else what its files state.
fn metadata_of(entry: &ModelEntry, version: &RegisteredVersion) -> Metadata {
    let registered = [
        ("name", Value::from(entry.name.clone())),
        ("description", entry.description.clone().into()),
        ("type", entry.model_type.clone().into()),
        ("status", entry.status.clone().into()),
        ("entrypoint", entry.entrypoint.clone().into()),
        ("tags", entry.tags.iter().cloned().collect()),
        ("outputs", entry.outputs.clone().into()),
    ];
    let is_stated = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        other => !other.is_null(),
    };
    let registered = registered.into_iter().filter(|(_, value)| is_stated(value));
    let mut metadata = version.metadata.clone();
    metadata.extend(registered.map(|(key, value)| (key.to_owned(), value)));
    metadata
}
