//! The name file of a model of MODFLOW-2005, of its elders and of what grew out of them.

use std::collections::BTreeSet;

use super::super::description::{Description, MAX_ENTRIES, MAX_NAME_CHARS, kept};
use super::{description, lines};

/// The types of files that are not packages: listings and data.
const NO_PACKAGES: [&str; 4] = ["list", "global", "data", "data(binary)"];

/// Packages that only one program has, and the program.
const PROGRAMS: [(&[&str], &str); 5] = [
    (&["disu", "sms", "cln"], "MODFLOW-USG"),
    (&["nwt", "upw"], "MODFLOW-NWT"),
    (&["vdf", "vsc"], "SEAWAT"),
    (&["global", "sen", "pes"], "MODFLOW-2000"),
    (&["bas"], "MODFLOW-96"),
];

/// The types of the files that a model consists of, in lower case.
#[derive(Debug)]
pub(super) struct NameFile(BTreeSet<String>);

impl NameFile {
    /// Whether a text is one: it names a listing and a basic package.
    pub(super) fn is_one(text: &str) -> bool {
        let names = |types: [&str; 2]| {
            lines(text).any(|(_, words)| {
                has_form(&words)
                    && types
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(words[0]))
            })
        };
        names(["LIST", "GLOBAL"]) && names(["BAS6", "BAS"])
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut types = BTreeSet::new();
        for (number, words) in lines(text) {
            if !has_form(&words) {
                return Err(format!(
                    "line {number} names no file, as 'BAS6 8 model.bas' does"
                ));
            }
            types.extend(kept(&words[0].to_ascii_lowercase(), MAX_NAME_CHARS));
        }
        Ok(Self(types))
    }

    pub(super) fn describe(&self) -> Description {
        let mut description = description();
        let mut programs = PROGRAMS
            .iter()
            .filter(|(own, _)| own.iter().any(|own| self.0.contains(*own)));
        let program = programs
            .next()
            .map_or("MODFLOW-2005", |(_, program)| program);
        description.tag("modflow");
        description.tag(&program.to_ascii_lowercase());
        let packages = self
            .0
            .iter()
            .filter(|name| !NO_PACKAGES.contains(&name.as_str()));
        let packages: Vec<String> = packages.take(MAX_ENTRIES).cloned().collect();
        description.fact("simulation", Some(program));
        description.fact("packages", Some(packages));
        description
    }
}

/// Whether a line has a type, the number of a unit and a name.
fn has_form(words: &[&str]) -> bool {
    words.len() >= 3 && words[1].parse::<i32>().is_ok()
}
