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
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::ops::Range;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::digest::{check_digest, check_size};
use crate::error::{Error, Result};
use crate::relpath::{InvalidName, collisions, shown};

pub use crate::archive::ArchiveFormat;
pub use crate::digest::{Checksum, Digest, GitBlobId};
pub use crate::relpath::RelPath;

pub(crate) use document::write_listing;
use document::{FileWire, ManifestWire, write_unpacked};
use document::{even_sizes, to_json};

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

/// A file of a model.
///
/// ```
/// use modelrack::manifest::ManifestFile;
///
/// let mut file = ManifestFile::new("config.json".parse()?);
/// assert_eq!((file.path.as_str(), file.size_bytes, file.digest), ("config.json", None, None));
/// file.size_bytes = Some(812);
/// # Ok::<(), modelrack::error::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ManifestFile {
    /// Its path in the model's folder.
    pub path: RelPath,
    /// Its size, which may be zero; `None` if the registry does not state it and no pull has measured it. The files of an
    /// installed model always have a size.
    #[serde(rename = "bytes")]
    pub size_bytes: Option<u64>,
    /// The checksum of its content, if the registry states one or a pull has learned it.
    #[serde(flatten, serialize_with = "checksum")]
    pub digest: Option<Checksum>,
    /// The id that git gives it, if its checksum is another one.
    #[serde(skip)]
    pub(crate) git_blob: Option<GitBlobId>,
    /// Whether the checksum is that of what a pull received, because the registry states none. It shows whether the file has
    /// changed since, and not whether it was right.
    #[serde(rename = "learned")]
    pub is_learned: bool,
    /// How it is packed, if it is an archive of which a pull installs what is in it, and not the archive; `None` for a file
    /// that is installed as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveFormat>,
    /// The archive that it was unpacked from, as an index of the files that were offered.
    #[serde(skip)]
    pub(crate) packed_in: Option<u32>,
    /// Where it begins in the model's stream of bytes.
    #[serde(skip)]
    pub(crate) offset: u64,
}

/// Writes a checksum under the name of its algorithm.
fn checksum<S: Serializer>(checksum: &Option<Checksum>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Checksum", 2)?;
    fields.serialize_field("sha256", &checksum.as_ref().and_then(Checksum::sha256))?;
    fields.serialize_field("git_blob", &checksum.as_ref().and_then(Checksum::git_blob))?;
    fields.end()
}

impl ManifestFile {
    /// Creates a file of unknown size and content; [`ManifestFile`] has an example.
    #[must_use]
    pub fn new(path: RelPath) -> Self {
        Self {
            path,
            size_bytes: None,
            digest: None,
            git_blob: None,
            is_learned: false,
            archive: None,
            packed_in: None,
            offset: 0,
        }
    }

    /// Returns the id that git gives it, if that is known.
    pub(crate) fn git_blob_id(&self) -> Option<GitBlobId> {
        let own = self.digest.and_then(|digest| digest.git_blob());
        own.or(self.git_blob)
    }

    /// Returns its place in the model's stream of bytes.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size_bytes.unwrap_or(0)
    }
}

/// A piece of a model's stream that is fetched and verified as one; see [`Manifest`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Its size; never zero.
    pub size_bytes: u64,
    /// The checksum of its content; `None` if only the digest of a file covers it.
    pub digest: Option<Checksum>,
    /// Where it begins in the model's stream of bytes.
    pub(crate) offset: u64,
}

impl Part {
    fn new(size_bytes: u64, digest: Option<Checksum>) -> Self {
        Self {
            size_bytes,
            digest,
            offset: 0,
        }
    }

    /// Returns its place in the model's stream of bytes.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size_bytes
    }
}

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

/// A stretch of one file, within a range of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The index of the file.
    pub(crate) file: usize,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    pub(crate) size_bytes: u64,
}

/// The bytes of a file, as far as a manifest determines them: equal ones are the same bytes.
#[derive(Debug, PartialEq)]
pub(crate) enum FileContent {
    Digest(Checksum),
    /// The size of the file, and the digest of each of its parts with the part's place relative to the file.
    Parts(u64, Vec<(Checksum, i128)>),
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

