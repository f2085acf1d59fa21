//! The file: an exact set of models, each with its digests, as text that merges well.
//!
//! Every model is a table of its own with a header that no other model has, and every file is a line of its own. So adding a
//! model adds lines, a change shows in the lines of what changed, and two branches that add the same model differently
//! conflict, rather than both being right.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::wire::{LockWire, line_of, merge_marker, reason};
use crate::archive::ArchiveFormat;
use crate::catalog::Pin;
use crate::digest::{Checksum, Digest, GitBlobId};
use crate::error::{Error, IoContext, Result, is_missing};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::relpath::RelPath;
use crate::size::sizes_apart;

/// The version of the format. Later ones that only add to it keep the number.
const VERSION: i64 = 1;

/// The largest lock that is read, in bytes: about half a million files.
const MAX_LOCK_BYTES: u64 = 64 << 20;

/// The first lines of a lock.
const HEAD: &str = "# An exact set of models. It is written by `lock`, and read by `pull --locked` and `pull --frozen`.\n\
                    # To remove a model, remove its table.\n";

/// An exact set of models, each with its digests: the content of `models.lock`.
///
/// ```
/// use modelrack::lock::{Lock, LockOptions};
/// use modelrack::{Manager, ManagerExt};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let path = folder.path().join("models.lock");
/// manager.lock(&LockOptions::default().models(["digits/logistic v1".parse()?]).file(&path))?;
///
/// let lock = Lock::read(&path)?;
/// let model = lock.get(&"digits/logistic v1".parse()?).expect("it was locked");
/// println!("{} bytes of {} in {} files", model.total_bytes.unwrap_or(0), model.source, model.files.len());
/// assert!(model.files.iter().all(|file| file.sha256.is_some()));
/// assert_eq!(Lock::parse(&lock.to_toml(), "a copy")?, lock);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lock {
    pub(super) models: BTreeMap<ModelRef, LockedModel>,
}

/// A version in a lock: where it was found, and the files that it consists of. [`Lock`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockedModel {
    /// Its name and the version that was asked for.
    pub model: ModelRef,
    /// The key of the source; empty for the one given by a plain registry URL.
    pub source: String,
    /// The kind of the source, such as `chunked`.
    pub kind: String,
    /// Where the source was, without credentials.
    pub location: String,
    /// The state, as [`RemoteModel::manifest_digest`](crate::remote::RemoteModel::manifest_digest).
    pub manifest_digest: Digest,
    /// The version that this one was an alias of; `None` if it was none.
    pub alias_of: Option<String>,
    /// The type that its source states, such as `text-generation`.
    pub model_type: Option<String>,
    /// The tags that its source states; may be empty.
    pub tags: Vec<String>,
    /// The size of all files together; `None` if the sizes of some are unknown.
    pub total_bytes: Option<u64>,
    /// The files, sorted by their paths.
    pub files: Vec<LockedFile>,
    /// Where the files are, for sources that name them by place.
    pub(crate) pin: Option<Pin>,
}

/// A file of a model in a lock; [`Lock`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockedFile {
    /// Its path in the model's folder.
    pub path: RelPath,
    /// Its size; `None` if neither the source states it nor a pull has measured it.
    pub size_bytes: Option<u64>,
    /// The digest of its content. It may be absent where a source has another checksum, or none, and the model was not
    /// installed when it was locked, and where a chunked registry has the digests of chunks alone.
    pub sha256: Option<Digest>,
    /// The id that git gives it, where the source has that.
    pub git_blob: Option<GitBlobId>,
    /// How it is packed, if it is an archive of which a pull installs what is in it.
    pub archive: Option<ArchiveFormat>,
}

