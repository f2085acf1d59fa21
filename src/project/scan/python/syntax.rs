//! From a text to its statements, whatever the text.
//!
//! The parser descends into what is nested, and what it returns is dropped the same way. It gives up 202 levels down by
//! itself, as Python does at about 200, but that leaves three ways to go deeper: chains such as `a.b.c` and `1 + 1 + 1`,
//! which are read in a loop but dropped link by link; a lambda in the default of a lambda's parameter; and signs in the
//! pattern of a `case`. [`check_nesting`] caps them, and the parser runs on a thread whose stack holds what the caps allow.

use std::thread;

use ruff_python_ast::Stmt;
use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, ParseError, ParseErrorType, lexer, parse_module};

use super::{MAX_BYTES, SyntaxFault};

/// How deep brackets and the parameters of lambdas may be nested, as in Python.
const MAX_OPEN: usize = 200;
/// How many operators, links and brackets may follow each other without a comma or the end of a statement.
const MAX_CHAIN: usize = 12_000;
/// The stack of the thread that parses. Without optimisation on x86-64, a sign in a pattern takes 1.7 KiB, a lambda in a
/// default 4.7 KiB, a link 0.1 KiB, and the costliest of the parser's 202 levels 16 KiB. Only what is used becomes memory.
const STACK_BYTES: usize = 80 << 20;

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
    if text.len() > MAX_BYTES {
        return Err(SyntaxFault::whole("longer than 4 MiB"));
    }
    // The parser would take it for the end of the text.
    if let Some(at) = text.find('\0') {
        let line = line_at(&text.as_bytes()[..at]);
        return Err(SyntaxFault::new(line, "a NUL character"));
    }
    check_nesting(text)?;
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

/// Refuses a text that would take more stack than there is.
///
/// Where strings or brackets do not match, the parser may see other tokens than the lexer does alone: of such a text all
/// punctuation counts as one chain.
fn check_nesting(text: &str) -> Result<(), SyntaxFault> {
    if let Some(is_shallow) = is_shallow(text) {
        return is_shallow.then_some(()).ok_or(SyntaxFault::whole(TOO_DEEP));
    }
    let punctuation = text.bytes().filter(u8::is_ascii_punctuation).count();
    match punctuation <= MAX_CHAIN {
        true => Ok(()),
        false => Err(SyntaxFault::whole("a string or bracket is not closed")),
    }
}

/// Returns whether brackets and chains stay within their caps; `None` when strings or brackets do not match.
fn is_shallow(text: &str) -> Option<bool> {
    let mut lexer = lexer::lex(text, Mode::Module);
    // What closes each open bracket, and how long the chain around it is.
    let mut open: Vec<(TokenKind, usize)> = Vec::new();
    // The chain in the innermost bracket, and it with those around it.
    let (mut chain, mut total) = (0_usize, 0_usize);
    loop {
        let token = lexer.next_token();
        let closes = open.last().is_some_and(|(close, _)| *close == token);
        let close = match token {
            TokenKind::EndOfFile => return open.is_empty().then_some(true),
            TokenKind::Unknown => return None,
            TokenKind::Newline if !open.is_empty() => return None,
            TokenKind::Newline | TokenKind::Comma | TokenKind::Semi => {
                total -= std::mem::take(&mut chain);
                continue;
            }
            _ if closes => {
                total -= chain;
                chain = open.pop()?.1;
                continue;
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd => return None,
            TokenKind::Lpar => Some(TokenKind::Rpar),
            TokenKind::Lsqb => Some(TokenKind::Rsqb),
            TokenKind::Lbrace => Some(TokenKind::Rbrace),
            TokenKind::FStringStart => Some(TokenKind::FStringEnd),
            TokenKind::TStringStart => Some(TokenKind::TStringEnd),
            TokenKind::Lambda => Some(TokenKind::Colon),
            _ if token.is_operator() => None,
            _ => continue,
        };
        chain += 1;
        total += 1;
        if let Some(close) = close {
            open.push((close, std::mem::take(&mut chain)));
        }
        if total > MAX_CHAIN || open.len() > MAX_OPEN {
            return Some(false);
        }
    }
}

/// Reports what the parser found first.
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
