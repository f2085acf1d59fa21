//! What a Python module defines, read from its text: it is parsed, never run.
//!
//! The publisher's side asks two things of a module: whether an entrypoint `package.module:Symbol` exists, and which
//! models and targets a file declares. Texts may be hostile: [`syntax`] keeps them from exhausting the stack.

mod definitions;
mod entrypoint;
mod literal;
mod model;
mod syntax;
mod target;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, HashSet};

use self::definitions::Definitions;
pub(crate) use self::entrypoint::Entrypoint;
pub(crate) use self::syntax::{MAX_BYTES, SyntaxFault};

/// What a module defines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Module {
    /// The names bound at its top level → what they are.
    pub(crate) symbols: BTreeMap<String, Symbol>,
    /// Whether it may define names that its text does not show: it has `from x import *`, a `__getattr__` of its own, or
    /// asks for its `globals`.
    pub(crate) is_open: bool,
    /// The models, in order of the text.
    pub(crate) models: Vec<ModelClass>,
    /// The targets, in order of the text.
    pub(crate) targets: Vec<TargetFunction>,
}

impl Module {
    /// Returns whether the name is certainly not defined; one that an open module does not show is not.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        !self.is_open && !self.symbols.contains_key(name)
    }
}

/// What a name stands for; the most telling first, which is kept when a module binds a name more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Symbol {
    /// A `class`.
    Class,
    /// A `def` or an `async def`.
    Function,
    /// Whatever another module defines.
    Import,
    /// Anything else that has a name: an assignment, a loop's variable, a type alias.
    Value,
}

/// A class or function that declares what it computes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelClass {
    pub(crate) name: String,
    /// The first line of its docstring that is not blank.
    pub(crate) description: Option<String>,
    /// The names of its outputs, distinct and in order of the text; `None` when they are not stated as literals.
    pub(crate) outputs: Option<Vec<String>>,
}

/// A function that compares an output of a model with data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TargetFunction {
    pub(crate) name: String,
    /// The output it looks at; `None` when it is not stated as a literal.
    pub(crate) model_output: Option<String>,
    /// The data it reads, as far as literals state it, distinct and in order of the text.
    pub(crate) data: Vec<String>,
}

/// Reads what a module defines from its text.
///
/// # Errors
/// [`SyntaxFault`] when it is not Python 3, too long, or nested deeper than Python itself allows.
pub(crate) fn parse(text: &str) -> Result<Module, SyntaxFault> {
    syntax::with_statements(text, |statements| {
        let definitions = Definitions::collect(statements);
        Module {
            models: model::find(&definitions.items),
            targets: target::find(&definitions.items),
            symbols: definitions.symbols,
            is_open: definitions.is_open,
        }
    })
}

/// Keeps the first of those that are equal.
fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = names.into_iter().filter(|name| seen.insert(*name));
    names.map(str::to_owned).collect()
}
