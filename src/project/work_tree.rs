//! The path of a folder in the work tree of a repository.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::error::{Error, IoContext, Result};

/// Returns the path of a folder in the work tree that it belongs to, with `/` between the components and empty for the top;
/// `None` when it is not in a work tree.
pub(super) fn path_in_work_tree(folder: &Path) -> Result<Option<String>> {
    let path = fs::canonicalize(folder).at("read", folder)?;
    // `.git` is a file in a linked work tree and in a submodule.
    let Some(top) = path.ancestors().find(|path| path.join(".git").exists()) else {
        return Ok(None);
    };
    let below = path.strip_prefix(top).unwrap_or(Path::new(""));
    let not_unicode =
        || Error::argument(format!("{} has a name that is not UTF-8", path.display()));
    slashed(below).ok_or_else(not_unicode).map(Some)
}

/// Returns a relative path with `/` between its components; `None` when it is not UTF-8.
pub(super) fn slashed(path: &Path) -> Option<String> {
    let components: Option<Vec<&str>> = path.iter().map(OsStr::to_str).collect();
    components.map(|components| components.join("/"))
}
