//! Reading a registry piece by piece.
//!
//! Parsed whole, a registry takes thirty times its size in memory, and one that is made for it hundreds of times. So it is
//! parsed in pieces: statements of one table that follow each other. What becomes of a piece is for its reader to decide,
//! who states what it keeps.

use std::fmt::Display;
use std::mem::size_of;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::{Lexer, TokenKind};

use crate::error::{Error, Result};

/// About how large a piece is, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// The largest statement, in bytes: a model's list of 100,000 files has less.
const MAX_STATEMENT_BYTES: usize = 16 << 20;
/// The most tokens of a statement: a name in a list has four. Each takes some sixty bytes while it is parsed, and each value
/// as many.
const MAX_STATEMENT_TOKENS: usize = 512 << 10;
/// As many tokens as a table of one value counts for in memory.
const TABLE_TOKENS: usize = 8;
/// How many parts a key may have.
const MAX_KEY_PARTS: usize = 80;
/// The most that is kept of a registry, in bytes: as much as the largest honest one needs, with half a million files.
const MAX_KEPT_BYTES: usize = 136 << 20;

/// Statements of one table, parsed.
#[derive(Debug)]
pub(super) struct Piece<'t> {
    /// The names in the header; none before the first one.
    pub(super) table: Vec<DeString<'t>>,
    /// Whether the table is an element of an array.
    pub(super) is_element: bool,
    /// Whether it begins with the header, and is not the next piece of the same table.
    pub(super) has_header: bool,
    pub(super) values: DeTable<'t>,
    pub(super) text: Text<'t>,
}

impl<'t> Piece<'t> {
    /// The table, or the array that it is an element of.
    pub(super) fn value(self) -> Spanned<DeValue<'t>> {
        let table = DeValue::Table(self.values);
        let value = match self.is_element {
            true => DeValue::Array([Spanned::new(0..0, table)].into_iter().collect()),
            false => table,
        };
        Spanned::new(0..0, value)
    }
}

/// The text of a piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) text: &'t str,
    /// The line of the registry that it begins on.
    pub(super) line: usize,
}

/// Passes on the pieces of a registry; `location` names it in errors.
///
/// # Errors
/// [`Registry`](crate::error::ErrorKind::Registry) when it is malformed, or has a statement that is too large; whatever `take`
/// fails with.
pub(super) fn each_piece<'t>(
    text: &'t str,
    location: &dyn Display,
    mut take: impl FnMut(Piece<'t>) -> Result<()>,
) -> Result<()> {
    let mut statements = Statements::new(text);
    let (mut table, mut is_element, mut line) = (Vec::new(), false, 1);
    while let Some(bounds) = statements.piece() {
        let Bounds { range, header } = bounds.map_err(|TooLarge { at }| {
            let line = line + lines(&text.as_bytes()[..at]);
            let message = format!("line {line}: the statement is too large");
            Error::registry(location, message)
        })?;
        let text = Text {
            text: &text[range],
            line,
        };
        let values = DeTable::parse(text.text);
        let values = values.map_err(|error| malformed(&error, text, location))?;
        let mut values = values.into_inner();
        if let Some(parts) = header {
            (table, is_element) = (Vec::new(), false);
            for _ in 0..parts {
                let Some((name, value)) = values.into_iter().next() else {
                    return Err(Error::internal("a header has fewer parts than dots"));
                };
                table.push(name.into_inner());
                let value = match value.into_inner() {
                    DeValue::Array(elements) => {
                        is_element = true;
                        elements.into_iter().next().map(Spanned::into_inner)
                    }
                    value => Some(value),
                };
                values = match value {
                    Some(DeValue::Table(below)) => below,
                    _ => DeTable::new(),
                };
            }
        }
        line += lines(text.text.as_bytes());
        take(Piece {
            table: table.clone(),
            is_element,
            has_header: header.is_some(),
            values,
            text,
        })?;
    }
    Ok(())
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// Finds the lines of faults. A piece may have one on each line, so its lines are not counted anew for each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that the piece begins on, as no other does.
    first: usize,
    /// How many lines end in front of each of its blocks.
    before: Vec<usize>,
}

impl Lines {
    const BLOCK_BYTES: usize = 1 << 10;

    /// Returns the line of the registry that a byte of a piece is on; `None` if it has no such byte.
    pub(super) fn of(&mut self, text: Text<'_>, at: usize) -> Option<usize> {
        let (first, text) = (text.line, text.text.as_bytes());
        if self.first != first {
            (self.first, self.before) = (first, vec![0]);
            for (index, block) in text.chunks(Self::BLOCK_BYTES).enumerate() {
                self.before.push(self.before[index] + lines(block));
            }
        }
        let block = at / Self::BLOCK_BYTES;
        let before = text.get(block * Self::BLOCK_BYTES..at).map(lines)?;
        Some(first + self.before.get(block)? + before)
    }
}

