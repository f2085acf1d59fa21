//! Reading a text line by line, however long it is.

use std::io::Read;

use super::file::ModelFile;
use crate::error::Result;

/// How much of a file is read at once, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A line of a text.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: usize,
    /// What it says, without its end.
    pub(super) text: &'a str,
    /// Whether it is longer than that.
    pub(super) is_cut: bool,
}

impl ModelFile {
    /// Passes on the lines of the file, in the encodings of [`ModelFile::text`]; of a longer line, only its first `max_bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) if the file is not such text; the storage errors.
    pub(super) fn each_line(
        &self,
        max_bytes: usize,
        take: &mut dyn FnMut(&Line<'_>),
    ) -> Result<()> {
        let mut file = self.reopen()?;
        let (mut decoder, mut lines) = (Decoder::default(), Lines::new(max_bytes));
        let (mut piece, mut text) = (vec![0; PIECE_BYTES], String::new());
        loop {
            let read = self.at(file.read(&mut piece))?;
            text.clear();
            let decoded = decoder.decode(&piece[..read], read == 0, &mut text);
            lines.split(&text, take);
            if let Err(message) = decoded {
                let line = lines.number + 1;
                return Err(self.unreadable(message, format_args!("line {line}")));
            }
            if read == 0 {
                lines.finish(take);
                return Ok(());
            }
        }
    }
}

/// Decodes a text piece by piece.
#[derive(Debug, Default)]
struct Decoder {
    encoding: Option<Encoding>,
    /// What has not been decoded yet, since it is only a part of a character or of the mark.
    rest: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16(fn([u8; 2]) -> u16),
}

impl Decoder {
    /// Appends what a piece says to `text`; also if an error follows.
    fn decode(
        &mut self,
        piece: &[u8],
        is_end: bool,
        text: &mut String,
    ) -> Result<(), &'static str> {
        self.rest.extend_from_slice(piece);
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None if self.rest.len() < 3 && !is_end => return Ok(()),
            None => *self.encoding.insert(Encoding::take(&mut self.rest)),
        };
        let before = text.len();
        let (used, is_right) = match encoding {
            Encoding::Utf8 => {
                let (valid, is_right) = match std::str::from_utf8(&self.rest) {
                    Ok(all) => (all.len(), true),
                    Err(error) => (error.valid_up_to(), error.error_len().is_none() && !is_end),
                };
                text.push_str(&String::from_utf8_lossy(&self.rest[..valid]));
                (text.len() - before, is_right)
            }
            Encoding::Utf16(unit) => {
                let pairs = self.rest.chunks(2);
                let units = pairs.filter(|pair| is_end || pair.len() == 2);
                let units = units.map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or(0)]));
                let mut units: Vec<u16> = units.collect();
                let is_half = |unit: &mut u16| matches!(unit, 0xd800..0xdc00);
                if !is_end {
                    units.pop_if(is_half);
                }
                let used = (2 * units.len()).min(self.rest.len());
                let mut is_right = true;
                for c in char::decode_utf16(units)
                    .map_while(|c| c.inspect_err(|_| is_right = false).ok())
                {
                    text.push(c);
                }
                (used, is_right)
            }
        };
        self.rest.drain(..used);
        is_right.then_some(()).ok_or(match encoding {
            Encoding::Utf8 => "the file is not UTF-8 text",
            Encoding::Utf16(_) => "the file is not UTF-16 text",
        })
    }
}

impl Encoding {
    /// Takes the mark of an encoding from the beginning of a text.
    fn take(text: &mut Vec<u8>) -> Self {
        let (mark, encoding) = match text.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => (3, Self::Utf8),
            [0xff, 0xfe, ..] => (2, Self::Utf16(u16::from_le_bytes)),
            [0xfe, 0xff, ..] => (2, Self::Utf16(u16::from_be_bytes)),
            _ => (0, Self::Utf8),
        };
        text.drain(..mark);
        encoding
    }
}

/// Splits a text into lines piece by piece.
#[derive(Debug)]
struct Lines {
    max_bytes: usize,
    /// How many lines have ended.
    number: usize,
    /// What there is of the next line.
    text: String,
    is_cut: bool,
}

