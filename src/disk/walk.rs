//! Lists the files below a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::leftovers::{is_left_behind, is_of_tool};
use crate::error::{Error, IoContext, Result};
use crate::progress::CancelToken;
use crate::relpath::below;

/// How deep folders may be nested. Links that are followed may form a loop.
const MAX_DEPTH: usize = 64;
/// Why a link is refused.
pub(crate) const IS_LINK: &str = "is a link, which a model cannot have";

/// How links are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// Something below a folder that is not a folder.
#[derive(Debug)]
pub(crate) struct FileBelow {
    /// Its path from the folder, with `/` between the components. What is not UTF-8 is replaced.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Why it cannot be in a model.
    pub(crate) fault: Option<&'static str>,
}

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// What is not a folder, ordered by name.
    pub(crate) files: Vec<FileBelow>,
    /// The paths, from the folder, of what was passed over: a system, an editor or a download tool left it behind.
    pub(crate) left_behind: Vec<String>,
}

/// Lists all files below a folder, except those of tools, what was left behind, and those for which `is_left_out` holds. It gets
/// the path from the folder, the path on disk, and whether that is a folder.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if folders are nested too deep;
/// [`Cancelled`](crate::ErrorKind::Cancelled); the storage errors.
pub(crate) fn walk(
    folder: &Path,
    links: Links,
    cancel: &CancelToken,
    is_left_out: &dyn Fn(&str, &Path, bool) -> bool,
) -> Result<Walked> {
    let mut walked = Walked::default();
    let top = folder;
    let mut folders = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        cancel.check()?;
        if depth > MAX_DEPTH {
            let shown = folder.display();
            let message = format!("{shown} is nested more than {MAX_DEPTH} folders deep");
            return Err(Error::argument(message).naming(folder));
        }
        let entries = match fs::read_dir(&folder) {
            // It was removed since it was listed.
            Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.at("read", &folder)?,
        };
        for entry in entries {
            let entry = entry.at("read", &folder)?;
            let (component, path) = (entry.file_name(), entry.path());
            let name = below(&prefix, &component.to_string_lossy());
            if component.to_str().is_some_and(is_of_tool) {
                continue;
            }
            if is_left_behind(&name, top) {
                walked.left_behind.push(name);
                continue;
            }
            let kind = match (links, entry.file_type()) {
                (Links::Follow, _) => fs::metadata(&path).at("read", &path)?.file_type(),
                // On some systems, a listing does not tell a link to a folder from a folder.
                (Links::Refuse, Ok(kind)) if !kind.is_dir() => kind,
                (Links::Refuse, _) => match fs::symlink_metadata(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.at("read", &path)?.file_type(),
                },
            };
            let fault = if component.to_str().is_none() {
                Some("has a name that is not UTF-8")
            } else if kind.is_symlink() {
                Some(IS_LINK)
            } else if !kind.is_file() && !kind.is_dir() {
                Some("is neither a file nor a folder")
            } else {
                None
            };
            if is_left_out(&name, &path, kind.is_dir()) {
                debug!(path = %path.display(), "left out");
            } else if kind.is_dir() && fault.is_none() {
                folders.push((path, name, depth + 1));
            } else {
                walked.files.push(FileBelow { name, path, fault });
            }
        }
    }
    let files = &mut walked.files;
    files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    walked.left_behind.sort_unstable();
    Ok(walked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_an_error() {
        let gone = tempfile::tempdir().unwrap().path().join("gone");
        walk(&gone, Links::Refuse, &CancelToken::new(), &|_, _, _| false).unwrap_err();
    }

    #[test]
    fn a_folder_that_is_removed_meanwhile_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("gone")).unwrap();
        let remove = |_: &str, path: &Path, _| fs::remove_dir(path).is_err();
        let walked = walk(folder.path(), Links::Refuse, &CancelToken::new(), &remove).unwrap();
        assert!(walked.files.is_empty());
    }

    #[test]
    fn files_of_tools_and_left_out_files_are_omitted() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b/x",
            "b/.git/x",
            "a",
            "c/out",
            "__pycache__/x",
            "Thumbs.db",
            "b/x~",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let is_out = |name: &str, _: &Path, is_folder: bool| name == "c/out" && !is_folder;
        let walked = walk(folder.path(), Links::Follow, &CancelToken::new(), &is_out).unwrap();
        assert_eq!(walked.left_behind, ["b/x~"]);
        let names: Vec<_> = walked.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a", "b/x"]);
    }
}
