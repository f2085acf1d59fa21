//! What is left out of models: the outputs of a run, and what tools keep.

use crate::disk::leftovers::is_of_tool;

/// The outputs of a run, by their extensions in lower case.
const OUTPUTS: [&str; 9] = [
    "lst", "hds", "hed", "cbb", "cbc", "bud", "ddn", "ucn", "glo",
];
/// How the names of files begin that the outputs of a run are compared with.
const COMPARED: &str = "compare";

/// Returns whether a path is that of an output of a run, of something that outputs are compared with, or of a tool's file.
pub(crate) fn is_output_of_run(path: &str) -> bool {
    let mut components = path.rsplit('/');
    let is_file_left_out = components
        .next()
        .is_some_and(|name| is_left_out(name, true));
    is_file_left_out || components.any(|name| is_left_out(name, false))
}

/// Returns whether a file or folder with this name is left out of models. Extensions count for files only.
pub(crate) fn is_left_out(component: &str, is_file: bool) -> bool {
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
