//! The name file of a simulation of MODFLOW 6.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::description::{Description, MAX_ENTRIES, MAX_NAME_CHARS, kept};
use super::{description, lines};
use crate::relpath::shown;

/// What a simulation consists of.
#[derive(Debug, Default)]
pub(super) struct Simulation<'a> {
    models: Vec<Model<'a>>,
    exchanges: usize,
    solution_groups: usize,
}

#[derive(Debug)]
struct Model<'a> {
    /// As in `GWF6`.
    kind: &'a str,
    name: Option<&'a str>,
}

impl<'a> Simulation<'a> {
    /// Whether a text is one, whatever its file is called: it has a block of models.
    pub(super) fn is_one(text: &str) -> bool {
        lines(text).any(|(_, words)| is(&words, "BEGIN", Some("MODELS")))
    }

    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let mut found = Self::default();
        let mut open: Option<String> = None;
        for (number, words) in lines(text) {
            let block = || words.get(1).map(|name| name.to_ascii_uppercase());
            match &open {
                None if is(&words, "BEGIN", None) => {
                    open = block();
                    if open.is_none() {
                        return Err(format!("line {number} begins a block without a name"));
                    }
                    found.solution_groups += usize::from(open.as_deref() == Some("SOLUTIONGROUP"));
                }
                None => return Err(format!("line {number} is in no block")),
                Some(name) if is(&words, "END", None) => {
                    if block().as_ref() != Some(name) {
                        return Err(format!(
                            "line {number} does not end the block '{}'",
                            shown(name)
                        ));
                    }
                    open = None;
                }
                Some(name) if is(&words, "BEGIN", None) => {
                    let name = shown(name);
                    return Err(format!(
                        "line {number} begins a block within the block '{name}'"
                    ));
                }
                Some(name) if name == "MODELS" => found.models.push(model(&words, number)?),
                Some(name) if name == "EXCHANGES" => found.exchanges += 1,
                Some(_) => {}
            }
        }
        match open {
            Some(name) => Err(format!("the block '{}' does not end", shown(&name))),
            None if found.models.is_empty() => Err("the simulation lists no model".into()),
            None => Ok(found),
        }
    }

    pub(super) fn describe(&self) -> Description {
        let mut description = description();
        description.tag("modflow6");
        let kinds: BTreeSet<String> = self.models.iter().map(|model| lower(model.kind)).collect();
        for kind in &kinds {
            description.tag(kind.trim_end_matches('6'));
        }
        let listed = self.models.iter().take(MAX_ENTRIES);
        let listed: Vec<Value> = listed.map(Model::to_json).collect();
        description.fact("simulation", Some("MODFLOW 6"));
        description.fact("model_count", Some(self.models.len()));
        description.fact("models", Some(listed));
        description.fact("exchanges", Some(self.exchanges));
        description.fact("solution_groups", Some(self.solution_groups));
        description
    }
}

impl Model<'_> {
    fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("type".into(), lower(self.kind).into());
        if let Some(name) = self.name.and_then(|name| kept(name, MAX_NAME_CHARS)) {
            json.insert("name".into(), name.into());
        }
        json.into()
    }
}

/// Reads a line such as `GWF6 gwf.nam gwf_1`.
fn model<'a>(words: &[&'a str], number: usize) -> Result<Model<'a>, String> {
    let kind = words.first().copied().unwrap_or_default();
    let is_kind = kind.ends_with('6') && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_kind || words.len() < 2 {
        return Err(format!(
            "line {number} lists no model, as 'GWF6 gwf.nam gwf_1' does"
        ));
    }
    Ok(Model {
        kind,
        name: words.get(2).copied(),
    })
}

fn is(words: &[&str], first: &str, second: Option<&str>) -> bool {
    let equals = |at: usize, expected: &str| {
        words
            .get(at)
            .is_some_and(|word| word.eq_ignore_ascii_case(expected))
    };
    equals(0, first) && second.is_none_or(|second| equals(1, second))
}

fn lower(word: &str) -> String {
    kept(&word.to_ascii_lowercase(), MAX_NAME_CHARS).unwrap_or_default()
}
