//! The files below a folder, wherever that is.

use crate::digest::{Digest, Hasher};
use crate::error::{ErrorKind, Result};
use crate::progress::CancelToken;
use crate::project::scan::walk::is_of_tool;
use crate::relpath::RelPath;

/// The files below a folder of this machine or of an archive.
pub(super) trait Tree: Sync {
    /// The paths of the files, relative to the folder, with `/` between the components; in order, each once, and not yet
    /// trusted. What [`is_left_out`] is not among them.
    fn names(&self) -> &[String];

    /// Passes a file on in pieces, each of the buffer's size at most, until `take` fails.
    ///
    /// # Errors
    /// When it cannot be read; when it is a link, or no file for another reason; what `take` fails with.
    fn read(
        &self,
        name: &str,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()>;
}

/// What a registry says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
}

impl Facts {
    /// Reads them from a file's bytes.
    pub(super) fn read(
        tree: &dyn Tree,
        name: &str,
        buffer: &mut [u8],
        cancel: &CancelToken,
    ) -> Result<Self> {
        let (mut hasher, mut size_bytes) = (Hasher::default(), 0);
        tree.read(name, buffer, &mut |piece| {
            hasher.update(piece);
            size_bytes += piece.len() as u64;
            match cancel.is_cancelled() {
                true => Err(ErrorKind::Cancelled.into()),
                false => Ok(()),
            }
        })?;
        Ok(Self {
            digest: hasher.finish(),
            size_bytes,
        })
    }
}

/// What a run of a model writes, by its extension in lower case.
const OUTPUTS: [&str; 9] = [
    "lst", "hds", "hed", "cbb", "cbc", "bud", "ddn", "ucn", "glo",
];
/// What the outputs of a run are compared with.
const COMPARED: &str = "compare";

/// Whether a run of a model wrote a file, or something compares its outputs with it.
pub(in crate::project) fn is_output_of_run(path: &RelPath) -> bool {
    let mut components: Vec<&str> = path.components().collect();
    let name = components.pop();
    name.is_some_and(|name| is_left_out(name, true))
        || components
            .into_iter()
            .any(|component| is_left_out(component, false))
}

/// Whether a component of a path belongs to no model: neither a file of that name, nor what lies in a folder of that name.
/// Only a file's extension tells that it was written by a run.
pub(super) fn is_left_out(component: &str, is_file: bool) -> bool {
    let is_output = || {
        let extension = component.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|extension| {
            OUTPUTS
                .iter()
                .any(|output| output.eq_ignore_ascii_case(extension))
        })
    };
    is_of_tool(component) || component.starts_with(COMPARED) || is_file && is_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_a_run_are_left_out() {
        for (component, of_files, of_folders) in [
            ("mfsim.lst", true, false),
            ("GWF.HDS", true, false),
            ("a.b.cbc", true, false),
            (".ucn", true, false),
            ("lst", false, false),
            ("a.lst2", false, false),
            ("a.obs", false, false),
            (".DS_Store", true, true),
            (".git", true, true),
            (".gitignore", false, false),
            (".registry", true, true),
            ("__pycache__", true, true),
            ("compare", true, true),
            ("compare.txt", true, true),
            ("compared_to", true, true),
            ("no_compare", false, false),
        ] {
            let found = (is_left_out(component, true), is_left_out(component, false));
            assert_eq!(found, (of_files, of_folders), "{component}");
        }
    }
}
