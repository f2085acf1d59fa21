//! Making the `models.toml` of a repository from the folders of its models.
//!
//! What is indexed is what will be served: the archive of the repository at a ref, or a zip of a release. A local folder
//! can be indexed instead, to try things out; the same files give the same registry, byte for byte. A file that attributes of
//! git may change in the archive is read as the server serves it by itself, and one of a work tree as git has staged it.
//!
//! A folder with a name file is a model, named after its path below the folder that is indexed. Everything below it belongs
//! to it, even where that belongs to another model too. Left out are the outputs of a run (`.lst .hds .hed .cbb .cbc .bud
//! .ddn .ucn .glo`), what they are compared with (`compare*`), the files of tools such as version control, and what
//! systems, editors and download tools leave behind. A link in a
//! model is refused, since a server does not serve what it leads to.

mod attributes;
mod content;
mod hash;
mod models;
mod origin;
mod staged;
mod tree;

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tracing::info;

use crate::config::Config;
use crate::digest::Digest;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::glob::Glob;
use crate::http::transport::Transport;
use crate::model::ModelName;
use crate::modelstoml::{Document, ProjectRegistry, owned_lists};
use crate::progress::{CancelToken, Progress};
use crate::project::home::Project;
use crate::project::registry::{GENERATED, OnDisk, RegistryFile};
use crate::setters::setters;
use crate::store::lock::RECORD_LIMIT;

use models::{Models, Naming, find};

/// A repository at a ref; [`MakeOrigin`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepositoryRef {
    /// `OWNER/NAME`.
    pub repo: String,
    /// A branch, tag, release or commit.
    pub reference: String,
}

impl RepositoryRef {
    /// Names a repository at a ref. Both are checked when they are used. [`MakeOrigin`] has an example.
    pub fn new(repo: impl Into<String>, reference: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            reference: reference.into(),
        }
    }
}

/// Where the models of a registry are.
///
/// ```
/// use modelrack::project::{MakeOrigin, RepositoryRef};
///
/// let develop = RepositoryRef::new("MODFLOW-ORG/modflow6-testmodels", "develop");
/// assert_eq!((develop.repo.as_str(), develop.reference.as_str()), ("MODFLOW-ORG/modflow6-testmodels", "develop"));
///
/// let branch = MakeOrigin::Archive { repository: develop, path: "mf6".to_owned() };
/// let release = MakeOrigin::Asset {
///     repository: RepositoryRef::new("MODFLOW-ORG/modflow6-examples", "current"),
///     file: "mf6examples.zip".to_owned(),
///     path: String::new(),
/// };
/// let local = MakeOrigin::Folder { path: "mf6".into(), repository: None };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MakeOrigin {
    /// The archive of a repository at a ref.
    Archive {
        /// The repository and the ref.
        repository: RepositoryRef,
        /// The folder in the repository; empty for its top. It becomes the registry's `root`.
        path: String,
    },
    /// A zip of a release.
    Asset {
        /// The repository and the release's tag.
        repository: RepositoryRef,
        /// The name of the zip. It becomes the registry's `asset`.
        file: String,
        /// The folder in the zip; empty for its top. It becomes the registry's `root`.
        path: String,
    },
    /// A local folder. Its path in the work tree of a repository, if it is in one, becomes the registry's `root`.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The repository that will serve the files, for their URLs.
        repository: Option<RepositoryRef>,
    },
}

/// How to make a registry.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::progress::Silent;
/// use modelrack::project::{MakeOptions, MakeOrigin, Project, RepositoryRef};
/// use modelrack::{CancelToken, Config, Environment};
///
/// # let folder = tempfile::tempdir()?;
/// # let models = folder.path().join("mf6");
/// # std::fs::create_dir_all(models.join("ex-gwf"))?;
/// # std::fs::write(models.join("ex-gwf/ex.nam"), "x")?;
/// # let output = folder.path().join("registry");
/// let repository = RepositoryRef::new("MODFLOW-ORG/modflow6-testmodels", "develop");
/// let origin = MakeOrigin::Folder { path: models, repository: Some(repository) };
/// let options = MakeOptions::new(Config::new("tool"), origin)
///     .name("mf6/test")
///     .namefile("*.nam")
///     .output(output)
///     .urls(true)
///     .offline(true)
///     .environment(Environment::of_process())
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// let report = Project::make(&options)?;
/// assert!(std::fs::read_to_string(report.path)?.contains("mf6/test/ex-gwf"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The registry gets another name with [`registry_path`](field@Self::registry_path), as in
/// [`ProjectOptions`](crate::project::ProjectOptions).
///
/// A [`transport`](field@Self::transport) of your own reaches servers in another way; see
/// [`transport`](crate::transport):
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::Config;
/// use modelrack::project::{MakeOptions, MakeOrigin};
/// use modelrack::transport::Transport;
///
/// fn through(transport: Arc<dyn Transport>, config: Config, origin: MakeOrigin) -> MakeOptions {
///     MakeOptions::new(config, origin).transport(transport)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MakeOptions {
    /// Where the models are.
    pub origin: MakeOrigin,
    /// The app's configuration. A repository that is one of its sources is reached as that source says.
    pub config: Config,
    /// The environment. Default: that of the process.
    pub environment: Option<Environment>,
    /// The transport of requests. Default: the built-in one.
    pub transport: Option<Arc<dyn Transport>>,
    /// The prefix of the names of models and examples, which is the name of the source. Default: none.
    pub name: String,
    /// The name file that makes a folder a model, with the wildcards `*`, `?` and `[a-z]`. Default: `mfsim.nam`.
    pub namefile: String,
    /// The folder that `models.toml` is written to. Default: `.registry`.
    pub output: PathBuf,
    /// The file to write, if it has another name or is not alone in its folder. Default: `models.toml` in
    /// [`output`](field@Self::output).
    pub registry_path: Option<PathBuf>,
    /// Whether to state the URL of each file, for readers that do not build it themselves. Default: `false`.
    pub urls: bool,
    /// Open no socket. Default: as configured.
    pub offline: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives how far the download and the hashing are; [`AddOptions`](crate::project::AddOptions) has an example.
    pub progress: Option<Arc<dyn Progress>>,
}