    /// Makes the manifest of files of which some were unpacked; `packed` is how they were offered, or empty.
    fn of_unpacked(
        files: Vec<ManifestFile>,
        packed: Vec<ManifestFile>,
        revision: Option<&str>,
        location: impl Display,
    ) -> Result<Self> {
        let (none, revision) = (BTreeMap::new(), revision.unwrap_or_default());
        let written = write_unpacked(&files, &packed, &none, revision);
        let manifest = written.and_then(|(json, total)| {
            let manifest = Self::of_document(json, files, none, Some(revision.to_owned()));
            Self { packed, ..manifest }.laid_out(None, total)
        });
        let manifest = manifest.map_err(|message| Error::registry(&location, message))?;
        manifest.without_faults("", location)
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
                && match wanted.digest {
                    Some(Checksum::Sha256(_)) => file.digest == wanted.digest,
                    Some(Checksum::GitBlob(id)) => file.git_blob_id() == Some(id),
                    None => false,
                }
        };
        self.files.len() == other.files.len() && other.files.iter().all(has)
    }

    /// Confirms that files are those of this manifest, by all that it knows of them, and adds the ids that git gives them.
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

    /// Gives files and parts their places in the stream; refuses sizes that contradict each other.
    fn laid_out(mut self, chunks: Option<Vec<Part>>, total: Option<u64>) -> Result<Self, String> {
        if self.is_measured != total.is_some() {
            return Err("the manifest's total size does not agree with its files' sizes".into());
        }
        let files = self.files.iter_mut();
        let sizes = files.map(|file| (&mut file.offset, file.size_bytes.unwrap_or(0)));
        self.known_bytes = lay_out(sizes, total, "files")?;
        self.parts = match chunks {
            Some(chunks) => chunks,
            None if !self.is_measured => Vec::new(),
            None => {
                let files = self.files.iter().map(|file| (file.size_bytes, file.digest));
                let sized =
                    files.filter_map(|(size, digest)| Some((size.filter(|it| *it > 0)?, digest)));
                sized
                    .map(|(size, digest)| Part::new(size, digest))
                    .collect()
            }
        };
        let mut size_of: HashMap<Checksum, u64> = HashMap::new();
        for part in &self.parts {
            let size = part.size_bytes;
            if size == 0 {
                return Err("the manifest has an empty chunk".into());
            }
            if let Some(digest) = part.digest
                && *size_of.entry(digest).or_insert(size) != size
            {
                return Err(format!("the manifest gives chunk {digest} two sizes"));
            }
        }
        let parts = self.parts.iter_mut();
        let sizes = parts.map(|part| (&mut part.offset, part.size_bytes));
        lay_out(sizes, total, "chunks")?;
        Ok(self)
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

    /// Makes the manifest in which archives are replaced by what is in them; `contents` has the index of each archive. Those
    /// of others may have been replaced before.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if two files would be one on some system, or if the document is too
    /// large to be read again.
    pub(crate) fn unpacked(
        &self,
        contents: Vec<(usize, Vec<ManifestFile>)>,
        location: impl Display,
    ) -> Result<Self> {
        let mut contents: BTreeMap<usize, Vec<ManifestFile>> = contents.into_iter().collect();
        let mut files = Vec::new();
        let packed = match self.packed.is_empty() {
            true => self.files.clone(),
            false => self.packed.clone(),
        };
        for (index, file) in self.files.iter().enumerate() {
            let Some(content) = contents.remove(&index) else {
                files.push(file.clone());
                continue;
            };
            let offered = packed.iter().position(|it| it.path == file.path);
            let packed_in = offered.and_then(|index| u32::try_from(index).ok());
            let content = content.into_iter();
            files.extend(content.map(|file| ManifestFile { packed_in, ..file }));
        }
        let unpacked = Self::of_unpacked(files, packed, self.revision.as_deref(), &location)?;
        match unpacked.json.len() as u64 > MAX_MANIFEST_BYTES {
            true => Err(Error::registry(
                location,
                "its archives have too many files",
            )),
            false => Ok(unpacked),
        }
    }

    /// Returns the archives, with their indexes.
    pub(crate) fn archives(&self) -> impl Iterator<Item = (usize, &ManifestFile, ArchiveFormat)> {
        let files = self.files.iter().enumerate();
        files.filter_map(|(index, file)| Some((index, file, file.archive?)))
    }

    /// Whether some of the files came out of archives.
    pub(crate) fn has_unpacked(&self) -> bool {
        !self.packed.is_empty()
    }

    /// Returns what was in an archive, if it is one of those that the files were unpacked from.
    pub(crate) fn unpacked_from(&self, archive: &ManifestFile) -> Option<Vec<ManifestFile>> {
        let is_same = |it: &ManifestFile| {
            (&it.path, it.digest, it.archive) == (&archive.path, archive.digest, archive.archive)
        };
        let index = self.packed.iter().position(is_same)?;
        let index = Some(u32::try_from(index).ok()?);
        let files = self.files.iter().filter(|file| file.packed_in == index);
        archive.digest.map(|_| files.cloned().collect())
    }

    /// Makes the manifest as it was offered, with the archives in place of what was in them.
    pub(crate) fn offered(self, location: &str) -> Result<Self> {
        match self.packed.is_empty() {
            true => Ok(self),
            false => Self::of_unpacked(self.packed, Vec::new(), self.revision.as_deref(), location),
        }
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

    /// Returns the stretches of files that make up a range of the stream, in order; empty files have none.
    pub(crate) fn segments(&self, range: Range<u64>) -> impl Iterator<Item = Segment> {
        let Range { start, end } = range;
        let first = self.files.partition_point(|it| it.range().end <= start);
        let files = self.files.iter().enumerate().skip(first);
        let files = files.take_while(move |(_, file)| file.offset < end);
        files.filter_map(move |(index, file)| {
            let (begin, end) = (start.max(file.offset), end.min(file.range().end));
            (begin < end).then(|| Segment {
                file: index,
                offset: begin - file.offset,
                size_bytes: end - begin,
            })
        })
    }

    /// Returns the file that consists of exactly one part.
    pub(crate) fn file_of_part(&self, part: usize) -> Option<usize> {
        let range = self.parts[part].range();
        let file = self.files_in(range.clone()).next()?;
        (self.files[file].range() == range).then_some(file)
    }

    /// Returns the files that have bytes in a range of the stream.
    pub(crate) fn files_in(&self, range: Range<u64>) -> impl Iterator<Item = usize> {
        self.segments(range).map(|segment| segment.file)
    }

    /// Returns the indexes of the parts that have bytes in a range of the stream.
    pub(crate) fn parts_in(&self, range: Range<u64>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let first = self
            .parts
            .partition_point(|part| part.range().end <= range.start);
        let last = self.parts.partition_point(|part| part.offset < range.end);
        first..last
    }

    /// Returns the parts that have bytes of a file.
    pub(crate) fn parts_of(&self, file: &ManifestFile) -> &[Part] {
        &self.parts[self.parts_in(file.range())]
    }

    /// Returns the paths of the files that no digest of the registry covers.
    pub(crate) fn unverifiable(&self) -> Vec<String> {
        let is_covered = |file: &ManifestFile| !file.is_learned && self.content(file).is_some();
        let files = self.files.iter().filter(|file| !is_covered(file));
        files.map(|file| file.path.to_string()).collect()
    }

    /// Returns what determines the bytes of a file; `None` if nothing does.
    pub(crate) fn content(&self, file: &ManifestFile) -> Option<FileContent> {
        if let Some(digest) = file.digest {
            return Some(FileContent::Digest(digest));
        }
        let size_bytes = self.is_measured.then_some(file.size_bytes)??;
        let parts = self.parts_of(file).iter().map(|part| {
            Some((
                part.digest?,
                i128::from(part.offset) - i128::from(file.offset),
            ))
        });
        Some(FileContent::Parts(
            size_bytes,
            parts.collect::<Option<_>>()?,
        ))
    }
}

/// Sets where each of several pieces begins, given its size; returns where the last ends, which must be the total size.
fn lay_out<'a>(
    pieces: impl Iterator<Item = (&'a mut u64, u64)>,
    total: Option<u64>,
    what: &str,
) -> Result<u64, String> {
    let mut end = 0_u64;
    for (offset, size_bytes) in pieces {
        *offset = end;
        let sum = end.checked_add(size_bytes);
        end = sum.ok_or_else(|| format!("the sizes of the manifest's {what} are too large"))?;
    }
    match total {
        Some(total) if total != end => Err(format!(
            "the manifest's {what} have {end} bytes in total, but its total size is {total}"
        )),
        _ => Ok(end),
    }
}
