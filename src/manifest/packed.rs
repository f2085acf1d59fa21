//! Files that come in archives: a manifest lists the archives as they are offered, and once they are unpacked, what is in them.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::document::write_unpacked;
use super::{ArchiveFormat, MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use crate::error::{Error, Result};

impl Manifest {
    /// Makes the manifest of files of which some were unpacked; `packed` is how they were offered, or empty.
    pub(super) fn of_unpacked(
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
}