/// Finds the ends of statements.
struct Statements<'t> {
    text: &'t str,
    tokens: Lexer<'t>,
    /// How far they were read.
    at: usize,
    /// The statement that the next piece begins with.
    next: Option<Bounds>,
}

/// Where a statement or piece is.
struct Bounds {
    range: Range<usize>,
    /// The number of names in its header, if it begins with one.
    header: Option<usize>,
}

/// A statement that begins there is too large.
struct TooLarge {
    at: usize,
}

impl<'t> Statements<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            tokens: Source::new(text).lex(),
            at: 0,
            next: None,
        }
    }

    fn piece(&mut self) -> Option<Result<Bounds, TooLarge>> {
        let mut piece = match self.next.take() {
            Some(first) => first,
            None => match self.statement()? {
                Ok(first) => first,
                Err(error) => return Some(Err(error)),
            },
        };
        while piece.range.len() < PIECE_BYTES {
            match self.statement() {
                Some(Ok(next)) if next.header.is_none() => piece.range.end = next.range.end,
                Some(Ok(next)) => {
                    self.next = Some(next);
                    break;
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        Some(Ok(piece))
    }

    fn statement(&mut self) -> Option<Result<Bounds, TooLarge>> {
        let start = self.at;
        if start == self.text.len() {
            return None;
        }
        let (mut depth, mut size, mut dots) = (0_usize, 0, 0);
        let (mut header, mut is_empty) = (None, true);
        for token in &mut self.tokens {
            self.at = token.span().end();
            size += 1;
            let is_space = matches!(
                token.kind(),
                TokenKind::Newline | TokenKind::Whitespace | TokenKind::Comment
            );
            match token.kind() {
                TokenKind::Eof => break,
                TokenKind::Newline if depth == 0 => break,
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                    if is_empty && token.kind() == TokenKind::LeftSquareBracket {
                        header = Some(1);
                    }
                    if token.kind() == TokenKind::LeftCurlyBracket {
                        size += TABLE_TOKENS;
                    }
                    (depth, dots) = (depth + 1, 0);
                }
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    (depth, dots) = (depth.saturating_sub(1), 0);
                }
                TokenKind::Equals | TokenKind::Comma => dots = 0,
                TokenKind::Dot => {
                    (size, dots) = (size + TABLE_TOKENS, dots + 1);
                    header = header.map(|names| if depth > 0 { names + 1 } else { names });
                }
                _ => {}
            }
            is_empty &= is_space;
            let is_long = self.at - start > MAX_STATEMENT_BYTES;
            if is_long || size > MAX_STATEMENT_TOKENS || dots >= MAX_KEY_PARTS {
                return Some(Err(TooLarge { at: start }));
            }
        }
        Some(Ok(Bounds {
            range: start..self.at,
            header,
        }))
    }
}

/// How much may still be kept of a registry.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_KEPT_BYTES)
    }
}

impl Room {
    /// So much, in bytes.
    #[cfg(feature = "author")]
    pub(super) fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Gives back what is not kept any more.
    #[cfg(feature = "author")]
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    /// Takes room for something; `location` names the registry in errors.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) when there is no more.
    pub(super) fn take(&mut self, bytes: usize, location: &dyn Display) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            let message = "the registry has more entries than can be read";
            Error::registry(location, message)
        })?;
        Ok(())
    }
}

/// What an entry of a `BTreeMap` takes, whose nodes are little more than half full.
pub(super) const fn entry_bytes<K, V>() -> usize {
    (size_of::<K>() + size_of::<V>()) * 9 / 5
}

/// What a `BTreeMap` of so many entries takes: its first node has room for eleven.
pub(super) const fn map_bytes<K, V>(entries: usize) -> usize {
    match entries {
        0 => 0,
        1..6 => (size_of::<K>() + size_of::<V>()) * 11,
        _ => entry_bytes::<K, V>() * entries,
    }
}

/// Returns the error for a registry that the parser refuses.
pub(super) fn malformed(error: &toml::de::Error, text: Text<'_>, location: &dyn Display) -> Error {
    let reason = reason(error, text, &mut Lines::default());
    Error::registry_from(location, "the registry is malformed", reason)
}

