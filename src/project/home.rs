//! A project's folder and its registry.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::formats::{self, ModelFormat};
use super::options::ProjectOptions;
use super::registry::{OnDisk, RegistryFile, real};
use super::work_tree::{path_in_work_tree, slashed};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::modelstoml::{MAX_REGISTRY_BYTES, ProjectRegistry};
use crate::progress::CancelToken;
use crate::relpath::RelPath;
use crate::store::lock::RECORD_LIMIT;

/// The folder of a project that holds its registry.
const REGISTRY_DIR: &str = ".registry";

/// A publisher's folder with its registry, `.registry/models.toml`.
///
/// It holds the registry as it was last read or changed. A change locks the registry, reads it again and writes it before
/// it returns, so that several programs can change it at once; its predecessor is kept as `models.toml.bak`. If writing
/// fails, the change stays in memory: [`Project::registry`] includes it, and [`Project::save`] tries again.
///
/// What its methods call the *storage errors* are [`ErrorKind::Storage`], [`ErrorKind::Permission`] and
/// [`ErrorKind::InsufficientSpace`].
///
/// ```
/// use modelrack::ErrorKind;
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// assert!(project.registry_path().is_file());
/// assert!(project.registry().entries.contains_key("sir"));
///
/// // From a folder below it, as a command-line tool finds it:
/// let found = Project::find(folder.path().join("models"), &ProjectOptions::default())?;
/// assert_eq!(found.root(), project.root());
///
/// // A registry that would be too large is not written, and the change is kept until it can be:
/// project.set_options(&ProjectOptions::default().max_bytes(100));
/// let targets = [folder.path().join("targets")];
/// let error = project.add(&targets, &AddOptions::default()).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::RegistryTooLarge { max_bytes: 100, .. }));
/// project.set_options(&ProjectOptions::default());
/// project.save()?;
/// assert!(project.dropped_versions().is_empty(), "nothing had to be dropped for it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A damaged registry is read from its backup, and kept beside the new one:
///
/// ```
/// use modelrack::CancelToken;
/// use modelrack::project::{AddOptions, Project, ProjectOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// # let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// # project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// # project.add(&[folder.path().join("targets")], &AddOptions::default())?;
/// std::fs::write(project.registry_path(), "<<<<<<< HEAD")?;
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// println!("{}", project.recovered().expect("the registry is damaged"));
///
/// project.remove(&["peak"], &CancelToken::new())?;
/// assert!(project.kept_aside().expect("it was replaced").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    file: RegistryFile,
    registry: ProjectRegistry,
    /// The digest of the text that was last read or written; `None` if there was none.
    base: Option<Digest>,
    unsaved: bool,
    recovered: Option<String>,
    kept_aside: Option<PathBuf>,
    dropped: Vec<(String, String)>,
    options: ProjectOptions,
    pub(super) formats: Vec<Arc<dyn ModelFormat>>,
}

impl Project {
    /// Opens a project: a folder that has a registry, or will get one with the first change. Nothing is written.
    /// [`Project`] has an example.
    ///
    /// If the registry is damaged or missing, its backup is read; see [`Project::recovered`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if it is not a folder; [`ErrorKind::DamagedRegistry`] if the registry is damaged, and so
    /// is its backup, or there is none; the storage errors.
    pub fn open(folder: impl AsRef<Path>, options: &ProjectOptions) -> Result<Self> {
        let folder = folder.as_ref();
        let root = real(folder).at("open", folder)?;
        if !root.is_dir() {
            let message = format!("{} is not a folder", folder.display());
            return Err(Error::argument(message));
        }
        let file = match &options.registry_path {
            Some(path) => RegistryFile::at(path)?,
            None => RegistryFile::new(root.join(REGISTRY_DIR)),
        };
        file.check_folder()?;
        let found = file.read(None)?;
        let mut project = Self {
            root,
            file,
            base: found.digest,
            registry: found.registry.unwrap_or_default(),
            unsaved: false,
            recovered: found.damage,
            kept_aside: None,
            dropped: Vec::new(),
            options: ProjectOptions::default(),
            formats: Vec::new(),
        };
        project.set_options(options);
        Ok(project)
    }

    /// Opens the project that a folder belongs to: the nearest folder that has a registry, from the folder itself upwards; the
    /// folder itself if there is none, or if the registry is [elsewhere](field@ProjectOptions::registry_path). [`Project`] has an
    /// example.
    ///
    /// # Errors
    /// Those of [`Project::open`].
    pub fn find(folder: impl AsRef<Path>, options: &ProjectOptions) -> Result<Self> {
        let folder = folder.as_ref();
        let start = real(folder).at("open", folder)?;
        let has_registry = |folder: &&Path| RegistryFile::new(folder.join(REGISTRY_DIR)).exists();
        let root = match options.registry_path {
            None => start.ancestors().find(has_registry),
            Some(_) => None,
        };
        Self::open(root.unwrap_or(&start), options)
    }