impl MakeOptions {
    /// Creates options with the defaults; [`MakeOptions`] has an example.
    #[must_use]
    pub fn new(config: Config, origin: MakeOrigin) -> Self {
        Self {
            origin,
            config,
            environment: None,
            transport: None,
            name: String::new(),
            namefile: "mfsim.nam".to_owned(),
            output: PathBuf::from(".registry"),
            registry_path: None,
            urls: false,
            offline: false,
            cancel: CancelToken::new(),
            progress: None,
        }
    }
}

setters!(MakeOptions {
    environment: Some(Environment),
    transport: Some(Arc<dyn Transport>),
    name: impl Into<String>,
    namefile: impl Into<String>,
    output: impl Into<PathBuf>,
    registry_path: Some(impl Into<PathBuf>),
    urls: bool,
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What was made, as [`Project::make`] returns it.
///
/// ```
/// use modelrack::Config;
/// use modelrack::project::{MakeOptions, MakeOrigin, Project};
///
/// # let folder = tempfile::tempdir()?;
/// # let models = folder.path().join("mf6");
/// # for name in ["ex-gwf", "ex-gwt"] {
/// #     std::fs::create_dir_all(models.join(name))?;
/// #     std::fs::write(models.join(name).join("mfsim.nam"), name)?;
/// # }
/// # let output = folder.path().join("registry");
/// let origin = MakeOrigin::Folder { path: models, repository: None };
/// let report = Project::make(&MakeOptions::new(Config::new("tool"), origin).output(output))?;
/// println!("{} describes {}", report.path.display(), report.source);
/// println!("{} files, {} bytes, {} examples", report.files, report.total_bytes, report.examples);
/// for note in &report.notes {
///     println!("note: {note}");
/// }
/// println!("left out: {:?}", report.left_out);
/// assert_eq!(report.models, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MakeReport {
    /// The path of the registry.
    #[serde(serialize_with = "crate::report::path")]
    pub path: PathBuf,
    /// Where the models were read: a URL without credentials, or the path of a folder.
    pub source: String,
    /// The number of models.
    pub models: usize,
    /// The number of examples.
    pub examples: usize,
    /// The number of files.
    pub files: usize,
    /// The total size of the files.
    pub total_bytes: u64,
    /// What the publisher should know, each as a sentence; may be empty.
    pub notes: Vec<String>,
    /// The paths that were passed over, in order: a system, an editor or a download tool left them behind.
    pub left_out: Vec<String>,
}

impl Project {
    /// Makes the registry of a repository from the folders of its models. [`MakeReport`] has an example.
    ///
    /// It replaces a registry that was made before, which is kept as `models.toml.bak`. What a project has registered there stays
    /// if it is below the same folder of the repository. The environment and the user's file are read if the origin is a
    /// repository.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there is no such folder, no model in it, or no repository for URLs;
    /// [`ErrorKind::Registry`] if a model has a name that a registry cannot have or contains a link or a pointer of Git LFS, if the repository,
    /// ref or zip does not exist, if the archive is malformed, or if models that are registered there have the same
    /// names or are elsewhere; [`ErrorKind::DamagedRegistry`] if the file there is not a registry; the network and
    /// storage errors; [`ErrorKind::Locked`]; [`ErrorKind::Cancelled`].
    pub fn make(options: &MakeOptions) -> Result<MakeReport> {
        let file = match &options.registry_path {
            Some(path) => RegistryFile::at(path)?,
            None => RegistryFile::new(options.output.clone()),
        };
        let path = file.path();
        if !options.name.is_empty() {
            ModelName::parse(&options.name).map_err(Error::argument_name)?;
        }
        // Checked before anything is fetched. What was made before is not needed, and may be as large as what is made now.
        let before = read_replaceable(&file, None)?;
        let mut registry = before.registry.unwrap_or_default();
        registry.forget_made();
        let known = before.digest.filter(|_| before.damage.is_none());
        let mut folder = options.open(&path)?;
        let name_file = Glob::new(&options.namefile);
        folder.tree.leave_out_outputs(&name_file);
        let found = find(
            &folder.tree.names,
            &Naming {
                name_file: &name_file,
                prefix: &options.name,
                top: folder.top.as_deref(),
                is_release: folder.asset.is_some(),
            },
            &folder.location,
        )?;
        if found.models.is_empty() {
            return Err(Error::argument(format!(
                "no folder has a file '{}', so there is no model ({})",
                options.namefile.escape_debug(),
                folder.location
            )));
        }
        let note_of_changes = folder.note_of_changes(&found.files);
        let note_of_nested = note_of_nested(&found.nested);
        let Models {
            files,
            models,
            examples,
            ..
        } = found;
        // There may be hundreds of thousands: the names of the others are not needed any more, and these become the registry's.
        let names = folder.tree.names.iter();
        let is_of_model: Vec<bool> = names.map(|name| files.contains(name.as_str())).collect();
        drop(files);
        let mut names = mem::take(&mut folder.tree.names);
        let mut is_kept = is_of_model.into_iter();
        names.retain(|_| is_kept.next().unwrap_or(false));
        let (files, of_files) = folder.hash_files(names, options)?;
        let mut notes = folder.notes.clone();
        notes.extend(of_files);
        notes.extend(note_of_changes);
        notes.extend(note_of_nested);
        let report = MakeReport {
            path: path.clone(),
            models: models.len(),
            examples: examples.len(),
            files: files.len(),
            total_bytes: files.values().filter_map(|file| file.size_bytes).sum(),
            source: folder.location,
            notes,
            left_out: folder.tree.left_behind,
        };
        let made = Document {
            root: Some(folder.root),
            asset: folder.asset,
            files,
            models: owned_lists(models),
            examples: owned_lists(examples),
        };
        file.locked(RECORD_LIMIT, &options.cancel, || {
            let mut found = read_replaceable(&file, known.map(|digest| (digest, &registry)))?;
            let mut registry = found.registry.take().unwrap_or(registry);
            registry.take_made(made, &path)?;
            file.write(&registry, &options.name, &found)
        })?;
        info!(path = %path.display(), models = report.models, "made a registry");
        Ok(report)
    }
}

/// Reads the registry that will be replaced, unless it is still as `known`.
fn read_replaceable(
    file: &RegistryFile,
    known: Option<(Digest, &ProjectRegistry)>,
) -> Result<OnDisk> {
    file.read(known).map_err(|error| {
        error.map_kind(|mut kind| {
            if let ErrorKind::DamagedRegistry { message, .. } = &mut kind {
                message.push_str("; remove it, or choose another output folder");
            }
            kind
        })
    })
}

impl ProjectRegistry {
    /// Forgets what was made before, but for where it is.
    fn forget_made(&mut self) {
        self.made = Document {
            root: self.made.root.take(),
            ..Document::default()
        };
    }

    /// Replaces what was made before.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if models that are registered beside it are elsewhere, or have the same names.
    fn take_made(&mut self, made: Document<'static>, path: &Path) -> Result<()> {
        let root = made.root.as_deref().unwrap_or_default();
        let mut ids = self.entries.keys();
        let same = ids.find(|id| made.models.contains_key(id.as_str()));
        let fault = if self.has_entries() && self.root() != root {
            let own = self.root();
            format!("the models registered there are below '{own}', and these are below '{root}'")
        } else if self.has_entries() && made.asset.is_some() {
            "the models registered there are not in a zip of a release".to_owned()
        } else if let Some(id) = same {
            format!("a model '{id}' is registered there")
        } else {
            self.made = made;
            for key in GENERATED {
                self.others.remove(key);
            }
            return Ok(());
        };
        let message = format!("{fault}; choose another output folder");
        Err(Error::registry(path.display(), message))
    }
}

/// Says in a sentence that models are in the folders of others.
fn note_of_nested(nested: &[[String; 2]]) -> Option<String> {
    let [inner, outer] = nested.first()?;
    Some(match nested.len() {
        1 => format!("'{inner}' is in the folder of '{outer}': its files belong to both"),
        several => format!(
            "{several} models are in the folders of others, such as '{inner}' in that of '{outer}': their files \
             belong to both"
        ),
    })
}
