//! Bytes that the store already has: chunks and files of installed models and of partials, by digest.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Checksum;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::relpath::RelPath;
use crate::source::places::Elsewhere;
use crate::store::Store;
use crate::store::files::FileSet;
use crate::store::layout::file_in;
use crate::store::partial::find_partials;
use crate::store::record::Records;

/// Bytes with a known digest somewhere in the store. They are checked like any others when they are taken.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) place: Arc<HeldModel>,
    /// Where in the stream of that model.
    pub(crate) range: Range<u64>,
}

/// A model or partial that holds bytes.
#[derive(Debug)]
pub(crate) struct HeldModel {
    pub(crate) manifest: Manifest,
    pub(crate) files: FileSet,
}

/// What of a manifest the store already holds, by digest of a part or of a file.
#[derive(Debug, Default)]
pub(crate) struct Holdings(HashMap<Checksum, Held>);

impl Holdings {
    /// Looks through everything the store has for the bytes of one manifest.
    ///
    /// The model's own installed version comes first: it most likely has most of it. `elsewhere` are folders of
    /// another tool.
    pub(crate) fn find(
        store: &Store,
        records: &Records,
        model: &ModelRef,
        wanted: &Manifest,
        elsewhere: Option<&Elsewhere>,
    ) -> Self {
        let mut missing: HashMap<Checksum, u64> = HashMap::new();
        missing.extend(
            wanted
                .parts()
                .iter()
                .filter_map(|part| Some((part.digest?, part.size_bytes))),
        );
        missing.extend(
            wanted
                .files()
                .iter()
                .filter_map(|file| Some((file.digest?, file.size_bytes?))),
        );
        let mut holdings = Self::default();

        let mut installed: Vec<_> = records.iter().collect();
        installed.sort_by_key(|(other, _)| {
            (
                other != model,
                other.name() != model.name(),
                other.group() != model.group(),
            )
        });
        for (other, record) in installed {
            if missing.is_empty() {
                return holdings;
            }
            if let Ok(manifest) = store.manifest(&other, record.manifest_hash) {
                holdings.take(
                    &mut missing,
                    manifest,
                    store.layout().model_dir(&other),
                    None,
                );
            }
        }
        for partial in find_partials(store.layout()) {
            let own = partial.record.manifest_hash == wanted.digest()
                && partial.record.model_ref().as_ref() == Some(model);
            if missing.is_empty() || own {
                continue;
            }
            if let Some(manifest) = partial.manifest() {
                holdings.take(
                    &mut missing,
                    manifest,
                    partial.files_dir(),
                    Some(&partial.journal()),
                );
            }
        }
        if let Some(elsewhere) = elsewhere {
            let by_checksum = missing.clone().into_keys();
            let by_checksum = by_checksum.map(|checksum| (checksum, checksum.to_string()));
            holdings.take_named(&mut missing, &elsewhere.blobs, by_checksum);
            let files = wanted.files().iter();
            let by_name = files.filter_map(|file| Some((file.digest?, file.path.to_string())));
            holdings.take_named(&mut missing, &elsewhere.snapshot, by_name);
        }
        holdings
    }

    /// Enters the files of a folder that have the size of what is missing. What leads to another file is followed, as it is
    /// only read, and checked.
    fn take_named(
        &mut self,
        missing: &mut HashMap<Checksum, u64>,
        folder: &Path,
        names: impl Iterator<Item = (Checksum, String)>,
    ) {
        if !folder.is_dir() {
            return;
        }
        for (checksum, name) in names {
            let Some(size_bytes) = missing.get(&checksum).copied() else {
                continue;
            };
            let Ok(path) = RelPath::parse(&name) else {
                continue;
            };
            let file = ManifestFile {
                size_bytes: Some(size_bytes),
                ..ManifestFile::new(path)
            };
            let Ok(manifest) = Manifest::of_files(vec![file], "", &name) else {
                continue;
            };
            let path = file_in(folder, &manifest.files()[0].path);
            let there = std::fs::metadata(path);
            if !there.is_ok_and(|there| there.is_file() && there.len() == size_bytes) {
                continue;
            }
            missing.remove(&checksum);
            let held = Held {
                place: Arc::new(HeldModel {
                    manifest,
                    files: FileSet::new(folder.to_owned()),
                }),
                range: 0..size_bytes,
            };
            self.0.insert(checksum, held);
        }
    }

    /// Looks through everything that is installed for the sizes of files with these digests.
    pub(crate) fn sizes(
        store: &Store,
        records: &Records,
        model: &ModelRef,
        digests: impl Iterator<Item = Checksum>,
    ) -> HashMap<Checksum, u64> {
        let mut missing: HashSet<Checksum> = digests.collect();
        let mut sizes = HashMap::new();
        let mut installed: Vec<_> = records.iter().collect();
        installed.sort_by_key(|(other, _)| other.name() != model.name());
        for (other, record) in installed {
            if missing.is_empty() {
                break;
            }
            let Ok(manifest) = store.manifest(&other, record.manifest_hash) else {
                continue;
            };
            for file in manifest.files() {
                if let Some(size_bytes) = file.size_bytes
                    && let Some(digest) = file.digest.filter(|digest| missing.remove(digest))
                {
                    sizes.insert(digest, size_bytes);
                }
            }
        }
        sizes
    }

    /// Enters what one model has of the missing; `journal` says which of its bytes are there when not all are.
    fn take(
        &mut self,
        missing: &mut HashMap<Checksum, u64>,
        manifest: Manifest,
        dir: PathBuf,
        journal: Option<&[Range<u64>]>,
    ) {
        let there = |range: &Range<u64>| {
            journal.is_none_or(|journal| {
                journal
                    .iter()
                    .any(|have| have.start <= range.start && range.end <= have.end)
            })
        };
        let parts = manifest
            .parts()
            .iter()
            .filter_map(|part| Some((part.digest?, part.range())));
        let files = manifest
            .files()
            .iter()
            .filter_map(|file| Some((file.digest?, file.range())));
        let found: Vec<(Checksum, Range<u64>)> = parts
            .chain(files)
            .filter(|(digest, range)| {
                missing.get(digest) == Some(&(range.end - range.start)) && there(range)
            })
            .collect();
        if found.is_empty() {
            return;
        }
        let place = Arc::new(HeldModel {
            manifest,
            files: FileSet::new(dir),
        });
        for (digest, range) in found {
            missing.remove(&digest);
            self.0.entry(digest).or_insert_with(|| Held {
                place: place.clone(),
                range,
            });
        }
    }

    /// Where the bytes of a part are: as a chunk of its digest, or inside a file of the wanted file's digest.
    pub(crate) fn of_part(&self, wanted: &Manifest, index: usize) -> Option<Held> {
        let part = &wanted.parts()[index];
        if let Some(held) = part.digest.and_then(|digest| self.0.get(&digest)) {
            return Some(held.clone());
        }
        let mut files = wanted.files_in(part.range());
        let (file, None) = (&wanted.files()[files.next()?], files.next()) else {
            return None;
        };
        let held = self.0.get(&file.digest?)?;
        let begin = held.range.start + (part.offset - file.offset);
        Some(Held {
            place: held.place.clone(),
            range: begin..begin + part.size_bytes,
        })
    }
}
