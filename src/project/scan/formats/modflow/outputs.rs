//! The files that a run writes, as the files that it reads name them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::file::text_of_bytes;
use super::{MAX_NAME_FILE_BYTES, classic, lines, portable, simulation};
use crate::disk::leftovers::Surroundings;
use crate::relpath::below;

/// How much of the files that a simulation lists is read, in bytes: the options, which name outputs, come first.
const MAX_OPTIONS_BYTES: u64 = 16 << 10;
/// How many files of a simulation are read.
const MAX_FILES: usize = 10_000;

/// Returns the paths of the files that a run of a model writes, in lower case: MODFLOW was made for systems on which case does
/// not matter. `name_file` is the path of the model's name file.
///
/// A name file of earlier versions lists all files: outputs are the listings, and the data that a run replaces. In MODFLOW 6,
/// the name file of a part names its listing, and packages name their outputs after `FILEOUT`.
pub(crate) fn outputs_of_run(
    name_file: &str,
    surroundings: &(impl Surroundings + ?Sized),
) -> BTreeSet<String> {
    let (folder, name) = name_file.rsplit_once('/').unwrap_or(("", name_file));
    let read = |name: &str, max_bytes| {
        let head = surroundings.head(&below(folder, name), max_bytes);
        text_of_bytes(&head.unwrap_or_default())
    };
    let text = read(name, MAX_NAME_FILE_BYTES);
    let mut outputs = match simulation::is_simulation(&text) {
        true => of_simulation(name, &read),
        false if classic::is_name_file(&text) => classic::outputs(&text),
        false => BTreeSet::new(),
    };
    outputs.remove(name);
    let outputs = outputs
        .iter()
        .map(|name| below(folder, name).to_lowercase());
    outputs.collect()
}

/// Follows the files that a simulation lists, and those that these list. Their names are paths from the simulation's folder.
fn of_simulation(name_file: &str, read: &dyn Fn(&str, u64) -> String) -> BTreeSet<String> {
    let mut outputs = BTreeSet::new();
    // The files to read, each with whether nothing of it counts but its options.
    let mut inputs = BTreeMap::from([(name_file.to_owned(), false)]);
    let mut unread = vec![name_file.to_owned()];
    while let Some(name) = unread.pop() {
        let has_options_only = inputs.get(&name) == Some(&true);
        let text = read(&name, MAX_OPTIONS_BYTES);
        let mut block = String::new();
        for (_, words) in lines(&text) {
            let is = |at: usize, keyword| {
                words
                    .get(at)
                    .is_some_and(|word| word.eq_ignore_ascii_case(keyword))
            };
            let after = |keyword| (1..words.len()).find(|at| is(at - 1, keyword));
            if is(0, "BEGIN") {
                block = words.get(1).copied().unwrap_or_default().to_uppercase();
            }
            if has_options_only && is(0, "END") && block == "OPTIONS" {
                break;
            }
            let listing = (block == "OPTIONS" && is(0, "LIST")).then_some(1);
            let output = after("FILEOUT").or(listing);
            outputs.extend(
                output
                    .and_then(|at| words.get(at))
                    .map(|name| portable(name)),
            );
            let listed = (is_type(words[0]) || is(0, "OPEN/CLOSE")).then_some(1);
            let input = after("FILEIN").or(listed).and_then(|at| words.get(at));
            if let Some(input) = input.map(|name| portable(name))
                && inputs.len() < MAX_FILES
                && !inputs.contains_key(&input)
            {
                inputs.insert(input.clone(), block == "PACKAGES" && !is(0, "OBS6"));
                unread.push(input);
            }
        }
    }
    outputs.retain(|name| !inputs.contains_key(name));
    outputs
}

/// Returns whether a word is the type of a file, such as `GWF6` or `GWF6-GWT6`.
fn is_type(word: &str) -> bool {
    word.ends_with('6') && word.starts_with(|c: char| c.is_ascii_alphabetic())
}
