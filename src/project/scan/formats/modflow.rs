//! Name files of MODFLOW, which list what a groundwater model consists of.
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
//! Its elders have one a model, with a line a file
//! (<https://water.usgs.gov/ogw/modflow/MODFLOW-2005-Guide/name_file.html>):
//!
//! ```text
//! LIST  7  ibs2k.lst
//! BAS6  8  ibs2k.bas
//! ```
//!
//! Words are read in any case. What follows `#`, `!` or `//` is a comment. The model is the folder of its name file. The
//! name file of a part of a simulation is not a model, because what runs is the simulation.

mod classic;
mod simulation;
#[cfg(test)]
mod tests;

use super::ModelFormat;
use super::description::{Description, Extent};
use super::file::ModelFile;
use crate::error::{ErrorKind, Result};

use classic::NameFile;
use simulation::Simulation;

/// The largest name file that is read, in bytes: 10,000 lines have half of it.
const MAX_NAME_FILE_BYTES: u64 = 1 << 20;

/// What the name file of a simulation is always called.
const SIMULATION_FILE: &str = "mfsim.nam";

/// Reads name files of MODFLOW.
#[derive(Debug)]
pub(super) struct Modflow;

impl ModelFormat for Modflow {
    fn name(&self) -> &'static str {
        "modflow"
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        if file.extension() != "nam" {
            return Ok(None);
        }
        let is_simulation = file.file_name().eq_ignore_ascii_case(SIMULATION_FILE);
        let text = match file.text(MAX_NAME_FILE_BYTES) {
            // What somebody else's file of this kind is like is nobody's concern.
            Err(error)
                if matches!(error.kind(), ErrorKind::Registry { .. })
                    && !is_simulation
                    && !NameFile::is_one(&file.head_text()?) =>
            {
                return Ok(None);
            }
            text => text?,
        };
        let malformed = |message: String| file.malformed(message);
        if is_simulation || Simulation::is_one(&text) {
            let simulation = Simulation::parse(&text).map_err(malformed)?;
            return Ok(Some(simulation.describe()));
        }
        if NameFile::is_one(&text) {
            let name_file = NameFile::parse(&text).map_err(malformed)?;
            return Ok(Some(name_file.describe()));
        }
        Ok(None)
    }
}

/// What both kinds of simulation are.
fn description() -> Description {
    Description {
        model_type: Some("other".into()),
        extent: Extent::Folder,
        ..Description::default()
    }
}

/// The lines that are no comments, numbered from 1, as words.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = text.lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, words(line)));
    lines.filter(|(_, words)| !words.is_empty())
}

/// How many words of a line are looked at.
const MAX_WORDS: usize = 8;

/// The first words of a line, up to a comment. One in quotes may have spaces.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !is_comment(rest) && words.len() < MAX_WORDS {
        let quoted = rest.strip_prefix(['\'', '"']);
        let quoted = quoted.and_then(|inner| inner.split_once(&rest[..1]));
        let (word, next) = match quoted {
            Some(found) => found,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word);
        rest = next.trim_start();
    }
    words
}

fn is_comment(rest: &str) -> bool {
    rest.starts_with(['#', '!']) || rest.starts_with("//")
}