impl Lock {
    /// Reads a lock; [`Lock`] has an example.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if there is none; those of [`Lock::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_if_there(path)?.ok_or_else(|| {
            Error::argument(format!("there is no lock: {}", path.display())).naming(path)
        })
    }

    /// Reads a lock; `None` if there is none.
    pub(super) fn read_if_there(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if is_missing(&error) => return Ok(None),
            file => file.at("read", path)?,
        };
        let mut bytes = Vec::new();
        let mut limited = file.take(MAX_LOCK_BYTES + 1);
        limited.read_to_end(&mut bytes).at("read", path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Error::registry_from(path.display(), "the lock is malformed", error)
        })?;
        Self::parse(&text, path.display()).map(Some)
    }

    /// Parses a lock; `location` names it in errors. Keys that are unknown here are ignored. [`Lock`] has an example.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) if it is malformed, of a later version, or names a file that no system can
    /// have.
    pub fn parse(text: &str, location: impl Display) -> Result<Self> {
        #[derive(Deserialize)]
        struct VersionWire {
            version: Option<i64>,
        }
        let refuse = |message: String| Error::registry(&location, message);
        if text.len() as u64 > MAX_LOCK_BYTES {
            let [_, most] = sizes_apart(text.len() as u64, MAX_LOCK_BYTES);
            return Err(refuse(format!("the lock has more than {most}")));
        }
        let malformed = |error: &toml::de::Error| match merge_marker(text) {
            Some((line, marker)) => refuse(format!(
                "line {line}: a merge is unfinished here, '{marker}' stands where its conflict was not resolved"
            )),
            None => refuse(format!("the lock is malformed: {}", reason(error, text))),
        };
        let head: VersionWire = toml::from_str(text).map_err(|error| malformed(&error))?;
        match head.version {
            Some(VERSION) => {}
            None => return Err(refuse("the lock has no version".into())),
            Some(other) => {
                return Err(refuse(format!(
                    "the lock has version {other}, and only version {VERSION} can be read"
                )));
            }
        }
        let wire: LockWire = toml::from_str(text).map_err(|error| malformed(&error))?;
        let mut models = BTreeMap::new();
        for (name, table) in wire.models {
            let line = line_of(text, table.span().start);
            let refuse = |message: String| refuse(format!("line {line}: {message}"));
            let model: ModelRef = name.parse().map_err(|error| refuse(format!("{error}")))?;
            let locked = table.into_inner().read(model.clone());
            let locked = locked.map_err(|message| refuse(format!("in '{model}', {message}")))?;
            match models.entry(model) {
                Entry::Vacant(entry) => entry.insert(locked),
                Entry::Occupied(entry) => {
                    return Err(refuse(format!("'{}' is locked twice", entry.key())));
                }
            };
        }
        Ok(Self { models })
    }

    /// Returns the models in the order of their names. [`Lock`] has an example of a single one.
    pub fn models(&self) -> impl Iterator<Item = &LockedModel> {
        self.models.values()
    }

    /// Returns a model; `None` if the lock does not have it. [`Lock`] has an example.
    #[must_use]
    pub fn get(&self, model: &ModelRef) -> Option<&LockedModel> {
        self.models.get(model)
    }

    /// Returns the text of the file: the same models as the same text. [`Lock`] has an example.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!("{HEAD}version = {VERSION}\n");
        for model in self.models.values() {
            super::wire::write(model, &mut text);
        }
        text
    }
}

impl LockedModel {
    /// Returns the commit that its files belong to, or the `sha256:…` of the OCI manifest that names them; `None` if its source
    /// has neither.
    ///
    /// ```
    /// use modelrack::lock::Lock;
    ///
    /// let lock = Lock::parse(
    ///     r#"
    ///         version = 1
    ///
    ///         [models."hf/openai/whisper-tiny main"]
    ///         source = "hf"
    ///         kind = "hub"
    ///         location = "https://huggingface.co"
    ///         manifest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    ///         size = 1983
    ///         pin = { repo = "openai/whisper-tiny", commit = "169d4a4341b33bc18d8881c4b69c2e104e1cc0af", root = "" }
    ///         files = [
    ///           { path = "config.json", size = 1983, git_blob = "3ab313fff6f41bb35969cd359e9ddfb8033b3ac2" },
    ///         ]
    ///     "#,
    ///     "an example",
    /// )?;
    /// let model = lock.models().next().expect("it has one");
    /// assert!(model.commit().is_some_and(|commit| commit.starts_with("169d4a43")));
    /// assert!(model.files[0].checksum().is_some());
    /// # Ok::<(), modelrack::Error>(())
    /// ```
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.pin.as_ref().and_then(|pin| pin.state.commit())
    }

    /// Makes the manifest of its files, each of which is one part. Where a file has two checksums, the stronger one counts.
    pub(crate) fn listing(&self, location: impl Display) -> Result<Manifest> {
        let files = self.files.iter().map(|file| ManifestFile {
            size_bytes: file.size_bytes,
            digest: file.checksum(),
            archive: file.archive,
            ..ManifestFile::new(file.path.clone())
        });
        let state = self.manifest_digest.to_string();
        // What is installed of an archive depends on what is wanted of it, which the state tells and no commit does.
        let is_packed = self.files.iter().any(|file| file.archive.is_some());
        let commit = self.commit().filter(|_| !is_packed);
        Manifest::of_files(files.collect(), commit.unwrap_or(&state), location)
    }
}

impl LockedFile {
    /// Returns the checksum to verify it with; `None` if there is none. [`LockedModel::commit`] has an example.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        let git_blob = self.git_blob.map(Checksum::GitBlob);
        self.sha256.map(Checksum::Sha256).or(git_blob)
    }
}
