//! Writing the `models.toml` of a repository, from the folders of its models.
//!
//! What is indexed is what will be served: the archive of the repository at a ref, or a zip of a release. A folder of this
//! machine may be indexed instead, for trying out; the same files give the same registry, byte for byte.
//!
//! A folder with a name file is a model, called by its path below the folder that is indexed. Everything below it is its
//! own, even where it is another model's too. Left out are what a run of the model writes (`.lst .hds .hed .cbb .cbc .bud
//! .ddn .ucn .glo`), what its outputs are compared with (`compare*`), and what version control, file managers and
//! registries keep for themselves. A link in a model is refused: what a server has under its name is not what it leads to.

mod folder;
mod models;
mod opened;
mod tree;
mod zip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;
use tracing::info;

use crate::config::Config;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::glob::Glob;
use crate::http::Client;
use crate::http::transport::Transport;
use crate::model::ModelName;
use crate::modelstoml::{Document, FileEntry, ProjectRegistry};
use crate::progress::CancelToken;
use crate::project::registry::{GENERATED, OnDisk, RegistryFile};
use crate::relpath::below;
use crate::setters::setters;
use crate::settings::Settings;
use crate::source::Sources;
use crate::source::repository::place::{RepositoryPlace, place_of};
use crate::store::lock::RECORD_LIMIT;

use models::{Models, Naming, find};
use opened::{Fetching, Opened, Served, open_folder};
use tree::Facts;
pub(in crate::project) use tree::is_output_of_run;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// A repository at a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepositoryRef {
    /// `OWNER/NAME`.
    pub repo: String,
    /// A branch, a tag, a release or a commit.
    pub reference: String,
}

impl RepositoryRef {
    /// Names a repository at a ref. Both are checked when they are used.
    pub fn new(repo: impl Into<String>, reference: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            reference: reference.into(),
        }
    }

    /// Finds how it is reached: as a source says that names it, else as the environment says.
    fn serve(
        &self,
        (settings, environment): &(Settings, Environment),
        asset: Option<&str>,
    ) -> Result<Served> {
        let Self { repo, reference } = self;
        let place = RepositoryPlace {
            refs: vec![reference.clone()],
            asset: asset.map(str::to_owned),
            ..place_of(repo, settings, environment)?
        };
        place.check()?;
        Ok(Served {
            place,
            reference: reference.clone(),
        })
    }
}

/// Where the models are that a registry is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MakeOrigin {
    /// The archive of a repository at a ref.
    Archive {
        /// Which one.
        repository: RepositoryRef,
        /// The folder in the repository; empty for its top. It becomes the registry's `root`.
        path: String,
    },
    /// A zip of a release.
    Asset {
        /// The repository and the release's tag.
        repository: RepositoryRef,
        /// The zip's name. It becomes the registry's `asset`.
        file: String,
        /// The folder in the zip; empty for its top. It becomes the registry's `root`.
        path: String,
    },
    /// A folder of this machine. Its path in the work tree of a repository, when it is in one, becomes the registry's `root`.
    Folder {
        /// Which one.
        path: PathBuf,
        /// The repository that will serve the files, for their URLs.
        repository: Option<RepositoryRef>,
    },
}

/// How to make a registry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MakeOptions {
    /// Where the models are.
    pub origin: MakeOrigin,
    /// The source's name, which comes in front of models and examples. Default: none.
    pub name: String,
    /// What a model's name file is called; `*`, `?` and `[a-z]` stand for other characters. Default: `mfsim.nam`.
    pub namefile: String,
    /// The folder that `models.toml` is written to. Default: `.registry`.
    pub output: PathBuf,
    /// Give each file a URL, for readers that do not build it themselves. Default: off.
    pub urls: bool,
    /// Open no socket. Default: off, or as the configuration says.
    pub offline: bool,
    /// Stops the work when it is cancelled.
    pub cancel: CancelToken,
}

impl MakeOptions {
    /// Makes a registry of what is there.
    #[must_use]
    pub fn new(origin: MakeOrigin) -> Self {
        Self {
            origin,
            name: String::new(),
            namefile: "mfsim.nam".to_owned(),
            output: PathBuf::from(".registry"),
            urls: false,
            offline: false,
            cancel: CancelToken::new(),
        }
    }
}

