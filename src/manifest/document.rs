//! The JSON document of a manifest.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ArchiveFormat, Checksum, Digest, GitBlobId, ManifestFile, Part, RelPath};
use crate::error::{Error, Result};
use crate::relpath::InvalidName;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct ManifestWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunk_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunks: Option<Vec<Digest>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunk_sizes: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<String>,
    #[serde(borrow)]
    pub(super) files: Vec<FileWire<'a>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unusable: BTreeMap<String, String>,
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    pub(super) packed: Vec<FileWire<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct FileWire<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_blob: Option<GitBlobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learned_sha256: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<ArchiveFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_in: Option<u32>,
}

impl<'a> From<&'a ManifestFile> for FileWire<'a> {
    fn from(file: &'a ManifestFile) -> Self {
        let sha256 = file.digest.and_then(|digest| digest.sha256());
        Self {
            path: file.path.as_str().into(),
            size: file.size_bytes,
            sha256: sha256.filter(|_| !file.is_learned),
            git_blob: file.git_blob_id(),
            learned_sha256: sha256.filter(|_| file.is_learned),
            archive: file.archive,
            packed_in: file.packed_in,
        }
    }
}

impl FileWire<'_> {
    pub(super) fn read(self) -> Result<ManifestFile, InvalidName> {
        let sha256 = self.sha256.map(Checksum::Sha256);
        let stated = sha256.or(self.git_blob.map(Checksum::GitBlob));
        let learned = self.learned_sha256.map(Checksum::Sha256);
        Ok(ManifestFile {
            size_bytes: self.size,
            digest: stated.or(learned),
            git_blob: self.git_blob.filter(|_| sha256.is_some()),
            is_learned: stated.is_none() && learned.is_some(),
            archive: self.archive,
            packed_in: self.packed_in,
            ..ManifestFile::new(RelPath::parse(&self.path)?)
        })
    }
}

impl ManifestWire<'_> {
    /// Takes the files.
    pub(super) fn files(self) -> Result<Vec<ManifestFile>, InvalidName> {
        self.files.into_iter().map(FileWire::read).collect()
    }

    /// Returns the size and digest of each chunk; `None` if the document lists no chunks.
    pub(super) fn sized_chunks(&mut self) -> Result<Option<Vec<Part>>, String> {
        let Some(chunks) = self.chunks.take() else {
            return Ok(None);
        };
        let total = self.total_size.ok_or("the manifest has no total size")?;
        let sizes = match self.chunk_sizes.take() {
            Some(sizes) if sizes.len() != chunks.len() => {
                return Err("the manifest has more or fewer chunk sizes than chunks".into());
            }
            Some(sizes) => sizes,
            None => even_sizes(total, self.chunk_size.unwrap_or(0), chunks.len())
                .ok_or("the manifest's chunks do not add up to its total size")?,
        };
        let parts = chunks.into_iter().zip(sizes);
        let parts = parts.map(|(digest, size)| Part::new(size, Some(digest.into())));
        Ok(Some(parts.collect()))
    }
}

/// Writes the document of files that are parts of their own; returns it with its total size. See `Manifest::of_listing`.
pub(crate) fn write_listing(
    files: &[ManifestFile],
    unusable: &BTreeMap<String, String>,
    revision: &str,
) -> Result<(Vec<u8>, Option<u64>), String> {
    write_unpacked(files, &[], unusable, revision)
}

/// Writes the document of files of which some were unpacked; `packed` is how they were offered.
pub(super) fn write_unpacked(
    files: &[ManifestFile],
    packed: &[ManifestFile],
    unusable: &BTreeMap<String, String>,
    revision: &str,
) -> Result<(Vec<u8>, Option<u64>), String> {
    let sizes: Option<Vec<u64>> = files.iter().map(|file| file.size_bytes).collect();
    let sum = |sizes: Vec<u64>| sizes.into_iter().try_fold(0_u64, u64::checked_add);
    let total = sizes
        .map(|sizes| sum(sizes).ok_or("the sizes of the files are too large"))
        .transpose()?;
    let is_stated = |file: &ManifestFile| file.digest.is_some() && !file.is_learned;
    let all_digests = files.iter().all(is_stated);
    let has_archives = files
        .iter()
        .chain(packed)
        .any(|file| file.archive.is_some());
    let json = to_json(&ManifestWire {
        total_size: total,
        chunk_size: None,
        chunks: None,
        chunk_sizes: None,
        revision: (!all_digests || has_archives).then(|| revision.to_owned()),
        files: files.iter().map(FileWire::from).collect(),
        unusable: unusable.clone(),
        packed: packed.iter().map(FileWire::from).collect(),
    });
    Ok((json.map_err(|error| error.to_string())?, total))
}

pub(super) fn to_json(wire: &ManifestWire<'_>) -> Result<Vec<u8>> {
    serde_json::to_vec(wire).map_err(|error| Error::internal(error.to_string()))
}

/// Returns the sizes of `count` chunks of which all but the last have `chunk` bytes; `None` if they cannot add up to
/// `total`.
pub(super) fn even_sizes(total: u64, chunk: u64, count: usize) -> Option<Vec<u64>> {
    let Some(before_last) = u64::try_from(count).ok()?.checked_sub(1) else {
        return (total == 0).then(Vec::new);
    };
    let last = total.checked_sub(before_last.checked_mul(chunk)?)?;
    if last == 0 || last > chunk {
        return None;
    }
    let mut sizes = vec![chunk; count];
    sizes[count - 1] = last;
    Some(sizes)
}
