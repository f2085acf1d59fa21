//! The file of a registry: locked while it changes, backed up before it is replaced, recovered when it is damaged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use crate::digest::Digest;
use crate::disk::write::{NewFile, rename, replace_file};
use crate::error::{Error, ErrorKind, IoContext, Result, chain};
use crate::modelstoml::{MAX_REGISTRY_BYTES, ProjectRegistry, REGISTRY_FILE};
use crate::progress::CancelToken;
use crate::store::lock::FileLock;

/// What other programs say about when and how they made a registry.
pub(super) const GENERATED: [&str; 3] = ["generated_at", "devtools_version", "_meta"];
/// What version control should pass over in its folder, written with the first registry.
const IGNORED: &str = "*.bak\n*.lock\n*.tmp\n*.damaged-*\n";

/// `models.toml` in a folder, with its backup and its lock beside it.
#[derive(Debug)]
pub(in crate::project) struct RegistryFile {
    folder: PathBuf,
}

/// A registry as it was found on disk.
#[derive(Debug)]
pub(in crate::project) struct OnDisk {
    pub(in crate::project) registry: ProjectRegistry,
    /// The text of the file; `None` when there is none.
    text: Option<Vec<u8>>,
    /// Whether the text is to become the backup: there is more in it than `make` finds again.
    is_kept: bool,
    /// The digest of the text.
    pub(in crate::project) digest: Option<Digest>,
    /// What was wrong with the file, when the backup stands in for it.
    pub(in crate::project) damage: Option<String>,
}

impl RegistryFile {
    /// The registry in a folder, which need not be there.
    pub(in crate::project) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(in crate::project) fn path(&self) -> PathBuf {
        self.folder.join(REGISTRY_FILE)
    }

    fn backup(&self) -> PathBuf {
        self.folder.join(format!("{REGISTRY_FILE}.bak"))
    }

    /// Whether there is one, or its backup.
    pub(in crate::project) fn exists(&self) -> bool {
        self.path().is_file() || self.backup().is_file()
    }

    /// Runs what changes the registry, while no other program does.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another has it for longer than the limit; [`ErrorKind::Cancelled`]; the storage errors.
    pub(in crate::project) fn locked<T>(
        &self,
        limit: Duration,
        cancel: &CancelToken,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let is_new = !self.folder.is_dir();
        let path = self.folder.join(format!(".{REGISTRY_FILE}.lock"));
        own(&path, fs::Metadata::is_file, "file")?;
        let waiting = |holder: Option<String>| {
            info!(path = %path.display(), holder, "waiting for another program");
        };
        let lock = FileLock::acquire(&path, true, Some(limit), cancel, &waiting);
        let outcome = lock.and_then(|_lock| act());
        if is_new {
            // Goes when nothing was written into it.
            let _ = fs::remove_dir(&self.folder);
        }
        outcome
    }

    /// Reads the registry, from its backup when it is damaged or gone. What is `known` of its text is not read again.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedRegistry`] when the backup does not help either; the storage errors.
    pub(in crate::project) fn read(
        &self,
        known: Option<(Digest, &ProjectRegistry)>,
    ) -> Result<OnDisk> {
        let (path, backup) = (self.path(), self.backup());
        let text = read_whole(&path)?;
        let digest = text.as_deref().map(Digest::of);
        let is_empty = |text: &[u8]| text.trim_ascii().is_empty() && backup.is_file();
        let read = match (text.as_deref(), known) {
            // As a machine that lost its power leaves it.
            (Some(text), _) if is_empty(text) => {
                Err(Error::registry(path.display(), "it is empty"))
            }
            (Some(_), Some((known, registry))) if digest == Some(known) => Ok(registry.clone()),
            (Some(text), _) => parse(text, &path),
            (None, _) if backup.is_file() => Err(Error::registry(path.display(), "it is missing")),
            (None, _) => Ok(ProjectRegistry::default()),
        };
        let damage = match read {
            Ok(registry) => {
                return Ok(OnDisk {
                    is_kept: is_more_than_made(&registry),
                    registry,
                    text,
                    digest,
                    damage: None,
                });
            }
            Err(error) => error,
        };
        let kept = read_whole(&backup).ok().flatten();
        let Some(registry) = kept.and_then(|text| parse(&text, &backup).ok()) else {
            return Err(damage.map_kind(|kind| match kind {
                ErrorKind::Registry {
                    message, source, ..
                } => ErrorKind::DamagedRegistry {
                    path,
                    message: match backup.exists() {
                        true => format!("{message}, and its backup cannot be read either"),
                        false => message,
                    },
                    source,
                },
                kind => kind,
            }));
        };
        let damage = chain(&damage);
        warn!(path = %path.display(), damage, "the registry is damaged, and its backup is read");
        Ok(OnDisk {
            is_kept: false,
            registry,
            text,
            digest,
            damage: Some(damage),
        })
    }

    /// Puts a registry, as `text` has it, in the place of the one that was found, under the same lock; returns where a
    /// damaged one is kept. `name` is that of the source which will read it. Of what `make` makes again there is no backup.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when nobody could read it; the storage errors, which leave what was found, or its backup.
    pub(in crate::project) fn write(
        &self,
        registry: &ProjectRegistry,
        text: &str,
        name: &str,
        found: &OnDisk,
    ) -> Result<Option<PathBuf>> {
        let path = self.path();
        registry.check(text, name, &path.display())?;
        self.remove_leftovers();
        let ignored = path.with_file_name(".gitignore");
        if found.text.is_none() && is_more_than_made(registry) && !ignored.exists() {
            replace_file(&ignored, IGNORED.as_bytes())?;
        }
        // On the disk before the one that is there goes anywhere.
        let mut new = NewFile::create(&path)?;
        new.write(text.as_bytes())?;
        let mut aside = None;
        match (&found.damage, &found.text) {
            (None, Some(text)) if found.is_kept => replace_file(&self.backup(), text)?,
            (Some(_), Some(_)) => {
                aside = (1_u64..)
                    .map(|number| path.with_file_name(format!("{REGISTRY_FILE}.damaged-{number}")))
                    .find(|aside| !aside.exists());
                if let Some(aside) = &aside {
                    rename(&path, aside).at("keep aside", &path)?;
                }
            }
            (None, _) | (_, None) => {}
        }
        new.commit()?;
        info!(path = %path.display(), "registry written");
        Ok(aside)
    }

    /// Removes what programs that were killed left of writing it.
    fn remove_leftovers(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
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
}

/// Whether a registry has more in it than `make` would find again.
fn is_more_than_made(registry: &ProjectRegistry) -> bool {
    let mut others = registry.others.keys();
    registry.has_entries() || others.any(|key| !GENERATED.contains(&key.as_str()))
}

/// Looks at something that is a registry's own. What a link leads to may be anywhere, and a pipe never ends.
///
/// # Errors
/// [`ErrorKind::Registry`] when it is something else than it should be; the storage errors.
pub(in crate::project) fn own(
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

fn read_whole(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(metadata) = own(path, fs::Metadata::is_file, "file")? else {
        return Ok(None);
    };
    if metadata.len() > MAX_REGISTRY_BYTES {
        let bytes = metadata.len();
        let message = format!("the registry has {bytes} bytes, and may have {MAX_REGISTRY_BYTES}");
        return Err(Error::registry(path.display(), message));
    }
    fs::read(path).at("read", path).map(Some)
}

fn parse(text: &[u8], path: &Path) -> Result<ProjectRegistry> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::registry(path.display(), "the registry is not UTF-8"))?;
    ProjectRegistry::parse(text, &path.display())
}