    /// Replaces the options, except for the place of the registry. With a larger limit, [`Project::save`] can write a change that
    /// was too large. [`Project`] has an example.
    pub fn set_options(&mut self, options: &ProjectOptions) {
        self.file.has_backup = options.backup;
        let formats = options.formats.iter().cloned();
        self.formats = formats.chain(formats::builtin()).collect();
        self.options = options.clone();
    }

    /// Returns the project's folder, absolute and with links resolved; [`Project`] has an example.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of the registry, whether it exists or not; [`Project`] has an example.
    #[must_use]
    pub fn registry_path(&self) -> PathBuf {
        self.file.path()
    }

    /// Returns what is registered; [`Project`] has an example.
    #[must_use]
    pub fn registry(&self) -> &ProjectRegistry {
        &self.registry
    }

    /// Returns what is wrong with the registry on disk, if its backup was read instead. The next change replaces the damaged
    /// file, and keeps it beside the new one. [`Project`] has an example.
    #[must_use]
    pub fn recovered(&self) -> Option<&str> {
        self.recovered.as_deref()
    }

    /// Returns where the last change moved a damaged registry to, if it found one; [`Project`] has an example.
    #[must_use]
    pub fn kept_aside(&self) -> Option<&Path> {
        self.kept_aside.as_deref()
    }

    /// Returns the ids and versions that the last change dropped, as [`keep_versions`](field@ProjectOptions::keep_versions) allows;
    /// [`Project`] has an example.
    #[must_use]
    pub fn dropped_versions(&self) -> &[(String, String)] {
        &self.dropped
    }

    /// Writes a change that an earlier call could not write, if there is one; [`Project`] has an example.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if another program has changed the registry since; [`ErrorKind::RegistryTooLarge`];
    /// [`ErrorKind::Locked`]; the storage errors.
    pub fn save(&mut self) -> Result<()> {
        self.change(&CancelToken::new(), |_| Ok(()))
    }

    /// Changes the registry under its lock. A change that fails has no effect; one that cannot be written stays in memory.
    pub(super) fn change<T>(
        &mut self,
        cancel: &CancelToken,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
    ) -> Result<T> {
        self.change_if(cancel, act, |_| true)
    }

    /// Changes the registry as [`Project::change`] does, unless the outcome is not wanted: then the change has no effect.
    pub(super) fn change_if<T>(
        &mut self,
        cancel: &CancelToken,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
        is_wanted: impl FnOnce(&T) -> bool,
    ) -> Result<T> {
        self.file.check_folder()?;
        let limit = self.options.lock_limit.unwrap_or(RECORD_LIMIT);
        let file = self.file.clone();
        file.locked(limit, cancel, || self.change_alone(act, is_wanted))
    }

    fn change_alone<T>(
        &mut self,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
        is_wanted: impl FnOnce(&T) -> bool,
    ) -> Result<T> {
        // An unsaved or recovered registry differs from the text on disk.
        let is_of_base = !self.unsaved && self.recovered.is_none();
        let known = self.base.filter(|_| is_of_base);
        let mut found = self.file.read(known.map(|base| (base, &self.registry)))?;
        if !self.unsaved {
            if let Some(registry) = found.registry.take() {
                self.registry = registry;
            }
            self.base = found.digest;
        } else if found.digest != self.base {
            return Err(Error::registry(
                self.registry_path().display(),
                "another program has changed it since the change that could not be written; open the project again",
            ));
        }
        // A large registry is not copied to be changed: what is on disk is the copy, unless there is a change that is not.
        let before = self.registry.measure();
        let copy = self.unsaved.then(|| self.registry.clone());
        let outcome = self.change_in_memory(act);
        if !outcome.as_ref().is_ok_and(is_wanted) {
            self.restore(copy)?;
        }
        let outcome = outcome?;
        if self.registry.measure() != before || found.damage.is_some() {
            self.unsaved = true;
        }
        self.kept_aside = None;
        self.dropped.clear();
        if self.unsaved {
            self.write(&found)?;
        }
        Ok(outcome)
    }

    /// Makes a change in memory, and takes it back.
    pub(super) fn rehearse<T>(&mut self, act: impl FnOnce(&mut ProjectRegistry) -> T) -> Result<T> {
        let before = self.registry.measure();
        let copy = self.unsaved.then(|| self.registry.clone());
        let outcome = act(&mut self.registry);
        if self.registry.measure() != before {
            self.restore(copy)?;
        }
        Ok(outcome)
    }

    /// Takes back a change, to a copy of the registry or to the one on disk.
    fn restore(&mut self, copy: Option<ProjectRegistry>) -> Result<()> {
        if let Some(copy) = copy {
            self.registry = copy;
            return Ok(());
        }
        // Until it is read, the one in memory is of no text; and there need not be two.
        (self.base, self.registry) = (None, ProjectRegistry::default());
        let before = self.file.read(None)?;
        self.registry = before.registry.unwrap_or_default();
        self.base = before.digest;
        Ok(())
    }

