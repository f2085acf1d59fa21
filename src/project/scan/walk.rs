//! Lists the files below a folder of a project.

use std::path::Path;

use crate::disk::walk::{Links, walk};
use crate::error::{Error, Result};
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::relpath::{RelPath, below};

/// The files below a folder of a project.
#[derive(Debug, Default)]
pub(crate) struct FolderFiles {
    /// The files, ordered by name.
    pub(crate) files: Vec<RelPath>,
    /// The paths that cannot be in a registry, each with the reason.
    pub(crate) faults: Vec<(String, Error)>,
    /// What was passed over, as a system, an editor or a download tool left it behind.
    pub(crate) left_behind: Vec<String>,
}

/// Returns the last component of a path.
pub(super) fn name_of(file: &RelPath) -> &str {
    file.components().last().unwrap_or_default()
}

/// Returns the folder that contains a path, `.` for the project's folder.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// Lists all files below a folder of the project, `.` for the project's folder. Links are not followed.
pub(crate) fn files_below(project: &Project, folder: &str) -> Result<FolderFiles> {
    let (start, prefix) = match folder {
        "." => (project.root().to_owned(), ""),
        folder => {
            let path = RelPath::parse_argument(folder)?;
            (project.locate(&path), folder)
        }
    };
    let is_own = |_: &str, path: &Path, _| project.is_own(path);
    let walked = walk(&start, Links::Refuse, &CancelToken::new(), &is_own)?;
    let left_behind = walked.left_behind.iter();
    let mut tree = FolderFiles {
        left_behind: left_behind.map(|name| below(prefix, name)).collect(),
        ..FolderFiles::default()
    };
    for file in walked.files {
        let name = below(prefix, &file.name);
        let path = match file.fault {
            Some(fault) => {
                let message = format!("'{}' {fault}", name.escape_debug());
                Err(Error::argument(message).naming(&name))
            }
            None => RelPath::parse_argument(&name),
        };
        match path {
            Ok(path) => tree.files.push(path),
            Err(error) => tree.faults.push((name, error)),
        }
    }
    Ok(tree)
}
