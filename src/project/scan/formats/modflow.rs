//! The name files of MODFLOW, which list the parts of a groundwater model.
//!
//! MODFLOW 6 has one for the simulation, `mfsim.nam`, in blocks
//! (<https://modflow6.readthedocs.io/en/stable/_mf6io/sim-nam.html>):
//!
//! ```text
//! BEGIN TIMING
//!   TDIS6  flow.tdis
//! END TIMING
//! BEGIN MODELS
//!   GWF6  gwf.nam  gwf_1
//! END MODELS
//! ```
//!
//! Earlier versions have one for each model, with a line for each file
//! (<https://water.usgs.gov/ogw/modflow/MODFLOW-2005-Guide/name_file.html>):
//!
//! ```text
//! LIST  7  ibs2k.lst
//! BAS6  8  ibs2k.bas
//! ```
//!
//! Words may be in any case, with blanks or commas between them, and comments start with `#`, `!` or `//`. MODFLOW reads bytes,
//! whatever their encoding is. The model is the folder of the name file. The name file of a part of a simulation is not a
//! model: what runs is the simulation.

mod classic;
mod outputs;
mod simulation;
#[cfg(test)]
mod tests;

use super::BuiltIn;
use super::description::{Description, Extent};
use super::file::{ModelFile, if_known};
use crate::error::Result;

/// The largest name file that is read, in bytes: 10,000 lines are half as large.
const MAX_NAME_FILE_BYTES: u64 = 1 << 20;
/// The name of every simulation's name file.
const SIMULATION_FILE: &str = "mfsim.nam";
/// How many words of a line are read.
const MAX_WORDS: usize = 8;

pub(crate) use outputs::outputs_of_run;

pub(super) const FORMAT: BuiltIn = BuiltIn("modflow", read);

fn read(file: &ModelFile) -> Result<Option<Description>> {
    if file.extension() != "nam" {
        return Ok(None);
    }
    let is_simulation = file.file_name().eq_ignore_ascii_case(SIMULATION_FILE);
    let is_known = is_simulation || classic::is_name_file(&file.head_text()?);
    let text = file.text_of_bytes(MAX_NAME_FILE_BYTES);
    let Some(text) = if_known(text, is_known)? else {
        return Ok(None);
    };
    let description = if is_simulation || simulation::is_simulation(&text) {
        simulation::read(file, &text)
    } else if classic::is_name_file(&text) {
        classic::read(&text)
    } else {
        return Ok(None);
    };
    let description = description.map_err(|message| file.malformed(message))?;
    Ok(Some(description))
}

/// Returns what is the same for every kind of simulation.
fn description(program: &str) -> Description {
    let mut description = Description {
        model_type: Some("other".into()),
        extent: Extent::Folder,
        ..Description::default()
    };
    description.fact("simulation", Some(program));
    description
}

/// Returns the lines that are not empty, numbered from 1, as words.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = (1..).zip(text.lines().map(words));
    lines.filter(|(_, words)| !words.is_empty())
}

/// Splits a line into words, up to a comment. A word in quotes may contain blanks and commas.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let is_separator = |c: char| c.is_whitespace() || c == ',';
    let mut rest = line.trim_start_matches(is_separator);
    let is_comment = |rest: &str| rest.starts_with(['#', '!']) || rest.starts_with("//");
    while !rest.is_empty() && !is_comment(rest) && words.len() < MAX_WORDS {
        let quoted = rest.strip_prefix(['\'', '"']);
        let quoted = quoted.and_then(|inner| inner.split_once(&rest[..1]));
        let plain = || rest.split_at(rest.find(is_separator).unwrap_or(rest.len()));
        let (word, next) = quoted.unwrap_or_else(plain);
        words.push(word);
        rest = next.trim_start_matches(is_separator);
    }
    words
}

/// Returns a path with the separator of all systems, and without a dot in front.
fn portable(path: &str) -> String {
    let path = path.replace('\\', "/");
    path.strip_prefix("./").unwrap_or(&path).to_owned()
}
