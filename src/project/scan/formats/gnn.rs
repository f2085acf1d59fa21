//! Generalized Notation Notation: generative models as markdown (<https://doi.org/10.5281/zenodo.7803328>).
//!
//! ```text
//! # Text before the first section is a comment, and may state facts
//! # Author: who wrote it
//!
//! ## GNNVersionAndFlags
//! GNN v1
//!
//! ## ModelName
//! Walker on a ring
//!
//! ## ModelAnnotation
//! What the model is about.
//!
//! ## StateSpaceBlock
//! A[3,3,type=float]   # name, dimensions, type
//!
//! ## Connections
//! s-A
//! s>s_prime
//! ```
//!
//! A markdown file is a model if it has a `ModelName`, and a `StateSpaceBlock` or `Connections`. The names of sections may
//! be in any case, and end in a colon. A file that has some of these sections and not the others, or a line that cannot be meant
//! as it is, is refused, with its lines. It is read as a stream, of which a few texts, numbers and hashes of names are kept.

mod notation;
mod outline;
#[cfg(test)]
mod tests;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value};

use super::BuiltIn;
use super::description::{Description, MAX_ENTRIES};
use super::file::ModelFile;
use super::lines::Line;
use crate::error::Result;
use crate::text::{MAX_DESCRIPTION_CHARS, long_text, short_text};

use notation::{connection_fault, connections, unclosed, variables};
use outline::{Outline, Role};

/// How much of a line is read, in bytes. Programs write matrices in one line; those that are counted are much shorter.
const MAX_LINE_BYTES: usize = 1 << 20;
/// How many variables are counted, so that their names take no more than some megabytes.
const MAX_VARIABLES: usize = 1 << 20;
/// How many faults are told.
const MAX_FAULTS: usize = 5;

/// The sections that no other markdown has.
const OWN_SECTIONS: [&str; 6] = [
    "GNNSection",
    "GNNVersionAndFlags",
    "ModelName",
    "StateSpaceBlock",
    "InitialParameterization",
    "ActInfOntologyAnnotation",
];

/// The sections in which lines such as `Author: …` are facts; elsewhere they are notation. The first is the text before all
/// sections.
const FACT_SECTIONS: [&str; 4] = ["", "ModelAnnotation", "Footer", "Signature"];

pub(super) const FORMAT: BuiltIn = BuiltIn("gnn", read);

fn read(file: &ModelFile) -> Result<Option<Description>> {
    if !matches!(file.extension(), "md" | "gnn") {
        return Ok(None);
    }
    // Most markdown files are not models, and may contain anything: only one that looks like a model is checked.
    let mut head = Reader::new();
    for text in file.head_text()?.lines() {
        head.take(&Line {
            number: 0,
            text,
            is_cut: false,
        });
    }
    if !head.sections.contains("ModelName") && !head.looks_like_a_model() {
        return Ok(None);
    }
    let mut reader = Reader::new();
    file.each_line(MAX_LINE_BYTES, &mut |line| reader.take(line))?;
    reader.finish(file)
}