impl Lines {
    fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            number: 0,
            text: String::new(),
            is_cut: false,
        }
    }

    fn split(&mut self, piece: &str, take: &mut dyn FnMut(&Line<'_>)) {
        for part in piece.split_inclusive('\n') {
            let line = part.strip_suffix('\n');
            let part = line.unwrap_or(part);
            let room = part.floor_char_boundary(self.max_bytes - self.text.len());
            self.text.push_str(&part[..room]);
            self.is_cut |= room < part.len();
            if line.is_some() {
                self.end(take);
            }
        }
    }

    fn end(&mut self, take: &mut dyn FnMut(&Line<'_>)) {
        self.number += 1;
        take(&Line {
            number: self.number,
            text: self.text.strip_suffix('\r').unwrap_or(&self.text),
            is_cut: self.is_cut,
        });
        self.text.clear();
        self.is_cut = false;
    }

    fn finish(&mut self, take: &mut dyn FnMut(&Line<'_>)) {
        if !self.text.is_empty() {
            self.end(take);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ModelFolder;
    use super::*;

    /// The lines of a text: number, text, whether it was cut.
    fn lines(bytes: &[u8], max_bytes: usize) -> Result<Vec<(usize, String, bool)>, String> {
        let (folder, mut lines) = (ModelFolder::new(), Vec::new());
        let mut take =
            |line: &Line<'_>| lines.push((line.number, line.text.to_owned(), line.is_cut));
        let read = folder.file("a", bytes).each_line(max_bytes, &mut take);
        read.map_err(|error| crate::error::chain(&error))
            .map(|()| lines)
    }

    fn plain(bytes: &[u8]) -> Vec<String> {
        let lines = lines(bytes, 100).unwrap().into_iter();
        lines.map(|(_, text, _)| text).collect()
    }

    #[test]
    fn a_text_has_the_lines_that_it_has_as_a_whole() {
        for text in ["", "a", "a\n", "\n\na\r\nπ 𝄞\n\nb", "\r\n"] {
            let expected: Vec<&str> = text.lines().collect();
            assert_eq!(plain(text.as_bytes()), expected, "{text:?}");
            assert_eq!(
                plain(format!("\u{feff}{text}").as_bytes()),
                expected,
                "{text:?}"
            );
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                let marked = format!("\u{feff}{text}");
                let wide: Vec<u8> = marked.encode_utf16().flat_map(order).collect();
                assert_eq!(plain(&wide), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn characters_may_lie_across_pieces() {
        for (filler, wide) in [
            (PIECE_BYTES - 1, false),
            (PIECE_BYTES - 2, false),
            (PIECE_BYTES / 2 - 2, true),
        ] {
            let text = format!("{}𝄞\nb", "a".repeat(filler));
            let bytes = match wide {
                false => text.clone().into_bytes(),
                true => format!("\u{feff}{text}")
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect(),
            };
            let lines = lines(&bytes, 1 << 20).unwrap();
            let expected = text
                .lines()
                .zip(1..)
                .map(|(line, number)| (number, line.to_owned(), false));
            assert!(lines.into_iter().eq(expected), "{filler} {wide}");
        }
    }

    #[test]
    fn of_a_long_line_only_the_beginning_is_kept() {
        let text = format!("{}\nππ\n", "x".repeat(3 * PIECE_BYTES));
        let expected = [(1, "xxx".to_owned(), true), (2, "π".to_owned(), true)];
        assert_eq!(lines(text.as_bytes(), 3).unwrap(), expected);
    }

    #[test]
    fn what_is_no_text_is_refused_at_its_line() {
        for (bytes, expected) in [
            (&b"a\n\xe9b"[..], "the file is not UTF-8 text (a): line 2"),
            (b"a\nb\n\xcf", "the file is not UTF-8 text (a): line 3"),
            (
                b"\xff\xfea\0\n\0\x00\xd8",
                "the file is not UTF-16 text (a): line 2",
            ),
        ] {
            assert_eq!(lines(bytes, 100).unwrap_err(), expected);
        }
    }
}
