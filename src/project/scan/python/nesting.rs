//! How deep the parser can get where it does not count by itself.
//!
//! Each token weighs the stack that it can cost, in bytes: about twice of what was measured without optimisation, on
//! x86-64. What is nested in each other adds up; a comma, a line's end or a closing bracket takes back what lies before
//! it. The heaviest place is the text's weight.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// The heaviest text that is parsed: chains of 190,000 tokens, or lambdas 4,800 deep.
pub(super) const MAX_WEIGHT: usize = 48 << 20;

/// A link of a chain such as `a.b.c` or `a()()`: 129 bytes to drop it.
const LINK: usize = 256;
/// `+` and `-`: in a pattern, the parser goes down at each, for 1,744 bytes.
const SIGN: usize = 4 << 10;
/// A lambda whose parameters have not ended: one more in a default takes 4,723 bytes.
const LAMBDA: usize = 10 << 10;

/// Returns how much stack a text can cost above what the parser limits.
///
/// A text whose strings or brackets are broken is weighed as if all of it were nested in each other: the parser, which
/// goes on after an error, may then see other tokens than the lexer does alone.
pub(super) fn weight(text: &str) -> usize {
    Scale::weigh(text).unwrap_or_else(|| weigh_all(text))
}

/// What stands inside one pair of brackets, so far.
#[derive(Default)]
struct Group {
    /// The token that ends it; `None` for the text itself.
    end: Option<TokenKind>,
    /// What the tokens since the last comma weigh.
    run: usize,
    /// How many lambdas have not come to their colon.
    lambdas: usize,
}

/// What the tokens before some place weigh, as far as that place is nested in them.
struct Scale {
    /// The groups around the innermost.
    outer: Vec<Group>,
    inner: Group,
    now: usize,
    peak: usize,
}

impl Scale {
    /// Returns the peak; `None` when strings or brackets are broken.
    fn weigh(text: &str) -> Option<usize> {
        let mut scale = Self {
            outer: Vec::new(),
            inner: Group::default(),
            now: 0,
            peak: 0,
        };
        let mut lexer = lexer::lex(text, Mode::Module);
        loop {
            let token = lexer.next_token();
            if token == TokenKind::EndOfFile {
                return scale.outer.is_empty().then_some(scale.peak);
            }
            scale.put(token)?;
        }
    }

    fn put(&mut self, token: TokenKind) -> Option<()> {
        match token {
            TokenKind::Unknown => return None,
            TokenKind::Comment | TokenKind::NonLogicalNewline => {}
            TokenKind::Newline if !self.outer.is_empty() => return None,
            TokenKind::Newline => {
                self.inner.lambdas = 0;
                self.inner.run = 0;
                self.now = 0;
            }
            TokenKind::Comma | TokenKind::Semi => self.now -= std::mem::take(&mut self.inner.run),
            TokenKind::Lambda => {
                self.inner.lambdas += 1;
                self.add(LAMBDA);
            }
            TokenKind::Colon if self.inner.lambdas > 0 => {
                self.inner.lambdas -= 1;
                self.now -= LAMBDA;
            }
            TokenKind::Plus | TokenKind::Minus => self.add_to_run(SIGN),
            TokenKind::Lpar => self.open(TokenKind::Rpar),
            TokenKind::Lsqb => self.open(TokenKind::Rsqb),
            TokenKind::Lbrace => self.open(TokenKind::Rbrace),
            TokenKind::FStringStart => self.open(TokenKind::FStringEnd),
            TokenKind::TStringStart => self.open(TokenKind::TStringEnd),
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd => return self.close(token),
            _ => self.add_to_run(LINK),
        }
        Some(())
    }

    fn open(&mut self, end: TokenKind) {
        self.add_to_run(LINK);
        let group = Group {
            end: Some(end),
            ..Group::default()
        };
        self.outer.push(std::mem::replace(&mut self.inner, group));
    }

    fn close(&mut self, token: TokenKind) -> Option<()> {
        if self.inner.end != Some(token) {
            return None;
        }
        let group = std::mem::replace(&mut self.inner, self.outer.pop()?);
        self.now -= group.run + group.lambdas * LAMBDA;
        Some(())
    }

    fn add_to_run(&mut self, weight: usize) {
        self.inner.run += weight;
        self.add(weight);
    }

    fn add(&mut self, weight: usize) {
        self.now += weight;
        self.peak = self.peak.max(self.now);
    }
}

/// Returns what all of a text weighs, whatever its characters mean.
fn weigh_all(text: &str) -> usize {
    let characters = text.bytes().map(|byte| match byte {
        b'+' | b'-' => SIGN,
        // A chain has one of these at each link; a name may be in any script.
        b'!'..=b'/' | b':'..=b'@' | b'['..=b'^' | b'`' | b'{'..=b'~' => LINK,
        _ => 0,
    });
    characters.sum::<usize>() + text.matches("lambda").count() * LAMBDA
}
