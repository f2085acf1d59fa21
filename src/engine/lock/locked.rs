//! What a lock says of one version.

use std::fmt::Display;

use crate::archive::ArchiveFormat;
use crate::catalog::Pin;
use crate::digest::{Checksum, Digest, GitBlobId};
use crate::error::Result;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::relpath::RelPath;

/// A version in a lock: where it was found, and the files that it consists of. [`Lock`](super::document::Lock) has an example.
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

/// A file of a model in a lock; [`Lock`](super::document::Lock) has an example.
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

/// Finds a file among sorted ones by its path.
pub(super) fn find<'f>(files: &'f [LockedFile], path: &RelPath) -> Option<&'f LockedFile> {
    let place = files.binary_search_by(|file| file.path.cmp(path));
    place.ok().map(|place| &files[place])
}

/// The size of all files together; `None` if those of some are unknown, or too large to be true.
pub(super) fn total_bytes(files: &[LockedFile]) -> Option<u64> {
    let mut files = files.iter();
    files.try_fold(0, |sum: u64, file| sum.checked_add(file.size_bytes?))
}

impl LockedModel {
    /// Takes over what another lock of the same files knows and this one does not.
    pub(super) fn learn(&mut self, other: &Self) {
        for file in &mut self.files {
            let known = find(&other.files, &file.path);
            let Some(known) = known.filter(|known| known.agrees(file) != Some(false)) else {
                continue;
            };
            file.size_bytes = file.size_bytes.or(known.size_bytes);
            file.sha256 = file.sha256.or(known.sha256);
            file.git_blob = file.git_blob.or(known.git_blob);
        }
        if self.model_type.is_none() {
            self.model_type.clone_from(&other.model_type);
        }
        if self.tags.is_empty() {
            self.tags.clone_from(&other.tags);
        }
        self.total_bytes = total_bytes(&self.files);
    }
}

impl LockedFile {
    /// Returns whether two files of one path are the same, as far as their sizes and checksums tell.
    pub(super) fn agrees(&self, other: &Self) -> Option<bool> {
        let sizes = self.size_bytes.zip(other.size_bytes);
        if self.archive != other.archive || sizes.is_some_and(|(one, other)| one != other) {
            return Some(false);
        }
        let sha256 = self
            .sha256
            .zip(other.sha256)
            .map(|(one, other)| one == other);
        let git_blob = self.git_blob.zip(other.git_blob);
        sha256.or(git_blob.map(|(one, other)| one == other))
    }
}
