//! The file of a registry: locked while it changes, backed up before it is replaced, recovered when it is damaged.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info;

use crate::digest::{Digest, Hasher};
use crate::disk::write::{NewFile, rename, replace_file};
use crate::error::{Error, ErrorKind, IoContext, Result, chain};
use crate::modelstoml::{MAX_REGISTRY_BYTES, ProjectRegistry, REGISTRY_FILE};
use crate::progress::CancelToken;
use crate::size::sizes_apart;
use crate::store::lock::FileLock;

/// Keys in which other programs state when and how they made a registry.
pub(super) const GENERATED: [&str; 3] = ["generated_at", "devtools_version", "_meta"];
/// The content of the `.gitignore` that is written with the first registry.
const IGNORED: &str = "*.bak\n*.lock\n*.tmp\n*.damaged-*\n";

/// The file of a registry, with its backup and its lock beside it.
#[derive(Debug, Clone)]
pub(super) struct RegistryFile {
    folder: PathBuf,
    name: String,
    /// Whether what a change replaces is kept.
    pub(super) has_backup: bool,
    /// Whether the folder has nothing else, so that it gets a `.gitignore`.
    is_alone: bool,
}

/// A registry as it is on disk.
#[derive(Debug)]
pub(super) struct OnDisk {
    /// `None` if it is the one that is known.
    pub(super) registry: Option<ProjectRegistry>,
    /// Whether the text becomes the backup, because `make` could not restore all of it.
    is_kept: bool,
    /// The digest of the text; `None` if there is none.
    pub(super) digest: Option<Digest>,
    /// What is wrong with the file, if the registry is that of the backup.
    pub(super) damage: Option<String>,
}

