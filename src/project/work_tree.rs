//! Where a folder is in the work tree of a repository.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::error::{Error, IoContext, Result};

/// Finds where a folder is in the work tree that it belongs to, with `/` between the components and empty for the top;
/// `None` when it is in none.
pub(super) fn path_in_work_tree(folder: &Path) -> Result<Option<String>> {
    let path = fs::canonicalize(folder).at("read", folder)?;
    // In a further work tree, and in a submodule, it is a file.
    let Some(top) = path.ancestors().find(|path| path.join(".git").exists()) else {
        return Ok(None);
    };
    let below = path.strip_prefix(top).unwrap_or(Path::new(""));
    let components: Option<Vec<&str>> = below.iter().map(OsStr::to_str).collect();
    let not_unicode = || {
        let path = path.display();
        Error::argument(format!("{path} has a name that is not UTF-8"))
    };
    Ok(Some(components.ok_or_else(not_unicode)?.join("/")))
}
