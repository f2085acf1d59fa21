//! A project's folder, and the registry in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::formats::{self, ModelFormat};
use super::registry::{OnDisk, RegistryFile, own};
use super::work_tree::path_in_work_tree;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::modelstoml::{MAX_REGISTRY_BYTES, ProjectRegistry};
use crate::progress::CancelToken;
use crate::relpath::RelPath;
use crate::store::lock::RECORD_LIMIT;

/// The folder of a project that has its registry.
const REGISTRY_DIR: &str = ".registry";

/// How large a registry may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest registry that is written, in bytes. Default: 64 MiB, the largest that is read.
    pub max_bytes: u64,
    /// How many versions of each model stay, the highest, when the registry would be larger; default: all, and the
    /// change is refused.
    pub keep_versions: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: MAX_REGISTRY_BYTES,
            keep_versions: None,
        }
    }
}

crate::setters::setters!(Limits {
    max_bytes: u64,
    keep_versions: impl Into<Option<usize>>,
});

/// A publisher's folder with its registry, `.registry/models.toml`.
///
/// What it has in memory is the registry as it was read last, or as the last change left it. A change reads the registry
/// anew under its lock, and writes it before it returns, so that programs that change it at once lose nothing; the one
/// before stays as `models.toml.bak`. When writing fails, the change stays in memory: [`Project::registry`] has it, and
/// [`Project::save`] tries again.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    file: RegistryFile,
    registry: ProjectRegistry,
    /// The digest of the text that was read last; `None` when there was none.
    base: Option<Digest>,
    unsaved: bool,
    recovered: Option<String>,
    kept_aside: Option<PathBuf>,
    dropped: Vec<(String, String)>,
    limits: Limits,
    lock_limit: Duration,
    pub(super) formats: Vec<Arc<dyn ModelFormat>>,
}

/// A registry as text, the one that it is of when old versions had to go, and which those are.
type Written = (String, Option<ProjectRegistry>, Vec<(String, String)>);