impl RegistryFile {
    /// Returns the registry in a folder of its own, which need not exist.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            name: REGISTRY_FILE.to_owned(),
            has_backup: true,
            is_alone: true,
        }
    }

    /// Returns the registry at a path, or in the folder at that path.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it has no name, or one that is not UTF-8.
    pub(super) fn at(path: &Path) -> Result<Self> {
        let (folder, name) = match (path.parent(), path.file_name()) {
            _ if path.is_dir() => (path, Some(REGISTRY_FILE)),
            (Some(folder), Some(name)) => (folder, name.to_str()),
            _ => (path, None),
        };
        let name = name.ok_or_else(|| {
            Error::argument(format!(
                "{} cannot be the file of a registry",
                path.display()
            ))
        })?;
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let absolute = || std::path::absolute(folder).at("find", folder);
        Ok(Self {
            folder: real(folder).or_else(|_| absolute())?,
            name: name.to_owned(),
            has_backup: true,
            is_alone: false,
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn backup(&self) -> PathBuf {
        self.folder.join(format!("{}.bak", self.name))
    }

    fn lock(&self) -> PathBuf {
        self.folder.join(format!(".{}.lock", self.name))
    }

    /// Returns whether a path is that of the registry, or of what is kept beside it.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(OsStr::to_str);
        let rest = name.and_then(|name| name.strip_prefix(&*self.name));
        let is_beside = |rest: &str| {
            matches!(rest, "" | ".bak") || rest.starts_with(".damaged-") || rest.ends_with(".tmp")
        };
        path.parent() == Some(&self.folder) && (rest.is_some_and(is_beside) || path == self.lock())
    }

    /// Refuses a folder that is a link or a file.
    pub(super) fn check_folder(&self) -> Result<()> {
        own(&self.folder, fs::Metadata::is_dir, "folder").map(drop)
    }

    /// Returns whether the registry or its backup exists.
    pub(super) fn exists(&self) -> bool {
        self.path().is_file() || self.backup().is_file()
    }

    /// Runs a change of the registry under its lock.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another program holds the lock for longer than the limit; [`ErrorKind::Cancelled`]; the
    /// storage errors.
    pub(super) fn locked<T>(
        &self,
        limit: Duration,
        cancel: &CancelToken,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let is_new = !self.folder.is_dir();
        let path = self.lock();
        own(&path, fs::Metadata::is_file, "file")?;
        let waiting = |holder: Option<String>| {
            info!(path = %path.display(), holder, "waiting for another program");
        };
        let lock = FileLock::acquire(&path, true, Some(limit), cancel, &waiting);
        let outcome = lock.and_then(|_lock| act());
        if is_new {
            // Fails unless the folder is empty.
            let _ = fs::remove_dir(&self.folder);
        }
        outcome
    }

    /// Reads the registry, or its backup if it is damaged or missing. A text with the digest in `known` is not read into memory
    /// again: it is the text of the registry beside it, of which there need not be two.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedRegistry`] when the backup does not help either; the storage errors.
    pub(super) fn read(&self, known: Option<(Digest, &ProjectRegistry)>) -> Result<OnDisk> {
        let (path, backup) = (self.path(), self.backup());
        if let Some((known, registry)) = known
            && is_there(&path)?
            && self.each_piece(|_| Ok(()))? == known
        {
            return Ok(OnDisk {
                registry: None,
                is_kept: is_more_than_made(registry),
                digest: Some(known),
                damage: None,
            });
        }
        let text = read_whole(&path)?;
        let digest = text.as_deref().map(Digest::of);
        let damaged = |message: &str| Err(Error::registry(path.display(), message));
        let read = match text.as_deref() {
            None if backup.is_file() => damaged("it is missing"),
            None => Ok(ProjectRegistry::default()),
            // A power failure can leave an empty file.
            Some(text) if text.trim_ascii().is_empty() && backup.is_file() => {
                damaged("it is empty")
            }
            Some(text) => parse(text, &path),
        };
        drop(text);
        let (registry, damage) = match read {
            Ok(registry) => (registry, None),
            Err(error) => {
                let damage = chain(&error);
                let registry = self.recover(error)?;
                info!(path = %path.display(), damage, "the registry is damaged; reading its backup");
                (registry, Some(damage))
            }
        };
        Ok(OnDisk {
            is_kept: damage.is_none() && is_more_than_made(&registry),
            registry: Some(registry),
            digest,
            damage,
        })
    }

    /// Reads the backup of a damaged registry; `error` says what is wrong with it.
    fn recover(&self, error: Error) -> Result<ProjectRegistry> {
        let backup = self.backup();
        let text = read_whole(&backup).ok().flatten();
        if let Some(registry) = text.and_then(|text| parse(&text, &backup).ok()) {
            return Ok(registry);
        }
        Err(error.map_kind(|kind| match kind {
            ErrorKind::Registry {
                message, source, ..
            } => ErrorKind::DamagedRegistry {
                path: self.path(),
                message: match backup.exists() {
                    true => format!("{message}, and its backup cannot be read either"),
                    false => message,
                },
                source,
            },
            kind => kind,
        }))
    }

    /// Replaces the registry on disk, under the lock under which it was read; returns where a damaged one is kept. `source` is
    /// the name of the source that will serve it. A registry that `make` can restore is not backed up.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when nobody could read it; the storage errors, which leave the old registry or its backup.
    pub(super) fn write(
        &self,
        registry: &ProjectRegistry,
        source: &str,
        found: &OnDisk,
    ) -> Result<Option<PathBuf>> {
        let path = self.path();
        registry.check(registry.measure().size_bytes, source, &path.display())?;
        self.remove_leftovers();
        let ignored = path.with_file_name(".gitignore");
        let is_first = found.digest.is_none() && is_more_than_made(registry);
        if self.is_alone && is_first && !ignored.exists() {
            replace_file(&ignored, IGNORED.as_bytes())?;
        }
        // The new one is on disk before the old one is replaced.
        let mut new = NewFile::create(&path)?;
        registry.write_to(&mut |piece| new.write(piece))?;
        let mut aside = None;
        match found.digest {
            Some(digest) if found.is_kept && self.has_backup => self.back_up(digest)?,
            Some(_) if found.damage.is_some() => {
                aside = (1_u64..)
                    .map(|number| path.with_file_name(format!("{}.damaged-{number}", self.name)))
                    .find(|aside| !aside.exists());
                if let Some(aside) = &aside {
                    rename(&path, aside).at("set aside", &path)?;
                }
            }
            _ => {}
        }
        new.commit()?;
        info!(path = %path.display(), "registry written");
        Ok(aside)
    }

    /// Copies the registry, which has this digest, to its backup.
    fn back_up(&self, digest: Digest) -> Result<()> {
        let mut backup = NewFile::create(&self.backup())?;
        if self.each_piece(|piece| backup.write(piece))? != digest {
            let message = "another program is changing it: try again";
            return Err(Error::registry(self.path().display(), message));
        }
        backup.commit()
    }

    /// Passes on the text in pieces; returns its digest.
    fn each_piece(&self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<Digest> {
        let path = self.path();
        let mut file = fs::File::open(&path).at("read", &path)?;
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 64 << 10]);
        loop {
            let length = file.read(&mut buffer).at("read", &path)?;
            if length == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&buffer[..length]);
            take(&buffer[..length])?;
        }
    }

    /// Removes temporary files of killed programs.
    fn remove_leftovers(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let rest = name.strip_prefix(&*self.name);
            let is_ours =
                rest.is_some_and(|rest| rest.starts_with('.')) || name.starts_with(".gitignore.");
            if is_ours && name.ends_with(".tmp") {
                // A failure is harmless.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Returns whether a registry has more than `make` can restore.
fn is_more_than_made(registry: &ProjectRegistry) -> bool {
    let mut others = registry.others.keys();
    registry.has_entries() || others.any(|key| !GENERATED.contains(&key.as_str()))
}

/// Returns the metadata of one of the registry's own files, if it exists. Links are refused, since they may lead anywhere,
/// and so are pipes, since reading them may never end.
///
/// # Errors
/// [`ErrorKind::Registry`] when it is of another kind; the storage errors.
fn own(
    path: &Path,
    is_right: impl Fn(&fs::Metadata) -> bool,
    kind: &str,
) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if !is_right(&metadata) => {
            let message = format!("it is not a {kind}; move it elsewhere");
            Err(Error::registry(path.display(), message))
        }
        metadata => metadata.at("read", path).map(Some),
    }
}

