//! Unpacking the archives among a model's files, once they are here and verified.
//!
//! What is in them is written to a folder of its own first, and hashed while it is written. Only when all of it is right do the
//! files take their place, and then the archives go. Whatever ends this in between, the next pull finds the archives whole and
//! unpacks them again; only where it ends between the first archive that goes and the record, which is a matter of
//! milliseconds, it fetches them again. To find the files right instead would take a record of its own in every pull.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use tracing::{debug, warn};

use super::PartialWriter;
use crate::archive::tar::Tar;
use crate::archive::{ArchiveFormat, unreadable};
use crate::digest::Hasher;
use crate::disk::space::check_space;
use crate::disk::write::{remove_tree, rename};
use crate::error::{BoxError, Error, ErrorKind, IoContext, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::progress::CancelToken;
use crate::relpath::{RelPath, below, collisions};
use crate::size::size;
use crate::store::layout::file_in;

/// How much larger than a compressed archive its files may be, and how large they may be in any case: weights hardly get
/// smaller, and tables by a factor of ten or twenty.
const MAX_RATIO: u64 = 200;
const UNSUSPICIOUS_BYTES: u64 = 256 << 20;
const BUFFER_BYTES: usize = 256 << 10;

/// Which files are unpacked, and what ends that.
#[derive(Clone, Copy)]
pub(crate) struct UnpackOptions<'a> {
    /// Whether a file is wanted, by its path in the model.
    pub(crate) wants: &'a (dyn Fn(&str) -> bool + Sync),
    pub(crate) cancel: &'a CancelToken,
}

/// What was in the archives of a model, beside them. Dropped without [`Unpacked::put_in_place`], it is gone.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// What the model consists of now.
    pub(crate) manifest: Manifest,
    /// The archives.
    archives: Vec<RelPath>,
    /// What came out of others before, and is in its place.
    reused: BTreeSet<RelPath>,
    folder: PathBuf,
    files_dir: PathBuf,
}

impl PartialWriter {
    /// Unpacks the archives of a manifest whose bytes are all here; `None` if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if an archive cannot be read, has a link, a name that is none on some system, or the same name
    /// twice; then the archives are gone, as they will never be of use.
    pub(crate) fn unpack(
        &self,
        manifest: &Manifest,
        options: UnpackOptions<'_>,
    ) -> Result<Option<Unpacked>> {
        let archives: Vec<_> = manifest.archives().collect();
        if archives.is_empty() {
            return Ok(None);
        }
        let folder = self.bulk_dir().join("unpacked");
        remove_tree(&folder)?;
        let reused = manifest.files().iter();
        let reused = reused.filter(|file| file.packed_in.is_some());
        let mut unpacked = Unpacked {
            manifest: manifest.clone(),
            archives: archives.iter().map(|(_, it, _)| it.path.clone()).collect(),
            reused: reused.map(|file| file.path.clone()).collect(),
            folder,
            files_dir: self.files_dir(),
        };
        let contents = archives.into_par_iter().map(|(index, archive, format)| {
            let files = unpacked.unpack(archive, format, options)?;
            Ok((index, files))
        });
        let contents = contents.collect::<Result<_>>();
        let made = contents.and_then(|contents| manifest.unpacked(contents, "its archives"));
        match made {
            Ok(made) => unpacked.manifest = made,
            Err(error) => {
                if let ErrorKind::Registry { .. } = error.kind() {
                    self.give_up(manifest, &unpacked);
                }
                return Err(error);
            }
        }
        Ok(Some(unpacked))
    }

    /// Removes archives that cannot be unpacked.
    fn give_up(&self, manifest: &Manifest, unpacked: &Unpacked) {
        for (_, archive, _) in manifest.archives() {
            let forgotten = self.forget(&archive.range());
            if let Err(error) = forgotten.and_then(|()| unpacked.remove(&archive.path)) {
                warn!(%error, "the archive {} is of no use, and cannot be removed", archive.path);
            }
        }
    }
}

impl Unpacked {
    /// Unpacks an archive.
    fn unpack(
        &self,
        archive: &ManifestFile,
        format: ArchiveFormat,
        options: UnpackOptions<'_>,
    ) -> Result<Vec<ManifestFile>> {
        let path = file_in(&self.files_dir, &archive.path);
        let file = File::open(&path).at("read", &path)?;
        let stored_bytes = file.metadata().at("read", &path)?.len();
        let max_bytes = match format {
            ArchiveFormat::Tar => stored_bytes,
            _ => stored_bytes
                .saturating_mul(MAX_RATIO)
                .max(UNSUSPICIOUS_BYTES),
        };
        let mut stream = format.decompressed(file);
        let files = match format.is_tar() {
            true => self.unpack_tar(&mut stream, archive, max_bytes, options)?,
            false => self.unpack_file(&mut stream, &archive.path, max_bytes, options)?,
        };
        debug!(%archive.path, files = files.len(), "unpacked");
        Ok(files)
    }

