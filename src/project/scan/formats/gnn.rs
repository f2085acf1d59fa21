//! Generalized Notation Notation: generative models as markdown (<https://doi.org/10.5281/zenodo.7803328>).
//!
//! ```text
//! # What comes before the first section is a comment, and may state facts
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
//! A file is a model when it has a `ModelName`, and a `StateSpaceBlock` or `Connections`; other markdown files are not.
//! The names of sections are read in any case, and may end in a colon.

mod notation;
mod outline;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::ModelFormat;
use super::description::{
    Description, Extent, MAX_DESCRIPTION_CHARS, MAX_ENTRIES, MAX_NAME_CHARS, kept,
};
use super::file::ModelFile;
use crate::error::Result;

use notation::{connections, variables};
use outline::Outline;

/// The largest file that is read, in bytes: models are written by hand, and have a hundredth of it.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Where lines such as `Author: …` are facts; elsewhere they are notation. The first is what precedes all sections.
const STATING: [&str; 4] = ["", "ModelAnnotation", "Footer", "Signature"];

/// Reads Generalized Notation Notation.
#[derive(Debug)]
pub(super) struct Gnn;

impl ModelFormat for Gnn {
    fn name(&self) -> &'static str {
        "gnn"
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        // Most markdown files are not models and may contain anything: they are passed over before they are checked.
        if !matches!(file.extension(), "md" | "gnn")
            || !Outline::of(&file.head_text()?).has("ModelName")
        {
            return Ok(None);
        }
        let text = file.text(MAX_TEXT_BYTES)?;
        let outline = Outline::of(&text);
        if !outline.has("ModelName")
            || !(outline.has("StateSpaceBlock") || outline.has("Connections"))
        {
            return Ok(None);
        }
        describe(&outline, file).map(Some)
    }
}

fn describe(outline: &Outline<'_>, file: &ModelFile) -> Result<Description> {
    let annotation: Vec<&str> = outline.lines("ModelAnnotation").collect();
    let mut description = Description {
        name: first(outline, "ModelName"),
        description: kept(&annotation.join("\n"), MAX_DESCRIPTION_CHARS),
        version: first(outline, "Version").or_else(|| first(outline, "ModelVersion")),
        model_type: Some("other".into()),
        extent: Extent::File,
        ..Description::default()
    };
    if outline.has("StateSpaceBlock") {
        let lines = outline.lines("StateSpaceBlock");
        let names: HashSet<&str> = lines.flat_map(variables).collect();
        if names.is_empty() {
            return Err(file.malformed(
                "the section 'StateSpaceBlock' declares no variable, such as 's[3,1]'",
            ));
        }
        description.fact("variables", Some(names.len()));
    }
    if outline.has("Connections") {
        let edges: usize = outline.lines("Connections").map(connections).sum();
        description.fact("connections", Some(edges));
    }
    description.fact("gnn_section", first(outline, "GNNSection"));
    description.fact("gnn_version", first(outline, "GNNVersionAndFlags"));
    description.fact("model_parameters", parameters(outline));
    state(outline, &mut description);
    Ok(description)
}

/// The first line of a section that is not a comment; of `Version: 2`, the value.
fn first(outline: &Outline<'_>, section: &str) -> Option<String> {
    let mut lines = outline.lines(section).map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let value = match fact(line) {
        Some((key, value)) if key.eq_ignore_ascii_case("version") => value,
        _ => line,
    };
    kept(value, MAX_NAME_CHARS)
}

/// Takes over the facts that lines state. The first of a kind counts, and a section of its own before it.
fn state(outline: &Outline<'_>, description: &mut Description) {
    let lines = STATING.iter().flat_map(|section| outline.lines(section));
    for (key, value) in lines.filter_map(fact) {
        let key = match key.to_lowercase().as_str() {
            "tags" | "keywords" => {
                description.tag_all(value);
                continue;
            }
            "version" | "model version" => {
                let version = description.version.take();
                description.version = version.or_else(|| kept(value, MAX_NAME_CHARS));
                continue;
            }
            "author" | "authors" | "creator" => "author",
            "date" | "created" => "date",
            "license" | "licence" => "license",
            _ => continue,
        };
        if !description.metadata.contains_key(key) {
            description.fact(key, kept(value, MAX_NAME_CHARS));
        }
    }
}

/// Splits `Key: value`, which may be a comment or an item of a list, with a key in bold.
fn fact(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || "#-*".contains(c));
    let (key, value) = line.split_once(':')?;
    let value = value.trim_start_matches('*').trim();
    (!value.is_empty()).then(|| (key.trim_matches(['*', '_', ' ']), value))
}

/// What the section `ModelParameters` sets: whole numbers as such, the rest as it is written.
fn parameters(outline: &Outline<'_>) -> Option<Map<String, Value>> {
    let mut parameters = Map::new();
    let lines = outline.lines("ModelParameters").filter_map(|line| {
        let line = line.split('#').next()?;
        let (key, value) = line.split_once(':')?;
        let key = key.trim_start_matches(['-', '*', ' ']);
        Some((kept(key, MAX_NAME_CHARS)?, kept(value, MAX_NAME_CHARS)?))
    });
    for (key, value) in lines.take(MAX_ENTRIES) {
        let number = value.parse::<i64>().map(Value::from);
        parameters.insert(key, number.unwrap_or_else(|_| value.into()));
    }
    (!parameters.is_empty()).then_some(parameters)
}
