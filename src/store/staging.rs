//! The folders of the cache in which models are built, and to which removed ones are moved.
//!
//! A folder moves into its place, and out of it, in one step, which only works within one file system. A model's place may
//! be on another than the cache: its group is a link to a larger disk, or that disk is mounted there. Then the folder lies
//! hidden beside the place, and the cache has a link to it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::write::{remove_tree, rename};
use crate::error::{IoContext, Result};
use crate::model::ModelRef;
use crate::platform;
use crate::store::layout::Layout;

/// Creates a folder of the cache from which a model can be moved to its place; returns `false` if there is one already.
/// Nothing that would make the move impossible is left to be found out after the model was fetched.
pub(super) fn create(layout: &Layout, model: &ModelRef, dir: &Path) -> Result<bool> {
    let cache = layout.cache();
    fs::create_dir_all(&cache).at("create", &cache)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        created => created.at("create", dir)?,
    }
    let fits = fits(layout, model, dir);
    if !matches!(fits, Ok(true)) {
        fs::remove_dir(dir).at("remove", dir)?;
    }
    if !fits? {
        let beside = nearest(layout, model).join(hidden(layout, dir));
        remove_tree(&beside)?;
        fs::create_dir(&beside).at("create", &beside)?;
        let linked = fs::canonicalize(&beside).and_then(|to| platform::link_folder(&to, dir));
        if let Err(error) = linked {
            let _ = fs::remove_dir(&beside);
            return Err(error).at("link to another disk at", dir);
        }
    }
    Ok(true)
}

/// Returns whether a model can be moved from this folder of the cache to its place.
pub(super) fn fits(layout: &Layout, model: &ModelRef, dir: &Path) -> Result<bool> {
    if !dir.is_dir() {
        // Its disk is away.
        return Ok(false);
    }
    let nearest = nearest(layout, model);
    let mut name = hidden(layout, dir);
    name.push(".tmp");
    let (probe, arrived) = (nearest.join(name), dir.join("probe"));
    // Only the system knows: two mounts of one disk are as far from each other as two disks.
    let moved = match fs::create_dir(&probe) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => rename(&probe, &arrived),
    };
    let _ = fs::remove_dir(if moved.is_ok() { &arrived } else { &probe });
    match moved {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(false),
        moved => moved.map(|()| true).at("write to", &nearest),
    }
}

/// Removes a folder of the cache with everything in it, wherever it lies.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    let Some(beside) = linked(dir) else {
        return remove_tree(dir);
    };
    remove_tree(&beside)?;
    // To Windows, a link to a folder is a folder.
    let removed = fs::remove_file(dir).or_else(|_| fs::remove_dir(dir));
    removed.at("remove", dir)
}

/// Returns where a folder of the cache lies, if it is a link that was made here.
pub(crate) fn linked(dir: &Path) -> Option<PathBuf> {
    let beside = fs::read_link(dir).ok()?;
    let (name, own) = (beside.file_name()?.to_str()?, dir.file_name()?.to_str()?);
    let is_ours = name.starts_with('.') && name.strip_suffix(own)?.ends_with('-');
    is_ours.then_some(beside)
}

/// Returns the folder above a model's place that is nearest to it, of those that exist.
fn nearest(layout: &Layout, model: &ModelRef) -> PathBuf {
    let place = layout.model_dir(model);
    let mut above = place.ancestors().skip(1);
    let exists = |dir: &&Path| *dir == layout.root() || fs::symlink_metadata(dir).is_ok();
    above.find(exists).unwrap_or(layout.root()).to_owned()
}

/// The name that a folder of the cache has beside a model's place: no folder of a model begins with a dot.
fn hidden(layout: &Layout, dir: &Path) -> OsString {
    let mut name = layout.own_dir(Path::new("")).into_os_string();
    name.push("-");
    name.push(dir.file_name().unwrap_or_default());
    name
}