    /// Unpacks an archive that is a single file, and has its name.
    fn unpack_file(
        &self,
        stream: &mut dyn Read,
        path: &RelPath,
        max_bytes: u64,
        options: UnpackOptions<'_>,
    ) -> Result<Vec<ManifestFile>> {
        let refused = |reason: BoxError| unreadable(path, "the compressed file", reason);
        let mut out = self.create(path, 0)?;
        let (mut hasher, mut size_bytes) = (Hasher::default(), 0);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            options.cancel.check()?;
            let count = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(refused(error.into())),
            };
            size_bytes += count as u64;
            if size_bytes > max_bytes {
                let most = size(max_bytes);
                return Err(refused(
                    format!("it has more than {most}, so that it may be a bomb").into(),
                ));
            }
            hasher.update(&buffer[..count]);
            out.write_all(&buffer[..count])
                .at("write", &self.files_dir)?;
        }
        Ok(vec![ManifestFile {
            size_bytes: Some(size_bytes),
            digest: Some(hasher.finish().into()),
            ..ManifestFile::new(path.clone())
        }])
    }

    /// Unpacks a tar; the names in it are relative to the folder that it is in.
    fn unpack_tar(
        &self,
        stream: &mut dyn Read,
        archive: &ManifestFile,
        max_bytes: u64,
        options: UnpackOptions<'_>,
    ) -> Result<Vec<ManifestFile>> {
        let mut tar = Tar::new(stream, &archive.path, max_bytes);
        let parent = archive.path.as_str().rsplit_once('/');
        let parent = parent.map_or("", |(parent, _)| parent);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut files: Vec<ManifestFile> = Vec::new();
        while let Some(file) = tar.next_file()? {
            options.cancel.check()?;
            let path = below(parent, file.path.as_str());
            if !(options.wants)(&path) {
                continue;
            }
            let path = RelPath::parse(&path)
                .map_err(|error| Error::registry(&archive.path, error.to_string()))?;
            let size_bytes = file.size_bytes;
            files.push(ManifestFile {
                size_bytes: Some(size_bytes),
                ..ManifestFile::new(path.clone())
            });
            let mut out = match self.create(&path, size_bytes) {
                Ok(out) => out,
                Err(error) => return Err(same_names(&files, archive).unwrap_or(error)),
            };
            let mut hasher = Hasher::default();
            loop {
                options.cancel.check()?;
                let piece = tar.read(&mut buffer)?;
                if piece.is_empty() {
                    break;
                }
                hasher.update(piece);
                out.write_all(piece).at("write", &self.files_dir)?;
            }
            if let Some(file) = files.last_mut() {
                file.digest = Some(hasher.finish().into());
            }
        }
        Ok(files)
    }

    /// Makes a file that is not there yet; on a system that ignores case, one of another spelling is.
    fn create(&self, path: &RelPath, size_bytes: u64) -> Result<File> {
        let path = file_in(&self.folder, path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
            check_space(parent, size_bytes)?;
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true);
        options.open(&path).at("create", &path)
    }

    /// Moves what was in the archives to the model's other files, and removes them.
    pub(crate) fn put_in_place(self) -> Result<Manifest> {
        let files = self.manifest.files().iter().map(|file| &file.path);
        let is_place_taken = collisions(files.chain(&self.archives)).next().is_some();
        if is_place_taken {
            self.remove_archives()?;
        }
        let unpacked = self.manifest.files().iter();
        let is_new =
            |file: &&ManifestFile| file.packed_in.is_some() && !self.reused.contains(&file.path);
        let mut last_parent = PathBuf::new();
        for file in unpacked.filter(is_new) {
            let to = file_in(&self.files_dir, &file.path);
            if let Some(parent) = to.parent()
                && parent != last_parent
            {
                fs::create_dir_all(parent).at("create", parent)?;
                parent.clone_into(&mut last_parent);
            }
            rename(&file_in(&self.folder, &file.path), &to).at("write", &to)?;
        }
        if !is_place_taken {
            self.remove_archives()?;
        }
        Ok(self.manifest.clone())
    }

    fn remove_archives(&self) -> Result<()> {
        let mut archives = self.archives.iter();
        archives.try_for_each(|archive| self.remove(archive))
    }

    fn remove(&self, archive: &RelPath) -> Result<()> {
        let path = file_in(&self.files_dir, archive);
        fs::remove_file(&path).at("remove", &path)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.folder) {
            debug!(%error, "cannot remove what was unpacked");
        }
    }
}

/// Returns the error of the first file whose name another has, on some system.
fn same_names(files: &[ManifestFile], archive: &ManifestFile) -> Option<Error> {
    let (path, reason) = collisions(files.iter().map(|file| &file.path)).next()?;
    let message = format!("the name '{path}' {reason}");
    Some(Error::registry(&archive.path, message))
}

#[cfg(test)]
mod tests;
