//! Whole files that are on disk already: where the file system can, they are cloned instead of copied.
//!
//! A clone shares its blocks with the file it was made of, so that it takes neither time nor space; see `store::clone`. It
//! is made before anything of the file is read or written, and only where the journal has nothing of it. From then on its
//! parts are what an unfinished pull left: each is read and checked, and only then noted. What turns out wrong comes over
//! the network.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tracing::debug;

use super::Transfer;
use crate::engine::pull::plan::{Origin, Task};
use crate::engine::pull::reuse::Held;
use crate::error::{ErrorKind, Result};
use crate::manifest::Manifest;
use crate::store::layout::file_in;

/// The parts that the store has, each with where; with nothing where the bytes of another part are written there as well.
type HeldParts<'a> = HashMap<usize, Option<&'a Held>>;

/// Clones what can be cloned; the tasks of what was are then to check what lies in the partial.
pub(super) fn clone_files(transfer: &Transfer<'_>, tasks: &mut [Task]) -> Result<()> {
    let manifest = transfer.manifest;
    let held = held_parts(manifest, tasks);
    if held.is_empty() {
        return Ok(());
    }
    let mut cloned = HashSet::new();
    // Folders whose file system cannot, or is not the store's.
    let mut refused: HashSet<&Path> = HashSet::new();
    for (index, file) in manifest.files().iter().enumerate() {
        if transfer.call.cancel.is_cancelled() {
            return Err(ErrorKind::Cancelled.into());
        }
        let Some((held, from)) = whole_file(manifest, index, &held) else {
            continue;
        };
        let root = held.place.files.root();
        if refused.contains(root) {
            continue;
        }
        match transfer.partial.clone_from(&from, file) {
            Ok(()) => {
                debug!(file = %file.path, from = %from.display(), "cloned");
                cloned.insert(index);
            }
            Err(error) => {
                debug!(from = %from.display(), %error, "copied, as it cannot be cloned");
                refused.insert(root);
            }
        }
    }
    for task in tasks {
        let mut files = manifest.files_in(manifest.parts()[task.part].range());
        if matches!(task.origin, Origin::Store(_)) && files.all(|file| cloned.contains(&file)) {
            task.origin = Origin::Partial;
        }
    }
    Ok(())
}

/// Those with a digest: without one nothing would show whether a clone is right.
fn held_parts<'a>(manifest: &Manifest, tasks: &'a [Task]) -> HeldParts<'a> {
    let mut parts = HeldParts::new();
    for task in tasks {
        if let Origin::Store(held) = &task.origin
            && manifest.parts()[task.part].digest.is_some()
        {
            parts.insert(task.part, Some(held));
            parts.extend(task.twins.iter().map(|twin| (*twin, None)));
        }
    }
    parts
}

/// Where all of a file is a file elsewhere, as far as the manifests tell; nothing for a file of which the journal has some.
fn whole_file<'a>(
    manifest: &Manifest,
    index: usize,
    parts: &HeldParts<'a>,
) -> Option<(&'a Held, PathBuf)> {
    let file = &manifest.files()[index];
    let range = file.range();
    let mut first = None;
    for part in manifest.parts_in(range.clone()) {
        let held = *parts.get(&part)?;
        first = first.or(held.map(|held| (part, held)));
    }
    let (part, held) = first?;
    let part = &manifest.parts()[part];
    let there = &held.place.manifest;
    let place = i128::from(file.offset) - i128::from(part.offset);
    let other = there.files_in(held.range.clone()).find(|other| {
        let other = &there.files()[*other];
        other.size_bytes == file.size_bytes
            && i128::from(other.offset) - i128::from(held.range.start) == place
    })?;
    // A part that is all of the file, or what both manifests say of the file.
    let known = manifest.content(file);
    let is_same =
        part.range() == range || (known.is_some() && known == there.content(&there.files()[other]));
    is_same.then(|| {
        (
            held,
            file_in(held.place.files.root(), &there.files()[other].path),
        )
    })
}
