//! Which files are one model together: all that are below a folder, or the parts of a model that is split.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use super::candidate::Candidate;
use super::walk::{folder_of, name_of};
use crate::error::Result;
use crate::project::scan::formats::{self, PartName};
use crate::relpath::RelPath;

/// A file, and what it says about itself or why it cannot be read.
pub(super) type ReadFile = (Result<Candidate>, RelPath);

/// The files that are one model together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group<'a> {
    /// All that are below a folder.
    Folder(&'a str),
    /// The parts of a model, by their path with a star in place of the number.
    Parts(&'a str),
}

/// The groups among the files below a folder.
#[derive(Debug)]
pub(super) struct Groups {
    folders: BTreeSet<String>,
    parts: BTreeSet<String>,
}

impl Groups {
    /// Finds the groups. The folder of parts is a model, like that of any file which describes its folder. But if nothing else
    /// says that it is one, and there are several models in it, then the parts of each are a model.
    pub(super) fn of(read: &[ReadFile]) -> Self {
        let mut folders = with_company(read);
        let mut parts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for (read, file) in read {
            let folder = folder_of(file.as_str());
            match read {
                Ok(read) if read.part_name().is_some() => {
                    let of_folder = parts.entry(folder).or_default();
                    of_folder.extend(parts_of(file.as_str()));
                }
                Ok(read) if read.is_of_folder() => {
                    folders.insert(folder);
                }
                Err(_) if formats::is_configuration(name_of(file)) => {
                    folders.insert(folder);
                }
                Ok(read) if read.is_whole() => *others.entry(folder).or_default() += 1,
                _ => {}
            }
        }
        let mut apart = BTreeSet::new();
        for (folder, sets) in parts {
            let models = sets.len() + others.get(folder).unwrap_or(&0);
            if models > 1 && !folders.contains(folder) {
                apart.extend(sets);
            } else {
                folders.insert(folder);
            }
        }
        Self {
            folders: outermost(&folders),
            parts: apart,
        }
    }

    /// Returns the group that a path belongs to.
    pub(super) fn of_path(&self, path: &str) -> Option<Group<'_>> {
        let of_folder = above(&self.folders, path).map(Group::Folder);
        of_folder.or_else(|| Some(Group::Parts(self.parts.get(&parts_of(path)?)?)))
    }
}

/// Returns the path of a part with a star in place of its number; `None` if its name is not that of a part.
pub(super) fn parts_of(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let part = PartName::of(name)?;
    Some(format!("{}{}", path.strip_suffix(name)?, part.of_all()))
}

/// Returns the folders that are models by what is in them, whatever library wrote it: beside something that libraries keep
/// beside weights, the only weights, or weights with a name that libraries give to those of any model.
fn with_company(read: &[ReadFile]) -> BTreeSet<&str> {
    let mut weights: BTreeMap<&str, BTreeMap<String, &str>> = BTreeMap::new();
    let mut accompanied = BTreeSet::new();
    for (read, file) in read {
        let (folder, name) = (folder_of(file.as_str()), name_of(file));
        if formats::is_companion(name) {
            accompanied.insert(folder);
        }
        if read.as_ref().is_ok_and(Candidate::is_weights) {
            let whole = parts_of(name).unwrap_or_else(|| name.to_owned());
            weights.entry(folder).or_default().insert(whole, name);
        }
    }
    weights.retain(|folder, names| {
        // A project has files of its own at its top.
        let is_only = names.len() == 1 && *folder != ".";
        let is_of_any = || names.values().any(|name| formats::is_weights(name));
        accompanied.contains(folder) && (is_only || is_of_any())
    });
    weights.into_keys().collect()
}

/// Returns the folder among `folders` in which a path lies, however deep.
fn above<'f>(folders: &'f BTreeSet<String>, path: &str) -> Option<&'f str> {
    folders_above(path).find_map(|folder| folders.get(folder).map(String::as_str))
}

fn folders_above<'p>(path: &'p str) -> impl Iterator<Item = &'p str> {
    let parent = |folder: &&'p str| (*folder != ".").then(|| folder_of(folder));
    iter::successors(parent(&path), parent)
}

/// Returns the folders that do not lie in any of the others.
fn outermost(all: &BTreeSet<&str>) -> BTreeSet<String> {
    let is_outer = |folder: &&&str| !folders_above(folder).any(|above| all.contains(above));
    let outer = all.iter().filter(is_outer);
    outer.map(|folder| (*folder).to_owned()).collect()
}