/// What is read of a file so far.
#[derive(Debug)]
struct Reader {
    outline: Outline,
    sections: BTreeSet<&'static str>,
    /// The first line that says something, by its section.
    firsts: BTreeMap<&'static str, String>,
    annotation: String,
    /// The hashes of the names of variables.
    variables: HashSet<u64>,
    connections: usize,
    parameters: Vec<(String, Value)>,
    /// Key and value of what lines state, for each of the sections with facts.
    facts: [Vec<(&'static str, String)>; FACT_SECTIONS.len()],
    faults: Vec<String>,
}

impl Reader {
    fn new() -> Self {
        Self {
            outline: Outline::new(),
            sections: BTreeSet::new(),
            firsts: BTreeMap::new(),
            annotation: String::new(),
            variables: HashSet::new(),
            connections: 0,
            parameters: Vec::new(),
            facts: Default::default(),
            faults: Vec::new(),
        }
    }

    fn take(&mut self, line: &Line<'_>) {
        let section = match self.outline.next(line.text) {
            Role::Heading(section) => {
                self.sections.insert(section);
                return;
            }
            Role::Text(section) => section,
            Role::Other => return,
        };
        match section {
            "StateSpaceBlock" => {
                let fault = unclosed(line.text).map(|name| {
                    let name = short_text(name).unwrap_or_default();
                    format!("the brackets of '{name}' are not closed")
                });
                self.check(line, fault);
                let room = (MAX_VARIABLES + 1).saturating_sub(self.variables.len());
                self.variables
                    .extend(variables(line.text).map(hash).take(room));
            }
            "Connections" => {
                self.check(line, connection_fault(line.text).map(str::to_owned));
                self.connections += connections(line.text);
            }
            "ModelParameters" if self.parameters.len() < MAX_ENTRIES => {
                self.parameters.extend(parameter(line.text));
            }
            "ModelAnnotation" if self.annotation.chars().count() < MAX_DESCRIPTION_CHARS => {
                if let Some(text) = long_text(line.text) {
                    self.annotation.push_str(&text);
                    self.annotation.push(' ');
                }
            }
            _ => {}
        }
        let text = line.text.trim();
        if !text.is_empty() && !text.starts_with('#') && !self.firsts.contains_key(section) {
            let value = match split(text) {
                Some((key, value)) if key.eq_ignore_ascii_case("version") => value,
                _ => text,
            };
            self.firsts
                .extend(short_text(value).map(|text| (section, text)));
        }
        if let Some(at) = FACT_SECTIONS.iter().position(|name| *name == section)
            && self.facts[at].len() < MAX_ENTRIES
        {
            self.facts[at].extend(fact(line.text));
        }
    }

    /// Records the fault of a line.
    fn check(&mut self, line: &Line<'_>, fault: Option<String>) {
        let too_long = line
            .is_cut
            .then(|| format!("it has more than {MAX_LINE_BYTES} bytes"));
        if let Some(fault) = too_long.or(fault)
            && self.faults.len() < MAX_FAULTS
        {
            self.faults.push(format!("line {}: {fault}", line.number));
        }
    }

    /// Returns whether the file has sections that only models have together.
    fn looks_like_a_model(&self) -> bool {
        let own = OWN_SECTIONS.iter().chain(&["Connections"]);
        own.filter(|name| self.sections.contains(*name)).count() > 1
    }

    fn finish(mut self, file: &ModelFile) -> Result<Option<Description>> {
        let has = |section: &str| self.sections.contains(section);
        let missing = match (
            has("ModelName"),
            has("StateSpaceBlock") || has("Connections"),
        ) {
            (true, true) => None,
            (false, _) => Some("the section 'ModelName' is missing"),
            (true, false) => Some("the sections 'StateSpaceBlock' and 'Connections' are missing"),
        };
        if missing.is_some() && !self.looks_like_a_model() {
            return Ok(None);
        }
        if self.variables.is_empty() && has("StateSpaceBlock") && self.faults.is_empty() {
            let fault = "the section 'StateSpaceBlock' declares no variable, such as 's[3,1]'";
            self.faults.push(fault.to_owned());
        }
        self.faults.extend(missing.map(str::to_owned));
        file.ensure(self.faults.is_empty(), self.faults.join("; "))?;
        Ok(Some(self.describe()))
    }

    fn describe(mut self) -> Description {
        let mut first = |section: &str| self.firsts.remove(section);
        let mut description = Description {
            name: first("ModelName"),
            description: long_text(&self.annotation),
            version: first("Version").or_else(|| first("ModelVersion")),
            model_type: Some("other".into()),
            ..Description::default()
        };
        description.fact("gnn_section", first("GNNSection"));
        description.fact("gnn_version", first("GNNVersionAndFlags"));
        let counted = 1..=MAX_VARIABLES;
        let count = Some(self.variables.len()).filter(|count| counted.contains(count));
        description.fact("variables", count);
        if self.sections.contains("Connections") {
            description.fact("connections", Some(self.connections));
        }
        let parameters = Map::from_iter(self.parameters);
        description.fact(
            "model_parameters",
            Some(parameters).filter(|map| !map.is_empty()),
        );
        for (key, value) in self.facts.into_iter().flatten() {
            match key {
                "tags" => description.tag_all(&value),
                "version" => {
                    description.version.get_or_insert(value);
                }
                // The first of a kind counts.
                key if description.metadata.contains_key(key) => {}
                key => description.fact(key, Some(value)),
            }
        }
        description
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// Reads the fact that a line states, if it is of a kind that is kept.
fn fact(line: &str) -> Option<(&'static str, String)> {
    let (key, value) = split(line)?;
    let key = match key.to_lowercase().as_str() {
        "tags" | "keywords" => return Some(("tags", long_text(value)?)),
        "version" | "model version" => "version",
        "author" | "authors" | "creator" => "author",
        "date" | "created" => "date",
        "license" | "licence" => "license",
        _ => return None,
    };
    Some((key, short_text(value)?))
}

/// Splits `Key: value`, which may be a comment or an item of a list, and have its key in bold.
fn split(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || "#-*".contains(c));
    let (key, value) = line.split_once(':')?;
    let value = value.trim_start_matches('*').trim();
    (!value.is_empty()).then(|| (key.trim_matches(['*', '_', ' ']), value))
}

/// Reads what a line of `ModelParameters` sets: a whole number as such, another value as text.
fn parameter(line: &str) -> Option<(String, Value)> {
    let (key, value) = line.split('#').next()?.split_once(':')?;
    let key = short_text(key.trim_start_matches(['-', '*', ' ']))?;
    let value = short_text(value)?;
    let number = value.parse::<i64>().map(Value::from);
    Some((key, number.unwrap_or_else(|_| value.into())))
}