/// What the parser says, with the line.
pub(super) fn reason(error: &toml::de::Error, text: Text<'_>, lines: &mut Lines) -> String {
    let reason = error.message().trim().replace('\n', ", ");
    match error.span().and_then(|span| lines.of(text, span.start)) {
        Some(line) => format!("line {line}: {reason}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each piece with its line, its table and its keys.
    fn pieces(text: &str) -> Result<Vec<(usize, String, Vec<String>)>> {
        let mut pieces = Vec::new();
        each_piece(text, &"here", |piece| {
            let table = piece.table.join("|");
            let keys = piece.values.keys().map(|key| key.get_ref().to_string());
            let brackets = if piece.is_element { "[[]]" } else { "" };
            pieces.push((piece.text.line, table + brackets, keys.collect()));
            Ok(())
        })?;
        Ok(pieces)
    }

    #[test]
    fn a_piece_has_statements_of_one_table() {
        let text = "\u{feff}# first\na = 1\r\nb.c = \"\"\"\n[no]\n\"\"\"\n[x.\"y.z\"] # header\nd = [\n  [1],\n]\n\n[[e . f]]\ng = { h = 1 }\n[i]";
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(
            pieces(text).unwrap(),
            [
                (1, String::new(), owned(&["a", "b"])),
                (6, "x|y.z".to_owned(), owned(&["d"])),
                (11, "e|f[[]]".to_owned(), owned(&["g"])),
                (13, "i".to_owned(), owned(&[])),
            ]
        );
        assert_eq!(pieces("").unwrap(), []);
    }

    #[test]
    fn a_large_table_is_several_pieces() {
        let lines = (0..20_000).map(|number| format!("k{number} = {{ a = 1 }}\n"));
        let text = format!("[t]\n{}", lines.collect::<String>());
        let pieces = pieces(&text).unwrap();
        assert_eq!(pieces.len(), text.len().div_ceil(PIECE_BYTES));
        assert!(pieces.iter().all(|(_, table, _)| table == "t"));
        assert_eq!(
            pieces.iter().map(|(.., keys)| keys.len()).sum::<usize>(),
            20_000
        );
        assert_eq!(pieces[1].0, pieces[0].2.len() + 2);
    }

    #[test]
    fn what_is_malformed_says_where() {
        let filler = "a = 1\n[t]\n".to_owned() + &"# nothing\n".repeat(20_000);
        for bad in [
            "= 1",
            "[",
            "a = [1",
            "[a",
            "[a]]",
            "x = \"",
            "a = 1\na = 1",
            "]",
        ] {
            let error = pieces(&format!("{filler}{bad}\n")).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.starts_with("line 2000"), "{bad}: {source}");
        }
    }

    #[test]
    fn a_statement_has_bounds() {
        let large = |text: &str| pieces(&format!("a = 1\n{text}")).unwrap_err().to_string();
        for text in [
            // Millions of values, tables and parts of keys, and one long string.
            format!("x = [{}]", "1,".repeat(MAX_STATEMENT_TOKENS / 2)),
            format!("x = [{}]", "{},".repeat(MAX_STATEMENT_TOKENS / 8)),
            format!("x = [{}]", "{a.b=1},".repeat(MAX_STATEMENT_TOKENS / 16)),
            format!("x = {}", "[".repeat(MAX_STATEMENT_TOKENS)),
            format!("x{} = 1", ".x".repeat(MAX_KEY_PARTS)),
            format!("[x{}]", ".x".repeat(MAX_KEY_PARTS)),
            format!("x = {{ x{} = 1 }}", ".x".repeat(MAX_KEY_PARTS)),
            format!("x = \"{}\"", "x".repeat(MAX_STATEMENT_BYTES)),
            format!("# {}", "x".repeat(MAX_STATEMENT_BYTES)),
        ] {
            let said = large(&text);
            assert!(
                said.starts_with("line 2: the statement is too large"),
                "{said}"
            );
        }
        let names = format!("x = [{}]", "\n    \"folder/file\",".repeat(100_000));
        assert!(pieces(&names).is_ok());
        let deep = format!("x = {}1{}", "[".repeat(100), "]".repeat(100));
        assert!(pieces(&deep).is_err(), "the parser has its own bound");
    }

    #[test]
    fn lines_are_found_in_any_order() {
        let text: String = (0..600).map(|line| "x".repeat(line % 9) + "\n").collect();
        let mut lines = Lines::default();
        for (line, begin) in [(1, 0), (5, 700)] {
            let text = &text[begin..];
            let text = Text { text, line };
            for at in (0..=text.text.len()).rev() {
                let before = text.text[..at].matches('\n').count();
                assert_eq!(lines.of(text, at), Some(line + before));
            }
        }
    }

    #[test]
    fn room_ends() {
        let mut room = Room::default();
        assert!(room.take(MAX_KEPT_BYTES, &"here").is_ok());
        assert!(room.take(1, &"here").is_err());
    }
}
