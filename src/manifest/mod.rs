//! The files of one model version, in one form for every kind of source.
//!
//! A model is one stream of bytes. Its **files** are that stream cut at their sizes, in order. Its **parts**, which are what
//! is fetched and what digests cover, are the same stream cut at other places: a part is a chunk that many models may
//! share, or one whole file. On disk and in a chunked registry a manifest is this JSON document:
//!
//! ```json
//! {
//!   "total_size": 12,
//!   "chunk_size": 8,
//!   "chunks": ["<sha256>", "<sha256>"],
//!   "chunk_sizes": [8, 4],
//!   "files": [{"path": "model.safetensors", "size": 12, "sha256": "<sha256>"}]
//! }
//! ```
//!
//! `chunk_sizes` is present only if chunks differ in length; without it, every chunk but the last has `chunk_size` bytes.
//! Without `chunks`, every file that is not empty is a part. A file may lack `sha256`, or have `git_blob` instead, the id
//! that git gives it; in a mirror it has both. An installed file that has neither has `learned_sha256`, of what came with the pull. Unknown fields are
//! ignored.
//!
//! Some registries do not state the sizes of files. A manifest made from one is *unmeasured*: it lacks `total_size` and the
//! unknown values of `size`, and has no parts until a pull has measured the files. If a digest is missing too,
//! `revision` tells two states of the same files apart. A list of files may have some that cannot be installed:
//! `unusable` says of each what is wrong with it. It can be pulled without them only.
//!
//! A file may be an archive of files: `archive` says how they are packed. A pull unpacks it. The manifest of the installed
//! model has what was in it, each with the index of its archive as `packed_in`; `packed` is the list of files as it was
//! offered.
//!
//! | name | what it is |
//! |---|---|
//! | [`Manifest`] | the files of a version, and the parts they come from |
//! | [`ManifestFile`], [`RelPath`] | a file, and its path in the model's folder |
//! | [`ArchiveFormat`] | how files are packed |
//! | [`Part`] | a piece that is fetched and verified as one |
//! | [`Checksum`], [`Digest`], [`GitBlobId`] | what content is verified with |

mod document;
mod file;
mod packed;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use crate::digest::{check_digest, check_size};
use crate::error::{Error, Result};
use crate::relpath::{InvalidName, collisions, shown};

pub use crate::archive::ArchiveFormat;
pub use crate::digest::{Checksum, Digest, GitBlobId};
pub use crate::relpath::RelPath;

pub use file::{ManifestFile, Part};

pub(crate) use document::write_listing;
pub(crate) use stream::FileContent;

use document::{FileWire, ManifestWire, even_sizes, to_json};

