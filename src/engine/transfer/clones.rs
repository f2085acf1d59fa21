//! Whole files that are on disk already: where the file system supports it, they are cloned instead of copied.
//!
//! A clone shares its blocks with the original, so that it takes neither time nor space; see `store::clone`. It is made
//! before anything of the file is read or written, and only if the journal has nothing of it. From then on its parts are
//! treated as if an unfinished pull had left them: each is read and verified, and only then recorded. What is wrong is
//! fetched.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tracing::debug;

use super::Transfer;
use crate::disk::usage::Clones;
use crate::engine::transfer::local_copies::LocalCopy;
use crate::engine::transfer::plan::{Origin, Task};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::store::layout::file_in;

/// The local copy of each part; `None` for a part that is written along with another.
type CopiesOfParts<'a> = HashMap<usize, Option<&'a LocalCopy>>;

/// Clones what can be cloned. The tasks of cloned parts then verify what is in the partial.
pub(super) fn clone_files(transfer: &Transfer<'_>, tasks: &mut [Task]) -> Result<()> {
    let manifest = transfer.manifest;
    let copies = copies_of_parts(manifest, tasks);
    if copies.is_empty() {
        return Ok(());
    }
    let mut cloned = HashSet::new();
    // What to write down, and what was written down of the folders that the clones are from.
    let (mut pairs, mut known) = (Vec::new(), HashMap::<&Path, Clones>::new());
    // Folders whose file system cannot clone, or is not the store's.
    let mut refused: HashSet<&Path> = HashSet::new();
    for (index, file) in manifest.files().iter().enumerate() {
        transfer.call.cancel.check()?;
        let Some((copy, from)) = whole_file(manifest, index, &copies) else {
            continue;
        };
        let root = copy.files.root();
        if refused.contains(root) {
            continue;
        }
        match transfer.partial.clone_from(&from, file) {
            Ok(pair) => {
                debug!(file = %file.path, from = %from.display(), "cloned");
                cloned.insert(index);
                let known = known
                    .entry(root)
                    .or_insert_with(|| Clones::of(transfer.partial.clones_of(root)));
                // The original may be removed before its clones are.
                pairs.extend(
                    pair.map(|(clone, from)| (clone, known.original(from).unwrap_or(from))),
                );
            }
            Err(error) => {
                debug!(from = %from.display(), %error, "cannot clone, copying instead");
                refused.insert(root);
            }
        }
    }
    if !pairs.is_empty() {
        transfer.partial.note_clones(pairs)?;
    }
    for task in tasks {
        let mut files = manifest.files_in(manifest.parts()[task.part].range());
        if matches!(task.origin, Origin::Local(_)) && files.all(|file| cloned.contains(&file)) {
            task.origin = Origin::Partial;
        }
    }
    Ok(())
}

/// Returns the local copies of parts with digests: without one, nothing would show whether a clone is right.
fn copies_of_parts<'a>(manifest: &Manifest, tasks: &'a [Task]) -> CopiesOfParts<'a> {
    let mut parts = CopiesOfParts::new();
    for task in tasks {
        if let Origin::Local(copy) = &task.origin
            && manifest.parts()[task.part].digest.is_some()
        {
            parts.insert(task.part, Some(copy));
            parts.extend(task.twins.iter().map(|twin| (*twin, None)));
        }
    }
    parts
}

/// Returns the local copy that has all of a file as a file of its own, as far as the manifests show; `None` also for a file
/// that the journal has some of.
fn whole_file<'a>(
    manifest: &Manifest,
    index: usize,
    parts: &CopiesOfParts<'a>,
) -> Option<(&'a LocalCopy, PathBuf)> {
    let file = &manifest.files()[index];
    let range = file.range();
    let mut first = None;
    for part in manifest.parts_in(range.clone()) {
        let copy = *parts.get(&part)?;
        first = first.or(copy.map(|copy| (part, copy)));
    }
    let (part, copy) = first?;
    let part = &manifest.parts()[part];
    let there = copy.files.manifest();
    let place = i128::from(file.offset) - i128::from(part.offset);
    let other = there.files_in(copy.range.clone()).find(|other| {
        let other = &there.files()[*other];
        other.size_bytes == file.size_bytes
            && i128::from(other.offset) - i128::from(copy.range.start) == place
    })?;
    // A part that is all of the file, or what both manifests state about the file.
    let known = manifest.content(file);
    let is_same =
        part.range() == range || (known.is_some() && known == there.content(&there.files()[other]));
    is_same.then(|| (copy, file_in(copy.files.root(), &there.files()[other].path)))
}
