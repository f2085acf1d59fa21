//! From a text to its statements, without trust in the text.
//!
//! The parser goes down into what is nested, and what it returns is dropped the same way. By itself it gives up 202
//! levels down, as Python does about 200; that leaves three ways to go deeper, which [`nesting`] bounds:
//! chains such as `a.b.c` and `1 + 1 + 1`, read in a loop but dropped level by level; a lambda in the default of a
//! lambda's parameter; and signs in the pattern of a `case`. The bound and the parser's own limit fit a thread whose stack
//! is made for them. Nothing here goes down by itself, but from a block into a block.

use std::thread;

use ruff_python_ast::Stmt;
use ruff_python_parser::{ParseError, ParseErrorType, parse_module};

use super::nesting;

/// The longest text, in bytes. The longest modules that people write have 2 MB.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// The stack of the thread that parses: what [`nesting::MAX_WEIGHT`] allows, and 16 MiB for the parser's own 202 levels,
/// of which the costliest, f-strings within f-strings, take 16 KiB each when nothing is optimised. Only what is used
/// becomes memory.
const STACK_BYTES: usize = nesting::MAX_WEIGHT + (16 << 20);

/// Why a text is no Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxFault {
    /// The line, from 1; 1 as well when the fault is the text's as a whole.
    pub(crate) line: usize,
    /// What is wrong, in the parser's words, without a full stop.
    pub(crate) message: String,
}

impl SyntaxFault {
    fn new(line: usize, message: &str) -> Self {
        Self {
            line,
            message: message.to_owned(),
        }
    }

    /// A fault of the text as a whole.
    fn whole(message: &str) -> Self {
        Self::new(1, message)
    }
}

const TOO_DEEP: &str = "nested too deeply";

/// Parses a text and reads its statements, on a thread that has the stack for it.
pub(super) fn with_statements<T: Send>(
    text: &str,
    read: impl FnOnce(&[Stmt]) -> T + Send,
) -> Result<T, SyntaxFault> {
    check_length(text.len())?;
    // The parser would take it for the end of the text.
    if let Some(at) = text.find('\0') {
        let line = line_at(&text.as_bytes()[..at]);
        return Err(SyntaxFault::new(line, "a NUL character"));
    }
    if nesting::weight(text) > nesting::MAX_WEIGHT {
        return Err(SyntaxFault::whole(TOO_DEEP));
    }
    let work = move || match parse_module(text) {
        Ok(parsed) => Ok(read(parsed.suite())),
        Err(error) => Err(fault(text, &error)),
    };
    thread::scope(|scope| {
        let name = "python-syntax".to_owned();
        let thread = thread::Builder::new().name(name).stack_size(STACK_BYTES);
        let Ok(worker) = thread.spawn_scoped(scope, work) else {
            return Err(SyntaxFault::whole("no thread to parse it on"));
        };
        let failed = || SyntaxFault::whole("the parser failed");
        worker.join().unwrap_or_else(|_| Err(failed()))
    })
}

fn check_length(bytes: usize) -> Result<(), SyntaxFault> {
    if bytes > MAX_BYTES {
        return Err(SyntaxFault::whole("longer than 4 MiB"));
    }
    Ok(())
}

/// Says what the parser found first.
fn fault(text: &str, error: &ParseError) -> SyntaxFault {
    let before = &text.as_bytes()[..error.location.start().to_usize().min(text.len())];
    let message = match error.error {
        ParseErrorType::RecursionLimitExceeded => TOO_DEEP.to_owned(),
        ref other => {
            let message = other.to_string();
            let message = message.trim_end_matches('.');
            // Its words begin as a sentence does; ours go on after a colon.
            let mut rest = message.chars();
            let first = rest.next().map(|c| c.to_ascii_lowercase());
            first.into_iter().chain(rest).collect()
        }
    };
    SyntaxFault {
        line: line_at(before),
        message,
    }
}

/// Returns the line that follows what is given: lines end with LF, CR LF or CR, as Python has it.
fn line_at(before: &[u8]) -> usize {
    let ends = before.iter().enumerate().filter(|&(at, &byte)| {
        byte == b'\n' || byte == b'\r' && before.get(at + 1) != Some(&b'\n')
    });
    ends.count() + 1
}