setters!(MakeOptions {
    name: impl Into<String>,
    namefile: impl Into<String>,
    output: impl Into<PathBuf>,
    urls: bool,
    offline: bool,
    cancel: CancelToken,
});

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MakeReport {
    /// The registry's file.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// Where the models were read: a URL without credentials, or a folder.
    pub source: String,
    /// The number of models.
    pub models: usize,
    /// The number of examples.
    pub examples: usize,
    /// The number of files.
    pub files: usize,
    /// The size of all files together.
    pub total_bytes: u64,
    /// What whoever publishes it should know, in sentences; may be empty.
    pub notes: Vec<String>,
}

/// Makes registries of repositories.
///
/// Building one does no input or output. The environment and the user's file are read by the call that needs them.
#[derive(Debug)]
pub struct RegistryMaker {
    config: Config,
    environment: Option<Environment>,
    transport: Option<Arc<dyn Transport>>,
}

impl RegistryMaker {
    /// Makes one for an app: a repository that one of its sources names is reached as the source says.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            environment: None,
            transport: None,
        }
    }

    /// Uses this environment instead of the process's own.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Sends requests through this transport instead of the built-in one.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Makes a registry in place of the one that was made before. What a project has registered there stays, when it lies
    /// below the same folder of its repository; the registry before stays as `models.toml.bak`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there is no model, no such folder, or nothing to make URLs of; [`ErrorKind::Registry`]
    /// when a model has a name or a link that no registry can have, when the repository, ref or zip does not exist, when
    /// the archive is malformed, and when what is there is no registry, or one of models that lie elsewhere or have the
    /// same names; the network and storage errors; [`ErrorKind::Locked`]; [`ErrorKind::Cancelled`].
    pub fn make(&self, options: &MakeOptions) -> Result<MakeReport> {
        let file = RegistryFile::new(options.output.clone());
        let path = file.path();
        if !options.name.is_empty() {
            ModelName::parse(&options.name).map_err(|error| Error::argument(error.to_string()))?;
        }
        // Before anything is fetched in vain.
        read_replaceable(&file)?;
        let (opened, served) = self.open(options, &path)?;
        let models = find(
            opened.tree.names(),
            &Naming {
                name_file: &Glob::new(&options.namefile),
                prefix: &options.name,
                top: opened.top.as_deref(),
            },
            &opened.location,
        )?;
        if models.models.is_empty() {
            return Err(no_models(&options.namefile, &opened));
        }
        let served = served.as_ref().filter(|_| options.urls);
        let files = read_files(&opened, &models, served, &options.cancel)?;
        let total_bytes = files.values().filter_map(|file| file.size_bytes).sum();
        let made = Document {
            root: Some(opened.root.clone()),
            asset: opened.asset.clone(),
            files,
            models: models
                .models
                .iter()
                .map(|(model, files)| (model.clone(), files.to_vec()))
                .collect(),
            examples: models.examples.clone(),
        };
        let counts = (made.models.len(), made.examples.len(), made.files.len());
        file.locked(RECORD_LIMIT, &options.cancel, || {
            let mut found = read_replaceable(&file)?;
            found.registry.take_made(made, &path)?;
            let registry = &found.registry;
            file.write(registry, &registry.render(), &options.name, &found)
        })?;
        info!(path = %path.display(), models = counts.0, "made a registry");
        Ok(MakeReport {
            path,
            source: opened.location,
            models: counts.0,
            examples: counts.1,
            files: counts.2,
            total_bytes,
            notes: notes(opened.note, models.nested),
        })
    }

    /// Opens the folder of the models, and says which repository serves them, when there is one. `own` is the registry
    /// that will be written.
    fn open(&self, options: &MakeOptions, own: &Path) -> Result<(Opened, Option<Served>)> {
        let beside = own.with_file_name("archive.zip");
        let fetching = |client| Fetching {
            client,
            beside: &beside,
            cancel: &options.cancel,
        };
        let client = |settings: &_| self.client(settings, options.offline);
        match &options.origin {
            MakeOrigin::Archive { repository, path } => {
                let settings = self.settings()?;
                let served = repository.serve(&settings, None)?;
                let opened = fetching(&client(&settings)?).archive(&served, path)?;
                Ok((opened, Some(served)))
            }
            MakeOrigin::Asset {
                repository,
                file,
                path,
            } => {
                let settings = self.settings()?;
                let served = repository.serve(&settings, Some(file))?;
                let opened = fetching(&client(&settings)?).asset(&served, file, path)?;
                Ok((opened, Some(served)))
            }
            MakeOrigin::Folder { path, repository } => {
                let serve = |repository: &RepositoryRef| repository.serve(&self.settings()?, None);
                let served = repository.as_ref().map(serve).transpose()?;
                if served.is_none() && options.urls {
                    let message = "URLs are those of a repository at a ref, and none is named";
                    return Err(Error::argument(message));
                }
                let opened = open_folder(path, served.as_ref(), own, &options.cancel)?;
                Ok((opened, served))
            }
        }
    }

    fn settings(&self) -> Result<(Settings, Environment)> {
        let environment = self.environment.clone();
        let environment = environment.unwrap_or_else(Environment::of_process);
        Ok((Settings::read(&self.config, &environment)?, environment))
    }

    fn client(
        &self,
        (settings, environment): &(Settings, Environment),
        offline: bool,
    ) -> Result<Client> {
        let sources = Sources::open(settings, environment, self.transport.clone())?;
        Ok(sources.client.with_offline(offline))
    }
}

