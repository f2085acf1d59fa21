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
//! be in any case, and end in a colon.

mod notation;
mod outline;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::BuiltIn;
use super::description::{Description, MAX_ENTRIES, long_text, short_text};
use super::file::ModelFile;
use crate::error::Result;

use notation::{connections, variables};
use outline::Outline;

/// The largest file that is read, in bytes: programs write models of 3 MB, people those of some kilobytes.
const MAX_TEXT_BYTES: u64 = 32 << 20;

/// The sections in which lines such as `Author: …` are facts; elsewhere they are notation. The first is the text before all
/// sections.
const FACT_SECTIONS: [&str; 4] = ["", "ModelAnnotation", "Footer", "Signature"];

pub(super) const FORMAT: BuiltIn = BuiltIn("gnn", read);

fn read(file: &ModelFile) -> Result<Option<Description>> {
    // Most markdown files are not models, and may contain anything: only one that looks like a model is checked.
    if !matches!(file.extension(), "md" | "gnn")
        || !Outline::of(&file.head_text()?).has("ModelName")
    {
        return Ok(None);
    }
    let text = file.text(MAX_TEXT_BYTES)?;
    let outline = Outline::of(&text);
    let has_notation = outline.has("StateSpaceBlock") || outline.has("Connections");
    if !outline.has("ModelName") || !has_notation {
        return Ok(None);
    }
    let lines = outline.lines("StateSpaceBlock");
    let names: HashSet<&str> = lines.flat_map(variables).collect();
    let message = "the section 'StateSpaceBlock' declares no variable, such as 's[3,1]'";
    file.ensure(
        !names.is_empty() || !outline.has("StateSpaceBlock"),
        message,
    )?;
    Ok(Some(describe(&outline, names.len())))
}

fn describe(outline: &Outline<'_>, variables: usize) -> Description {
    let annotation: Vec<&str> = outline.lines("ModelAnnotation").collect();
    let mut description = Description {
        name: first(outline, "ModelName"),
        description: long_text(&annotation.join("\n")),
        version: first(outline, "Version").or_else(|| first(outline, "ModelVersion")),
        model_type: Some("other".into()),
        ..Description::default()
    };
    description.fact("variables", Some(variables).filter(|count| *count > 0));
    if outline.has("Connections") {
        let edges: usize = outline.lines("Connections").map(connections).sum();
        description.fact("connections", Some(edges));
    }
    description.fact("gnn_section", first(outline, "GNNSection"));
    description.fact("gnn_version", first(outline, "GNNVersionAndFlags"));
    description.fact("model_parameters", parameters(outline));
    add_facts(outline, &mut description);
    description
}

/// Returns the first line of a section that is not a comment; of `Version: 2`, the value.
fn first(outline: &Outline<'_>, section: &str) -> Option<String> {
    let mut lines = outline.lines(section).map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    match fact(line) {
        Some((key, value)) if key.eq_ignore_ascii_case("version") => short_text(value),
        _ => short_text(line),
    }
}

/// Adds the facts that lines state. The first of a kind counts, and a section of its own counts before it.
fn add_facts(outline: &Outline<'_>, description: &mut Description) {
    let lines = FACT_SECTIONS
        .iter()
        .flat_map(|section| outline.lines(section));
    for (key, value) in lines.filter_map(fact) {
        let key = match key.to_lowercase().as_str() {
            "tags" | "keywords" => {
                description.tag_all(value);
                continue;
            }
            "version" | "model version" => {
                let version = description.version.take();
                description.version = version.or_else(|| short_text(value));
                continue;
            }
            "author" | "authors" | "creator" => "author",
            "date" | "created" => "date",
            "license" | "licence" => "license",
            _ => continue,
        };
        if !description.metadata.contains_key(key) {
            description.fact(key, short_text(value));
        }
    }
}

/// Splits `Key: value`, which may be a comment or an item of a list, and have its key in bold.
fn fact(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || "#-*".contains(c));
    let (key, value) = line.split_once(':')?;
    let value = value.trim_start_matches('*').trim();
    (!value.is_empty()).then(|| (key.trim_matches(['*', '_', ' ']), value))
}

/// Returns what the section `ModelParameters` sets: whole numbers as such, other values as text.
fn parameters(outline: &Outline<'_>) -> Option<Map<String, Value>> {
    let lines = outline.lines("ModelParameters").filter_map(|line| {
        let (key, value) = line.split('#').next()?.split_once(':')?;
        let key = short_text(key.trim_start_matches(['-', '*', ' ']))?;
        let value = short_text(value)?;
        let number = value.parse::<i64>().map(Value::from);
        Some((key, number.unwrap_or_else(|_| value.into())))
    });
    let parameters: Map<String, Value> = lines.take(MAX_ENTRIES).collect();
    Some(parameters).filter(|parameters| !parameters.is_empty())
}
