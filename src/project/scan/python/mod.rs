//! What a Python module defines. Its text is parsed, never run.
//!
//! This answers two questions: whether an entrypoint `package.module:Symbol` exists, and which models and targets a file
//! declares. Texts may be hostile: the parser is kept from exhausting the stack.

mod entrypoint;
#[cfg(feature = "python")]
mod parse;
#[cfg(all(test, feature = "python"))]
mod tests;

use std::collections::BTreeMap;

use crate::error::Result;
use crate::project::scan::formats::{ModelFile, text_of_bytes};

pub(crate) use self::entrypoint::Entrypoint;
#[cfg(feature = "python")]
pub(crate) use self::parse::parse;

/// The longest text that is read, in bytes. The longest modules that people write have 2 MB.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Why a text is not valid Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxFault {
    /// The line, from 1; also 1 for a fault of the text as a whole.
    pub(crate) line: usize,
    /// The parser's message, without a full stop.
    pub(crate) message: String,
}

/// What a module defines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Module {
    /// What each name at its top level is.
    pub(crate) symbols: BTreeMap<String, Symbol>,
    /// Whether it may define names that its text does not show: it has `from x import *` or a `__getattr__`, or uses
    /// `globals`.
    pub(crate) is_open: bool,
    /// The models, in the order of the text.
    pub(crate) models: Vec<ModelClass>,
    /// The targets, in the order of the text.
    pub(crate) targets: Vec<TargetFunction>,
}

impl Module {
    /// Returns whether the module certainly does not define a name.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        !self.is_open && !self.symbols.contains_key(name)
    }
}

/// What a name stands for. If a module binds a name several times, the first of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Symbol {
    /// A `class`.
    Class,
    /// A `def` or an `async def`.
    Function,
    /// Something from another module.
    Import,
    /// Anything else: a variable, the variable of a loop, a type alias.
    Value,
}

/// A class or function that declares what it computes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelClass {
    pub(crate) name: String,
    /// The first line of the docstring that is not blank.
    pub(crate) description: Option<String>,
    /// The names of its outputs, in order and without duplicates; `None` if they are not stated as literals.
    pub(crate) outputs: Option<Vec<String>>,
}

/// A function that compares an output of a model with data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TargetFunction {
    pub(crate) name: String,
    /// The output that it compares; `None` if it is not stated as a literal.
    pub(crate) model_output: Option<String>,
    /// The data that it reads and states as literals, in order and without duplicates.
    pub(crate) data: Vec<String>,
}

/// Reads a source: UTF-8, unless one of its first two lines declares another encoding
/// (<https://peps.python.org/pep-0263/>). Of such a text, what is not ASCII is in comments and texts, and read as Latin-1.
pub(crate) fn text(file: &ModelFile) -> Result<String> {
    let bytes = file.bytes(MAX_BYTES as u64)?;
    let declares = |line: &[u8]| {
        let line = line.trim_ascii_start();
        let at = line.windows(6).position(|word| word == b"coding");
        line.starts_with(b"#") && at.is_some_and(|at| matches!(line.get(at + 6), Some(b':' | b'=')))
    };
    match bytes.split(|byte| *byte == b'\n').take(2).any(declares) {
        true => Ok(text_of_bytes(&bytes)),
        false => file.text(MAX_BYTES as u64),
    }
}

/// Returns a module that may define anything: this build does not read Python.
#[cfg(not(feature = "python"))]
pub(crate) fn parse(_: &str) -> Result<Module, SyntaxFault> {
    Ok(Module {
        is_open: true,
        ..Module::default()
    })
}