fn no_models(namefile: &str, opened: &Opened) -> Error {
    let below = match opened.root.as_str() {
        "" => String::new(),
        root => format!(" below '{root}'"),
    };
    Error::argument(format!(
        "there is no model: no folder{below} has a file '{}' ({})",
        namefile.escape_debug(),
        opened.location
    ))
}

/// Hashes all files of all models, on all processors.
fn read_files(
    opened: &Opened,
    models: &Models<'_>,
    served: Option<&Served>,
    cancel: &CancelToken,
) -> Result<BTreeMap<String, FileEntry>> {
    let names: Vec<&str> = models.files.iter().copied().collect();
    let url = |name: &str| {
        let url = served?.url(opened.asset.as_deref(), &below(&opened.root, name));
        Some(url.map(|url| url.to_string()))
    };
    names
        .par_iter()
        .map_init(
            || vec![0_u8; BUFFER_BYTES],
            |buffer, name| {
                let facts = Facts::read(&*opened.tree, name, buffer, cancel)?;
                let file = FileEntry {
                    digest: Some(facts.digest),
                    size_bytes: Some(facts.size_bytes),
                    url: url(name).transpose()?,
                };
                Ok(((*name).to_owned(), file))
            },
        )
        .collect()
}

/// Reads the registry that is there.
///
/// # Errors
/// [`ErrorKind::Registry`] when what is there is none, so that nobody knows what would be lost; the storage errors.
fn read_replaceable(file: &RegistryFile) -> Result<OnDisk> {
    file.read(None).map_err(|error| {
        error.map_kind(|kind| match kind {
        ErrorKind::DamagedRegistry {
            path,
            message,
            source,
        } => ErrorKind::DamagedRegistry {
            path,
            message: format!(
                "what is there would be lost: {message}; remove it, or choose another output folder"
            ),
            source,
        },
        other => other,
    })
    })
}

impl ProjectRegistry {
    /// Takes over what was made, in place of what was made before.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when what is registered beside it lies elsewhere, or has the same names.
    fn take_made(&mut self, made: Document, path: &Path) -> Result<()> {
        let root = made.root.as_deref().unwrap_or_default();
        let refuse = |reason: String| {
            let message = format!("{reason}: choose another output folder");
            Err(Error::registry(path.display(), message))
        };
        if self.has_entries() && self.root() != root {
            return refuse(format!(
                "what is registered there lies below '{}', and these models below '{root}'",
                self.root()
            ));
        }
        if self.has_entries() && made.asset.is_some() {
            return refuse("what is registered there is in no zip of a release".into());
        }
        if let Some(id) = self.entries.keys().find(|id| made.models.contains_key(*id)) {
            return refuse(format!("a model '{id}' is registered there"));
        }
        self.made = made;
        for key in GENERATED {
            self.others.remove(key);
        }
        Ok(())
    }
}

fn notes(of_opening: Option<&str>, nested: usize) -> Vec<String> {
    let of_nested = match nested {
        0 => None,
        1 => Some("a model lies in the folder of another, and its files are of both".to_owned()),
        several => Some(format!(
            "{several} models lie in the folders of others, and their files are of both"
        )),
    };
    let notes = of_opening.map(str::to_owned).into_iter();
    notes.chain(of_nested).collect()
}