    fn change_in_memory<T>(
        &mut self,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
    ) -> Result<T> {
        let outcome = act(&mut self.registry)?;
        let path = self.registry_path();
        self.registry
            .settle_root(path_in_work_tree(&self.root)?, &path)?;
        Ok(outcome)
    }

    fn write(&mut self, found: &OnDisk) -> Result<()> {
        let max_bytes = self.options.max_bytes.unwrap_or(MAX_REGISTRY_BYTES);
        let max_bytes = max_bytes.min(MAX_REGISTRY_BYTES);
        let (mut registry, mut dropped) = (Cow::Borrowed(&self.registry), Vec::new());
        let mut text = registry.measure();
        if text.size_bytes > max_bytes
            && let Some(keep) = self.options.keep_versions
        {
            dropped = registry.to_mut().drop_versions(keep.max(1));
            text = registry.measure();
        }
        if text.size_bytes > max_bytes {
            return Err(Error::from(ErrorKind::RegistryTooLarge {
                path: self.registry_path(),
                size_bytes: text.size_bytes,
                max_bytes,
            }));
        }
        let aside = self.file.write(&registry, "", found);
        if aside.is_err() {
            // A damaged one may have been set aside already.
            self.base = self.file.read(None).ok().and_then(|found| found.digest);
        }
        self.kept_aside = aside?;
        if let Cow::Owned(smaller) = registry {
            self.registry = smaller;
        }
        self.dropped = dropped;
        self.base = Some(text.digest);
        self.recovered = None;
        self.unsaved = false;
        Ok(())
    }

    pub(super) fn options(&self) -> &ProjectOptions {
        &self.options
    }

    /// Returns whether a path is that of a file of the registry itself.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        self.file.is_own(path)
    }

    /// Returns where a file of the project is on disk.
    pub(super) fn locate(&self, path: &RelPath) -> PathBuf {
        path.below(&self.root)
    }

    /// Returns the metadata of something in the project, as [`fs::symlink_metadata`] does. A link to a folder is not
    /// followed either: it may lead anywhere.
    pub(super) fn metadata_of(&self, path: &RelPath) -> io::Result<fs::Metadata> {
        let mut place = self.root.clone();
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            place.push(part);
            if parts.peek().is_some() && fs::symlink_metadata(&place)?.is_symlink() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        fs::symlink_metadata(&place)
    }

    /// Returns whether something is a file, and not a link to one.
    pub(super) fn has_file(&self, path: &RelPath) -> bool {
        self.metadata_of(path)
            .is_ok_and(|metadata| metadata.is_file())
    }

    /// Returns the path of something in the project, with `/` between the components; `.` for the project's folder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not in the project, or has a name that
    /// a registry cannot have; the storage errors.
    pub(super) fn path_of(&self, path: &Path) -> Result<String> {
        let real = real(path).at("read", path)?;
        let refuse = |reason: &str| {
            let message = format!("{} {reason}", path.display());
            Err(Error::argument(message).naming(path))
        };
        let Ok(below) = real.strip_prefix(&self.root) else {
            return refuse(&format!("is not in the project {}", self.root.display()));
        };
        match slashed(below) {
            None => refuse("has a name that is not UTF-8"),
            Some(_) if below.starts_with(REGISTRY_DIR) || self.file.is_own(&real) => {
                refuse("belongs to the registry itself")
            }
            Some(text) if text.is_empty() => Ok(".".into()),
            Some(text) => {
                RelPath::parse_argument(&text)?;
                Ok(text)
            }
        }
    }
}

impl ProjectRegistry {
    /// Records the project's path in its repository, if it is in one, where readers look for the files.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when the models that `make` found are below another folder.
    fn settle_root(&mut self, root: Option<String>, path: &Path) -> Result<()> {
        let Some(root) = root.filter(|root| root != self.root()) else {
            return Ok(());
        };
        if self.made.models.is_empty() {
            self.made.root = Some(root);
        } else if self.has_entries() {
            let message = format!(
                "the project is at '{root}' in its repository, but other models in the registry are below '{}'",
                self.root()
            );
            return Err(Error::registry(path.display(), message));
        }
        Ok(())
    }

    /// Drops all versions of each model except the highest and the current one; returns the dropped ids and versions.
    fn drop_versions(&mut self, keep: usize) -> Vec<(String, String)> {
        let mut dropped = Vec::new();
        for (id, entry) in &mut self.entries {
            let history = entry.history();
            let old = history.iter().rev().skip(keep).rev();
            let old = old.filter(|(version, _)| *version != entry.current);
            let old: Vec<String> = old.map(|(version, _)| (*version).to_owned()).collect();
            entry.versions.retain(|version, _| !old.contains(version));
            dropped.extend(old.into_iter().map(|version| (id.clone(), version)));
        }
        dropped
    }
}
