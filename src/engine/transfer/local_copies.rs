//! Bytes that this machine already has: chunks and files of installed models, of partials and of other tools, by digest.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Checksum;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::range_set::RangeSet;
use crate::relpath::RelPath;
use crate::source::places::{Elsewhere, Naming};
use crate::store::Store;
use crate::store::files::FileSet;
use crate::store::layout::file_in;
use crate::store::partial::find_partials;
use crate::store::record::{ModelRecord, Records};

/// Bytes with a known digest on this machine. They are verified like any others when they are copied.
#[derive(Debug, Clone)]
pub(crate) struct LocalCopy {
    pub(crate) files: Arc<FileSet>,
    /// Where in the stream of those files.
    pub(crate) range: Range<u64>,
}

/// What this machine has of a manifest's parts and files, by digest.
#[derive(Debug, Default)]
pub(crate) struct LocalCopies(HashMap<Checksum, LocalCopy>);

/// The digests that are still looked for, with the sizes of what they are of.
type Missing = HashMap<Checksum, u64>;

impl LocalCopies {
    /// Looks for the bytes of a manifest in everything that is installed, in partials and in the folders of other tools.
    pub(crate) fn find(
        store: &Store,
        records: &Records,
        model: &ModelRef,
        wanted: &Manifest,
        elsewhere: &[Elsewhere],
    ) -> Self {
        let (parts, files) = (wanted.parts().iter(), wanted.files().iter());
        let mut missing: Missing = parts
            .filter_map(|part| Some((part.digest?, part.size_bytes)))
            .collect();
        missing.extend(files.filter_map(|file| Some((file.digest?, file.size_bytes?))));
        let mut copies = Self::default();
        for (other, record) in by_kinship(records, model) {
            if missing.is_empty() {
                return copies;
            }
            if let Ok(manifest) = store.manifest(&other, record.manifest_hash) {
                let dir = store.layout().model_dir(&other);
                copies.add_model(&mut missing, manifest, dir, None);
            }
        }
        for partial in find_partials(store.layout()) {
            if missing.is_empty() {
                return copies;
            }
            if !partial.is_of(model, wanted)
                && let Some(manifest) = partial.manifest()
            {
                let journal = partial.journal();
                copies.add_model(&mut missing, manifest, partial.files_dir(), Some(&journal));
            }
        }
        for Elsewhere { folder, naming } in elsewhere {
            let names: Vec<_> = match naming {
                Naming::ByPath => {
                    let files = wanted.files().iter();
                    let named = files.map(|file| Some((file.digest?, file.path.to_string())));
                    named.flatten().collect()
                }
                Naming::ByChecksum(name) => {
                    let named = missing.keys().map(|sum| Some((*sum, name(sum)?)));
                    named.flatten().collect()
                }
            };
            copies.add_files(&mut missing, folder, names.into_iter());
        }
        copies
    }

    /// Adds what a model has of the missing. With a journal, only the ranges that it lists are there.
    fn add_model(
        &mut self,
        missing: &mut Missing,
        manifest: Manifest,
        dir: PathBuf,
        journal: Option<&RangeSet>,
    ) {
        let is_there = |range: &Range<u64>| journal.is_none_or(|journal| journal.contains(range));
        let parts = manifest.parts().iter();
        let parts = parts.filter_map(|part| Some((part.digest?, part.range())));
        let files = manifest.files().iter();
        let files = files.filter_map(|file| Some((file.digest?, file.range())));
        let is_wanted = |(digest, range): &(Checksum, Range<u64>)| {
            missing.get(digest) == Some(&(range.end - range.start)) && is_there(range)
        };
        let found: Vec<_> = parts.chain(files).filter(is_wanted).collect();
        if found.is_empty() {
            return;
        }
        let files = Arc::new(FileSet::new(Arc::new(manifest), dir));
        for (digest, range) in found {
            if missing.remove(&digest).is_some() {
                let files = files.clone();
                self.0.insert(digest, LocalCopy { files, range });
            }
        }
    }

    /// Adds the files of a folder that have the size of a missing one. Links are followed: the files are only read, and
    /// verified.
    fn add_files(
        &mut self,
        missing: &mut Missing,
        folder: &Path,
        names: impl Iterator<Item = (Checksum, String)>,
    ) {
        if !folder.is_dir() {
            return;
        }
        for (digest, name) in names {
            let (Some(size_bytes), Ok(path)) = (missing.get(&digest), RelPath::parse(&name)) else {
                continue;
            };
            let there = std::fs::metadata(file_in(folder, &path));
            if !there.is_ok_and(|there| there.is_file() && there.len() == *size_bytes) {
                continue;
            }
            let file = ManifestFile {
                size_bytes: Some(*size_bytes),
                ..ManifestFile::new(path)
            };
            if let Ok(manifest) = Manifest::of_files(vec![file], "", &name) {
                let files = Arc::new(FileSet::new(Arc::new(manifest), folder.to_owned()));
                let range = 0..*size_bytes;
                self.0.insert(digest, LocalCopy { files, range });
                missing.remove(&digest);
            }
        }
    }

    /// Returns where the bytes of a part are: as a chunk of its digest, or in a file of the digest of the wanted file.
    pub(crate) fn of_part(&self, wanted: &Manifest, index: usize) -> Option<LocalCopy> {
        let part = &wanted.parts()[index];
        if let Some(copy) = part.digest.and_then(|digest| self.0.get(&digest)) {
            return Some(copy.clone());
        }
        let mut files = wanted.files_in(part.range());
        let (file, None) = (&wanted.files()[files.next()?], files.next()) else {
            return None;
        };
        let copy = self.0.get(&file.digest?)?;
        let begin = copy.range.start + (part.offset - file.offset);
        Some(LocalCopy {
            files: copy.files.clone(),
            range: begin..begin + part.size_bytes,
        })
    }
}

/// Returns the sizes of a manifest's files that installed models have, by digest.
pub(crate) fn local_sizes(
    store: &Store,
    records: &Records,
    model: &ModelRef,
    wanted: &Manifest,
) -> HashMap<Checksum, u64> {
    let digests = wanted.files().iter().filter_map(|file| file.digest);
    let mut missing: HashSet<Checksum> = digests.collect();
    let mut sizes = HashMap::new();
    for (other, record) in by_kinship(records, model) {
        if missing.is_empty() {
            break;
        }
        let Ok(manifest) = store.manifest(&other, record.manifest_hash) else {
            continue;
        };
        for file in manifest.files() {
            if let (Some(digest), Some(size_bytes)) = (file.digest, file.size_bytes)
                && missing.remove(&digest)
            {
                sizes.insert(digest, size_bytes);
            }
        }
    }
    sizes
}

/// Returns what is installed, with what is most likely to have the same bytes first: the same version, then the same
/// model, then the same group.
pub(crate) fn by_kinship<'a>(
    records: &'a Records,
    model: &ModelRef,
) -> Vec<(ModelRef, &'a ModelRecord)> {
    let mut installed: Vec<_> = records.iter().collect();
    installed.sort_by_key(|(other, _)| {
        let is_other_model = other.name() != model.name();
        (
            other != model,
            is_other_model,
            other.group() != model.group(),
        )
    });
    installed
}