/// Returns whether there is a registry, which is not too large.
fn is_there(path: &Path) -> Result<bool> {
    let metadata = own(path, fs::Metadata::is_file, "file")?;
    let bytes = metadata.as_ref().map_or(0, fs::Metadata::len);
    if bytes > MAX_REGISTRY_BYTES {
        let [bytes, most] = sizes_apart(bytes, MAX_REGISTRY_BYTES);
        let message = format!("the registry has {bytes}; at most {most} are allowed");
        return Err(Error::registry(path.display(), message));
    }
    Ok(metadata.is_some())
}

/// Returns a path with links resolved, without the prefix that Windows adds.
pub(super) fn real(path: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(path)?;
    let plain = real.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    let is_of_drive = |text: &&str| text.as_bytes().get(1) == Some(&b':');
    Ok(plain
        .filter(is_of_drive)
        .map_or_else(|| real.clone(), PathBuf::from))
}

fn read_whole(path: &Path) -> Result<Option<Vec<u8>>> {
    let is_there = is_there(path)?;
    is_there
        .then(|| fs::read(path).at("read", path))
        .transpose()
}

fn parse(text: &[u8], path: &Path) -> Result<ProjectRegistry> {
    ProjectRegistry::parse(utf8(text, path)?, &path.display())
}

/// Returns the text of a registry.
fn utf8<'t>(text: &'t [u8], path: &Path) -> Result<&'t str> {
    std::str::from_utf8(text)
        .map_err(|_| Error::registry(path.display(), "the registry is not UTF-8"))
}
