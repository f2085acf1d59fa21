//! The files of a project's folders, as far as they are of models.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Error, IoContext, Result};
use crate::project::home::Project;
use crate::relpath::RelPath;

/// Folders and files that belong to tools, and to no model.
const PASSED_OVER: [&str; 10] = [
    ".git",
    ".hg",
    ".svn",
    ".registry",
    ".venv",
    ".ipynb_checkpoints",
    "__pycache__",
    "node_modules",
    ".DS_Store",
    "Thumbs.db",
];
/// How deep folders may be nested.
const MAX_DEPTH: usize = 64;

/// What lies below a folder.
#[derive(Debug, Default)]
pub(in crate::project) struct Tree {
    /// The files, in the order of names.
    pub(in crate::project) files: Vec<RelPath>,
    /// What can be in no registry, each with why.
    pub(in crate::project) faults: Vec<(String, Error)>,
}

/// Whether something of this name belongs to a tool.
pub(in crate::project) fn is_passed_over(name: &str) -> bool {
    PASSED_OVER.contains(&name)
}

/// The folder that something is in, `.` for the project's own.
pub(in crate::project) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// Finds all files below a folder of the project, `.` for its own. Links are not followed.
pub(in crate::project) fn files_below(project: &Project, folder: &str) -> Result<Tree> {
    let mut tree = Tree::default();
    let (start, prefix) = match folder {
        "." => (project.root().to_owned(), String::new()),
        folder => {
            let path =
                RelPath::parse(folder).map_err(|error| Error::argument(error.to_string()))?;
            (project.locate(&path), format!("{folder}/"))
        }
    };
    descend(&start, &prefix, 0, &mut tree)?;
    tree.files.sort_unstable();
    Ok(tree)
}

fn descend(folder: &Path, prefix: &str, depth: usize, tree: &mut Tree) -> Result<()> {
    if depth > MAX_DEPTH {
        let message = format!(
            "{} is nested deeper than the {MAX_DEPTH} folders that are looked through",
            folder.display()
        );
        return Err(Error::argument(message));
    }
    let entries = match fs::read_dir(folder) {
        Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at("read", folder)?,
    };
    for entry in entries {
        let entry = entry.at("read", folder)?;
        let name = entry.file_name();
        let shown = format!("{prefix}{}", name.to_string_lossy());
        if is_passed_over(&name.to_string_lossy()) {
            continue;
        }
        // Not every system says in a listing that a folder is a link.
        let kind = match fs::symlink_metadata(entry.path()) {
            // What went since it was listed is not below the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.at("read", &entry.path())?.file_type(),
        };
        let refuse = |reason: &str| Error::argument(format!("'{}' {reason}", shown.escape_debug()));
        if name.to_str().is_none() {
            tree.faults
                .push((shown.clone(), refuse("has a name that is not UTF-8")));
        } else if kind.is_dir() {
            descend(&entry.path(), &format!("{shown}/"), depth + 1, tree)?;
        } else if kind.is_symlink() {
            let fault = refuse("is a link, and a server has something else under its name");
            tree.faults.push((shown.clone(), fault));
        } else if !kind.is_file() {
            tree.faults
                .push((shown.clone(), refuse("is neither a file nor a folder")));
        } else {
            match RelPath::parse(&shown) {
                Ok(path) => tree.files.push(path),
                Err(error) => tree
                    .faults
                    .push((shown, Error::argument(error.to_string()))),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_went_meanwhile_has_nothing_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut tree = Tree::default();
        descend(&gone, "gone/", 1, &mut tree).unwrap();
        assert!(tree.files.is_empty() && tree.faults.is_empty());
        // One that somebody named is missed.
        descend(&gone, "gone/", 0, &mut tree).unwrap_err();
    }
}
