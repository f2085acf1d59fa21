//! Parses modules, and finds what they define.

mod definitions;
mod literal;
mod model;
mod syntax;
mod target;
mod walk;

use std::collections::HashSet;

use super::{Module, SyntaxFault};

/// Returns what a module defines.
///
/// # Errors
/// [`SyntaxFault`] if the text is not valid Python 3, is too long, or is nested deeper than Python allows.
pub(crate) fn parse(text: &str) -> Result<Module, SyntaxFault> {
    syntax::with_statements(text, |statements| {
        let definitions = definitions::Definitions::collect(statements);
        Module {
            models: model::find(&definitions.items),
            targets: definitions.items.iter().filter_map(target::read).collect(),
            symbols: definitions.symbols,
            is_open: definitions.is_open,
        }
    })
}

/// Omits duplicates.
fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = names.into_iter().filter(|name| seen.insert(*name));
    names.map(str::to_owned).collect()
}
