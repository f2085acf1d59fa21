//! JSON for `--json`: what strings of others contain cannot control the terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::render::is_hidden;

/// Prints a document and a line break: indented for people, on one line for programs.
pub(super) fn write_document(
    out: &mut dyn Write,
    document: &impl Serialize,
    is_indented: bool,
) -> io::Result<()> {
    let mut out = SafeJson::new(out);
    let layout = Layout {
        is_indented,
        depth: 0,
        is_empty: true,
    };
    document.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, layout,
    ))?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Both layouts in one type, so that the serialisers of documents are compiled once.
struct Layout {
    is_indented: bool,
    depth: usize,
    /// Whether nothing has been written since the last bracket.
    is_empty: bool,
}

impl Layout {
    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !std::mem::take(&mut self.is_empty) {
            self.begin_line(out)?;
        }
        out.write_all(bracket)
    }

    fn begin_item<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.is_empty = false;
        if !is_first {
            out.write_all(b",")?;
        }
        self.begin_line(out)
    }

    fn begin_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        match self.is_indented {
            true => write!(out, "\n{:1$}", "", 2 * self.depth),
            false => Ok(()),
        }
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_item(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_item(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.is_indented { b": " } else { b":" })
    }
}

/// Passes JSON on, with the same characters escaped as by [`safe`](super::render::safe): they occur only in its strings, where `\u` and four
/// digits stand for them. Flushing passes on the rest.
struct SafeJson<W> {
    out: W,
    /// Whole characters, as serialisers write them. Scanning blocks is faster than scanning each piece.
    held: Vec<u8>,
}

impl<W: Write> SafeJson<W> {
    const BLOCK_BYTES: usize = 32 << 10;

    fn new(out: W) -> Self {
        let held = Vec::new();
        Self { out, held }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let mut rest = std::str::from_utf8(&self.held).map_err(io::Error::other)?;
        let plain = rest.is_ascii() && !self.held.contains(&0x7f);
        let mut seen = if plain { rest.len() } else { 0 };
        // Everything below is harmless, or escaped already.
        let special = |text: &str| text.bytes().position(|byte| byte >= 0x7f);
        while let Some(at) = special(&rest[seen..]).map(|at| seen + at) {
            let c = rest[at..].chars().next().unwrap_or_default();
            seen = at + c.len_utf8();
            if is_hidden(c) {
                self.out.write_all(&rest.as_bytes()[..at])?;
                write!(self.out, "\\u{:04x}", u32::from(c))?;
                (rest, seen) = (&rest[seen..], 0);
            }
        }
        self.out.write_all(rest.as_bytes())?;
        self.held.clear();
        Ok(())
    }
}

impl<W: Write> Write for SafeJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= Self::BLOCK_BYTES {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_is_escaped_wherever_its_blocks_end() {
        let hidden = "ä\u{7f}\u{9b}b\u{61c}日\u{202e}\u{feff}c";
        for filler in [0, 1, (32 << 10) - 8, (32 << 10) - 1, 70_000] {
            let text = format!("{}{hidden}{}", "é".repeat(filler / 2), "x".repeat(filler));
            let mut out = Vec::new();
            write_document(&mut out, &[text.as_str(), hidden], true).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains(|c| is_hidden(c) && c != '\n'));
            assert!(out.contains(r"ä\u007f\u009bb\u061c日\u202e\ufeffc"));
            let back: Vec<String> = serde_json::from_str(&out).unwrap();
            assert_eq!(back, [text.as_str(), hidden]);
        }
    }

    #[test]
    fn both_layouts_are_those_of_serde_json() {
        let value = json!({"a": [], "b": {}, "c": [1, [2, "x"], {"d": null}], "e": {"f": [[]]}});
        let entries: BTreeMap<&str, Value> =
            BTreeMap::from([("one", value.clone()), ("two", value)]);
        for value in [json!([]), json!("x"), json!(entries)] {
            let print = |is_indented| {
                let mut out = Vec::new();
                write_document(&mut out, &value, is_indented).unwrap();
                String::from_utf8(out).unwrap()
            };
            assert_eq!(print(false), format!("{value}\n"));
            assert_eq!(print(true), format!("{value:#}\n"));
        }
    }
}
