//! The folders of the cache in which models are built, and to which removed ones are moved.
//!
//! A folder moves into its place, and out of it, in one step, which only works within one file system. A model's place may
//! be on another than the cache: its group is a link to a larger disk, or that disk is mounted there. Then what is bulky
//! lies in a hidden folder beside the place, and the file `beside` in the folder of the cache has its path, relative to the
//! store: not every file system has links.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::write::{remove_tree, rename, replace_file};
use crate::error::{Error, IoContext, Result};
use crate::model::ModelRef;
use crate::relpath::RelPath;
use crate::store::layout::{Layout, file_in};

/// The name of the file that says where the bulk is.
const BESIDE: &str = "beside";

/// Creates a folder of the cache from which a model can be moved to its place; returns `false` if there is one already.
/// Nothing that would make the move impossible is left to be found out after the model was fetched.
pub(super) fn create(layout: &Layout, model: &ModelRef, dir: &Path) -> Result<bool> {
    let cache = layout.cache();
    fs::create_dir_all(&cache).at("create", &cache)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        created => created.at("create", dir)?,
    }
    let made = fits(layout, model, dir).and_then(|fits| match fits {
        true => Ok(()),
        false => set_apart(layout, model, dir),
    });
    if made.is_err() {
        let _ = remove(dir);
    }
    made.map(|()| true)
}

/// Puts the bulk of a folder beside the model's place.
fn set_apart(layout: &Layout, model: &ModelRef, dir: &Path) -> Result<()> {
    let beside = beside(layout, model, dir);
    let below = beside.strip_prefix(layout.root()).ok();
    let below = below
        .and_then(Path::to_str)
        .map(|path| path.replace('\\', "/"));
    let below = below.ok_or_else(|| Error::internal("a place of a model is not in the store"))?;
    remove_tree(&beside)?;
    // First, so that nothing is there that nobody finds.
    replace_file(&dir.join(BESIDE), below.as_bytes())?;
    fs::create_dir(&beside).at("create", &beside)
}

/// Returns whether a model can be moved from this folder of the cache to its place.
pub(super) fn fits(layout: &Layout, model: &ModelRef, dir: &Path) -> Result<bool> {
    let bulk = bulk(dir);
    if !bulk.is_dir() {
        // Its disk is away.
        return Ok(false);
    }
    let nearest = nearest(layout, model);
    let mut name = hidden(layout, dir);
    name.push(".tmp");
    let (probe, arrived) = (nearest.join(name), bulk.join("probe"));
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
    remove_tree(&bulk(dir))?;
    remove_tree(dir)
}

/// Returns where the bulk of a folder of the cache lies: there, or beside the model's place. Its disk may be away.
pub(crate) fn bulk(dir: &Path) -> PathBuf {
    let beside = || {
        let path = RelPath::parse(&fs::read_to_string(dir.join(BESIDE)).ok()?).ok()?;
        // Nothing else may be taken for it.
        let (name, own) = (path.components().last()?, dir.file_name()?.to_str()?);
        let is_ours = name.starts_with('.') && name.strip_suffix(own)?.ends_with('-');
        is_ours.then_some(file_in(dir.parent()?.parent()?, &path))
    };
    beside().unwrap_or_else(|| dir.to_owned())
}

/// Returns the folder that people know on the disk of a path: those in which models are built are known to nobody.
pub(crate) fn known_place<'p>(layout: &'p Layout, path: &'p Path) -> &'p Path {
    if path.starts_with(layout.cache()) {
        return layout.root();
    }
    let prefix = hidden(layout, Path::new(""));
    let is_hidden = |dir: &&Path| {
        let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(prefix.as_encoded_bytes())
    };
    let hidden = path.ancestors().find(is_hidden);
    hidden.and_then(Path::parent).unwrap_or(path)
}

/// Returns the place of the bulk of a folder that is on the disk of the model's place.
pub(super) fn beside(layout: &Layout, model: &ModelRef, dir: &Path) -> PathBuf {
    nearest(layout, model).join(hidden(layout, dir))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_by_a_folder_that_people_know() {
        let layout = Layout::new(PathBuf::from("/s"), "rack");
        let known =
            |parts: &[&str]| known_place(&layout, &parts.iter().collect::<PathBuf>()).to_owned();
        let group = Path::new("/s").join("g");
        assert_eq!(
            known(&["/s", "cache", "0a-1b", "files", "a.bin"]),
            Path::new("/s")
        );
        assert_eq!(known(&["/s", "g", ".rack-0a-1b", "files", "a.bin"]), group);
        assert_eq!(known(&["/s", "g"]), group);
        assert_eq!(known(&["/elsewhere"]), Path::new("/elsewhere"));
    }

    #[test]
    fn nothing_but_a_hidden_folder_of_its_own_name_is_taken_for_the_bulk() {
        let store = tempfile::tempdir().unwrap();
        let dir = store.path().join("cache").join("0a-1b");
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(bulk(&dir), dir);
        for bad in [
            "",
            "g/m",
            "g/0a-1b",
            "g/.rack-0a-1c",
            "g/.rack0a-1b",
            "../.rack-0a-1b",
            "/g/.rack-0a-1b",
            "g\\.rack-0a-1b",
        ] {
            fs::write(dir.join(BESIDE), bad).unwrap();
            assert_eq!(bulk(&dir), dir, "{bad}");
        }
        fs::write(dir.join(BESIDE), "g/%61/.rack-0a-1b").unwrap();
        let below = store.path().join("g").join("%61");
        assert_eq!(bulk(&dir), below.join(".rack-0a-1b"));
    }
}