impl Project {
    /// Opens a project: a folder with a registry, or any other that is to become one. Nothing is written.
    ///
    /// A registry that is damaged or gone is read from its backup, see [`Project::recovered`].
    ///
    /// # Errors
    /// The storage errors; [`ErrorKind::Registry`](crate::ErrorKind::Registry) when the registry is damaged and there is no backup.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let root = real(folder).at("open", folder)?;
        if !root.is_dir() {
            return Err(Error::argument(format!(
                "{} is no folder",
                folder.display()
            )));
        }
        let folder = root.join(REGISTRY_DIR);
        own(&folder, fs::Metadata::is_dir, "folder")?;
        let file = RegistryFile::new(folder);
        let found = file.read(None)?;
        Ok(Self {
            root,
            file,
            base: found.digest,
            registry: found.registry,
            unsaved: false,
            recovered: found.damage,
            kept_aside: None,
            dropped: Vec::new(),
            limits: Limits::default(),
            lock_limit: RECORD_LIMIT,
            formats: formats::builtin(),
        })
    }

    /// Finds the project that a folder belongs to: the nearest folder upwards with a registry, else the folder itself.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn find(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let start = real(folder).at("open", folder)?;
        let has_registry = |folder: &&Path| RegistryFile::new(folder.join(REGISTRY_DIR)).exists();
        let root = start.ancestors().find(has_registry);
        Self::open(root.unwrap_or(&start))
    }

    /// Asks this format before those that are built in, and before those added earlier.
    #[must_use]
    pub fn format(mut self, format: Arc<dyn ModelFormat>) -> Self {
        self.formats.insert(0, format);
        self
    }

    /// Sets how large the registry may become.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long a change waits for another program that changes the registry. Default: 30 s.
    #[must_use]
    pub fn lock_limit(mut self, limit: Duration) -> Self {
        self.lock_limit = limit;
        self
    }

    /// Returns the project's folder, absolute and without links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the file that the registry is in, whether it is there or not.
    #[must_use]
    pub fn registry_path(&self) -> PathBuf {
        self.file.path()
    }

    /// Returns what is registered.
    #[must_use]
    pub fn registry(&self) -> &ProjectRegistry {
        &self.registry
    }

    /// Returns what was wrong with the registry's file when its backup was read instead. The next change puts the file
    /// right, and keeps the damaged one aside.
    #[must_use]
    pub fn recovered(&self) -> Option<&str> {
        self.recovered.as_deref()
    }

    /// Returns where the last change kept a damaged registry.
    #[must_use]
    pub fn kept_aside(&self) -> Option<&Path> {
        self.kept_aside.as_deref()
    }

    /// Returns the ids and versions that the last change dropped, as [`Limits::keep_versions`] lets it.
    #[must_use]
    pub fn dropped_versions(&self) -> &[(String, String)] {
        &self.dropped
    }

    /// Writes a registry that an earlier change could not write; nothing when there is none.
    ///
    /// # Errors
    /// The storage errors; [`ErrorKind::Registry`](crate::ErrorKind::Registry) when another program changed the registry meanwhile, or when it is
    /// larger than the [`Limits`] say; [`ErrorKind::Locked`](crate::ErrorKind::Locked).
    pub fn save(&mut self) -> Result<()> {
        self.change(&CancelToken::new(), |_| Ok(()))
    }

    /// Changes the registry under its lock; a change that fails changes nothing, one that cannot be written stays in
    /// memory.
    pub(super) fn change<T>(
        &mut self,
        cancel: &CancelToken,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
    ) -> Result<T> {
        let folder = self.root.join(REGISTRY_DIR);
        own(&folder, fs::Metadata::is_dir, "folder")?;
        RegistryFile::new(folder).locked(self.lock_limit, cancel, || self.change_alone(act))
    }

    fn change_alone<T>(
        &mut self,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
    ) -> Result<T> {
        // What is unsaved or recovered is of another text.
        let is_of_base = !self.unsaved && self.recovered.is_none();
        let known = self.base.filter(|_| is_of_base);
        let mut found = self.file.read(known.map(|base| (base, &self.registry)))?;
        if !self.unsaved {
            self.registry = std::mem::take(&mut found.registry);
            self.base = found.digest;
        } else if found.digest != self.base {
            return Err(Error::registry(
                self.registry_path().display(),
                "another program changed it since, so that what could not be written before would undo that: open the project anew",
            ));
        }
        let mut registry = self.registry.clone();
        let outcome = act(&mut registry)?;
        registry.settle_root(path_in_work_tree(&self.root)?, &self.registry_path())?;
        if registry != self.registry || found.damage.is_some() {
            self.registry = registry;
            self.unsaved = true;
        }
        self.kept_aside = None;
        self.dropped.clear();
        if self.unsaved {
            self.write(&found)?;
        }
        Ok(outcome)
    }

    fn write(&mut self, found: &OnDisk) -> Result<()> {
        let (text, smaller, dropped) = self.within_limits(&self.registry_path())?;
        let written = smaller.as_ref().unwrap_or(&self.registry);
        match self.file.write(written, &text, "", found) {
            Ok(aside) => self.kept_aside = aside,
            Err(error) => {
                // A damaged one may be aside already.
                self.base = self.file.read(None).ok().and_then(|found| found.digest);
                return Err(error);
            }
        }
        if let Some(smaller) = smaller {
            self.registry = smaller;
        }
        self.base = Some(Digest::of(text.as_bytes()));
        self.dropped = dropped;
        self.recovered = None;
        self.unsaved = false;
        Ok(())
    }

    /// Writes the registry down. Where it would be too large and old versions may go, returns the one without them, and
    /// which they are.
    fn within_limits(&self, path: &Path) -> Result<Written> {
        let max_bytes = self.limits.max_bytes.min(MAX_REGISTRY_BYTES);
        let mut text = self.registry.render();
        if text.len() as u64 <= max_bytes {
            return Ok((text, None, Vec::new()));
        }
        if let Some(keep) = self.limits.keep_versions {
            let mut smaller = self.registry.clone();
            let dropped = smaller.drop_versions(keep.max(1));
            text = smaller.render();
            if text.len() as u64 <= max_bytes {
                return Ok((text, Some(smaller), dropped));
            }
        }
        Err(ErrorKind::RegistryTooLarge {
            path: path.to_owned(),
            size_bytes: text.len() as u64,
            max_bytes,
        }
        .into())
    }

    /// Where a file of the project is on disk.
    pub(super) fn locate(&self, path: &RelPath) -> PathBuf {
        path.components()
            .fold(self.root.clone(), |folder, part| folder.join(part))
    }

    /// Looks at something of the project, as [`fs::symlink_metadata`] does. What is behind a link to a folder may be
    /// anywhere, and is not there.
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

    /// Whether there is a file, and no link to one.
    pub(super) fn has_file(&self, path: &RelPath) -> bool {
        self.metadata_of(path)
            .is_ok_and(|metadata| metadata.is_file())
    }

    /// Reads where something is in the project: with `/` between the components, `.` for its folder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when it is elsewhere, or has a name that no registry can have; the storage errors.
    pub(super) fn path_of(&self, path: &Path) -> Result<String> {
        let real = real(path).at("read", path)?;
        let refuse = |reason: &str| Err(Error::argument(format!("{} {reason}", path.display())));
        let Ok(below) = real.strip_prefix(&self.root) else {
            return refuse(&format!("is not in the project {}", self.root.display()));
        };
        let components: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
        match components.as_deref() {
            None => refuse("has a name that is not UTF-8"),
            Some([]) => Ok(".".into()),
            Some([REGISTRY_DIR, ..]) => refuse("is the registry's own, and no model"),
            Some(components) => {
                let text = components.join("/");
                RelPath::parse(&text).map_err(|error| Error::argument(error.to_string()))?;
                Ok(text)
            }
        }
    }
}