/// The largest manifest that is read, in bytes. A manifest is held in memory; the limit suffices for a model of 1.9 TiB in
/// chunks of 8 MiB.
///
/// ```
/// use modelrack::manifest::MAX_MANIFEST_BYTES;
///
/// // The digest of each chunk takes 67 bytes: 64 digits, quotes and a comma.
/// let chunks = MAX_MANIFEST_BYTES / 67;
/// assert!(chunks * (8 << 20) > 19 * (1 << 40) / 10);
/// ```
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The files of one model version, and the parts they come from. Two are equal if their documents are.
///
/// ```
/// use modelrack::{Digest, Manifest};
///
/// let json = br#"{
///     "total_size": 12, "chunk_size": 8,
///     "chunks": ["a9993e364706816aba3e25717850c26c9cd0d89d0a9993e364706816aba3e257",
///                "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"],
///     "files": [{"path": "config.json", "size": 2}, {"path": "model.safetensors", "size": 10}]
/// }"#;
/// let manifest = Manifest::parse(json.to_vec(), "an example")?;
/// assert_eq!(manifest.total_bytes(), Some(12));
/// assert_eq!(manifest.files()[1].path.as_str(), "model.safetensors");
/// let sizes: Vec<u64> = manifest.parts().iter().map(|part| part.size_bytes).collect();
/// assert_eq!((sizes, manifest.chunk_bytes()), (vec![8, 4], Some(8)));
///
/// // An index names the manifest by the digest of its document.
/// assert_eq!(manifest.digest(), Digest::of(manifest.json()));
/// assert!(manifest.is_measured());
/// # Ok::<(), modelrack::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Manifest {
    digest: Digest,
    json: Vec<u8>,
    revision: Option<String>,
    files: Vec<ManifestFile>,
    /// The files as they were offered, if some were unpacked since; otherwise empty.
    packed: Vec<ManifestFile>,
    /// The names of files that cannot be installed, and what is wrong with each, as the predicate of a sentence.
    unusable: BTreeMap<String, String>,
    parts: Vec<Part>,
    chunk_bytes: Option<u64>,
    known_bytes: u64,
    is_measured: bool,
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Manifest {
    /// Reads and checks a manifest; `location` names it in errors. [`Manifest`] has an example.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is malformed, if its sizes contradict each other, or if the path
    /// of a file is unsafe or the same as another's on some system.
    pub fn parse(json: Vec<u8>, location: impl Display) -> Result<Self> {
        let manifest = Self::parse_listing(json, &location)?;
        manifest.without_faults("in the manifest, ", location)
    }

    /// Reads a manifest of which some files may be [`unusable`](Self::faults).
    pub(crate) fn parse_listing(json: Vec<u8>, location: impl Display) -> Result<Self> {
        let refuse = |message| Error::registry(&location, message);
        let mut wire: ManifestWire<'_> = serde_json::from_slice(&json)
            .map_err(|error| Error::registry_from(&location, "the manifest is malformed", error))?;
        let chunks = wire.sized_chunks().map_err(refuse)?;
        let (total, revision) = (wire.total_size, wire.revision.take());
        let unusable = std::mem::take(&mut wire.unusable);
        let packed = std::mem::take(&mut wire.packed);
        let chunk_bytes = wire.chunk_size.filter(|_| chunks.is_some());
        let of_name = |error: InvalidName| refuse(format!("in the manifest, {error}"));
        let packed = packed.into_iter().map(FileWire::read);
        let packed = packed.collect::<Result<_, _>>().map_err(of_name)?;
        let files = wire.files().map_err(of_name)?;
        let manifest = Self {
            chunk_bytes,
            packed,
            ..Self::of_document(json, files, unusable, revision)
        };
        manifest.laid_out(chunks, total).map_err(refuse)
    }

    /// Makes the manifest of files that are parts of their own. `revision` identifies their state where digests are missing.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) as for [`Manifest::parse`].
    pub(crate) fn of_files(
        files: Vec<ManifestFile>,
        revision: &str,
        location: impl Display,
    ) -> Result<Self> {
        let manifest = Self::of_listing(files, BTreeMap::new(), revision, &location)?;
        manifest.without_faults("", location)
    }

    /// Makes the manifest of files that are parts of their own, and of those that cannot be used: each name with what is
    /// wrong with it.
    pub(crate) fn of_listing(
        files: Vec<ManifestFile>,
        unusable: BTreeMap<String, String>,
        revision: &str,
        location: impl Display,
    ) -> Result<Self> {
        let manifest = write_listing(&files, &unusable, revision).and_then(|(json, total)| {
            let revision = Some(revision.to_owned());
            Self::of_document(json, files, unusable, revision).laid_out(None, total)
        });
        manifest.map_err(|message| Error::registry(&location, message))
    }

    /// Returns the files that cannot be installed, and what is wrong with each: the name is none on some system, or two
    /// files would be one.
    pub(crate) fn faults(&self) -> BTreeMap<String, String> {
        let mut faults = self.unusable.clone();
        let collisions = collisions(self.files.iter().map(|file| &file.path));
        faults.extend(collisions.map(|(path, reason)| (path.to_string(), reason.to_owned())));
        faults
    }

    fn without_faults(self, context: &str, location: impl Display) -> Result<Self> {
        match self.faults().pop_first() {
            None => Ok(self),
            Some((name, reason)) => {
                let message = format!("{context}the name '{}' {reason}", shown(&name));
                Err(Error::registry(location, message))
            }
        }
    }

    /// Makes the manifest of files and chunks that are the same stream, in order.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) as for [`Manifest::parse`].
    pub(crate) fn of_chunks(
        files: &[ManifestFile],
        chunks: &[(u64, Digest)],
        chunk_bytes: u64,
    ) -> Result<Self> {
        let total = files.iter().filter_map(|file| file.size_bytes).sum();
        let sizes: Vec<u64> = chunks.iter().map(|(size, _)| *size).collect();
        let even = even_sizes(total, chunk_bytes, chunks.len()).is_some_and(|even| even == sizes);
        let json = to_json(&ManifestWire {
            total_size: Some(total),
            chunk_size: Some(chunk_bytes),
            chunks: Some(chunks.iter().map(|(_, digest)| *digest).collect()),
            chunk_sizes: (!even).then_some(sizes),
            files: files.iter().map(FileWire::from).collect(),
            ..ManifestWire::default()
        })?;
        Self::parse(json, "the new manifest")
    }

    /// Returns whether it has the files of another manifest and no more, as far as the other one's checksums tell; what has none
    /// there may be anything.
    pub(crate) fn has_files_of(&self, other: &Self) -> bool {
        let files: HashMap<&RelPath, &ManifestFile> =
            self.files.iter().map(|file| (&file.path, file)).collect();
        let has = |wanted: &ManifestFile| {
            let Some(file) = files.get(&wanted.path) else {
                return false;
            };
            let has_size = wanted
                .size_bytes
                .is_none_or(|size| file.size_bytes == Some(size));
            has_size
                && file.archive == wanted.archive
                && match wanted.digest {
                    Some(Checksum::Sha256(_)) => file.digest == wanted.digest,
                    Some(Checksum::GitBlob(id)) => file.git_blob_id() == Some(id),
                    None => false,
                }
        };
        self.files.len() == other.files.len() && other.files.iter().all(has)
    }

    /// Confirms that files are those of this manifest, by all that it knows of them, and adds the ids that git gives them, and
    /// how they are packed.
    ///
    /// # Errors
    /// [`SizeMismatch`](crate::error::ErrorKind::SizeMismatch), [`HashMismatch`](crate::error::ErrorKind::HashMismatch).
    pub(crate) fn confirm(&self, files: Vec<ManifestFile>) -> Result<Vec<ManifestFile>> {
        let known: HashMap<&RelPath, &ManifestFile> =
            self.files.iter().map(|file| (&file.path, file)).collect();
        let confirm = |mut file: ManifestFile| {
            let what = || format!("the file '{}'", file.path);
            let Some(known) = known.get(&file.path) else {
                return Ok(file);
            };
            if let (Some(expected), Some(actual)) = (known.size_bytes, file.size_bytes) {
                check_size(what, expected, actual)?;
            }
            if let (Some(Checksum::Sha256(expected)), Some(Checksum::Sha256(actual))) =
                (known.digest, file.digest)
            {
                check_digest(what, &expected, &actual)?;
            }
            let git_blob = known.digest.and_then(|digest| digest.git_blob());
            file.git_blob = git_blob.or(known.git_blob);
            file.archive = known.archive;
            Ok(file)
        };
        files.into_iter().map(confirm).collect()
    }

    fn of_document(
        json: Vec<u8>,
        files: Vec<ManifestFile>,
        unusable: BTreeMap<String, String>,
        revision: Option<String>,
    ) -> Self {
        Self {
            digest: Digest::of(&json),
            json,
            revision,
            is_measured: files.iter().all(|file| file.size_bytes.is_some()),
            files,
            packed: Vec::new(),
            unusable,
            parts: Vec::new(),
            chunk_bytes: None,
            known_bytes: 0,
        }
    }

    /// Makes the manifest of those files whose paths are wanted.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) as for [`Manifest::parse`].
    pub(crate) fn select(
        &self,
        revision: &str,
        location: impl Display,
        is_wanted: impl Fn(&str, Option<ArchiveFormat>) -> bool,
    ) -> Result<Self> {
        let files = self.files.iter();
        let wanted = files.filter(|file| is_wanted(file.path.as_str(), file.archive));
        let unusable = self
            .unusable
            .iter()
            .filter(|(name, _)| is_wanted(name, None));
        let unusable = unusable.map(|(name, reason)| (name.clone(), reason.clone()));
        Self::of_listing(
            wanted.cloned().collect(),
            unusable.collect(),
            revision,
            location,
        )
    }

    /// Makes the manifest in which every file has its size; `sizes` has one for each file.
    ///
    /// # Errors
    /// [`SizeMismatch`](crate::error::ErrorKind::SizeMismatch) if the registry states another size.
    pub(crate) fn measured(&self, sizes: &[u64], location: impl Display) -> Result<Self> {
        let mut files = self.files.clone();
        for (file, actual) in files.iter_mut().zip(sizes) {
            let stated = file.size_bytes.replace(*actual).unwrap_or(*actual);
            check_size(|| format!("the file '{}'", file.path), stated, *actual)?;
        }
        self.with_files(files, location)
    }

    /// Returns the indexes of the files whose content nothing determines.
    pub(crate) fn undetermined(&self) -> impl Iterator<Item = usize> {
        let files = self.files.iter().enumerate();
        let undetermined = files.filter(|(_, file)| self.content(file).is_none());
        undetermined.map(|(index, _)| index)
    }

    /// Makes the manifest with the same files, of which more is known.
    pub(crate) fn with_files(
        &self,
        files: Vec<ManifestFile>,
        location: impl Display,
    ) -> Result<Self> {
        let revision = self.revision.as_deref().unwrap_or_default();
        Self::of_listing(files, self.unusable.clone(), revision, location)
    }

    /// Makes the manifest in which these files have the digests of what a pull received.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) as for [`Manifest::parse`].
    pub(crate) fn learned(&self, digests: &[(usize, Digest)], location: &str) -> Result<Self> {
        let mut files = self.files.clone();
        for (index, digest) in digests {
            files[*index].digest = Some((*digest).into());
            files[*index].is_learned = true;
        }
        let revision = self.revision.as_deref();
        Self::of_unpacked(files, self.packed.clone(), revision, location)
    }

    /// Makes the manifest without what a pull has learned: what the registry states.
    pub(crate) fn stated(self, location: &str) -> Result<Self> {
        if !self.packed.is_empty() {
            return self.offered(location);
        }
        if !self.files.iter().any(|file| file.is_learned) {
            return Ok(self);
        }
        let mut files = self.files;
        for file in files.iter_mut().filter(|file| file.is_learned) {
            (file.digest, file.is_learned) = (None, false);
        }
        Self::of_files(
            files,
            self.revision.as_deref().unwrap_or_default(),
            location,
        )
    }

    /// Returns the digest of the document, which is what an index names it by; [`Manifest`] has an example.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the document as it was read; [`Manifest`] has an example.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the files, in the order of the stream; may be empty. [`Manifest`] has an example.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Returns the parts, in the order of the stream; empty if all files are, or if the sizes of some are unknown.
    /// [`Manifest`] has an example.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the size that chunks have, or have on average if they differ in length; `None` if the files are not cut into
    /// chunks. [`Manifest`] has an example.
    #[must_use]
    pub fn chunk_bytes(&self) -> Option<u64> {
        self.chunk_bytes
    }

    /// Returns the size of all files together; `None` if the sizes of some are unknown. [`Manifest`] has an example.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.is_measured.then_some(self.known_bytes)
    }

    /// Returns whether the sizes of all files are known. An installed model's manifest is always measured. [`Manifest`] has
    /// an example.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// Returns whether every part has a SHA-256 digest, by which a store of content can be asked for it.
    pub(crate) fn has_sha256(&self) -> bool {
        let is_named = |part: &Part| part.digest.is_some_and(|digest| digest.sha256().is_some());
        self.is_measured && self.parts.iter().all(is_named)
    }

    /// Returns the size of all files together whose sizes are known.
    pub(crate) fn known_bytes(&self) -> u64 {
        self.known_bytes
    }

    /// Returns the paths of the files that no digest of the registry covers.
    pub(crate) fn unverifiable(&self) -> Vec<String> {
        let is_covered = |file: &ManifestFile| !file.is_learned && self.content(file).is_some();
        let files = self.files.iter().filter(|file| !is_covered(file));
        files.map(|file| file.path.to_string()).collect()
    }
}
