//! The name file of a simulation of MODFLOW 6.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::super::description::{Description, MAX_ENTRIES};
use super::super::file::ModelFile;
use super::{MAX_NAME_FILE_BYTES, description, lines};
use crate::relpath::shown;
use crate::text::short_text;

/// What the blocks of a simulation list.
#[derive(Debug, Default)]
struct Simulation<'a> {
    /// The type of each model, such as `GWF6`, and its name.
    models: Vec<(&'a str, Option<&'a str>)>,
    exchanges: usize,
    solution_groups: usize,
}

/// Returns whether a text is such a name file, whatever the file is called: it has a block of models.
pub(super) fn is_simulation(text: &str) -> bool {
    lines(text).any(|(_, words)| {
        matches!(words[..], [begin, name, ..]
            if begin.eq_ignore_ascii_case("BEGIN") && name.eq_ignore_ascii_case("MODELS"))
    })
}

pub(super) fn read(file: &ModelFile, text: &str) -> Result<Description, String> {
    let opened = opened(file, text);
    let simulation = parse(text, &opened)?;
    let mut description = description("MODFLOW 6");
    description.tag("modflow6");
    let types = simulation.models.iter().map(|(kind, _)| lower(kind));
    for kind in types.collect::<BTreeSet<String>>() {
        description.tag(kind.trim_end_matches('6'));
    }
    let models = simulation.models.iter().take(MAX_ENTRIES);
    let models = models.map(|(kind, name)| match name.and_then(short_text) {
        Some(name) => json!({"type": lower(kind), "name": name}),
        None => json!({"type": lower(kind)}),
    });
    description.fact("models", Some(models.collect::<Vec<_>>()));
    description.fact("model_count", Some(simulation.models.len()));
    description.fact("exchanges", Some(simulation.exchanges));
    description.fact("solution_groups", Some(simulation.solution_groups));
    Ok(description)
}

/// Reads the files that stand for the lines of a block: `OPEN/CLOSE models.txt`. Whatever is not below the folder is not known.
fn opened(file: &ModelFile, text: &str) -> BTreeMap<String, String> {
    let names = lines(text).filter_map(|(_, words)| opens(&words).map(str::to_owned));
    let names = names.take(MAX_ENTRIES);
    let read = names.filter_map(|name| {
        let text = file.beside(&name)?.text_of_bytes(MAX_NAME_FILE_BYTES);
        Some((name, text.ok()?))
    });
    read.collect()
}

/// Returns the name of the file whose lines stand for a line.
fn opens<'a>(words: &[&'a str]) -> Option<&'a str> {
    let [keyword, name, ..] = words else {
        return None;
    };
    keyword.eq_ignore_ascii_case("OPEN/CLOSE").then_some(name)
}

fn parse<'a>(
    text: &'a str,
    opened: &'a BTreeMap<String, String>,
) -> Result<Simulation<'a>, String> {
    let mut simulation = Simulation::default();
    let mut open: Option<String> = None;
    let mut is_known = true;
    let lines = lines(text).flat_map(|(number, words)| {
        let inner = match opens(&words) {
            None => vec![words],
            Some(name) => match opened.get(name) {
                Some(text) => lines(text).map(|(_, words)| words).collect(),
                None => {
                    is_known = false;
                    Vec::new()
                }
            },
        };
        inner.into_iter().map(move |words| (number, words))
    });
    for (number, words) in lines {
        let keyword = words[0].to_ascii_uppercase();
        let name = words.get(1).map(|name| name.to_ascii_uppercase());
        match (open.as_deref(), keyword.as_str()) {
            (None, "BEGIN") if name.is_none() => {
                return Err(format!("line {number} begins a block without a name"));
            }
            (None, "BEGIN") => {
                simulation.solution_groups += usize::from(name.as_deref() == Some("SOLUTIONGROUP"));
                open = name;
            }
            (None, _) => return Err(format!("line {number} is in no block")),
            (Some(block), "BEGIN") => {
                let block = shown(block);
                return Err(format!(
                    "line {number} begins a block within the block '{block}'"
                ));
            }
            (Some(_), "END") if name == open => open = None,
            (Some(block), "END") => {
                let block = shown(block);
                return Err(format!("line {number} does not end the block '{block}'"));
            }
            (Some("MODELS"), _) => {
                let other =
                    || format!("line {number} lists no model, as 'GWF6 gwf.nam gwf_1' does");
                simulation.models.push(model(&words).ok_or_else(other)?);
            }
            (Some("EXCHANGES"), _) => simulation.exchanges += 1,
            (Some(_), _) => {}
        }
    }
    match open {
        Some(block) => Err(format!("the block '{}' does not end", shown(&block))),
        None if simulation.models.is_empty() && is_known => {
            Err("the simulation lists no model".into())
        }
        None => Ok(simulation),
    }
}

/// Reads the type and name in a line such as `GWF6 gwf.nam gwf_1`.
fn model<'a>(words: &[&'a str]) -> Option<(&'a str, Option<&'a str>)> {
    let kind = words[0];
    let is_type = kind.ends_with('6') && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_type && words.len() > 1).then(|| (kind, words.get(2).copied()))
}

fn lower(kind: &str) -> String {
    short_text(&kind.to_ascii_lowercase()).unwrap_or_default()
}
