//! A project's folder, and the registry in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::formats::{self, ModelFormat};
use super::registry::ProjectRegistry;
use super::work_tree::path_in_work_tree;
use crate::digest::Digest;
use crate::error::{Error, IoContext, Result, chain};
use crate::progress::CancelToken;
use crate::relpath::RelPath;
use crate::source::repository::check_registry;
use crate::source::repository::discover::REGISTRY_FILE;
use crate::source::repository::wire::MAX_REGISTRY_BYTES;
use crate::store::lock::{FileLock, RECORD_LIMIT};
use crate::store::write::{NewFile, rename, replace_file};

/// How the message begins when a registry may not be written for its size.
pub(crate) const TOO_LARGE: &str = "the registry would be too large";
/// The folder of a project that has its registry.
const REGISTRY_DIR: &str = ".registry";
/// What version control should pass over in it, written with the first registry.
const IGNORED: &str = "*.bak\n*.lock\n*.tmp\n*.damaged-*\n";

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

/// A registry as it was found on disk.
#[derive(Debug)]
struct Found {
    registry: ProjectRegistry,
    /// What is to become the backup.
    text: Option<Vec<u8>>,
    /// What was wrong with the file, when the backup stands in for it.
    damage: Option<String>,
}

impl Project {
    /// Opens a project: a folder with a registry, or any other that is to become one. Nothing is written.
    ///
    /// A registry that is damaged or gone is read from its backup, see [`Project::recovered`].
    ///
    /// # Errors
    /// The storage errors; [`Error::Registry`] when the registry is damaged and there is no backup.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let root = real(folder).at("open", folder)?;
        if !root.is_dir() {
            return Err(Error::argument(format!(
                "{} is no folder",
                folder.display()
            )));
        }
        let mut project = Self {
            root,
            registry: ProjectRegistry::default(),
            base: None,
            unsaved: false,
            recovered: None,
            kept_aside: None,
            dropped: Vec::new(),
            limits: Limits::default(),
            lock_limit: RECORD_LIMIT,
            formats: formats::builtin(),
        };
        let found = project.read()?;
        project.take(found);
        Ok(project)
    }

    /// Finds the project that a folder belongs to: the nearest folder upwards with a registry, else the folder itself.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn find(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let start = real(folder).at("open", folder)?;
        let has_registry =
            |folder: &&Path| registry_path(folder).is_file() || backup_path(folder).is_file();
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
        registry_path(&self.root)
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
    /// The storage errors; [`Error::Registry`] when another program changed the registry meanwhile, or when it is
    /// larger than the [`Limits`] say; [`Error::Locked`].
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
        let is_new = own(&folder, fs::Metadata::is_dir, "folder")?.is_none();
        let outcome = self.change_locked(&folder, cancel, act);
        if is_new {
            // Goes when nothing was written into it.
            let _ = fs::remove_dir(&folder);
        }
        outcome
    }

    fn change_locked<T>(
        &mut self,
        folder: &Path,
        cancel: &CancelToken,
        act: impl FnOnce(&mut ProjectRegistry) -> Result<T>,
    ) -> Result<T> {
        let lock = folder.join(format!(".{REGISTRY_FILE}.lock"));
        own(&lock, fs::Metadata::is_file, "file")?;
        let waiting = |holder: Option<String>| {
            info!(path = %lock.display(), holder, "waiting for another program");
        };
        let _lock = FileLock::acquire(&lock, true, Some(self.lock_limit), cancel, &waiting)?;
        let mut found = self.read()?;
        if !self.unsaved {
            self.registry = std::mem::take(&mut found.registry);
            self.base = found.base();
        } else if found.base() != self.base {
            return Err(Error::registry(
                self.registry_path().display(),
                "another program changed it since, so that what could not be written before would undo that: open the project anew",
            ));
        }
        if found.text.is_none() && found.damage.is_none() {
            self.registry.root = path_in_work_tree(&self.root)?.unwrap_or_default();
        }
        let mut registry = self.registry.clone();
        let outcome = act(&mut registry)?;
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

    fn take(&mut self, found: Found) {
        self.base = found.base();
        self.recovered = found.damage;
        self.registry = found.registry;
    }

    fn read(&self) -> Result<Found> {
        let (path, backup) = (self.registry_path(), backup_path(&self.root));
        let whole = |path: &Path| -> Result<Option<Vec<u8>>> {
            let Some(metadata) = own(path, fs::Metadata::is_file, "file")? else {
                return Ok(None);
            };
            if metadata.len() > MAX_REGISTRY_BYTES {
                let message = format!(
                    "the registry has {} bytes, and may have {MAX_REGISTRY_BYTES}",
                    metadata.len()
                );
                return Err(Error::registry(path.display(), message));
            }
            fs::read(path).at("read", path).map(Some)
        };
        own(
            &self.root.join(REGISTRY_DIR),
            fs::Metadata::is_dir,
            "folder",
        )?;
        let text = whole(&path)?;
        let is_empty = |text: &[u8]| text.trim_ascii().is_empty() && backup.is_file();
        let damage = match text.as_deref() {
            // As a machine that lost its power leaves it.
            Some(bytes) if is_empty(bytes) => Error::registry(path.display(), "it is empty"),
            Some(bytes) => match parse(bytes, &path) {
                Ok(registry) => return Ok(Found::whole(registry, text)),
                Err(error) => error,
            },
            None if backup.is_file() => Error::registry(path.display(), "it is missing"),
            None => return Ok(Found::whole(ProjectRegistry::default(), None)),
        };
        let kept = whole(&backup).ok().flatten();
        let Some(registry) = kept.and_then(|text| parse(&text, &backup).ok()) else {
            return Err(match damage {
                Error::Registry {
                    location,
                    message,
                    source,
                } if backup.exists() => Error::Registry {
                    location,
                    message: format!("{message}, and its backup cannot be read either"),
                    source,
                },
                damage => damage,
            });
        };
        let damage = chain(&damage);
        warn!(path = %path.display(), damage, "the registry is damaged, and its backup is read");
        Ok(Found {
            registry,
            text,
            damage: Some(damage),
        })
    }

    fn write(&mut self, found: &Found) -> Result<()> {
        let (path, backup) = (self.registry_path(), backup_path(&self.root));
        let (text, smaller, dropped) = self.within_limits(&path)?;
        check_registry(&text, "", &path.display().to_string())?;
        remove_leftovers(&path);
        let ignored = path.with_file_name(".gitignore");
        if found.text.is_none() && !ignored.exists() {
            replace_file(&ignored, IGNORED.as_bytes())?;
        }
        // On the disk before the one that is there goes anywhere.
        let mut new = NewFile::create(&path)?;
        new.write(text.as_bytes())?;
        let mut kept_aside = None;
        match (&found.damage, &found.text) {
            (None, Some(text)) => replace_file(&backup, text)?,
            (Some(_), Some(_)) => {
                let aside = (1_u64..)
                    .map(|number| path.with_file_name(format!("{REGISTRY_FILE}.damaged-{number}")))
                    .find(|aside| !aside.exists());
                if let Some(aside) = &aside {
                    rename(&path, aside).at("keep aside", &path)?;
                    self.base = None;
                }
                kept_aside = aside;
            }
            (_, None) => {}
        }
        new.commit()?;
        if let Some(smaller) = smaller {
            self.registry = smaller;
        }
        info!(path = %path.display(), models = self.registry.entries.len(), "registry written");
        self.base = Some(Digest::of(text.as_bytes()));
        (self.kept_aside, self.dropped) = (kept_aside, dropped);
        self.recovered = None;
        self.unsaved = false;
        Ok(())
    }

    /// Writes the registry down. Where it would be too large and old versions may go, returns the one without them, and
    /// which they are.
    fn within_limits(&self, path: &Path) -> Result<Written> {
        let most = self.limits.max_bytes.min(MAX_REGISTRY_BYTES);
        let mut text = self.registry.render();
        if text.len() as u64 <= most {
            return Ok((text, None, Vec::new()));
        }
        if let Some(keep) = self.limits.keep_versions {
            let mut smaller = self.registry.clone();
            let dropped = smaller.drop_versions(keep.max(1));
            text = smaller.render();
            if text.len() as u64 <= most {
                return Ok((text, Some(smaller), dropped));
            }
        }
        let bytes = text.len();
        let message = format!("{TOO_LARGE}: {bytes} bytes, where {most} are allowed");
        Err(Error::registry(path.display(), message))
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
    /// [`Error::InvalidArgument`] when it is elsewhere, or has a name that no registry can have; the storage errors.
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

impl Found {
    fn whole(registry: ProjectRegistry, text: Option<Vec<u8>>) -> Self {
        Self {
            registry,
            text,
            damage: None,
        }
    }

    fn base(&self) -> Option<Digest> {
        self.text.as_deref().map(Digest::of)
    }
}

impl ProjectRegistry {
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

/// Removes what programs that were killed left of writing the registry. Whoever calls has the lock.
fn remove_leftovers(path: &Path) {
    let Some(folder) = path.parent() else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = [REGISTRY_FILE, ".gitignore"].iter().any(|file| {
            let rest = name.strip_prefix(file);
            rest.is_some_and(|rest| rest.starts_with('.'))
        });
        if is_ours && name.ends_with(".tmp") {
            // One that stays is harmless.
            let _ = fs::remove_file(entry.path());
        }
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

/// Looks at something that is the registry's own. What a link leads to may be anywhere, and a pipe never ends.
fn own(
    path: &Path,
    is_right: impl Fn(&fs::Metadata) -> bool,
    kind: &str,
) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if !is_right(&metadata) => Err(Error::registry(
            path.display(),
            format!("it should be a {kind}, and no link: move it away"),
        )),
        metadata => metadata.at("read", path).map(Some),
    }
}

fn parse(text: &[u8], path: &Path) -> Result<ProjectRegistry> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::registry(path.display(), "the registry is not UTF-8"))?;
    ProjectRegistry::parse(text, &path.display())
}

fn registry_path(root: &Path) -> PathBuf {
    root.join(REGISTRY_DIR).join(REGISTRY_FILE)
}

fn backup_path(root: &Path) -> PathBuf {
    root.join(REGISTRY_DIR).join(format!("{REGISTRY_FILE}.bak"))
}
