//! What a Python module defines, read from its text: it is parsed, never run.
//!
//! The publisher's side asks two things of a module: whether an entrypoint `package.module:Symbol` exists, and which
//! models and targets a file declares. Texts may be hostile: [`syntax`] keeps them from exhausting the stack.

#[cfg(feature = "python")]
mod definitions;
mod entrypoint;
#[cfg(feature = "python")]
mod literal;
#[cfg(feature = "python")]
mod model;
#[cfg(feature = "python")]
mod syntax;
#[cfg(feature = "python")]
mod target;
#[cfg(all(test, feature = "python"))]
mod tests;
#[cfg(feature = "python")]
mod walk;

use std::collections::BTreeMap;

pub(crate) use self::entrypoint::Entrypoint;

/// The longest text, in bytes. The longest modules that people write have 2 MB.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Why a text is not valid Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxFault {
    /// The line, from 1; 1 as well when the fault is the text's as a whole.
    pub(crate) line: usize,
    /// What is wrong, in the parser's words, without a full stop.
    pub(crate) message: String,
}

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
/// [`SyntaxFault`] when the text is not valid Python 3, too long, or nested deeper than Python itself allows.
#[cfg(feature = "python")]
pub(crate) fn parse(text: &str) -> Result<Module, SyntaxFault> {
    syntax::with_statements(text, |statements| {
        let definitions = definitions::Definitions::collect(statements);
        Module {
            models: model::find(&definitions.items),
            targets: target::find(&definitions.items),
            symbols: definitions.symbols,
            is_open: definitions.is_open,
        }
    })
}

/// Returns a module that may define anything: this build does not read Python.
#[cfg(not(feature = "python"))]
pub(crate) fn parse(_: &str) -> Result<Module, SyntaxFault> {
    Ok(Module {
        is_open: true,
        ..Module::default()
    })
}

/// Keeps the first of those that are equal.
#[cfg(feature = "python")]
fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let names = names.into_iter().filter(|name| seen.insert(*name));
    names.map(str::to_owned).collect()
}