impl ProjectRegistry {
    /// Takes over where the project is in its repository now, when it is in one: that is where readers look for the files.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when what `make` found lies elsewhere, so that no one folder would be right for both.
    fn settle_root(&mut self, root: Option<String>, path: &Path) -> Result<()> {
        let Some(root) = root.filter(|root| root != self.root()) else {
            return Ok(());
        };
        if self.made.models.is_empty() {
            self.made.root = Some(root);
        } else if self.has_entries() {
            return Err(Error::registry(
                path.display(),
                format!(
                    "the models that 'make' found lie below '{}', and the project at '{root}' in its repository: make \
                     them anew from there, or into another folder",
                    self.root()
                ),
            ));
        }
        Ok(())
    }

    /// Drops all but so many of the highest versions of each model, and returns what was dropped. The current version
    /// stays.
    fn drop_versions(&mut self, keep: usize) -> Vec<(String, String)> {
        let mut dropped = Vec::new();
        for (id, entry) in &mut self.entries {
            let history = entry.history();
            let old = history.len().saturating_sub(keep);
            let old: Vec<String> = history
                .into_iter()
                .take(old)
                .map(|(version, _)| version.to_owned())
                .filter(|version| *version != entry.current)
                .collect();
            for version in old {
                entry.versions.remove(&version);
                dropped.push((id.clone(), version));
            }
        }
        dropped
    }
}

/// Where a path leads, without links, and as people write it: Windows puts something in front.
fn real(path: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(path)?;
    let plain = real.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    let is_of_drive = |text: &&str| text.as_bytes().get(1) == Some(&b':');
    Ok(plain
        .filter(is_of_drive)
        .map_or_else(|| real.clone(), PathBuf::from))
}
