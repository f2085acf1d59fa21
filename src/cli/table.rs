//! Tables for people and for programs.

use std::array;
use std::io::Write;

use unicode_width::UnicodeWidthStr;

use super::console::Console;
use super::ending::CliResult;
use super::render::safe;
use super::session::Session;

/// A table: aligned below a head on a terminal; tab-separated and without a head elsewhere, for programs.
pub(super) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
    names: usize,
    is_cut: bool,
    note: Option<String>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(
        head: [&'static str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let rows = rows.into_iter().map(|row| row.map(|cell| safe(&cell)));
        Self {
            head,
            rows: rows.collect(),
            names: 0,
            is_cut: false,
            note: None,
        }
    }

    /// Says that the first columns name a row. With `--quiet`, only they are printed.
    pub(super) fn named_by(mut self, columns: usize) -> Self {
        self.names = columns;
        self
    }

    /// Cuts the last column to fit the terminal, so that no line wraps because of it.
    pub(super) fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    /// Prints a note if there are no rows. Without one, nothing is printed then.
    pub(super) fn or_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(super) fn print(self, session: &Session) -> CliResult {
        let console = &session.console;
        if session.output.quiet && self.names > 0 {
            let mut names = self.rows.iter().map(|row| row[..self.names].join(" "));
            let print = |out: &mut dyn Write| names.try_for_each(|name| writeln!(out, "{name}"));
            return Ok(console.with_out(print)?);
        }
        if self.rows.is_empty() {
            self.note.iter().for_each(|note| session.note(note));
            return Ok(());
        }
        Ok(console.print(self.format(console))?)
    }

    fn format(mut self, console: &Console) -> String {
        /// The columns that the last one gets however narrow the terminal is.
        const LEAST: usize = 20;
        if !console.out_is_terminal {
            let lines: Vec<String> = self.rows.iter().map(|row| row.join("\t")).collect();
            return lines.join("\n");
        }
        self.rows.insert(0, self.head.map(str::to_owned));
        if let Some(columns) = console.columns().filter(|_| self.is_cut) {
            let widths = widths(&self.rows).into_iter().rev().skip(1);
            let before: usize = widths.map(|width| width + 2).sum();
            let room = columns.saturating_sub(before).max(LEAST);
            for cell in self.rows.iter_mut().filter_map(|row| row.last_mut()) {
                *cell = cut(cell, room);
            }
        }
        aligned(&self.rows).join("\n")
    }
}

/// Formats lines with their columns below each other.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths = widths(rows);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| cell.clone() + &" ".repeat(width - cell.width()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    array::from_fn(|column| width(column).unwrap_or_default())
}

/// Cuts a text to a number of columns.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        cut.push(c);
        // Leave room for the ellipsis.
        if cut.width() + 1 > columns {
            cut.pop();
            break;
        }
    }
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_for_people_or_for_programs() {
        let rows = [["日本", "a\u{1b}[2J"], ["x", "y"]];
        let table = || Table::new(["A", "B"], rows.map(|row| row.map(str::to_owned)));
        let (console, _, _) = Console::captured();
        assert_eq!(table().format(&console), "日本\ta\\u{1b}[2J\nx\ty");
        let console = console.terminal(80, std::io::empty());
        assert_eq!(
            table().format(&console),
            "A     B\n日本  a\\u{1b}[2J\nx     y"
        );
    }

    #[test]
    fn text_is_cut_to_the_terminal() {
        let table = |text: &str| Table::new(["ID", "TEXT"], [["model", text].map(str::to_owned)]);
        let console = |width| Console::captured().0.terminal(width, std::io::empty());
        let long = "日本 words that go on and on";
        let shown = |width| table(long).cut().format(&console(width));
        assert_eq!(shown(35), format!("ID     TEXT\nmodel  {long}"));
        assert_eq!(shown(34), "ID     TEXT\nmodel  日本 words that go on and…");
        assert_eq!(shown(20), "ID     TEXT\nmodel  日本 words that go…");
        let (piped, _, _) = Console::captured();
        assert_eq!(table(long).cut().format(&piped), format!("model\t{long}"));
        let escaped = table(&"\u{1b}".repeat(9)).cut().format(&console(30));
        assert!(escaped.lines().all(|line| line.width() <= 30), "{escaped}");
    }
}
