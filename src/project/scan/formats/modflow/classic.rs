//! The name file of MODFLOW-2005, its predecessors and its derivatives.

use std::collections::BTreeSet;

use super::super::description::{Description, MAX_ENTRIES};
use super::portable;
use super::{description, lines};
use crate::text::short_text;

/// The types of files that are not packages: listings and data.
const NO_PACKAGES: [&str; 6] = [
    "list",
    "global",
    "data",
    "data(binary)",
    "dataglo",
    "dataglo(binary)",
];

/// Packages that only one program has, and the program.
const PROGRAMS: [(&[&str], &str); 5] = [
    (&["disu", "sms", "cln"], "MODFLOW-USG"),
    (&["nwt", "upw"], "MODFLOW-NWT"),
    (&["vdf", "vsc"], "SEAWAT"),
    (&["global", "sen", "pes"], "MODFLOW-2000"),
    (&["bas"], "MODFLOW-96"),
];

/// Returns whether a text is a name file: it lists a listing and a basic package.
pub(super) fn is_name_file(text: &str) -> bool {
    let lists = |known: [&str; 2]| {
        let mut types = lines(text).filter_map(|(_, words)| file_type(&words));
        types.any(|file_type| known.contains(&file_type.as_str()))
    };
    lists(["list", "global"]) && lists(["bas6", "bas"])
}

pub(super) fn read(text: &str) -> Result<Description, String> {
    let mut types = BTreeSet::new();
    for (number, words) in lines(text) {
        let file_type = file_type(&words)
            .ok_or_else(|| format!("line {number} names no file, as 'BAS6 8 model.bas' does"))?;
        types.extend(short_text(&file_type));
    }
    let mut programs = PROGRAMS.iter();
    let program = programs.find(|(packages, _)| packages.iter().any(|name| types.contains(*name)));
    let program = program.map_or("MODFLOW-2005", |(_, program)| program);
    let mut description = description(program);
    description.tag("modflow");
    description.tag(&program.to_ascii_lowercase());
    types.retain(|file_type| !NO_PACKAGES.contains(&file_type.as_str()));
    let packages: Vec<String> = types.into_iter().take(MAX_ENTRIES).collect();
    description.fact("packages", Some(packages));
    Ok(description)
}

/// Returns the files that a run writes: its listings, and the data that it replaces.
pub(super) fn outputs(text: &str) -> BTreeSet<String> {
    let outputs = lines(text).filter_map(|(_, words)| {
        let kind = file_type(&words)?;
        let is_listing = matches!(kind.as_str(), "list" | "global");
        let is_replaced = || {
            words
                .iter()
                .skip(3)
                .any(|word| word.eq_ignore_ascii_case("REPLACE"))
        };
        (is_listing || kind.starts_with("data") && is_replaced()).then(|| portable(words[2]))
    });
    outputs.collect()
}

/// Returns the type of the file that a line lists, in lower case; `None` unless the number of a unit and a name follow.
fn file_type(words: &[&str]) -> Option<String> {
    match words {
        [kind, unit, _, ..] if unit.parse::<i32>().is_ok() => Some(kind.to_ascii_lowercase()),
        _ => None,
    }
}
