//! How a project is opened and changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::formats::ModelFormat;
use crate::setters::setters;

/// How to open a project.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use modelrack::manifest::RelPath;
/// use modelrack::project::formats::{Description, ModelFile, ModelFormat};
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
///
/// /// Reads nothing of `.weights` files but that they are models.
/// #[derive(Debug)]
/// struct Weights;
///
/// impl ModelFormat for Weights {
///     fn name(&self) -> &'static str {
///         "weights"
///     }
///
///     fn read(&self, file: &ModelFile) -> modelrack::Result<Option<Description>> {
///         Ok((file.extension() == "weights").then(Description::default))
///     }
/// }
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let options = ProjectOptions::default()
///     .formats(vec![Arc::new(Weights)])
///     .max_bytes(1 << 20)
///     .keep_versions(10)
///     .lock_limit(Duration::from_secs(5));
/// let mut project = Project::open(folder.path(), &options)?;
/// std::fs::write(folder.path().join("models/tiny.weights"), "1 2 3")?;
/// project.add(&[folder.path().join("models/tiny.weights")], &AddOptions::default())?;
/// assert_eq!(project.registry().entries["tiny"].format.as_deref(), Some("weights"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A registry in another place, of drafts whose versions do not count:
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let registry = folder.path().join("build/drafts.toml");
/// let options = ProjectOptions::default()
///     .registry_path(&registry)
///     .backup(false)
///     .auto_version(false)
///     .extract_metadata(false);
/// let mut project = Project::open(folder.path(), &options)?;
/// let model = [folder.path().join("models/sir.py")];
/// project.add(&model, &AddOptions::default())?;
/// std::fs::write(&model[0], std::fs::read_to_string(&model[0])?.replace("0.3", "0.4"))?;
/// project.add(&model, &AddOptions::default())?;
///
/// let entry = &project.registry().entries["sir"];
/// assert_eq!((entry.current.as_str(), entry.versions.len()), ("1.0.0", 1));
/// assert!(entry.description.is_empty());
/// assert!(registry.is_file() && !registry.with_extension("toml.bak").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProjectOptions {
    /// Formats that are tried before the built-in ones, in this order. Default: none.
    pub formats: Vec<Arc<dyn ModelFormat>>,
    /// The largest registry that is written, in bytes. Default, and at most: 64 MiB, the largest that is read.
    pub max_bytes: Option<u64>,
    /// How many versions of each model are kept, the highest first, if the registry would be too large otherwise. Default:
    /// all; a change that makes the registry too large then fails with
    /// [`RegistryTooLarge`](crate::ErrorKind::RegistryTooLarge).
    pub keep_versions: Option<usize>,
    /// How long a change waits for another program that is changing the registry. Default: 30 s.
    pub lock_limit: Option<Duration>,
    /// The file of the registry, or a folder with a `models.toml`. What is registered stays relative to the project's folder.
    /// Default: `.registry/models.toml` in that folder.
    pub registry_path: Option<PathBuf>,
    /// Whether a change keeps the registry that it replaces, from which a damaged one is read. Default: `true`.
    pub backup: bool,
    /// Whether a model that changed gets the next patch version. Default: `true`; else [`Project::add`] and
    /// [`Project::resync`] replace its current version, unless another one is stated.
    ///
    /// [`Project::add`]: crate::project::Project::add
    /// [`Project::resync`]: crate::project::Project::resync
    pub auto_version: bool,
    /// Whether what files say about models is registered: names, descriptions, types, tags and metadata. Default: `true`.
    pub extract_metadata: bool,
}

impl Default for ProjectOptions {
    fn default() -> Self {
        Self {
            formats: Vec::new(),
            max_bytes: None,
            keep_versions: None,
            lock_limit: None,
            registry_path: None,
            backup: true,
            auto_version: true,
            extract_metadata: true,
        }
    }
}

setters!(ProjectOptions {
    formats: Vec<Arc<dyn ModelFormat>>,
    max_bytes: impl Into<Option<u64>>,
    keep_versions: impl Into<Option<usize>>,
    lock_limit: impl Into<Option<Duration>>,
    registry_path: Some(impl Into<PathBuf>),
    backup: bool,
    auto_version: bool,
    extract_metadata: bool,
});
