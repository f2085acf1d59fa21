//! What a manifest lists: files, and the parts that they come from.

use std::ops::Range;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{ArchiveFormat, Checksum, GitBlobId, RelPath};

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

/// A piece of a model's stream that is fetched and verified as one; see [`Manifest`](super::Manifest) for an example.
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
    pub(super) fn new(size_bytes: u64, digest: Option<Checksum>) -> Self {
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
