//! From a text to its statements, even if the text is hostile.
//!
//! The parser recurses into nested syntax, and so does dropping its result. It stops at 202 levels by itself, as Python does
//! at about 200, but there are three ways to get deeper: chains such as `a.b.c` and `1 + 1 + 1`, which are parsed in a loop
//! but dropped link by link; a lambda as the default of a lambda's parameter; and signs in the pattern of a `case`.
//! [`check_nesting`] limits these, and the parser runs on a thread whose stack is large enough for the limits.

use std::thread;

use ruff_python_ast::Stmt;
use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, ParseError, ParseErrorType, lexer, parse_module};

use super::super::{MAX_BYTES, SyntaxFault};

/// How deep brackets and the parameters of lambdas may be nested, as in Python.
const MAX_OPEN: usize = 200;
/// How many operators, links and brackets may follow each other without a comma or the end of a statement.
const MAX_CHAIN: usize = 12_000;
/// The stack of the thread that parses. Without optimization on x86-64, a sign in a pattern takes 1.7 KiB, a lambda in a
/// default 4.7 KiB, a link 0.1 KiB, and the largest of the parser's 202 levels 16 KiB. Only what is used takes memory.
const STACK_BYTES: usize = 80 << 20;

const TOO_DEEP: &str = "nested too deeply";

impl SyntaxFault {
    /// Returns a fault on the line after some text. Lines end with LF, CR LF or CR, as in Python.
    fn after(text: &[u8], message: &str) -> Self {
        let ends = text.iter().enumerate().filter(|&(at, &byte)| {
            byte == b'\n' || byte == b'\r' && text.get(at + 1) != Some(&b'\n')
        });
        Self {
            line: ends.count() + 1,
            message: message.to_owned(),
        }
    }

    /// Returns a fault of the text as a whole.
    fn whole(message: &str) -> Self {
        Self::after(b"", message)
    }
}

/// Parses a text and reads its statements, on a thread with a large stack.
pub(super) fn with_statements<T: Send>(
    text: &str,
    read: impl FnOnce(&[Stmt]) -> T + Send,
) -> Result<T, SyntaxFault> {
    if text.len() > MAX_BYTES {
        return Err(SyntaxFault::whole("longer than 4 MiB"));
    }
    // The parser would take it for the end of the text.
    if let Some(at) = text.find('\0') {
        return Err(SyntaxFault::after(
            &text.as_bytes()[..at],
            "a NUL character",
        ));
    }
    check_nesting(text)?;
    let work = move || match parse_module(text) {
        Ok(parsed) => Ok(read(parsed.suite())),
        Err(error) => Err(fault(text, &error)),
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("python-syntax".to_owned());
        let worker = thread.stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let worker = worker.map_err(|_| SyntaxFault::whole("no thread to parse it on"))?;
        let result = worker.join();
        result.unwrap_or_else(|_| Err(SyntaxFault::whole("the parser failed")))
    })
}

/// Refuses a text that would need more stack than there is.
///
/// If strings or brackets do not match, the parser may see other tokens than the lexer alone does: then all punctuation
/// counts as one chain.
fn check_nesting(text: &str) -> Result<(), SyntaxFault> {
    let punctuation = || text.bytes().filter(u8::is_ascii_punctuation).count();
    match is_shallow(text) {
        Some(true) => Ok(()),
        Some(false) => Err(SyntaxFault::whole(TOO_DEEP)),
        None if punctuation() <= MAX_CHAIN => Ok(()),
        None => Err(SyntaxFault::whole("a string or bracket is not closed")),
    }
}

/// Returns whether brackets and chains stay within the limits; `None` if strings or brackets do not match.
fn is_shallow(text: &str) -> Option<bool> {
    let mut lexer = lexer::lex(text, Mode::Module);
    // The token that closes each open bracket, and the length of the chain around it.
    let mut open: Vec<(TokenKind, usize)> = Vec::new();
    // The length of the chain in the innermost bracket, and of all open chains together.
    let (mut chain, mut total) = (0_usize, 0_usize);
    loop {
        let token = lexer.next_token();
        if let Some((_, outer)) = open.pop_if(|(close, _)| *close == token) {
            total -= chain;
            chain = outer;
            continue;
        }
        let close = match token {
            TokenKind::EndOfFile => return open.is_empty().then_some(true),
            TokenKind::Newline if !open.is_empty() => return None,
            TokenKind::Newline | TokenKind::Comma | TokenKind::Semi => {
                total -= std::mem::take(&mut chain);
                continue;
            }
            TokenKind::Unknown
            | TokenKind::Rpar
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

/// Returns the first fault that the parser found.
fn fault(text: &str, error: &ParseError) -> SyntaxFault {
    let before = &text.as_bytes()[..error.location.start().to_usize().min(text.len())];
    let mut message = match &error.error {
        ParseErrorType::RecursionLimitExceeded => TOO_DEEP.to_owned(),
        other => other.to_string(),
    };
    // The parser's messages are sentences; ours continue a line.
    message.truncate(message.trim_end_matches('.').len());
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    SyntaxFault::after(before, &message)
}
